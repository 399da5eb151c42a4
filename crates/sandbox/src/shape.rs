//! The parameters an operation takes, described in a few words and checked before the operation begins.
//!
//! A description is a list of `name:type`, a `!` after the name of a required one. The types are `text`, `int`,
//! `bool`, `currency`, `range` (a number, or `gt`, `gte`, `lt`, `lte`), `map` (metadata), `any` (accepted, and not
//! looked into), `[type]`, `{name:type …}`, and values joined with bars for one of several. Values that the
//! sandbox has to tell from each other are described in full; the rest of Stripe's parameters are `any`, so that
//! a client may send whatever Stripe documents and is told of whatever it does not.

use bursar_stripe::form;
use serde_json::{Map, Value};

use crate::error::{ApiError, ApiResult};

/// The type of one parameter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    Text,
    Int,
    Bool,
    Currency,
    Range,
    Metadata,
    Any,
    OneOf(Vec<&'static str>),
    List(Box<Self>),
    Fields(Vec<Field>),
}

/// One named parameter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    name: &'static str,
    required: bool,
    shape: Shape,
}

const LIST: &str = "limit:int starting_after:text ending_before:text";

impl Shape {
    /// Reads a description. A leading `@list` stands for the parameters of every list.
    pub(crate) fn of(description: &'static str) -> Self {
        let mut fields = fields_of(&mut Words(description.trim_start_matches("@list")));
        if description.starts_with("@list") {
            fields.extend(fields_of(&mut Words(LIST)));
        }
        fields.extend(fields_of(&mut Words("expand:[text]")));
        Self::Fields(fields)
    }

    /// Checks parameters and gives them their types: numbers for `int`, truth values for `bool`, null for an
    /// optional one that was sent empty.
    pub(crate) fn read(&self, params: &Value) -> ApiResult {
        self.typed(params, "")
    }

    fn typed(&self, value: &Value, path: &str) -> ApiResult {
        match self {
            Self::Fields(fields) => object(fields, value, path),
            Self::List(shape) => list(shape, value, path),
            Self::Metadata => metadata(value, path),
            Self::Any => Ok(value.clone()),
            Self::Range if value.is_object() => {
                let bound = |name| Field {
                    name,
                    required: false,
                    shape: Self::Int,
                };
                object(&["gt", "gte", "lt", "lte"].map(bound), value, path)
            }
            _ => self.leaf(value, path),
        }
    }

    fn leaf(&self, value: &Value, path: &str) -> ApiResult {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            _ => {
                return Err(
                    ApiError::invalid(format!("Invalid {path}: expected a plain value.")).at(path),
                );
            }
        };
        if text.is_empty() {
            return Ok(Value::Null);
        }
        match self {
            Self::Int | Self::Range => text.trim().parse::<i64>().map(Value::from).map_err(|_| {
                ApiError::coded(
                    "parameter_invalid_integer",
                    format!("Invalid integer: {text}"),
                )
                .at(path)
            }),
            Self::Bool => text
                .parse::<bool>()
                .map(Value::from)
                .map_err(|_| ApiError::invalid(format!("Invalid boolean: {text}")).at(path)),
            Self::Currency => {
                crate::money::Currency::of(&text, path).map(|known| known.code.into())
            }
            Self::OneOf(values) if !values.contains(&text.as_str()) => {
                Err(not_one_of(values, path))
            }
            _ => Ok(text.into()),
        }
    }
}

fn not_one_of(values: &[&str], path: &str) -> ApiError {
    let (last, others) = values
        .split_last()
        .map_or(("", &[][..]), |(last, rest)| (*last, rest));
    let values = if others.is_empty() {
        last.to_owned()
    } else {
        format!("{} or {last}", others.join(", "))
    };
    ApiError::invalid(format!("Invalid {path}: must be one of {values}")).at(path)
}

fn object(fields: &[Field], value: &Value, path: &str) -> ApiResult {
    let Some(given) = value.as_object() else {
        if value.as_str() == Some("") {
            return Ok(Value::Null);
        }
        let error = ApiError::invalid(format!("Invalid {}: expected an object.", shown(path)));
        return Err(error.at(path));
    };
    let unknown: Vec<String> = given
        .keys()
        .filter(|name| !fields.iter().any(|field| field.name == name.as_str()))
        .map(|name| below(path, name))
        .collect();
    match unknown.as_slice() {
        [] => {}
        [one] => return Err(ApiError::unknown(one)),
        [first, ..] => {
            let message = format!("Received unknown parameters: {}", unknown.join(", "));
            return Err(ApiError::coded("parameter_unknown", message).at(first));
        }
    }
    let mut typed = Map::new();
    for field in fields {
        let path = below(path, field.name);
        let Some(value) = given.get(field.name) else {
            if field.required {
                return Err(ApiError::missing(&path));
            }
            continue;
        };
        let value = field.shape.typed(value, &path)?;
        if field.required && value.is_null() {
            let message =
                format!("{path} is empty and cannot be unset: leave it out or give it a value.");
            return Err(ApiError::coded("parameter_invalid_empty", message).at(&path));
        }
        typed.insert(field.name.to_owned(), value);
    }
    Ok(Value::Object(typed))
}

