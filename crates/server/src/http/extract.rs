//! What a client sends: JSON bodies and query strings, read strictly and field by field.
//!
//! Everything a request carries has to be asked for: what is left over is an error that names it, so that a misspelt field is
//! never ignored. Numbers are whole numbers; `"5"`, `5.0` and `5e0` are none.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::FromRequestParts;
use bursar_domain::journal::Remark;
use bursar_domain::text::{self, META_MAX, NOTE_MAX, REFERENCE_MAX};
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use super::error::ApiError;
use super::form::Form;
use super::json;

/// The fields of a request, taken out one by one.
#[derive(Debug)]
pub struct Input {
    fields: Map<String, Value>,
    known: Vec<&'static str>,
    /// Every value is a text: that of a query.
    textual: bool,
}

impl Input {
    /// An object inside another one.
    pub(super) fn of(fields: Map<String, Value>) -> Self {
        Self {
            fields,
            known: Vec::with_capacity(16),
            textual: false,
        }
    }

    /// Reads a JSON object. An empty body counts as one without fields.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ApiError> {
        let fields = if bytes.is_empty() {
            Map::new()
        } else {
            json::object(bytes)?
        };
        Ok(Self::of(fields))
    }

    /// Reads a query string. Each name may occur once.
    pub fn from_query(query: &str) -> Result<Self, ApiError> {
        let mut fields = Map::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (unescape(name)?, unescape(value)?);
            if fields.contains_key(&name) {
                return Err(ApiError::invalid(&shown(&name), "is given twice"));
            }
            fields.insert(name, Value::String(value));
        }
        Ok(Self {
            textual: true,
            ..Self::of(fields)
        })
    }

    /// The fields as canonical text: two bodies that mean the same have the same one, whatever their spacing and order.
    pub fn canonical(&self) -> Vec<u8> {
        json::canonical(&self.fields)
    }

    /// The value of a field, if it is there; `null` is a value here.
    pub(super) fn take_given(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.fields.shift_remove(name)
    }

    /// The value of a field, if it is given.
    pub(super) fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        // Clients write `null` for "not given".
        self.fields
            .shift_remove(name)
            .filter(|value| !value.is_null())
    }

    /// A whole number of the given range, if there is one.
    pub fn integer(
        &mut self,
        name: &'static str,
        least: i64,
        most: i64,
    ) -> Result<Option<i64>, ApiError> {
        if self.textual {
            return self.integer_text(name, least, most);
        }
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        match value.as_i64() {
            Some(number) if (least..=most).contains(&number) => Ok(Some(number)),
            _ => Err(ApiError::invalid(
                name,
                format!("must be a whole number from {least} to {most}"),
            )),
        }
    }

    /// How many credits: `amount` and `credits` are the same field, and may both be given if they agree.
    pub fn credits(&mut self, least: i64, most: i64) -> Result<i64, ApiError> {
        self.optional_credits(least, most)?
            .ok_or_else(|| ApiError::missing("amount"))
    }

    /// The same where it may be left out.
    pub fn optional_credits(&mut self, least: i64, most: i64) -> Result<Option<i64>, ApiError> {
        let amount = self.integer("amount", least, most)?;
        let credits = self.integer("credits", least, most)?;
        match (amount, credits) {
            (Some(amount), Some(credits)) if amount != credits => Err(ApiError::invalid(
                "credits",
                "is the same field as `amount`; they must not differ",
            )),
            (amount, credits) => Ok(amount.or(credits)),
        }
    }

    /// The same where everything is text.
    fn integer_text(
        &mut self,
        name: &'static str,
        least: i64,
        most: i64,
    ) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.text(name, 20)? else {
            return Ok(None);
        };
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if digits && (least..=most).contains(&number) => Ok(Some(number)),
            _ => Err(ApiError::invalid(
                name,
                format!("must be a whole number from {least} to {most}"),
            )),
        }
    }

    /// A text of at most `length` characters, without control characters, if there is one.
    pub fn text(&mut self, name: &'static str, length: usize) -> Result<Option<String>, ApiError> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let Value::String(text) = value else {
            return Err(ApiError::invalid(name, "must be a text"));
        };
        match text::check(&text, length) {
            Ok(()) => Ok(Some(text)),
            Err(flaw) => Err(ApiError::flawed(name, flaw)),
        }
    }

    /// One of a set of words, if there is one.
    pub fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        words: &[(&str, T)],
    ) -> Result<Option<T>, ApiError> {
        let Some(text) = self.text(name, 64)? else {
            return Ok(None);
        };
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, choice)| Some(*choice)).ok_or_else(|| {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            ApiError::invalid(name, format!("must be one of: {}", words.join(", ")))
        })
    }

    /// One of the words that the domain has for something, if there is one.
    pub(super) fn word<T: Copy>(
        &mut self,
        name: &'static str,
        all: &[T],
        written: fn(T) -> &'static str,
    ) -> Result<Option<T>, ApiError> {
        let words: Vec<(&str, T)> = all.iter().map(|it| (written(*it), *it)).collect();
        self.choice(name, &words)
    }

    /// Yes or no, if it is said.
    pub fn boolean(&mut self, name: &'static str) -> Result<Option<bool>, ApiError> {
        if self.textual {
            return self.choice(name, &[("true", true), ("false", false)]);
        }
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(_) => Err(ApiError::invalid(name, "must be true or false")),
        }
    }

    /// `note`, `ref` and `meta` (or `metadata`): what is said about a movement.
    pub fn remark(&mut self) -> Result<Remark, ApiError> {
        let remark = Remark {
            note: self.text("note", NOTE_MAX)?.unwrap_or_default(),
            reference: self.text("ref", REFERENCE_MAX)?.unwrap_or_default(),
            meta: self.meta()?,
        };
        refuse_card_number("note", &remark.note)?;
        refuse_card_number("ref", &remark.reference)?;
        Ok(remark)
    }

    /// `meta`: any JSON object of up to [`META_MAX`] bytes. Kept as text, never interpreted.
    pub(super) fn meta(&mut self) -> Result<String, ApiError> {
        let (meta, metadata) = (self.take("meta"), self.take("metadata"));
        if meta.is_some() && metadata.is_some() {
            let message = "is the same field as `meta`; give one of them";
            return Err(ApiError::invalid("metadata", message));
        }
        let Some(value) = meta.or(metadata) else {
            return Ok(String::new());
        };
        let text = value.to_string();
        if !value.is_object() || text.len() > META_MAX {
            return Err(ApiError::invalid(
                "meta",
                format!("must be an object of at most {META_MAX} bytes"),
            ));
        }
        refuse_card_number("meta", &text)?;
        Ok(text)
    }

    /// Reads a form and nothing else.
    pub(super) fn read<F: Form>(mut self) -> Result<F, ApiError> {
        let form = F::read(&mut self)?;
        self.finish()?;
        Ok(form)
    }

    /// Checks that nothing is left that was not asked for.
    pub fn finish(self) -> Result<(), ApiError> {
        match self.fields.keys().next() {
            None => Ok(()),
            Some(name) => Err(ApiError::unknown(&shown(name), &self.known)),
        }
    }
}

