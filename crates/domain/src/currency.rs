//! What can be charged in a currency: the least, the most, and the step between two amounts.
//!
//! The numbers are Stripe's (<https://docs.stripe.com/currencies>, read 2026-11): a smallest charge by settlement currency, eight
//! digits at most with a few exceptions, a last digit of 0 where there are three decimals, and whole units in currencies that
//! Stripe writes with two decimals only because it once did. An operator who settles in another currency sets his own limits.

use std::collections::BTreeMap;

use crate::amount::{Amount, Overflow, Unit};
use crate::refusal::Refusal;

/// The smallest charges, in smallest steps. A currency that is not here has none of its own.
const LEAST: &[(&str, i64)] = &[
    ("aed", 200),
    ("aud", 50),
    ("bgn", 100),
    ("brl", 50),
    ("cad", 50),
    ("chf", 50),
    ("czk", 1500),
    ("dkk", 250),
    ("eur", 50),
    ("gbp", 30),
    ("hkd", 400),
    ("huf", 17_500),
    ("inr", 50),
    ("jpy", 50),
    ("mxn", 1000),
    ("myr", 200),
    ("nok", 300),
    ("nzd", 50),
    ("pln", 200),
    ("ron", 200),
    ("sek", 300),
    ("sgd", 50),
    ("thb", 1000),
    ("usd", 50),
];

/// Eight digits.
const MOST: i64 = 99_999_999;

/// Currencies of small units may have more digits.
const MORE: &[(&str, i64)] = &[
    ("cop", 9_999_999_999),
    ("huf", 9_999_999_999),
    ("idr", 999_999_999_999),
    ("jpy", 9_999_999_999),
    ("lbp", 9_999_999_999),
];

/// Written with two decimals, which have to be 00.
const WHOLE: &[&str] = &["isk", "ugx"];

/// The least and the most that is charged at a time, in smallest steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChargeLimits {
    /// No less.
    pub least: i64,
    /// No more.
    pub most: i64,
}

impl ChargeLimits {
    /// Stripe's own for a currency.
    pub fn of(currency: Unit) -> Self {
        let named = |table: &[(&str, i64)]| {
            let found = table.iter().find(|(code, _)| *code == currency.code());
            found.map(|(_, minor)| *minor)
        };
        Self {
            least: named(LEAST).unwrap_or_else(|| step(currency)),
            most: named(MORE).unwrap_or(MOST),
        }
    }
}

/// The operator's own limits, which stand in for Stripe's.
pub type OwnLimits = BTreeMap<Unit, ChargeLimits>;

/// Amounts of a currency are multiples of this many smallest steps.
pub fn step(currency: Unit) -> i64 {
    if WHOLE.contains(&currency.code()) {
        return 100;
    }
    match currency.decimals() {
        3 => 10,
        _ => 1,
    }
}

/// The next amount that can be charged, no less than this one.
pub fn rounded_up_to_step(amount: Amount) -> Result<Amount, Overflow> {
    let step = step(amount.unit);
    let over = amount.minor.rem_euclid(step);
    let more = if over == 0 { 0 } else { step - over };
    let minor = amount.minor.checked_add(more).ok_or(Overflow)?;
    Ok(Amount::new(minor, amount.unit))
}

/// The part of an amount that can be charged, no more than this one.
pub fn rounded_down_to_step(amount: Amount) -> Amount {
    let minor = amount.minor - amount.minor.rem_euclid(step(amount.unit));
    Amount::new(minor, amount.unit)
}

/// The limits that hold for a currency.
pub fn limits(own: &OwnLimits, currency: Unit) -> ChargeLimits {
    own.get(&currency)
        .copied()
        .unwrap_or_else(|| ChargeLimits::of(currency))
}

/// Whether an amount can be charged. `field` is what a caller has to change, and reads as such.
pub fn check(own: &OwnLimits, amount: Amount, field: &str) -> Result<(), Refusal> {
    let ChargeLimits { least, most } = limits(own, amount.unit);
    if (least..=most).contains(&amount.minor) && amount.minor % step(amount.unit) == 0 {
        return Ok(());
    }
    Err(Refusal::PriceNotChargeable {
        field: field.to_owned(),
        given: amount,
        least: Amount::new(least, amount.unit),
        most: Amount::new(most, amount.unit),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{ChargeLimits, OwnLimits, check, limits, rounded_down_to_step, rounded_up_to_step};
    use crate::amount::{Amount, Overflow, Unit};

    fn unit(code: &str) -> Unit {
        Unit::currency(code).unwrap()
    }

    #[test]
    fn each_currency_has_its_own_least_most_and_step() {
        for (code, given, up, least, most) in [
            ("usd", 49, 49, 50, 99_999_999),
            ("jpy", 49, 49, 50, 9_999_999_999),
            ("kwd", 1231, 1240, 10, 99_999_999),
            ("isk", 101, 200, 100, 99_999_999),
            ("ugx", 100, 100, 100, 99_999_999),
            ("huf", 17_501, 17_501, 17_500, 9_999_999_999),
            ("idr", 1, 1, 1, 999_999_999_999),
        ] {
            let rounded = rounded_up_to_step(Amount::new(given, unit(code)));
            assert_eq!(rounded, Ok(Amount::new(up, unit(code))), "{code}");
            assert_eq!(
                ChargeLimits::of(unit(code)),
                ChargeLimits { least, most },
                "{code}"
            );
        }
        let most = Amount::new(i64::MAX, unit("kwd"));
        assert_eq!(rounded_up_to_step(most), Err(Overflow));
    }

    #[test]
    fn the_operators_own_limits_come_first() {
        let own = ChargeLimits {
            least: 500,
            most: 1_000,
        };
        let own = OwnLimits::from([(unit("usd"), own)]);
        assert_eq!(limits(&own, unit("usd")).least, 500);
        assert_eq!(limits(&own, unit("eur")).least, 50);
        let usd = |minor| check(&own, Amount::new(minor, unit("usd")), "credits");
        assert!(usd(500).is_ok() && usd(1_000).is_ok());
        let text = usd(499).unwrap_err().to_string();
        assert!(
            text.contains("4.99 USD") && text.contains("5.00 USD"),
            "{text}"
        );
        assert!(usd(1_001).is_err());
    }

    proptest! {
        #[test]
        fn rounding_moves_less_than_a_step(minor in 0_i64..1 << 50, which in 0_usize..4) {
            let unit = unit(["usd", "jpy", "kwd", "isk"][which]);
            let (up, down) = (rounded_up_to_step(Amount::new(minor, unit)).unwrap(), rounded_down_to_step(Amount::new(minor, unit)));
            let step = super::step(unit);
            prop_assert!(up.minor % step == 0 && down.minor % step == 0);
            prop_assert!(down.minor <= minor && minor <= up.minor && up.minor - down.minor <= step);
            prop_assert!(up.minor - minor < step && minor - down.minor < step);
        }
    }
}
