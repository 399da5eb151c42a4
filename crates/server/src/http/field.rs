//! Fields that several requests about wallets have in common.

use std::borrow::Cow;

use bursar_domain::amount::{Amount, Unit};
use bursar_domain::charge::{Charge, Price};
use bursar_domain::grant::AMOUNT_MAX;
use bursar_domain::id::UserId;
use bursar_domain::journal::Remark;
use bursar_domain::limit::Spender;
use bursar_domain::text::{self, Flaw, LABELS_MAX, META_MAX, NAME_MAX, NOTE_MAX, REFERENCE_MAX};
use bursar_domain::time::Time;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use super::error::ApiError;
use super::extract::Input;
use super::form::{Field, Fields, Form, Part, form};
use super::kind::{Code, Id, Meta, Name, Text, Whole};

/// So many decimal digits of a number come back from its binary form as they were.
const FLOAT_DIGITS: usize = 15;

impl Input {
    /// A moment in RFC 3339, if there is one.
    pub(super) fn time(&mut self, name: &'static str) -> Result<Option<Time>, ApiError> {
        let Some(text) = self.text(name, 64)? else {
            return Ok(None);
        };
        // The parser takes more than RFC 3339: years before 0000 and behind 9999, with a sign, and names of time zones.
        let is_plain = text.bytes().enumerate().all(|(place, byte)| {
            byte.is_ascii_digit() || (place > 0 && b"-+:.TtZz ".contains(&byte))
        });
        match text.parse::<jiff::Timestamp>() {
            Ok(timestamp) if is_plain => Ok(Some(Time(timestamp.as_microsecond()))),
            _ => Err(ApiError::invalid(
                name,
                "must be a time in RFC 3339, such as 2027-01-31T00:00:00Z, and not after 9999-12-30T22:00:00Z",
            )),
        }
    }

    /// A name that ends up in words for programs: visible ASCII characters.
    pub(super) fn name(&mut self, field: &'static str) -> Result<Option<String>, ApiError> {
        match self.text(field, NAME_MAX)? {
            Some(text) => named(field, text).map(Some),
            None => Ok(None),
        }
    }
}

/// `unit`: `credit`, which is meant where none is given, or the code of a currency.
impl Part for Unit {
    fn take(input: &mut Input, name: &'static str) -> Result<Self, ApiError> {
        let given = Code::read(input, name)?;
        Ok(given.map_or(Self::CREDIT, |Code(unit)| unit))
    }

    fn describe(name: &'static str, _: &str, fields: &mut Fields<'_>) {
        fields.optional::<Code>(name, "What amounts count; `credit` without it.");
    }
}

/// How many credits: `amount` and `credits` are the same field, and may both be given if they agree.
#[derive(Debug, Clone, Copy)]
pub(super) struct Credits<const LEAST: i64>(pub(super) i64);

impl<const LEAST: i64> Credits<LEAST> {
    /// The same, if the operator's limits allow so many.
    pub(super) fn within(self, least: i64, most: i64) -> Result<Self, ApiError> {
        if (least..=most).contains(&self.0) {
            return Ok(self);
        }
        let message = format!("must be a whole number from {least} to {most}");
        Err(ApiError::invalid("amount", message))
    }
}

impl<const LEAST: i64> Part for Credits<LEAST> {
    fn take(input: &mut Input, _: &'static str) -> Result<Self, ApiError> {
        input.credits(LEAST, AMOUNT_MAX).map(Self)
    }

    fn describe(name: &'static str, about: &str, fields: &mut Fields<'_>) {
        Option::<Self>::describe(name, about, fields);
        fields.one_of(&["amount", "credits"]);
    }
}

impl<const LEAST: i64> Part for Option<Credits<LEAST>> {
    fn take(input: &mut Input, _: &'static str) -> Result<Self, ApiError> {
        let credits = input.optional_credits(LEAST, AMOUNT_MAX)?;
        Ok(credits.map(Credits))
    }

    fn describe(_: &'static str, about: &str, fields: &mut Fields<'_>) {
        fields.optional::<Whole<LEAST, AMOUNT_MAX>>("credits", about);
        fields.optional::<Whole<LEAST, AMOUNT_MAX>>("amount", "Another name of `credits`.");
    }
}

/// `note`, `ref` and `meta`: what is said about a movement.
impl Part for Remark {
    fn take(input: &mut Input, _: &'static str) -> Result<Self, ApiError> {
        input.remark()
    }

