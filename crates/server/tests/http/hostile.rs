//! Requests that no honest program sends: each is refused with a stable code, and nothing changes by any of them.

use std::sync::atomic::{AtomicUsize, Ordering};

use bursar_domain::id::{GrantId, HoldId, LimitId};
use serde_json::{Value, json};

mod body;
mod number;
mod text;

use crate::door::{
    BATCH, CHARGE, Door, EXCHANGE, EXTEND, GRANT, HOLD, LIMIT, PROGRESS, RELEASE, SETTLE, USAGE,
    VOID,
};

const ADD: &str = "/v1/balance/add";
const SUB: &str = "/v1/balance/sub";
const REMOVE: &str = "/v1/balance/limits/remove";

/// A house in which every kind of thing is there once.
async fn furnished() -> Door {
    let door = Door::open_with(&[("BURSAR_ACTIONS", "picture=10")]).await;
    door.grant("u1", 1_000).await;
    door.hold("u1", 100).await;
    let report = json!({"hold_id": HoldId::of(1).to_string(), "credits": 50});
    door.post(PROGRESS, report).await.ok();
    let limit = json!({"label": "red", "credits": 500, "period": "day"});
    door.post(LIMIT, limit).await.ok();
    let fact = json!({"user_id": "u1", "service": "image"});
    door.post(USAGE, fact).await.ok();
    door
}

/// The text with the ids of the things that are there in place of HOLD, GRANT and LIMIT.
fn written(text: &str) -> String {
    text.replace("HOLD", &HoldId::of(1).to_string())
        .replace("GRANT", &GrantId::of(1).to_string())
        .replace("LIMIT", &LimitId::of(1).to_string())
}

/// Counts the requests: what a rule refuses is remembered, so each one has a key of its own.
static SENT: AtomicUsize = AtomicUsize::new(0);

/// Sends the body under a new key, and checks how it is refused.
async fn refuse(door: &Door, (path, body): (&str, &str), status: u16, code: &str, param: &str) {
    let key = SENT.fetch_add(1, Ordering::Relaxed).to_string();
    let answer = door
        .post_text(path, body, &[("idempotency-key", &key)])
        .await;
    let shown: String = body.chars().take(200).collect();
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (status, code),
        "{path} {shown} {}",
        answer.message()
    );
    if !param.is_empty() {
        assert_eq!(answer.param(), Some(param), "{path} {shown}");
    }
    let message = answer.message();
    assert!(!message.is_empty() && message.len() < 1_000, "{message}");
}

/// Bodies with % in the place of something that has the wrong shape.
const CHARGES: &str = r#"{"charges":%}"#;
const LABELS: &str = r#"{"user_id":"u1","credits":1,"labels":%}"#;
const ROLLS: &str =
    r#"{"user_id":"u1","credits":1,"expires_at":"2028-01-01T00:00:00Z","roll_over":%}"#;
const FROM: &str = r#"{"user_id":"u1","from":%,"to":{"unit":"usd","amount":1}}"#;

