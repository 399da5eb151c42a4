use bursar_sandbox::refund::Arrival;
use serde_json::{Value, json};

use crate::shop::{Shop, id};

fn refund(shop: &mut Shop, intent: &Value, amount: i64) -> Value {
    shop.post(
        "/v1/refunds",
        json!({"payment_intent": id(intent), "amount": amount}),
    )
}

#[test]
fn refunds_add_up_and_never_to_more_than_was_paid() {
    let mut shop = Shop::open();
    let intent = shop.charge("pm_card_visa");
    refund(&mut shop, &intent, 1500);
    let charge = shop.event("charge.refunded");
    assert_eq!(
        (&charge["amount_refunded"], &charge["refunded"]),
        (&json!(1500), &json!(false))
    );
    let (status, body) = shop.call(
        "POST",
        "/v1/refunds",
        json!({"payment_intent": id(&intent), "amount": 501}),
    );
    assert_eq!(status, 400);
    let message = body["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("($5.01) is greater than unrefunded amount on charge ($5.00)"),
        "{message}"
    );
    let rest = shop.post("/v1/refunds", json!({"payment_intent": id(&intent)}));
    assert_eq!(rest["amount"], 500);
    assert_eq!(shop.event("charge.refunded")["refunded"], true);
    let again = shop.refused("POST", "/v1/refunds", json!({"charge": id(&charge)}));
    assert_eq!(again.1, "charge_already_refunded");
    let listed = shop.get("/v1/refunds", json!({"payment_intent": id(&intent)}));
    assert_eq!(listed["data"].as_array().unwrap().len(), 2);
    let balance = shop.get("/v1/balance_transactions", json!({"type": "refund"}));
    assert_eq!(balance["data"][0]["amount"], -500);
    assert_eq!(
        shop.told()[3..],
        [
            "refund.created",
            "charge.refunded",
            "refund.created",
            "charge.refunded"
        ]
    );
}

#[test]
fn a_slow_refund_arrives_later() {
    let mut shop = Shop::open();
    let intent = shop.charge("pm_card_pendingRefund");
    let slow = refund(&mut shop, &intent, 2000);
    assert_eq!(slow["status"], "pending");
    shop.now += 1;
    assert_eq!(shop.read(&slow)["status"], "succeeded");
    assert_eq!(shop.event("refund.updated")["status"], "succeeded");
}

#[test]
fn a_refund_that_fails_gives_the_money_back_to_the_shop() {
    let mut shop = Shop::open();
    let intent = shop.charge("pm_card_refundFail");
    let failing = refund(&mut shop, &intent, 2000);
    assert_eq!(failing["status"], "succeeded");
    shop.now += 1;
    let failed = shop.read(&failing);
    assert_eq!(failed["status"], "failed");
    assert_eq!(shop.event("refund.failed")["id"], failing["id"]);
    let charge = shop.get(
        &format!("/v1/charges/{}", failed["charge"].as_str().unwrap()),
        json!({}),
    );
    assert_eq!(
        (&charge["amount_refunded"], &charge["refunded"]),
        (&json!(0), &json!(false))
    );
    let moved: i64 = shop
        .world
        .records
        .objects("balance_transaction")
        .map(|t| t["amount"].as_i64().unwrap())
        .sum();
    assert_eq!(moved, 2000);
}

#[test]
fn what_was_not_paid_cannot_be_refunded() {
    let mut shop = Shop::open();
    let intent = shop.post(
        "/v1/payment_intents",
        json!({"amount": 2000, "currency": "usd"}),
    );
    let mut code = |params| shop.refused("POST", "/v1/refunds", params).1;
    assert_eq!(
        code(json!({"payment_intent": id(&intent)})),
        "payment_intent_unexpected_state"
    );
    assert_eq!(code(json!({"charge": "ch_none"})), "resource_missing");
    assert_eq!(code(json!({})), "parameter_missing");
}

