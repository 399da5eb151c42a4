//! Money and credits: integers with a unit.
//!
//! An [`Amount`] counts the smallest step of its [`Unit`]: cents for `usd/2`, yen for `jpy/0`, thousandths for
//! `kwd/3`, whole credits for `credit/0`. Arithmetic is checked; rounding is always named.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What an amount counts, and how many decimals its customary notation has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unit {
    code: &'static str,
    decimals: u8,
}

/// The currencies Stripe charges in, with the decimals of its API: <https://docs.stripe.com/currencies>.
/// ISK and UGX have no decimals in practice but are written with two there.
const CURRENCIES: &[(u8, &str)] = &[
    (
        0,
        "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf",
    ),
    (3, "bhd jod kwd omr tnd"),
    (
        2,
        "aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn bzd cad cdf chf cny cop \
         crc cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl htg huf idr ils inr isk jmd kes \
         kgs khr kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd \
         pab pen pgk php pkr pln qar ron rsd rub sar sbd scr sek sgd shp sle sos srd std szl thb tjs top try ttd twd \
         tzs uah ugx usd uyu uzs wst xcd yer zar zmw",
    ),
];

impl Unit {
    /// Credits: what a wallet holds. Whole numbers only.
    pub const CREDIT: Self = Self {
        code: "credit",
        decimals: 0,
    };

    /// The unit of a currency by its three-letter code in lower case (`usd`). `None` for codes Stripe does not charge in.
    pub fn currency(code: &str) -> Option<Self> {
        CURRENCIES.iter().find_map(|(decimals, codes)| {
            let code = codes
                .split_ascii_whitespace()
                .find(|known| *known == code)?;
            Some(Self {
                code,
                decimals: *decimals,
            })
        })
    }

    /// The codes of all currencies, in no order that means something.
    pub fn currencies() -> impl Iterator<Item = &'static str> {
        let groups = CURRENCIES.iter();
        groups.flat_map(|(_, codes)| codes.split_ascii_whitespace())
    }

    /// The unit from its written form: `usd/2`, `credit/0`. `None` if unknown or if the decimals are not its own.
    pub fn parse(text: &str) -> Option<Self> {
        let (code, decimals) = text.split_once('/')?;
        let unit = if code == Self::CREDIT.code {
            Self::CREDIT
        } else {
            Self::currency(code)?
        };
        (decimals.parse() == Ok(unit.decimals)).then_some(unit)
    }

    /// `usd`, `jpy`, `credit`.
    pub const fn code(self) -> &'static str {
        self.code
    }

    /// Digits behind the decimal point in customary notation: 0, 2 or 3.
    pub const fn decimals(self) -> u8 {
        self.decimals
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.code, self.decimals)
    }
}

impl fmt::Debug for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Unit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Unit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("unknown unit {text:?}")))
    }
}

/// A number of smallest steps of a unit. May be negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Amount {
    /// How many smallest steps: cents, yen, credits.
    pub minor: i64,
    /// What is counted.
    pub unit: Unit,
}

/// Arithmetic left the range of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the amount leaves the range of 64 bits")]
pub struct Overflow;

impl Amount {
    /// `minor` smallest steps of `unit`.
    pub const fn new(minor: i64, unit: Unit) -> Self {
        Self { minor, unit }
    }

    /// Whole credits.
    pub const fn credits(credits: i64) -> Self {
        Self::new(credits, Unit::CREDIT)
    }
}

/// Customary notation with the unit behind it: `12.50 USD`, `500 credits`. Integer arithmetic only.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.unit == Unit::CREDIT {
            let noun = if self.minor.unsigned_abs() == 1 {
                "credit"
            } else {
                "credits"
            };
            return write!(f, "{} {noun}", self.minor);
        }
        let code = self.unit.code.to_ascii_uppercase();
        write!(f, "{} {code}", self.to_decimal())
    }
}

/// Why a text is no amount of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Something else than digits, with at most one point between them and a minus before them.
    #[error(
        "must be a number such as 5 or 10.50, without signs of currencies, blanks or exponents"
    )]
    NotANumber,
    /// More digits behind the point than the unit has.
    #[error("must have at most {} digits behind the point in {}", decimals.decimals(), decimals.code())]
    TooPrecise {
        /// The unit.
        decimals: Unit,
    },
    /// More than can be counted.
    #[error("is larger than amounts can be")]
    TooLarge,
}

