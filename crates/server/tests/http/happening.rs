//! What happened to wallets, read with a cursor.

use bursar_domain::id::{GrantId, HoldId, LimitId};
use serde_json::{Value, json};

use crate::door::{CHARGE, Door, GRANT, HOLD, LIMIT, PROGRESS, TODAY};

fn event(number: i64, kind: &str, data: &Value) -> Value {
    json!({
        "event_id": number, "type": kind, "user_id": "u1", "unit": "credit", "data": data, "created_at": TODAY,
    })
}

#[tokio::test]
async fn events_tell_what_happened_in_order() {
    let door = Door::open_with(&[("BURSAR_BALANCE_LOW", "50")]).await;
    let limit = json!({"user_id": "u1", "period": "ever", "credits": 105});
    door.post(LIMIT, limit).await.ok();
    door.grant("u1", 100).await;
    door.charge("c1", "u1", 50).await.ok();
    door.charge("c2", "u1", 10).await.ok();
    door.charge("c3", "u1", 5).await.ok();
    let debt = json!({"user_id": "u1", "credits": 40, "allow_debt": true});
    door.post_once(CHARGE, "c4", debt).await.ok();
    let all = door.get("/v1/balance/events").await.ok();
    let expected = [
        event(1, "balance.low", &json!({"available": 40, "threshold": 50})),
        event(2, "balance.negative", &json!({"available": -5})),
        event(
            3,
            "limit.reached",
            &json!({"limit_id": LimitId::of(1).to_string(), "used": 105}),
        ),
    ];
    assert_eq!(
        all,
        json!({"items": expected, "has_more": false, "next": "3"})
    );
}

#[tokio::test]
async fn a_reader_goes_on_where_it_stopped() {
    let door = Door::open_with(&[("BURSAR_BALANCE_LOW", "10")]).await;
    let empty = door.get("/v1/balance/events").await.ok();
    assert_eq!(empty, json!({"items": [], "has_more": false, "next": "0"}));
    for number in 0..5 {
        door.grant("u1", 20).await;
        let all = door.wallet("u1").await["credits"].as_i64().unwrap();
        door.charge(&format!("c{number}"), "u1", all).await.ok();
    }
    let mut seen = Vec::new();
    let mut after = "0".to_owned();
    loop {
        let path = format!("/v1/balance/events?after={after}&limit=2");
        let page = door.get(&path).await.ok();
        for item in page["items"].as_array().unwrap() {
            seen.push(item["event_id"].as_i64().unwrap());
        }
        after = page["next"].as_str().unwrap().to_owned();
        if page["has_more"] == false {
            break;
        }
    }
    assert_eq!((seen, after.as_str()), (vec![1, 2, 3, 4, 5], "5"));
    let nothing_new = door.get("/v1/balance/events?after=5").await.ok();
    assert_eq!(
        nothing_new,
        json!({"items": [], "has_more": false, "next": "5"})
    );
    door.grant("u1", 20).await;
    door.charge("c9", "u1", 20).await.ok();
    let door = door.reopen().await;
    let new = door.get("/v1/balance/events?after=5").await.ok();
    assert_eq!(new["items"][0]["event_id"], 6);
    for (query, param) in [
        ("after=-1", "after"),
        ("after=x", "after"),
        ("after=9223372036854775808", "after"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("cursor=5", "cursor"),
    ] {
        let answer = door.get(&format!("/v1/balance/events?{query}")).await;
        assert_eq!((answer.status.as_u16(), answer.param()), (400, Some(param)));
    }
}

#[tokio::test]
async fn the_clock_announces_what_it_ends() {
    let door = Door::open_with(&[("BURSAR_EXPIRY_NOTICE_DAYS", "1")]).await;
    let brief = json!({
        "user_id": "u1", "credits": 100, "expires_at": "2027-01-17T08:00:00Z",
        "roll_over": {"cap": 30, "expires_in": 864_000},
    });
    door.post(GRANT, brief).await.ok();
    let wait_for = async |many: usize| {
        for _ in 0..1_200 {
            let all = door.get("/v1/balance/events").await.ok();
            if all["items"].as_array().unwrap().len() >= many {
                return all["items"].clone();
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("no {many} events within a minute");
    };
    let told = |items: &Value, place: usize| {
        let item = &items[place];
        (
            item["type"].as_str().unwrap().to_owned(),
            item["data"].clone(),
        )
    };
    door.later(86_400);
    let grant = GrantId::of(1).to_string();
    let expiring =
        json!({"grant_id": grant, "remaining": 100, "expires_at": "2027-01-17T08:00:00Z"});
    assert_eq!(
        told(&wait_for(1).await, 0),
        ("grant.expiring".to_owned(), expiring)
    );
    let hold = json!({"user_id": "u1", "credits": 20, "expires_in": 60});
    door.post(HOLD, hold).await.ok();
    let hold = HoldId::of(1).to_string();
    let report = json!({"hold_id": hold, "credits": 7});
    door.post(PROGRESS, report).await.ok();
    door.later(86_460);
    let ended = json!({"hold_id": hold, "settled": 7, "uncovered": 0});
    assert_eq!(
        told(&wait_for(2).await, 1),
        ("hold.expired".to_owned(), ended)
    );
    door.later(2 * 86_400);
    let expired = json!({"grant_id": grant, "expired": 63, "rolled_over": 30});
    assert_eq!(
        told(&wait_for(3).await, 2),
        ("grant.expired".to_owned(), expired)
    );
}
