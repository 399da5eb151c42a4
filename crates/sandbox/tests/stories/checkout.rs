use bursar_sandbox::pay::{PayOutcome, Payment, Settlement};
use serde_json::json;

use crate::shop::{Shop, card, id, merged, order};

#[test]
fn a_session_is_opened_paid_and_told_of_in_order() {
    let mut shop = Shop::open();
    let session = shop.session(json!({
        "client_reference_id": "topup_1",
        "metadata": {"a": "1"},
        "payment_intent_data": {"metadata": {"topup": "7"}, "description": "500 credits"},
    }));
    assert_eq!(
        session["url"],
        json!(format!("http://127.0.0.1:1/c/pay/{}", id(&session)))
    );
    assert_eq!(session["amount_total"], 500);
    assert_eq!(session["payment_intent"], json!(null));
    assert_eq!(
        (&session["status"], &session["payment_status"]),
        (&json!("open"), &json!("unpaid"))
    );
    assert_eq!(session["expires_at"], shop.now + 24 * 3600);

    assert_eq!(
        shop.pay(&session, "4242 4242 4242 4242"),
        PayOutcome::Succeeded
    );
    let story = [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "checkout.session.completed",
    ];
    assert_eq!(shop.told(), story);
    let paid = shop.read(&session);
    assert_eq!(
        (&paid["status"], &paid["payment_status"]),
        (&json!("complete"), &json!("paid"))
    );
    assert_eq!(paid["url"], json!(null));
    assert_eq!(paid["customer_details"]["email"], "ada@example.com");
    assert_eq!(shop.event("checkout.session.completed"), paid);
    let intent = shop.get(
        &format!(
            "/v1/payment_intents/{}",
            paid["payment_intent"].as_str().unwrap()
        ),
        json!({"expand": ["latest_charge.balance_transaction"]}),
    );
    assert_eq!(
        (&intent["status"], &intent["amount_received"]),
        (&json!("succeeded"), &json!(500))
    );
    assert_eq!(intent["metadata"]["topup"], "7");
    let charge = &intent["latest_charge"];
    assert_eq!(
        (&charge["paid"], &charge["amount_captured"]),
        (&json!(true), &json!(500))
    );
    assert_eq!(charge["metadata"]["topup"], "7");
    assert_eq!(charge["balance_transaction"]["net"], 500 - 45);
    let done = format!("https://shop.example/done?s={}", id(&session));
    assert_eq!(shop.world.success_url(id(&session)), Some(done));
}

#[test]
fn what_is_complete_or_expired_cannot_be_paid() {
    let mut shop = Shop::open();
    let session = shop.session(json!({}));
    shop.pay(&session, "4242424242424242");
    assert!(matches!(
        shop.pay(&session, "4242424242424242"),
        PayOutcome::NotPayable { .. }
    ));
    let path = format!("/v1/checkout/sessions/{}/expire", id(&session));
    assert_eq!(shop.refused("POST", &path, json!({})).0, 400);

    let other = shop.session(json!({}));
    let expired = shop.post(
        &format!("/v1/checkout/sessions/{}/expire", id(&other)),
        json!({}),
    );
    assert_eq!(
        (&expired["status"], &expired["url"]),
        (&json!("expired"), &json!(null))
    );
    assert!(matches!(
        shop.pay(&other, "4242424242424242"),
        PayOutcome::NotPayable { .. }
    ));
    assert_eq!(shop.world.records.objects("charge").count(), 1);
}

#[test]
fn a_session_expires_by_itself() {
    let mut shop = Shop::open();
    let session = shop.session(json!({"expires_at": shop.now + 1800}));
    shop.now += 1799;
    assert_eq!(shop.read(&session)["status"], "open");
    shop.now += 1;
    assert_eq!(shop.read(&session)["status"], "expired");
    assert_eq!(shop.told(), ["checkout.session.expired"]);
    assert_eq!(shop.event("checkout.session.expired")["id"], session["id"]);
    for wrong in [shop.now + 1799, shop.now + 24 * 3600 + 1] {
        let params = merged(order(), json!({"expires_at": wrong}));
        assert_eq!(
            shop.refused("POST", "/v1/checkout/sessions", params).2,
            "expires_at"
        );
    }
}

