//! Refunds: money on its way back.

use super::{BalanceTransaction, Charge, Expandable, Metadata, PaymentIntent};
use crate::open_enum::open_enum;
use serde::Deserialize;

open_enum! {
    /// Where a refund stands.
    RefundStatus {
        Pending = "pending",
        RequiresAction = "requires_action",
        Succeeded = "succeeded",
        Failed = "failed",
        Canceled = "canceled",
    }
}

/// Money on its way back. It can still fail after it succeeded.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Refund {
    /// `re_…`.
    pub id: String,
    /// Where it stands.
    #[serde(default)]
    pub status: Option<RefundStatus>,
    /// In minor units.
    #[serde(default)]
    pub amount: Option<i64>,
    /// Three letters in lower case.
    #[serde(default)]
    pub currency: Option<String>,
    /// The charge it takes back.
    #[serde(default)]
    pub charge: Option<Expandable<Charge>>,
    /// The payment it takes back.
    #[serde(default)]
    pub payment_intent: Option<Expandable<PaymentIntent>>,
    /// `requested_by_customer` and so on.
    #[serde(default)]
    pub reason: Option<String>,
    /// Set when it failed.
    #[serde(default)]
    pub failure_reason: Option<String>,
    /// What it did to Stripe's balance.
    #[serde(default)]
    pub balance_transaction: Option<Expandable<BalanceTransaction>>,
    /// What brought the money back to Stripe's balance, where the refund failed after that.
    #[serde(default)]
    pub failure_balance_transaction: Option<Expandable<BalanceTransaction>>,
    /// Our own keys and values.
    #[serde(default)]
    pub metadata: Metadata,
    /// Unix seconds.
    #[serde(default)]
    pub created: Option<i64>,
}
