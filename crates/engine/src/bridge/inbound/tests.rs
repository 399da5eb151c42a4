mod samples;

use bursar_domain::notice::{Declined, Notice, SessionFact, Standing};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{event, notice, session_fact};

const PAYMENT: &str = "pay_01jh2v4x7q0000000000000001";

fn wrapped(kind: &str, version: &str, object: &Value) -> Value {
    json!({
        "id": "evt_1", "object": "event", "type": kind, "created": 1_767_225_600, "livemode": false,
        "api_version": version, "pending_webhooks": 2, "request": {"id": null, "idempotency_key": null},
        "data": {"object": object},
    })
}

fn said(event: &Value) -> Notice {
    said_by(&serde_json::to_vec(event).unwrap())
}

/// What an event says; what is kept of it has to say the same.
fn said_by(body: &[u8]) -> Notice {
    let said = notice(body);
    if let Ok(stored) = event(&body.into()) {
        match (notice(&stored.body), &said) {
            // The place of the mistake is another one.
            (Notice::Unreadable { .. }, Notice::Unreadable { .. }) => {}
            (kept, said) => assert_eq!(kept, *said),
        }
    }
    said
}

/// A session as we would make it, in the shape all versions share.
fn session(status: &str, payment_status: &str) -> Value {
    json!({
        "id": "cs_test_1", "object": "checkout.session", "mode": "payment", "status": status,
        "payment_status": payment_status, "amount_subtotal": 500, "amount_total": 500, "currency": "usd",
        "livemode": false, "client_reference_id": "top_x", "metadata": {"payment_id": PAYMENT, "user_id": "anna"},
        "payment_intent": "pi_1", "url": null, "created": 1_767_225_000, "expires_at": 1_767_311_400,
    })
}

/// The same with what each version adds, leaves out or writes differently.
fn in_all_versions(session: &Value) -> Vec<(&'static str, Value)> {
    let with = |more: Value| {
        let mut shaped = session.clone();
        for (name, value) in more.as_object().unwrap() {
            shaped[name] = value.clone();
        }
        shaped
    };
    let mut bare = session.clone();
    for absent in [
        "amount_subtotal",
        "client_reference_id",
        "url",
        "created",
        "expires_at",
        "mode",
    ] {
        bare.as_object_mut().unwrap().remove(absent);
    }
    vec![
        (
            "2025-03-31.basil",
            with(
                json!({"customer": null, "customer_details": {"email": "a@b.example"}, "discounts": []}),
            ),
        ),
        (
            "2025-09-30.clover",
            with(json!({
                "presentment_details": {"presentment_amount": 462, "presentment_currency": "eur"},
                "adaptive_pricing": {"enabled": true}, "customer": {"id": "cus_1", "object": "customer", "deleted": true},
            })),
        ),
        (
            "2026-07-29.dahlia",
            with(
                json!({"currency_conversion": null, "ui_mode": "hosted_page", "branding_settings": {"font": 7}}),
            ),
        ),
        (
            "2026-10-28.endive",
            with(
                json!({"managed_payments": {"enabled": false}, "something_new": [1, 2.5, {"a": null}]}),
            ),
        ),
        ("2026-10-28.endive", bare),
    ]
}