#[test]
fn a_declined_card_leaves_the_session_open_for_another() {
    let mut shop = Shop::open();
    let session = shop.session(json!({}));
    let PayOutcome::Declined {
        code, decline_code, ..
    } = shop.pay(&session, "4000000000009995")
    else {
        panic!("it was not declined");
    };
    assert_eq!(
        (code.as_str(), decline_code.as_deref()),
        ("card_declined", Some("insufficient_funds"))
    );
    let open = shop.read(&session);
    assert_eq!(
        (&open["status"], &open["payment_status"]),
        (&json!("open"), &json!("unpaid"))
    );
    let failed = shop.event("payment_intent.payment_failed");
    assert_eq!(failed["status"], "requires_payment_method");
    assert_eq!(
        failed["last_payment_error"]["decline_code"],
        "insufficient_funds"
    );

    assert_eq!(
        shop.pay(&session, "4242424242424242"),
        PayOutcome::Succeeded
    );
    let paid = shop.read(&session);
    assert_eq!(
        paid["payment_intent"], failed["id"],
        "the second card pays the same intent"
    );
    assert_eq!(
        shop.told(),
        [
            "payment_intent.created",
            "charge.failed",
            "payment_intent.payment_failed",
            "charge.succeeded",
            "payment_intent.succeeded",
            "checkout.session.completed",
        ]
    );
}

#[test]
fn a_number_that_is_none_reaches_no_bank() {
    let mut shop = Shop::open();
    let session = shop.session(json!({}));
    let outcome = shop.pay(&session, "4242424242424241");
    assert!(matches!(outcome, PayOutcome::Declined { code, .. } if code == "incorrect_number"));
    assert!(shop.told().is_empty());
}

#[test]
fn the_bank_asks_and_the_customer_approves() {
    let mut shop = Shop::open();
    let session = shop.session(json!({}));
    assert!(matches!(
        shop.pay(&session, "4000002760003184"),
        PayOutcome::RequiresAction { .. }
    ));
    assert_eq!(shop.read(&session)["status"], "open");
    assert_eq!(
        shop.told(),
        ["payment_intent.created", "payment_intent.requires_action"]
    );
    assert_eq!(
        shop.world.answer_challenge(id(&session), true, shop.now),
        PayOutcome::Succeeded
    );
    assert_eq!(shop.read(&session)["payment_status"], "paid");
    let details = &shop.event("charge.succeeded")["payment_method_details"];
    assert_eq!(details["card"]["three_d_secure"]["result"], "authenticated");
    assert!(matches!(
        shop.world.answer_challenge(id(&session), true, shop.now),
        PayOutcome::NotPayable { .. }
    ));
}

#[test]
fn the_bank_asks_and_the_customer_fails() {
    let mut shop = Shop::open();
    let session = shop.session(json!({}));
    shop.pay(&session, "4000002760003184");
    let outcome = shop.world.answer_challenge(id(&session), false, shop.now);
    assert!(
        matches!(outcome, PayOutcome::Declined { code, .. } if code == "payment_intent_authentication_failure")
    );
    assert_eq!(shop.told().last().unwrap(), "payment_intent.payment_failed");
    assert_eq!(shop.world.records.objects("charge").count(), 0);
    assert_eq!(shop.read(&session)["status"], "open");
    assert_eq!(
        shop.pay(&session, "4242424242424242"),
        PayOutcome::Succeeded
    );
}

#[test]
fn a_challenge_that_nobody_answers_ends_with_the_session() {
    let mut shop = Shop::open();
    let session = shop.session(json!({}));
    shop.pay(&session, "4000002760003184");
    shop.now += 24 * 3600;
    assert_eq!(shop.read(&session)["status"], "expired");
    assert_eq!(shop.event("payment_intent.canceled")["status"], "canceled");
    assert!(matches!(
        shop.world.answer_challenge(id(&session), true, shop.now),
        PayOutcome::NotPayable { .. }
    ));
}

#[test]
fn a_bank_debit_completes_unpaid_and_the_money_comes_later() {
    for (succeeds, told, payment_status) in [
        (true, "checkout.session.async_payment_succeeded", "paid"),
        (false, "checkout.session.async_payment_failed", "unpaid"),
    ] {
        let mut shop = Shop::open();
        let session = shop.session(json!({}));
        let settles = Some(Settlement {
            at: shop.now + 3 * 86_400,
            succeeds,
        });
        let payment = Payment::Delayed {
            kind: "us_bank_account".into(),
            settles,
        };
        assert_eq!(
            shop.world.pay_session(id(&session), &payment, shop.now),
            PayOutcome::Processing
        );
        let complete = shop.read(&session);
        assert_eq!(
            (&complete["status"], &complete["payment_status"]),
            (&json!("complete"), &json!("unpaid"))
        );
        assert_eq!(
            shop.event("payment_intent.processing")["status"],
            "processing"
        );
        shop.now += 3 * 86_400;
        assert_eq!(shop.read(&session)["payment_status"], payment_status);
        assert_eq!(shop.told().last().unwrap(), told);
        let intent = complete["payment_intent"].as_str().unwrap();
        assert!(
            !shop.world.settle_delayed(intent, true, shop.now),
            "it settles once"
        );
    }
}