pub(super) fn refuse_card_number(name: &str, said: &str) -> Result<(), ApiError> {
    text::check_no_card(said).map_err(|flaw| ApiError::flawed(name, flaw))
}

/// A missing field, once it turns out to be needed.
pub fn required<T>(name: &str, value: Option<T>) -> Result<T, ApiError> {
    value.ok_or_else(|| ApiError::missing(name))
}

/// The query string of a `GET`.
#[derive(Debug)]
pub(super) struct Query<F>(pub(super) F);

impl<S: Send + Sync, F: Form> FromRequestParts<S> for Query<F> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let query = parts.uri.query().unwrap_or_default();
        Input::from_query(query)?.read().map(Self)
    }
}

/// The largest JSON body, in bytes. No request of this API needs more.
pub const BODY_MAX: usize = 64 * 1024;

/// How long a body may take to arrive; a larger one than [`BODY_MAX`] gets a second more for each further so many bytes.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Memory for bodies that may be larger than [`BODY_MAX`], while they arrive: so many MiB in the whole process. The others wait.
static LARGE_BODIES: Semaphore = Semaphore::const_new(64);

/// Reads a whole body of bounded size in bounded time. One that announces too much is refused before it is read.
pub async fn read_body(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
) -> Result<Bytes, ApiError> {
    let too_large = || {
        let message = format!("the body has more than {bytes_max} bytes");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    };
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    let expected: usize = announced.unwrap_or(bytes_max);
    if expected > bytes_max {
        return Err(too_large());
    }
    let time = BODY_TIME + Duration::from_secs((expected / BODY_MAX) as u64);
    let limited = http_body_util::Limited::new(body, bytes_max);
    let collect = async {
        let _room = if expected > BODY_MAX {
            let mebibytes = u32::try_from(expected.div_ceil(1 << 20)).unwrap_or(u32::MAX);
            LARGE_BODIES.acquire_many(mebibytes).await.ok()
        } else {
            None
        };
        http_body_util::BodyExt::collect(limited).await
    };
    match tokio::time::timeout(time, collect).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "body_incomplete",
            "the body broke off",
        )),
        Err(_) => {
            let message = format!("the body did not arrive within {} seconds", time.as_secs());
            let error = ApiError::new(StatusCode::REQUEST_TIMEOUT, "body_slow", message);
            Err(error)
        }
    }
}

