//! Exchanges: one unit for another.

use bursar_domain::id::{GrantId, TransactionId};
use serde_json::json;

use crate::door::{Door, EXCHANGE, GRANT, TODAY};

#[tokio::test]
async fn an_exchange_takes_one_unit_and_grants_another() {
    let door = Door::open().await;
    let money = json!({"user_id": "u1", "amount": 700, "unit": "usd", "category": "paid"});
    door.post(GRANT, money).await.ok();
    let body = json!({
        "user_id": "u1", "from": {"unit": "usd", "amount": 500}, "to": {"unit": "credit", "amount": 5000},
        "note": "bought", "ref": "x-1",
    });
    let exchanged = door.post_once(EXCHANGE, "x1", body).await.ok();
    let paid = TransactionId::of(2).to_string();
    assert_eq!(
        exchanged,
        json!({
            "transaction_id": paid, "user_id": "u1", "from": {"unit": "usd", "amount": 500},
            "to": {"unit": "credit", "amount": 5000}, "balance_after": 200,
            "grant": {
                "grant_id": GrantId::of(2).to_string(), "user_id": "u1", "status": "active", "category": "paid",
                "source": "exchange", "priority": 50, "credits": 5000, "remaining": 5000, "held": 0,
                "unit": "credit", "starts_at": null, "expires_at": null, "roll_over": null, "note": "bought",
                "ref": "x-1", "meta": {}, "created_at": TODAY, "ended_at": null,
            },
            "created_at": TODAY,
        })
    );
    assert_eq!(door.wallet("u1").await["credits"], 5_000);
    // Both halves say that they belong together.
    for (unit, credits) in [("usd", -500), ("credit", 5_000)] {
        let path = format!("/v1/balance/history?user_id=u1&kind=exchange&unit={unit}");
        let line = door.items(&path).await.remove(0);
        assert_eq!(
            (&line["credits"], &line["tags"], &line["ref"]),
            (
                &json!(credits),
                &json!(format!("exchange:{paid}")),
                &json!("x-1")
            )
        );
    }
}

#[tokio::test]
async fn what_cannot_be_exchanged_changes_nothing() {
    let door = Door::open().await;
    door.grant("u1", 100).await;
    let before = door.everything().await;
    let side = |unit: &str, amount: i64| json!({"unit": unit, "amount": amount});
    for (from, to, status, code, param) in [
        (
            side("usd", 1),
            side("credit", 1),
            402,
            "insufficient_credits",
            "credits",
        ),
        (
            side("credit", 101),
            side("usd", 1),
            402,
            "insufficient_credits",
            "credits",
        ),
        (side("credit", 1), side("credit", 1), 400, "same_unit", "to"),
        (
            side("credit", 0),
            side("usd", 1),
            400,
            "parameter_invalid",
            "from.amount",
        ),
        (
            side("credit", 1),
            side("usd", 1_000_000_000_001),
            400,
            "parameter_invalid",
            "to.amount",
        ),
        (
            side("credit", 1),
            side("xxx", 1),
            400,
            "parameter_invalid",
            "to.unit",
        ),
        (
            json!({"unit": "credit"}),
            side("usd", 1),
            400,
            "parameter_missing",
            "from.amount",
        ),
        (
            side("credit", 1),
            json!({"amount": 1}),
            400,
            "parameter_missing",
            "to.unit",
        ),
        (
            side("credit", 1),
            json!({"unit": "usd", "amount": 1, "rate": 2}),
            400,
            "parameter_unknown",
            "to.rate",
        ),
        (json!(5), side("usd", 1), 400, "parameter_invalid", "from"),
    ] {
        let body = json!({"user_id": "u1", "from": from, "to": to});
        let answer = door
            .post_once(EXCHANGE, &body.to_string().replace(' ', ""), body)
            .await;
        answer.refused(status, code, Some(param));
    }
    let body = json!({"user_id": "u1", "from": side("credit", 1), "to": side("usd", 1)});
    let no_key = door.post(EXCHANGE, body).await;
    no_key.refused(400, "parameter_missing", Some("idempotency_key"));
    assert_eq!(door.everything().await, before);
}
