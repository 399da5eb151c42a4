//! Calls about payment intents: opening one, charging a saved card, reading, canceling; and the customer whose card it is.

use bursar_domain::command::Command;
use bursar_domain::customer::{Customer, CustomerKey};
use bursar_domain::intent::{IntentOpened, IntentRead};
use bursar_domain::job::Claim;
use bursar_domain::payment::{Flow, Payment};
use bursar_domain::planted::{self, Bug};
use bursar_stripe::object::{List, PaymentIntent};
use bursar_stripe::request::{self, Pages, Window};

use super::{CallError, OPEN_SECONDS_MAX, carried, refused, refused_by, wrong_mode};
use crate::outside::Provider;
use crate::{EngineError, bridge};

/// Before the first request for a payment, its row was written; how far Stripe's clock and ours may be apart, in seconds.
const CLOCKS_APART_SECONDS: i64 = 600;

/// Opens an intent, or charges the saved card. The payment's id is the idempotency key, so that however often it is sent it is one
/// intent and one charge; it is looked for among those there are before it is given up after so long that Stripe may have forgotten
/// the key.
pub(super) async fn open(
    provider: &impl Provider,
    claim: Claim,
    payment: &Payment,
) -> Result<Command, CallError> {
    if let Some(message) = wrong_mode(provider, payment) {
        return Ok(refused(claim, "key_mode_changed", message));
    }
    if payment.created_at.plus_seconds(OPEN_SECONDS_MAX) < provider.now() {
        return look_for(provider, claim, payment).await;
    }
    let customer = customer_of(provider, payment).await?;
    let carried = carried(provider, payment).await?;
    let mut asked = bridge::outbound::open_intent(payment, customer.as_ref(), carried);
    if planted::is(Bug::ChargeKeyPerTry) {
        asked.idempotency_key = Some(format!("{}-{}", payment.id, claim.attempt));
    }
    match provider.call(&asked).await {
        Ok(intent) => Ok(opened(claim, &intent)),
        Err(bursar_stripe::Error::Refused(refusal)) => {
            match bridge::inbound::declined_fact(&refusal) {
                Some(fact) => Ok(Command::IntentOpened(IntentOpened { claim, fact })),
                None => Ok(refused_by(claim, &refusal)),
            }
        }
        Err(error) => Err(CallError::Stripe(error)),
    }
}

fn opened(claim: Claim, intent: &PaymentIntent) -> Command {
    let fact = bridge::inbound::intent_fact(intent);
    Command::IntentOpened(IntentOpened { claim, fact })
}

/// Whether an intent that was asked for a day ago was made after all.
async fn look_for(
    provider: &impl Provider,
    claim: Claim,
    payment: &Payment,
) -> Result<Command, CallError> {
    let created = payment.created_at.seconds();
    let mut pages = Pages::new(Window {
        created_from: Some(created - CLOCKS_APART_SECONDS),
        created_to: Some(created + OPEN_SECONDS_MAX + CLOCKS_APART_SECONDS),
        limit: Some(100),
        ..Window::default()
    });
    while let Some(window) = pages.window() {
        let asked = request::list_payment_intents(window, false);
        let page: List<PaymentIntent> = provider.call(&asked).await.map_err(CallError::Stripe)?;
        let is_ours = |intent: &&PaymentIntent| bridge::outbound::is_intent_of(intent, payment);
        if let Some(intent) = page.data.iter().find(is_ours) {
            return Ok(opened(claim, intent));
        }
        pages.turn(&page);
    }
    let message = "Stripe could not be reached within a day: ask for a new payment".to_owned();
    Ok(refused(claim, "open_timed_out", message))
}

/// Who the payer is at Stripe, where his card is charged or kept. Opened when he is first needed.
pub(super) async fn customer_of(
    provider: &impl Provider,
    payment: &Payment,
) -> Result<Option<Customer>, CallError> {
    if !payment.save_card && payment.flow != Flow::OffSession {
        return Ok(None);
    }
    let key = CustomerKey {
        user: payment.user.clone(),
        livemode: payment.livemode,
    };
    customer(provider, key).await.map(Some)
}

/// The customer for a user.
pub(crate) async fn customer(
    provider: &impl Provider,
    key: CustomerKey,
) -> Result<Customer, CallError> {
    let wanted = key.clone();
    if let Some(known) = provider
        .read(move |reader| reader.customer(&wanted))
        .await?
    {
        return Ok(known);
    }
    let asked = bridge::outbound::open_customer(&key);
    let made: bursar_stripe::object::Customer =
        provider.call(&asked).await.map_err(CallError::Stripe)?;
    let customer = Customer { key, id: made.id };
    let reply = provider.submit(Command::CustomerOpened(customer)).await?;
    Ok(reply.try_into().map_err(EngineError::from)?)
}

pub(super) async fn read(
    provider: &impl Provider,
    claim: Claim,
    payment: &Payment,
) -> Result<Command, CallError> {
    let Some(intent) = &payment.intent else {
        return Ok(Command::DropJob(claim));
    };
    let asked = bridge::outbound::read_intent(intent);
    let intent = provider.call(&asked).await.map_err(CallError::Stripe)?;
    Ok(told(claim, payment, &intent))
}

/// Stripe refuses to cancel an intent that has ended, or whose money is on its way; how it stands, it says itself.
pub(super) async fn cancel(
    provider: &impl Provider,
    claim: Claim,
    payment: &Payment,
) -> Result<Command, CallError> {
    let Some(intent) = &payment.intent else {
        return Ok(Command::DropJob(claim));
    };
    let asked = bridge::outbound::cancel_intent(payment, intent);
    match provider.call(&asked).await {
        Ok(intent) => Ok(told(claim, payment, &intent)),
        Err(bursar_stripe::Error::Refused(_)) => read(provider, claim, payment).await,
        Err(error) => Err(CallError::Stripe(error)),
    }
}

fn told(claim: Claim, payment: &Payment, intent: &PaymentIntent) -> Command {
    Command::IntentRead(IntentRead {
        payment: payment.id.clone(),
        claim: Some(claim),
        fact: bridge::inbound::intent_fact(intent),
    })
}