/// As much of a name as is worth repeating to its sender.
fn shown(name: &str) -> String {
    name.chars().take(64).collect()
}

fn unescape(text: &str) -> Result<String, ApiError> {
    let spaced = text.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&spaced).decode_utf8();
    let malformed = |why| ApiError::new(StatusCode::BAD_REQUEST, "query_malformed", why);
    let decoded = decoded.map_err(|_| malformed("the query string is not valid UTF-8"))?;
    if decoded.contains(json::NUL) {
        return Err(malformed("the query string has the character U+0000"));
    }
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Input {
        Input::from_json(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_query_has_no_nul() {
        for query in ["a=%00", "a%00=1", "a=b%00c"] {
            let error = Input::from_query(query).unwrap_err();
            assert_eq!(error.code, "query_malformed", "{query}");
        }
        assert!(Input::from_query("a=%2500").is_ok());
    }

    #[test]
    fn only_whole_numbers_in_range_are_numbers() {
        assert_eq!(
            json(r#"{"amount":500}"#)
                .integer("amount", 1, 1000)
                .unwrap(),
            Some(500)
        );
        assert_eq!(
            json(r#"{"amount":null}"#)
                .integer("amount", 1, 1000)
                .unwrap(),
            None
        );
        for bad in [
            "0",
            "-1",
            "1001",
            "5.0",
            "5e0",
            "1e3",
            "\"5\"",
            "true",
            "[]",
            "{}",
            "9223372036854775808",
        ] {
            let error = json(&format!(r#"{{"amount":{bad}}}"#))
                .integer("amount", 1, 1000)
                .unwrap_err();
            assert_eq!(error.param.as_deref(), Some("amount"), "{bad}");
            assert!(error.message.contains("from 1 to 1000"), "{bad}");
        }
    }

    #[test]
    fn numbers_in_a_query_are_digits_only() {
        let read = |text: &str| Input::from_query(text).unwrap().integer("limit", 1, 100);
        assert_eq!(read("limit=20").unwrap(), Some(20));
        for bad in [
            "limit=",
            "limit=0",
            "limit=-1",
            "limit=+5",
            "limit=101",
            "limit=5.0",
            "limit=1000000000000000000000",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_nobody_asked_for_is_refused_by_name() {
        let mut input = json(r#"{"amount":5,"rol":"admin"}"#);
        input.integer("amount", 1, 9).unwrap();
        let error = input.finish().unwrap_err();
        assert_eq!(
            (error.code, error.param.as_deref()),
            ("parameter_unknown", Some("rol"))
        );
        assert!(error.message.contains("`amount`"));
    }

    #[test]
    fn a_query_is_unescaped_once_and_has_no_name_twice() {
        let mut input = Input::from_query("user_id=auth0%7C5&note=a+b%2520").unwrap();
        assert_eq!(input.text("user_id", 9).unwrap().unwrap(), "auth0|5");
        assert_eq!(input.text("note", 9).unwrap().unwrap(), "a b%20");
        assert!(Input::from_query("a=1&a=2").is_err());
        assert!(Input::from_query("a=%FF").is_err());
    }

    #[test]
    fn meta_is_an_object_of_bounded_size() {
        assert_eq!(
            json(r#"{"meta":{"a":{"b":1}}}"#).remark().unwrap().meta,
            r#"{"a":{"b":1}}"#
        );
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(META_MAX));
        for bad in ["[]", "\"x\"", "5", &long] {
            assert!(
                json(&format!(r#"{{"meta":{bad}}}"#)).remark().is_err(),
                "{bad}"
            );
        }
    }
}
