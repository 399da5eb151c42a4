//! Many charges in one request: each for itself, or all or none.

use bursar_domain::id::{GrantId, TransactionId};
use serde_json::{Value, json};

use crate::door::{BATCH, CHARGE, Door, LIMIT, TODAY};

fn charge(key: &str, user: &str, credits: i64) -> Value {
    json!({"idempotency_key": key, "user_id": user, "credits": credits})
}

fn insufficient(available: i64, missing: i64) -> Value {
    json!({"error": {
        "type": "card_error", "code": "insufficient_credits", "param": "credits",
        "message": format!("the wallet has {available} available, {missing} too few"),
        "available": available, "missing": missing,
    }})
}

#[tokio::test]
async fn charges_of_a_batch_are_made_and_refused_each_for_itself() {
    let door = Door::open_with(&[("BURSAR_ACTIONS", "picture=10")]).await;
    door.grant("u1", 100).await;
    door.grant("u2", 5).await;
    let mut action = charge("c3", "u1", 1);
    action.as_object_mut().unwrap().shift_remove("credits");
    action["action"] = "picture".into();
    let body = json!({"charges": [
        charge("c1", "u1", 60), charge("c2", "u2", 6), action, charge("c4", "u1", 31), charge("c5", "u2", 5),
    ]});
    let answer = door.post(BATCH, body).await.ok();
    let made = |number: i64, grant: i64, user: &str, credits: i64, after: i64| {
        json!({
            "charge_id": TransactionId::of(number).to_string(), "user_id": user, "credits": credits, "unit": "credit",
            "grants": [{"grant_id": GrantId::of(grant).to_string(), "credits": credits}],
            "debt": 0, "balance_after": after, "created_at": TODAY,
        })
    };
    let items = json!([
        made(3, 1, "u1", 60, 40),
        insufficient(5, 1),
        made(4, 1, "u1", 10, 30),
        insufficient(30, 1),
        made(5, 2, "u2", 5, 0),
    ]);
    assert_eq!(answer, json!({"items": items, "made": 3, "refused": 2}));
}

#[tokio::test]
async fn of_an_atomic_batch_nothing_is_done_if_one_charge_is_refused() {
    let door = Door::open().await;
    door.grant("u1", 100).await;
    let before = door.everything().await;
    let body = |last: i64| {
        json!({
            "atomic": true,
            "charges": [charge("c1", "u1", 60), charge("c2", "u1", 39), charge("c3", "u1", last)],
        })
    };
    let refused = door.post_once(BATCH, "b1", body(2)).await;
    assert_eq!(refused.status, 402);
    assert_eq!(
        refused.error(),
        json!({
            "type": "card_error", "code": "insufficient_credits", "param": "charges",
            "message": "nothing of the batch was done: charge 2 was refused: the wallet has 1 available, 1 too few",
            "position": 2, "available": 1, "missing": 1,
        })
    );
    assert_eq!(door.everything().await, before);
    // What was undone does not count as asked before: the keys are as good as new.
    let made = door.post_once(BATCH, "b2", body(1)).await.ok();
    assert_eq!((&made["made"], &made["refused"]), (&json!(3), &json!(0)));
    assert!(made["items"][0].get("replayed").is_none(), "{made}");
    assert_eq!(door.wallet("u1").await["credits"], 0);
    // The first batch was refused under its own key, and is again.
    let again = door.post_once(BATCH, "b1", body(2)).await;
    again.refused(402, "insufficient_credits", Some("charges"));
}

