//! JSON as it is accepted: one object, no name twice at any depth, nothing behind it.
//!
//! Usual parsers keep the last of two fields of one name; whoever checked the first one then checked something else.

use std::fmt;

use http::StatusCode;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::error::ApiError;

/// What the message about a repeated name begins with; the name follows in backticks.
const TWICE: &str = "given twice: `";

/// What a text may not hold. A PostgreSQL server takes none with it, and a file would; so that both say the same, it ends here.
pub(super) const NUL: char = '\0';

/// What the message about it begins with.
const WITH_NUL: &str = "a text has the character U+0000";

/// Parses an object, or says where it goes wrong.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let malformed =
        |message: String| ApiError::new(StatusCode::BAD_REQUEST, "json_malformed", message);
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    let parsed = Strict
        .deserialize(&mut parser)
        .and_then(|value| parser.end().map(|()| value));
    match parsed {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(malformed("the body must be a JSON object".to_owned())),
        Err(error) => {
            let said = error.to_string();
            if let Some(rest) = said.strip_prefix(TWICE) {
                let name: String = rest.chars().take_while(|c| *c != '`').take(64).collect();
                return Err(ApiError::invalid(&name, "is given twice"));
            }
            let (line, column) = (error.line(), error.column());
            let what = if said.starts_with(WITH_NUL) {
                "a text in the body has the character U+0000, which cannot be stored"
            } else {
                "the body is not valid JSON"
            };
            Err(malformed(format!("{what} (line {line}, column {column})")))
        }
    }
}

/// The fields as text, sorted at every depth and without spaces: equal for requests that mean the same. A field that is `null`
/// counts as not given, as it does where fields are read; inside `meta` it is data like any other.
pub(super) fn canonical(fields: &Map<String, Value>) -> Vec<u8> {
    let mut text = Vec::with_capacity(256);
    let given = fields.iter().filter(|(_, value)| !value.is_null());
    write_sorted(&mut text, given.collect());
    text
}

fn write_object(text: &mut Vec<u8>, fields: &Map<String, Value>) {
    write_sorted(text, fields.iter().collect());
}

fn write_sorted(text: &mut Vec<u8>, mut sorted: Vec<(&String, &Value)>) {
    sorted.sort_unstable_by_key(|(name, _)| *name);
    text.push(b'{');
    for (name, value) in sorted {
        write_plain(text, name);
        text.push(b':');
        write_value(text, value);
        text.push(b',');
    }
    text.push(b'}');
}

fn write_value(text: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Object(fields) => write_object(text, fields),
        Value::Array(items) => {
            text.push(b'[');
            for item in items {
                write_value(text, item);
                text.push(b',');
            }
            text.push(b']');
        }
        plain => write_plain(text, plain),
    }
}

fn write_plain(text: &mut Vec<u8>, value: &impl serde::Serialize) {
    // Writing texts and numbers to memory does not fail; if it ever did, the texts would only differ.
    let _ = serde_json::to_writer(text, value);
}

fn storable<E: Error>(text: &str) -> Result<(), E> {
    if text.contains(NUL) {
        return Err(E::custom(WITH_NUL));
    }
    Ok(())
}

/// Builds a [`Value`], refusing repeated names. Depth is bounded by the parser, at 128.
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        storable(value).map(|()| Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        storable(&value).map(|()| Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(Strict)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            storable(&name)?;
            if fields.contains_key(&name) {
                return Err(A::Error::custom(format!("{TWICE}{name}`")));
            }
            let value = access.next_value_seed(Strict)?;
            fields.insert(name, value);
        }
        Ok(Value::Object(fields))
    }
}

/// For fields whose value is stored as text and shown as JSON again.
pub(super) fn stored(text: &str) -> Value {
    let mut parser = serde_json::Deserializer::from_str(text);
    Value::deserialize(&mut parser).unwrap_or(Value::Object(Map::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_given_twice_is_refused_at_any_depth() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"m":{"x":[{"a":1,"a":1}]}}"#,
            r#"{"a":1,"\u0061":2}"#,
        ] {
            let error = object(text.as_bytes()).unwrap_err();
            assert_eq!(
                (error.code, error.param.as_deref()),
                ("parameter_invalid", Some("a")),
                "{text}"
            );
        }
    }

    #[test]
    fn no_text_has_a_nul() {
        for text in [
            r#"{"note":"a\u0000b"}"#,
            r#"{"a\u0000":1}"#,
            r#"{"meta":{"x":["\u0000"]}}"#,
        ] {
            let error = object(text.as_bytes()).unwrap_err();
            assert_eq!(error.code, "json_malformed", "{text}");
            assert!(error.message.contains("U+0000"), "{text}");
        }
        assert!(object(r#"{"note":"\u0001\\u0000"}"#.as_bytes()).is_ok());
    }

    #[test]
    fn only_one_object_is_a_body() {
        for text in [
            "",
            "[]",
            "1",
            "{",
            "{}{}",
            "{} x",
            r#"{"a":NaN}"#,
            r#"{"a":1,}"#,
            "\u{feff}{}",
            r#"{"a":"\ud800"}"#,
        ] {
            assert_eq!(
                object(text.as_bytes()).unwrap_err().code,
                "json_malformed",
                "{text}"
            );
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
        assert_eq!(object(deep.as_bytes()).unwrap_err().code, "json_malformed");
    }

    #[test]
    fn spacing_and_order_do_not_change_what_is_meant() {
        let one = object(br#"{"b":[1,{"y":2,"x":1}],"a":"t"}"#).unwrap();
        let other = object(br#" { "a" : "t", "b":[ 1, {"x":1,"y":2} ] }"#).unwrap();
        assert_eq!(canonical(&one), canonical(&other));
        let null = object(br#"{"b":[1,{"y":2,"x":1}],"a":"t","c":null}"#).unwrap();
        assert_eq!(canonical(&one), canonical(&null));
        let different = object(br#"{"b":[1,{"y":2,"x":2}],"a":"t"}"#).unwrap();
        assert_ne!(canonical(&one), canonical(&different));
    }
}
