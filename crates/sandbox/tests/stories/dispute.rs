use serde_json::{Value, json};

use crate::shop::{Shop, id};

fn disputed(shop: &mut Shop, method: &str) -> Value {
    let intent = shop.charge(method);
    let listed = shop.get("/v1/disputes", json!({"payment_intent": id(&intent)}));
    listed["data"][0].clone()
}

fn net(shop: &Shop) -> i64 {
    shop.world
        .records
        .objects("balance_transaction")
        .map(|t| t["net"].as_i64().unwrap())
        .sum()
}

#[test]
fn a_dispute_takes_the_money_and_winning_brings_it_back() {
    let mut shop = Shop::open();
    let dispute = disputed(&mut shop, "pm_card_createDispute");
    assert_eq!(
        (&dispute["status"], &dispute["reason"]),
        (&json!("needs_response"), &json!("fraudulent"))
    );
    let fee = 2000 * 29 / 1000 + 30;
    assert_eq!(net(&shop), 2000 - fee - 2000 - 1500);
    let path = format!("/v1/disputes/{}", id(&dispute));
    let won = shop.post(
        &path,
        json!({"evidence": {"uncategorized_text": "winning_evidence"}}),
    );
    assert_eq!(won["status"], "won");
    assert_eq!(net(&shop), 2000 - fee - 1500);
    assert_eq!(
        shop.told()[3..],
        [
            "charge.dispute.created",
            "charge.updated",
            "charge.dispute.funds_withdrawn",
            "charge.dispute.updated",
            "charge.dispute.funds_reinstated",
            "charge.dispute.closed",
        ]
    );
    assert_eq!(
        shop.refused("POST", &format!("{path}/close"), json!({})).0,
        400
    );
}

#[test]
fn a_dispute_is_lost_by_evidence_or_by_giving_up() {
    let mut shop = Shop::open();
    let dispute = disputed(&mut shop, "pm_card_createDisputeProductNotReceived");
    let path = format!("/v1/disputes/{}", id(&dispute));
    let lost = shop.post(
        &path,
        json!({"evidence": {"uncategorized_text": "losing_evidence"}}),
    );
    assert_eq!(lost["status"], "lost");
    let other = disputed(&mut shop, "pm_card_createDispute");
    let closed = shop.post(&format!("/v1/disputes/{}/close", id(&other)), json!({}));
    assert_eq!(closed["status"], "lost");
    let refund = shop.refused("POST", "/v1/refunds", json!({"charge": other["charge"]}));
    assert_eq!(refund.1, "charge_disputed");
}

#[test]
fn an_inquiry_moves_no_money_until_it_is_escalated() {
    let mut shop = Shop::open();
    let inquiry = disputed(&mut shop, "pm_card_createDisputeInquiry");
    let before = net(&shop);
    assert_eq!(inquiry["status"], "warning_needs_response");
    let path = format!("/v1/disputes/{}", id(&inquiry));
    let worse = shop.post(
        &path,
        json!({"evidence": {"uncategorized_text": "escalate_inquiry_evidence"}}),
    );
    assert_eq!(worse["status"], "needs_response");
    assert_eq!(net(&shop), before - 2000 - 1500);
}

#[test]
fn a_fraud_warning_is_only_a_warning() {
    let mut shop = Shop::open();
    let intent = shop.charge("pm_card_createIssuerFraudRecord");
    let listed = shop.get(
        "/v1/radar/early_fraud_warnings",
        json!({"payment_intent": id(&intent)}),
    );
    assert_eq!(listed["data"][0]["charge"], intent["latest_charge"]);
    assert_eq!(
        shop.told().last().unwrap(),
        "radar.early_fraud_warning.created"
    );
}
