//! Envelopes from well-formed to hostile.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn read(body: &str) -> Result<Envelope<'_>, EnvelopeError> {
    Envelope::read(body.as_bytes())
}

#[test]
fn a_snapshot_is_read_without_copying() {
    let body = r#"{
        "id": "evt_1", "object": "event", "api_version": "2025-03-31.basil", "created": 1795200000,
        "data": {"object": {
            "id": "cs_test_1", "object": "checkout.session", "amount_total": 500,
            "metadata": {"topup": "top_1", "odd": null}, "client_reference_id": "top_1",
            "payment_intent": "pi_1", "total_details": {"breakdown": [1, {"x": []}]}
        }, "previous_attributes": {"id": "no"}},
        "livemode": false, "pending_webhooks": 1, "request": {"id": null},
        "type": "checkout.session.completed", "account": "acct_1"
    }"#;
    let envelope = read(body).unwrap();
    assert_eq!(envelope.id, "evt_1");
    assert_eq!(envelope.kind, "checkout.session.completed");
    assert_eq!(envelope.plain_kind(), "checkout.session.completed");
    assert_eq!(envelope.created, Some(1_795_200_000));
    assert_eq!(envelope.livemode, Some(false));
    assert_eq!(envelope.api_version.as_deref(), Some("2025-03-31.basil"));
    assert_eq!(envelope.account.as_deref(), Some("acct_1"));
    assert!(!envelope.thin);
    let subject = &envelope.subject;
    assert_eq!(subject.id.as_deref(), Some("cs_test_1"));
    assert_eq!(subject.object.as_deref(), Some("checkout.session"));
    assert_eq!(subject.client_reference_id.as_deref(), Some("top_1"));
    assert_eq!(subject.payment_intent.as_deref(), Some("pi_1"));
    assert_eq!(subject.metadata.len(), 1);
    assert_eq!(subject.metadata["topup"], "top_1");
    let copied = [&envelope.id, &envelope.kind, &subject.metadata["topup"]]
        .iter()
        .any(|text| matches!(text, Cow::Owned(_)));
    let borrowed = matches!(subject.payment_intent, Some(Cow::Borrowed(_)));
    assert!(!copied && borrowed, "{envelope:?}");
}

#[test]
fn a_thin_event_names_its_object() {
    let envelope = read(
        r#"{"id":"evt_2","object":"v2.core.event","type":"v1.checkout.session.completed",
            "created":"2026-11-20T16:00:00.250Z","livemode":false,"snapshot_event":"evt_1",
            "related_object":{"id":"cs_test_1","type":"checkout.session","url":"/v1/x"},
            "data":{"object":{"id":"forged"}}}"#,
    )
    .unwrap();
    assert!(envelope.thin);
    assert_eq!(envelope.plain_kind(), "checkout.session.completed");
    assert_eq!(envelope.created, Some(1_795_190_400));
    assert_eq!(envelope.snapshot_event.as_deref(), Some("evt_1"));
    assert_eq!(envelope.subject.id.as_deref(), Some("cs_test_1"));
    assert_eq!(envelope.subject.object.as_deref(), Some("checkout.session"));
}

#[test]
fn an_expanded_payment_intent_gives_its_id() {
    let envelope = read(
        r#"{"id":"evt_1","type":"t","data":{"object":{"payment_intent":{"a":[{}],"id":"pi_1"}}}}"#,
    )
    .unwrap();
    assert_eq!(envelope.subject.payment_intent.as_deref(), Some("pi_1"));
}