#[tokio::test]
async fn an_atomic_batch_undoes_everything_that_its_charges_touched() {
    let door = Door::open_with(&[("BURSAR_BALANCE_LOW", "50")]).await;
    for user in ["u1", "u2", "u2"] {
        door.grant(user, 60).await;
    }
    for subject in [
        json!({"label": "red"}),
        json!({"api_key": "k-7"}),
        json!({"user_id": "u1"}),
    ] {
        let mut limit = subject;
        limit["credits"] = 100.into();
        limit["period"] = "day".into();
        door.post(LIMIT, limit).await.ok();
    }
    let before = door.everything().await;
    // Below the threshold, to the end of a grant, into debt, up to a limit, and a wallet that was not there.
    let mut touching = [
        charge("c1", "u1", 20),
        charge("c2", "u2", 70),
        charge("c3", "u3", 10),
        charge("c4", "u1", 80),
    ];
    for one in &mut touching {
        one["allow_debt"] = true.into();
        one["api_key"] = "k-1".into();
    }
    touching[3]["labels"] = json!(["red"]);
    let mut charges = touching.to_vec();
    charges.push(charge("c5", "u9", 1));
    let batch = |charges: &[Value]| json!({"atomic": true, "charges": charges});
    let refused = door.post(BATCH, batch(&charges)).await;
    refused.refused(402, "insufficient_credits", Some("charges"));
    assert_eq!(refused.error()["position"], 4);
    assert_eq!(door.everything().await, before);
    assert_eq!(door.wallet("u3").await, Value::Null);
    // Nothing of it comes up later either.
    let door = door.reopen().await;
    assert_eq!(door.everything().await, before);
    let made = door.post(BATCH, batch(&touching)).await.ok();
    assert_eq!((&made["made"], &made["refused"]), (&json!(4), &json!(0)));
    let events = door.items("/v1/balance/events").await;
    let kinds: Vec<&Value> = events.iter().map(|event| &event["type"]).collect();
    assert_eq!(
        kinds,
        [
            "balance.low",
            "balance.negative",
            "balance.negative",
            "limit.reached"
        ]
    );
}

#[tokio::test]
async fn an_atomic_batch_names_whatever_refuses_it() {
    let door = Door::open().await;
    door.grant("u1", 100).await;
    let limit = json!({"label": "red", "credits": 10, "period": "ever"});
    let limit = door.post(LIMIT, limit).await.ok();
    let atomic =
        |second: Value| json!({"atomic": true, "charges": [charge("c1", "u1", 1), second]});
    let mut labelled = charge("c2", "u1", 11);
    labelled["labels"] = json!(["red"]);
    let limited = door.post(BATCH, atomic(labelled)).await;
    limited.refused(402, "spending_limit_reached", Some("charges"));
    let error = limited.error();
    assert_eq!(
        (&error["position"], &error["limit_id"]),
        (&json!(1), &limit["limit_id"])
    );
    let twice = door.post(BATCH, atomic(charge("c1", "u1", 2))).await;
    twice.refused(409, "idempotency_key_reused", Some("charges"));
    let error = twice.error();
    assert_eq!(
        (&error["type"], &error["position"]),
        (&json!("idempotency_error"), &json!(1))
    );
    let mut action = charge("c3", "u1", 1);
    action.as_object_mut().unwrap().shift_remove("credits");
    action["action"] = "picture".into();
    let unknown = door.post(BATCH, atomic(action)).await;
    unknown.refused(400, "action_unknown", Some("charges"));
    assert_eq!(door.wallet("u1").await["credits"], 100);
}

#[tokio::test]
async fn the_same_key_twice_in_a_batch_is_one_charge() {
    let door = Door::open().await;
    door.grant("u1", 100).await;
    for atomic in [false, true] {
        let key = format!("c-{atomic}");
        let twice = charge(&key, "u1", 7);
        let answer = door
            .post(BATCH, json!({"atomic": atomic, "charges": [twice, twice]}))
            .await;
        let answer = answer.ok();
        let (first, mut second) = (answer["items"][0].clone(), answer["items"][1].clone());
        let replayed = second.as_object_mut().unwrap().shift_remove("replayed");
        assert_eq!(replayed, Some(json!(true)));
        assert_eq!(first, second);
        assert_eq!(
            (&answer["made"], &answer["refused"]),
            (&json!(2), &json!(0))
        );
    }
    let different = json!({"charges": [charge("c9", "u1", 1), charge("c9", "u1", 2)]});
    let answer = door.post(BATCH, different).await.ok();
    assert_eq!(
        answer["items"][1],
        json!({"error": {
            "type": "idempotency_error", "code": "idempotency_key_reused",
            "message": "this idempotency key was used for a different request: use a new key for a new request",
        }})
    );
    assert_eq!(door.wallet("u1").await["credits"], 100 - 7 - 7 - 1);
}

