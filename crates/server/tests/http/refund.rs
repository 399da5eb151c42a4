//! Refunds: never more than was paid, once under one key, and by two people where the operator wants two.

use std::sync::Arc;

use bursar::api_key;
use bursar_domain::api_key::Role;
use serde_json::{Value, json};

use crate::house::Answer;
use crate::shop::{REFUND, Shop};

const REFUNDS: &str = "/v1/payment.stripe/refunds";
const APPROVE: &str = "/v1/payment.stripe/refunds/approve";
const REJECT: &str = "/v1/payment.stripe/refunds/reject";
/// Ids as ours are, of nothing.
const NO_PAYMENT: &str = "pay_01m7yp6ps1v1xzkxk21hfqwxs4";
const NO_REFUND: &str = "rfd_01m7yp6ps1v1xzkxk21hfqwxs4";

async fn second_admin(shop: &Shop) -> String {
    let engine = shop.door.house.app.engine();
    let issued = api_key::issue(engine, Role::Admin, "second".to_owned());
    issued.await.unwrap().0
}

#[tokio::test]
async fn a_refund_takes_back_what_was_bought_and_says_so() {
    let shop = Shop::open(&[]).await;
    let bought = shop.buy("anna", 500).await;
    let body = json!({
        "payment_id": bought.payment, "reason": "requested_by_customer", "note": "as agreed", "ref": "T-1",
    });
    let refund = shop.refund("r1", body, Some(200)).await.ok();
    assert_eq!(refund["status"], "succeeded");
    assert_eq!(
        (
            &refund["amount_minor"],
            &refund["currency"],
            &refund["display"]
        ),
        (&json!(200), &json!("usd"), &json!("2.00 USD"))
    );
    assert_eq!(refund["reason"], "requested_by_customer");
    assert_eq!(
        (&refund["note"], &refund["ref"]),
        (&json!("as agreed"), &json!("T-1"))
    );
    assert!(refund["requested_by"].as_str().unwrap().starts_with("key_"));
    assert_eq!(
        (&refund["decided_by"], &refund["failure"]),
        (&Value::Null, &Value::Null)
    );
    assert!(
        refund["stripe_refund_id"]
            .as_str()
            .unwrap()
            .starts_with("re_")
    );
    assert_eq!(shop.credits("anna").await, 300);
    let payment = shop.payment(&bought.payment).await;
    assert_eq!(
        (&payment["status"], &payment["refunded_minor"]),
        (&json!("partially_refunded"), &json!(200))
    );
    assert_eq!(payment["refunds"], json!([refund]));
    assert_eq!(payment["disputes"], json!([]));
    // What Stripe tells about it later changes nothing any more.
    let told = shop.deliver().await;
    assert!(
        told.iter().any(|kind| kind == "charge.refunded"),
        "{told:?}"
    );
    assert_eq!(shop.credits("anna").await, 300);
    assert_eq!(shop.payment(&bought.payment).await, payment);
    // All that is left, where no amount is named.
    let rest = shop
        .refund("r2", json!({"payment_id": bought.payment}), None)
        .await
        .ok();
    assert_eq!(rest["amount_minor"], 300);
    assert_eq!(shop.credits("anna").await, 0);
    assert_eq!(shop.payment(&bought.payment).await["status"], "refunded");
    assert_eq!(shop.refunded_at_stripe(), 500);
}