impl Amount {
    /// The amount that a decimal text says: `10.5` of `usd/2` is 1050 smallest steps. Zeros behind what the unit can hold say
    /// nothing (`5.00` of `jpy/0` is 5); any other digit there is refused, never rounded away.
    pub fn parse_decimal(text: &str, unit: Unit) -> Result<Self, DecimalError> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, part) = match digits.split_once('.') {
            Some((_, "")) => return Err(DecimalError::NotANumber),
            Some((whole, part)) => (whole, part),
            None => (digits, ""),
        };
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_number(whole) || !is_number(part) {
            return Err(DecimalError::NotANumber);
        }
        let part = part.trim_end_matches('0');
        let decimals = usize::from(unit.decimals);
        if part.len() > decimals {
            return Err(DecimalError::TooPrecise { decimals: unit });
        }
        let minor = format!("{whole}{part:0<decimals$}").parse::<i64>();
        let minor = minor.map_err(|_| DecimalError::TooLarge)?;
        Ok(Self::new(if negative { -minor } else { minor }, unit))
    }

    /// The amount as a decimal text with all decimals of its unit and nothing else: `10.50`.
    pub fn to_decimal(self) -> String {
        let decimals = usize::from(self.unit.decimals);
        let step = 10_u64.pow(u32::from(self.unit.decimals));
        let size = self.minor.unsigned_abs();
        let sign = if self.minor < 0 { "-" } else { "" };
        match decimals {
            0 => format!("{sign}{size}"),
            _ => format!("{sign}{}.{:0decimals$}", size / step, size % step),
        }
    }
}

/// What one credit costs: an exact fraction of the smallest step of a currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditPrice {
    /// Smallest steps of the currency …
    pub numerator: i64,
    /// … for this many credits.
    pub denominator: i64,
    /// The currency paid in.
    pub currency: Unit,
}

impl CreditPrice {
    /// A price from a text of digits: `1` (one smallest step a credit), `3/2`, `1/100`. `None` unless both parts are
    /// positive and at most a billion.
    pub fn parse(text: &str, currency: Unit) -> Option<Self> {
        let positive = |digits: &str| {
            let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits
                .parse::<i64>()
                .ok()
                .filter(|n| all_digits && (1..=1_000_000_000).contains(n))
        };
        let (numerator, denominator) = text.split_once('/').unwrap_or((text, "1"));
        Some(Self {
            numerator: positive(numerator)?,
            denominator: positive(denominator)?,
            currency,
        })
    }

    /// How many credits an amount buys; none if it is not a whole number of them.
    pub fn credits_for(&self, paid: Amount) -> Option<i64> {
        let parts = i128::from(paid.minor) * i128::from(self.denominator);
        let numerator = i128::from(self.numerator);
        let is_whole = paid.unit == self.currency && parts.rem_euclid(numerator) == 0;
        i64::try_from(parts.div_euclid(numerator))
            .ok()
            .filter(|_| is_whole)
    }

    /// What `credits` cost, rounded up to the next smallest step, so that nothing is sold below its price.
    pub fn cost_rounded_up(&self, credits: i64) -> Result<Amount, Overflow> {
        let exact = i128::from(credits) * i128::from(self.numerator);
        let denominator = i128::from(self.denominator);
        let steps = exact.div_euclid(denominator) + i128::from(exact.rem_euclid(denominator) != 0);
        let minor = i64::try_from(steps).map_err(|_| Overflow)?;
        Ok(Amount::new(minor, self.currency))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Amount, CreditPrice, Overflow, Unit};

    fn unit(code: &str) -> Unit {
        Unit::currency(code).unwrap()
    }

    #[test]
    fn is_written_with_the_decimals_of_its_unit() {
        assert_eq!(Amount::new(1250, unit("usd")).to_string(), "12.50 USD");
        assert_eq!(Amount::new(-5, unit("usd")).to_string(), "-0.05 USD");
        assert_eq!(Amount::new(500, unit("jpy")).to_string(), "500 JPY");
        assert_eq!(Amount::new(1230, unit("kwd")).to_string(), "1.230 KWD");
        assert_eq!(Amount::credits(1).to_string(), "1 credit");
        assert_eq!(
            Amount::new(i64::MIN, unit("usd")).to_string(),
            "-92233720368547758.08 USD"
        );
    }

