//! What Stripe says about money that goes back, in our own words.

use bursar_domain::dispute::{DisputeFact, DisputeStatus, Movement};
use bursar_domain::id::RefundId;
use bursar_domain::notice::Notice;
use bursar_domain::refund::{RefundFact, RefundStatus};
use bursar_stripe::object::{
    BalanceTransaction, Charge, Dispute, DisputeStatus as StripeDisputeStatus, EarlyFraudWarning,
    Expandable, PaymentIntent, Refund, RefundStatus as StripeRefundStatus,
};

use super::inbound::read_object;
use super::outbound::REFUND_ID;

/// What a refund says; none if it does not say how much of what.
pub fn refund_fact(refund: &Refund) -> Option<RefundFact> {
    let status = match refund.status.as_ref()? {
        StripeRefundStatus::RequiresAction => RefundStatus::RequiresAction,
        StripeRefundStatus::Succeeded => RefundStatus::Succeeded,
        StripeRefundStatus::Failed => RefundStatus::Failed,
        StripeRefundStatus::Canceled => RefundStatus::Canceled,
        // A status of a later version: there is a refund, and it has not failed.
        StripeRefundStatus::Pending | StripeRefundStatus::Other(_) => RefundStatus::Pending,
    };
    let hint = refund.metadata.get(REFUND_ID);
    Some(RefundFact {
        provider_id: refund.id.clone(),
        hint: hint.and_then(RefundId::parse),
        amount: refund.amount?,
        currency: refund.currency.clone()?,
        status,
        reason: refund.reason.clone().unwrap_or_default(),
        failure: refund.failure_reason.clone().unwrap_or_default(),
    })
}

/// Whether a refund at Stripe is this one of ours.
pub(crate) fn is_refund(refund: &Refund, ours: &RefundId) -> bool {
    refund.metadata.get(REFUND_ID) == Some(ours.as_str())
}

/// What a dispute says; none if it does not say how much of what.
pub fn dispute_fact(dispute: &Dispute) -> Option<DisputeFact> {
    let status = match dispute.status.as_ref()? {
        StripeDisputeStatus::WarningNeedsResponse => DisputeStatus::WarningNeedsResponse,
        StripeDisputeStatus::WarningUnderReview => DisputeStatus::WarningUnderReview,
        StripeDisputeStatus::WarningClosed => DisputeStatus::WarningClosed,
        StripeDisputeStatus::NeedsResponse => DisputeStatus::NeedsResponse,
        StripeDisputeStatus::Won => DisputeStatus::Won,
        StripeDisputeStatus::Lost => DisputeStatus::Lost,
        StripeDisputeStatus::Prevented => DisputeStatus::Prevented,
        // An appeal follows a loss, which stands until it is won.
        StripeDisputeStatus::UnderReview
        | StripeDisputeStatus::AppealNeedsResponse
        | StripeDisputeStatus::AppealUnderReview
        | StripeDisputeStatus::Other(_) => DisputeStatus::UnderReview,
    };
    let (amount, currency) = (dispute.amount?, dispute.currency.clone()?);
    Some(DisputeFact {
        id: dispute.id.clone(),
        amount,
        movements: movements(&dispute.balance_transactions, amount, &currency),
        currency,
        status,
        reason: dispute.reason.clone().unwrap_or_default(),
    })
}

/// Movements of Stripe's balance, in the currency of the payment. Where that is not the balance's own, the largest withdrawal stands
/// for the amount in dispute, and the others are the share of it that they are of that one, rounded down.
fn movements(all: &[BalanceTransaction], disputed: i64, currency: &str) -> Vec<Movement> {
    let amounts = all.iter().filter_map(|movement| movement.amount);
    let largest = amounts.map(i64::saturating_abs).max().unwrap_or(0);
    let in_currency = |movement: &BalanceTransaction| {
        let amount = movement.amount?;
        if movement.currency.as_deref() == Some(currency) {
            return amount.checked_neg();
        }
        let share = i128::from(amount) * i128::from(disputed) / i128::from(largest.max(1));
        i64::try_from(-share).ok()
    };
    let movement = |movement: &BalanceTransaction| {
        Some(Movement {
            id: movement.id.clone(),
            withdrawn: in_currency(movement)?,
        })
    };
    all.iter().filter_map(movement).collect()
}

/// The payment intent an object is about. Without one it does not come from a payment of ours.
fn intent_of(intent: Option<&Expandable<PaymentIntent>>) -> Result<String, Box<Notice>> {
    intent.map(|intent| intent.id().to_owned()).ok_or_else(|| {
        Box::new(Notice::Foreign {
            why: "it is about no payment intent".into(),
        })
    })
}

fn notice<T: serde::de::DeserializeOwned>(
    body: &[u8],
    say: impl FnOnce(&T) -> Result<Notice, Box<Notice>>,
) -> Notice {
    match read_object::<T>(body) {
        Ok(object) => say(&object).unwrap_or_else(|notice| *notice),
        Err(why) => Notice::Unreadable { why },
    }
}

fn says_too_little() -> Box<Notice> {
    Box::new(Notice::Unreadable {
        why: "it does not say how much of which currency, or how it stands".into(),
    })
}

pub(super) fn refund_notice(body: &[u8]) -> Notice {
    notice::<Refund>(body, |refund| {
        Ok(Notice::Refund {
            intent: intent_of(refund.payment_intent.as_ref())?,
            fact: refund_fact(refund).ok_or_else(says_too_little)?,
        })
    })
}

pub(super) fn dispute_notice(body: &[u8]) -> Notice {
    notice::<Dispute>(body, |dispute| {
        Ok(Notice::Dispute {
            intent: intent_of(dispute.payment_intent.as_ref())?,
            fact: dispute_fact(dispute).ok_or_else(says_too_little)?,
        })
    })
}

/// The card's network takes a payment for fraud.
pub(super) fn fraud_notice(body: &[u8]) -> Notice {
    notice::<EarlyFraudWarning>(body, |warning| {
        Ok(Notice::FraudWarning {
            intent: intent_of(warning.payment_intent.as_ref())?,
        })
    })
}

/// A charge says how much of it was refunded in all, but not by which refunds: they have to be read.
pub(super) fn returns_notice(body: &[u8]) -> Notice {
    notice::<Charge>(body, |charge| {
        Ok(Notice::Returns {
            intent: intent_of(charge.payment_intent.as_ref())?,
        })
    })
}
