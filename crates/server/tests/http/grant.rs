//! Grants: given, listed, taken back, run out.

use bursar_domain::id::{GrantId, TransactionId};
use serde_json::{Value, json};

use crate::door::{Door, GRANT, TODAY, VOID};

/// What the first grant of a house looks like, with these fields changed.
fn first(changed: &[(&str, Value)]) -> Value {
    let mut grant = json!({
        "grant_id": GrantId::of(1).to_string(), "user_id": "u1", "status": "active", "category": "promotional",
        "source": "manual", "priority": 50, "credits": 100, "remaining": 100, "held": 0, "unit": "credit",
        "starts_at": null, "expires_at": null, "roll_over": null, "note": "", "ref": "", "meta": {},
        "created_at": TODAY, "ended_at": null,
    });
    for (name, value) in changed {
        grant[*name] = value.clone();
    }
    grant
}

#[tokio::test]
async fn a_grant_is_made_as_asked() {
    let door = Door::open().await;
    let plain = json!({"user_id": "u1", "amount": 100});
    assert_eq!(door.post(GRANT, plain).await.ok(), first(&[]));
    let body = json!({
        "user_id": "u1", "amount": 500, "unit": "eur", "category": "paid", "source": "allowance", "priority": 0,
        "starts_at": "2027-02-01T00:00:00+01:00", "expires_at": "2027-03-01T00:00:00.000001Z",
        "roll_over": {"cap": 200, "expires_in": 86400}, "note": "March", "ref": "plan-3", "metadata": {"plan": 3},
    });
    let all = first(&[
        ("grant_id", json!(GrantId::of(2).to_string())),
        ("status", json!("scheduled")),
        ("category", json!("paid")),
        ("source", json!("allowance")),
        ("priority", json!(0)),
        ("credits", json!(500)),
        ("remaining", json!(500)),
        ("unit", json!("eur")),
        ("starts_at", json!("2027-01-31T23:00:00Z")),
        ("expires_at", json!("2027-03-01T00:00:00.000001Z")),
        ("roll_over", json!({"cap": 200, "expires_in": 86_400})),
        ("note", json!("March")),
        ("ref", json!("plan-3")),
        ("meta", json!({"plan": 3})),
    ]);
    assert_eq!(door.post(GRANT, body).await.ok(), all);
    let listed = door.items("/v1/balance/grants?user_id=u1").await;
    assert_eq!(listed, [all, first(&[])]);
    let history = door.items("/v1/balance/history?user_id=u1&unit=eur").await;
    let line = json!({
        "transaction_id": TransactionId::of(2).to_string(), "user_id": "u1", "kind": "grant", "credits": 500,
        "credits_delta": 500, "credits_after": 500, "unit": "eur",
        "grants": [{"grant_id": GrantId::of(2).to_string(), "credits": 500}], "tags": "", "note": "March",
        "ref": "plan-3", "meta": {"plan": 3}, "created_at": TODAY,
    });
    assert_eq!(history, [line]);
}

#[tokio::test]
async fn every_category_and_source_that_may_be_named_is_taken() {
    let door = Door::open().await;
    for (field, words) in [
        ("category", ["paid", "promotional"].as_slice()),
        ("source", &["bonus", "allowance", "trial", "code", "manual"]),
    ] {
        for word in words {
            let granted = door
                .post(GRANT, json!({"user_id": "u1", "amount": 1, field: word}))
                .await;
            assert_eq!(granted.ok()[field], *word);
        }
    }
    for source in ["topup", "roll_over", "exchange", "Manual", ""] {
        let answer = door
            .post(
                GRANT,
                json!({"user_id": "u1", "amount": 1, "source": source}),
            )
            .await;
        answer.refused(400, "parameter_invalid", Some("source"));
        assert_eq!(
            answer.message(),
            "`source` must be one of: bonus, allowance, trial, code, manual"
        );
    }
}

#[tokio::test]
async fn times_have_to_be_in_order() {
    let door = Door::open().await;
    let (noon, later) = ("2027-01-15T12:00:00Z", "2027-01-15T13:00:00Z");
    for (body, param, message) in [
        (
            json!({"expires_at": TODAY}),
            "expires_at",
            "expires_at must be in the future",
        ),
        (
            json!({"starts_at": noon, "expires_at": noon}),
            "starts_at",
            "starts_at must be before expires_at",
        ),
        (
            json!({"starts_at": later, "expires_at": noon}),
            "starts_at",
            "starts_at must be before expires_at",
        ),
        (
            json!({"roll_over": {"cap": 1, "expires_in": 1}}),
            "roll_over",
            "roll_over needs expires_at: what never expires does not roll over",
        ),
    ] {
        let mut body = body;
        body["user_id"] = "u1".into();
        body["amount"] = 1.into();
        let answer = door.post(GRANT, body).await;
        answer.refused(400, "parameter_invalid", Some(param));
        assert_eq!(answer.message(), message);
    }
}

