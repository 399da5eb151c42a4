use bursar_sandbox::pay::{PayOutcome, Payment};
use serde_json::{Value, json};

use crate::shop::{Shop, id};

const KEEP: &str = "off_session";

/// A customer whose card was kept by a session that was paid with it.
fn customer_with(shop: &mut Shop, method: &str) -> (Value, Value) {
    let customer = shop.post("/v1/customers", json!({"name": "Ada"}));
    let session = shop.session(json!({
        "customer": id(&customer),
        "payment_intent_data": {"setup_future_usage": KEEP},
    }));
    let payment = Payment::Method(method.into());
    if matches!(
        shop.world.pay_session(id(&session), &payment, shop.now),
        PayOutcome::RequiresAction { .. }
    ) {
        shop.world.answer_challenge(id(&session), true, shop.now);
    }
    assert_eq!(shop.read(&session)["payment_status"], "paid");
    let listed = shop.get(
        &format!("/v1/customers/{}/payment_methods", id(&customer)),
        json!({}),
    );
    (customer, listed["data"][0].clone())
}

fn alone(customer: &Value, method: &Value) -> Value {
    json!({
        "amount": 700, "currency": "usd", "confirm": true, "off_session": true,
        "customer": customer["id"], "payment_method": method["id"],
    })
}

#[test]
fn a_card_that_was_kept_pays_without_the_customer() {
    let mut shop = Shop::open();
    let (customer, method) = customer_with(&mut shop, "pm_card_visa");
    assert_eq!(method["customer"], customer["id"]);
    assert_eq!(shop.event("payment_method.attached")["id"], method["id"]);
    let intent = shop.post("/v1/payment_intents", alone(&customer, &method));
    assert_eq!(
        (
            &intent["status"],
            &intent["customer"],
            &intent["amount_received"]
        ),
        (&json!("succeeded"), &customer["id"], &json!(700))
    );
    let others = shop.get("/v1/charges", json!({"customer": id(&customer)}));
    assert_eq!(others["data"].as_array().unwrap().len(), 2);
}

#[test]
fn a_card_is_kept_only_if_the_session_says_so() {
    let mut shop = Shop::open();
    let customer = shop.post("/v1/customers", json!({"name": "Ada"}));
    let session = shop.session(json!({"customer": id(&customer)}));
    shop.pay(&session, "4242424242424242");
    let path = format!("/v1/customers/{}/payment_methods", id(&customer));
    assert_eq!(shop.get(&path, json!({}))["data"], json!([]));
}

#[test]
fn a_customer_made_by_the_session_keeps_the_card_too() {
    let mut shop = Shop::open();
    let session = shop.session(json!({
        "customer_creation": "always",
        "payment_intent_data": {"setup_future_usage": KEEP},
    }));
    shop.pay(&session, "4242424242424242");
    let paid = shop.read(&session);
    let customer = paid["customer"].as_str().unwrap();
    let path = format!("/v1/customers/{customer}/payment_methods");
    assert_eq!(
        shop.get(&path, json!({}))["data"][0]["card"]["last4"],
        "4242"
    );
    let intent = paid["payment_intent"].as_str().unwrap();
    let intent = shop.get(&format!("/v1/payment_intents/{intent}"), json!({}));
    assert_eq!(intent["customer"], customer);
    let charges = shop.get("/v1/charges", json!({"customer": customer}));
    assert_eq!(charges["data"][0]["id"], intent["latest_charge"]);
}

