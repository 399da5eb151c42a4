//! Adoptions: a payment that only the provider still has becomes ours again.
//!
//! When an old copy of the database was restored, customers may have paid for what the copy does not know. The provider's objects
//! carry our own row in their metadata, stamped with a key that only this database has; whoever calls this has verified the stamp.
//! Adopting makes the rows of top-up and payment as they were, unpaid. That the money came is then taken in by the one way there
//! is ([`crate::payment`]), with everything it compares.

use crate::amount::Amount;
use crate::command::Context;
use crate::id::PaymentId;
use crate::job::{self, JobKey, JobKind};
use crate::notice::{self, IntentFact, SessionFact};
use crate::payment::fact::Fact;
use crate::payment::opening;
use crate::payment::{Flow, Payment, PaymentStatus, Returned, STRIPE};
use crate::refusal::Refusal;
use crate::state::{State, Wanted};
use crate::time::Time;
use crate::topup::Topup;

/// What the provider's object says that carries the payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Its checkout session, and where the customer pays if he still may.
    Session(SessionFact, Option<String>),
    /// Its payment intent, where there is no session.
    Intent(IntentFact),
}

impl Said {
    const fn object(&self) -> &String {
        match self {
            Self::Session(fact, _) => &fact.session,
            Self::Intent(fact) => &fact.intent,
        }
    }

    const fn fact(&self) -> Fact<'_> {
        match self {
            Self::Session(fact, _) => Fact::Session(fact),
            Self::Intent(fact) => Fact::Intent(fact),
        }
    }

    fn owner<'a>(&self, state: &'a State) -> Option<&'a PaymentId> {
        match self {
            Self::Session(fact, _) => state.payment_of_session.get(&fact.session),
            Self::Intent(fact) => state.payment_of_intent.get(&fact.intent),
        }
    }

    /// The payment with this object as its own.
    fn bind(&self, payment: Payment) -> Payment {
        match self {
            Self::Session(fact, url) => Payment {
                session: Some(fact.session.clone()),
                checkout_url: url.clone(),
                ..payment
            },
            Self::Intent(fact) => Payment {
                intent: Some(fact.intent.clone()),
                ..payment
            },
        }
    }
}

/// Asks for a payment to be made again that was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopt {
    /// Its id.
    pub payment: PaymentId,
    /// How the customer pays.
    pub flow: Flow,
    /// What was to be paid.
    pub amount: Amount,
    /// Whether it is real money.
    pub livemode: bool,
    /// When it was made.
    pub created_at: Time,
    /// Its top-up, as it was made.
    pub topup: Topup,
    /// What the object says that carries all this.
    pub said: Said,
}

pub(crate) fn needs(wanted: &mut Wanted<'_>, adopt: &Adopt) {
    let (id, object) = (&adopt.payment, adopt.said.object());
    wanted.topup(&adopt.topup.id);
    wanted.payment(id);
    let known = match adopt.said {
        Said::Session(..) => wanted.session(object),
        Said::Intent(_) => wanted.intent(object),
    };
    if let Some(known) = known {
        wanted.payment(known);
    }
    for kind in [adopt.flow.job_to_open(), adopt.flow.job_to_read()] {
        wanted.job(&JobKey::of_payment(kind, id));
    }
    // It becomes the payment that counts, and whoever pays in another way in the same batch has it closed.
    opening::needs_to_close(wanted, id);
    let waiting = wanted.waiting_events(id).into_iter().flatten();
    waiting.for_each(|number| wanted.event(number));
    notice::needs_early(wanted, object);
}

/// Makes the rows again, or gives the payment that has the object already. A payment that has another object, or a top-up that is
/// not the one it was, is refused: somebody has to look.
pub(crate) fn adopt(
    state: &mut State,
    context: &Context<'_>,
    adopt: &Adopt,
) -> Result<Payment, Refusal> {
    if let Some(known) = adopt.said.owner(state) {
        let known = state.payments.get(known).cloned();
        return known.ok_or_else(|| not_adoptable("its object belongs to another payment"));
    }
    let payment = match state.payments.get(&adopt.payment) {
        Some(known) if known.is_bound() => {
            return Err(not_adoptable("the payment has another session or intent"));
        }
        // It never became known here what of the provider's it is: given up, perhaps, and paid all the same.
        Some(known) => adopt.said.bind(known.clone()),
        None => made_again(state.sequence.payment + 1, context, adopt),
    };
    if adopt.said.fact().check(&payment).is_err() {
        return Err(not_adoptable(
            "the object is over other money than the payment",
        ));
    }
    let topup = state.topups.get(&adopt.topup.id);
    if topup.is_some_and(|topup| topup.as_made() != adopt.topup.as_made()) {
        return Err(not_adoptable("there is another top-up under its id"));
    }
    write(state, context, adopt, &payment);
    Ok(payment)
}

fn write(state: &mut State, context: &Context<'_>, adopt: &Adopt, payment: &Payment) {
    let (id, object) = (&payment.id, adopt.said.object());
    if state.topups.get(&adopt.topup.id).is_none() {
        let topup = Topup {
            payment: Some(id.clone()),
            ..adopt.topup.as_made()
        };
        state.topups.insert(topup.id.clone(), topup);
    } else {
        // Ids of payments sort by time: the newest attempt is the one that counts.
        state.topups.change(&adopt.topup.id, |topup| {
            let attempts = topup.payment.take().into_iter().chain([id.clone()]);
            topup.payment = attempts.max();
        });
    }
    if state.payments.get(id).is_some() {
        state.payments.change(id, |row| row.clone_from(payment));
    } else {
        state.sequence.next_payment();
        state.payments.insert(id.clone(), payment.clone());
    }
    match adopt.said {
        Said::Session(..) => state.payment_of_session.set(object.clone(), id.clone()),
        Said::Intent(_) => state.payment_of_intent.set(object.clone(), id.clone()),
    }
    // Nobody has to open it any more, and somebody has to look at it.
    let job = |kind: JobKind| JobKey::of_payment(kind, id);
    state.jobs.remove(&job(adopt.flow.job_to_open()));
    job::owe(state, context.now, job(adopt.flow.job_to_read()));
    notice::wake_early(state, id, Some(object));
}

fn made_again(number: i64, context: &Context<'_>, adopt: &Adopt) -> Payment {
    let unbound = Payment {
        id: adopt.payment.clone(),
        number,
        flow: adopt.flow,
        provider: STRIPE.to_owned(),
        topup: adopt.topup.id.clone(),
        user: adopt.topup.user.clone(),
        amount: adopt.amount,
        livemode: adopt.livemode,
        item_name: context.policy.item_name.clone(),
        success_url: String::new(),
        cancel_url: String::new(),
        save_card: false,
        card: None,
        status: PaymentStatus::Pending,
        session: None,
        checkout_url: None,
        intent: None,
        last_failure: None,
        returned: Returned::default(),
        created_at: adopt.created_at,
        updated_at: context.now,
        paid_at: None,
    };
    adopt.said.bind(unbound)
}

fn not_adoptable(why: &str) -> Refusal {
    Refusal::NotAdoptable {
        why: why.to_owned(),
    }
}

#[cfg(test)]
mod tests;
