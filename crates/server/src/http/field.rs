//! Fields that several requests about wallets have in common.

use bursar_domain::account::AccountKey;
use bursar_domain::amount::{Amount, Unit};
use bursar_domain::charge::{Charge, Price};
use bursar_domain::grant::AMOUNT_MAX;
use bursar_domain::id::UserId;
use bursar_domain::journal::Remark;
use bursar_domain::limit::Spender;
use bursar_domain::time::Time;
use serde_json::Value;

use super::error::ApiError;
use super::extract::{Input, refuse_card_number, required};

/// The longest name of an API key, a label, an action or a service, in characters.
const NAME_MAX: usize = 100;

/// So many decimal digits of a number come back from its binary form as they were.
const FLOAT_DIGITS: usize = 15;

/// Most labels of one charge.
const LABELS_MAX: usize = 8;

impl Input {
    /// `unit`: `credit`, which is meant where none is given, or the code of a currency.
    pub(super) fn unit(&mut self) -> Result<Unit, ApiError> {
        match self.text("unit", 16)? {
            Some(text) => parse_unit("unit", &text),
            None => Ok(Unit::CREDIT),
        }
    }

    /// `currency`: what is paid in, if it is said.
    pub(super) fn currency(&mut self) -> Result<Option<Unit>, ApiError> {
        let Some(text) = self.text("currency", 16)? else {
            return Ok(None);
        };
        let known = Unit::currency(&text);
        known.map(Some).ok_or_else(|| {
            let message = "must be a currency in lower case, such as `usd`";
            ApiError::invalid("currency", message)
        })
    }

    /// An amount of money as people write it, a number or a text: `10.5`, `"10.50"`. Numbers of more than 15 digits must be texts,
    /// since JSON readers round them.
    pub fn decimal(&mut self, name: &'static str, unit: Unit) -> Result<Option<Amount>, ApiError> {
        let text = match self.take(name) {
            None => return Ok(None),
            Some(Value::String(text)) => text,
            Some(Value::Number(number)) => {
                let text = number.to_string();
                let digits = text.bytes().filter(u8::is_ascii_digit).count();
                if number.is_f64() && digits > FLOAT_DIGITS {
                    let message = "has more digits than a JSON number keeps: write it as a text";
                    return Err(ApiError::invalid(name, message));
                }
                text
            }
            Some(_) => {
                return Err(ApiError::invalid(
                    name,
                    "must be a number, or a text of one",
                ));
            }
        };
        let amount =
            Amount::parse_decimal(&text, unit).map_err(|why| ApiError::invalid(name, why))?;
        Ok(Some(amount))
    }

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

    /// `api_key` and `labels`: whose limits count besides the user's.
    pub(super) fn spender(&mut self) -> Result<Spender, ApiError> {
        let api_key = self.name("api_key")?;
        let mut labels: Vec<String> = Vec::new();
        match self.take("labels") {
            None => {}
            Some(Value::Array(names)) if names.len() <= LABELS_MAX => {
                for name in names {
                    match name {
                        Value::String(name) => labels.push(named("labels", name)?),
                        _ => return Err(invalid_name("labels")),
                    }
                }
            }
            Some(_) => {
                let message = format!("must be a list of at most {LABELS_MAX} names");
                return Err(ApiError::invalid("labels", message));
            }
        }
        // A label given twice is one label, and counts once.
        labels.sort();
        labels.dedup();
        Ok(Spender { api_key, labels })
    }

    /// `credits`, or `action` and `quantity`; none if neither is there.
    pub(super) fn price(&mut self) -> Result<Option<Price>, ApiError> {
        let action = self.name("action")?;
        let quantity = self.integer("quantity", 1, AMOUNT_MAX)?;
        let amount = self.optional_credits(1, AMOUNT_MAX)?;
        match (amount, action, quantity) {
            (Some(amount), None, None) => Ok(Some(Price::Exactly(amount))),
            (None, Some(name), quantity) => Ok(Some(Price::Action {
                name,
                quantity: quantity.unwrap_or(1),
            })),
            (None, None, None) => Ok(None),
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

    /// The fields of a charge and of a hold, without what is said about it.
    pub(super) fn charge(&mut self) -> Result<(Charge, bool), ApiError> {
        let user = required("user_id", self.user("user_id")?)?;
        let unit = self.unit()?;
        let price = self.price()?;
        if unit != Unit::CREDIT && matches!(price, Some(Price::Action { .. })) {
            return Err(ApiError::invalid(
                "unit",
                "must be credit: actions cost credits",
            ));
        }
        let priced = price.is_some();
        let charge = Charge {
            user,
            unit,
            price: price.unwrap_or(Price::Exactly(0)),
            allow_debt: false,
            spender: self.spender()?,
            remark: Remark::default(),
        };
        Ok((charge, priced))
    }

    /// The wallet that `user_id` and `unit` name.
    pub(super) fn wallet(&mut self) -> Result<AccountKey, ApiError> {
        let user: UserId = required("user_id", self.user("user_id")?)?;
        Ok(AccountKey::wallet_in(&user, self.unit()?))
    }
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
    if !is_name(&text) {
        return Err(invalid_name(field));
    }
    refuse_card_number(field, &text)?;
    Ok(text)
}

fn is_name(text: &str) -> bool {
    (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn invalid_name(field: &str) -> ApiError {
    let message = format!("must have 1 to {NAME_MAX} visible ASCII characters and no blanks");
    ApiError::invalid(field, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_read_from_its_text_exactly() {
        let read = |value: &str, code: &str| {
            let body = format!(r#"{{"amount":{value}}}"#);
            let mut input = Input::from_json(body.as_bytes()).unwrap();
            let amount = input.decimal("amount", Unit::currency(code).unwrap());
            amount.map(|amount| amount.map(|amount| amount.minor))
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
            assert_eq!(read(value, code), Ok(Some(minor)), "{value} {code}");
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
        assert_eq!(read("null", "usd"), Ok(None));
    }
}