#[test]
fn a_decline_without_the_customer_says_all_there_is_to_know() {
    let mut shop = Shop::open();
    let customer = shop.post("/v1/customers", json!({"name": "Ada"}));
    for (card, code, reason, advice) in [
        (
            "pm_card_chargeDeclined",
            "card_declined",
            "generic_decline",
            "try_again_later",
        ),
        (
            "pm_card_chargeDeclinedInsufficientFunds",
            "card_declined",
            "insufficient_funds",
            "try_again_later",
        ),
        (
            "pm_card_chargeDeclinedLostCard",
            "card_declined",
            "lost_card",
            "do_not_try_again",
        ),
        (
            "pm_card_chargeDeclinedStolenCard",
            "card_declined",
            "stolen_card",
            "do_not_try_again",
        ),
        (
            "pm_card_chargeDeclinedExpiredCard",
            "expired_card",
            "expired_card",
            "confirm_card_data",
        ),
        (
            "pm_card_chargeDeclinedIncorrectCvc",
            "incorrect_cvc",
            "incorrect_cvc",
            "confirm_card_data",
        ),
    ] {
        let params = alone(&customer, &json!({"id": card}));
        let (status, body) = shop.call("POST", "/v1/payment_intents", params);
        let error = &body["error"];
        assert_eq!(
            (status, &error["type"]),
            (402, &json!("card_error")),
            "{card}"
        );
        assert_eq!(
            (
                &error["code"],
                &error["decline_code"],
                &error["advice_code"]
            ),
            (&json!(code), &json!(reason), &json!(advice)),
            "{card}"
        );
        let intent = &error["payment_intent"];
        assert_eq!(intent["status"], "requires_payment_method", "{card}");
        assert_eq!(
            intent["last_payment_error"]["advice_code"], advice,
            "{card}"
        );
        assert_eq!(
            error["payment_method"]["object"], "payment_method",
            "{card}"
        );
        assert_eq!(
            shop.event("charge.failed")["outcome"]["advice_code"],
            advice
        );
        assert_eq!(
            shop.event("payment_intent.payment_failed")["id"],
            intent["id"]
        );
    }
}

#[test]
fn a_bank_that_asks_cannot_be_answered_without_the_customer() {
    let mut shop = Shop::open();
    let (customer, method) = customer_with(&mut shop, "pm_card_authenticationRequired");
    let (status, body) = shop.call("POST", "/v1/payment_intents", alone(&customer, &method));
    let error = &body["error"];
    assert_eq!(
        (status, &error["code"], &error["decline_code"]),
        (
            402,
            &json!("authentication_required"),
            &json!("authentication_required")
        )
    );
    assert!(error.get("advice_code").is_none());
    assert_eq!(error["payment_intent"]["status"], "requires_payment_method");
    assert_eq!(error["payment_method"]["id"], method["id"]);
}

#[test]
fn a_card_may_attach_and_then_never_pay() {
    let mut shop = Shop::open();
    let customer = shop.post("/v1/customers", json!({"name": "Ada"}));
    let path = "/v1/payment_methods/pm_card_chargeCustomerFail/attach";
    let method = shop.post(path, json!({"customer": id(&customer)}));
    let (status, body) = shop.call("POST", "/v1/payment_intents", alone(&customer, &method));
    assert_eq!(
        (status, &body["error"]["code"]),
        (402, &json!("card_declined"))
    );
    let path = "/v1/payment_methods/pm_card_chargeDeclined/attach";
    let (status, _, _) = shop.refused("POST", path, json!({"customer": id(&customer)}));
    assert_eq!(status, 402, "a card that declines cannot be attached");
}

#[test]
fn a_session_can_keep_a_card_without_a_payment() {
    let mut shop = Shop::open();
    let customer = shop.post("/v1/customers", json!({"name": "Ada"}));
    let session = shop.post(
        "/v1/checkout/sessions",
        json!({
            "mode": "setup", "currency": "usd", "customer": id(&customer),
            "success_url": "https://shop.example/done",
        }),
    );
    assert_eq!(
        shop.pay(&session, "4242424242424242"),
        PayOutcome::Succeeded
    );
    let done = shop.read(&session);
    assert_eq!(
        (&done["status"], &done["payment_status"]),
        (&json!("complete"), &json!("no_payment_required"))
    );
    let setup = shop.event("setup_intent.succeeded");
    assert_eq!(done["setup_intent"], setup["id"]);
    let method = json!({"id": setup["payment_method"]});
    let intent = shop.post("/v1/payment_intents", alone(&customer, &method));
    assert_eq!(intent["status"], "succeeded");
}

#[test]
fn a_number_has_one_fingerprint() {
    let mut shop = Shop::open();
    let fingerprint = |shop: &mut Shop, number: &str| {
        let session = shop.session(json!({}));
        shop.pay(&session, number);
        shop.event("charge.succeeded")["payment_method_details"]["card"]["fingerprint"].clone()
    };
    let first = fingerprint(&mut shop, "4242424242424242");
    assert_eq!(first, fingerprint(&mut shop, "4242 4242 4242 4242"));
    assert_ne!(first, fingerprint(&mut shop, "5555555555554444"));
    let by_name = shop.charge("pm_card_visa");
    assert_eq!(by_name["status"], "succeeded");
    let charge = shop.event("charge.succeeded");
    assert_eq!(
        charge["payment_method_details"]["card"]["fingerprint"],
        first
    );
}
