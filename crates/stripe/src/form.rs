//! Stripe's form encoding: nested JSON values written as `a[b][0]=c`, in both directions.
//!
//! Stripe takes parameters as `application/x-www-form-urlencoded` with brackets for nesting. The
//! client writes that, the sandbox reads it. Reading is bounded in every direction and answers
//! with a named error, because the text comes from outside.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

/// The most bytes [`decode`] reads. Stripe's own requests are far smaller.
pub const MAX_BYTES: usize = 256 * 1024;
/// The most `key=value` pairs [`decode`] reads.
pub const MAX_PAIRS: usize = 1000;
/// The most segments of one key: `a[b][0]` has three.
pub const MAX_DEPTH: usize = 8;
/// The longest key, in bytes after percent decoding.
pub const MAX_KEY_BYTES: usize = 512;

/// Everything but the unreserved characters of RFC 3986 is escaped.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Why a form could not be read. Each names the key, where there is one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// The whole form is longer than [`MAX_BYTES`].
    #[error("the form is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// The form has more than [`MAX_PAIRS`] parameters.
    #[error("the form has more than {MAX_PAIRS} parameters")]
    TooManyPairs,
    /// One key is longer than [`MAX_KEY_BYTES`].
    #[error("a parameter name is longer than {MAX_KEY_BYTES} bytes: {key}...")]
    KeyTooLong {
        /// The first characters of the key.
        key: String,
    },
    /// One key is nested deeper than [`MAX_DEPTH`].
    #[error("{key} is nested deeper than {MAX_DEPTH} levels")]
    TooDeep {
        /// The key as sent.
        key: String,
    },
    /// A `%` is not followed by two hexadecimal digits.
    #[error("{text} holds a % that is not followed by two hexadecimal digits")]
    BadEscape {
        /// The pair's beginning, as sent.
        text: String,
    },
    /// The bytes behind the escapes are not UTF-8.
    #[error("{text} is not UTF-8")]
    NotUtf8 {
        /// The pair's beginning, as sent.
        text: String,
    },
    /// The brackets of a key do not pair up, or the key has no name in front of them.
    #[error("{key} is not a parameter name: brackets must pair up behind a name, as in a[b][0]")]
    BadKey {
        /// The key as sent.
        key: String,
    },
    /// The same key was sent twice.
    #[error("{key} was sent twice")]
    Repeated {
        /// The key as sent.
        key: String,
    },
    /// One key is used both for a value and for something nested, as in `a=1&a[b]=2`.
    #[error("{key} contradicts another parameter: it is both a value and a group, or list and map")]
    Conflict {
        /// The later of the two keys, as sent.
        key: String,
    },
}

impl FormError {
    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong => "form_too_long",
            Self::TooManyPairs => "form_too_many_parameters",
            Self::KeyTooLong { .. } => "form_name_too_long",
            Self::TooDeep { .. } => "form_too_deep",
            Self::BadEscape { .. } => "form_bad_escape",
            Self::NotUtf8 { .. } => "form_not_utf8",
            Self::BadKey { .. } => "form_bad_name",
            Self::Repeated { .. } => "form_repeated",
            Self::Conflict { .. } => "form_conflict",
        }
    }

    /// The key the error is about, as sent, where there is one.
    pub fn param(&self) -> Option<&str> {
        match self {
            Self::TooDeep { key }
            | Self::BadKey { key }
            | Self::Repeated { key }
            | Self::Conflict { key } => Some(key),
            _ => None,
        }
    }
}

/// Writes the members of a JSON object as a form, in their order.
///
/// Nulls, empty arrays and empty objects are left out (Stripe has no way to write them), an empty
/// string is kept: that is how Stripe is told to clear a field. A list's items are numbered from
/// zero without gaps. Numbers have to be integers; anything else is written as JSON writes it and
/// Stripe refuses it by name. A value that is not an object has no keys and gives an empty form.
pub fn encode(params: &Value) -> String {
    let mut form = String::new();
    if let Value::Object(members) = params {
        for (name, value) in members {
            write(
                &mut form,
                &utf8_percent_encode(name, ESCAPED).to_string(),
                value,
            );
        }
    }
    form
}

