//! Kinds of values: each is read, written and described in one way wherever it occurs.

mod id;

use std::borrow::Cow;
use std::fmt;

use bursar_domain::account::AccountKind;
use bursar_domain::amount::Unit;
use bursar_domain::auto_topup::Stop;
use bursar_domain::dispute::DisputeStatus;
use bursar_domain::event::EventStatus;
use bursar_domain::grant::{Category, Source};
use bursar_domain::hold::{HoldStatus, Overage};
use bursar_domain::journal::Reason;
use bursar_domain::limit::Period;
use bursar_domain::payment::{Flow, PaymentStatus};
use bursar_domain::perk::{PerkKind, PerkStatus};
use bursar_domain::referral::ReferralStatus;
use bursar_domain::refund::RefundStatus;
use bursar_domain::refusal::Refusal;
use bursar_domain::text::NAME_MAX;
use bursar_domain::time::Time;
use bursar_domain::topup::TopupStatus;
use bursar_domain::usage::UsageStatus;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::error::ApiError;
use super::extract::Input;
use super::form::Field;
use super::json;

pub(super) use id::{Id, Named, Shaped};

/// Gives a type a schema that is written out wherever it is used.
macro_rules! schema {
    ([$($generic:tt)*] $name:ty: $text:expr, $($schema:tt)+) => {
        impl<$($generic)*> JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                $text.into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($($schema)+)
            }
        }
    };
}

/// A moment: RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment(pub(super) Time);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

schema!([] Moment: "Moment", { "type": "string", "format": "date-time" });

impl Field for Moment {
    fn read(input: &mut Input, name: &'static str) -> Result<Option<Self>, ApiError> {
        Ok(input.time(name)?.map(Self))
    }
}

/// A whole number from `LEAST` to `MOST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Whole<const LEAST: i64, const MOST: i64>(pub(super) i64);

schema!([const LEAST: i64, const MOST: i64] Whole<LEAST, MOST>: format!("Whole{LEAST}To{MOST}"), {
    "type": "integer", "format": "int64", "minimum": LEAST, "maximum": MOST,
});

impl<const LEAST: i64, const MOST: i64> Field for Whole<LEAST, MOST> {
    fn read(input: &mut Input, name: &'static str) -> Result<Option<Self>, ApiError> {
        Ok(input.integer(name, LEAST, MOST)?.map(Self))
    }
}

/// A text without control characters, of at most `LENGTH` characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text<const LENGTH: usize>(pub(super) String);

/// What [`Text`] may consist of, as a regular expression.
const PLAIN: &str = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$";

schema!([const LENGTH: usize] Text<LENGTH>: format!("Text{LENGTH}"), {
    "type": "string", "maxLength": LENGTH, "pattern": PLAIN,
});

impl<const LENGTH: usize> Field for Text<LENGTH> {
    fn read(input: &mut Input, name: &'static str) -> Result<Option<Self>, ApiError> {
        Ok(input.text(name, LENGTH)?.map(Self))
    }
}

/// A [`Text`] that is kept, and so must hold no card number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note<const LENGTH: usize>(pub(super) String);

schema!([const LENGTH: usize] Note<LENGTH>: format!("Note{LENGTH}"), {
    "type": "string", "maxLength": LENGTH, "pattern": PLAIN,
});

impl<const LENGTH: usize> Field for Note<LENGTH> {
    const REFUSALS: &'static [&'static str] = &["card_number_refused"];

    fn read(input: &mut Input, name: &'static str) -> Result<Option<Self>, ApiError> {
        let text = input.text(name, LENGTH)?;
        if let Some(text) = &text {
            super::extract::refuse_card_number(name, text)?;
        }
        Ok(text.map(Self))
    }
}

/// A name that ends up in words for programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name(pub(super) String);

schema!([] Name: "Name", { "type": "string", "pattern": format!(r"^[\x21-\x7e]{{1,{NAME_MAX}}}$") });

impl Field for Name {
    const REFUSALS: &'static [&'static str] = &["card_number_refused"];

    fn read(input: &mut Input, name: &'static str) -> Result<Option<Self>, ApiError> {
        Ok(input.name(name)?.map(Self))
    }
}

impl Field for bool {
    fn read(input: &mut Input, name: &'static str) -> Result<Option<Self>, ApiError> {
        input.boolean(name)
    }
}

/// The codes of all currencies, in their order.
fn currencies() -> Vec<&'static str> {
    let mut codes: Vec<&str> = Unit::currencies().collect();
    codes.sort_unstable();
    codes
}

