//! Spending limits: set, reached, listed, taken away.

use bursar_domain::id::LimitId;
use serde_json::{Value, json};

use crate::door::{CHARGE, Door, EXTEND, HOLD, LIMIT, SETTLE, TODAY};

const REMOVE: &str = "/v1/balance/limits/remove";

fn id(number: i64) -> String {
    LimitId::of(number).to_string()
}

/// A limit with nothing spent, with these fields changed.
fn limit(number: i64, changed: &[(&str, Value)]) -> Value {
    let mut limit = json!({
        "limit_id": id(number), "user_id": null, "api_key": null, "label": null, "period": "ever", "credits": 50,
        "used": 0, "reserved": 0, "left": 50, "unit": "credit", "resets_at": null, "created_at": TODAY,
        "updated_at": TODAY,
    });
    for (name, value) in changed {
        limit[*name] = value.clone();
    }
    limit
}

#[tokio::test]
async fn a_limit_is_about_one_spender_and_one_period() {
    let door = Door::open().await;
    let periods = [
        ("day", json!("2027-01-16T00:00:00Z")),
        ("week", json!("2027-01-18T00:00:00Z")),
        ("month", json!("2027-02-01T00:00:00Z")),
        ("ever", Value::Null),
    ];
    let mut number = 0;
    for subject in ["user_id", "api_key", "label"] {
        for (period, resets_at) in &periods {
            number += 1;
            let body = json!({subject: "x", "period": period, "credits": 50});
            let expected = limit(
                number,
                &[
                    (subject, json!("x")),
                    ("period", json!(period)),
                    ("resets_at", resets_at.clone()),
                ],
            );
            assert_eq!(door.post(LIMIT, body).await.ok(), expected);
        }
    }
    let of_label = door.items("/v1/balance/limits?label=x").await;
    assert_eq!(of_label.len(), 4);
    assert!(of_label.iter().all(|limit| limit["label"] == "x"));
    assert_eq!(door.items("/v1/balance/limits").await.len(), 12);
    assert_eq!(door.items("/v1/balance/limits?label=y").await.len(), 0);
    // The same subject, period and unit: the same limit with another amount.
    let body = json!({"label": "x", "period": "day", "credits": 7});
    let set = door.post(LIMIT, body).await.ok();
    assert_eq!(
        (&set["limit_id"], &set["credits"]),
        (&json!(id(9)), &json!(7))
    );
    let money = json!({"label": "x", "period": "day", "amount": 7, "unit": "eur"});
    let set = door.post(LIMIT, money).await.ok();
    assert_eq!(
        (&set["limit_id"], &set["unit"]),
        (&json!(id(13)), &json!("eur"))
    );
}

#[tokio::test]
async fn a_limit_that_is_reached_refuses_and_says_which_and_until_when() {
    let door = Door::open().await;
    door.grant("u1", 1_000).await;
    let set = json!({"user_id": "u1", "period": "day", "credits": 50});
    door.post(LIMIT, set).await.ok();
    door.charge("c1", "u1", 30).await.ok();
    let refused = door.charge("c2", "u1", 21).await;
    assert_eq!(refused.status, 402);
    assert_eq!(
        refused.error(),
        json!({
            "type": "card_error", "code": "spending_limit_reached", "param": "credits",
            "message": "the limit of user u1 allows 50 a day; 30 are used, and 21 more would exceed it; it resets at \
                        2027-01-16T00:00:00Z",
            "limit_id": id(1), "limit": 50, "used": 30, "resets_at": "2027-01-16T00:00:00Z",
        })
    );
    let held = door
        .post(HOLD, json!({"user_id": "u1", "credits": 21}))
        .await;
    held.refused(402, "spending_limit_reached", Some("credits"));
    door.charge("c3", "u1", 20).await.ok();
    let listed = door.items("/v1/balance/limits?user_id=u1").await;
    let spent = limit(
        1,
        &[
            ("user_id", json!("u1")),
            ("period", json!("day")),
            ("used", json!(50)),
            ("left", json!(0)),
            ("resets_at", json!("2027-01-16T00:00:00Z")),
        ],
    );
    assert_eq!(listed, [spent]);
    // At midnight it begins again.
    door.later(16 * 3_600);
    let listed = door.items("/v1/balance/limits?user_id=u1").await;
    assert_eq!(
        (&listed[0]["used"], &listed[0]["resets_at"]),
        (&json!(0), &json!("2027-01-17T00:00:00Z"))
    );
    door.charge("c4", "u1", 50).await.ok();
}

