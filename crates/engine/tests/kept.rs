//! What is kept of an event says the same as the event, and nothing about a person: for every event the sandbox can cause.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use std::sync::Arc;

use bursar_domain::notice::Notice;
use bursar_engine::bridge::inbound::{event, notice};
use bursar_sandbox::clock::FixedClock;
use bursar_sandbox::{Sandbox, SandboxConfig, trigger};
use serde_json::{Value, json};

/// Names of fields that say something about a person or a card.
const PERSONAL: &[&str] = &[
    "name",
    "email",
    "receipt_email",
    "customer_email",
    "phone",
    "address",
    "shipping",
    "billing_details",
    "customer_details",
    "card",
    "last4",
    "exp_month",
    "fingerprint",
    "ip",
    "client_secret",
    "url",
    "description",
];

/// A customer who says everything about himself.
fn everything() -> Value {
    let person = json!({
        "name": "Jenny Rosen", "email": "jenny@example.com", "phone": "+15555550100",
        "address": {"line1": "1 Main Street", "city": "Springfield", "country": "US"},
    });
    json!({
        "customer": person, "checkout_session": {"customer_email": "jenny@example.com"},
        "payment_intent": {"receipt_email": "jenny@example.com", "metadata": {"name": "Jenny Rosen"}},
    })
}

fn world() -> Sandbox {
    let mut config = SandboxConfig::new("https://stripe.test", "sk_test_aB3dE5fG7hJ9kL1mN2pQ");
    config.seed = Some(11);
    Sandbox::open_at(config, Arc::new(FixedClock::at(1_800_000_000))).unwrap()
}

fn names_in(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            names.push(name.clone());
            names_in(value, names);
        }),
        Value::Array(items) => items.iter().for_each(|item| names_in(item, names)),
        _ => {}
    }
}

#[test]
fn what_is_kept_says_the_same_and_nothing_about_a_person() {
    let sandbox = world();
    for kind in trigger::KNOWN {
        if sandbox.trigger(kind, &everything()).unwrap().is_err() {
            sandbox.trigger(kind, &Value::Null).unwrap().unwrap();
        }
    }
    let mut meant = 0;
    for version in [None, Some("2025-03-31.basil"), Some(bursar_stripe::VERSION)] {
        let told = sandbox.read(|world, _| world.events_after(None, 10_000, version));
        assert!(told.len() > trigger::KNOWN.len());
        for one in told {
            let stored = event(&one.body.clone().into()).unwrap();
            let said = notice(&one.body);
            assert_eq!(notice(&stored.body), said, "{}", one.kind);
            meant += usize::from(!matches!(said, Notice::Foreign { .. }));
            let text = std::str::from_utf8(&stored.body).unwrap();
            for personal in ["Jenny", "jenny", "5555550100", "Main Street"] {
                assert!(!text.contains(personal), "{}: {text}", one.kind);
            }
            let mut names = Vec::new();
            names_in(&serde_json::from_str(text).unwrap(), &mut names);
            let found = names.iter().find(|name| PERSONAL.contains(&name.as_str()));
            assert_eq!(found, None, "{}: {text}", one.kind);
        }
    }
    assert!(meant > 50, "{meant}");
}
