//! Charges, one at a time and two hundred at once.

use std::sync::Arc;

use bursar_domain::id::{GrantId, TransactionId};
use serde_json::{Value, json};

use crate::door::{CHARGE, Door, GRANT, OVERDRAFT, TODAY};

fn transaction(number: i64) -> String {
    TransactionId::of(number).to_string()
}

fn grant(number: i64) -> String {
    GrantId::of(number).to_string()
}

#[tokio::test]
async fn a_charge_says_what_paid_for_it() {
    let door = Door::open().await;
    for (credits, priority) in [(70, 20), (30, 10)] {
        let body = json!({"user_id": "u1", "credits": credits, "priority": priority});
        door.post(GRANT, body).await.ok();
    }
    let body = json!({
        "user_id": "u1", "credits": 50, "api_key": "k-7", "labels": ["team:red", "a", "team:red"],
        "note": "one\tpicture", "ref": "order-1", "meta": {"size": {"x": 1}, "b": [1.5, null]},
    });
    let charged = door.post_once(CHARGE, "c1", body).await;
    assert!(!charged.is_replayed());
    let paid = json!([
        {"grant_id": grant(2), "credits": 30},
        {"grant_id": grant(1), "credits": 20},
    ]);
    assert_eq!(
        charged.ok(),
        json!({
            "charge_id": transaction(3), "user_id": "u1", "credits": 50, "unit": "credit",
            "grants": paid, "debt": 0, "balance_after": 50, "created_at": TODAY,
        })
    );
    let movement = json!({
        "transaction_id": transaction(3), "user_id": "u1", "kind": "charge", "credits": -50,
        "credits_delta": -50, "credits_after": 50, "unit": "credit", "grants": paid,
        "tags": "key:k-7 label:a label:team:red", "note": "one\tpicture", "ref": "order-1",
        "meta": {"size": {"x": 1}, "b": [1.5, null]}, "created_at": TODAY,
    });
    let all = door.items("/v1/balance/history?user_id=u1").await;
    assert_eq!((all.len(), &all[0]), (3, &movement));
    let user = door.key_of("u1").await;
    let mine = door
        .get_as(&user, "/v1/balance/history/me?kind=charge")
        .await;
    assert_eq!(
        mine.ok(),
        json!({"items": [movement], "has_more": false, "next": null})
    );
}

#[tokio::test]
async fn an_action_costs_its_configured_price_rounded_up() {
    let actions = ("BURSAR_ACTIONS", "picture=10,token=1/1000");
    let door = Door::open_with(&[actions]).await;
    door.grant("u1", 100).await;
    for (key, body, credits) in [
        ("1", json!({"action": "picture"}), 10),
        ("2", json!({"action": "picture", "quantity": 3}), 30),
        ("3", json!({"action": "token", "quantity": 1}), 1),
        ("4", json!({"action": "token", "quantity": 1000}), 1),
        ("5", json!({"action": "token", "quantity": 1001}), 2),
    ] {
        let mut body = body;
        body["user_id"] = "u1".into();
        let charged = door.post_once(CHARGE, key, body).await.ok();
        assert_eq!(charged["credits"], credits, "{key}");
    }
    let history = door
        .items("/v1/balance/history?user_id=u1&kind=charge")
        .await;
    assert_eq!(history[0]["tags"], "action:token*1001");
    assert_eq!(door.wallet("u1").await["credits"], 56);
    for (key, body, code, param) in [
        (
            "6",
            json!({"action": "video"}),
            "action_unknown",
            Some("action"),
        ),
        (
            "7",
            json!({"action": "picture", "credits": 1}),
            "parameter_invalid",
            Some("action"),
        ),
        (
            "8",
            json!({"quantity": 2}),
            "parameter_missing",
            Some("action"),
        ),
        (
            "9",
            json!({"action": "picture", "unit": "usd"}),
            "parameter_invalid",
            Some("unit"),
        ),
    ] {
        let mut body = body;
        body["user_id"] = "u1".into();
        let answer = door.post_once(CHARGE, key, body).await;
        answer.refused(400, code, param);
    }
}

