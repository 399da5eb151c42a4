//! Payment intents, saved cards and automatic top-ups, with the sandbox as Stripe. No event is delivered unless a test says so.

use std::time::Duration;

use bursar_domain::auto_topup::AutoTopups;
use bursar_domain::command::Command;
use bursar_domain::id::UserId;
use bursar_sandbox::ApiRequest;
use serde_json::{Value, json};

use crate::shop::Shop;

const CARDS: &str = "/v1/payment.stripe/cards";
const SET: &str = "/v1/balance/auto_topup/set";
const INTENT: &str = "/v1/payment.stripe/intent/create";

/// What Stripe's form in the browser does.
fn at_stripe(shop: &Shop, path: &str, params: &Value) -> Value {
    let request = ApiRequest {
        method: "POST".to_owned(),
        path: path.to_owned(),
        params: params.clone(),
        api_key: Some(shop.sandbox.config().secret_key.clone()),
        idempotency_key: None,
        version: None,
    };
    shop.sandbox.request(&request).unwrap().body
}

/// Saves a card; its id.
async fn save(shop: &Shop, key: &str, card: &str) -> String {
    let setup = shop
        .post_as(key, &format!("{CARDS}/setup"), &json!({}))
        .await
        .ok();
    let secret = setup["client_secret"].as_str().unwrap();
    let id = setup["stripe_setup_intent_id"].as_str().unwrap();
    assert!(secret.starts_with(id), "{setup}");
    let confirm = json!({"payment_method": format!("pm_card_{card}")});
    let confirmed = at_stripe(shop, &format!("/v1/setup_intents/{id}/confirm"), &confirm);
    assert_eq!(confirmed["status"], "succeeded", "{confirmed}");
    confirmed["payment_method"].as_str().unwrap().to_owned()
}

async fn topup(shop: &Shop, key: &str, credits: i64) -> Value {
    let body = json!({"credits": credits});
    let topup = shop
        .post_as(key, "/v1/balance/topups/create", &body)
        .await
        .ok();
    json!({"topup_id": topup["topup_id"]})
}

