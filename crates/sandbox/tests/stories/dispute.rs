use bursar_sandbox::claim::{Claim, Verdict};
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

#[test]
fn any_payment_can_be_disputed_lost_or_won() {
    for (verdict, status, left) in [(Verdict::Lost, "lost", 0), (Verdict::Won, "won", 2000)] {
        let mut shop = Shop::open();
        let intent = shop.charge("pm_card_visa");
        let before = net(&shop);
        let claim = Claim {
            reason: "product_not_received".into(),
            ..Claim::default()
        };
        let dispute = shop
            .world
            .open_dispute(id(&intent), &claim, shop.now)
            .unwrap();
        assert_eq!(
            (
                &dispute["charge"],
                &dispute["payment_intent"],
                &dispute["amount"]
            ),
            (&intent["latest_charge"], &intent["id"], &json!(2000))
        );
        let withdrawn = &dispute["balance_transactions"][0];
        assert_eq!(
            (&withdrawn["amount"], &withdrawn["fee"], &withdrawn["net"]),
            (&json!(-2000), &json!(1500), &json!(-3500))
        );
        assert_eq!(withdrawn["reporting_category"], "dispute");
        assert_eq!(shop.event("charge.updated")["disputed"], true);
        let refused = shop.refused(
            "POST",
            "/v1/refunds",
            json!({"payment_intent": id(&intent)}),
        );
        assert_eq!(refused.1, "charge_disputed");
        let over = shop
            .world
            .decide_dispute(id(&dispute), verdict, shop.now)
            .unwrap();
        assert_eq!(over["status"], status);
        assert_eq!(net(&shop), before - 2000 - 1500 + left);
        assert_eq!(shop.event("charge.dispute.closed"), over);
        assert!(
            shop.world
                .decide_dispute(id(&dispute), Verdict::Won, shop.now)
                .is_err(),
            "it ends once"
        );
        if verdict == Verdict::Won {
            let events = shop.told().split_off(6);
            assert_eq!(
                events,
                ["charge.dispute.funds_reinstated", "charge.dispute.closed"]
            );
            let again = shop.post("/v1/refunds", json!({"payment_intent": id(&intent)}));
            assert_eq!(again["amount"], 2000, "what was won can be given back");
        } else {
            assert_eq!(shop.told().split_off(6), ["charge.dispute.closed"]);
        }
    }
}

#[test]
fn what_was_refunded_is_not_taken_again() {
    let mut shop = Shop::open();
    let intent = shop.charge("pm_card_visa");
    shop.post(
        "/v1/refunds",
        json!({"payment_intent": id(&intent), "amount": 600}),
    );
    let rest = shop
        .world
        .open_dispute(id(&intent), &Claim::default(), shop.now)
        .unwrap();
    assert_eq!(rest["amount"], 1400);
    let more = Claim {
        amount: Some(601),
        ..Claim::default()
    };
    assert!(
        shop.world
            .open_dispute(id(&intent), &more, shop.now)
            .is_err()
    );
    let part = Claim {
        amount: Some(600),
        ..Claim::default()
    };
    let part = shop
        .world
        .open_dispute(id(&intent), &part, shop.now)
        .unwrap();
    assert_eq!(part["amount"], 600, "a bank may dispute what was refunded");
}

#[test]
fn only_money_that_came_can_be_disputed() {
    let mut shop = Shop::open();
    let open = shop.post(
        "/v1/payment_intents",
        json!({"amount": 2000, "currency": "usd"}),
    );
    let reserved = shop.post(
        "/v1/payment_intents",
        json!({
            "amount": 2000, "currency": "usd", "confirm": true, "payment_method": "pm_card_visa",
            "capture_method": "manual",
        }),
    );
    let told = shop.told().len();
    for id in [id(&open), id(&reserved), "ch_none"] {
        assert!(
            shop.world
                .open_dispute(id, &Claim::default(), shop.now)
                .is_err()
        );
    }
    let paid = shop.charge("pm_card_visa");
    let odd = Claim {
        reason: "bad_mood".into(),
        ..Claim::default()
    };
    assert!(shop.world.open_dispute(id(&paid), &odd, shop.now).is_err());
    assert_eq!(shop.told().len(), told + 3, "refused claims tell nobody");
}

#[test]
fn an_inquiry_leaves_the_charge_refundable_and_ends_without_money() {
    let mut shop = Shop::open();
    let intent = shop.charge("pm_card_visa");
    let before = net(&shop);
    let ask = Claim {
        inquiry: true,
        ..Claim::default()
    };
    let inquiry = shop
        .world
        .open_dispute(id(&intent), &ask, shop.now)
        .unwrap();
    assert_eq!(
        (&inquiry["status"], &inquiry["balance_transactions"]),
        (&json!("warning_needs_response"), &json!([]))
    );
    shop.post(
        "/v1/refunds",
        json!({"payment_intent": id(&intent), "amount": 500}),
    );
    let worse = shop
        .world
        .decide_dispute(id(&inquiry), Verdict::Escalated, shop.now)
        .unwrap();
    assert_eq!(
        (&worse["status"], &worse["amount"]),
        (&json!("needs_response"), &json!(1500))
    );
    assert_eq!(net(&shop), before - 500 - 1500 - 1500);

    let other = shop.charge("pm_card_visa");
    let before = net(&shop);
    let calm = shop.world.open_dispute(id(&other), &ask, shop.now).unwrap();
    shop.post("/v1/refunds", json!({"payment_intent": id(&other)}));
    assert!(
        shop.world
            .decide_dispute(id(&calm), Verdict::Escalated, shop.now)
            .is_err(),
        "nothing is left to take"
    );
    let closed = shop
        .world
        .decide_dispute(id(&calm), Verdict::Lost, shop.now)
        .unwrap();
    assert_eq!(closed["status"], "warning_closed");
    assert_eq!(net(&shop), before - 2000);
}

#[test]
fn a_warning_is_settled_by_a_refund_or_a_dispute() {
    let mut shop = Shop::open();
    for refunded in [true, false] {
        let intent = shop.charge("pm_card_visa");
        let warning = shop.world.warn_of_fraud(id(&intent), shop.now).unwrap();
        assert_eq!(warning["actionable"], true);
        if refunded {
            shop.post(
                "/v1/refunds",
                json!({"payment_intent": id(&intent), "amount": 1}),
            );
            assert!(
                !shop
                    .told()
                    .contains(&"radar.early_fraud_warning.updated".to_owned())
            );
            shop.post("/v1/refunds", json!({"payment_intent": id(&intent)}));
        } else {
            shop.world
                .open_dispute(id(&intent), &Claim::default(), shop.now)
                .unwrap();
        }
        let settled = shop.event("radar.early_fraud_warning.updated");
        assert_eq!(
            (&settled["id"], &settled["actionable"]),
            (&warning["id"], &json!(false))
        );
        let path = format!("/v1/radar/early_fraud_warnings/{}", id(&warning));
        assert_eq!(shop.get(&path, json!({})), settled);
    }
    assert!(shop.world.warn_of_fraud("ch_none", shop.now).is_err());
}
