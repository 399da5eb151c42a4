//! Texts that are none: names, times, words; and those that are not wanted.

use std::fmt::Write as _;

use bursar_domain::id::{GrantId, HoldId};
use serde_json::{Value, json};

use super::{ADD, furnished, refuse, written};
use crate::door::{
    BATCH, CHARGE, EXCHANGE, GRANT, HOLD, LIMIT, OVERDRAFT, RELEASE, SETTLE, USAGE, VOID,
};

/// Fields that take a text of a certain form: where, the name that is blamed, a body with % in its place, and what is refused.
const TEXTS: &[(&str, &str, &str, &[&str])] = &[
    (CHARGE, "user_id", r#"{"user_id":%,"credits":1}"#, USERS),
    (GRANT, "user_id", r#"{"user_id":%,"credits":1}"#, USERS),
    (HOLD, "user_id", r#"{"user_id":%,"credits":1}"#, USERS),
    (USAGE, "user_id", r#"{"user_id":%,"service":"s"}"#, USERS),
    (
        OVERDRAFT,
        "user_id",
        r#"{"user_id":%,"overdraft":1}"#,
        USERS,
    ),
    (
        CHARGE,
        "api_key",
        r#"{"user_id":"u1","credits":1,"api_key":%}"#,
        NAMES,
    ),
    (
        CHARGE,
        "labels",
        r#"{"user_id":"u1","credits":1,"labels":[%]}"#,
        NAMES,
    ),
    (CHARGE, "action", r#"{"user_id":"u1","action":%}"#, NAMES),
    (
        HOLD,
        "labels",
        r#"{"user_id":"u1","credits":1,"labels":["a",%]}"#,
        NAMES,
    ),
    (
        LIMIT,
        "label",
        r#"{"label":%,"period":"day","credits":1}"#,
        NAMES,
    ),
    (
        LIMIT,
        "api_key",
        r#"{"api_key":%,"period":"day","credits":1}"#,
        NAMES,
    ),
    (USAGE, "service", r#"{"user_id":"u1","service":%}"#, NAMES),
    (
        USAGE,
        "variant",
        r#"{"user_id":"u1","service":"s","variant":%}"#,
        NAMES,
    ),
    (
        CHARGE,
        "unit",
        r#"{"user_id":"u1","credits":1,"unit":%}"#,
        UNITS,
    ),
    (
        GRANT,
        "unit",
        r#"{"user_id":"u1","credits":1,"unit":%}"#,
        UNITS,
    ),
    (
        EXCHANGE,
        "to.unit",
        r#"{"user_id":"u1","from":{"unit":"credit","amount":1},"to":{"unit":%,"amount":1}}"#,
        UNITS,
    ),
    (
        GRANT,
        "expires_at",
        r#"{"user_id":"u1","credits":1,"expires_at":%}"#,
        TIMES,
    ),
    (
        GRANT,
        "starts_at",
        r#"{"user_id":"u1","credits":1,"starts_at":%}"#,
        TIMES,
    ),
    (
        GRANT,
        "category",
        r#"{"user_id":"u1","credits":1,"category":%}"#,
        WORDS,
    ),
    (
        GRANT,
        "source",
        r#"{"user_id":"u1","credits":1,"source":%}"#,
        WORDS,
    ),
    (
        HOLD,
        "overage",
        r#"{"user_id":"u1","credits":1,"overage":%}"#,
        WORDS,
    ),
    (
        LIMIT,
        "period",
        r#"{"label":"red","credits":1,"period":%}"#,
        WORDS,
    ),
    (
        USAGE,
        "status",
        r#"{"user_id":"u1","service":"s","status":%}"#,
        WORDS,
    ),
    (
        CHARGE,
        "note",
        r#"{"user_id":"u1","credits":1,"note":%}"#,
        REMARKS,
    ),
    (
        SETTLE,
        "ref",
        r#"{"hold_id":"HOLD","credits":1,"ref":%}"#,
        REMARKS,
    ),
    (
        CHARGE,
        "allow_debt",
        r#"{"user_id":"u1","credits":1,"allow_debt":%}"#,
        TRUTHS,
    ),
    (BATCH, "atomic", r#"{"charges":[],"atomic":%}"#, TRUTHS),
];

const USERS: &[&str] = &[
    r#""""#,
    r#"" ""#,
    r#""u1 ""#,
    r#""u 1""#,
    r#""u1\u0001""#,
    r#""ü""#,
    r#""u1'; DROP TABLE account; --""#,
    "1",
    r#"["u1"]"#,
    r#"{"$ne":null}"#,
    "true",
];
const NAMES: &[&str] = &[
    r#""""#,
    r#"" ""#,
    r#""a b""#,
    r#""a\u0001b""#,
    r#""a\nb""#,
    r#""\u001b[31m""#,
    r#""é""#,
    r#""x' OR 1=1 --""#,
    "1",
    "[[]]",
    r#"{"a":1}"#,
    "false",
];
const UNITS: &[&str] = &[
    r#""""#,
    r#""USD""#,
    r#""Credit""#,
    r#""credits""#,
    r#""usd/2""#,
    r#""xxx""#,
    r#""us""#,
    r#""usd ""#,
    r#""$""#,
    "5",
    r#"["usd"]"#,
    "{}",
];
const TIMES: &[&str] = &[
    r#""""#,
    r#""tomorrow""#,
    r#""2027-02-30T00:00:00Z""#,
    r#""2027-13-01T00:00:00Z""#,
    r#""2027-06-01T25:00:00Z""#,
    r#""2027-06-01""#,
    r#""2027-06-01T00:00:00""#,
    r#""10000-01-01T00:00:00Z""#,
    r#""+010000-01-01T00:00:00Z""#,
    r#""-000001-01-01T00:00:00Z""#,
    r#""9999-12-31T23:59:59Z""#,
    r#""-0001-01-01T00:00:00Z""#,
    r#""2027-06-01T00:00:00+99:00""#,
    r#""2027-06-01T00:00:00+02:00[Europe/Berlin]""#,
    "1830000000",
    "{}",
    r#"["2027-06-01T00:00:00Z"]"#,
];
const WORDS: &[&str] = &[
    r#""""#,
    r#""nonsense""#,
    r#""Paid""#,
    r#""paid ""#,
    r#""paid\u0001""#,
    "0",
    "[]",
    "{}",
    "true",
];
const REMARKS: &[&str] = &[
    r#""a\u0001b""#,
    r#""\u001b[2J""#,
    r#""\u007f""#,
    r#""\u0085""#,
    "5",
    "true",
    "[]",
    "{}",
    r#""4242424242424242 12/28""#,
];
const TRUTHS: &[&str] = &[r#""true""#, "1", "0", r#""""#, "[]", "{}"];

#[tokio::test]
async fn what_has_not_its_form_is_no_text() {
    let door = furnished().await;
    let before = door.everything().await;
    for (path, param, body, wrong) in TEXTS {
        for value in *wrong {
            let body = written(body).replace('%', value);
            let code = if value.contains("4242") {
                "card_number_refused"
            } else {
                "parameter_invalid"
            };
            refuse(&door, (path, &body), 400, code, param).await;
        }
        for value in [r#""\ud800""#, "'a'", r#""a"#, "a", "\"\u{0}\"", "\"\n\""] {
            let body = written(body).replace('%', value);
            refuse(&door, (path, &body), 400, "json_malformed", "").await;
        }
    }
    assert_eq!(door.everything().await, before);
}

#[tokio::test]
async fn what_is_too_long_is_refused_by_its_field() {
    let door = furnished().await;
    let before = door.everything().await;
    for (path, body, param, most) in [
        (CHARGE, json!({"user_id": "u1", "credits": 1}), "note", 500),
        (CHARGE, json!({"user_id": "u1", "credits": 1}), "ref", 200),
        (
            CHARGE,
            json!({"user_id": "u1", "credits": 1}),
            "api_key",
            100,
        ),
        (CHARGE, json!({"credits": 1}), "user_id", 128),
        (USAGE, json!({"user_id": "u1"}), "service", 100),
        (VOID, json!({"user_id": "u1"}), "grant_id", 200),
    ] {
        let mut body = body;
        body[param] = "x".repeat(most + 1).into();
        refuse(
            &door,
            (path, &body.to_string()),
            400,
            "parameter_invalid",
            param,
        )
        .await;
    }
    let meta = |bytes: usize| json!({"user_id": "u1", "service": "s", "meta": {"a": "x".repeat(bytes - 8)}});
    for path in [USAGE, CHARGE] {
        let mut body = meta(4_097);
        if path == CHARGE {
            body.as_object_mut().unwrap().shift_remove("service");
            body["credits"] = 1.into();
        }
        refuse(
            &door,
            (path, &body.to_string()),
            400,
            "parameter_invalid",
            "meta",
        )
        .await;
    }
    let labels: Vec<String> = (0..9).map(|number| format!("l{number}")).collect();
    let body = json!({"user_id": "u1", "credits": 1, "labels": labels}).to_string();
    refuse(&door, (CHARGE, &body), 400, "parameter_invalid", "labels").await;
    assert_eq!(door.everything().await, before);
    // The longest of everything is taken.
    door.post(USAGE, meta(4_096)).await.ok();
    let body = json!({
        "user_id": "u".repeat(128), "credits": 1, "note": "ü".repeat(500), "ref": "x".repeat(200),
        "api_key": "k".repeat(100), "labels": vec!["l".repeat(100); 8], "allow_debt": true,
    });
    door.post_once(CHARGE, &"k".repeat(255), body).await.ok();
}

#[tokio::test]
async fn card_numbers_are_kept_nowhere() {
    let door = furnished().await;
    let before = door.everything().await;
    let card = "4000-0000-0000-0002";
    for (path, body) in [
        (CHARGE, json!({"user_id": "u1", "credits": 1})),
        (HOLD, json!({"user_id": "u1", "credits": 1})),
        (
            SETTLE,
            json!({"hold_id": HoldId::of(1).to_string(), "credits": 1}),
        ),
        (RELEASE, json!({"hold_id": HoldId::of(1).to_string()})),
        (GRANT, json!({"user_id": "u1", "credits": 1})),
        (VOID, json!({"grant_id": GrantId::of(1).to_string()})),
        (ADD, json!({"user_id": "u1", "credits": 1})),
        (
            EXCHANGE,
            json!({
                "user_id": "u1", "from": {"unit": "credit", "amount": 1}, "to": {"unit": "usd", "amount": 1},
            }),
        ),
        (USAGE, json!({"user_id": "u1", "service": "s"})),
    ] {
        for (field, value) in [
            ("note", json!(format!("paid with {card}"))),
            ("ref", json!(card)),
            ("meta", json!({"a": [{"b": card}]})),
            ("metadata", json!({"n": 4_242_424_242_424_242_i64})),
            ("meta", json!({"4242 4242 4242 4242": true})),
        ] {
            if path == USAGE && !field.starts_with("meta") {
                continue;
            }
            let mut body = body.clone();
            body[field] = value;
            let param = if field == "metadata" { "meta" } else { field };
            let body = body.to_string();
            refuse(&door, (path, &body), 400, "card_number_refused", param).await;
        }
    }
    assert_eq!(door.everything().await, before);
}

#[tokio::test]
async fn names_with_sql_in_them_are_names() {
    let door = furnished().await;
    let names = [
        "x'--",
        "x';DROP/**/TABLE/**/credit_grant;--",
        "\"quoted\"",
        "%",
        "_",
        "a\\b",
        "$1",
        "?1",
        ":a",
    ];
    for name in names {
        let set = json!({"label": name, "credits": 5, "period": "ever"});
        door.post(LIMIT, set).await.ok();
        let charge =
            json!({"user_id": "u1", "credits": 1, "labels": [name], "api_key": name, "note": name});
        door.post_once(CHARGE, &format!("'{name}'"), charge)
            .await
            .ok();
        let fact = json!({"user_id": "u1", "service": name, "variant": name});
        door.post(USAGE, fact).await.ok();
    }
    for name in names {
        let mut escaped = String::new();
        for byte in name.bytes() {
            write!(escaped, "%{byte:02X}").unwrap();
        }
        let limits = door
            .items(&format!("/v1/balance/limits?label={escaped}"))
            .await;
        assert_eq!(
            (limits.len(), &limits[0]["label"], &limits[0]["used"]),
            (1, &json!(name), &json!(1)),
            "{name}"
        );
        let used = door
            .items(&format!("/v1/usage/events?service={escaped}"))
            .await;
        assert_eq!(
            (used.len(), &used[0]["variant"]),
            (1, &json!(name)),
            "{name}"
        );
    }
    let history: Vec<Value> = door
        .items("/v1/balance/history?user_id=u1&kind=charge")
        .await;
    let noted: Vec<&str> = history
        .iter()
        .rev()
        .map(|line| line["note"].as_str().unwrap())
        .collect();
    assert_eq!(noted, names);
}
