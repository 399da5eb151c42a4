//! Every event the product handles, made to happen.

use super::*;
use crate::SandboxConfig;
use crate::records::Collection;

fn sandbox() -> Sandbox {
    Sandbox::open(SandboxConfig::new("http://127.0.0.1:1", "sk_test_trigger")).unwrap()
}

fn event(sandbox: &Sandbox, id: &str) -> Value {
    sandbox
        .read(|world, _| world.records.get(Collection::Object, id).cloned())
        .unwrap()
}

#[test]
fn every_known_event_happens() {
    for name in KNOWN {
        let sandbox = sandbox();
        let caused = sandbox.trigger(name, &Value::Null).unwrap().unwrap();
        let types: Vec<Value> = caused
            .iter()
            .map(|id| event(&sandbox, id)["type"].clone())
            .collect();
        assert!(types.contains(&json!(name)), "{name}: {types:?}");
    }
}

#[test]
fn events_happen_one_after_the_other_in_one_world() {
    let sandbox = sandbox();
    for round in 1..=2 {
        for name in KNOWN {
            let caused = sandbox.trigger(name, &Value::Null).unwrap();
            let caused = caused.unwrap_or_else(|error| panic!("{name}, round {round}: {error}"));
            let last = caused.last().unwrap();
            assert!(event(&sandbox, last)["id"].is_string());
        }
    }
}

#[test]
fn a_payment_that_was_triggered_is_a_real_one() {
    let sandbox = sandbox();
    let caused = sandbox
        .trigger("checkout.session.completed", &Value::Null)
        .unwrap()
        .unwrap();
    let completed = caused.iter().map(|id| event(&sandbox, id));
    let completed = completed
        .rev()
        .find(|event| event["type"] == "checkout.session.completed");
    let session = completed.unwrap()["data"]["object"].clone();
    assert_eq!(
        (&session["payment_status"], &session["amount_total"]),
        (&json!("paid"), &json!(3000))
    );
    let intent = session["payment_intent"].as_str().unwrap();
    let intent = sandbox
        .read(|world, _| world.records.get(Collection::Object, intent).cloned())
        .unwrap();
    assert_eq!(
        (&intent["status"], &intent["amount_received"]),
        (&json!("succeeded"), &json!(3000))
    );
}

#[test]
fn overrides_change_what_is_asked_for() {
    let sandbox = sandbox();
    let overrides = json!({
        "price": {"unit_amount": 700, "currency": "eur"},
        "checkout_session": {"client_reference_id": "topup_7"},
    });
    let caused = sandbox
        .trigger("checkout.session.completed", &overrides)
        .unwrap()
        .unwrap();
    let last = caused.iter().map(|id| event(&sandbox, id));
    let session = last
        .rev()
        .find(|event| event["type"] == "checkout.session.completed")
        .unwrap();
    let session = &session["data"]["object"];
    assert_eq!(session["client_reference_id"], "topup_7");
    assert_eq!(
        (&session["amount_total"], &session["currency"]),
        (&json!(1400), &json!("eur"))
    );
}

#[test]
fn what_is_refused_leaves_nothing_behind() {
    let sandbox = sandbox();
    let before = sandbox.read(|world, _| world.records.snapshot());
    let unknown = sandbox
        .trigger("sun.rises", &Value::Null)
        .unwrap()
        .unwrap_err();
    assert_eq!(unknown, TriggerError::Unknown("sun.rises".into()));
    assert!(unknown.to_string().contains("payment_intent.succeeded"));
    let overrides = json!({"checkout_session": {"nonsense": 1}});
    let refused = sandbox
        .trigger("checkout.session.completed", &overrides)
        .unwrap()
        .unwrap_err();
    assert!(
        matches!(&refused, TriggerError::Refused { step, message }
        if step == "checkout_session" && message.contains("nonsense")),
        "{refused}"
    );
    let other = json!({"payment_intent": {"payment_method": "pm_card_visa"}});
    let silent = sandbox
        .trigger("charge.failed", &other)
        .unwrap()
        .unwrap_err();
    assert_eq!(silent, TriggerError::Silent("charge.failed".into()));
    assert_eq!(sandbox.read(|world, _| world.records.snapshot()), before);
}
