//! Every way to say no, with its stable code.

use serde::{Deserialize, Serialize};

use crate::amount::Unit;
use crate::journal::Cause;
use crate::topup::TopupStatus;

/// A named no. The text is for people, [`code`](Refusal::code) for programs; codes never change their meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "refusal", rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "the text of each variant says what its fields are"
)]
pub enum Refusal {
    #[error("{field} must be from {least} to {most}; {given} was given")]
    OutOfRange {
        field: String,
        least: i64,
        most: i64,
        given: i64,
    },
    #[error("there is no such top-up")]
    TopupNotFound,
    #[error("the top-up is {}; only a pending one can be paid or canceled: create a new one", status.as_str())]
    TopupNotPending { status: TopupStatus },
    #[error("there is no such payment")]
    PaymentNotFound,
    #[error("the wallet has {available} credits available, {missing} too few")]
    InsufficientCredits { available: i64, missing: i64 },
    #[error("the price would be beyond what {currency} amounts can hold: buy fewer credits")]
    PriceOutOfRange { currency: Unit },
    #[error("the balance would leave the range of 64 bits: use a smaller amount")]
    BalanceOutOfRange,
    #[error("{} {} has been posted already", cause.kind, cause.id)]
    AlreadyPosted { cause: Cause },
    #[error("a posting needs a positive amount between two different accounts of one unit")]
    Unbalanced,
    #[error(
        "this idempotency key was used for a different request: use a new key for a new request"
    )]
    IdempotencyKeyReused,
    #[error("there is no such API key")]
    ApiKeyNotFound,
    #[error("the job is not held by this claim any more")]
    ClaimLost,
}

impl Refusal {
    /// The stable code on the wire.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::OutOfRange { .. } => "parameter_out_of_range",
            Self::TopupNotFound => "topup_not_found",
            Self::TopupNotPending { .. } => "topup_not_pending",
            Self::PaymentNotFound => "payment_not_found",
            Self::InsufficientCredits { .. } => "insufficient_credits",
            Self::PriceOutOfRange { .. } => "price_out_of_range",
            Self::BalanceOutOfRange => "balance_out_of_range",
            Self::AlreadyPosted { .. } => "already_posted",
            Self::Unbalanced => "unbalanced",
            Self::IdempotencyKeyReused => "idempotency_key_reused",
            Self::ApiKeyNotFound => "api_key_not_found",
            Self::ClaimLost => "claim_lost",
        }
    }

    /// The field of the request that is to blame, if one is.
    pub fn param(&self) -> Option<&str> {
        match self {
            Self::OutOfRange { field, .. } => Some(field),
            Self::TopupNotFound | Self::TopupNotPending { .. } => Some("topup_id"),
            Self::PaymentNotFound => Some("payment_id"),
            Self::InsufficientCredits { .. }
            | Self::PriceOutOfRange { .. }
            | Self::BalanceOutOfRange => Some("credits"),
            Self::ApiKeyNotFound => Some("api_key_id"),
            Self::AlreadyPosted { .. }
            | Self::Unbalanced
            | Self::IdempotencyKeyReused
            | Self::ClaimLost => None,
        }
    }

    /// Whether the refusal is about the moment, not about the request: such an answer is not remembered under an idempotency
    /// key, so that the same request may succeed later.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::ClaimLost)
    }
}