/// The code of a unit, as it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code(pub(super) Unit);

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.code())
    }
}

impl JsonSchema for Code {
    fn schema_name() -> Cow<'static, str> {
        "Unit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut codes = currencies();
        codes.insert(0, Unit::CREDIT.code());
        json_schema!({
            "type": "string",
            "description": "What amounts count: credits, or the smallest step of a currency (cents for `usd`).",
            "enum": codes,
        })
    }
}

impl Field for Code {
    fn read(input: &mut Input, name: &'static str) -> Result<Option<Self>, ApiError> {
        let text = input.text(name, 16)?;
        let unit = text.map(|text| super::field::parse_unit(name, &text));
        Ok(unit.transpose()?.map(Self))
    }
}

/// A currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Currency(pub(super) Unit);

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.code())
    }
}

impl JsonSchema for Currency {
    fn schema_name() -> Cow<'static, str> {
        "Currency".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A currency, in lower case. Amounts of it count its smallest step (cents for `usd`).",
            "enum": currencies(),
        })
    }
}

impl Field for Currency {
    fn read(input: &mut Input, name: &'static str) -> Result<Option<Self>, ApiError> {
        let Some(text) = input.text(name, 16)? else {
            return Ok(None);
        };
        let known = Unit::currency(&text).map(|unit| Some(Self(unit)));
        known.ok_or_else(|| {
            ApiError::invalid(name, "must be a currency in lower case, such as `usd`")
        })
    }
}

/// What is kept as text and shown as the JSON object it was: `meta`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Meta(pub(super) String);

impl Serialize for Meta {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json::stored(&self.0).serialize(serializer)
    }
}

schema!([] Meta: "Meta", { "type": "object" });

/// The name of a type without its path.
fn short_name<T>() -> Cow<'static, str> {
    let name = std::any::type_name::<T>();
    name.rsplit("::").next().unwrap_or(name).into()
}

/// One of the words that the domain has for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word<T>(pub(super) T);

/// Something that stands for one of a few words.
pub(super) trait Words: Copy + 'static {
    /// All of them.
    fn all() -> &'static [Self];

    /// As it is written.
    fn word(self) -> &'static str;
}

macro_rules! words {
    ($($name:ty),* $(,)?) => {$(
        impl Words for $name {
            fn all() -> &'static [Self] {
                &Self::ALL[..]
            }

            fn word(self) -> &'static str {
                self.as_str()
            }
        }
    )*};
}

words!(
    AccountKind,
    Category,
    DisputeStatus,
    EventStatus,
    Flow,
    HoldStatus,
    Overage,
    PaymentStatus,
    Period,
    PerkKind,
    PerkStatus,
    ReferralStatus,
    Reason,
    RefundStatus,
    Source,
    Stop,
    TopupStatus,
    UsageStatus,
);

impl<T: Words> fmt::Display for Word<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.word())
    }
}

impl<T: Words> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.word())
    }
}

impl<T: Words> JsonSchema for Word<T> {
    fn schema_name() -> Cow<'static, str> {
        short_name::<T>()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<&str> = T::all().iter().map(|it| it.word()).collect();
        json_schema!({ "type": "string", "enum": words })
    }
}

impl<T: Words> Field for Word<T> {
    fn read(input: &mut Input, name: &'static str) -> Result<Option<Self>, ApiError> {
        Ok(input.word(name, T::all(), T::word)?.map(Self))
    }
}

/// Makes a type a field that takes some of the words of a domain type.
macro_rules! choice {
    ($name:ident, $words:expr) => {
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let words: Vec<&str> = $words.iter().map(|(word, _)| *word).collect();
                schemars::json_schema!({ "type": "string", "enum": words })
            }
        }

        impl $crate::http::form::Field for $name {
            fn read(
                input: &mut $crate::http::extract::Input,
                name: &'static str,
            ) -> Result<Option<Self>, $crate::http::error::ApiError> {
                Ok(input.choice(name, $words)?.map(Self))
            }
        }
    };
}
pub(super) use choice;

/// An error inside an answer, in the shape of all errors; it is no answer of its own, and so has no request.
#[derive(Debug, Serialize)]
pub(super) struct Refused(Value);

impl Refused {
    pub(super) fn of(refusal: &Refusal) -> Self {
        Self(ApiError::from(refusal.clone()).object(None))
    }
}

impl JsonSchema for Refused {
    fn schema_name() -> Cow<'static, str> {
        "Refused".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        super::openapi::error::object(generator)
    }
}
