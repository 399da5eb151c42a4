use bursar_stripe::form::{MAX_BYTES, MAX_DEPTH, MAX_PAIRS, decode, encode};
use serde_json::Value;

/// A form, or JSON that becomes one. What was read can be written and read again; and what is written is read as it was meant.
pub fn form_encoding(bytes: &[u8]) {
    if let Ok(read) = decode(bytes) {
        let written = encode(&read);
        if written.len() <= MAX_BYTES {
            assert_eq!(decode(written.as_bytes()).as_ref(), Ok(&read), "{written}");
        }
    }
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    let written = encode(&value);
    if value.is_object() && has_plain_names(&value, MAX_DEPTH) && pairs(&written) <= MAX_PAIRS {
        let meant = as_texts(&value).unwrap_or_else(|| Value::Object(serde_json::Map::new()));
        let read = decode(written.as_bytes());
        assert!(written.len() > MAX_BYTES || read == Ok(meant), "{written}");
    }
}

fn pairs(form: &str) -> usize {
    form.split('&').count()
}

/// Names that no form gives another meaning: brackets make a group, digits a list.
fn has_plain_names(value: &Value, depth: usize) -> bool {
    let is_plain = |name: &String| {
        let letters = name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        letters && (1..=32).contains(&name.len())
    };
    match value {
        Value::Object(fields) => {
            depth > 0
                && fields
                    .iter()
                    .all(|(name, value)| is_plain(name) && has_plain_names(value, depth - 1))
        }
        Value::Array(items) => {
            depth > 0 && items.iter().all(|item| has_plain_names(item, depth - 1))
        }
        _ => true,
    }
}

/// What a form can say of a value: texts, and groups that have something in them.
fn as_texts(value: &Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Bool(_) | Value::Number(_) => Some(Value::String(value.to_string())),
        Value::String(_) => Some(value.clone()),
        Value::Array(items) => {
            let items: Vec<Value> = items.iter().filter_map(as_texts).collect();
            (!items.is_empty()).then_some(Value::Array(items))
        }
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), as_texts(value)?)));
            let fields: serde_json::Map<String, Value> = fields.collect();
            (!fields.is_empty()).then_some(Value::Object(fields))
        }
    }
}
