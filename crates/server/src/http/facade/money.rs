//! Money as a JSON number of dollars, or of whatever the currency is: `10.50`. Written digit by digit; no number of the program
//! has a point in it.

use bursar_domain::amount::{Amount, Unit};
use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::super::error::ApiError;
use super::super::extract::{Input, required};

/// An amount that is written as a number with all its decimals.
#[derive(Debug, Clone, Copy)]
pub(super) struct Money(pub(super) Amount);

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number = RawValue::from_string(self.0.to_decimal());
        number.map_err(S::Error::custom)?.serialize(serializer)
    }
}

/// A currency as these APIs write it: `USD`.
pub(super) fn code(unit: Unit) -> String {
    unit.code().to_ascii_uppercase()
}

/// `amount` and `currency` of a request; the currency in upper or lower case, the usual one if none is named.
pub(super) fn amount(input: &mut Input, usual: Unit) -> Result<Amount, ApiError> {
    let unit = match input.text("currency", 16)? {
        None => usual,
        Some(text) => Unit::currency(&text.to_ascii_lowercase())
            .ok_or_else(|| ApiError::invalid("currency", "must be a currency, such as USD"))?,
    };
    required("amount", input.decimal("amount", unit)?)
}
