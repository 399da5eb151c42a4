//! What Stripe has of ours that we do not have.

use bursar_domain::adoption::{Adopt, Said};
use bursar_domain::checkout::SessionRead;
use bursar_domain::command::Command;
use bursar_domain::id::PaymentId;
use bursar_domain::intent::IntentRead;
use bursar_domain::notice::{IntentFact, SessionFact, Standing};
use bursar_domain::payment::Payment;
use bursar_stripe::object::Metadata;

use super::pass::{Pass, Repair, finding, over};
use super::report::Class;
use super::standing;
use crate::EngineError;
use crate::bridge::stamp::{Carried, Wish, read};
use crate::outside::Provider;

/// What metadata carry.
pub(super) fn carried(pass: &Pass<'_, impl Provider>, metadata: &Metadata) -> Carried {
    read(&pass.key, |name| metadata.get(name))
}

/// The payment that metadata name, with or without a proof.
pub(super) fn named(carried: &Carried) -> Option<PaymentId> {
    match carried {
        Carried::Ours(wish) => Some(wish.payment.clone()),
        Carried::Unproven(id) => PaymentId::parse(id),
        Carried::Nothing | Carried::Foreign => None,
    }
}

/// A session or an intent that no payment of ours has. `known` is the payment that its metadata name, if we have that.
pub(super) async fn orphan(
    pass: &mut Pass<'_, impl Provider>,
    carried: Carried,
    said: Said,
    known: Option<&Payment>,
) -> Result<(), EngineError> {
    let (object, standing_there, amount, currency, intent) = parts(&said);
    let paid = standing_there == Standing::Paid;
    let with_money = |class, ours: &str, action| {
        let stripe = format!("{standing_there:?}").to_lowercase();
        let found = finding(class, &object, (ours, &stripe), action);
        over(found, amount.filter(|_| paid), currency.as_deref())
    };
    match (carried, known) {
        (Carried::Nothing | Carried::Foreign, _) => pass.report.looked.foreign += 1,
        (_, Some(known)) if known.is_bound() => {
            if paid {
                let ours = format!("{} with {}", standing(known), known.reference());
                let action = "it was paid twice: refund this one in Stripe's dashboard";
                pass.tell(with_money(Class::PaidTwice, &ours, action));
            }
        }
        (Carried::Unproven(id), known) => {
            let ours = known.map_or_else(|| format!("no payment {id}"), standing);
            let action =
                "its metadata prove nothing: credit by hand, or refund it in Stripe's dashboard";
            pass.tell(with_money(Class::Orphan, &ours, action));
        }
        (Carried::Ours(wish), known) => {
            let ours = known.map_or_else(|| format!("no payment {}", wish.payment), standing);
            let action = "make the payment again from what Stripe carries";
            let found = with_money(Class::Orphan, &ours, action);
            pass.settle(found, again(*wish, said)).await?;
        }
    }
    // Its payment intent will be met later in this run.
    pass.note_told(intent.as_deref());
    Ok(())
}

type Parts = (
    String,
    Standing,
    Option<i64>,
    Option<String>,
    Option<String>,
);

fn parts(said: &Said) -> Parts {
    match said {
        Said::Session(fact, _) => {
            let (amount, currency) = (fact.amount, fact.currency.clone());
            (
                fact.session.clone(),
                fact.standing,
                amount,
                currency,
                fact.intent.clone(),
            )
        }
        Said::Intent(fact) => {
            let standing = fact.standing.unwrap_or(Standing::Open);
            (
                fact.intent.clone(),
                standing,
                fact.amount,
                fact.currency.clone(),
                None,
            )
        }
    }
}

/// The rows first; then what the object says, the way it is always taken in.
fn again(wish: Wish, said: Said) -> Repair {
    let payment = wish.payment.clone();
    let (read, is_paid) = match said.clone() {
        Said::Session(fact, _) => {
            let is_paid = fact.standing == Standing::Paid;
            (read_session(payment, fact), is_paid)
        }
        Said::Intent(fact) => {
            let is_paid = fact.standing == Some(Standing::Paid);
            (read_intent(payment, fact), is_paid)
        }
    };
    let adopt = Adopt {
        payment: wish.payment,
        flow: wish.flow,
        amount: wish.amount,
        livemode: wish.livemode,
        created_at: wish.made,
        topup: wish.topup,
        said,
    };
    Repair {
        commands: vec![Command::Adopt(Box::new(adopt)), read],
        has_worked: worked(is_paid),
    }
}

/// A session as it was read.
pub(super) fn read_session(payment: PaymentId, fact: SessionFact) -> Command {
    let claim = None;
    Command::SessionRead(SessionRead {
        payment,
        claim,
        fact,
    })
}

/// An intent as it was read.
pub(super) fn read_intent(payment: PaymentId, fact: IntentFact) -> Command {
    let claim = None;
    Command::IntentRead(IntentRead {
        payment,
        claim,
        fact,
    })
}

/// What is paid at Stripe has to be paid here afterwards.
pub(super) fn worked(is_paid: bool) -> fn(&Payment) -> bool {
    if is_paid {
        |payment| payment.status.is_paid()
    } else {
        |_| true
    }
}