fn fact_of(notice: Notice) -> SessionFact {
    match notice {
        Notice::Session { hint, fact, read } => {
            assert!(
                !read,
                "an event that carries its session says what there is to say"
            );
            assert_eq!(hint.unwrap().as_str(), PAYMENT);
            fact
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_about_a_connected_account_is_not_ours() {
    let mut event = wrapped(
        "checkout.session.completed",
        "2025-03-31.basil",
        &session("complete", "paid"),
    );
    assert!(matches!(said(&event), Notice::Session { .. }));
    event["account"] = json!("acct_1Connected");
    assert!(matches!(said(&event), Notice::Foreign { .. }));
    event["account"] = Value::Null;
    assert!(matches!(said(&event), Notice::Session { .. }));
}

#[test]
fn a_session_reads_the_same_in_every_version() {
    for (version, session) in in_all_versions(&session("complete", "paid")) {
        let fact = fact_of(said(&wrapped(
            "checkout.session.completed",
            version,
            &session,
        )));
        let expected = SessionFact {
            session: "cs_test_1".into(),
            amount: Some(500),
            currency: Some("usd".into()),
            livemode: Some(false),
            intent: Some("pi_1".into()),
            standing: Standing::Paid,
        };
        assert_eq!(fact, expected, "{version}");
    }
}

#[test]
fn kind_and_state_together_say_how_a_session_stands() {
    let (completed, succeeded) = (
        "checkout.session.completed",
        "checkout.session.async_payment_succeeded",
    );
    let (failed, expired) = (
        "checkout.session.async_payment_failed",
        "checkout.session.expired",
    );
    for (kind, status, payment_status, standing) in [
        (completed, "complete", "paid", Standing::Paid),
        (completed, "complete", "unpaid", Standing::Unpaid),
        (completed, "complete", "something_new", Standing::Unpaid),
        (completed, "something_new", "unpaid", Standing::Unpaid),
        (succeeded, "complete", "paid", Standing::Paid),
        // Not what the kind promises: the money is credited on what the session says, never on the name of an event.
        (succeeded, "complete", "unpaid", Standing::Unpaid),
        (failed, "complete", "unpaid", Standing::Failed),
        (failed, "complete", "paid", Standing::Paid),
        (expired, "expired", "unpaid", Standing::Expired),
        (expired, "expired", "paid", Standing::Paid),
        (expired, "something_new", "unpaid", Standing::Expired),
        (
            "checkout.session.something_new",
            "open",
            "unpaid",
            Standing::Open,
        ),
        (
            "checkout.session.something_new",
            "complete",
            "paid",
            Standing::Paid,
        ),
    ] {
        let event = wrapped(kind, "2026-10-28.endive", &session(status, payment_status));
        assert_eq!(
            fact_of(said(&event)).standing,
            standing,
            "{kind} {status} {payment_status}"
        );
    }
}

#[test]
fn a_session_that_costs_nothing_is_paid_with_nothing() {
    let event = wrapped(
        "checkout.session.completed",
        "",
        &session("complete", "no_payment_required"),
    );
    let fact = fact_of(said(&event));
    assert_eq!((fact.standing, fact.amount), (Standing::Paid, Some(0)));
    let event = wrapped(
        "checkout.session.expired",
        "",
        &session("expired", "no_payment_required"),
    );
    assert_eq!(fact_of(said(&event)).standing, Standing::Expired);
}

#[test]
fn a_session_read_with_its_intent_tells_a_failed_delayed_payment() {
    for (intent, standing) in [
        (
            json!({"id": "pi_1", "object": "payment_intent", "status": "requires_payment_method"}),
            Standing::Failed,
        ),
        (
            json!({"id": "pi_1", "object": "payment_intent", "status": "canceled"}),
            Standing::Failed,
        ),
        (
            json!({"id": "pi_1", "object": "payment_intent", "status": "processing"}),
            Standing::Unpaid,
        ),
        (
            json!({"id": "pi_1", "object": "payment_intent", "status": "something_new"}),
            Standing::Unpaid,
        ),
        (json!("pi_1"), Standing::Unpaid),
        (json!(null), Standing::Unpaid),
    ] {
        let mut read = session("complete", "unpaid");
        read["payment_intent"] = intent.clone();
        let fact = session_fact(&serde_json::from_value(read).unwrap());
        assert_eq!(fact.standing, standing, "{intent}");
    }
    // While the page is open, the customer may try another card.
    let mut read = session("open", "unpaid");
    read["payment_intent"] = json!({"id": "pi_1", "status": "requires_payment_method"});
    assert_eq!(
        session_fact(&serde_json::from_value(read).unwrap()).standing,
        Standing::Open
    );
}

#[test]
fn intents_and_charges_are_a_reason_to_look() {
    let error = json!({"code": "card_declined", "decline_code": "insufficient_funds", "message": "No funds."});
    let intent = json!({
        "id": "pi_1", "object": "payment_intent", "amount": 500, "currency": "usd", "livemode": false,
        "metadata": {"payment_id": PAYMENT}, "last_payment_error": error, "status": "requires_payment_method",
    });
    let charge = |intent: Value| {
        json!({
            "id": "ch_1", "object": "charge", "amount": 500, "currency": "usd", "livemode": false,
            "payment_intent": intent, "metadata": {}, "payment_method_details": {"card": {"last4": "4242"}},
        })
    };
    let failure = Some(Declined {
        code: "insufficient_funds".to_owned(),
        message: "No funds.".to_owned(),
        advice: None,
    });
    for (kind, object, failure) in [
        ("payment_intent.payment_failed", intent.clone(), failure),
        ("payment_intent.succeeded", intent, None),
        ("charge.succeeded", charge(json!("pi_1")), None),
        (
            "charge.failed",
            charge(json!({"id": "pi_1", "object": "payment_intent", "amount": 500})),
            None,
        ),
    ] {
        let Notice::Intent { fact, .. } = said(&wrapped(kind, "2026-10-28.endive", &object)) else {
            panic!("{kind}");
        };
        let money = (fact.amount, fact.currency.as_deref(), fact.livemode);
        assert_eq!(
            (fact.intent.as_str(), money),
            ("pi_1", (Some(500), Some("usd"), Some(false))),
            "{kind}"
        );
        assert_eq!(fact.failure, failure, "{kind}");
    }
    let without = said(&wrapped("charge.succeeded", "", &charge(json!(null))));
    assert!(matches!(without, Notice::Foreign { .. }), "{without:?}");
}

#[test]
fn a_failed_attempt_without_details_is_still_one() {
    let mut intent = json!({"id": "pi_1", "object": "payment_intent", "last_payment_error": {}});
    let failure = |intent: &Value| match said(&wrapped("payment_intent.payment_failed", "", intent))
    {
        Notice::Intent { fact, .. } => fact.failure,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        failure(&intent),
        Some(Declined {
            code: "payment_failed".into(),
            message: String::new(),
            advice: None,
        })
    );
    intent["last_payment_error"] = json!(null);
    assert_eq!(failure(&intent), None);
}

#[test]
fn thin_events_name_a_session_to_be_read() {
    let thin = |kind: &str, object: Value| {
        json!({"id": "evt_2", "object": "v2.core.event", "type": kind, "created": "2026-01-01T00:00:00.000Z",
               "livemode": true, "related_object": object})
    };
    let event = thin(
        "v1.checkout.session.completed",
        json!({"id": "cs_live_1", "type": "checkout.session", "url": "/v1/x"}),
    );
    let Notice::Session { hint, fact, read } = said(&event) else {
        panic!("not a session");
    };
    assert!(read && hint.is_none());
    assert_eq!(
        (fact.session.as_str(), fact.standing, fact.amount),
        ("cs_live_1", Standing::Open, None)
    );
    assert_eq!(fact.livemode, Some(true));

    let intent = thin(
        "v1.payment_intent.succeeded",
        json!({"id": "pi_1", "type": "payment_intent"}),
    );
    assert!(matches!(said(&intent), Notice::Foreign { .. }));
    let nothing = thin("v1.checkout.session.completed", json!(null));
    assert!(matches!(said(&nothing), Notice::Unreadable { .. }));
}

#[test]
fn other_kinds_are_not_ours() {
    for kind in [
        "customer.created",
        "charge.expired",
        "invoice.paid",
        "checkout",
        "x",
    ] {
        let notice = said(&wrapped(
            kind,
            "",
            &json!({"id": "x_1", "object": "x", "name": "Anna"}),
        ));
        assert!(
            matches!(notice, Notice::Foreign { .. }),
            "{kind} {notice:?}"
        );
    }
}

/// Passed over in silence it would be money that nobody misses.
#[test]
fn a_kind_of_ours_that_carries_something_else_cannot_be_read() {
    for kind in [
        "checkout.session.completed",
        "payment_intent.succeeded",
        "charge.captured",
        "charge.refunded",
        "charge.refund.updated",
        "refund.failed",
        "charge.dispute.created",
        "radar.early_fraud_warning.created",
    ] {
        for object in [
            json!({"id": "x_1", "object": "x"}),
            json!({}),
            json!(null),
            json!([1]),
        ] {
            let notice = said(&wrapped(kind, "", &object));
            assert!(
                matches!(notice, Notice::Unreadable { .. }),
                "{kind} {notice:?}"
            );
        }
    }
}

/// Each body is refused for a reason that does not repeat what stands in it.
#[test]
fn what_cannot_be_read_says_why_and_nothing_personal() {
    let mut wrong = vec![
        b"".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"{".to_vec(),
        b"\xff\xfe{}".to_vec(),
        br#"{"type":"checkout.session.completed"}"#.to_vec(),
        br#"{"id":"evt_1","id":"evt_2","type":"x","data":{}}"#.to_vec(),
        br#"{"id":7,"type":"checkout.session.completed"}"#.to_vec(),
        br#"{"id":"","type":"checkout.session.completed"}"#.to_vec(),
        br#"{"id":"evt_1","type":"checkout.session.completed"}"#.to_vec(),
        br#"{"id":"evt_1","type":"checkout.session.completed","data":null}"#.to_vec(),
        br#"{"id":"evt_1","type":"payment_intent.succeeded","data":{"object":"Anna"}}"#.to_vec(),
        format!(
            r#"{{"id":"evt_1","type":"checkout.session.completed","data":{{"object":
                {{"id":"cs_1","object":"checkout.session","payment_intent":{}{}}}}}}}"#,
            "[".repeat(5_000),
            "]".repeat(5_000)
        )
        .into_bytes(),
    ];
    for (field, value) in [
        ("amount_total", json!("500")),
        ("amount_total", json!(500.5)),
        ("amount_total", json!(1e30)),
        ("amount_total", json!(["Anna"])),
        ("currency", json!(7)),
        ("livemode", json!("false")),
        ("id", json!(null)),
        ("id", json!({"name": "Anna"})),
        ("payment_intent", json!(12)),
        ("metadata", json!({"payment_id": 3})),
    ] {
        let mut session = session("complete", "paid");
        session[field] = value;
        session["customer_details"] = json!({"name": "Anna"});
        let event = wrapped("checkout.session.completed", "2026-10-28.endive", &session);
        wrong.push(serde_json::to_vec(&event).unwrap());
    }
    for body in wrong {
        let shown = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
        match said_by(&body) {
            Notice::Unreadable { why } => {
                assert!(
                    !why.is_empty() && why.len() < 200 && !why.contains("Anna"),
                    "{shown}: {why}"
                );
            }
            other => panic!("{shown}: {other:?}"),
        }
    }
}