    fn describe(_: &'static str, _: &str, fields: &mut Fields<'_>) {
        fields.optional::<Text<NOTE_MAX>>("note", "Kept with it, for people.");
        fields.optional::<Text<REFERENCE_MAX>>("ref", "Kept with it: your own reference.");
        Metadata::describe("meta", "", fields);
    }
}

/// `meta`, or `metadata`: any JSON object of bounded size, as text.
#[derive(Debug)]
pub(super) struct Metadata(pub(super) String);

impl Part for Metadata {
    fn take(input: &mut Input, _: &'static str) -> Result<Self, ApiError> {
        input.meta().map(Self)
    }

    fn describe(_: &'static str, _: &str, fields: &mut Fields<'_>) {
        let about = format!("Kept with it, at most {META_MAX} bytes, and never interpreted.");
        fields.optional::<Meta>("meta", &about);
        fields.optional::<Meta>("metadata", "Another name of `meta`.");
        fields.refusals(&["card_number_refused"]);
    }
}

/// A list of up to [`LABELS_MAX`] names.
#[derive(Debug)]
struct Labels(Vec<String>);

impl JsonSchema for Labels {
    fn schema_name() -> Cow<'static, str> {
        "Labels".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let name = generator.subschema_for::<Name>();
        json_schema!({ "type": "array", "items": name, "maxItems": LABELS_MAX })
    }
}

impl Field for Labels {
    const REFUSALS: &'static [&'static str] = Name::REFUSALS;

    fn read(input: &mut Input, name: &'static str) -> Result<Option<Self>, ApiError> {
        let names = match input.take(name) {
            None => return Ok(None),
            Some(Value::Array(names)) if names.len() <= LABELS_MAX => names,
            Some(_) => {
                let message = format!("must be a list of at most {LABELS_MAX} names");
                return Err(ApiError::invalid(name, message));
            }
        };
        let labels = names.into_iter().map(|label| match label {
            Value::String(label) => named(name, label),
            _ => Err(ApiError::flawed(name, Flaw::NoName)),
        });
        Ok(Some(Self(labels.collect::<Result<_, _>>()?)))
    }
}

form! {
    /// Whose limits count besides the user's.
    struct SpenderFields {
        /// Your own name of the API key that was used; its limits count, too.
        api_key: Option<Name>,
        /// Teams, projects and the like; their limits count, too.
        labels: Option<Labels>,
    }
}

/// `credits`, or `action` and `quantity`; none if neither is there.
#[derive(Debug)]
struct Priced(Option<Price>);

impl Part for Priced {
    fn take(input: &mut Input, _: &'static str) -> Result<Self, ApiError> {
        let action = input.name("action")?;
        let quantity = input.integer("quantity", 1, AMOUNT_MAX)?;
        let amount = input.optional_credits(1, AMOUNT_MAX)?;
        match (amount, action, quantity) {
            (Some(amount), None, None) => Ok(Self(Some(Price::Exactly(amount)))),
            (None, Some(name), quantity) => Ok(Self(Some(Price::Action {
                name,
                quantity: quantity.unwrap_or(1),
            }))),
            (None, None, None) => Ok(Self(None)),
            (None, None, Some(_)) => Err(ApiError::missing("action")),
            (Some(_), None, Some(_)) => Err(ApiError::invalid(
                "quantity",
                "goes with `action`: leave it out where `credits` says how much",
            )),
            (Some(_), Some(_), _) => Err(ApiError::invalid(
                "action",
                "has a price of its own: give it, or `credits`",
            )),
        }
    }

    fn describe(_: &'static str, _: &str, fields: &mut Fields<'_>) {
        Option::<Credits<1>>::describe(
            "credits",
            "How much, in smallest steps of the unit.",
            fields,
        );
        fields.optional::<Name>(
            "action",
            "An action with a configured price, instead of `credits`.",
        );
        fields.optional::<Whole<1, AMOUNT_MAX>>(
            "quantity",
            "How often, with `action`; once without it.",
        );
        fields.not_both("action", "credits");
        fields.not_both("action", "amount");
        fields.needs("quantity", "action");
        fields.refusals(&["action_unknown", "card_number_refused"]);
    }
}

form! {
    /// The fields of a charge and of a hold, without what is said about it.
    pub(super) struct ChargeFields {
        /// Whose wallet.
        user_id: Id<UserId>,
        unit: Unit,
        price: Priced,
        spender: SpenderFields,
    }
}

