//! Wallets as a whole: now, at a past moment, and sealed.

use bursar_domain::id::TransactionId;
use serde_json::{Value, json};

use crate::door::{CHARGE, Door, GRANT, OVERDRAFT, TODAY};

#[tokio::test]
async fn a_user_sees_the_own_wallet_to_the_last_posting() {
    let door = Door::open().await;
    let key = door.key_of("u1").await;
    door.grant("u1", 100).await;
    door.hold("u1", 30).await;
    door.later(5);
    door.charge("c1", "u1", 10).await.ok();
    let mine = door.get_as(&key, "/v1/balance/me").await.ok();
    let expected = json!({
        "user_id": "u1", "credits": 90, "available": 60, "held": 30, "debt": 0, "unit": "credit", "overdraft": null,
        "frozen": false, "money": {"amount_minor": 90, "currency": "usd", "display": "0.90 USD"}, "created_at": TODAY,
        "updated_at": "2027-01-15T08:00:05Z",
    });
    assert_eq!(mine, expected);
    assert_eq!(door.wallet("u1").await, expected);
}

#[tokio::test]
async fn a_balance_is_told_for_any_past_moment() {
    let door = Door::open().await;
    door.grant("u1", 100).await;
    door.later(60);
    door.charge("c1", "u1", 10).await.ok();
    door.charge("c2", "u1", 20).await.ok();
    let at = async |moment: &str| {
        let moment = moment.replace('+', "%2B");
        let path = format!("/v1/balance/at?user_id=u1&at={moment}");
        door.get(&path).await.ok()
    };
    assert_eq!(
        at("2027-01-15T09:00:59.999999+01:00").await,
        json!({
            "user_id": "u1", "at": "2027-01-15T08:00:59.999999Z", "credits": 100, "unit": "credit",
            "changed_at": TODAY,
        })
    );
    let then = at("2027-01-15T08:01:00Z").await;
    assert_eq!(
        (&then["credits"], &then["changed_at"]),
        (&json!(70), &json!("2027-01-15T08:01:00Z"))
    );
    let before = at("2027-01-15T07:59:59Z").await;
    assert_eq!(
        (&before["credits"], &before["changed_at"]),
        (&json!(0), &Value::Null)
    );
    let nobody = door
        .get("/v1/balance/at?user_id=u9&at=2027-01-15T08:00:00Z&unit=eur")
        .await;
    assert_eq!(
        nobody.ok(),
        json!({"user_id": "u9", "at": TODAY, "credits": 0, "unit": "eur", "changed_at": null})
    );
    for (query, code, param) in [
        ("user_id=u1", "parameter_missing", "at"),
        ("at=2027-01-15T08:00:00Z", "parameter_missing", "user_id"),
        ("user_id=u1&at=2027-01-15", "parameter_invalid", "at"),
        ("user_id=u1&at=1800000000", "parameter_invalid", "at"),
        (
            "user_id=u1&at=2027-01-15T08:00:00",
            "parameter_invalid",
            "at",
        ),
        (
            "user_id=u1&at=10000-01-01T00:00:00Z",
            "parameter_invalid",
            "at",
        ),
        (
            "user_id=u1&at=-000001-01-01T00:00:00Z",
            "parameter_invalid",
            "at",
        ),
    ] {
        let answer = door.get(&format!("/v1/balance/at?{query}")).await;
        answer.refused(400, code, Some(param));
    }
}

#[tokio::test]
async fn an_overdraft_is_set_taken_away_and_never_guessed() {
    let door = Door::open().await;
    let set = door
        .post(
            OVERDRAFT,
            json!({"user_id": "u1", "overdraft": 0, "unit": "eur"}),
        )
        .await;
    assert_eq!(
        set.ok(),
        json!({"user_id": "u1", "unit": "eur", "overdraft": 0})
    );
    let owe = json!({"user_id": "u1", "amount": 1, "unit": "eur", "allow_debt": true});
    let refused = door.post_once(CHARGE, "c1", owe.clone()).await;
    refused.refused(402, "insufficient_credits", Some("credits"));
    let null = json!({"user_id": "u1", "overdraft": null, "unit": "eur"});
    door.post(OVERDRAFT, null).await.ok();
    door.post_once(CHARGE, "c2", owe).await.ok();
    let left_out = door.post(OVERDRAFT, json!({"user_id": "u1"})).await;
    left_out.refused(400, "parameter_missing", Some("overdraft"));
    for wrong in [
        json!(-1),
        json!(1.5),
        json!("5"),
        json!(true),
        json!({}),
        json!(1_000_000_000_001_i64),
    ] {
        let answer = door
            .post(OVERDRAFT, json!({"user_id": "u1", "overdraft": wrong}))
            .await;
        answer.refused(400, "parameter_invalid", Some("overdraft"));
    }
}

