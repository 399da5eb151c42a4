//! Numbers that are none.

use super::{ADD, SUB, furnished, refuse, written};
use crate::door::{
    BATCH, CHARGE, EXCHANGE, EXTEND, GRANT, HOLD, LIMIT, OVERDRAFT, PRECHECK, PROGRESS, SETTLE,
    USAGE,
};

/// Every field that takes a number: where, the name that is blamed, and a body with % in its place.
const NUMBERS: &[(&str, &str, &str)] = &[
    (
        CHARGE,
        "credits",
        r#"{"user_id":"u1","credits":%,"allow_debt":true}"#,
    ),
    (
        CHARGE,
        "amount",
        r#"{"user_id":"u1","amount":%,"allow_debt":true}"#,
    ),
    (
        CHARGE,
        "quantity",
        r#"{"user_id":"u1","action":"picture","quantity":%}"#,
    ),
    (PRECHECK, "credits", r#"{"user_id":"u1","credits":%}"#),
    (
        BATCH,
        "charges[0].credits",
        r#"{"charges":[{"user_id":"u1","idempotency_key":"b","credits":%}]}"#,
    ),
    (HOLD, "credits", r#"{"user_id":"u1","credits":%}"#),
    (
        HOLD,
        "expires_in",
        r#"{"user_id":"u1","credits":1,"expires_in":%}"#,
    ),
    (EXTEND, "credits", r#"{"hold_id":"HOLD","credits":%}"#),
    (EXTEND, "expires_in", r#"{"hold_id":"HOLD","expires_in":%}"#),
    (GRANT, "credits", r#"{"user_id":"u1","credits":%}"#),
    (
        GRANT,
        "roll_over.cap",
        r#"{"user_id":"u1","credits":1,"roll_over":{"cap":%,"expires_in":9}}"#,
    ),
    (
        GRANT,
        "roll_over.expires_in",
        r#"{"user_id":"u1","credits":1,"roll_over":{"cap":9,"expires_in":%}}"#,
    ),
    (
        EXCHANGE,
        "from.amount",
        r#"{"user_id":"u1","from":{"unit":"credit","amount":%},"to":{"unit":"usd","amount":1}}"#,
    ),
    (
        EXCHANGE,
        "to.amount",
        r#"{"user_id":"u1","from":{"unit":"credit","amount":1},"to":{"unit":"usd","amount":%}}"#,
    ),
    (
        USAGE,
        "quantity",
        r#"{"user_id":"u1","service":"s","quantity":%}"#,
    ),
    (ADD, "credits", r#"{"user_id":"u1","credits":%}"#),
    (SUB, "credits", r#"{"user_id":"u1","credits":%}"#),
    // These take zero.
    (PROGRESS, "credits", r#"{"hold_id":"HOLD","credits":%}"#),
    (SETTLE, "credits", r#"{"hold_id":"HOLD","credits":%}"#),
    (
        LIMIT,
        "credits",
        r#"{"label":"red","period":"day","credits":%}"#,
    ),
    (OVERDRAFT, "overdraft", r#"{"user_id":"u1","overdraft":%}"#),
    (
        GRANT,
        "priority",
        r#"{"user_id":"u1","credits":1,"priority":%}"#,
    ),
];

/// How many of them, at the end, take zero.
const WITH_ZERO: usize = 5;

#[tokio::test]
async fn what_is_no_whole_number_in_range_is_no_number() {
    let door = furnished().await;
    let before = door.everything().await;
    for (place, (path, param, body)) in NUMBERS.iter().enumerate() {
        let body = |number: &str| written(body).replace('%', number);
        for number in [
            "-1",
            "1.0",
            "1e2",
            "0.1",
            "-0",
            "\"1\"",
            "\"\"",
            "true",
            "[1]",
            "{\"value\":1}",
            "1000000000001",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775809",
            "18446744073709551616",
            "1e308",
        ] {
            let body = body(number);
            refuse(&door, (path, &body), 400, "parameter_invalid", param).await;
        }
        if place < NUMBERS.len() - WITH_ZERO {
            refuse(&door, (path, &body("0")), 400, "parameter_invalid", param).await;
        }
        for number in [
            "NaN", "Infinity", "1e999", "01", "+1", "0x10", "1_000", "١", "",
        ] {
            refuse(&door, (path, &body(number)), 400, "json_malformed", "").await;
        }
    }
    assert_eq!(door.everything().await, before);
}