#[tokio::test]
async fn keys_and_labels_have_limits_whoever_pays() {
    let door = Door::open().await;
    door.grant("u1", 1_000).await;
    door.grant("u2", 1_000).await;
    for body in [
        json!({"api_key": "k-7", "period": "ever", "credits": 10}),
        json!({"label": "red", "period": "ever", "credits": 20}),
    ] {
        door.post(LIMIT, body).await.ok();
    }
    let mut number = 0;
    let mut spend = async |user: &str, credits: i64, by: Value| {
        number += 1;
        let mut body = by;
        body["user_id"] = user.into();
        body["credits"] = credits.into();
        door.post_once(CHARGE, &format!("c{number}"), body).await
    };
    spend("u1", 6, json!({"api_key": "k-7", "labels": ["red"]}))
        .await
        .ok();
    let by_key = spend("u2", 5, json!({"api_key": "k-7"})).await;
    let error = by_key.error();
    assert_eq!(
        (&error["code"], &error["limit_id"], &error["resets_at"]),
        (
            &json!("spending_limit_reached"),
            &json!(id(1)),
            &Value::Null
        )
    );
    assert_eq!(
        by_key.message(),
        "the limit of api_key k-7 allows 10 in all; 6 are used, and 5 more would exceed it"
    );
    // A label given twice counts once.
    spend("u2", 14, json!({"labels": ["red", "blue", "red"]}))
        .await
        .ok();
    let by_label = spend("u1", 1, json!({"labels": ["red"]})).await;
    assert_eq!(by_label.error()["limit_id"], id(2));
    // Case counts, and so does the kind.
    spend("u1", 1, json!({"labels": ["Red", "k-7"], "api_key": "red"}))
        .await
        .ok();
    // What a limit counts is its own unit.
    let money = json!({"user_id": "u1", "amount": 100, "unit": "eur"});
    door.post(crate::door::GRANT, money).await.ok();
    spend("u1", 90, json!({"labels": ["red"], "unit": "eur"}))
        .await
        .ok();
}

#[tokio::test]
async fn what_holds_reserve_counts_until_they_end() {
    let door = Door::open().await;
    door.grant("u1", 1_000).await;
    let set = json!({"user_id": "u1", "period": "day", "credits": 50});
    door.post(LIMIT, set).await.ok();
    let hold = door.hold("u1", 40).await;
    let told = async || {
        let limit = door.items("/v1/balance/limits?user_id=u1").await.remove(0);
        ["used", "reserved", "left"].map(|field| limit[field].as_i64().unwrap())
    };
    assert_eq!(told().await, [40, 40, 10]);
    door.charge("c1", "u1", 11)
        .await
        .refused(402, "spending_limit_reached", Some("credits"));
    let more = json!({"hold_id": hold, "credits": 11});
    let more = door.post(EXTEND, more).await;
    more.refused(402, "spending_limit_reached", Some("credits"));
    let beyond = json!({"hold_id": hold, "credits": 51});
    let beyond = door.post(SETTLE, beyond).await;
    beyond.refused(402, "spending_limit_reached", Some("credits"));
    assert_eq!(told().await, [40, 40, 10]);
    door.post(SETTLE, json!({"hold_id": hold, "credits": 15}))
        .await
        .ok();
    assert_eq!(told().await, [15, 0, 35]);
    door.charge("c2", "u1", 35).await.ok();
}

#[tokio::test]
async fn a_limit_that_was_taken_away_limits_nothing() {
    let door = Door::open().await;
    door.grant("u1", 1_000).await;
    let set = json!({"user_id": "u1", "period": "ever", "credits": 0});
    door.post(LIMIT, set).await.ok();
    door.charge("c1", "u1", 1)
        .await
        .refused(402, "spending_limit_reached", Some("credits"));
    let removed = door.post(REMOVE, json!({"limit_id": id(1)})).await.ok();
    assert_eq!(
        removed,
        limit(
            1,
            &[
                ("user_id", json!("u1")),
                ("credits", json!(0)),
                ("left", json!(0))
            ]
        )
    );
    door.charge("c2", "u1", 1).await.ok();
    assert_eq!(door.items("/v1/balance/limits").await.len(), 0);
    for id in [&id(1), &id(2), "x"] {
        let unknown = door.post(REMOVE, json!({"limit_id": id})).await;
        unknown.refused(404, "limit_not_found", Some("limit_id"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_burst_gets_past_a_limit() {
    let door = std::sync::Arc::new(Door::open().await);
    for user in ["u1", "u2"] {
        door.grant(user, 1_000).await;
    }
    let set = json!({"label": "red", "period": "day", "credits": 25});
    door.post(LIMIT, set).await.ok();
    let charges = (0..100).map(|number| {
        let door = std::sync::Arc::clone(&door);
        let user = if number % 2 == 0 { "u1" } else { "u2" };
        let body = json!({"user_id": user, "credits": 1, "labels": ["red"]});
        tokio::spawn(async move { door.post_once(CHARGE, &format!("c{number}"), body).await })
    });
    let mut made = 0;
    for charge in charges.collect::<Vec<_>>() {
        let answer = charge.await.unwrap();
        if answer.status == 200 {
            made += 1;
        } else {
            answer.refused(402, "spending_limit_reached", Some("credits"));
        }
    }
    assert_eq!(made, 25);
    let left: i64 = [door.wallet("u1").await, door.wallet("u2").await]
        .iter()
        .map(|wallet| wallet["credits"].as_i64().unwrap())
        .sum();
    assert_eq!(left, 2_000 - 25);
}