/// Waits for what the engine does by itself.
async fn until(what: &str, mut check: impl AsyncFnMut() -> bool) {
    for _ in 0..3_000 {
        if check().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it never came to pass: {what}");
}

impl Shop {
    /// What the worker asks, without waiting for its next walk.
    async fn look(&self, user: &str) {
        let all = AutoTopups {
            users: vec![UserId::parse(user).unwrap()],
            read_to: None,
        };
        let engine = self.door.house.app.engine();
        engine.submit(Command::AutoTopups(all)).await.unwrap();
        // A call under way is not due any more.
        let open = "/v1/payment.stripe/payments?status=pending";
        until("every charge has its answer", async || {
            self.door.items(open).await.is_empty()
        })
        .await;
    }

    async fn auto_topup(&self, user: &str) -> Value {
        let path = format!("/v1/balance/auto_topup?user_id={user}");
        self.door.get(&path).await.ok()
    }

    async fn happened(&self) -> Vec<String> {
        let all = self.door.items("/v1/balance/events?limit=1000").await;
        let kinds = all.iter().map(|it| it["type"].as_str().unwrap().to_owned());
        kinds
            .filter(|kind| kind.starts_with("auto_topup"))
            .collect()
    }

    /// Charges made at Stripe, whatever came of them.
    fn charges(&self) -> usize {
        self.sandbox
            .read(|world, _| world.records.objects("charge").count())
    }
}

#[tokio::test]
async fn a_page_of_the_product_takes_the_card_and_asking_settles() {
    let shop = Shop::open(&[]).await;
    let key = shop.door.key_of("anna").await;
    let body = topup(&shop, &key, 500).await;
    let opened = shop.post_as(&key, INTENT, &body).await.ok();
    let intent = opened["stripe_payment_intent_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        opened["client_secret"]
            .as_str()
            .unwrap()
            .starts_with(&intent)
    );
    assert_eq!(
        (
            &opened["amount_minor"],
            &opened["currency"],
            &opened["status"]
        ),
        (&json!(500), &json!("usd"), &json!("pending"))
    );
    // Asked for again, it is the same payment.
    let again = shop.post_as(&key, INTENT, &body).await.ok();
    assert_eq!(again, opened);

    let confirm = format!("/v1/payment_intents/{intent}/confirm");
    let back = "https://shop.test/back";
    let declined = json!({"payment_method": "pm_card_visa_chargeDeclined", "return_url": back});
    at_stripe(&shop, &confirm, &declined);
    let id = opened["payment_id"].as_str().unwrap();
    let payment = shop.payment(id).await;
    assert_eq!(payment["status"], "pending");
    assert_eq!(payment["last_failure"]["code"], "generic_decline");
    assert!(!payment.to_string().contains("_secret_"), "{payment}");

    at_stripe(
        &shop,
        &confirm,
        &json!({"payment_method": "pm_card_visa", "return_url": back}),
    );
    // All events are lost; whoever asks, settles.
    assert_eq!(shop.credits("anna").await, 0);
    assert_eq!(shop.payment(id).await["status"], "paid");
    assert_eq!(shop.credits("anna").await, 500);
    // They come all the same, and change nothing.
    shop.deliver().await;
    assert_eq!(shop.credits("anna").await, 500);
    shop.post_as(&key, INTENT, &body)
        .await
        .refused(409, "topup_not_pending", Some("topup_id"));
}

#[tokio::test]
async fn events_alone_settle_an_intent() {
    let shop = Shop::open(&[]).await;
    let key = shop.door.key_of("anna").await;
    let body = topup(&shop, &key, 700).await;
    let opened = shop.post_as(&key, INTENT, &body).await.ok();
    let intent = opened["stripe_payment_intent_id"].as_str().unwrap();
    let card = json!({"payment_method": "pm_card_visa", "return_url": "https://shop.test/back"});
    at_stripe(
        &shop,
        &format!("/v1/payment_intents/{intent}/confirm"),
        &card,
    );
    shop.deliver().await;
    assert_eq!(shop.credits("anna").await, 700);
}

#[tokio::test]
async fn a_saved_card_is_seen_pays_and_is_forgotten() {
    let shop = Shop::open(&[]).await;
    let (anna, bert) = (
        shop.door.key_of("anna").await,
        shop.door.key_of("bert").await,
    );
    let card = save(&shop, &anna, "visa").await;
    let seen = shop.door.get_as(&anna, CARDS).await.ok();
    assert_eq!(
        (&seen["items"][0]["card_id"], &seen["items"][0]["last4"]),
        (&json!(card), &json!("4242")),
        "{seen}"
    );
    assert_eq!(
        shop.door.get_as(&bert, CARDS).await.ok()["items"],
        json!([])
    );

    let charge = format!("{CARDS}/charge");
    let mut body = topup(&shop, &anna, 300).await;
    body["card_id"] = json!(card);
    let paid = shop.post_as(&anna, &charge, &body).await.ok();
    assert_eq!(
        (&paid["status"], &paid["flow"]),
        (&json!("paid"), &json!("off_session"))
    );
    assert_eq!(shop.credits("anna").await, 300);

    // Another user's card is none.
    let mut other = topup(&shop, &bert, 300).await;
    other["card_id"] = json!(card);
    let refused = shop.post_as(&bert, &charge, &other).await;
    refused.refused(404, "card_not_found", Some("card_id"));

    let detach = format!("{CARDS}/detach");
    shop.post_as(&anna, &detach, &json!({"card_id": card}))
        .await
        .ok();
    assert_eq!(
        shop.door.get_as(&anna, CARDS).await.ok()["items"],
        json!([])
    );
    // One customer for ever.
    save(&shop, &anna, "mastercard").await;
    let customers = shop
        .sandbox
        .read(|world, _| world.records.objects("customer").count());
    assert_eq!(customers, 1);
}

#[tokio::test]
async fn what_was_answered_stays_answered_when_the_card_is_gone() {
    let shop = Shop::open(&[]).await;
    let key = shop.door.key_of("anna").await;
    let card = save(&shop, &key, "visa").await;
    let mut payment = topup(&shop, &key, 300).await;
    payment["card_id"] = json!(card);
    payment["idempotency_key"] = json!("pay-1");
    let terms =
        json!({"threshold": 50, "credits": 400, "card_id": card, "idempotency_key": "set-1"});
    let charge = format!("{CARDS}/charge");
    let paid = shop.post_as(&key, &charge, &payment).await.ok();
    let set = shop.post_as(&key, SET, &terms).await.ok();

    let detach = json!({"card_id": card});
    shop.post_as(&key, &format!("{CARDS}/detach"), &detach)
        .await
        .ok();
    assert_eq!(shop.post_as(&key, &charge, &payment).await.ok(), paid);
    assert_eq!(shop.post_as(&key, SET, &terms).await.ok(), set);
    payment["idempotency_key"] = json!("pay-2");
    let refused = shop.post_as(&key, &charge, &payment).await;
    refused.refused(404, "card_not_found", Some("card_id"));
}

#[tokio::test]
async fn a_wallet_that_falls_low_is_filled_within_a_moment() {
    let shop = Shop::open(&[]).await;
    let key = shop.door.key_of("anna").await;
    let card = save(&shop, &key, "visa").await;
    shop.door.grant("anna", 100).await;
    let terms = json!({"threshold": 50, "target": 400, "card_id": card});
    let set = shop.post_as(&key, SET, &terms).await.ok();
    assert_eq!(
        (&set["enabled"], &set["topups_max"]),
        (&json!(true), &json!(3))
    );
    shop.door.charge("c-1", "anna", 60).await.ok();
    until("the wallet is filled", async || {
        shop.credits("anna").await == 400
    })
    .await;
    assert_eq!(shop.happened().await, ["auto_topup.due"]);
    assert_eq!(shop.charges(), 1);
    let row = shop.auto_topup("anna").await;
    assert_eq!(
        (&row["topups_used"], &row["credits_used"]),
        (&json!(1), &json!(360))
    );
    // What Stripe tells of it afterwards changes nothing.
    shop.deliver().await;
    shop.look("anna").await;
    assert_eq!((shop.credits("anna").await, shop.charges()), (400, 1));
}

#[tokio::test]
async fn a_card_that_does_not_pay_is_tried_three_times() {
    let shop = Shop::open(&[]).await;
    let key = shop.door.key_of("anna").await;
    let card = save(&shop, &key, "chargeCustomerFail").await;
    let terms = json!({"threshold": 50, "credits": 500, "card_id": card});
    shop.post_as(&key, SET, &terms).await.ok();
    for round in 0..6 {
        shop.door.later(round * 3_600);
        // However often it is asked for.
        shop.look("anna").await;
        shop.look("anna").await;
    }
    let row = shop.auto_topup("anna").await;
    assert_eq!(
        (&row["failures"], &row["stopped"]),
        (&json!(3), &json!("too_many_failures"))
    );
    assert_eq!(shop.charges(), 3);
    assert_eq!(
        shop.happened().await,
        ["auto_topup.failed", "auto_topup.stopped"]
    );
    let payments = shop.door.items("/v1/payment.stripe/payments").await;
    assert!(payments.iter().all(|payment| payment["status"] == "failed"));
    assert_eq!(payments[0]["last_failure"]["code"], "generic_decline");
    assert_eq!(shop.credits("anna").await, 0);

    // Taken away and set again it stays stopped; another card begins anew.
    shop.post_as(&key, "/v1/balance/auto_topup/remove", &json!({}))
        .await
        .ok();
    let same = shop.post_as(&key, SET, &terms).await.ok();
    assert_eq!(same["stopped"], "too_many_failures");
    let good = save(&shop, &key, "visa").await;
    let terms = json!({"threshold": 50, "credits": 500, "card_id": good});
    let other = shop.post_as(&key, SET, &terms).await.ok();
    assert_eq!(
        (&other["stopped"], &other["failures"]),
        (&json!(null), &json!(0))
    );
    shop.look("anna").await;
    assert_eq!(shop.credits("anna").await, 500);
}

#[tokio::test]
async fn a_bank_that_wants_to_see_the_customer_fails_the_attempt() {
    let shop = Shop::open(&[]).await;
    let key = shop.door.key_of("anna").await;
    let method = json!({"type": "card", "card": {"token": "tok_authenticationRequired"}});
    let method = at_stripe(&shop, "/v1/payment_methods", &method);
    // Saved as Stripe's own page would have it, with the customer there.
    shop.post_as(&key, &format!("{CARDS}/setup"), &json!({}))
        .await
        .ok();
    let customer = shop.sandbox.read(|world, _| {
        let mut all = world.records.objects("customer");
        all.next().unwrap()["id"].as_str().unwrap().to_owned()
    });
    let id = method["id"].as_str().unwrap_or_default();
    let attach = format!("/v1/payment_methods/{id}/attach");
    let attached = at_stripe(&shop, &attach, &json!({"customer": customer}));
    assert_eq!(attached["id"], id, "{method} {attached}");
    let terms = json!({"threshold": 50, "credits": 500, "card_id": id});
    shop.post_as(&key, SET, &terms).await.ok();
    shop.look("anna").await;
    let payments = shop.door.items("/v1/payment.stripe/payments").await;
    assert_eq!(payments[0]["status"], "failed", "{payments:?}");
    assert_eq!(
        payments[0]["last_failure"]["code"],
        "authentication_required"
    );
    assert_eq!(shop.auto_topup("anna").await["failures"], 1);
}

#[tokio::test]
async fn a_card_and_terms_have_to_be_the_users_own() {
    let shop = Shop::open(&[]).await;
    let (anna, bert) = (
        shop.door.key_of("anna").await,
        shop.door.key_of("bert").await,
    );
    let card = save(&shop, &anna, "visa").await;
    let terms = json!({"threshold": 50, "credits": 500, "card_id": card});
    let refused = shop.post_as(&bert, SET, &terms).await;
    refused.refused(404, "card_not_found", Some("card_id"));
    let none = shop.door.get_as(&bert, "/v1/balance/auto_topup").await;
    none.refused(404, "auto_topup_not_found", Some("user_id"));
    for (field, value) in [
        ("threshold", json!(0)),
        ("credits", json!(1)),
        ("topups_max", json!(0)),
    ] {
        let mut wrong = terms.clone();
        wrong[field] = value;
        let refused = shop.post_as(&anna, SET, &wrong).await;
        refused.refused(400, "parameter_invalid", Some(field));
    }
    // An administrator says whose.
    let refused = shop.door.post(SET, terms.clone()).await;
    refused.refused(400, "parameter_missing", Some("user_id"));
    let mut named = terms;
    named["user_id"] = json!("anna");
    let set = shop.door.post(SET, named).await.ok();
    assert_eq!(set["user_id"], "anna");
}
