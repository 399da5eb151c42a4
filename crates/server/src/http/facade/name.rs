//! What addresses of these APIs name.

use std::fmt;

use bursar_domain::refusal::Refusal;

use super::super::error::ApiError;
use super::super::json::NUL;
use super::super::kind::{Named, Shaped};

/// An object of Stripe's, by Stripe's name for it. Any text that can be stored may be one.
#[derive(Debug)]
pub(super) struct OfStripe(pub(super) String);

impl fmt::Display for OfStripe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Shaped for OfStripe {
    fn pattern() -> String {
        "^[A-Za-z0-9_]+$".to_owned()
    }
}

impl Named for OfStripe {
    const MISSING: &'static [&'static str] = &["payment_not_found"];

    fn named(_: &str, text: &str) -> Result<Self, ApiError> {
        if text.contains(NUL) {
            return Err(Refusal::PaymentNotFound.into());
        }
        Ok(Self(text.to_owned()))
    }
}

/// A payment, by its number.
#[derive(Debug)]
pub(super) struct Number(pub(super) i64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Shaped for Number {
    fn pattern() -> String {
        "^[0-9]{1,19}$".to_owned()
    }
}

impl Named for Number {
    const MISSING: &'static [&'static str] = &["payment_not_found"];

    fn named(_: &str, text: &str) -> Result<Self, ApiError> {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| is_number);
        number
            .map(Self)
            .ok_or_else(|| Refusal::PaymentNotFound.into())
    }
}
