use std::sync::Arc;

use bursar_domain::notice::Notice;
use bursar_engine::bridge::inbound::{event, notice};
use bursar_engine::bridge::kept::kept;
use serde_json::Value;

/// Names under which Stripe tells something about a person.
const PERSONAL: &[&str] = &[
    "address",
    "billing_details",
    "customer_details",
    "customer_email",
    "email",
    "last4",
    "name",
    "phone",
    "receipt_email",
    "shipping",
];

/// The body of a delivery. What is stored of it says the same as all of it, says nothing about a person, and does not change when it
/// is stored again.
pub fn event_body(bytes: &[u8]) {
    let Ok(received) = event(&Arc::from(bytes)) else {
        return;
    };
    let stored = &received.body;
    assert!(
        stored.len() <= bytes.len().saturating_mul(6) + 1024,
        "what is stored is not much longer"
    );
    let again = kept(stored, &received.id, &received.kind);
    assert_eq!(
        &again[..],
        &stored[..],
        "to store what is stored changes nothing"
    );
    let value: Value = serde_json::from_slice(stored).expect("what is stored is JSON");
    assert_impersonal(&value);
    // Readers skip what they do not want, even where it is no text. Then what is stored may say more than all of it, or nothing.
    let is_text = serde_json::from_slice::<Value>(bytes).is_ok();
    // What no database could hold is replaced.
    let has_zero = bytes.windows(6).any(|part| part == b"\\u0000");
    if !is_text || has_zero {
        return;
    }
    match (notice(bytes), notice(stored)) {
        // What could not be read may be gone from what is stored. It must not be passed over, though.
        (Notice::Unreadable { .. }, kept) => assert!(!matches!(kept, Notice::Foreign { .. })),
        (all, kept) => assert_eq!(all, kept, "what is stored says the same"),
    }
}

fn assert_impersonal(value: &Value) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            assert!(!PERSONAL.contains(&name.as_str()), "{name} is stored");
            assert_impersonal(value);
        }),
        Value::Array(items) => items.iter().for_each(assert_impersonal),
        _ => {}
    }
}