#[tokio::test]
async fn no_more_than_was_paid_goes_back() {
    let shop = Shop::open(&[]).await;
    let bought = shop.buy("anna", 500).await;
    let of = json!({"payment_id": bought.payment});
    for (key, amount) in [("a", 0), ("b", -1), ("c", 501), ("d", i64::MAX)] {
        let refused = shop.refund(key, of.clone(), Some(amount)).await;
        refused.refused(400, "parameter_invalid", Some("amount_minor"));
    }
    for amount in [json!("200"), json!(200.0), json!(true), json!([200])] {
        let body = json!({"payment_id": bought.payment, "amount_minor": amount});
        let refused = shop.door.post_once(REFUND, "e", body).await;
        refused.refused(400, "parameter_invalid", Some("amount_minor"));
    }
    shop.refund("f", of.clone(), Some(400)).await.ok();
    let more = shop.refund("g", of.clone(), Some(101)).await;
    more.refused(400, "parameter_invalid", Some("amount_minor"));
    assert_eq!(
        more.message(),
        "amount_minor must be from 1 to 100; 101 was given"
    );
    shop.refund("h", of.clone(), Some(100)).await.ok();
    for amount in [None, Some(1)] {
        let key = format!("i{amount:?}").replace(['(', ')'], "");
        let nothing = shop.refund(&key, of.clone(), amount).await;
        nothing.refused(409, "nothing_to_refund", Some("payment_id"));
    }
    assert_eq!(shop.refunded_at_stripe(), 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_partial_refunds_at_once_stay_below_what_was_paid() {
    let shop = Arc::new(Shop::open(&[]).await);
    let bought = shop.buy("anna", 500).await;
    let asked = (0..16).map(|number| {
        let (shop, payment) = (Arc::clone(&shop), bought.payment.clone());
        tokio::spawn(async move {
            let body = json!({"payment_id": payment});
            shop.refund(&format!("r{number}"), body, Some(60)).await
        })
    });
    let mut made = 0;
    for answer in asked.collect::<Vec<_>>() {
        let answer = answer.await.unwrap();
        if answer.status == 200 {
            made += 1;
        } else {
            answer.refused(400, "parameter_invalid", Some("amount_minor"));
        }
    }
    assert_eq!((made, shop.refunded_at_stripe()), (8, 480));
    assert_eq!(shop.credits("anna").await, 20);
}

#[tokio::test]
async fn a_key_is_required_and_makes_one_refund() {
    let shop = Shop::open(&[]).await;
    let bought = shop.buy("anna", 500).await;
    let of = json!({"payment_id": bought.payment, "amount_minor": 200});
    let keyless = shop.door.post(REFUND, of.clone()).await;
    keyless.refused(400, "parameter_missing", Some("idempotency_key"));
    let first = shop.door.post_once(REFUND, "r1", of.clone()).await.ok();
    let again = shop.door.post_once(REFUND, "r1", of.clone()).await;
    assert!(again.is_replayed());
    assert_eq!(again.ok(), first);
    let other = shop
        .refund("r1", json!({"payment_id": bought.payment}), Some(300))
        .await;
    other.refused(409, "idempotency_key_reused", None);
    assert_eq!(shop.refunded_at_stripe(), 200);
    // Another key is another refund, even over the same amount.
    let second = shop.door.post_once(REFUND, "r2", of).await.ok();
    assert_ne!(second["refund_id"], first["refund_id"]);
    assert_eq!(
        (shop.refunded_at_stripe(), shop.credits("anna").await),
        (400, 100)
    );
}

#[tokio::test]
async fn only_what_was_paid_can_be_refunded() {
    let shop = Shop::open(&[]).await;
    let open = shop.checkout("anna", 500).await;
    let unpaid = shop
        .refund("a", json!({"payment_id": open.payment}), None)
        .await;
    unpaid.refused(409, "payment_not_paid", Some("payment_id"));
    for id in ["pay_1", "", "x", NO_PAYMENT] {
        let unknown = shop.refund("b", json!({"payment_id": id}), None).await;
        unknown.refused(404, "payment_not_found", Some("payment_id"));
    }
    let nameless = shop.refund("c", json!({}), None).await;
    nameless.refused(400, "parameter_missing", Some("payment_id"));
    let bought = shop.buy("anna", 500).await;
    let odd = json!({"payment_id": bought.payment, "reason": "because"});
    shop.refund("d", odd, None)
        .await
        .refused(400, "parameter_invalid", Some("reason"));
    let more = json!({"payment_id": bought.payment, "currency": "usd"});
    shop.refund("e", more, None)
        .await
        .refused(400, "parameter_unknown", Some("currency"));
    let card = json!({"payment_id": bought.payment, "note": "4242 4242 4242 4242"});
    shop.refund("f", card, None)
        .await
        .refused(400, "card_number_refused", Some("note"));
    assert_eq!(shop.refunded_at_stripe(), 0);
}

#[tokio::test]
async fn above_the_bound_another_administrator_has_to_agree() {
    let shop = Shop::open(&[("BURSAR_REFUND_APPROVAL_ABOVE", "200")]).await;
    let bought = shop.buy("anna", 500).await;
    let of = json!({"payment_id": bought.payment});
    shop.refund("r1", of.clone(), Some(200)).await.ok();
    let waits = shop.refund("r2", of.clone(), Some(201)).await.ok();
    assert_eq!(
        (&waits["status"], shop.refunded_at_stripe()),
        (&json!("awaiting_approval"), 200)
    );
    // It counts as owed: what it takes cannot be asked for twice.
    let more = shop.refund("r3", of.clone(), Some(100)).await;
    more.refused(400, "parameter_invalid", Some("amount_minor"));
    let this = json!({"refund_id": waits["refund_id"]});
    let own = shop.door.post(APPROVE, this.clone()).await;
    own.refused(403, "second_approver_needed", Some("refund_id"));
    assert_eq!(shop.refunded_at_stripe(), 200);
    let second = second_admin(&shop).await;
    let agreed = shop.post_as(&second, APPROVE, &this).await.ok();
    assert_eq!(agreed["status"], "succeeded");
    assert_ne!(agreed["requested_by"], agreed["decided_by"]);
    assert!(agreed["decided_by"].as_str().unwrap().starts_with("key_"));
    assert_eq!(
        (shop.refunded_at_stripe(), shop.credits("anna").await),
        (401, 99)
    );
    // Agreeing again is no second refund, and it cannot be called off any more.
    assert_eq!(shop.post_as(&second, APPROVE, &this).await.ok(), agreed);
    let late = shop.post_as(&second, REJECT, &this).await;
    late.refused(409, "refund_not_awaiting", Some("refund_id"));
    assert_eq!(shop.refunded_at_stripe(), 401);
}

#[tokio::test]
async fn a_refund_that_nobody_agrees_to_gives_its_amount_free_again() {
    let shop = Shop::open(&[("BURSAR_REFUND_APPROVAL_ABOVE", "0")]).await;
    let bought = shop.buy("anna", 500).await;
    let of = json!({"payment_id": bought.payment});
    let waits = shop.refund("r1", of.clone(), None).await.ok();
    let this = json!({"refund_id": waits["refund_id"]});
    let rejected = shop.door.post(REJECT, this.clone()).await.ok();
    assert_eq!(
        (&rejected["status"], &rejected["failure"]),
        (&json!("refused"), &Value::Null)
    );
    assert_eq!(shop.door.post(REJECT, this.clone()).await.ok(), rejected);
    let second = second_admin(&shop).await;
    let late = shop.post_as(&second, APPROVE, &this).await;
    late.refused(409, "refund_not_awaiting", Some("refund_id"));
    let again = shop.refund("r2", of, None).await.ok();
    assert_eq!(again["amount_minor"], 500);
    assert_eq!(
        (shop.refunded_at_stripe(), shop.credits("anna").await),
        (0, 500)
    );
    let refused = shop.door.items(&format!("{REFUNDS}?status=refused")).await;
    assert_eq!(refused, [rejected]);
    let of_payment = format!("{REFUNDS}?payment_id={}", bought.payment);
    assert_eq!(shop.door.items(&of_payment).await.len(), 2);
    for id in ["rfd_1", "x", NO_REFUND] {
        let unknown = shop.door.post(APPROVE, json!({"refund_id": id})).await;
        unknown.refused(404, "refund_not_found", Some("refund_id"));
    }
}

#[tokio::test]
async fn a_payment_shows_its_owner_what_went_back_and_nothing_else() {
    let shop = Shop::open(&[("BURSAR_REFUND_APPROVAL_ABOVE", "200")]).await;
    let bought = shop.buy("anna", 500).await;
    let of = json!({"payment_id": bought.payment, "note": "among ourselves"});
    shop.refund("r1", of.clone(), Some(100)).await.ok();
    shop.refund("r2", of, Some(300)).await.ok();
    let path = format!("/v1/payment.stripe/payments/{}", bought.payment);
    let (anna, other) = (
        shop.door.key_of("anna").await,
        shop.door.key_of("bob").await,
    );
    let seen = shop.door.get_as(&anna, &path).await.ok();
    let refunds = seen["refunds"].as_array().unwrap();
    assert_eq!(refunds.len(), 1);
    let fields: Vec<&String> = refunds[0].as_object().unwrap().keys().collect();
    assert_eq!(
        fields,
        [
            "refund_id",
            "payment_id",
            "status",
            "amount_minor",
            "currency",
            "display",
            "created_at",
            "updated_at"
        ]
    );
    assert!(!seen.to_string().contains("ourselves"));
    let nobody = |answer: Answer| answer.refused(404, "payment_not_found", Some("payment_id"));
    nobody(shop.door.get_as(&other, &path).await);
    for id in ["pay_1", "x", NO_PAYMENT] {
        nobody(
            shop.door
                .get_as(&anna, &format!("/v1/payment.stripe/payments/{id}"))
                .await,
        );
    }
    let guest = shop.door.call(("GET", &path), &[], "").await;
    guest.refused(401, "unauthenticated", None);
}

#[tokio::test]
async fn what_stripe_refuses_is_said_each_time_and_costs_nothing() {
    let shop = Shop::open(&[]).await;
    let bought = shop.buy("anna", 500).await;
    // Refunded in Stripe's dashboard, and nobody has told us yet.
    let session = bought.session.clone();
    let intent = shop.sandbox.read(|world, _| {
        let found = world
            .records
            .get(bursar_sandbox::records::Collection::Object, &session);
        found.unwrap()["payment_intent"]
            .as_str()
            .unwrap()
            .to_owned()
    });
    let request = bursar_sandbox::ApiRequest {
        method: "POST".to_owned(),
        path: "/v1/refunds".to_owned(),
        params: json!({"payment_intent": intent}),
        api_key: Some(shop.sandbox.config().secret_key.clone()),
        idempotency_key: None,
        version: None,
    };
    assert_eq!(shop.sandbox.request(&request).unwrap().status, 200);
    for _ in 0..2 {
        let refused = shop
            .refund("r1", json!({"payment_id": bought.payment}), None)
            .await;
        refused.refused(502, "stripe_refused", None);
    }
    assert_eq!(
        (shop.refunded_at_stripe(), shop.credits("anna").await),
        (500, 500)
    );
    shop.deliver().await;
    assert_eq!(shop.credits("anna").await, 0);
    assert_eq!(shop.payment(&bought.payment).await["status"], "refunded");
}

#[tokio::test]
async fn a_frozen_wallet_spends_nothing_until_it_is_thawed() {
    let shop = Shop::open(&[("BURSAR_REFUND_SPENT_CREDIT", "freeze")]).await;
    let bought = shop.buy("anna", 500).await;
    assert_eq!(shop.door.wallet("anna").await["frozen"], false);
    shop.door.charge("c1", "anna", 400).await.ok();
    shop.refund("r1", json!({"payment_id": bought.payment}), None)
        .await
        .ok();
    let wallet = shop.door.wallet("anna").await;
    assert_eq!(
        (&wallet["frozen"], &wallet["credits"]),
        (&json!(true), &json!(-400))
    );
    shop.door.grant("bob", 10).await;
    let freeze = async |user: &str, frozen: Value| {
        let body = json!({"user_id": user, "frozen": frozen});
        shop.door.post("/v1/balance/freeze", body).await
    };
    let thawed = freeze("anna", json!(false)).await.ok();
    assert_eq!(
        thawed,
        json!({"user_id": "anna", "unit": "credit", "frozen": false})
    );
    assert_eq!(shop.door.wallet("anna").await["frozen"], false);
    freeze("bob", json!(true)).await.ok();
    shop.door
        .charge("c2", "bob", 1)
        .await
        .refused(402, "wallet_frozen", Some("user_id"));
    freeze("bob", json!(false)).await.ok();
    shop.door.charge("c3", "bob", 1).await.ok();
    freeze("bob", Value::Null)
        .await
        .refused(400, "parameter_missing", Some("frozen"));
    freeze("bob", json!(1))
        .await
        .refused(400, "parameter_invalid", Some("frozen"));
}

#[tokio::test]
async fn a_fraud_warning_is_noted_and_moves_nothing_by_itself() {
    let shop = Shop::open(&[]).await;
    let bought = shop.buy_by("anna", 500, "4000000000005423").await;
    let payment = shop.payment(&bought.payment).await;
    assert_eq!(
        (
            &payment["status"],
            &payment["fraud_warned_at"],
            &payment["refunds"]
        ),
        (&json!("paid"), &json!("2027-01-15T08:00:00Z"), &json!([]))
    );
    let happened = shop.door.get("/v1/balance/events").await.ok();
    let warned = happened["items"].as_array().unwrap();
    let warned: Vec<&Value> = warned
        .iter()
        .filter(|it| it["type"] == "payment.fraud_warned")
        .collect();
    assert_eq!(warned.len(), 1);
    assert_eq!(warned[0]["data"], json!({"payment_id": bought.payment}));
    assert_eq!(
        (shop.refunded_at_stripe(), shop.credits("anna").await),
        (0, 500)
    );
}

#[tokio::test]
async fn a_fraud_warning_gives_all_back_where_the_operator_says_so() {
    let shop = Shop::open(&[("BURSAR_REFUND_ON_FRAUD_WARNING", "refund")]).await;
    let bought = shop.buy_by("anna", 500, "4000000000005423").await;
    shop.eventually(async || shop.payment(&bought.payment).await["status"] == "refunded")
        .await;
    shop.deliver().await;
    let payment = shop.payment(&bought.payment).await;
    let refunds = payment["refunds"].as_array().unwrap();
    assert_eq!(refunds.len(), 1);
    assert_eq!(
        (&refunds[0]["requested_by"], &refunds[0]["reason"]),
        (&json!("fraud_warning"), &json!("fraudulent"))
    );
    assert_eq!(
        (shop.refunded_at_stripe(), shop.credits("anna").await),
        (500, 0)
    );
}
