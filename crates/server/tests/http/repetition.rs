//! What is asked twice under one idempotency key happens once.

use std::sync::Arc;

use bursar_domain::id::{GrantId, HoldId, LimitId};
use serde_json::{Value, json};

use crate::door::{
    BATCH, CHARGE, Door, EXCHANGE, EXTEND, GRANT, HOLD, LIMIT, OVERDRAFT, PROGRESS, RELEASE,
    SETTLE, USAGE, VOID,
};
use crate::house::{House, token};

#[tokio::test]
async fn a_repeated_key_repeats_the_answer_and_nothing_else() {
    let house = House::usual().await;
    let add = async |body: &str, key: &str| {
        house
            .post(
                "/v1/balance/add",
                &house.admin,
                body,
                &[("idempotency-key", key)],
            )
            .await
    };
    let body = r#"{"user_id":"u1","amount":100,"note":"gift"}"#;
    let first = add(body, "k1").await;
    assert!(!first.headers.contains_key("idempotent-replayed"));
    let again = add(
        r#"{ "note": "gift", "amount": 100, "user_id": "u1" }"#,
        "k1",
    )
    .await;
    assert_eq!((again.status.as_u16(), &again.body), (200, &first.body));
    assert_eq!(again.headers["idempotent-replayed"], "true");
    let other = add(r#"{"user_id":"u1","amount":101,"note":"gift"}"#, "k1").await;
    assert_eq!(
        (other.status.as_u16(), other.code()),
        (409, "idempotency_key_reused")
    );
    assert_eq!(other.body["error"]["type"], "idempotency_error");
    for key in ["", "a b", &"x".repeat(256)] {
        assert_eq!(add(body, key).await.status, 400, "{key:?}");
    }
    let elsewhere = house
        .post(
            "/v1/balance/sub",
            &house.admin,
            body,
            &[("idempotency-key", "k1")],
        )
        .await;
    assert_eq!(elsewhere.status, 200);
    assert_eq!(
        house.get("/v1/balance/me", &token("u1")).await.body["credits"],
        0
    );
}

/// A request for every route that changes something, and one that differs from it in one field. They can be made one after the
/// other in a wallet with 1,000 credits by one grant and three holds of 100.
fn requests() -> Vec<(&'static str, Value, Value)> {
    let mut requests = requests_about_holds();
    requests.extend(other_requests());
    requests
}

fn requests_about_holds() -> Vec<(&'static str, Value, Value)> {
    let hold = |number: i64| HoldId::of(number).to_string();
    vec![
        (
            HOLD,
            json!({"user_id": "u1", "credits": 5}),
            json!({"user_id": "u1", "credits": 6}),
        ),
        (
            PROGRESS,
            json!({"hold_id": hold(1), "credits": 5}),
            json!({"hold_id": hold(1), "credits": 6}),
        ),
        (
            EXTEND,
            json!({"hold_id": hold(1), "credits": 5}),
            json!({"hold_id": hold(2), "credits": 5}),
        ),
        (
            SETTLE,
            json!({"hold_id": hold(2), "credits": 5}),
            json!({"hold_id": hold(2), "credits": 6}),
        ),
        (
            RELEASE,
            json!({"hold_id": hold(3)}),
            json!({"hold_id": hold(3), "note": "x"}),
        ),
    ]
}

fn other_requests() -> Vec<(&'static str, Value, Value)> {
    let inner = |key: &str| json!({"idempotency_key": key, "user_id": "u1", "credits": 1});
    let side = |unit: &str, amount: i64| json!({"unit": unit, "amount": amount});
    vec![
        (
            CHARGE,
            json!({"user_id": "u1", "credits": 5, "note": "a"}),
            json!({"user_id": "u1", "credits": 5, "note": "b"}),
        ),
        (
            BATCH,
            json!({"charges": [inner("i1")]}),
            json!({"charges": [inner("i2")]}),
        ),
        (
            GRANT,
            json!({"user_id": "u1", "credits": 5}),
            json!({"user_id": "u2", "credits": 5}),
        ),
        (
            VOID,
            json!({"grant_id": GrantId::of(2).to_string()}),
            json!({"grant_id": GrantId::of(1).to_string()}),
        ),
        (
            LIMIT,
            json!({"user_id": "u1", "credits": 500, "period": "day"}),
            json!({"user_id": "u1", "credits": 500, "period": "week"}),
        ),
        (
            "/v1/balance/limits/remove",
            json!({"limit_id": LimitId::of(1).to_string()}),
            json!({"limit_id": LimitId::of(2).to_string()}),
        ),
        (
            EXCHANGE,
            json!({"user_id": "u1", "from": side("credit", 5), "to": side("eur", 5)}),
            json!({"user_id": "u1", "from": side("credit", 5), "to": side("eur", 6)}),
        ),
        (
            OVERDRAFT,
            json!({"user_id": "u1", "overdraft": 5}),
            json!({"user_id": "u1", "overdraft": null}),
        ),
        (
            USAGE,
            json!({"user_id": "u1", "service": "s"}),
            json!({"user_id": "u1", "service": "s", "quantity": 1}),
        ),
        (
            "/v1/balance/add",
            json!({"user_id": "u1", "credits": 5}),
            json!({"user_id": "u1", "amount": 5}),
        ),
        (
            "/v1/balance/sub",
            json!({"user_id": "u1", "credits": 5}),
            json!({"user_id": "u1", "credits": 5, "ref": ""}),
        ),
    ]
}

async fn furnished() -> Door {
    let door = Door::open().await;
    door.grant("u1", 1_000).await;
    for _ in 0..3 {
        door.hold("u1", 100).await;
    }
    door
}

#[tokio::test]
async fn every_route_repeats_its_answer_and_refuses_another_request_under_its_key() {
    let door = furnished().await;
    // One key for all of them: it belongs to the route.
    let key = "one-key";
    let mut answers = Vec::new();
    for (route, body, other) in requests() {
        let first = door.post_once(route, key, body.clone()).await;
        assert!(!first.is_replayed(), "{route}");
        let (first, before) = (first.ok(), door.everything().await);
        let again = door.post_once(route, key, body).await;
        assert!(again.is_replayed(), "{route}");
        assert_eq!(again.ok(), first, "{route}");
        let reused = door.post_once(route, key, other).await;
        reused.refused(409, "idempotency_key_reused", None);
        assert_eq!(
            reused.error(),
            json!({
                "type": "idempotency_error", "code": "idempotency_key_reused",
                "message": "this idempotency key was used for a different request: use a new key for a new request",
            }),
            "{route}"
        );
        assert!(door.everything().await == before, "{route} was done twice");
        answers.push(first);
    }
    // It is all the same after a restart, and under another admin key: all administrators are one caller.
    let before = door.everything().await;
    let door = door.reopen().await;
    assert_eq!(door.everything().await, before);
    for ((route, body, other), first) in requests().into_iter().zip(answers) {
        let again = door.post_once(route, key, body).await;
        assert!(again.is_replayed(), "{route}");
        assert_eq!(again.ok(), first, "{route}");
        let reused = door.post_once(route, key, other).await;
        reused.refused(409, "idempotency_key_reused", None);
    }
    assert_eq!(door.everything().await, before);
}

#[tokio::test]
async fn a_key_may_stand_in_the_header_or_in_the_body() {
    let door = furnished().await;
    let before = door.wallet("u1").await["credits"].clone();
    let with = |key: &str| json!({"user_id": "u1", "credits": 5, "idempotency_key": key});
    let without = json!({"user_id": "u1", "credits": 5});
    let first = door.post(CHARGE, with("k1")).await;
    assert!(!first.is_replayed());
    let first = first.ok();
    for again in [
        door.post(CHARGE, with("k1")).await,
        door.post_once(CHARGE, "k1", with("k1")).await,
        door.post_once(CHARGE, "k1", without.clone()).await,
    ] {
        assert!(again.is_replayed());
        assert_eq!(again.ok(), first);
    }
    let differ = door.post_once(CHARGE, "k2", with("k1")).await;
    differ.refused(400, "parameter_invalid", Some("idempotency_key"));
    assert_eq!(
        differ.message(),
        "`idempotency_key` differs from the header `Idempotency-Key`; give one of them"
    );
    assert_eq!(
        door.wallet("u1").await["credits"],
        before.as_i64().unwrap() - 5
    );
    let two = [("idempotency-key", "k3"), ("idempotency-key", "k3")];
    let two = door.post_text(CHARGE, &without.to_string(), &two).await;
    two.refused(400, "parameter_invalid", Some("Idempotency-Key"));
    for key in ["", " ", "a b", "a\tb", "\u{fc}", &"x".repeat(256)] {
        let body = door.post(CHARGE, with(key)).await;
        body.refused(400, "parameter_invalid", Some("idempotency_key"));
        let header = door
            .post_text(CHARGE, &without.to_string(), &[("idempotency-key", key)])
            .await;
        header.refused(400, "parameter_invalid", Some("Idempotency-Key"));
    }
    for key in [json!(5), json!(["k"]), json!({"k": 1}), json!(true)] {
        let mut body = without.clone();
        body["idempotency_key"] = key;
        let answer = door.post(CHARGE, body).await;
        answer.refused(400, "parameter_invalid", Some("idempotency_key"));
    }
    assert_eq!(
        door.wallet("u1").await["credits"],
        before.as_i64().unwrap() - 5
    );
    let longest = "x".repeat(255);
    door.post_once(CHARGE, &longest, with(&longest)).await.ok();
}

#[tokio::test]
async fn a_key_of_another_caller_is_another_key() {
    let door = Door::open().await;
    let ask = async |token: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
            ("idempotency-key", "k1"),
        ];
        let path = ("POST", "/v1/balance/topups/create");
        door.call(path, &headers, r#"{"amount":500}"#).await
    };
    let [one, two] = [door.key_of("u1").await, door.key_of("u2").await];
    let first = ask(&one).await.ok();
    let other = ask(&two).await;
    assert!(!other.is_replayed());
    let other = other.ok();
    assert_eq!(
        (&first["user_id"], &other["user_id"]),
        (&json!("u1"), &json!("u2"))
    );
    assert_ne!(first["topup_id"], other["topup_id"]);
    // Another credential of the same user is the same caller.
    let again = ask(&token("u1")).await;
    assert!(again.is_replayed());
    assert_eq!(again.ok(), first);
    // What the route says does not count, and neither does what it is called by.
    door.post_once(
        "/v1/balance/add",
        "k1",
        json!({"user_id": "u1", "credits": 1}),
    )
    .await
    .ok();
    let charge = json!({"user_id": "u1", "credits": 1});
    assert!(!door.post_once(CHARGE, "k1", charge).await.is_replayed());
}

