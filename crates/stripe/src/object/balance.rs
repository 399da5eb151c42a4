//! Stripe's balance, and every movement of it.

use super::{Expandable, Metadata, only_id};
use crate::open_enum::open_enum;
use serde::Deserialize;

/// The balance of an account. Reading it is the cheapest proof that a key works.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Balance {
    /// Whether the key behind the question is a live one.
    #[serde(default)]
    pub livemode: Option<bool>,
}

open_enum! {
    /// Whether the money of a movement can be paid out.
    BalanceStatus {
        Available = "available",
        Pending = "pending",
    }
}

/// What caused a movement, as far as all kinds of it agree.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Source {
    /// `ch_…`, `re_…`, `du_…` and so on.
    pub id: String,
    /// `charge`, `refund`, `dispute` and so on.
    #[serde(default)]
    pub object: Option<String>,
    /// The payment it belongs to, of those that belong to one.
    #[serde(default, deserialize_with = "only_id")]
    pub payment_intent: Option<String>,
    /// Our own keys and values.
    #[serde(default)]
    pub metadata: Metadata,
}

/// One movement of Stripe's balance. Amounts are signed and in minor units: what leaves the
/// balance is negative.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct BalanceTransaction {
    /// `txn_…`.
    pub id: String,
    /// Gross, in the currency of the balance, which may differ from that of the charge.
    #[serde(default)]
    pub amount: Option<i64>,
    /// Three letters in lower case.
    #[serde(default)]
    pub currency: Option<String>,
    /// What Stripe keeps; positive where it costs.
    #[serde(default)]
    pub fee: Option<i64>,
    /// `amount` less `fee`.
    #[serde(default)]
    pub net: Option<i64>,
    /// `charge`, `refund`, `adjustment`, `payout` and so on.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// The type in Stripe's reports: `charge`, `dispute`, `dispute_reversal` and so on.
    #[serde(default)]
    pub reporting_category: Option<String>,
    /// What caused it: a charge, a refund, a dispute and so on.
    #[serde(default)]
    pub source: Option<Expandable<Source>>,
    /// Whether the money can be paid out.
    #[serde(default)]
    pub status: Option<BalanceStatus>,
    /// Unix seconds.
    #[serde(default)]
    pub created: Option<i64>,
}
