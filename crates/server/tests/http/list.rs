//! Lists: what they show, and what they take.

use serde_json::json;

use crate::door::{Door, HOLD, USAGE};
use crate::house::{House, token};

#[tokio::test]
async fn another_users_things_do_not_exist() {
    let house = House::usual().await;
    let made = house
        .post(
            "/v1/balance/topups/create",
            &token("u1"),
            r#"{"amount":500}"#,
            &[],
        )
        .await;
    let topup = made.body["topup_id"].as_str().unwrap();
    assert_eq!(made.body["status"], "pending");
    let others = house.get("/v1/balance/topups/me", &token("u2")).await;
    assert_eq!(
        others.body,
        json!({"items": [], "has_more": false, "next": null})
    );
    assert_eq!(
        house.get("/v1/balance/topups/me", &token("u1")).await.body["items"][0]["topup_id"],
        topup
    );
}

#[tokio::test]
async fn a_user_sees_nothing_of_another_ones_wallet() {
    let door = Door::open().await;
    door.grant("u1", 100).await;
    door.charge("c1", "u1", 1).await.ok();
    let hold = json!({"user_id": "u1", "credits": 10});
    door.post(HOLD, hold).await.ok();
    let fact = json!({"user_id": "u1", "service": "s"});
    door.post(USAGE, fact).await.ok();
    let [one, two] = [door.key_of("u1").await, door.key_of("u2").await];
    for path in [
        "/v1/balance/history/me",
        "/v1/balance/grants/me",
        "/v1/balance/holds/me",
        "/v1/usage/me",
    ] {
        let own = door.get_as(&one, path).await.ok();
        assert_ne!(own["items"], json!([]), "{path}");
        let others = door.get_as(&two, path).await.ok();
        assert_eq!(
            others,
            json!({"items": [], "has_more": false, "next": null}),
            "{path}"
        );
        for query in ["user_id=u1", "user=u1", "sub=u1", "id=u1"] {
            let answer = door.get_as(&two, &format!("{path}?{query}")).await;
            assert_eq!(
                (answer.status.as_u16(), answer.code()),
                (400, "parameter_unknown")
            );
        }
    }
    let wallet = door.get_as(&two, "/v1/balance/me").await.ok();
    assert_eq!(
        (&wallet["user_id"], &wallet["credits"]),
        (&json!("u2"), &json!(0))
    );
}

#[tokio::test]
async fn lists_refuse_what_they_do_not_know() {
    let house = House::usual().await;
    for (query, param) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=1000000000000000000000", "limit"),
        ("limit=-1", "limit"),
        ("limit=5&limit=6", "limit"),
        ("cursor=x", "cursor"),
        ("status=odd", "status"),
        ("user_id=%20", "user_id"),
        ("user=u1", "user"),
    ] {
        let answer = house
            .get(&format!("/v1/balance/topups?{query}"), &house.admin)
            .await;
        assert_eq!(answer.status, 400, "{query}");
        assert_eq!(answer.body["error"]["param"], param, "{query}");
    }
}
