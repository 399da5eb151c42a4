use std::collections::BTreeMap;

use bursar::http::extract::Input;
use serde_json::{Map, Value};

/// A query string. It is read as the URL standard reads it, or refused; what a field is taken as is what stands there; and what nobody
/// asked for is refused.
pub fn query(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let pairs: Vec<(String, String)> = form_urlencoded::parse(bytes).into_owned().collect();
    let by_name: BTreeMap<&str, &str> = pairs
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    let Ok(input) = Input::from_query(text) else {
        let odd = by_name.len() < pairs.len()
            || pairs
                .iter()
                .any(|(name, value)| has_odd(name) || has_odd(value));
        assert!(odd, "refused without a reason");
        return;
    };
    assert_eq!(
        input.canonical(),
        canonical(&pairs),
        "read as others read it"
    );
    take_apart(input, &by_name);
}

/// The mark of bytes that are no UTF-8, or U+0000.
fn has_odd(text: &str) -> bool {
    text.contains(['\u{fffd}', '\0'])
}

fn canonical(pairs: &[(String, String)]) -> Vec<u8> {
    let fields = pairs
        .iter()
        .map(|(name, value)| (name.clone(), Value::String(value.clone())));
    let object = Value::Object(fields.collect::<Map<_, _>>()).to_string();
    let input = Input::from_json(object.as_bytes()).expect("an object that was just written");
    input.canonical()
}

fn take_apart(mut input: Input, pairs: &BTreeMap<&str, &str>) {
    let mut refused = 0;
    match input.choice("status", &[("paid", 1), ("open", 2)]) {
        Ok(choice) => assert_eq!(choice.is_some(), pairs.contains_key("status")),
        Err(_) => refused += 1,
    }
    match input.text("after", 200) {
        Ok(text) => assert_eq!(text.as_deref(), pairs.get("after").copied()),
        Err(_) => refused += 1,
    }
    let asked = ["status", "after"]
        .iter()
        .filter(|name| pairs.contains_key(*name))
        .count();
    assert!(refused <= asked, "what is not there is not refused");
    assert_eq!(
        input.finish().is_ok(),
        asked == pairs.len(),
        "what nobody asked for"
    );
}