fn write(form: &mut String, key: &str, value: &Value) {
    match value {
        Value::Null => {}
        Value::Bool(flag) => write_pair(form, key, if *flag { "true" } else { "false" }),
        Value::Number(number) => write_pair(form, key, &number.to_string()),
        Value::String(text) => write_pair(form, key, text),
        Value::Array(items) => {
            let kept = items.iter().filter(|item| !is_nothing(item));
            for (index, item) in kept.enumerate() {
                write(form, &format!("{key}[{index}]"), item);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                let name = utf8_percent_encode(name, ESCAPED);
                write(form, &format!("{key}[{name}]"), member);
            }
        }
    }
}

fn write_pair(form: &mut String, key: &str, text: &str) {
    if !form.is_empty() {
        form.push('&');
    }
    form.push_str(key);
    form.push('=');
    form.extend(utf8_percent_encode(text, ESCAPED));
}

/// Whether a value has nothing in it that could be written.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().all(is_nothing),
        Value::Object(members) => members.values().all(is_nothing),
        _ => false,
    }
}

/// Reads a form into a JSON object whose leaves are all strings.
///
/// Keys come in any order, brackets escaped or not, `+` is a blank. `a[]=x` appends to a list; in
/// `a[][b]=1&a[][c]=2` the second pair belongs to the item that has no `c` yet. Groups whose keys
/// are exactly 0, 1, 2 and so on become lists; every other group stays an object, so that
/// `metadata[2026]=x` keeps its key. [`items`] reads either as a list and [`entries`] either as a
/// map, because only the reader knows which of them a parameter is.
pub fn decode(form: &[u8]) -> Result<Value, FormError> {
    if form.len() > MAX_BYTES {
        return Err(FormError::TooLong);
    }
    let mut root = Value::Object(Map::new());
    let pairs = form
        .split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty());
    for (count, pair) in pairs.enumerate() {
        if count >= MAX_PAIRS {
            return Err(FormError::TooManyPairs);
        }
        let split = pair.iter().position(|byte| *byte == b'=');
        let (key, text) = match split {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &pair[..0]),
        };
        let key = unescape(key)?;
        let path = segments(&key)?;
        insert(&mut root, &path, &key, unescape(text)?)?;
    }
    if let Value::Object(members) = root {
        let members = members
            .into_iter()
            .map(|(name, value)| (name, settle(value)));
        return Ok(Value::Object(members.collect()));
    }
    Ok(root)
}

/// The items of a decoded list, also where its numbers had gaps (`a[3]=x`), in numeric order.
///
/// `None` if the value is no list: a text, or a group with a key that is not a number.
pub fn items(value: &Value) -> Option<Vec<&Value>> {
    match value {
        Value::Array(items) => Some(items.iter().collect()),
        Value::Object(members) => {
            let numbered = members
                .iter()
                .map(|(name, item)| Some((index(name)?, item)));
            let mut numbered = numbered.collect::<Option<Vec<_>>>()?;
            numbered.sort_by_key(|(number, _)| *number);
            Some(numbered.into_iter().map(|(_, item)| item).collect())
        }
        _ => None,
    }
}

/// The members of a decoded map, also where its keys were 0, 1, 2 and it was read as a list.
///
/// `None` if the value is a text.
pub fn entries(value: &Value) -> Option<Vec<(String, &Value)>> {
    match value {
        Value::Object(members) => Some(
            members
                .iter()
                .map(|(name, member)| (name.clone(), member))
                .collect(),
        ),
        Value::Array(items) => {
            let numbered = items.iter().enumerate();
            Some(
                numbered
                    .map(|(number, item)| (number.to_string(), item))
                    .collect(),
            )
        }
        _ => None,
    }
}

/// Undoes the percent encoding of one half of a pair.
fn unescape(raw: &[u8]) -> Result<String, FormError> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.iter().copied();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = (rest.next().and_then(nibble), rest.next().and_then(nibble));
                let (Some(high), Some(low)) = digits else {
                    return Err(FormError::BadEscape { text: shown(raw) });
                };
                bytes.push(high << 4 | low);
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).map_err(|_| FormError::NotUtf8 { text: shown(raw) })
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

