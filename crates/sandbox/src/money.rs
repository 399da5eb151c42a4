//! Currencies: how many decimals they have, and the smallest and largest amounts Stripe charges.

use crate::error::{ApiError, ApiResult};

/// What the sandbox has to know of a currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Currency {
    /// The ISO code in lower case, as Stripe writes it.
    pub(crate) code: &'static str,
    /// Decimals of an amount: 0, 2 or 3.
    pub(crate) decimals: u32,
    /// The smallest amount that can be charged, in minor units.
    pub(crate) smallest: i64,
}

/// The largest amount that can be charged in most currencies: eight digits.
const LARGEST: i64 = 99_999_999;

/// Currencies with a smallest amount of their own, from Stripe's table by settlement currency. The sandbox
/// settles in the currency it charges.
const SMALLEST: &[(&str, i64)] = &[
    ("usd", 50),
    ("aud", 50),
    ("cad", 50),
    ("eur", 50),
    ("chf", 50),
    ("nzd", 50),
    ("sgd", 50),
    ("brl", 50),
    ("inr", 50),
    ("gbp", 30),
    ("aed", 200),
    ("myr", 200),
    ("pln", 200),
    ("ron", 200),
    ("bgn", 100),
    ("czk", 1500),
    ("dkk", 250),
    ("hkd", 400),
    ("huf", 17_500),
    ("jpy", 50),
    ("mxn", 1000),
    ("thb", 1000),
    ("nok", 300),
    ("sek", 300),
];

const NO_DECIMALS: &str = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf";
const THREE_DECIMALS: &str = "bhd jod kwd omr tnd";
const TWO_DECIMALS: &str = "aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn bzd \
    cad cdf chf cny cop crc cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl htg huf idr \
    ils inr isk jmd kes kgs khr kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr mwk mxn myr mzn nad \
    ngn nio nok npr nzd pab pen pgk php pkr pln qar ron rsd rub sar sbd scr sek sgd shp sle sos srd std szl thb \
    tjs top try ttd twd tzs uah ugx usd uyu uzs wst xcd yer zar zmw";

impl Currency {
    /// The currency of that code, in either case.
    pub(crate) fn of(code: &str, param: &str) -> ApiResult<Self> {
        let lower = code.to_ascii_lowercase();
        let found = [(NO_DECIMALS, 0), (TWO_DECIMALS, 2), (THREE_DECIMALS, 3)]
            .into_iter()
            .find_map(|(codes, decimals)| {
                let code = codes.split_whitespace().find(|known| *known == lower)?;
                Some((code, decimals))
            });
        let Some((code, decimals)) = found else {
            let message = format!(
                "Invalid currency: {code}. Give a three-letter ISO code that Stripe supports."
            );
            return Err(ApiError::invalid(message).at(param));
        };
        let smallest = SMALLEST
            .iter()
            .find(|(known, _)| *known == code)
            .map_or(1, |(_, least)| *least);
        Ok(Self {
            code,
            decimals,
            smallest,
        })
    }

    /// Checks that an amount can be charged.
    pub(crate) fn check(self, amount: i64, param: &str) -> ApiResult<()> {
        if amount < 1 {
            let message =
                format!("Invalid positive integer: {amount}. An amount has to be at least 1.");
            return Err(ApiError::coded("parameter_invalid_integer", message).at(param));
        }
        if amount < self.smallest {
            let least = self.show(self.smallest);
            let message = format!("Amount must be at least {least}.");
            return Err(ApiError::coded("amount_too_small", message).at(param));
        }
        if amount > self.largest() {
            let most = self.show(self.largest());
            let message = format!("Amount must be no more than {most}.");
            return Err(ApiError::coded("amount_too_large", message).at(param));
        }
        if self.decimals == 3 && amount % 10 != 0 {
            let message = format!(
                "The last digit of an amount in {} has to be 0.",
                self.code.to_uppercase()
            );
            return Err(ApiError::coded("parameter_invalid_integer", message).at(param));
        }
        Ok(())
    }

    /// Some currencies have small units; Stripe allows them more digits.
    fn largest(self) -> i64 {
        match self.code {
            "idr" => 999_999_999_999,
            "jpy" | "huf" | "cop" | "lbp" => 9_999_999_999,
            _ => LARGEST,
        }
    }

    /// The amount for a person, such as `$5.00` or `¥50`.
    pub(crate) fn show(self, amount: i64) -> String {
        let symbol = match self.code {
            "usd" => "$",
            "eur" => "€",
            "gbp" => "£",
            "jpy" => "¥",
            _ => "",
        };
        let sign = if amount < 0 { "-" } else { "" };
        let unit = 10_u64.pow(self.decimals);
        let (whole, part) = (amount.unsigned_abs() / unit, amount.unsigned_abs() % unit);
        let digits = match self.decimals {
            0 => whole.to_string(),
            places => format!("{whole}.{part:0places$}", places = places as usize),
        };
        if symbol.is_empty() {
            format!("{sign}{digits} {}", self.code.to_uppercase())
        } else {
            format!("{sign}{symbol}{digits}")
        }
    }

    /// Stripe's fee on a charge in this sandbox: 2.9 percent, rounded half up, and thirty hundredths.
    pub(crate) fn fee(self, amount: i64) -> i64 {
        let fixed = match self.decimals {
            0 => 0,
            2 => 30,
            _ => 300,
        };
        let share = i128::from(amount) * 29 + 500;
        i64::try_from(share / 1000).unwrap_or(0) + fixed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_of(currency: &str, amount: i64) -> Option<String> {
        Currency::of(currency, "currency")
            .unwrap()
            .check(amount, "amount")
            .err()
            .and_then(|e| e.code)
    }

    #[test]
    fn amounts_have_bounds_by_currency() {
        assert_eq!(code_of("usd", 50), None);
        assert_eq!(code_of("usd", 49).as_deref(), Some("amount_too_small"));
        assert_eq!(
            code_of("USD", 100_000_000).as_deref(),
            Some("amount_too_large")
        );
        assert_eq!(code_of("jpy", 100_000_000), None);
        assert_eq!(
            code_of("kwd", 1001).as_deref(),
            Some("parameter_invalid_integer")
        );
        assert_eq!(
            code_of("usd", -5).as_deref(),
            Some("parameter_invalid_integer")
        );
        assert!(Currency::of("xyz", "currency").is_err());
    }

    #[test]
    fn amounts_read_as_people_write_them() {
        let show = |code, amount| Currency::of(code, "").unwrap().show(amount);
        assert_eq!(show("usd", 1234), "$12.34");
        assert_eq!(show("jpy", 50), "¥50");
        assert_eq!(show("kwd", 1500), "1.500 KWD");
        assert_eq!(show("usd", -5), "-$0.05");
    }

    #[test]
    fn the_fee_is_an_integer() {
        let usd = Currency::of("usd", "").unwrap();
        assert_eq!(usd.fee(500), 45);
        assert_eq!(usd.fee(1000), 59);
        assert_eq!(Currency::of("jpy", "").unwrap().fee(1000), 29);
    }
}
