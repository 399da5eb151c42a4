//! Holds: reserved, reported on, extended, settled, released, run out.

use bursar_domain::id::{GrantId, HoldId, TransactionId};
use serde_json::{Value, json};

use crate::door::{Door, EXTEND, HOLD, OVERDRAFT, PROGRESS, RELEASE, SETTLE, TODAY};

fn hold(number: i64) -> String {
    HoldId::of(number).to_string()
}

/// What the first hold of a wallet looks like, with these fields changed.
fn first(changed: &[(&str, Value)]) -> Value {
    let mut hold = json!({
        "hold_id": hold(1), "user_id": "u1", "status": "open", "credits": 60, "progress": 0, "settled": 0,
        "uncovered": 0, "unit": "credit", "grants": [{"grant_id": GrantId::of(1).to_string(), "credits": 60}],
        "overage": "charge", "api_key": "k-7", "labels": ["a", "b"], "charge_id": null, "balance_after": null,
        "note": "a film", "ref": "job-1", "meta": {"seconds": 8}, "created_at": TODAY,
        "expires_at": "2027-01-15T08:15:00Z", "updated_at": TODAY, "ended_at": null,
    });
    for (name, value) in changed {
        hold[*name] = value.clone();
    }
    hold
}

async fn reserve(door: &Door) -> Value {
    let body = json!({
        "user_id": "u1", "credits": 60, "api_key": "k-7", "labels": ["b", "a"], "note": "a film", "ref": "job-1",
        "meta": {"seconds": 8},
    });
    door.post(HOLD, body).await.ok()
}

#[tokio::test]
async fn a_hold_reserves_and_settles_for_what_was_used() {
    let door = Door::open().await;
    door.grant("u1", 100).await;
    assert_eq!(reserve(&door).await, first(&[]));
    let wallet = door.wallet("u1").await;
    assert_eq!(
        (&wallet["credits"], &wallet["available"], &wallet["held"]),
        (&json!(100), &json!(40), &json!(60))
    );
    door.later(10);
    let reported = door
        .post(PROGRESS, json!({"hold_id": hold(1), "credits": 20}))
        .await;
    let at = |seconds: i64| json!(format!("2027-01-15T08:00:{seconds}Z"));
    let expected = first(&[("progress", json!(20)), ("updated_at", at(10))]);
    assert_eq!(reported.ok(), expected);
    door.later(20);
    let body = json!({"hold_id": hold(1), "credits": 45, "ref": "job-1/done"});
    let settled = door.post(SETTLE, body).await.ok();
    // What is said at the end takes the place of what was said before; what is not said stays.
    let ended = first(&[
        ("ref", json!("job-1/done")),
        ("status", json!("settled")),
        ("progress", json!(20)),
        ("settled", json!(45)),
        ("charge_id", json!(TransactionId::of(2).to_string())),
        ("balance_after", json!(55)),
        ("updated_at", at(20)),
        ("ended_at", at(20)),
    ]);
    assert_eq!(settled, ended);
    assert_eq!(
        door.get(&format!("/v1/balance/holds/{}", hold(1)))
            .await
            .ok(),
        ended
    );
    let wallet = door.wallet("u1").await;
    assert_eq!(
        (&wallet["credits"], &wallet["available"], &wallet["held"]),
        (&json!(55), &json!(55), &json!(0))
    );
    let history = door
        .items("/v1/balance/history?user_id=u1&kind=settle")
        .await;
    let line = json!({
        "transaction_id": TransactionId::of(2).to_string(), "user_id": "u1", "kind": "settle", "credits": -45,
        "credits_delta": -45, "credits_after": 55, "unit": "credit",
        "grants": [{"grant_id": GrantId::of(1).to_string(), "credits": 45}],
        "tags": format!("hold:{} key:k-7 label:a label:b", hold(1)), "note": "a film", "ref": "job-1/done",
        "meta": {"seconds": 8},
        "created_at": at(20),
    });
    assert_eq!(history, [line]);
    // The same end again is no second one, and needs no key for that.
    let again = door
        .post(SETTLE, json!({"hold_id": hold(1), "credits": 45}))
        .await;
    assert_eq!(again.ok(), ended);
    assert_eq!(door.wallet("u1").await["credits"], 55);
}

#[tokio::test]
async fn what_is_released_or_settled_for_nothing_costs_nothing() {
    let door = Door::open().await;
    door.grant("u1", 100).await;
    reserve(&door).await;
    let released = door.post(RELEASE, json!({"hold_id": hold(1)})).await.ok();
    let ended = first(&[
        ("status", json!("released")),
        ("balance_after", json!(100)),
        ("ended_at", json!(TODAY)),
    ]);
    assert_eq!(released, ended);
    let again = door.post(RELEASE, json!({"hold_id": hold(1)})).await;
    assert_eq!(again.ok(), ended);
    let second = door.hold("u1", 100).await;
    let nothing = json!({"hold_id": second, "credits": 0});
    let settled = door.post(SETTLE, nothing).await.ok();
    assert_eq!(
        (&settled["status"], &settled["charge_id"]),
        (&json!("settled"), &Value::Null)
    );
    let wallet = door.wallet("u1").await;
    assert_eq!(
        (&wallet["credits"], &wallet["held"]),
        (&json!(100), &json!(0))
    );
    assert_eq!(door.items("/v1/balance/history?user_id=u1").await.len(), 1);
}