/// The beginning of something sent, short enough for an error message.
fn shown(raw: &[u8]) -> String {
    String::from_utf8_lossy(&raw[..raw.len().min(40)]).into_owned()
}

/// Splits `a[b][]` into `a`, `b` and the empty segment that means "append".
fn segments(key: &str) -> Result<Vec<&str>, FormError> {
    if key.len() > MAX_KEY_BYTES {
        return Err(FormError::KeyTooLong {
            key: shown(key.as_bytes()),
        });
    }
    let bad = || FormError::BadKey {
        key: key.to_owned(),
    };
    let head_end = key.find('[').unwrap_or(key.len());
    let (head, mut rest) = key.split_at(head_end);
    if head.is_empty() || head.contains(']') {
        return Err(bad());
    }
    let mut path = vec![head];
    while !rest.is_empty() {
        let inner = rest.strip_prefix('[').ok_or_else(bad)?;
        let (segment, behind) = inner.split_once(']').ok_or_else(bad)?;
        if segment.contains('[') {
            return Err(bad());
        }
        path.push(segment);
        if path.len() > MAX_DEPTH {
            return Err(FormError::TooDeep {
                key: key.to_owned(),
            });
        }
        rest = behind;
    }
    Ok(path)
}

/// Puts a text where its path points to, making the groups on the way.
///
/// While the form is read, `a[]` makes an array and every other group is an object, numbers
/// included: that is how a list written in two ways is noticed.
fn insert(root: &mut Value, path: &[&str], key: &str, text: String) -> Result<(), FormError> {
    let conflict = || FormError::Conflict {
        key: key.to_owned(),
    };
    let mut group = root;
    let mut path = path.iter().copied().peekable();
    while let Some(segment) = path.next() {
        let next = path.peek().copied();
        let slot = match group {
            Value::Object(members) if !segment.is_empty() => {
                members.entry(segment).or_insert(Value::Null)
            }
            Value::Array(items) if segment.is_empty() => appended(items, next),
            _ => return Err(conflict()),
        };
        match (next, &slot) {
            (None, Value::Null) => {
                *slot = Value::String(text);
                return Ok(());
            }
            (None, Value::String(_)) => {
                return Err(FormError::Repeated {
                    key: key.to_owned(),
                });
            }
            (None, _) | (Some(_), Value::String(_)) => return Err(conflict()),
            (Some(""), Value::Null) => *slot = Value::Array(Vec::new()),
            (Some(_), Value::Null) => *slot = Value::Object(Map::new()),
            (Some(_), _) => {}
        }
        group = slot;
    }
    Ok(())
}

/// The item a `[]` points to: the last one if it is a group without the member that follows, else
/// a new one.
fn appended<'a>(items: &'a mut Vec<Value>, next: Option<&str>) -> &'a mut Value {
    let continues = match (items.last(), next) {
        (Some(Value::Object(members)), Some(name)) => !members.contains_key(name),
        _ => false,
    };
    if !continues {
        items.push(Value::Null);
    }
    let last = items.len() - 1;
    &mut items[last]
}

/// Turns groups with the keys 0, 1, 2 and so on into lists, from the inside out.
fn settle(value: Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(settle).collect()),
        Value::Object(members) => {
            let settled = members
                .into_iter()
                .map(|(name, value)| (name, settle(value)));
            listed(settled.collect())
        }
        leaf => leaf,
    }
}

fn listed(mut members: Map<String, Value>) -> Value {
    let mut order = Vec::with_capacity(members.len());
    for number in 0..members.len() {
        let name = number.to_string();
        if !members.contains_key(&name) {
            return Value::Object(members);
        }
        order.push(name);
    }
    let items = order
        .iter()
        .filter_map(|name| members.get_mut(name).map(Value::take));
    Value::Array(items.collect())
}

/// A list index as Stripe's libraries write it: digits without a leading zero.
fn index(name: &str) -> Option<u32> {
    let plain = name == "0" || !name.starts_with('0');
    if plain && name.bytes().all(|byte| byte.is_ascii_digit()) {
        name.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