#[tokio::test]
async fn what_could_not_be_read_is_not_remembered_and_what_a_rule_refused_is() {
    let door = Door::open().await;
    let charge = json!({"user_id": "u1", "credits": 5});
    let misspelt = json!({"user_id": "u1", "credit": 5});
    door.post_once(CHARGE, "k1", misspelt)
        .await
        .refused(400, "parameter_missing", Some("credits"));
    let refused = door.post_once(CHARGE, "k1", charge.clone()).await;
    refused.refused(402, "insufficient_credits", Some("credits"));
    assert!(!refused.is_replayed());
    door.grant("u1", 100).await;
    let again = door.post_once(CHARGE, "k1", charge.clone()).await;
    assert!(again.is_replayed());
    assert_eq!(again.error(), refused.error());
    let door = door.reopen().await;
    let again = door.post_once(CHARGE, "k1", charge.clone()).await;
    assert!(again.is_replayed());
    assert_eq!(again.error(), refused.error());
    let other = json!({"user_id": "u1", "credits": 6});
    let different = door.post_once(CHARGE, "k1", other).await;
    different.refused(409, "idempotency_key_reused", None);
    assert!(!different.is_replayed());
    door.post_once(CHARGE, "k2", charge).await.ok();
    assert_eq!(door.wallet("u1").await["credits"], 95);
}