/// A charge, and whether it has a price.
#[derive(Debug)]
pub(super) struct PerhapsPriced(pub(super) Charge, pub(super) bool);

impl Part for PerhapsPriced {
    fn take(input: &mut Input, _: &'static str) -> Result<Self, ApiError> {
        let fields = ChargeFields::read(input)?;
        let Priced(price) = fields.price;
        if let Some(price) = &price {
            let unit = price.check_unit(fields.unit);
            unit.map_err(|rule| ApiError::invalid("unit", rule))?;
        }
        let priced = price.is_some();
        let charge = Charge {
            user: fields.user_id.0,
            unit: fields.unit,
            price: price.unwrap_or(Price::Exactly(0)),
            allow_debt: false,
            spender: Spender::of(
                fields.spender.api_key.map(|name| name.0),
                fields.spender.labels.map_or(vec![], |labels| labels.0),
            ),
            remark: Remark::default(),
        };
        Ok(Self(charge, priced))
    }

    fn describe(_: &'static str, _: &str, fields: &mut Fields<'_>) {
        <ChargeFields as Form>::describe(fields);
    }
}

impl Part for Charge {
    fn take(input: &mut Input, name: &'static str) -> Result<Self, ApiError> {
        match PerhapsPriced::take(input, name)? {
            PerhapsPriced(charge, true) => Ok(charge),
            PerhapsPriced(_, false) => Err(ApiError::missing("credits")),
        }
    }

    fn describe(name: &'static str, about: &str, fields: &mut Fields<'_>) {
        PerhapsPriced::describe(name, about, fields);
        fields.one_of(&["credits", "amount", "action"]);
    }
}

/// An amount of money as people write it, a number or a text: `10.5`, `"10.50"`. Numbers of more than 15 digits must be texts, since
/// JSON readers round them.
pub(super) fn decimal(name: &str, value: Value, unit: Unit) -> Result<Amount, ApiError> {
    let text = match value {
        Value::String(text) => text,
        Value::Number(number) => {
            let text = number.to_string();
            let digits = text.bytes().filter(u8::is_ascii_digit).count();
            if number.is_f64() && digits > FLOAT_DIGITS {
                let message = "has more digits than a JSON number keeps: write it as a text";
                return Err(ApiError::invalid(name, message));
            }
            text
        }
        _ => {
            return Err(ApiError::invalid(
                name,
                "must be a number, or a text of one",
            ));
        }
    };
    Amount::parse_decimal(&text, unit).map_err(|why| ApiError::invalid(name, why))
}

/// A unit by the name it has on the wire.
pub(super) fn parse_unit(field: &str, text: &str) -> Result<Unit, ApiError> {
    if text == Unit::CREDIT.code() {
        return Ok(Unit::CREDIT);
    }
    Unit::currency(text).ok_or_else(|| {
        ApiError::invalid(
            field,
            "must be `credit`, or a currency in lower case, such as `usd`",
        )
    })
}

/// A name that may be kept.
fn named(field: &str, text: String) -> Result<String, ApiError> {
    match text::check_name(&text) {
        Ok(()) => Ok(text),
        Err(flaw) => Err(ApiError::flawed(field, flaw)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_read_from_its_text_exactly() {
        let read = |value: &str, code: &str| {
            let value = serde_json::from_str(value).unwrap();
            let amount = decimal("amount", value, Unit::currency(code).unwrap());
            amount.map(|amount| amount.minor)
        };
        for (value, code, minor) in [
            ("10.5", "usd", 1050),
            ("10", "usd", 1000),
            ("10.0", "jpy", 10),
            (r#""10.50""#, "usd", 1050),
            ("0.29", "usd", 29),
            ("1.15", "usd", 115),
            ("9999999999999.99", "usd", 999_999_999_999_999),
            (r#""90071992547409.93""#, "usd", 9_007_199_254_740_993),
            ("1.234", "kwd", 1234),
        ] {
            assert_eq!(read(value, code), Ok(minor), "{value} {code}");
        }
        for (value, code) in [
            ("10.555", "usd"),
            ("0.30000000000000004", "usd"),
            ("10.5", "jpy"),
            ("90071992547409.93", "usd"),
            ("1e30", "usd"),
            ("true", "usd"),
            (r#""1,5""#, "usd"),
        ] {
            let error = read(value, code).unwrap_err();
            assert_eq!(error.param.as_deref(), Some("amount"), "{value} {code}");
        }
    }
}