#[test]
fn the_customer_can_be_made_by_the_session() {
    let mut shop = Shop::open();
    let session = shop.session(json!({"customer_creation": "always"}));
    shop.pay(&session, "4242424242424242");
    let paid = shop.read(&session);
    let customer = shop.get(
        &format!("/v1/customers/{}", paid["customer"].as_str().unwrap()),
        json!({}),
    );
    assert_eq!(customer["email"], "ada@example.com");
}

#[test]
fn line_items_are_listed_and_expanded() {
    let mut shop = Shop::open();
    let product = shop.post("/v1/products", json!({"name": "Credits"}));
    let price = shop.post(
        "/v1/prices",
        json!({"product": id(&product), "currency": "usd", "unit_amount": 1500}),
    );
    let session = shop.session(json!({"line_items": [{"price": id(&price), "quantity": 2}]}));
    assert_eq!(session["amount_total"], 3000);
    assert!(session.get("line_items").is_none());
    let path = format!("/v1/checkout/sessions/{}", id(&session));
    let listed = shop.get(&format!("{path}/line_items"), json!({}));
    assert_eq!(listed["data"][0]["amount_total"], 3000);
    let expanded = shop.get(&path, json!({"expand": ["line_items.data.price.product"]}));
    assert_eq!(
        expanded["line_items"]["data"][0]["price"]["product"]["name"],
        "Credits"
    );
}

#[test]
fn a_session_needs_what_it_needs() {
    let mut shop = Shop::open();
    let mut refused = |more| shop.refused("POST", "/v1/checkout/sessions", merged(order(), more));
    let line = |price_data| json!({"line_items": [{"quantity": 1, "price_data": price_data}]});
    let product = json!({"name": "x"});
    assert_eq!(refused(json!({"line_items": []})).1, "parameter_missing");
    assert_eq!(refused(json!({"success_url": "nowhere"})).1, "url_invalid");
    assert_eq!(refused(json!({"mode": "subscription"})).2, "mode");
    assert_eq!(
        refused(json!({"customer": "cus_none"})).1,
        "resource_missing"
    );
    let cheap = line(json!({"currency": "usd", "unit_amount": 49, "product_data": product}));
    assert_eq!(refused(cheap).1, "amount_too_small");
    let dear =
        line(json!({"currency": "usd", "unit_amount": 100_000_000, "product_data": product}));
    assert_eq!(refused(dear).1, "amount_too_large");
    let unnamed = line(json!({"currency": "usd", "unit_amount": 500, "product_data": {}}));
    assert_eq!(
        refused(unnamed).2,
        "line_items[0][price_data][product_data][name]"
    );
    assert_eq!(
        refused(json!({"payment_method_types": ["card"]})).1,
        "payment_method_types_no_longer_supported"
    );
    let (_, code, param) = refused(json!({"line_item": []}));
    assert_eq!(
        (code.as_str(), param.as_str()),
        ("parameter_unknown", "line_item")
    );
}

#[test]
fn nothing_of_a_card_is_kept_but_what_may_be() {
    let mut shop = Shop::open();
    let session = shop.session(json!({}));
    let mut entry = card("4000 0000 0000 9995");
    entry.cvc = Some("987".into());
    shop.world
        .pay_session(id(&session), &Payment::Card(entry), shop.now);
    shop.post(
        "/v1/payment_methods",
        json!({"type": "card", "card": {
            "number": "4000000000009995", "exp_month": 12, "exp_year": 2034, "cvc": "987",
        }}),
    );
    let kept = serde_json::to_string(&shop.world.records.snapshot()).unwrap();
    assert!(kept.contains("9995"));
    assert!(!kept.contains("4000000000009995") && !kept.contains("4000 0000"));
    assert!(!kept.contains("\"987\""));
}

#[test]
fn the_calls_of_stripes_own_cli_pay_a_session() {
    let mut shop = Shop::open();
    let session = shop.session(json!({}));
    let path = format!("/v1/payment_pages/{}", id(&session));
    assert_eq!(shop.get(&path, json!({}))["total"], 500);
    let wrong = json!({"payment_method": "pm_card_visa", "expected_amount": 499});
    assert_eq!(
        shop.refused("POST", &format!("{path}/confirm"), wrong).2,
        "expected_amount"
    );
    let declined = json!({"payment_method": "pm_card_visa_chargeDeclined", "expected_amount": 500});
    assert_eq!(
        shop.refused("POST", &format!("{path}/confirm"), declined).0,
        402
    );
    let right = json!({"payment_method": "pm_card_visa", "expected_amount": 500});
    assert_eq!(
        shop.post(&format!("{path}/confirm"), right)["payment_status"],
        "paid"
    );
}
