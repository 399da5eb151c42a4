//! Usage: facts recorded, listed, summed.

use serde_json::{Value, json};

use crate::door::{Door, TODAY, USAGE};

#[tokio::test]
async fn a_fact_is_recorded_as_told() {
    let door = Door::open().await;
    let least = json!({"user_id": "u1", "service": "image"});
    assert_eq!(
        door.post(USAGE, least).await.ok(),
        json!({
            "usage_id": 1, "user_id": "u1", "service": "image", "variant": "", "quantity": 1, "status": "success",
            "meta": {}, "created_at": TODAY,
        })
    );
    let all = json!({
        "user_id": "u1", "service": "video", "variant": "hd", "quantity": 8, "status": "error",
        "meta": {"seconds": 8.5},
    });
    let recorded = door.post(USAGE, all).await.ok();
    assert_eq!(
        recorded,
        json!({
            "usage_id": 2, "user_id": "u1", "service": "video", "variant": "hd", "quantity": 8, "status": "error",
            "meta": {"seconds": 8.5}, "created_at": TODAY,
        })
    );
    assert_eq!(door.items("/v1/usage/events").await[0], recorded);
    // Facts do not price.
    assert_eq!(door.wallet("u1").await, Value::Null);
}

#[tokio::test]
async fn usage_is_listed_by_user_service_and_time_and_summed() {
    let door = Door::open().await;
    for (second, user, service, quantity, status) in [
        (0, "u1", "image", 2, "success"),
        (10, "u2", "image", 3, "success"),
        (20, "u1", "image", 4, "error"),
        (30, "u1", "video", 5, "success"),
        (30, "u1", "image", 6, "success"),
    ] {
        door.later(second);
        let fact =
            json!({"user_id": user, "service": service, "quantity": quantity, "status": status});
        door.post(USAGE, fact).await.ok();
    }
    let list = async |query: &str| -> Vec<i64> {
        let list = door.items(&format!("/v1/usage/events?{query}")).await;
        list.iter()
            .map(|it| it["usage_id"].as_i64().unwrap())
            .collect()
    };
    assert_eq!(list("").await, [5, 4, 3, 2, 1]);
    assert_eq!(list("user_id=u1&service=image").await, [5, 3, 1]);
    let (ten, thirty) = ("2027-01-15T08:00:10Z", "2027-01-15T08:00:30Z");
    assert_eq!(list(&format!("from={ten}&to={thirty}")).await, [3, 2]);
    let sum = |service: &str, status: &str, count: i64, quantity: i64| json!({"service": service, "variant": "", "status": status, "count": count, "quantity": quantity});
    let all = door.get("/v1/usage/summary").await.ok();
    let items = [
        sum("image", "error", 1, 4),
        sum("image", "success", 3, 11),
        sum("video", "success", 1, 5),
    ];
    assert_eq!(all, json!({"items": items}));
    let path = format!("/v1/usage/summary?user_id=u1&service=image&from={ten}");
    let some = door.get(&path).await.ok();
    let items = [sum("image", "error", 1, 4), sum("image", "success", 1, 6)];
    assert_eq!(some, json!({"items": items}));
    for (user, own) in [("u1", vec![5, 4, 3, 1]), ("u2", vec![2]), ("u3", vec![])] {
        let key = door.key_of(user).await;
        let mine = door.get_as(&key, "/v1/usage/me").await.ok();
        let mine: Vec<i64> = mine["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["usage_id"].as_i64().unwrap())
            .collect();
        assert_eq!(mine, own, "{user}");
        let others = door.get_as(&key, "/v1/usage/me?user_id=u1").await;
        others.refused(400, "parameter_unknown", Some("user_id"));
    }
}

#[tokio::test]
async fn sums_of_the_largest_quantities_are_exact() {
    let door = Door::open().await;
    for _ in 0..20 {
        let fact = json!({"user_id": "u1", "service": "s", "quantity": 1_000_000_000_000_i64});
        door.post(USAGE, fact).await.ok();
    }
    let all = door.get("/v1/usage/summary").await.ok();
    assert_eq!(all["items"][0]["quantity"], 20_000_000_000_000_i64);
}
