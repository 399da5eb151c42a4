//! Packages: credits that are sold together at a price of their own, perhaps with some on top.

use std::fmt;

use crate::amount::{Amount, Unit};
use crate::grant::AMOUNT_MAX;

/// Credits that are sold together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// What a buyer names it by: 1 to 64 characters out of `a-z 0-9 . _ -`.
    pub id: String,
    /// What a customer reads.
    pub name: String,
    /// How many credits are sold; positive.
    pub credits: i64,
    /// How many come on top as a gift; 0 or more.
    pub bonus: i64,
    /// What it costs, in each currency it is sold in. The first one is the usual one.
    pub prices: Vec<Amount>,
    /// Whether it is to be pointed out.
    pub popular: bool,
}

/// Why a package cannot be sold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsellable(pub String);

impl fmt::Display for Unsellable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Package {
    /// The longest id and the longest name, in characters.
    pub const TEXT_MAX: usize = 64;

    /// What it costs in a currency, if it is sold in that one.
    pub fn price_in(&self, currency: Unit) -> Option<Amount> {
        let mut prices = self.prices.iter();
        prices.find(|price| price.unit == currency).copied()
    }

    /// Whether it can be sold as it is. The prices are checked against the limits of their currencies elsewhere.
    pub fn check(&self) -> Result<(), Unsellable> {
        let is_id =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        let lengths = 1..=Self::TEXT_MAX;
        let refuse = |why: &str| Err(Unsellable(why.to_owned()));
        if !lengths.contains(&self.id.len()) || !self.id.bytes().all(is_id) {
            return refuse("`id` must have 1 to 64 characters out of a-z 0-9 . _ -");
        }
        if !lengths.contains(&self.name.chars().count()) || self.name.chars().any(char::is_control)
        {
            return refuse("`name` must have 1 to 64 printable characters");
        }
        if !(1..=AMOUNT_MAX).contains(&self.credits) || !(0..=AMOUNT_MAX).contains(&self.bonus) {
            return refuse("`credits` must be at least 1 and `bonus` at least 0");
        }
        for (place, price) in self.prices.iter().enumerate() {
            let before = &self.prices[..place];
            if before.iter().any(|other| other.unit == price.unit) {
                return refuse("has two prices in one currency");
            }
        }
        if self.prices.is_empty() {
            return refuse("has no price");
        }
        Ok(())
    }
}