    #[test]
    fn knows_units_by_their_written_form_only() {
        assert_eq!(Unit::parse("usd/2"), Some(unit("usd")));
        assert_eq!(Unit::parse("credit/0"), Some(Unit::CREDIT));
        for text in [
            "usd", "usd/3", "USD/2", "xxx/2", "jpy/2", "credit/2", "", "/",
        ] {
            assert_eq!(Unit::parse(text), None, "{text}");
        }
        assert_eq!(Unit::currency("credit"), None);
    }

    #[test]
    fn a_price_rounds_up_and_never_wraps() {
        let price = |text| CreditPrice::parse(text, unit("usd")).unwrap();
        assert_eq!(
            price("1").cost_rounded_up(500),
            Ok(Amount::new(500, unit("usd")))
        );
        assert_eq!(price("1/100").cost_rounded_up(101).unwrap().minor, 2);
        assert_eq!(price("3/2").cost_rounded_up(3).unwrap().minor, 5);
        assert_eq!(price("1000000000").cost_rounded_up(i64::MAX), Err(Overflow));
        for text in [
            "0",
            "1/0",
            "-1",
            "1.5",
            "",
            "1/",
            "+1",
            "1e3",
            "10000000001",
        ] {
            assert!(CreditPrice::parse(text, unit("usd")).is_none(), "{text}");
        }
    }

    #[test]
    fn decimal_texts_are_read_exactly_or_not_at_all() {
        use super::DecimalError::{NotANumber, TooLarge, TooPrecise};
        let read = |text, code| Amount::parse_decimal(text, unit(code)).map(|amount| amount.minor);
        for (text, code, minor) in [
            ("10.5", "usd", 1050),
            ("10.50", "usd", 1050),
            ("10", "usd", 1000),
            ("0.01", "usd", 1),
            ("-0.05", "usd", -5),
            ("500", "jpy", 500),
            ("500.00", "jpy", 500),
            ("1.23", "kwd", 1230),
            ("1.234", "kwd", 1234),
            ("007.10", "usd", 710),
        ] {
            assert_eq!(read(text, code), Ok(minor), "{text} {code}");
        }
        for text in [
            "", ".", "5.", ".5", "1e3", "+5", "1,50", " 5", "5 ", "$5", "--5", "0x5", "٥",
        ] {
            assert_eq!(read(text, "usd"), Err(NotANumber), "{text}");
        }
        for (text, code) in [("0.001", "usd"), ("0.5", "jpy"), ("1.2345", "kwd")] {
            let decimals = unit(code);
            assert_eq!(read(text, code), Err(TooPrecise { decimals }), "{text}");
        }
        assert_eq!(read("92233720368547758.08", "usd"), Err(TooLarge));
    }

    #[test]
    fn money_buys_whole_credits_or_none() {
        let price = |text| CreditPrice::parse(text, unit("usd")).unwrap();
        let usd = |minor| Amount::new(minor, unit("usd"));
        for (text, minor, credits) in [
            ("1", 1050, Some(1050)),
            ("100", 1000, Some(10)),
            ("100", 1050, None),
            ("3/2", 300, Some(200)),
            ("3/2", 301, None),
            ("1/100", 1, Some(100)),
            ("1/1000000000", i64::MAX, None),
        ] {
            assert_eq!(
                price(text).credits_for(usd(minor)),
                credits,
                "{text} {minor}"
            );
        }
        assert_eq!(price("1").credits_for(Amount::new(100, unit("eur"))), None);
    }

    proptest! {
        #[test]
        fn decimal_texts_read_back(minor in -i64::MAX..i64::MAX, which in 0_usize..3) {
            let amount = Amount::new(minor, unit(["jpy", "usd", "kwd"][which]));
            prop_assert_eq!(Amount::parse_decimal(&amount.to_decimal(), amount.unit), Ok(amount));
        }

        #[test]
        fn a_cost_is_the_least_amount_not_below_the_exact_price(
            numerator in 1_i64..1_000_000, denominator in 1_i64..1_000_000, credits in 1_i64..1_000_000_000,
        ) {
            let price = CreditPrice { numerator, denominator, currency: unit("usd") };
            let minor = i128::from(price.cost_rounded_up(credits).unwrap().minor);
            let exact_times_denominator = i128::from(credits) * i128::from(numerator);
            prop_assert!(minor * i128::from(denominator) >= exact_times_denominator);
            prop_assert!((minor - 1) * i128::from(denominator) < exact_times_denominator);
        }
    }
}
