//! Money as a JSON number of dollars, or of whatever the currency is: `10.50`. Written digit by digit; no number of the program
//! has a point in it.

use std::borrow::Cow;

use bursar_domain::amount::{Amount, Unit};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::error::ApiError;
use super::super::extract::Input;
use super::super::field::decimal;
use super::super::form::Field;
use super::super::kind::Currency;

/// An amount that is written as a number with all its decimals.
#[derive(Debug, Clone, Copy)]
pub(super) struct Money(pub(super) Amount);

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number = RawValue::from_string(self.0.to_decimal());
        number.map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl JsonSchema for Money {
    fn schema_name() -> Cow<'static, str> {
        "Money".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "description": "In the currency's whole units, with all its decimals." })
    }
}

/// A currency as these APIs write it: `USD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BigCurrency(pub(super) Unit);

impl Serialize for BigCurrency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.code().to_ascii_uppercase())
    }
}

impl JsonSchema for BigCurrency {
    fn schema_name() -> Cow<'static, str> {
        "FacadeCurrency".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut codes: Vec<String> = Unit::currencies().map(str::to_ascii_uppercase).collect();
        codes.sort_unstable();
        json_schema!({ "type": "string", "description": "A currency, such as `USD`.", "enum": codes })
    }
}

/// A currency as these APIs read it, in upper or lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AnyCurrency(pub(super) Unit);

impl JsonSchema for AnyCurrency {
    fn schema_name() -> Cow<'static, str> {
        "AnyCurrency".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let big = generator.subschema_for::<BigCurrency>();
        let small = generator.subschema_for::<Currency>();
        json_schema!({ "anyOf": [big, small] })
    }
}

impl Field for AnyCurrency {
    fn read(input: &mut Input, name: &'static str) -> Result<Option<Self>, ApiError> {
        let Some(text) = input.text(name, 16)? else {
            return Ok(None);
        };
        let known = Unit::currency(&text.to_ascii_lowercase()).map(|unit| Some(Self(unit)));
        known.ok_or_else(|| ApiError::invalid(name, "must be a currency, such as USD"))
    }
}

/// An amount of money as people write it, a number or a text: `10.5`, `"10.50"`. What it is in says how many digits it may have.
#[derive(Debug)]
pub(super) struct Decimal(Value);

impl JsonSchema for Decimal {
    fn schema_name() -> Cow<'static, str> {
        "Decimal".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "number", "minimum": 0 },
            { "type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$" },
        ] })
    }
}

impl Field for Decimal {
    fn read(input: &mut Input, name: &'static str) -> Result<Option<Self>, ApiError> {
        Ok(input.take(name).map(Self))
    }
}

impl Decimal {
    /// The amount in this unit.
    pub(super) fn of(self, name: &str, unit: Unit) -> Result<Amount, ApiError> {
        decimal(name, self.0, unit)
    }
}
