//! Checkout sessions and payment intents: was every payment credited, and was nothing credited that was not paid?

use bursar_domain::adoption::Said;
use bursar_domain::command::Command;
use bursar_domain::id::PaymentId;
use bursar_domain::notice::{IntentFact, Mismatch, SessionFact, Standing};
use bursar_domain::payment::{Flow, Payment};
use bursar_stripe::object::{CheckoutSession, IntentStatus, List, PaymentIntent};
use bursar_stripe::request::{Pages, Window, list_checkout_sessions, list_payment_intents};

use super::pass::{Pass, Repair, finding, over};
use super::report::Class;
use super::{adopt, standing};
use crate::EngineError;
use crate::bridge::inbound::{intent_fact, session_fact};
use crate::bridge::outbound;
use crate::bridge::stamp::Carried;
use crate::outside::Provider;

pub(super) async fn compare_sessions(
    pass: &mut Pass<'_, impl Provider>,
) -> Result<(), EngineError> {
    let mut pages = Pages::new(pass.window());
    let request = |window: &_| list_checkout_sessions(None, window);
    while let Some(page) = pass.turn::<CheckoutSession>(&mut pages, request).await? {
        pass.report.looked.sessions += page.len() as u64;
        let ids = page.iter().map(|session| session.id.clone()).collect();
        let known = payments_of(pass, ids, Key::Session).await?;
        for (session, known) in page.iter().zip(known) {
            compare_session(pass, session, known).await?;
        }
    }
    Ok(())
}

/// What a payment is looked up by.
#[derive(Clone, Copy)]
pub(super) enum Key {
    Session,
    Intent,
}

pub(super) async fn payments_of(
    pass: &Pass<'_, impl Provider>,
    ids: Vec<String>,
    key: Key,
) -> Result<Vec<Option<Payment>>, EngineError> {
    pass.provider
        .read(move |reader| match key {
            Key::Session => reader.payments_of_sessions(&ids),
            Key::Intent => reader.payments_of_intents(&ids),
        })
        .await
}

async fn compare_session(
    pass: &mut Pass<'_, impl Provider>,
    session: &CheckoutSession,
    known: Option<Payment>,
) -> Result<(), EngineError> {
    let mut fact = session_fact(session);
    let is_settled = known.as_ref().is_some_and(|known| !known.status.is_open());
    if fact.standing == Standing::Unpaid && !is_settled {
        // Whether a delayed method has failed, only the session read by itself tells.
        let read: CheckoutSession = pass.call(&outbound::read_session(&session.id)).await?;
        fact = session_fact(&read);
    }
    if let Some(ours) = known {
        return judge_session(pass, &ours, fact).await;
    }
    let carried = adopt::carried(pass, &session.metadata);
    let named = named_payment(pass, adopt::named(&carried)).await?;
    let said = Said::Session(fact, session.url.clone());
    adopt::orphan(pass, carried, said, named.as_ref()).await
}

pub(super) async fn named_payment(
    pass: &Pass<'_, impl Provider>,
    named: Option<PaymentId>,
) -> Result<Option<Payment>, EngineError> {
    let Some(id) = named else { return Ok(None) };
    pass.provider.read(move |reader| reader.payment(&id)).await
}

/// What is known of a payment at Stripe, whether by its session or by its intent.
struct Verdict {
    object: String,
    intent: Option<String>,
    standing: Standing,
    amount: Option<i64>,
    currency: Option<String>,
    mismatch: Option<Mismatch>,
    is_news: bool,
    read: Command,
}

async fn judge_session(
    pass: &mut Pass<'_, impl Provider>,
    ours: &Payment,
    fact: SessionFact,
) -> Result<(), EngineError> {
    let verdict = Verdict {
        object: fact.session.clone(),
        intent: fact.intent.clone(),
        standing: fact.standing,
        amount: fact.amount,
        currency: fact.currency.clone(),
        mismatch: fact.check(ours).err(),
        is_news: fact.is_news_to(ours),
        read: adopt::read_session(ours.id.clone(), fact),
    };
    judge(pass, ours, verdict).await
}

async fn judge_intent(
    pass: &mut Pass<'_, impl Provider>,
    ours: &Payment,
    fact: IntentFact,
) -> Result<(), EngineError> {
    let verdict = Verdict {
        object: fact.intent.clone(),
        intent: None,
        standing: fact.standing.unwrap_or(Standing::Open),
        amount: fact.amount,
        currency: fact.currency.clone(),
        mismatch: fact.check(ours).err(),
        is_news: fact.is_news_to(ours),
        read: adopt::read_intent(ours.id.clone(), fact),
    };
    judge(pass, ours, verdict).await
}

/// Compares a payment with what is known of it.
async fn judge(
    pass: &mut Pass<'_, impl Provider>,
    ours: &Payment,
    said: Verdict,
) -> Result<(), EngineError> {
    let stripe = format!("{:?}", said.standing).to_lowercase();
    let is_paid = said.standing == Standing::Paid;
    let found = |class, action| {
        let found = finding(class, &said.object, (&standing(ours), &stripe), action);
        over(
            found,
            said.amount.filter(|_| is_paid),
            said.currency.as_deref(),
        )
    };
    if let Some(mismatch) = &said.mismatch {
        let action = "nothing was credited: look at both, and refund it in Stripe's dashboard if it is not ours";
        let found = found(Class::BindingMismatch, action);
        let stripe = mismatch.to_string();
        pass.tell(super::Finding { stripe, ..found });
    } else if said.is_news {
        let (class, action) = if is_paid {
            (Class::PaidNotCredited, "settle by what Stripe says")
        } else {
            (Class::Stale, "take over Stripe's status")
        };
        let repair = Repair {
            commands: vec![said.read.clone()],
            has_worked: adopt::worked(is_paid),
        };
        pass.settle(found(class, action), repair).await?;
    } else if ours.status.is_paid() && !is_paid {
        let action =
            "credit was given and Stripe has no money for it: freeze the wallet and find out why";
        let amount = Some(ours.amount.minor);
        let found = found(Class::CreditedNotPaid, action);
        pass.tell(over(found, amount, Some(ours.amount.unit.code())));
    }
    // Its intent and its movements will be met later in this run.
    if pass.is_told(&said.object) {
        pass.note_told(said.intent.as_deref());
    }
    Ok(())
}

