use bursar::http::extract::Input;
use bursar_domain::text::{META_MAX, NOTE_MAX};
use serde_json::Value;

/// A JSON body. It is taken if serde_json takes it, has an object and no name twice; it means the same however it is spaced; and what
/// its fields are taken as is what stands there.
pub fn json(bytes: &[u8]) {
    let plain = serde_json::from_slice::<Value>(bytes)
        .ok()
        .filter(Value::is_object);
    let Ok(input) = Input::from_json(bytes) else {
        // serde_json keeps the last of two: written back, one is missing. And it takes U+0000, which can be written in one way.
        let has_zero = bytes.windows(6).any(|part| part == b"\\u0000");
        let is_wrong = |value: &Value| has_zero || names(value) < names_in(bytes);
        assert!(
            plain.as_ref().is_none_or(is_wrong),
            "refused without a reason"
        );
        return;
    };
    if bytes.is_empty() {
        return;
    }
    let plain = plain.expect("what is taken is JSON");
    let respaced = serde_json::to_vec_pretty(&plain).expect("JSON can be written");
    let again = Input::from_json(&respaced).expect("what was taken is taken again");
    assert_eq!(input.canonical(), again.canonical(), "spaces mean nothing");
    take_apart(input, &plain);
}

fn names(value: &Value) -> usize {
    match value {
        Value::Object(fields) => fields.values().map(|value| 1 + names(value)).sum(),
        Value::Array(items) => items.iter().map(names).sum(),
        _ => 0,
    }
}

/// How many names stand in valid JSON: the colons outside of texts.
fn names_in(bytes: &[u8]) -> usize {
    let (mut count, mut inside, mut escaped) = (0, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            b':' if !inside => count += 1,
            _ => {}
        }
    }
    count
}

fn take_apart(mut input: Input, plain: &Value) {
    let given = |name: &str| plain.get(name).filter(|value| !value.is_null());
    if let Ok(amount) = input.integer("amount", 1, i64::MAX) {
        assert_eq!(
            amount,
            given("amount").map(|value| value.as_i64().expect("a whole number"))
        );
    }
    if let Ok(yes) = input.boolean("confirm") {
        assert_eq!(yes, given("confirm").and_then(Value::as_bool));
    }
    if let Ok(remark) = input.remark() {
        assert!(remark.meta.len() <= META_MAX && remark.note.chars().count() <= NOTE_MAX);
    }
    let known = ["amount", "confirm", "note", "ref", "meta", "metadata"];
    // `null` counts as not given, but its name has to be one that is known.
    let mut names = plain
        .as_object()
        .into_iter()
        .flat_map(|fields| fields.keys());
    assert!(
        input.finish().is_ok() <= names.all(|name| known.contains(&&**name)),
        "what nobody asked for"
    );
}