#[tokio::test]
async fn a_charge_has_the_same_key_alone_and_in_a_batch() {
    let door = Door::open().await;
    door.grant("u1", 100).await;
    let alone = door.post(CHARGE, charge("c1", "u1", 3)).await.ok();
    let batch = json!({"charges": [charge("c1", "u1", 3), charge("c2", "u1", 4)]});
    let batch = door.post_once(BATCH, "b1", batch).await.ok();
    let mut repeated = batch["items"][0].clone();
    assert_eq!(repeated["replayed"], true);
    repeated.as_object_mut().unwrap().shift_remove("replayed");
    assert_eq!(repeated, alone);
    // The other way round, and with the key in the header.
    let again = door
        .post_once(CHARGE, "c2", json!({"credits": 4, "user_id": "u1"}))
        .await;
    assert!(again.is_replayed());
    assert_eq!(again.ok(), batch["items"][1]);
    let other = door.post(CHARGE, charge("c2", "u1", 5)).await;
    other.refused(409, "idempotency_key_reused", None);
    // The key of the batch itself is no key of a charge.
    door.post(CHARGE, charge("b1", "u1", 5)).await.ok();
    assert_eq!(door.wallet("u1").await["credits"], 100 - 3 - 4 - 5);
}

#[tokio::test]
async fn a_thousand_charges_are_a_batch_and_one_more_are_not() {
    let door = Door::open().await;
    door.grant("u1", 2_000).await;
    let charges = |many: usize| -> Vec<Value> {
        let one = |number| {
            let mut one = charge(&format!("c{number}"), "u1", 1);
            one["note"] = "x".repeat(500).into();
            one["ref"] = "y".repeat(200).into();
            one
        };
        (0..many).map(one).collect()
    };
    let many = door.post(BATCH, json!({"charges": charges(1_001)})).await;
    many.refused(400, "parameter_invalid", Some("charges"));
    assert_eq!(
        many.message(),
        "`charges` must be a list of 1 to 1000 charges"
    );
    let none = door.post(BATCH, json!({"charges": []})).await;
    none.refused(400, "parameter_invalid", Some("charges"));
    let body = json!({"charges": charges(1_000)}).to_string();
    assert!(body.len() > 700_000, "{}", body.len());
    let made = door.post_text(BATCH, &body, &[]).await.ok();
    assert_eq!(
        (&made["made"], &made["refused"]),
        (&json!(1_000), &json!(0))
    );
    assert_eq!(made["items"][999]["balance_after"], 1_000);
    let again = door
        .post_text(BATCH, &body, &[("idempotency-key", "b1")])
        .await;
    assert!(!again.is_replayed());
    assert_eq!(again.ok()["items"][0]["replayed"], true);
    let again = door
        .post_text(BATCH, &body, &[("idempotency-key", "b1")])
        .await;
    assert!(again.is_replayed());
    assert_eq!(door.wallet("u1").await["credits"], 1_000);
}

#[tokio::test]
async fn a_mistake_in_a_batch_is_told_with_its_position() {
    let door = Door::open().await;
    door.grant("u1", 100).await;
    let before = door.everything().await;
    let mistakes = [
        (json!(5), "parameter_invalid", "charges[1]"),
        (
            json!([charge("c2", "u1", 1)]),
            "parameter_invalid",
            "charges[1]",
        ),
        (json!(null), "parameter_invalid", "charges[1]"),
        (
            json!({"user_id": "u1", "credits": 1}),
            "parameter_missing",
            "charges[1].idempotency_key",
        ),
        (
            json!({"idempotency_key": "c2", "credits": 1}),
            "parameter_missing",
            "charges[1].user_id",
        ),
        (
            json!({"idempotency_key": "c2", "user_id": "u1"}),
            "parameter_missing",
            "charges[1].credits",
        ),
        (
            charge("c2", "u1", 0),
            "parameter_invalid",
            "charges[1].credits",
        ),
        (
            charge("c 2", "u1", 1),
            "parameter_invalid",
            "charges[1].idempotency_key",
        ),
        (
            json!({"idempotency_key": "c2", "user_id": "u1", "credits": 1, "atomic": true}),
            "parameter_unknown",
            "charges[1].atomic",
        ),
        (
            json!({"idempotency_key": "c2", "user_id": "u1", "credits": 1, "note": "4242424242424242"}),
            "card_number_refused",
            "charges[1].note",
        ),
    ];
    for (wrong, code, param) in mistakes {
        let body = json!({"charges": [charge("c1", "u1", 1), wrong, charge("c3", "u1", 1)]});
        let answer = door.post(BATCH, body).await;
        answer.refused(400, code, Some(param));
        assert!(
            answer.message().starts_with("charge 1: "),
            "{}",
            answer.message()
        );
    }
    assert_eq!(door.everything().await, before);
}