#[test]
fn what_is_odd_inside_reads_as_absent() {
    for data in [
        "null",
        "[]",
        "\"x\"",
        "1",
        "1.5",
        "true",
        "{}",
        r#"{"object":null}"#,
        r#"{"object":[1,{"id":"x"}]}"#,
        r#"{"object":"cs_1"}"#,
        r#"{"object":-1}"#,
        r#"{"object":{}}"#,
        r#"{"object":{"id":7,"object":[],"metadata":[],"client_reference_id":{"id":"x"},"payment_intent":1.5}}"#,
    ] {
        let body = format!(r#"{{"id":"evt_1","type":"t","data":{data},"related_object":{data}}}"#);
        let envelope = read(&body).unwrap();
        assert_eq!(envelope.subject, Subject::default(), "{data}");
    }
    for created in [
        "null",
        "1.5",
        "\"soon\"",
        "[]",
        "18446744073709551615",
        "1e400",
    ] {
        let body = format!(r#"{{"id":"evt_1","type":"t","created":{created}}}"#);
        match read(&body) {
            Ok(envelope) => assert_eq!(envelope.created, None, "{created}"),
            Err(error) => assert_eq!((created, error.code()), ("1e400", "event_unreadable")),
        }
    }
    let bare = read(r#"{"id":"evt_1","type":"t"}"#).unwrap();
    assert_eq!(
        (bare.livemode, bare.thin, bare.created),
        (None, false, None)
    );
}

#[test]
fn what_is_not_an_event_is_refused() {
    let long = format!(r#"{{"id":"{}","type":"t"}}"#, "e".repeat(256));
    for (body, code) in [
        ("", "event_unreadable"),
        ("not json", "event_unreadable"),
        ("[]", "event_unreadable"),
        ("null", "event_unreadable"),
        ("{}", "event_unreadable"),
        (r#"{"id":"evt_1"}"#, "event_unreadable"),
        (r#"{"type":"t"}"#, "event_unreadable"),
        (r#"{"id":null,"type":"t"}"#, "event_unreadable"),
        (r#"{"id":1,"type":"t"}"#, "event_unreadable"),
        (
            r#"{"id":"evt_1","type":"t","livemode":"yes"}"#,
            "event_unreadable",
        ),
        (
            r#"{"id":"evt_1","type":"t"}{"id":"evt_2","type":"t"}"#,
            "event_unreadable",
        ),
        (r#"{"id":"evt_1","type":"t",}"#, "event_unreadable"),
        (r#"{"id":"evt_1","type":"t","x":NaN}"#, "event_unreadable"),
        (
            "\u{feff}{\"id\":\"evt_1\",\"type\":\"t\"}",
            "event_unreadable",
        ),
        (r#"{"id":"","type":"t"}"#, "event_field_odd"),
        (r#"{"id":"evt_1","type":""}"#, "event_field_odd"),
        (r#"{"id":"evt\u0000","type":"t"}"#, "event_field_odd"),
        (r#"{"id":"evt 1","type":"t"}"#, "event_field_odd"),
        (r#"{"id":"evt_é","type":"t"}"#, "event_field_odd"),
        (&long, "event_field_odd"),
    ] {
        assert_eq!(read(body).unwrap_err().code(), code, "{body}");
    }
}

#[test]
fn a_field_given_twice_is_refused() {
    for body in [
        r#"{"id":"evt_1","id":"evt_2","type":"t"}"#,
        r#"{"id":"evt_1","type":"t","livemode":true,"livemode":false}"#,
        r#"{"id":"evt_1","type":"t","data":{},"data":{}}"#,
        r#"{"id":"evt_1","type":"t","data":{"object":{"id":"a","id":"b"}}}"#,
        r#"{"id":"evt_1","type":"t","data":{"object":{"metadata":{"k":"a","k":"b"}}}}"#,
    ] {
        assert_eq!(read(body).unwrap_err().code(), "event_unreadable", "{body}");
    }
}

#[test]
fn a_refusal_does_not_quote_the_body() {
    let error = read(r#"{"id":"evt_1","type":"t","livemode":"4242424242424242"}"#).unwrap_err();
    assert!(!error.to_string().contains("4242"), "{error}");
}

#[test]
fn depth_and_escapes_do_no_harm() {
    let deep = format!(
        r#"{{"id":"evt_\u0031","type":"t","x":{}{},"data":{{"object":{{"id":"a\"b"}}}}}}"#,
        "[".repeat(5000),
        "]".repeat(5000)
    );
    let envelope = read(&deep).unwrap();
    assert_eq!(envelope.id, "evt_1");
    assert_eq!(envelope.subject.id.as_deref(), Some("a\"b"));
}

#[test]
fn a_whole_event_gives_its_object() {
    let event: Event = serde_json::from_value(json!({
        "id": "evt_1", "type": "payment_intent.succeeded", "created": 1, "livemode": false,
        "data": {"object": {"id": "pi_1", "amount": 500, "metadata": {"a": "b"}}}
    }))
    .unwrap();
    let intent: crate::object::PaymentIntent = event.read_object().unwrap();
    assert_eq!((intent.id.as_str(), intent.amount), ("pi_1", Some(500)));
    assert_eq!(event.metadata().get("a"), Some("b"));
    let bare: Event = serde_json::from_value(json!({"id": "evt_1", "type": "t"})).unwrap();
    assert!(bare.read_object::<crate::object::PaymentIntent>().is_err());
    assert_eq!(bare.metadata(), Metadata::default());
}

proptest! {
    #[test]
    fn never_panics_on_bytes(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Envelope::read(&body);
    }

    #[test]
    fn never_panics_on_cut_events(cut in 0_usize..140, byte in any::<u8>()) {
        let mut body = br#"{"id":"evt_1","type":"t","created":1,"data":{"object":{"id":"x","metadata":{"a":"b"},"payment_intent":{"id":"pi_1"}}},"livemode":true}"#.to_vec();
        if let Some(place) = body.get_mut(cut) {
            *place = byte;
        }
        let _ = Envelope::read(&body);
        let _ = Envelope::read(&body[..cut.min(body.len())]);
    }
}

#[test]
fn every_kind_of_object_is_read_from_its_delivery() {
    use crate::object::{Charge, Dispute, EarlyFraudWarning, Identified, Refund};

    fn id<T: DeserializeOwned + Identified>(kind: &str) -> String {
        let body = json!({"id": "evt_1", "type": kind, "data": {"object": {
            "id": "x_1", "payment_intent": "pi_1", "charge": "ch_1", "amount": 5, "extra": 0.5,
        }}});
        let body = serde_json::to_vec(&body).unwrap();
        let object = read_object::<T>(&body).unwrap();
        let event: Event = serde_json::from_slice(&body).unwrap();
        let listed = event.read_object::<T>().unwrap();
        assert_eq!(listed.id(), object.id());
        object.id().to_owned()
    }

    assert_eq!(id::<Refund>("refund.failed"), "x_1");
    assert_eq!(id::<Charge>("charge.refunded"), "x_1");
    assert_eq!(id::<Dispute>("charge.dispute.closed"), "x_1");
    let kind = "radar.early_fraud_warning.created";
    assert_eq!(id::<EarlyFraudWarning>(kind), "x_1");
}