#[test]
fn an_event_is_stored_by_its_envelope() {
    let body = serde_json::to_vec(&wrapped(
        "checkout.session.completed",
        "2026-10-28.endive",
        &session("open", "unpaid"),
    ));
    let body: std::sync::Arc<[u8]> = body.unwrap().into();
    let stored = event(&body).unwrap();
    let text = (
        stored.id.as_str(),
        stored.kind.as_str(),
        stored.object.as_str(),
        stored.api_version.as_str(),
    );
    assert_eq!(
        text,
        (
            "evt_1",
            "checkout.session.completed",
            "cs_test_1",
            "2026-10-28.endive"
        )
    );
    assert_eq!((stored.created, stored.livemode), (1_767_225_600, false));
    assert!(stored.body.len() < body.len());

    let thin = br#"{"id":"evt_3","object":"v2.core.event","type":"v1.checkout.session.expired","livemode":true,
        "created":"2026-01-01T00:00:00Z","related_object":{"id":"cs_live_9","type":"checkout.session"}}"#;
    let stored = event(&thin.to_vec().into()).unwrap();
    assert_eq!(
        (stored.kind.as_str(), stored.object.as_str()),
        ("checkout.session.expired", "cs_live_9")
    );
    assert_eq!((stored.created, stored.livemode), (1_767_225_600, true));
    assert!(event(&b"garbage".to_vec().into()).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_it_stumble(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let is_unreadable = matches!(notice(&bytes), Notice::Unreadable { .. });
        prop_assert!(is_unreadable);
    }

    #[test]
    fn no_value_in_a_place_of_ours_makes_it_stumble(
        field in prop::sample::select(vec!["id", "object", "amount_total", "currency", "livemode", "metadata", "payment_intent", "status"]),
        value in prop::sample::select(vec![json!(null), json!(-1), json!(""), json!("x"), json!([]), json!({}), json!(true), json!(1.5)]),
    ) {
        let mut session = session("complete", "paid");
        session[field] = value.clone();
        let notice = said(&wrapped("checkout.session.completed", "2026-10-28.endive", &session));
        if let Notice::Session { fact, .. } = notice {
            // Whatever could be read as paid is read with the amount that stands there, or with none.
            let amount = if field == "amount_total" { value.as_i64() } else { Some(500) };
            prop_assert_eq!(fact.amount, amount);
        }
    }
}