#[tokio::test]
async fn a_checkpoint_names_the_whole_journal() {
    let door = Door::open().await;
    let sealed = async || door.get("/v1/balance/checkpoint").await.ok();
    let empty = sealed().await;
    assert_eq!(
        (&empty["seal"], &empty["transactions"]),
        (&json!(0), &json!(0))
    );
    door.grant("u1", 100).await;
    door.charge("c1", "u1", 1).await.ok();
    let two = sealed().await;
    assert_eq!(two["transactions"], 2);
    let seal = two["seal"].as_i64().unwrap();
    let text = two["checkpoint"].as_str().unwrap();
    let (number, hash) = text.split_once(':').unwrap();
    assert_eq!((number, hash.len()), (seal.to_string().as_str(), 64));
    // Nothing new, nothing to seal; also after a restart.
    assert_eq!(sealed().await, two);
    let door = door.reopen().await;
    assert_eq!(door.get("/v1/balance/checkpoint").await.ok(), two);
    let fields: Vec<&String> = two.as_object().unwrap().keys().collect();
    assert_eq!(
        fields,
        ["checkpoint", "seal", "transactions", "accounts", "others"]
    );
}

#[tokio::test]
async fn a_history_is_paged_and_filtered_by_kind() {
    let door = Door::open().await;
    door.grant("u1", 100).await;
    for number in 0..5 {
        door.charge(&format!("c{number}"), "u1", 1).await.ok();
    }
    door.post(GRANT, json!({"user_id": "u2", "amount": 1}))
        .await
        .ok();
    let mut seen = Vec::new();
    let mut path = "/v1/balance/history?user_id=u1&limit=2".to_owned();
    loop {
        let page = door.get(&path).await.ok();
        for item in page["items"].as_array().unwrap() {
            seen.push(item["transaction_id"].as_str().unwrap().to_owned());
        }
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/v1/balance/history?user_id=u1&limit=2&cursor={next}");
    }
    let expected: Vec<String> = (1..=6)
        .rev()
        .map(|number| TransactionId::of(number).to_string())
        .collect();
    assert_eq!(seen, expected);
    let grants = door.items("/v1/balance/history?kind=grant").await;
    let users: Vec<&Value> = grants.iter().map(|line| &line["user_id"]).collect();
    assert_eq!(users, [&json!("u2"), &json!("u1")]);
    let payments = door.get("/v1/balance/history?kind=payment").await;
    payments.refused(400, "parameter_invalid", Some("kind"));
    // A cursor of another wallet leads nowhere.
    let page = door.get("/v1/balance/history?user_id=u1&limit=1").await;
    let next = page.ok()["next"].as_str().unwrap().to_owned();
    let foreign = door
        .get(&format!("/v1/balance/history?user_id=u2&cursor={next}"))
        .await;
    foreign.refused(400, "parameter_invalid", Some("cursor"));
    let user = door.key_of("u2").await;
    let foreign = door
        .get_as(&user, &format!("/v1/balance/history/me?cursor={next}"))
        .await;
    foreign.refused(400, "parameter_invalid", Some("cursor"));
}

#[tokio::test]
async fn a_filter_by_unit_filters() {
    let door = Door::open().await;
    door.grant("u1", 100).await;
    let money = json!({"user_id": "u1", "amount": 5, "unit": "eur"});
    door.post(GRANT, money).await.ok();
    // The movements of all wallets come in all units; a filter that did nothing would be a trap.
    let all = door.get("/v1/balance/history?unit=eur").await;
    all.refused(400, "parameter_invalid", Some("unit"));
    assert_eq!(door.items("/v1/balance/history").await.len(), 2);
    let one = door.items("/v1/balance/history?user_id=u1&unit=eur").await;
    assert_eq!(one.len(), 1);
}