fn list(shape: &Shape, value: &Value, path: &str) -> ApiResult {
    if value.as_str() == Some("") {
        return Ok(Value::Null);
    }
    let Some(items) = form::items(value) else {
        return Err(ApiError::invalid(format!("Invalid array: {path}")).at(path));
    };
    items
        .into_iter()
        .enumerate()
        .map(|(n, item)| shape.typed(item, &format!("{path}[{n}]")))
        .collect::<ApiResult<Vec<Value>>>()
        .map(Value::Array)
}

/// Stripe's limits: 50 keys of 40 characters with values of 500. An empty value asks to delete its key.
fn metadata(value: &Value, path: &str) -> ApiResult {
    if value.as_str() == Some("") {
        return Ok(Value::Null);
    }
    let Some(given) = form::entries(value) else {
        return Err(ApiError::invalid(format!("Invalid {path}: expected an object.")).at(path));
    };
    let mut typed = Map::new();
    for (key, value) in given {
        let at = below(path, &key);
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            _ => {
                return Err(
                    ApiError::invalid(format!("Metadata values must be text: {at}")).at(&at),
                );
            }
        };
        if key.chars().count() > 40 {
            return Err(
                ApiError::invalid("Metadata keys can be up to 40 characters long.").at(path),
            );
        }
        if text.chars().count() > 500 {
            return Err(
                ApiError::invalid("Metadata values can be up to 500 characters long.").at(&at),
            );
        }
        typed.insert(key, text.into());
    }
    if typed.len() > 50 {
        return Err(ApiError::invalid("Metadata can hold up to 50 keys.").at(path));
    }
    Ok(Value::Object(typed))
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}[{name}]")
    }
}

fn shown(path: &str) -> &str {
    if path.is_empty() { "request" } else { path }
}

/// The words of a description: names, types and the braces between them.
struct Words(&'static str);

impl Words {
    fn peek(&self) -> Option<char> {
        self.0.trim_start().chars().next()
    }

    fn symbol(&mut self, symbol: char) -> bool {
        let rest = self.0.trim_start().strip_prefix(symbol);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn word(&mut self) -> &'static str {
        let text = self.0.trim_start();
        let end = text
            .find(|c: char| c.is_whitespace() || "{}[]:!".contains(c))
            .unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        self.0 = rest;
        word
    }
}

fn fields_of(words: &mut Words) -> Vec<Field> {
    let mut fields = Vec::new();
    while words.peek().is_some_and(|next| next != '}') {
        let name = words.word();
        let required = words.symbol('!');
        // A description that does not read is a mistake in this crate; the test below reads them all.
        assert!(
            !name.is_empty() && words.symbol(':'),
            "a shape is misspelt near {:?}",
            words.0
        );
        fields.push(Field {
            name,
            required,
            shape: shape_of(words),
        });
    }
    fields
}

fn shape_of(words: &mut Words) -> Shape {
    if words.symbol('{') {
        let fields = fields_of(words);
        words.symbol('}');
        return Shape::Fields(fields);
    }
    if words.symbol('[') {
        let shape = shape_of(words);
        words.symbol(']');
        return Shape::List(Box::new(shape));
    }
    match words.word() {
        "text" => Shape::Text,
        "int" => Shape::Int,
        "bool" => Shape::Bool,
        "currency" => Shape::Currency,
        "range" => Shape::Range,
        "map" => Shape::Metadata,
        "any" => Shape::Any,
        values => {
            assert!(values.contains('|'), "a shape names no type: {values:?}");
            Shape::OneOf(
                values
                    .split('|')
                    .filter(|value| !value.is_empty())
                    .collect(),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shape() -> Shape {
        Shape::of(
            "amount!:int mode:payment|setup items:[{price!:text quantity:int}] created:range metadata:map",
        )
    }

    fn refused(params: &Value) -> (Option<String>, Option<String>) {
        let error = shape().read(params).unwrap_err();
        (error.code, error.param)
    }

    fn pair(code: &str, param: &str) -> (Option<String>, Option<String>) {
        (Some(code.to_owned()), Some(param.to_owned()))
    }

    #[test]
    fn text_from_a_form_gets_its_type() {
        let params = json!({
            "amount": "500", "items": [{"price": "price_1", "quantity": "2"}], "created": {"gte": "7"},
            "metadata": {"order": "1", "gone": ""}, "mode": "",
        });
        assert_eq!(
            shape().read(&params).unwrap(),
            json!({
                "amount": 500, "mode": null, "items": [{"price": "price_1", "quantity": 2}],
                "created": {"gte": 7}, "metadata": {"order": "1", "gone": ""},
            })
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        assert_eq!(refused(&json!({})), pair("parameter_missing", "amount"));
        assert_eq!(
            refused(&json!({"amount": "x"})),
            pair("parameter_invalid_integer", "amount")
        );
        assert_eq!(
            refused(&json!({"amount": ""})),
            pair("parameter_invalid_empty", "amount")
        );
        assert_eq!(
            refused(&json!({"amount": "1", "foo": "1"})),
            pair("parameter_unknown", "foo")
        );
        let deep = json!({"amount": "1", "items": [{"price": "p"}, {"prize": "p"}]});
        assert_eq!(refused(&deep), pair("parameter_unknown", "items[1][prize]"));
        let none = (None, Some("mode".to_owned()));
        assert_eq!(refused(&json!({"amount": "1", "mode": "gift"})), none);
        let long = json!({"amount": "1", "metadata": {"a": "x".repeat(501)}});
        assert_eq!(refused(&long).1.as_deref(), Some("metadata[a]"));
    }
}
