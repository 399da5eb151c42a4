//! B: events with a genuine signature that say what is not so. Whoever has the signing secret is Stripe; what must hold even then is
//! that nothing is credited but what our own payment says.

use serde_json::{Value, json};

use crate::world::{World, assert_answered};

/// A change to the event that says a checkout was paid, and what becomes of it: its status, and how the reason begins.
type Change = (&'static str, fn(&mut Value), &'static str, &'static str);

fn object(event: &mut Value) -> &mut Value {
    &mut event["data"]["object"]
}

/// Events that must credit nothing.
#[rustfmt::skip]
const WRONG: &[Change] = &[
    ("B01 real money", |e| { e["livemode"] = true.into(); object(e)["livemode"] = true.into(); }, "quarantined", "livemode_mismatch"),
    ("B02 another account's", |e| e["account"] = "acct_1Foreign".into(), "ignored", ""),
    ("B03 a type that does not exist", |e| e["type"] = "checkout.completed".into(), "ignored", ""),
    ("B03 another type", |e| e["type"] = "customer.created".into(), "ignored", ""),
    ("B05 complete and not paid", |e| object(e)["payment_status"] = "unpaid".into(), "applied", ""),
    ("B06 failed in the end", |e| { e["type"] = "checkout.session.async_payment_failed".into(); object(e)["payment_status"] = "unpaid".into(); }, "applied", ""),
    ("B08 nothing to pay", |e| { object(e)["payment_status"] = "no_payment_required".into(); object(e)["amount_total"] = 0.into(); }, "quarantined", "amount_mismatch"),
    ("B08 nothing to pay, and no amount", |e| { object(e)["payment_status"] = "no_payment_required".into(); object(e)["amount_total"] = Value::Null; }, "quarantined", "amount_mismatch"),
    ("B09 a cent less", |e| object(e)["amount_total"] = 499.into(), "quarantined", "amount_mismatch"),
    ("B09 a cent more", |e| object(e)["amount_total"] = 501.into(), "quarantined", "amount_mismatch"),
    ("B09 no amount", |e| object(e)["amount_total"] = Value::Null, "quarantined", "amount_mismatch"),
    ("B10 another currency", |e| object(e)["currency"] = "jpy".into(), "quarantined", "currency_mismatch"),
    ("B10 no currency of this world", |e| object(e)["currency"] = "xxx".into(), "quarantined", "currency_mismatch"),
    ("B10 a coin", |e| object(e)["currency"] = "usdc".into(), "quarantined", "currency_mismatch"),
    ("B10 no currency", |e| object(e)["currency"] = Value::Null, "quarantined", "currency_mismatch"),
    ("B11 a session that we do not have, with the metadata of ours", |e| object(e)["id"] = "cs_test_unknown".into(), "quarantined", "session_mismatch"),
    ("B20 a zero byte in the session", |e| object(e)["id"] = "cs_test_\u{0}".into(), "quarantined", "session_mismatch"),
    ("B20 a zero byte in the version, and a cent less", |e| { e["api_version"] = "2026\u{0}".into(); object(e)["amount_total"] = 499.into(); }, "quarantined", "amount_mismatch"),
    ("B21 a negative amount", |e| object(e)["amount_total"] = (-500).into(), "quarantined", "amount_mismatch"),
    ("B21 zero", |e| object(e)["amount_total"] = 0.into(), "quarantined", "amount_mismatch"),
    ("B21 a fraction", |e| object(e)["amount_total"] = 500.5.into(), "failed", "cannot be read"),
    ("B21 a text", |e| object(e)["amount_total"] = "500".into(), "failed", "cannot be read"),
    ("B21 more than there is", |e| object(e)["amount_total"] = 9_223_372_036_854_775_808_u64.into(), "failed", "cannot be read"),
    ("B21 a list", |e| object(e)["amount_total"] = json!([500]), "failed", "cannot be read"),
    ("B19 an object of another kind", |e| object(e)["object"] = "customer".into(), "failed", "checkout.session.completed carries customer"),
];

/// What says nothing. Without an id or a type it is no event and is refused, and Stripe shows that; all else is kept and marked as failed.
#[rustfmt::skip]
const NONE: &[(&str, fn(&mut Value), &str)] = &[
    ("B19 no object", |e| { e["data"].as_object_mut().unwrap().remove("object"); }, ""),
    ("B19 no data", |e| e["data"] = Value::Null, ""),
    ("B19 a list as object", |e| e["data"]["object"] = json!([]), ""),
    ("B19 a text as object", |e| e["data"]["object"] = "cs_test_1".into(), ""),
    ("B19 null as object", |e| e["data"]["object"] = Value::Null, ""),
    ("B20 no id", |e| { e.as_object_mut().unwrap().remove("id"); }, "event_malformed"),
    ("B20 an empty id", |e| e["id"] = "".into(), "event_malformed"),
    ("B20 an id of 10 KiB", |e| e["id"] = format!("evt_{}", "x".repeat(10_240)).into(), "event_malformed"),
    ("B20 a zero byte in the id", |e| e["id"] = "evt_a\u{0}b".into(), "event_malformed"),
    ("B20 a number as id", |e| e["id"] = 5.into(), "event_malformed"),
    ("B20 no type", |e| { e.as_object_mut().unwrap().remove("type"); }, "event_malformed"),
];

pub(crate) fn attack(world: &World) {
    let (_, completed) = world.paid("anna", 500);
    for (number, (case, change, status, reason)) in WRONG.iter().enumerate() {
        let before = world.books();
        let id = format!("evt_wrong_{number}");
        let mut event = completed.clone();
        event["id"] = id.clone().into();
        change(&mut event);
        assert_answered(case, &world.deliver(&event.to_string()), (200, ""));
        let settled = world.settled(&id);
        assert_eq!(settled.0, *status, "{case}: {settled:?}");
        assert!(settled.1.starts_with(reason), "{case}: {settled:?}");
        assert_eq!(world.credits("anna"), 0, "{case}");
        if *status == "applied" {
            // The payment knows more of itself.
            world.assert_unharmed(case);
        } else {
            world.assert_untouched(case, &before);
        }
    }
    for (number, (case, change, code)) in NONE.iter().enumerate() {
        let before = world.books();
        let mut event = completed.clone();
        event["id"] = format!("evt_none_{number}").into();
        change(&mut event);
        let answer = world.deliver(&event.to_string());
        if code.is_empty() {
            assert_answered(case, &answer, (200, ""));
            assert_eq!(
                world.settled(&format!("evt_none_{number}")).0,
                "failed",
                "{case}"
            );
        } else {
            assert_answered(case, &answer, (400, code));
        }
        assert_eq!(world.credits("anna"), 0, "{case}");
        world.assert_untouched(case, &before);
    }
    // After all of that the truth is still taken, and once.
    for _ in 0..2 {
        world.deliver(&completed.to_string()).ok();
    }
    world.settled(completed["id"].as_str().unwrap());
    assert_eq!(world.credits("anna"), 500, "B: the genuine event");
    orders(world);
    strangers(world);
    versions(world);
}

/// The same event about another moment.
fn again(event: &Value, id: &str, change: impl Fn(&mut Value)) -> Value {
    let mut event = event.clone();
    event["id"] = id.into();
    change(&mut event);
    event
}

/// Delivers all of them, and waits until they are worked off.
fn tell(world: &World, events: &[&Value]) {
    for event in events {
        world.deliver(&event.to_string()).ok();
    }
    for event in events {
        world.settled(event["id"].as_str().unwrap());
    }
}

/// In whatever order it is said, paid wins and gives once.
fn orders(world: &World) {
    let kinds: [(&str, &str); 5] = [
        ("checkout.session.completed", "unpaid"),
        ("checkout.session.async_payment_failed", "unpaid"),
        ("checkout.session.expired", "unpaid"),
        ("checkout.session.async_payment_succeeded", "paid"),
        ("checkout.session.completed", "paid"),
    ];
    for (number, order) in [
        [0, 1, 2, 3, 4],
        [4, 3, 2, 1, 0],
        [3, 1, 4, 2, 0],
        [2, 4, 1, 3, 0],
    ]
    .iter()
    .enumerate()
    {
        let case = format!("B07 B15 B16 order {order:?}");
        let user = format!("order{number}");
        let (payment, completed) = world.paid(&user, 500);
        let events: Vec<Value> = order
            .iter()
            .map(|kind| {
                let (name, standing) = kinds[*kind];
                again(&completed, &format!("evt_{user}_{kind}"), |event| {
                    event["type"] = name.into();
                    object(event)["payment_status"] = standing.into();
                    if name.ends_with("expired") {
                        object(event)["status"] = "expired".into();
                    }
                })
            })
            .collect();
        tell(world, &events.iter().collect::<Vec<_>>());
        assert_eq!(world.credits(&user), 500, "{case}");
        let path = format!(
            "/v1/payment.stripe/payments/{}",
            payment["payment_id"].as_str().unwrap()
        );
        assert_eq!(
            world.get(&world.admin, &path).ok()["status"],
            "paid",
            "{case}"
        );
        world.assert_unharmed(&case);
    }
}

/// What an event says about others than the payment whose session it names.
fn strangers(world: &World) {
    let (bert, completed) = world.paid("bert", 500);
    let (_, other) = world.paid("carl", 700);
    // B12, B14: metadata is looked at only where the session is not known, and never for whom to credit.
    let told = again(&completed, "evt_stranger", |event| {
        object(event)["metadata"] = other["data"]["object"]["metadata"].clone();
        object(event)["metadata"]["user_id"] = "carl".into();
        object(event)["client_reference_id"] = "carl".into();
    });
    tell(world, &[&told]);
    assert_eq!(
        (world.credits("bert"), world.credits("carl")),
        (500, 0),
        "B12 B14"
    );
    // B13: the payment intent of the payment before.
    let intent = object(&mut completed.clone())["payment_intent"].clone();
    let told = again(&other, "evt_taken", |event| {
        object(event)["payment_intent"] = intent.clone();
    });
    tell(world, &[&told]);
    assert!([0, 700].contains(&world.credits("carl")), "B13");
    assert_eq!(world.credits("bert"), 500, "B13");
    world.assert_unharmed("B13");
    // B11: a session of nobody, which says that it is bert's payment.
    let before = world.books();
    let mut nobody = again(&completed, "evt_nobody", |event| {
        object(event)["id"] = "cs_test_nobody".into();
    });
    object(&mut nobody)["metadata"]["payment_id"] = bert["payment_id"].clone();
    tell(world, &[&nobody]);
    world.assert_untouched("B11", &before);
    // B04: a thin event, as newer endpoints get them.
    let thin = json!({
        "id": "evt_thin", "object": "v2.core.event", "type": "v1.checkout.session.completed", "livemode": false,
        "created": "2026-11-26T12:00:00.000Z", "context": null,
        "related_object": {"id": "cs_test_nobody", "type": "checkout.session", "url": "/v1/checkout/sessions/cs_test_nobody"},
    });
    tell(world, &[&thin]);
    world.assert_unharmed("B04");
    assert_eq!(
        (world.credits("bert"), world.credits("nobody")),
        (500, 0),
        "B04"
    );
}

/// B22: the same fact in the words of other versions.
fn versions(world: &World) {
    for (number, version) in [
        "2019-05-16",
        "2022-11-15",
        "2026-10-28.endive",
        "2031-01-01.unknown",
    ]
    .iter()
    .enumerate()
    {
        let user = format!("version{number}");
        let (_, completed) = world.paid(&user, 500);
        let told = again(&completed, &format!("evt_{user}"), |event| {
            event["api_version"] = (*version).into();
            event["something_new"] = json!({"nested": [1, 2, {"deep": null}]});
            object(event)["another"] = json!([[]]);
        });
        tell(world, &[&told]);
        assert_eq!(world.credits(&user), 500, "B22 {version}");
        world.assert_unharmed("B22");
    }
}
