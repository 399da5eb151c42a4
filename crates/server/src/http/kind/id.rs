//! Ids on the wire.

use std::fmt;

use bursar_domain::account::Owner;
use bursar_domain::id::{
    ApiKeyId, CodeId, GrantId, HoldId, LimitId, PaymentId, RefundId, TopupId, TransactionId, UserId,
};
use bursar_domain::refusal::Refusal;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use super::short_name;
use crate::http::error::ApiError;
use crate::http::extract::Input;
use crate::http::form::Field;

/// An id on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) struct Id<T>(pub(in crate::http) T);

/// Something whose text has a shape.
pub(in crate::http) trait Shaped: fmt::Display + 'static {
    /// The regular expression of its text.
    fn pattern() -> String;
}

/// Something that a request can name.
pub(in crate::http) trait Named: Sized + Shaped {
    /// The longest text that is looked at, in characters.
    const TEXT_MAX: usize = 200;

    /// The code that says that there is none of this id.
    const MISSING: &'static [&'static str];

    /// The id written as `text`. A text that is no id of ours names nothing of ours: 404, like any id that does not exist.
    fn named(field: &str, text: &str) -> Result<Self, ApiError>;
}

impl<T: fmt::Display> fmt::Display for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: fmt::Display> Serialize for Id<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<T: Shaped> JsonSchema for Id<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        short_name::<T>()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": T::pattern() })
    }
}

impl<T: Named> Field for Id<T> {
    const REFUSALS: &'static [&'static str] = T::MISSING;

    fn read(input: &mut Input, name: &'static str) -> Result<Option<Self>, ApiError> {
        let Some(text) = input.text(name, T::TEXT_MAX)? else {
            return Ok(None);
        };
        T::named(name, &text).map(|id| Some(Self(id)))
    }
}

impl Named for UserId {
    const TEXT_MAX: usize = 4096;
    const MISSING: &'static [&'static str] = &[];

    fn named(field: &str, text: &str) -> Result<Self, ApiError> {
        Self::parse(text).ok_or_else(|| {
            let message = "must have 1 to 128 characters out of A-Z a-z 0-9 . _ : @ | + = / -";
            ApiError::invalid(field, message)
        })
    }
}

impl Shaped for UserId {
    fn pattern() -> String {
        format!("^[A-Za-z0-9._:@|+=/-]{{1,{}}}$", Self::LENGTH_MAX)
    }
}

/// That of a wallet is a user.
impl Shaped for Owner {
    fn pattern() -> String {
        UserId::pattern()
    }
}

macro_rules! named {
    ($digits:literal: $($name:ty = $refusal:expr, $code:literal;)*) => {$(
        impl Named for $name {
            const MISSING: &'static [&'static str] = &[$code];

            fn named(_: &str, text: &str) -> Result<Self, ApiError> {
                Self::parse(text).ok_or_else(|| ApiError::from($refusal))
            }
        }

        impl Shaped for $name {
            fn pattern() -> String {
                // Crockford's base 32.
                format!("^{}[0-9a-hjkmnp-tv-z]{{{}}}$", Self::PREFIX, $digits)
            }
        }
    )*};
}

named! {
    26:
    TopupId = Refusal::TopupNotFound, "topup_not_found";
    PaymentId = Refusal::PaymentNotFound, "payment_not_found";
    RefundId = Refusal::RefundNotFound, "refund_not_found";
    CodeId = Refusal::CodeNotFound, "code_not_found";
    ApiKeyId = Refusal::ApiKeyNotFound, "api_key_not_found";
}

named! {
    12:
    GrantId = Refusal::GrantNotFound, "grant_not_found";
    HoldId = Refusal::HoldNotFound, "hold_not_found";
    LimitId = Refusal::LimitNotFound, "limit_not_found";
    TransactionId = ApiError::no_transaction(), "transaction_not_found";
}
