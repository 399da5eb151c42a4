//! Payment methods: what a customer pays with. A name on a card is never read.

use super::{Customer, Expandable};
use serde::Deserialize;

/// Something a customer can pay with.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PaymentMethod {
    /// `pm_…`.
    pub id: String,
    /// The customer it is saved for; absent where it is not saved.
    #[serde(default)]
    pub customer: Option<Expandable<Customer>>,
    /// `card` and so on.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// The card, where it is one.
    #[serde(default)]
    pub card: Option<Card>,
    /// Whether it is a live one.
    #[serde(default)]
    pub livemode: Option<bool>,
    /// Unix seconds.
    #[serde(default)]
    pub created: Option<i64>,
}

/// What may be shown of a card, and what tells that two are the same.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Card {
    /// `visa` and so on.
    #[serde(default)]
    pub brand: Option<String>,
    /// The last four digits, as text.
    #[serde(default)]
    pub last4: Option<String>,
    /// 1 to 12.
    #[serde(default)]
    pub exp_month: Option<i64>,
    /// Four digits.
    #[serde(default)]
    pub exp_year: Option<i64>,
    /// The same for the same card number within one account. The number cannot be told from it.
    #[serde(default)]
    pub fingerprint: Option<String>,
}
