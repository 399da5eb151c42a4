//! Coupons: discounts on a price.

use serde::Deserialize;
use serde_json::Number;

/// A discount that can be given on a price. It has either `amount_off` or `percent_off`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Coupon {
    /// The id we gave, or one of Stripe's.
    pub id: String,
    /// In minor units of `currency`.
    #[serde(default)]
    pub amount_off: Option<i64>,
    /// More than 0, at most 100; may have decimals.
    #[serde(default)]
    pub percent_off: Option<Number>,
    /// Three letters in lower case, with `amount_off`.
    #[serde(default)]
    pub currency: Option<String>,
    /// Whether it can still be used.
    #[serde(default)]
    pub valid: Option<bool>,
}