#[tokio::test]
async fn an_answer_that_is_given_again_is_the_one_of_its_moment() {
    let door = Door::open().await;
    let body = json!({
        "user_id": "u1", "credits": 100, "starts_at": "2027-01-15T08:01:00Z", "expires_at": "2027-01-15T08:02:00Z",
    });
    let granted = door.post_once(GRANT, "g1", body.clone()).await.ok();
    assert_eq!(granted["status"], "scheduled");
    let limit = json!({"user_id": "u1", "credits": 50, "period": "day"});
    let set = door.post_once(LIMIT, "l1", limit.clone()).await.ok();
    for seconds in [60, 120, 86_400] {
        door.later(seconds);
        let again = door.post_once(GRANT, "g1", body.clone()).await;
        assert_eq!(again.ok(), granted, "{seconds}");
        let again = door.post_once(LIMIT, "l1", limit.clone()).await;
        assert_eq!(again.ok(), set, "{seconds}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_requests_under_one_key_at_once_one_is_done_and_all_get_its_answer() {
    let door = Arc::new(Door::open().await);
    door.grant("u1", 1_000).await;
    for round in 0..25 {
        let requests = [2, 16][round % 2];
        let asked = (0..requests).map(|_| {
            let door = Arc::clone(&door);
            tokio::spawn(async move { door.charge(&format!("c{round}"), "u1", 3).await })
        });
        let (mut answers, mut replayed) = (Vec::new(), 0);
        for answer in asked.collect::<Vec<_>>() {
            let answer = answer.await.unwrap();
            replayed += i32::from(answer.is_replayed());
            answers.push(answer.ok());
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]));
        assert_eq!(replayed, requests - 1);
    }
    assert_eq!(door.wallet("u1").await["credits"], 1_000 - 25 * 3);
    let history = door.get("/v1/balance/history?user_id=u1&limit=100").await;
    assert_eq!(history.ok()["items"].as_array().unwrap().len(), 1 + 25);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_charge_alone_and_in_a_batch_at_once_is_made_once() {
    let door = Arc::new(Door::open().await);
    door.grant("u1", 1_000).await;
    for round in 0..25 {
        let charge = json!({"user_id": "u1", "credits": 3, "idempotency_key": format!("c{round}")});
        let asked = (0..6).map(|number| {
            let (door, charge) = (Arc::clone(&door), charge.clone());
            tokio::spawn(async move {
                if number % 2 == 0 {
                    return door.post(CHARGE, charge).await.ok();
                }
                let atomic = number % 4 == 1;
                let body = json!({"charges": [charge], "atomic": atomic});
                door.post(BATCH, body).await.ok()["items"][0].clone()
            })
        });
        for answer in asked.collect::<Vec<_>>() {
            let mut answer = answer.await.unwrap();
            answer.as_object_mut().unwrap().shift_remove("replayed");
            assert_eq!(answer["balance_after"], 1_000 - 3 * (round + 1));
        }
    }
    assert_eq!(door.wallet("u1").await["credits"], 1_000 - 25 * 3);
}
