//! Charges: single attempts to take money.

use super::{BalanceTransaction, Card, Expandable, List, Metadata, PaymentIntent, Refund};
use crate::open_enum::open_enum;
use serde::Deserialize;

open_enum! {
    /// Where a charge stands.
    ChargeStatus {
        Succeeded = "succeeded",
        Pending = "pending",
        Failed = "failed",
    }
}

/// One attempt to take money.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Charge {
    /// `ch_…` or `py_…`.
    pub id: String,
    /// Where it stands.
    #[serde(default)]
    pub status: Option<ChargeStatus>,
    /// In minor units.
    #[serde(default)]
    pub amount: Option<i64>,
    /// In minor units.
    #[serde(default)]
    pub amount_captured: Option<i64>,
    /// The sum of all refunds, in minor units.
    #[serde(default)]
    pub amount_refunded: Option<i64>,
    /// Three letters in lower case.
    #[serde(default)]
    pub currency: Option<String>,
    /// The payment it belongs to.
    #[serde(default)]
    pub payment_intent: Option<Expandable<PaymentIntent>>,
    /// What it was paid with.
    #[serde(default)]
    pub payment_method_details: Option<PaymentMethodDetails>,
    /// What it did to Stripe's balance, fee included; absent until the money was taken.
    #[serde(default)]
    pub balance_transaction: Option<Expandable<BalanceTransaction>>,
    /// Its refunds, newest first; only there where they were expanded.
    #[serde(default)]
    pub refunds: Option<List<Refund>>,
    /// Whether it succeeded or was authorised.
    #[serde(default)]
    pub paid: Option<bool>,
    /// Whether it was refunded in full.
    #[serde(default)]
    pub refunded: Option<bool>,
    /// Whether the customer's bank disputes it.
    #[serde(default)]
    pub disputed: Option<bool>,
    /// Whether it is about real money.
    #[serde(default)]
    pub livemode: Option<bool>,
    /// Copied from the payment when the charge was made.
    #[serde(default)]
    pub metadata: Metadata,
    /// Unix seconds.
    #[serde(default)]
    pub created: Option<i64>,
}

/// What a charge was paid with, as it was at that time.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PaymentMethodDetails {
    /// `card` and so on.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// The card, where it was one.
    #[serde(default)]
    pub card: Option<Card>,
}
