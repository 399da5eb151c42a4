//! Disputes and the warnings before them.

use super::{BalanceTransaction, Charge, Expandable, Metadata, PaymentIntent, null_as_empty};
use crate::open_enum::open_enum;
use serde::Deserialize;

open_enum! {
    /// Where a dispute stands. The `warning_…` ones are inquiries: no money has moved.
    DisputeStatus {
        WarningNeedsResponse = "warning_needs_response",
        WarningUnderReview = "warning_under_review",
        WarningClosed = "warning_closed",
        NeedsResponse = "needs_response",
        UnderReview = "under_review",
        AppealNeedsResponse = "appeal_needs_response",
        AppealUnderReview = "appeal_under_review",
        Won = "won",
        Lost = "lost",
        Prevented = "prevented",
    }
}

/// A customer's bank wants a payment back.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Dispute {
    /// `du_…` or `dp_…`.
    pub id: String,
    /// What is disputed, in minor units; may be less than the charge.
    #[serde(default)]
    pub amount: Option<i64>,
    /// Three letters in lower case.
    #[serde(default)]
    pub currency: Option<String>,
    /// Where it stands.
    #[serde(default)]
    pub status: Option<DisputeStatus>,
    /// `fraudulent`, `product_not_received` and so on.
    #[serde(default)]
    pub reason: Option<String>,
    /// The charge it is about.
    #[serde(default)]
    pub charge: Option<Expandable<Charge>>,
    /// The payment it is about.
    #[serde(default)]
    pub payment_intent: Option<Expandable<PaymentIntent>>,
    /// What it did to Stripe's balance: at most one movement out and one back. Empty for an
    /// inquiry.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub balance_transactions: Vec<BalanceTransaction>,
    /// Our own keys and values.
    #[serde(default)]
    pub metadata: Metadata,
    /// Whether it is about real money.
    #[serde(default)]
    pub livemode: Option<bool>,
    /// Unix seconds.
    #[serde(default)]
    pub created: Option<i64>,
}

/// The card's network takes a charge for fraud. Most of these become a dispute unless the charge is
/// refunded.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct EarlyFraudWarning {
    /// `issfr_…`.
    pub id: String,
    /// False once the charge was refunded or disputed.
    #[serde(default)]
    pub actionable: Option<bool>,
    /// The charge it is about.
    #[serde(default)]
    pub charge: Option<Expandable<Charge>>,
    /// The payment it is about.
    #[serde(default)]
    pub payment_intent: Option<Expandable<PaymentIntent>>,
    /// `made_with_stolen_card`, `misc` and so on.
    #[serde(default)]
    pub fraud_type: Option<String>,
    /// Whether it is about real money.
    #[serde(default)]
    pub livemode: Option<bool>,
    /// Unix seconds.
    #[serde(default)]
    pub created: Option<i64>,
}
