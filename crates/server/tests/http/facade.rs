//! The credits facade: its published walk-through as a transcript, and who may ask for what.

use bursar_sandbox::pay::PayOutcome;
use serde_json::{Value, json};

use crate::house::WEBHOOK;
use crate::shop::Shop;
use crate::transcript::{Asker, Transcript};

const SESSION: &str = "/api/stripe/checkout-session";
const INTENT: &str = "/api/stripe/payment-intent";
const PAYMENTS: &str = "/api/stripe/payments";
const REFUND: &str = "/api/stripe/refund";
const HOOK: &str = "/api/stripe/webhook";
const BALANCE: &str = "/user/balance";
const PACKAGES: &str = r#"[{"id":"starter","name":"Starter","credits":1000,"amount_minor":1000},
    {"id":"pro","name":"Pro","credits":10000,"amount_minor":9500,"bonus":1500,"popular":true}]"#;

fn field(body: &str, name: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap();
    body[name].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_published_walk_through_goes_as_written() {
    let shop = Shop::open(&[("BURSAR_PACKAGES", PACKAGES)]).await;
    let anna = Asker {
        name: "ANNA_KEY",
        key: shop.door.key_of("anna").await,
    };
    let admin = Asker {
        name: "ADMIN_KEY",
        key: shop.door.house.admin.clone(),
    };
    let title =
        "The credits API: create a session, pay, look at the balance and the history, refund";
    let mut told = Transcript::begin(&shop, title);
    told.title("What is on offer. Anybody may ask");
    told.ask(None, ("GET", "/api/stripe/credit-packages"), &[], "")
        .await;
    told.title("Create a session for ten dollars");
    let ten = r#"{"amount":10,"currency":"USD","description":"1000 credits"}"#;
    let opened = told.ask(Some(&anna), ("POST", SESSION), &[], ten).await;
    let session = field(&opened, "session_id");
    told.title("Nothing is paid yet");
    let this_session = format!("{SESSION}/{session}");
    told.ask(Some(&anna), ("GET", &this_session), &[], "").await;
    told.ask(Some(&anna), ("GET", BALANCE), &[], "").await;
    told.title("Pay");
    told.meanwhile("The customer pays on Stripe's page with card 4242 4242 4242 4242");
    assert_eq!(
        shop.pay(&session, "4242424242424242"),
        PayOutcome::Succeeded
    );
    told.deliver(&[HOOK]).await;
    told.title("The credits are there");
    told.ask(Some(&anna), ("GET", BALANCE), &[], "").await;
    told.ask(Some(&anna), ("GET", &this_session), &[], "").await;
    told.title("The history");
    told.ask(Some(&anna), ("GET", PAYMENTS), &[], "").await;
    told.ask(Some(&anna), ("GET", "/api/stripe/payments/1"), &[], "")
        .await;
    told.title("An administrator gives a part back, under a key so that it happens once");
    let part = r#"{"payment_id":1,"amount":2.5,"reason":"requested_by_customer"}"#;
    let once = [("Idempotency-Key", "ticket-1")];
    told.ask(Some(&admin), ("POST", REFUND), &once, part).await;
    told.ask(Some(&admin), ("POST", REFUND), &once, part).await;
    told.deliver(&[HOOK]).await;
    told.ask(Some(&anna), ("GET", BALANCE), &[], "").await;
    told.title("And then the rest");
    told.ask(Some(&admin), ("POST", REFUND), &[], r#"{"payment_id":1}"#)
        .await;
    told.deliver(&[HOOK]).await;
    told.ask(Some(&anna), ("GET", "/api/stripe/payments/1"), &[], "")
        .await;
    told.ask(Some(&anna), ("GET", BALANCE), &[], "").await;
    told.end("facade/credits.http");
}

#[tokio::test]
async fn a_page_of_the_product_takes_the_card_itself() {
    let shop = Shop::open(&[]).await;
    let anna = Asker {
        name: "ANNA_KEY",
        key: shop.door.key_of("anna").await,
    };
    let mut told = Transcript::begin(
        &shop,
        "The credits API: a payment intent, for a page of the product with Stripe's form",
    );
    told.title("Create a payment intent");
    let body = r#"{"amount":10.5,"currency":"usd","description":"1050 credits"}"#;
    let opened = told.ask(Some(&anna), ("POST", INTENT), &[], body).await;
    let intent = field(&opened, "payment_intent_id");
    let this = format!("{INTENT}/{intent}");
    told.title("The card is declined; the customer may try again");
    told.meanwhile("The customer confirms with card 4000 0000 0000 0002");
    shop.confirm(&intent, "pm_card_visa_chargeDeclined");
    told.deliver(&[HOOK]).await;
    told.ask(Some(&anna), ("GET", &this), &[], "").await;
    told.title("The next one is not");
    told.meanwhile("The customer confirms with card 4242 4242 4242 4242");
    shop.confirm(&intent, "pm_card_visa");
    told.deliver(&[HOOK]).await;
    told.ask(Some(&anna), ("GET", &this), &[], "").await;
    told.ask(Some(&anna), ("GET", BALANCE), &[], "").await;
    told.end("facade/credits-intent.http");
}

/// What cannot be bought, or not like this.
async fn wrong_wishes(told: &mut Transcript<'_>, anna: &Asker) {
    told.title("Amounts");
    for body in [
        r#"{"currency":"USD"}"#,
        r#"{"amount":0.1,"currency":"USD"}"#,
        r#"{"amount":10.005,"currency":"USD"}"#,
        r#"{"amount":"ten","currency":"USD"}"#,
        r#"{"amount":-10,"currency":"USD"}"#,
        r#"{"amount":100000,"currency":"USD"}"#,
    ] {
        told.ask(Some(anna), ("POST", SESSION), &[], body).await;
    }
    told.title("Currencies");
    for body in [
        r#"{"amount":10,"currency":"XXX"}"#,
        r#"{"amount":10,"currency":"EUR"}"#,
    ] {
        told.ask(Some(anna), ("POST", SESSION), &[], body).await;
    }
    told.title("Pages that customers are not sent to");
    for page in [
        "https://evil.test/",
        "javascript:alert(1)",
        "https://shop.test@evil.test/",
    ] {
        let body = format!(r#"{{"amount":10,"success_url":"{page}"}}"#);
        told.ask(Some(anna), ("POST", SESSION), &[], &body).await;
    }
    told.title("A field that is not known, and a body that is no JSON");
    told.ask(
        Some(anna),
        ("POST", SESSION),
        &[],
        r#"{"amount":10,"credits":1000}"#,
    )
    .await;
    told.ask(Some(anna), ("POST", SESSION), &[], r#"{"amount":10"#)
        .await;
}

/// What cannot be given back.
async fn wrong_refunds(told: &mut Transcript<'_>, (anna, admin): (&Asker, &Asker), session: &str) {
    told.title("Refunds");
    told.ask(Some(anna), ("POST", REFUND), &[], r#"{"payment_id":1}"#)
        .await;
    told.ask(Some(admin), ("POST", REFUND), &[], r#"{"payment_id":1}"#)
        .await;
    told.ask(Some(admin), ("POST", REFUND), &[], r#"{"payment_id":2}"#)
        .await;
    told.meanwhile("The customer pays on Stripe's page with card 4242 4242 4242 4242");
    told.shop.pay(session, "4242424242424242");
    told.deliver(&[HOOK]).await;
    told.ask(
        Some(admin),
        ("POST", REFUND),
        &[],
        r#"{"payment_id":1,"amount":10.01}"#,
    )
    .await;
    told.ask(
        Some(admin),
        ("POST", REFUND),
        &[],
        r#"{"payment_id":1,"amount":10}"#,
    )
    .await;
    told.ask(
        Some(admin),
        ("POST", REFUND),
        &[],
        r#"{"payment_id":1,"amount":10}"#,
    )
    .await;
}

#[tokio::test]
async fn what_a_newcomer_does_wrong_is_said() {
    let shop = Shop::open(&[]).await;
    let anna = Asker {
        name: "ANNA_KEY",
        key: shop.door.key_of("anna").await,
    };
    let bob = Asker {
        name: "BOB_KEY",
        key: shop.door.key_of("bob").await,
    };
    let admin = Asker {
        name: "ADMIN_KEY",
        key: shop.door.house.admin.clone(),
    };
    let mut told = Transcript::begin(&shop, "The credits API: errors a newcomer meets");
    told.title("Without a key, or with one that is wrong");
    told.ask(None, ("GET", BALANCE), &[], "").await;
    let wrong = [("Authorization", "Bearer bursar_user_0000")];
    told.ask(None, ("GET", BALANCE), &wrong, "").await;
    wrong_wishes(&mut told, &anna).await;
    told.title("What is not there, and what is somebody else's");
    told.ask(Some(&anna), ("GET", "/api/stripe/payments/1"), &[], "")
        .await;
    let opened = told
        .ask(Some(&anna), ("POST", SESSION), &[], r#"{"amount":10}"#)
        .await;
    let session = field(&opened, "session_id");
    told.ask(Some(&bob), ("GET", "/api/stripe/payments/1"), &[], "")
        .await;
    told.ask(
        Some(&bob),
        ("GET", &format!("{SESSION}/{session}")),
        &[],
        "",
    )
    .await;
    wrong_refunds(&mut told, (&anna, &admin), &session).await;
    told.title("An administrator has no balance, and no webhook is believed without a signature");
    told.ask(Some(&admin), ("GET", BALANCE), &[], "").await;
    told.ask(
        None,
        ("POST", HOOK),
        &[],
        r#"{"id":"evt_1","type":"checkout.session.completed"}"#,
    )
    .await;
    told.end("facade/credits-errors.http");
}

#[tokio::test]
async fn two_endpoints_that_report_the_same_are_one_in_effect() {
    let shop = Shop::open(&[]).await;
    let bought = shop.checkout("anna", 500).await;
    shop.pay(&bought.session, "4242424242424242");
    let refunded = {
        let events = shop.new_events();
        assert!(
            events
                .iter()
                .any(|event| event.kind == "payment_intent.succeeded")
        );
        assert!(
            events
                .iter()
                .any(|event| event.kind == "checkout.session.completed")
        );
        for _ in 0..2 {
            for path in [HOOK, WEBHOOK] {
                for event in events.iter().rev() {
                    shop.deliver_body(&event.body, path).await.ok();
                }
            }
        }
        shop.rest().await;
        assert_eq!(shop.credits("anna").await, 500);
        shop.refund("r1", json!({"payment_id": bought.payment}), Some(100))
            .await
            .ok();
        shop.new_events()
    };
    for path in [HOOK, WEBHOOK, HOOK] {
        for event in &refunded {
            shop.deliver_body(&event.body, path).await.ok();
        }
        shop.rest().await;
        assert_eq!(shop.credits("anna").await, 400);
    }
    let stored = shop.door.items("/v1/payment.stripe/events?limit=100").await;
    let mut ids: Vec<&str> = stored
        .iter()
        .filter_map(|event| event["event_id"].as_str())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), stored.len());
}

#[tokio::test]
async fn the_rate_is_the_facades_own() {
    let settings = [
        ("BURSAR_FACADE_CREDIT_PRICE", "100"),
        ("BURSAR_CREDIT_PRICE", "7"),
    ];
    let shop = Shop::open(&[settings.as_slice(), &[("BURSAR_TOPUP_MIN", "1")]].concat()).await;
    let anna = shop.door.key_of("anna").await;
    let half = shop
        .post_as(&anna, SESSION, &json!({"amount": "10.50"}))
        .await;
    assert_eq!(
        half.body,
        json!({
            "error": "amount must pay for whole credits, which cost 1.00 USD for 1 credit", "code": "parameter_invalid",
            "param": "amount",
        })
    );
    let opened = shop
        .post_as(&anna, SESSION, &json!({"amount": 10}))
        .await
        .ok();
    shop.pay(opened["session_id"].as_str().unwrap(), "4242424242424242");
    shop.deliver().await;
    let balance = shop.door.get_as(&anna, BALANCE).await.ok();
    assert_eq!(
        balance,
        json!({"user_id": "anna", "credits": 10, "balance": 10.0, "currency": "USD"})
    );
    let payment = shop.door.get_as(&anna, "/api/stripe/payments/1").await.ok();
    assert_eq!(
        (&payment["amount"], &payment["credits"]),
        (&json!(10.0), &json!(10))
    );
}

#[tokio::test]
async fn a_key_makes_one_payment() {
    let shop = Shop::open(&[]).await;
    let anna = shop.door.key_of("anna").await;
    for path in [SESSION, INTENT] {
        let ask = async |amount: Value| {
            let bearer = format!("Bearer {anna}");
            let headers = [
                ("authorization", bearer.as_str()),
                ("content-type", "application/json"),
                ("idempotency-key", "k1"),
            ];
            let body = json!({"amount": amount}).to_string();
            shop.door.call(("POST", path), &headers, body).await
        };
        let first = ask(json!(10)).await.ok();
        let again = ask(json!(10)).await;
        assert!(again.is_replayed());
        assert_eq!(again.ok(), first);
        assert_eq!(ask(json!(11)).await.body["code"], "idempotency_key_reused");
    }
    let mine = shop.door.get_as(&anna, PAYMENTS).await.ok();
    assert_eq!(mine["payments"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_refund_needs_the_second_administrator_here_too() {
    let shop = Shop::open(&[("BURSAR_REFUND_APPROVAL_ABOVE", "200")]).await;
    shop.buy("anna", 500).await;
    let asked = shop
        .door
        .post(
            REFUND,
            json!({"payment_id": 1, "amount": 3, "reason": "on good terms"}),
        )
        .await;
    let asked = asked.ok();
    assert_eq!(
        (&asked["status"], &asked["refund_id"], &asked["reason"]),
        (
            &json!("awaiting_approval"),
            &Value::Null,
            &json!("on good terms")
        )
    );
    assert_eq!(shop.credits("anna").await, 500);
    let waiting = shop.door.items("/v1/payment.stripe/refunds").await;
    assert_eq!(
        (&waiting[0]["note"], &waiting[0]["reason"]),
        (&json!("on good terms"), &Value::Null)
    );
}

#[tokio::test]
async fn administrators_see_all_payments_and_users_their_own() {
    let shop = Shop::open(&[("BURSAR_ALLOWED_ORIGINS", "https://app.test")]).await;
    for user in ["anna", "bob"] {
        let key = shop.door.key_of(user).await;
        let body = json!({
            "amount": 5, "currency": "usd", "success_url": "https://app.test/thanks?s={CHECKOUT_SESSION_ID}",
            "cancel_url": "https://shop.test/back",
        });
        shop.post_as(&key, SESSION, &body).await.ok();
        let mine = shop.door.get_as(&key, PAYMENTS).await.ok();
        assert_eq!(mine["payments"].as_array().unwrap().len(), 1);
    }
    let all = shop.door.get(PAYMENTS).await.ok();
    let numbers: Vec<&Value> = all["payments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["payment_id"])
        .collect();
    assert_eq!(numbers, [&json!(2), &json!(1)]);
    let page = shop.door.get(&format!("{PAYMENTS}?limit=1")).await.ok();
    assert_eq!(page["has_more"], true);
    let session = all["payments"][0]["session_id"].as_str().unwrap();
    shop.door.get(&format!("{SESSION}/{session}")).await.ok();
    for id in ["0", "3", "x", "-1", "01x", "99999999999999999999"] {
        let nothing = shop.door.get(&format!("{PAYMENTS}/{id}")).await;
        assert_eq!(
            (nothing.status.as_u16(), &nothing.body["code"]),
            (404, &json!("payment_not_found")),
            "{id}"
        );
    }
    let success = shop.sandbox.read(|world, _| {
        let sessions = world.records.objects("checkout.session");
        sessions.last().unwrap()["success_url"].clone()
    });
    assert_eq!(success, "https://app.test/thanks?s={CHECKOUT_SESSION_ID}");
}