#[tokio::test]
async fn too_few_credits_are_told_to_the_last_one() {
    let door = Door::open().await;
    door.grant("u1", 40).await;
    door.hold("u1", 10).await;
    let before = door.everything().await;
    let refused = door.charge("c1", "u1", 35).await;
    assert_eq!(refused.status, 402);
    assert_eq!(
        refused.error(),
        json!({
            "type": "card_error", "code": "insufficient_credits", "param": "credits",
            "message": "the wallet has 30 available, 5 too few",
            "available": 30, "missing": 5,
        })
    );
    let nobody = door.charge("c2", "u2", 1).await.error();
    assert_eq!(
        (&nobody["available"], &nobody["missing"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(door.everything().await, before);
    door.charge("c3", "u1", 30).await.ok();
}

#[tokio::test]
async fn debt_is_made_only_where_it_is_allowed_and_only_so_far() {
    let door = Door::open_with(&[("BURSAR_OVERDRAFT", "25")]).await;
    door.grant("u1", 10).await;
    let owe = async |key: &str, credits: i64| {
        let body = json!({"user_id": "u1", "credits": credits, "allow_debt": true});
        door.post_once(CHARGE, key, body).await
    };
    let charged = owe("c1", 30).await.ok();
    assert_eq!(
        (&charged["debt"], &charged["balance_after"]),
        (&json!(20), &json!(-20))
    );
    let refused = owe("c2", 6).await.error();
    assert_eq!(
        (&refused["available"], &refused["missing"]),
        (&json!(-20), &json!(1))
    );
    let own = json!({"user_id": "u1", "overdraft": 100});
    let set = door.post(OVERDRAFT, own).await.ok();
    assert_eq!(
        set,
        json!({"user_id": "u1", "unit": "credit", "overdraft": 100})
    );
    owe("c3", 80).await.ok();
    let wallet = door.wallet("u1").await;
    assert_eq!(
        wallet,
        json!({
            "user_id": "u1", "credits": -100, "available": -100, "held": 0, "debt": 100, "unit": "credit",
            "overdraft": 100, "frozen": false, "money": {"amount_minor": -100, "currency": "usd", "display": "-1.00 USD"},
            "created_at": TODAY, "updated_at": TODAY,
        })
    );
    let null = door
        .post(OVERDRAFT, json!({"user_id": "u1", "overdraft": null}))
        .await;
    assert_eq!(null.ok()["overdraft"], Value::Null);
    assert_eq!(owe("c4", 1).await.status, 402);
    // What comes in pays the debt first.
    let granted = door
        .post(GRANT, json!({"user_id": "u1", "credits": 150}))
        .await;
    assert_eq!(granted.ok()["remaining"], 50);
}

#[tokio::test]
async fn each_unit_is_a_wallet_of_its_own() {
    let door = Door::open().await;
    door.grant("u1", 100).await;
    let money = json!({"user_id": "u1", "amount": 500, "unit": "eur", "category": "paid"});
    door.post(GRANT, money).await.ok();
    let spent = json!({"user_id": "u1", "amount": 120, "unit": "eur"});
    let charged = door.post_once(CHARGE, "c1", spent.clone()).await.ok();
    assert_eq!(
        (
            &charged["credits"],
            &charged["unit"],
            &charged["balance_after"]
        ),
        (&json!(120), &json!("eur"), &json!(380))
    );
    let refused = door
        .post_once(
            CHARGE,
            "c2",
            json!({"user_id": "u1", "amount": 1, "unit": "usd"}),
        )
        .await;
    refused.refused(402, "insufficient_credits", Some("credits"));
    let wallets = door.items("/v1/balance/users?user_id=u1").await;
    let told: Vec<(&Value, &Value, &Value)> = wallets
        .iter()
        .map(|it| (&it["unit"], &it["credits"], &it["money"]))
        .collect();
    let in_usd = json!({"amount_minor": 100, "currency": "usd", "display": "1.00 USD"});
    assert_eq!(
        told,
        [
            (&json!("credit"), &json!(100), &in_usd),
            (&json!("eur"), &json!(380), &Value::Null),
        ]
    );
    let user = door.key_of("u1").await;
    let mine = door.get_as(&user, "/v1/balance/me?unit=eur").await.ok();
    assert_eq!(mine["credits"], 380);
    let history = door
        .get_as(&user, "/v1/balance/history/me?unit=eur")
        .await
        .ok();
    assert_eq!(history["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_key_is_needed_to_charge() {
    let door = Door::open().await;
    door.grant("u1", 100).await;
    let charge = door
        .post(CHARGE, json!({"user_id": "u1", "credits": 1}))
        .await;
    charge.refused(400, "parameter_missing", Some("idempotency_key"));
    assert_eq!(door.wallet("u1").await["credits"], 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_200_charges_at_once_a_wallet_for_100_pays_exactly_100() {
    let door = Arc::new(Door::open().await);
    door.grant("u1", 60).await;
    door.grant("u1", 40).await;
    let charges = (0..200).map(|number| {
        let door = Arc::clone(&door);
        tokio::spawn(async move { door.charge(&format!("c{number}"), "u1", 1).await })
    });
    let (mut made, mut refused, mut balances) = (0, 0, vec![]);
    for charge in charges.collect::<Vec<_>>() {
        let answer = charge.await.unwrap();
        if answer.status == 200 {
            made += 1;
            balances.push(answer.ok()["balance_after"].as_i64().unwrap());
        } else {
            answer.refused(402, "insufficient_credits", Some("credits"));
            refused += 1;
        }
    }
    assert_eq!((made, refused), (100, 100));
    balances.sort_unstable();
    assert_eq!(balances, (0..100).collect::<Vec<i64>>());
    let wallet = door.wallet("u1").await;
    assert_eq!(
        (&wallet["credits"], &wallet["debt"]),
        (&json!(0), &json!(0))
    );
    let history = door.get("/v1/balance/history?user_id=u1&limit=100").await;
    let history = history.ok();
    assert_eq!(history["has_more"], true);
    assert!(
        history["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|line| line["kind"] == "charge")
    );
    // The books say so, too, read from the disk by somebody else.
    let mut reader =
        bursar_store::query::Reader::open_sqlite(&door.house.data().join(bursar::app::DATABASE));
    let report = bursar_store::audit::run(reader.as_mut().unwrap()).unwrap();
    assert_eq!(report.differences.len(), 0, "{:?}", report.differences);
}
