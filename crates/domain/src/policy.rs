//! What the operator decided: limits and prices, as arguments to the rules.

use crate::amount::{CreditPrice, Unit};

/// Settings that rules ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Fewest credits of a top-up.
    pub topup_credits_min: i64,
    /// Most credits of a top-up.
    pub topup_credits_max: i64,
    /// What a credit costs.
    pub credit_price: CreditPrice,
    /// Whether payments are made with a live key of the provider.
    pub livemode: bool,
    /// What a customer sees as the thing bought.
    pub item_name: String,
}

impl Policy {
    /// One credit is one US cent; top-ups from 50 to 1,000,000 credits; test mode. The least of 50 is Stripe's own smallest
    /// charge in US dollars.
    ///
    /// # Panics
    /// Never: `usd` is in the table of currencies.
    #[expect(clippy::expect_used, reason = "the table of currencies holds usd")]
    pub fn standard() -> Self {
        let currency = Unit::currency("usd").expect("usd is a known currency");
        Self {
            topup_credits_min: 50,
            topup_credits_max: 1_000_000,
            credit_price: CreditPrice {
                numerator: 1,
                denominator: 1,
                currency,
            },
            livemode: false,
            item_name: "Credits".to_owned(),
        }
    }
}