/// Where, the body, what stands in the place of %, the code, and the name that is blamed. ONE is a charge of a batch.
const SHAPES: &[(&str, &str, &str, &str, &str)] = &[
    (BATCH, CHARGES, "[]", "parameter_invalid", "charges"),
    (BATCH, CHARGES, "{}", "parameter_invalid", "charges"),
    (BATCH, CHARGES, "ONE", "parameter_invalid", "charges"),
    (BATCH, CHARGES, "null", "parameter_missing", "charges"),
    (BATCH, CHARGES, "[1]", "parameter_invalid", "charges[0]"),
    (
        BATCH,
        CHARGES,
        "[ONE,[]]",
        "parameter_invalid",
        "charges[1]",
    ),
    (
        BATCH,
        CHARGES,
        "[ONE,[ONE]]",
        "parameter_invalid",
        "charges[1]",
    ),
    (
        BATCH,
        CHARGES,
        r#"[ONE,"x"]"#,
        "parameter_invalid",
        "charges[1]",
    ),
    (
        BATCH,
        CHARGES,
        "[{}]",
        "parameter_missing",
        "charges[0].idempotency_key",
    ),
    (CHARGE, LABELS, r#""red""#, "parameter_invalid", "labels"),
    (
        CHARGE,
        LABELS,
        r#"{"a":"b"}"#,
        "parameter_invalid",
        "labels",
    ),
    (CHARGE, LABELS, "[null]", "parameter_invalid", "labels"),
    (
        CHARGE,
        LABELS,
        r#"[["red"]]"#,
        "parameter_invalid",
        "labels",
    ),
    (
        CHARGE,
        LABELS,
        r#"["red",5]"#,
        "parameter_invalid",
        "labels",
    ),
    (CHARGE, LABELS, "0", "parameter_invalid", "labels"),
    (GRANT, ROLLS, "true", "parameter_invalid", "roll_over"),
    (GRANT, ROLLS, "[]", "parameter_invalid", "roll_over"),
    (GRANT, ROLLS, "{}", "parameter_missing", "roll_over.cap"),
    (
        GRANT,
        ROLLS,
        r#"{"cap":1}"#,
        "parameter_missing",
        "roll_over.expires_in",
    ),
    (
        GRANT,
        ROLLS,
        r#"{"cap":1,"expires_in":1,"x":1}"#,
        "parameter_unknown",
        "roll_over.x",
    ),
    (
        GRANT,
        ROLLS,
        r#"{"cap":1,"expires_in":316224001}"#,
        "parameter_invalid",
        "roll_over.expires_in",
    ),
    (EXCHANGE, FROM, "5", "parameter_invalid", "from"),
    (EXCHANGE, FROM, "[]", "parameter_invalid", "from"),
    (EXCHANGE, FROM, "{}", "parameter_missing", "from.unit"),
    (
        CHARGE,
        r#"{"user_id":"u1","credits":1,"meta":%}"#,
        "[]",
        "parameter_invalid",
        "meta",
    ),
    (
        CHARGE,
        r#"{"user_id":"u1","credits":1,"meta":{},"metadata":%}"#,
        "{}",
        "parameter_invalid",
        "metadata",
    ),
    (
        CHARGE,
        r#"{"user_id":"u1","credits":1,"amount":%}"#,
        "2",
        "parameter_invalid",
        "credits",
    ),
    (
        LIMIT,
        r#"{"label":"a","api_key":%,"period":"day","credits":1}"#,
        r#""b""#,
        "parameter_invalid",
        "label",
    ),
    (
        LIMIT,
        r#"{"user_id":%,"period":"day","credits":1}"#,
        "null",
        "parameter_missing",
        "user_id",
    ),
];

#[tokio::test]
async fn lists_where_objects_belong_and_objects_where_lists_belong_are_refused() {
    let door = furnished().await;
    let before = door.everything().await;
    let one = r#"{"user_id":"u1","credits":1,"idempotency_key":"b1"}"#;
    for (path, body, shape, code, param) in SHAPES {
        let body = body.replace('%', &shape.replace("ONE", one));
        refuse(&door, (path, &body), 400, code, param).await;
    }
    let many = CHARGES.replace('%', &format!("[{}1]", "1,".repeat(1_000)));
    refuse(&door, (BATCH, &many), 400, "parameter_invalid", "charges").await;
    assert_eq!(door.everything().await, before);
}

#[tokio::test]
async fn ids_of_other_kinds_and_of_nothing_name_nothing() {
    let door = furnished().await;
    let before = door.everything().await;
    let (hold, grant, limit) = (
        HoldId::of(1).to_string(),
        GrantId::of(1).to_string(),
        LimitId::of(1).to_string(),
    );
    for (path, field, code, own) in [
        (PROGRESS, "hold_id", "hold_not_found", &hold),
        (EXTEND, "hold_id", "hold_not_found", &hold),
        (SETTLE, "hold_id", "hold_not_found", &hold),
        (RELEASE, "hold_id", "hold_not_found", &hold),
        (VOID, "grant_id", "grant_not_found", &grant),
        (REMOVE, "limit_id", "limit_not_found", &limit),
    ] {
        let digits = &own[4..];
        for id in [
            "",
            "1",
            "../../etc/passwd",
            "hld_",
            "hld_000000000000",
            "grt_zzzzzzzzzzzz",
            &own.to_uppercase(),
            &format!("{own} "),
            &format!("{own}0"),
            &own[..15],
            digits,
            &format!("ltx_{digits}"),
            if field == "hold_id" { &grant } else { &hold },
            &HoldId::of(2).to_string(),
            &GrantId::of(i64::MAX >> 4).to_string(),
            &LimitId::of(2).to_string(),
        ] {
            let mut body = json!({field: id});
            if [PROGRESS, EXTEND, SETTLE].contains(&path) {
                body["credits"] = 60.into();
            }
            refuse(&door, (path, &body.to_string()), 404, code, field).await;
        }
        for (id, code) in [
            (json!(1), "parameter_invalid"),
            (json!([own]), "parameter_invalid"),
            (Value::Null, "parameter_missing"),
        ] {
            let mut body = json!({field: id});
            if [PROGRESS, EXTEND, SETTLE].contains(&path) {
                body["credits"] = 60.into();
            }
            refuse(&door, (path, &body.to_string()), 400, code, field).await;
        }
    }
    assert_eq!(door.everything().await, before);
}

/// What can be read and is refused by a rule.
const BROKEN_RULES: &[(&str, &str, u16, &str, &str)] = &[
    (
        CHARGE,
        r#"{"user_id":"u1","credits":901}"#,
        402,
        "insufficient_credits",
        "credits",
    ),
    (
        CHARGE,
        r#"{"user_id":"u1","credits":1,"unit":"usd"}"#,
        402,
        "insufficient_credits",
        "credits",
    ),
    (
        CHARGE,
        r#"{"user_id":"u1","credits":501,"labels":["red"]}"#,
        402,
        "spending_limit_reached",
        "credits",
    ),
    (
        CHARGE,
        r#"{"user_id":"u1","credits":1000000000000,"allow_debt":true}"#,
        402,
        "insufficient_credits",
        "credits",
    ),
    (
        CHARGE,
        r#"{"user_id":"nobody","credits":1}"#,
        402,
        "insufficient_credits",
        "credits",
    ),
    (
        HOLD,
        r#"{"user_id":"nobody","credits":1}"#,
        402,
        "insufficient_credits",
        "credits",
    ),
    (
        HOLD,
        r#"{"user_id":"u1","credits":1,"allow_debt":true}"#,
        400,
        "parameter_unknown",
        "allow_debt",
    ),
    (
        HOLD,
        r#"{"user_id":"u1","credits":1,"expires_in":2592001}"#,
        400,
        "parameter_invalid",
        "expires_in",
    ),
    (
        PROGRESS,
        r#"{"hold_id":"HOLD","credits":49}"#,
        400,
        "parameter_invalid",
        "credits",
    ),
    (
        EXTEND,
        r#"{"hold_id":"HOLD","credits":901}"#,
        402,
        "insufficient_credits",
        "credits",
    ),
    (
        EXTEND,
        r#"{"hold_id":"HOLD","credits":1000000000000}"#,
        400,
        "parameter_invalid",
        "credits",
    ),
    (
        EXTEND,
        r#"{"hold_id":"HOLD"}"#,
        400,
        "parameter_invalid",
        "credits",
    ),
    (
        SETTLE,
        r#"{"hold_id":"HOLD","credits":1001}"#,
        402,
        "insufficient_credits",
        "credits",
    ),
    (
        SETTLE,
        r#"{"hold_id":"HOLD"}"#,
        400,
        "parameter_missing",
        "amount",
    ),
    (
        GRANT,
        r#"{"user_id":"u1","credits":1,"expires_at":"2027-01-15T08:00:00Z"}"#,
        400,
        "parameter_invalid",
        "expires_at",
    ),
    (
        GRANT,
        r#"{"user_id":"u1","credits":1,"expires_at":"0000-01-01T00:00:00Z"}"#,
        400,
        "parameter_invalid",
        "expires_at",
    ),
    (
        EXCHANGE,
        r#"{"user_id":"u1","from":{"unit":"credit","amount":1},"to":{"unit":"credit","amount":9}}"#,
        400,
        "same_unit",
        "to",
    ),
    (
        EXCHANGE,
        r#"{"user_id":"nobody","from":{"unit":"usd","amount":1},"to":{"unit":"credit","amount":9}}"#,
        402,
        "insufficient_credits",
        "credits",
    ),
    (
        SUB,
        r#"{"user_id":"u1","credits":901}"#,
        402,
        "insufficient_credits",
        "credits",
    ),
];

#[tokio::test]
async fn a_rule_that_is_broken_in_passing_leaves_no_trace() {
    let door = furnished().await;
    let before = door.everything().await;
    for (path, body, status, code, param) in BROKEN_RULES {
        refuse(&door, (path, &written(body)), *status, code, param).await;
    }
    assert_eq!(door.everything().await, before);
}

#[tokio::test]
async fn questions_are_read_as_strictly_as_orders() {
    let door = furnished().await;
    let before = door.everything().await;
    for path in [
        "/v1/balance/holds",
        "/v1/balance/grants",
        "/v1/balance/limits",
        "/v1/usage/events",
        "/v1/balance/history",
        "/v1/balance/users",
    ] {
        for (query, param) in [
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("limit=-1", "limit"),
            ("limit=1e1", "limit"),
            ("limit=", "limit"),
            ("limit=9223372036854775808", "limit"),
            ("limit=5&limit=5", "limit"),
            ("cursor=x", "cursor"),
            ("cursor=-1", "cursor"),
            ("cursor=9223372036854775808", "cursor"),
            ("cursor=1%27%20OR%201=1", "cursor"),
            ("user_id[]=u1", "user_id[]"),
            ("order=asc", "order"),
            ("offset=5", "offset"),
        ] {
            let answer = door.get(&format!("{path}?{query}")).await;
            assert_eq!(
                (answer.status.as_u16(), answer.param()),
                (400, Some(param)),
                "{path}?{query}"
            );
            assert!(answer.code().starts_with("parameter_"), "{path}?{query}");
        }
    }
    assert_eq!(door.everything().await, before);
}