/// Reads the session or the intent of a payment by itself and compares.
pub(super) async fn read_and_judge(
    pass: &mut Pass<'_, impl Provider>,
    ours: &Payment,
) -> Result<(), EngineError> {
    if pass.is_told(ours.reference()) {
        return Ok(());
    }
    match (&ours.session, &ours.intent) {
        (Some(session), _) => {
            let read: CheckoutSession = pass.call(&outbound::read_session(session)).await?;
            judge_session(pass, ours, session_fact(&read)).await
        }
        (None, Some(intent)) => {
            let read: PaymentIntent = pass.call(&outbound::read_intent(intent)).await?;
            judge_intent(pass, ours, intent_fact(&read)).await
        }
        (None, None) => Ok(()),
    }
}

/// Payment intents are made when a customer tries to pay, which may be a day after his session was made.
pub(super) async fn compare_intents(pass: &mut Pass<'_, impl Provider>) -> Result<(), EngineError> {
    let mut pages = Pages::new(pass.window());
    let request = |window: &_| list_payment_intents(window, false);
    while let Some(page) = pass.turn::<PaymentIntent>(&mut pages, request).await? {
        pass.report.looked.intents += page.len() as u64;
        let ids = page.iter().map(|intent| intent.id.clone()).collect();
        let known = payments_of(pass, ids, Key::Intent).await?;
        for (intent, known) in page.iter().zip(known) {
            match known {
                Some(ours) => compare_intent(pass, intent, &ours).await?,
                None if pass.is_told(&intent.id) => {}
                None => drop(find_payment(pass, intent).await?),
            }
        }
    }
    Ok(())
}

async fn compare_intent(
    pass: &mut Pass<'_, impl Provider>,
    intent: &PaymentIntent,
    ours: &Payment,
) -> Result<(), EngineError> {
    let has_paid = intent.status == Some(IntentStatus::Succeeded);
    match ours.flow {
        // The session decides; an attempt that did not work says nothing.
        Flow::Checkout if has_paid != ours.status.is_paid() => read_and_judge(pass, ours).await,
        Flow::Checkout => Ok(()),
        Flow::Intent | Flow::OffSession => judge_intent(pass, ours, intent_fact(intent)).await,
    }
}

/// The payment of an intent that no payment of ours has: by its metadata, and by its session. Adopted, if it was lost.
async fn find_payment(
    pass: &mut Pass<'_, impl Provider>,
    intent: &PaymentIntent,
) -> Result<Option<Payment>, EngineError> {
    let carried = adopt::carried(pass, &intent.metadata);
    let Some(named) = adopt::named(&carried) else {
        pass.report.looked.foreign += 1;
        return Ok(None);
    };
    let known = named_payment(pass, Some(named)).await?;
    let flow = match (&carried, &known) {
        (_, Some(known)) => known.flow,
        (Carried::Ours(wish), None) => wish.flow,
        _ => Flow::Checkout,
    };
    match known {
        Some(ours) if flow == Flow::Checkout && ours.is_bound() && ours.intent.is_none() => {
            compare_intent(pass, intent, &ours).await?;
        }
        known if flow == Flow::Checkout && known.as_ref().is_none_or(|ours| !ours.is_bound()) => {
            adopt_by_session(pass, intent, carried).await?;
        }
        known => {
            let said = Said::Intent(intent_fact(intent));
            adopt::orphan(pass, carried, said, known.as_ref()).await?;
        }
    }
    let found = payments_of(pass, vec![intent.id.clone()], Key::Intent).await?;
    Ok(found.into_iter().next().flatten())
}

async fn adopt_by_session(
    pass: &mut Pass<'_, impl Provider>,
    intent: &PaymentIntent,
    carried: Carried,
) -> Result<(), EngineError> {
    let request = list_checkout_sessions(Some(&intent.id), &Window::default());
    let sessions: List<CheckoutSession> = pass.call(&request).await?;
    if sessions.data.is_empty() {
        // It says that it comes from a session, and there is none: not ours, whatever it carries.
        let carried = adopt::named(&carried).map(|id| Carried::Unproven(id.to_string()));
        let said = Said::Intent(intent_fact(intent));
        return adopt::orphan(pass, carried.unwrap_or(Carried::Nothing), said, None).await;
    }
    for session in &sessions.data {
        if !pass.is_told(&session.id) {
            let known = payments_of(pass, vec![session.id.clone()], Key::Session).await?;
            compare_session(pass, session, known.into_iter().next().flatten()).await?;
        }
    }
    Ok(())
}

/// The payment of an intent that something else names: a refund, a dispute, a movement. Asks for the intent, so that a payment that
/// was made before the time this run looks at is found, too.
pub(super) async fn payment_of_intent(
    pass: &mut Pass<'_, impl Provider>,
    intent: &str,
) -> Result<Option<Payment>, EngineError> {
    if pass.is_foreign(intent) || pass.is_told(intent) {
        return Ok(None);
    }
    let read: PaymentIntent = pass.call(&outbound::read_intent(intent)).await?;
    let found = find_payment(pass, &read).await?;
    if found.is_none() {
        pass.note_foreign(intent);
    }
    Ok(found)
}