#[test]
fn any_refund_can_fail_later_and_be_made_again() {
    let mut shop = Shop::open();
    let intent = shop.charge("pm_card_visa");
    let first = refund(&mut shop, &intent, 700);
    refund(&mut shop, &intent, 300);
    shop.now += 86_400;
    let failed = shop
        .world
        .decide_refund(id(&first), Arrival::Failed, shop.now)
        .unwrap();
    assert_eq!(
        (&failed["status"], &failed["failure_reason"]),
        (&json!("failed"), &json!("unknown"))
    );
    assert_eq!(
        shop.told().split_off(7),
        [
            "charge.updated",
            "refund.failed",
            "refund.updated",
            "charge.refund.updated"
        ]
    );
    let back = shop.get(
        "/v1/balance_transactions",
        json!({"source": id(&first), "type": "refund_failure"}),
    );
    assert_eq!(back["data"][0]["id"], failed["failure_balance_transaction"]);
    assert_eq!(back["data"][0]["amount"], 700);
    let charge = shop.event("charge.updated");
    assert_eq!(charge["amount_refunded"], 300);
    assert!(
        shop.world
            .decide_refund(id(&first), Arrival::Failed, shop.now)
            .is_err(),
        "it fails once"
    );
    assert_eq!(refund(&mut shop, &intent, 1700)["status"], "succeeded");
    assert_eq!(shop.event("charge.refunded")["refunded"], true);
}

#[test]
fn a_refund_that_waits_can_be_called_back_and_one_that_arrived_cannot() {
    let mut shop = Shop::open();
    let intent = shop.charge("pm_card_pendingRefund");
    let slow = refund(&mut shop, &intent, 2000);
    let path = format!("/v1/refunds/{}/cancel", id(&slow));
    assert_eq!(
        shop.refused("POST", &path, json!({})).0,
        400,
        "a call cancels only what waits for the customer"
    );
    let canceled = shop
        .world
        .decide_refund(id(&slow), Arrival::Canceled, shop.now)
        .unwrap();
    assert_eq!(canceled["status"], "canceled");
    assert_eq!(shop.event("refund.updated")["status"], "canceled");
    assert!(!shop.told().contains(&"refund.failed".to_owned()));
    assert_eq!(shop.event("charge.updated")["amount_refunded"], 0);
    shop.now += 5;
    assert_eq!(shop.read(&slow)["status"], "canceled", "it does not arrive");
    let arrived = refund(&mut shop, &intent, 100);
    shop.now += 5;
    assert_eq!(shop.read(&arrived)["status"], "succeeded");
    for arrival in [Arrival::Canceled, Arrival::Succeeded] {
        let refused = shop.world.decide_refund(id(&arrived), arrival, shop.now);
        assert_eq!(
            refused.unwrap_err().code.as_deref(),
            Some("refund_unexpected_state")
        );
    }
}

#[test]
fn a_refund_keeps_what_the_shop_notes_on_it() {
    let mut shop = Shop::open();
    let intent = shop.charge("pm_card_visa");
    let made = shop.post(
        "/v1/refunds",
        json!({"payment_intent": id(&intent), "reason": "requested_by_customer", "metadata": {"ours": "7"}}),
    );
    assert_eq!(shop.event("refund.created")["metadata"]["ours"], "7");
    let path = format!("/v1/refunds/{}", id(&made));
    let noted = shop.post(&path, json!({"metadata": {"more": "x"}}));
    assert_eq!(noted["metadata"], json!({"ours": "7", "more": "x"}));
    assert_eq!(shop.event("refund.updated"), noted);
    let (status, code, param) = shop.refused(
        "POST",
        "/v1/refunds",
        json!({"payment_intent": id(&intent), "amount": 0}),
    );
    assert_eq!(
        (status, code.as_str(), param.as_str()),
        (400, "charge_already_refunded", "")
    );
}