#[tokio::test]
async fn a_hold_is_extended_in_amount_and_in_time() {
    let door = Door::open().await;
    door.grant("u1", 100).await;
    reserve(&door).await;
    door.later(100);
    let more = json!({"hold_id": hold(1), "credits": 30, "expires_in": 900});
    let extended = door.post(EXTEND, more).await.ok();
    assert_eq!(
        extended,
        first(&[
            ("credits", json!(90)),
            (
                "grants",
                json!([{"grant_id": GrantId::of(1).to_string(), "credits": 90}])
            ),
            ("expires_at", json!("2027-01-15T08:16:40Z")),
            ("updated_at", json!("2027-01-15T08:01:40Z")),
        ])
    );
    // An extension never shortens.
    let shorter = json!({"hold_id": hold(1), "expires_in": 1});
    let extended = door.post(EXTEND, shorter).await.ok();
    assert_eq!(extended["expires_at"], "2027-01-15T08:16:40Z");
    let more = json!({"hold_id": hold(1), "credits": 11});
    let refused = door.post(EXTEND, more).await;
    refused.refused(402, "insufficient_credits", Some("credits"));
    assert_eq!(
        (&refused.error()["available"], &refused.error()["missing"]),
        (&json!(10), &json!(1))
    );
    let nothing = door.post(EXTEND, json!({"hold_id": hold(1)})).await;
    nothing.refused(400, "parameter_invalid", Some("credits"));
}

#[tokio::test]
async fn what_is_used_beyond_the_hold_follows_its_overage() {
    let door = Door::open().await;
    door.grant("u1", 100).await;
    let open = async |overage: &str| {
        let body = json!({"user_id": "u1", "credits": 10, "overage": overage});
        let held = door.post(HOLD, body).await.ok();
        held["hold_id"].as_str().unwrap().to_owned()
    };
    let settle = async |hold: &str, credits: i64| {
        door.post(SETTLE, json!({"hold_id": hold, "credits": credits}))
            .await
    };
    let refusing = open("refuse").await;
    for (route, name) in [(SETTLE, "settle"), (PROGRESS, "progress")] {
        let body = json!({"hold_id": refusing, "credits": 11});
        let exceeded = door.post(route, body).await;
        assert_eq!(exceeded.status, 409, "{name}");
        assert_eq!(
            exceeded.error(),
            json!({
                "type": "invalid_request_error", "code": "hold_exceeded", "param": "credits",
                "message": "the hold reserves 10, and 11 are more: extend it first", "held": 10, "given": 11,
            })
        );
    }
    settle(&refusing, 10).await.ok();
    let charging = open("charge").await;
    let poor = settle(&charging, 91).await;
    poor.refused(402, "insufficient_credits", Some("credits"));
    assert_eq!(poor.error()["missing"], 1);
    assert_eq!(settle(&charging, 40).await.ok()["balance_after"], 50);
    door.post(OVERDRAFT, json!({"user_id": "u1", "overdraft": 5}))
        .await
        .ok();
    let owing = open("debt").await;
    settle(&owing, 56)
        .await
        .refused(402, "insufficient_credits", Some("credits"));
    assert_eq!(settle(&owing, 55).await.ok()["balance_after"], -5);
    assert_eq!(door.wallet("u1").await["debt"], 5);
}

