//! Disputes: a customer's bank takes money back, and perhaps returns it.
//!
//! The status of a dispute is shown; what counts for the books are its movements: money that the provider took from our balance,
//! and money it put back. Each movement is a fact with an id of its own, so that in whatever order and however often they are
//! reported their sum is the same. An inquiry has no movement and takes nothing.

use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::command::Context;
use crate::id::PaymentId;
use crate::notice::Mismatch;
use crate::refusal::Refusal;
use crate::state::State;
use crate::time::Time;
use crate::word::words;
use crate::{payment, reversal};

/// Where a dispute stands, as Stripe names it (<https://docs.stripe.com/api/disputes/object>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeStatus {
    /// An inquiry waits for an answer.
    WarningNeedsResponse,
    /// An inquiry was answered.
    WarningUnderReview,
    /// It waits for evidence.
    NeedsResponse,
    /// Evidence was handed in.
    UnderReview,
    /// An inquiry ended without a dispute.
    WarningClosed,
    /// It was settled before it began.
    Prevented,
    /// The customer keeps the money.
    Lost,
    /// The money came back.
    Won,
}

words!(DisputeStatus: WarningNeedsResponse = "warning_needs_response", WarningUnderReview = "warning_under_review",
       NeedsResponse = "needs_response", UnderReview = "under_review", WarningClosed = "warning_closed",
       Prevented = "prevented", Lost = "lost", Won = "won");

impl DisputeStatus {
    /// Whether nothing is decided yet.
    pub const fn is_open(self) -> bool {
        matches!(
            self,
            Self::WarningNeedsResponse
                | Self::WarningUnderReview
                | Self::NeedsResponse
                | Self::UnderReview
        )
    }
}

/// Money that a dispute has moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Movement {
    /// The provider's id of it: a balance transaction.
    pub id: String,
    /// Taken from us if positive, given back if negative; in smallest steps of the payment's currency.
    pub withdrawn: i64,
}

/// A customer's bank disputes a payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispute {
    /// The provider's id of it.
    pub id: String,
    /// Which payment.
    pub payment: PaymentId,
    /// How much is disputed.
    pub amount: Amount,
    /// Where it stands.
    pub status: DisputeStatus,
    /// Why, in the provider's words.
    pub reason: String,
    /// The money it has moved so far.
    pub movements: Vec<Movement>,
    /// When we learned of it.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
}

impl Dispute {
    /// What the bank has now: withdrawn less given back, in smallest steps.
    pub fn withdrawn(&self) -> i64 {
        self.movements.iter().map(|it| it.withdrawn).sum()
    }
}

/// What is known of a dispute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisputeFact {
    /// The provider's id of it.
    pub id: String,
    /// How much is disputed, in smallest steps.
    pub amount: i64,
    /// In which currency, as written by the provider.
    pub currency: String,
    /// Where it stands.
    pub status: DisputeStatus,
    /// Why, in the provider's words.
    pub reason: String,
    /// The movements it names.
    pub movements: Vec<Movement>,
}

/// Takes in what is known of a dispute, from whatever side it came: the payment's books follow at once.
pub(crate) fn observe(
    state: &mut State,
    context: &mut Context<'_>,
    payment: &PaymentId,
    fact: &DisputeFact,
) -> Result<Result<(), Mismatch>, Refusal> {
    let paid = payment::find(state, payment)?;
    let unit = paid.amount.unit;
    if fact.currency != unit.code() {
        return Ok(Err(Mismatch::Currency {
            said: fact.currency.clone(),
            ours: unit.code().to_owned(),
        }));
    }
    let mut disputes = state.disputes.get(payment).cloned().unwrap_or_default();
    let place = disputes.iter().position(|dispute| dispute.id == fact.id);
    let place = place.unwrap_or_else(|| {
        disputes.push(Dispute {
            id: fact.id.clone(),
            payment: payment.clone(),
            amount: Amount::new(fact.amount, unit),
            status: fact.status,
            reason: fact.reason.clone(),
            movements: vec![],
            created_at: context.now,
            updated_at: context.now,
        });
        disputes.len() - 1
    });
    take_in(&mut disputes[place], fact, context.now);
    state.disputes.put(payment.clone(), disputes);
    reversal::settle(state, context, payment)?;
    Ok(Ok(()))
}

/// The later status of two is the one further down the list; movements only add up.
fn take_in(dispute: &mut Dispute, fact: &DisputeFact, now: Time) {
    dispute.status = dispute.status.max(fact.status);
    for movement in &fact.movements {
        if dispute
            .movements
            .iter()
            .all(|known| known.id != movement.id)
        {
            dispute.movements.push(movement.clone());
        }
    }
    dispute.movements.sort_by(|a, b| a.id.cmp(&b.id));
    dispute.updated_at = now;
}
