use serde_json::json;

use crate::shop::{Shop, id};

#[test]
fn money_is_reserved_and_captured_in_part() {
    let mut shop = Shop::open();
    let intent = shop.post(
        "/v1/payment_intents",
        json!({
            "amount": 2000, "currency": "usd", "confirm": true, "payment_method": "pm_card_visa",
            "capture_method": "manual",
        }),
    );
    assert_eq!(
        (&intent["status"], &intent["amount_capturable"]),
        (&json!("requires_capture"), &json!(2000))
    );
    assert_eq!(
        shop.get("/v1/balance_transactions", json!({}))["data"],
        json!([])
    );
    let path = format!("/v1/payment_intents/{}/capture", id(&intent));
    assert_eq!(
        shop.refused("POST", &path, json!({"amount_to_capture": 2001}))
            .1,
        "amount_too_large"
    );
    let captured = shop.post(&path, json!({"amount_to_capture": 1500}));
    assert_eq!(
        (&captured["status"], &captured["amount_received"]),
        (&json!("succeeded"), &json!(1500))
    );
    assert_eq!(
        shop.refused("POST", &path, json!({})).1,
        "payment_intent_unexpected_state"
    );
    assert_eq!(
        shop.told(),
        [
            "payment_intent.created",
            "charge.succeeded",
            "payment_intent.amount_capturable_updated",
            "charge.captured",
            "payment_intent.succeeded",
        ]
    );
    assert_eq!(
        shop.get("/v1/balance_transactions", json!({}))["data"][0]["amount"],
        1500
    );
}

#[test]
fn what_was_reserved_can_be_let_go() {
    let mut shop = Shop::open();
    let intent = shop.post(
        "/v1/payment_intents",
        json!({
            "amount": 2000, "currency": "usd", "confirm": true, "payment_method": "pm_card_visa",
            "capture_method": "manual",
        }),
    );
    let path = format!("/v1/payment_intents/{}/cancel", id(&intent));
    let canceled = shop.post(&path, json!({"cancellation_reason": "abandoned"}));
    assert_eq!(
        (&canceled["status"], &canceled["amount_capturable"]),
        (&json!("canceled"), &json!(0))
    );
    assert_eq!(shop.event("charge.refunded")["refunded"], true);
    assert_eq!(
        shop.refused("POST", &path, json!({})).1,
        "payment_intent_unexpected_state"
    );
}

#[test]
fn a_decline_is_an_error_that_shows_the_intent_and_stays() {
    let mut shop = Shop::open();
    let params = json!({
        "amount": 2000, "currency": "usd", "confirm": true, "payment_method": "pm_card_visa_chargeDeclined",
    });
    let (status, body) = shop.call("POST", "/v1/payment_intents", params);
    let error = &body["error"];
    assert_eq!(status, 402);
    assert_eq!(
        (&error["type"], &error["code"]),
        (&json!("card_error"), &json!("card_declined"))
    );
    assert_eq!(error["decline_code"], "generic_decline");
    let intent = shop.read(&error["payment_intent"]);
    assert_eq!(intent["status"], "requires_payment_method");
    assert_eq!(intent["latest_charge"], error["charge"]);
    assert_eq!(
        shop.told(),
        [
            "payment_intent.created",
            "charge.failed",
            "payment_intent.payment_failed"
        ]
    );
    let path = format!("/v1/payment_intents/{}/confirm", id(&intent));
    assert_eq!(
        shop.refused("POST", &path, json!({})).1,
        "payment_intent_unexpected_state"
    );
    assert_eq!(
        shop.post(&path, json!({"payment_method": "pm_card_visa"}))["status"],
        "succeeded"
    );
}

#[test]
fn a_refused_request_leaves_nothing_behind() {
    let mut shop = Shop::open();
    let before = shop.world.records.snapshot();
    // The customer is made before its payment method turns out to be none.
    let params = json!({"name": "Ada", "payment_method": "pm_none"});
    assert_eq!(
        shop.refused("POST", "/v1/customers", params).1,
        "resource_missing"
    );
    assert_eq!(shop.world.records.snapshot(), before);
}

#[test]
fn a_card_set_up_once_is_not_asked_again_when_nobody_is_there() {
    let mut shop = Shop::open();
    let customer = shop.post("/v1/customers", json!({"name": "Ada"}));
    let method = "pm_card_authenticationRequiredOnSetup";
    let setup = shop.post(
        "/v1/payment_intents",
        json!({
            "amount": 2000, "currency": "usd", "confirm": true, "payment_method": method,
            "customer": id(&customer), "setup_future_usage": "off_session",
        }),
    );
    assert_eq!(setup["status"], "requires_action");
    shop.world
        .answer_intent_challenge(id(&setup), true, shop.now);
    let kept = shop.read(&setup)["payment_method"].clone();
    assert_eq!(
        shop.event("payment_method.attached")["customer"],
        customer["id"]
    );
    let alone = |method: &serde_json::Value, customer: &serde_json::Value| {
        json!({
            "amount": 700, "currency": "usd", "confirm": true, "off_session": true,
            "payment_method": method, "customer": customer["id"],
        })
    };
    let params = alone(&kept, &customer);
    assert_eq!(
        shop.post("/v1/payment_intents", params)["status"],
        "succeeded"
    );
    let (status, body) = shop.call(
        "POST",
        "/v1/payment_intents",
        alone(&json!(method), &customer),
    );
    assert_eq!(
        (status, &body["error"]["decline_code"]),
        (402, &json!("authentication_required"))
    );
}

#[test]
fn the_next_step_leads_where_the_shop_says() {
    let mut shop = Shop::open();
    let intent = shop.post("/v1/payment_intents", json!({
        "amount": 2000, "currency": "usd", "confirm": true, "return_url": "https://shop.example/back",
        "payment_method": "pm_card_authenticationRequired",
    }));
    assert_eq!(
        intent["next_action"]["redirect_to_url"]["return_url"],
        "https://shop.example/back"
    );
    let plain = shop.charge("pm_card_authenticationRequired");
    assert_eq!(plain["next_action"]["type"], "use_stripe_sdk");
}

#[test]
fn a_debit_settles_by_the_account_it_comes_from() {
    for (account, status) in [
        ("000123456789", "succeeded"),
        ("000222222227", "requires_payment_method"),
    ] {
        let mut shop = Shop::open();
        let method = shop.post("/v1/payment_methods", json!({
            "type": "us_bank_account",
            "us_bank_account": {"account_number": account, "routing_number": "110000000", "account_holder_type": "individual"},
        }));
        let intent = shop.charge(id(&method));
        assert_eq!(intent["status"], "processing");
        shop.now += 5;
        assert_eq!(shop.read(&intent)["status"], status);
    }
}

#[test]
fn amounts_have_bounds() {
    let mut shop = Shop::open();
    let mut code = |amount: i64, currency: &str| {
        shop.refused(
            "POST",
            "/v1/payment_intents",
            json!({"amount": amount, "currency": currency}),
        )
        .1
    };
    assert_eq!(code(49, "usd"), "amount_too_small");
    assert_eq!(code(100_000_000, "usd"), "amount_too_large");
    assert_eq!(code(-5, "usd"), "parameter_invalid_integer");
    assert_eq!(code(29, "gbp"), "amount_too_small");
    assert_eq!(code(1001, "kwd"), "parameter_invalid_integer");
}
