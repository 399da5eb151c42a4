//! The question whether a charge would be made.

use serde_json::{Value, json};

use crate::door::{CHARGE, Door, GRANT, LIMIT, PRECHECK};

#[tokio::test]
async fn a_precheck_says_what_a_charge_would_be_answered() {
    let door = Door::open_with(&[("BURSAR_ACTIONS", "picture=10")]).await;
    door.grant("u1", 30).await;
    let allowed = door
        .post(PRECHECK, json!({"user_id": "u1", "credits": 30}))
        .await;
    assert_eq!(
        allowed.ok(),
        json!({"allowed": true, "user_id": "u1", "credits": 30, "available": 30, "unit": "credit"})
    );
    let action = json!({"user_id": "u1", "action": "picture", "quantity": 4});
    let refused = door.post(PRECHECK, action.clone()).await.ok();
    let charged = door.post_once(CHARGE, "c1", action).await;
    assert_eq!(charged.status, 402);
    assert_eq!(
        refused,
        json!({
            "allowed": false, "user_id": "u1", "credits": 40, "available": 30, "unit": "credit",
            "error": charged.error(),
        })
    );
    let limit = json!({"user_id": "u1", "credits": 5, "period": "day"});
    door.post(LIMIT, limit).await.ok();
    let limited = door
        .post(PRECHECK, json!({"user_id": "u1", "credits": 6}))
        .await;
    let limited = limited.ok();
    let charged = door.charge("c2", "u1", 6).await;
    assert_eq!(
        (&limited["allowed"], &limited["error"]),
        (&json!(false), &charged.error())
    );
    let unknown = door
        .post(PRECHECK, json!({"user_id": "u1", "action": "video"}))
        .await;
    unknown.refused(400, "action_unknown", Some("action"));
}

#[tokio::test]
async fn without_a_price_it_is_asked_whether_the_wallet_is_in_debt() {
    let door = Door::open().await;
    let ask = async || door.post(PRECHECK, json!({"user_id": "u1"})).await.ok();
    let empty = ask().await;
    assert_eq!(
        empty,
        json!({"allowed": true, "user_id": "u1", "credits": 0, "available": 0, "unit": "credit"})
    );
    let debt = json!({"user_id": "u1", "credits": 3, "allow_debt": true});
    let allowed = door.post(PRECHECK, debt.clone()).await.ok();
    assert_eq!(allowed["allowed"], true);
    door.post_once(CHARGE, "c1", debt).await.ok();
    let indebted = ask().await;
    assert_eq!(
        (&indebted["allowed"], &indebted["available"]),
        (&json!(false), &json!(-3))
    );
    assert_eq!(indebted["error"]["code"], "insufficient_credits");
}

#[tokio::test]
async fn a_precheck_writes_nothing() {
    let door = Door::open_with(&[("BURSAR_BALANCE_LOW", "50")]).await;
    door.grant("u1", 100).await;
    // What has expired is not booked by a question either.
    let brief = json!({"user_id": "u1", "credits": 9, "expires_at": "2027-01-15T08:00:01Z"});
    door.post(GRANT, brief).await.ok();
    let limit = json!({"user_id": "u1", "credits": 70, "period": "day"});
    door.post(LIMIT, limit).await.ok();
    let before = door.everything().await;
    for (user, credits) in [("u1", 60), ("u1", 70), ("u1", 71), ("u1", 500), ("u9", 1)] {
        for key in ["p1", "p2"] {
            let body = json!({"user_id": user, "credits": credits, "allow_debt": true});
            door.post_once(PRECHECK, key, body).await.ok();
        }
    }
    assert_eq!(door.everything().await, before);
    assert_eq!(door.wallet("u9").await, Value::Null);
    // Its answer is never an old one, whatever key it came under.
    let ask = json!({"user_id": "u1", "credits": 60});
    let first = door.post_once(PRECHECK, "p3", ask.clone()).await;
    assert!(!first.is_replayed());
    assert_eq!(first.ok()["allowed"], true);
    door.charge("c1", "u1", 60).await.ok();
    let second = door.post_once(PRECHECK, "p3", ask).await;
    assert!(!second.is_replayed());
    assert_eq!(second.ok()["allowed"], false);
}