/// Everything that can be asked of a hold that is there.
fn calls(id: &str) -> [(&'static str, Value); 4] {
    [
        (PROGRESS, json!({"hold_id": id, "credits": 3})),
        (EXTEND, json!({"hold_id": id, "credits": 1})),
        (SETTLE, json!({"hold_id": id, "credits": 3})),
        (RELEASE, json!({"hold_id": id})),
    ]
}

#[tokio::test]
async fn a_hold_that_has_ended_is_refused_by_the_name_of_its_end() {
    let door = Door::open().await;
    door.grant("u1", 100).await;
    let (settled, released) = (door.hold("u1", 2).await, door.hold("u1", 2).await);
    let brief = json!({"user_id": "u1", "credits": 2, "expires_in": 60});
    let brief = door.post(HOLD, brief).await.ok();
    let expired = brief["hold_id"].as_str().unwrap().to_owned();
    door.post(SETTLE, json!({"hold_id": settled, "credits": 2}))
        .await
        .ok();
    door.post(RELEASE, json!({"hold_id": released})).await.ok();
    door.later(60);
    for (id, code, end) in [
        (&settled, "hold_settled", "settled"),
        (&released, "hold_released", "released"),
        (&expired, "hold_expired", "expired"),
    ] {
        for (route, body) in calls(id) {
            let answer = door.post(route, body).await;
            // The same end a second time is the first one.
            if route == RELEASE && end == "released" {
                answer.ok();
                continue;
            }
            assert_eq!(answer.status, 409, "{route}");
            assert_eq!(
                answer.error(),
                json!({
                    "type": "invalid_request_error", "code": code, "param": "hold_id",
                    "message": format!("the hold is {end}: make a new one"),
                }),
                "{route}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_no_hold_is_not_found() {
    let door = Door::open().await;
    for id in [
        &hold(1),
        "hld_0",
        "x",
        "grt_000000000000",
        "' OR 1=1 --",
        "HLD_000000000000",
    ] {
        for (route, body) in calls(id) {
            door.post(route, body)
                .await
                .refused(404, "hold_not_found", Some("hold_id"));
        }
        let path = format!("/v1/balance/holds/{}", id.replace(' ', "%20"));
        door.get(&path)
            .await
            .refused(404, "hold_not_found", Some("hold_id"));
    }
}

#[tokio::test]
async fn a_hold_that_nobody_ends_settles_for_the_progress_reported_last() {
    let door = Door::open().await;
    door.grant("u1", 100).await;
    reserve(&door).await;
    door.post(PROGRESS, json!({"hold_id": hold(1), "credits": 25}))
        .await
        .ok();
    door.later(900);
    // The rules take it for ended at once; it is booked within a second or two.
    let path = format!("/v1/balance/holds/{}", hold(1));
    let mut seen = door.get(&path).await.ok();
    for _ in 0..1_200 {
        if seen["status"] == "expired" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        seen = door.get(&path).await.ok();
    }
    let end = json!("2027-01-15T08:15:00Z");
    assert_eq!(
        seen,
        first(&[
            ("status", json!("expired")),
            ("progress", json!(25)),
            ("settled", json!(25)),
            ("charge_id", json!(TransactionId::of(2).to_string())),
            ("balance_after", json!(75)),
            ("updated_at", end.clone()),
            ("ended_at", end),
        ])
    );
    let wallet = door.wallet("u1").await;
    assert_eq!(
        (&wallet["credits"], &wallet["held"]),
        (&json!(75), &json!(0))
    );
}

#[tokio::test]
async fn holds_are_listed_and_users_see_only_their_own() {
    let door = Door::open().await;
    door.grant("u1", 100).await;
    door.grant("u2", 100).await;
    let (one, two) = (door.hold("u1", 1).await, door.hold("u2", 2).await);
    let three = door.hold("u1", 3).await;
    door.post(RELEASE, json!({"hold_id": one})).await.ok();
    let ids = |list: &Value| -> Vec<Value> {
        let items = list["items"].as_array().unwrap();
        items.iter().map(|it| it["hold_id"].clone()).collect()
    };
    let list = async |query: &str| {
        let list = door.get(&format!("/v1/balance/holds?{query}")).await;
        ids(&list.ok())
    };
    assert_eq!(list("").await, [three.as_str(), &two, &one]);
    assert_eq!(list("user_id=u1").await, [three.as_str(), &one]);
    assert_eq!(list("status=open").await, [three.as_str(), &two]);
    assert_eq!(list("status=released").await, [one.as_str()]);
    assert_eq!(list("status=settled").await, Vec::<Value>::new());
    let page = door.get("/v1/balance/holds?limit=2").await.ok();
    assert_eq!(page["has_more"], true);
    let next = page["next"].as_str().unwrap();
    assert_eq!(
        list(&format!("limit=2&cursor={next}")).await,
        [one.as_str()]
    );
    for (user, own) in [("u1", vec![three, one]), ("u2", vec![two]), ("u3", vec![])] {
        let key = door.key_of(user).await;
        let mine = door.get_as(&key, "/v1/balance/holds/me").await.ok();
        assert_eq!(ids(&mine), own, "{user}");
        let others = door.get_as(&key, "/v1/balance/holds/me?user_id=u1").await;
        others.refused(400, "parameter_unknown", Some("user_id"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_wallet_has_a_thousand_open_holds_at_most() {
    let door = std::sync::Arc::new(Door::open().await);
    door.grant("u1", 2_000).await;
    let holds = (0..1_010).map(|_| {
        let door = std::sync::Arc::clone(&door);
        tokio::spawn(async move {
            door.post(HOLD, json!({"user_id": "u1", "credits": 1}))
                .await
        })
    });
    let mut refused = 0;
    for answer in holds.collect::<Vec<_>>() {
        let answer = answer.await.unwrap();
        if answer.status != 200 {
            answer.refused(409, "too_many", None);
            assert_eq!(
                answer.message(),
                "there would be more than 1000 open holds in one wallet: end some first"
            );
            refused += 1;
        }
    }
    assert_eq!(refused, 10);
    assert_eq!(door.wallet("u1").await["held"], 1_000);
}