#[tokio::test]
async fn a_voided_grant_leaves_the_wallet() {
    let door = Door::open().await;
    let id = door.grant("u1", 100).await;
    door.charge("c1", "u1", 30).await.ok();
    let body = json!({"grant_id": id, "note": "refunded", "ref": "r-1"});
    let voided = door.post(VOID, body).await.ok();
    let expected = first(&[
        ("status", json!("voided")),
        ("remaining", json!(0)),
        ("ended_at", json!(TODAY)),
    ]);
    assert_eq!(voided, expected);
    assert_eq!(door.wallet("u1").await["credits"], 0);
    let history = door.items("/v1/balance/history?user_id=u1&kind=void").await;
    assert_eq!(
        (
            history.len(),
            &history[0]["credits"],
            &history[0]["note"],
            &history[0]["ref"]
        ),
        (1, &json!(-70), &json!("refunded"), &json!("r-1"))
    );
    // The same end again is no second one.
    let again = door.post(VOID, json!({"grant_id": id})).await.ok();
    assert_eq!(again, expected);
    let spent = door.grant("u2", 5).await;
    door.charge("c2", "u2", 5).await.ok();
    let answer = door.post(VOID, json!({"grant_id": spent})).await;
    answer.refused(409, "grant_ended", Some("grant_id"));
    assert_eq!(
        answer.message(),
        "nothing is left of the grant: it is spent"
    );
    for id in [&GrantId::of(99).to_string(), "x", "hld_000000000000"] {
        let unknown = door.post(VOID, json!({"grant_id": id})).await;
        unknown.refused(404, "grant_not_found", Some("grant_id"));
    }
}

#[tokio::test]
async fn an_expired_grant_pays_nothing_from_its_moment_on_and_rolls_over_as_agreed() {
    let door = Door::open().await;
    let brief = json!({
        "user_id": "u1", "amount": 100, "expires_at": "2027-01-15T09:00:00Z",
        "roll_over": {"cap": 30, "expires_in": 3600},
    });
    door.post(GRANT, brief).await.ok();
    door.later(3_599);
    door.charge("c1", "u1", 20).await.ok();
    assert_eq!(door.wallet("u1").await["available"], 80);
    door.later(3_600);
    assert_eq!(door.wallet("u1").await["available"], 30);
    door.charge("c2", "u1", 31)
        .await
        .refused(402, "insufficient_credits", Some("credits"));
    door.charge("c3", "u1", 10).await.ok();
    let grants = door.items("/v1/balance/grants?user_id=u1").await;
    let told = |grant: &Value| -> Vec<Value> {
        ["status", "source", "credits", "remaining", "expires_at"]
            .map(|field| grant[field].clone())
            .into()
    };
    assert_eq!(
        grants.iter().map(told).collect::<Vec<_>>(),
        [
            [
                json!("active"),
                json!("roll_over"),
                json!(30),
                json!(20),
                json!("2027-01-15T10:00:00Z")
            ],
            [
                json!("expired"),
                json!("manual"),
                json!(100),
                json!(0),
                json!("2027-01-15T09:00:00Z")
            ],
        ]
    );
    door.later(7_200);
    assert_eq!(door.wallet("u1").await["available"], 0);
    let live = door.items("/v1/balance/grants?live=true").await;
    assert!(live.iter().all(|grant| grant["status"] == "expired"));
}

#[tokio::test]
async fn grants_are_listed_with_what_is_left_and_users_see_only_their_own() {
    let door = Door::open().await;
    let (one, two) = (door.grant("u1", 10).await, door.grant("u2", 20).await);
    let three = door.grant("u1", 30).await;
    door.charge("c1", "u1", 12).await.ok();
    door.hold("u1", 5).await;
    let told = |list: &Value| -> Vec<(String, i64, i64)> {
        let number = |it: &Value, field: &str| it[field].as_i64().unwrap();
        let items = list["items"].as_array().unwrap().iter();
        items
            .map(|it| {
                let id = it["grant_id"].as_str().unwrap().to_owned();
                (id, number(it, "remaining"), number(it, "held"))
            })
            .collect()
    };
    let list = async |query: &str| {
        let list = door.get(&format!("/v1/balance/grants?{query}")).await;
        told(&list.ok())
    };
    let (one, two, three) = ((one, 0, 0), (two, 20, 0), (three, 28, 5));
    let [live, ended] = [vec![three.clone()], vec![one.clone()]];
    assert_eq!(list("").await, [three.clone(), two.clone(), one.clone()]);
    assert_eq!(list("user_id=u1&live=true").await, live);
    assert_eq!(list("user_id=u1&live=false").await, ended);
    for (user, own) in [("u1", vec![three, one]), ("u2", vec![two]), ("u3", vec![])] {
        let key = door.key_of(user).await;
        let mine = door.get_as(&key, "/v1/balance/grants/me").await.ok();
        assert_eq!(told(&mine), own, "{user}");
        let others = door.get_as(&key, "/v1/balance/grants/me?user_id=u1").await;
        others.refused(400, "parameter_unknown", Some("user_id"));
    }
}
