//! Bodies are read strictly.

use axum::body::Body;
use http::Request;
use serde_json::json;

use crate::house::{House, token};

/// A body for a new top-up, the code it is refused with, and the field to blame.
const REFUSED_BODIES: &[(&str, &str, Option<&str>)] = &[
    ("", "parameter_missing", Some("amount")),
    ("{}", "parameter_missing", Some("amount")),
    ("{", "json_malformed", None),
    ("[]", "json_malformed", None),
    (r#"{"amount":500}{}"#, "json_malformed", None),
    (
        r#"{"amount":500,"amount":600}"#,
        "parameter_invalid",
        Some("amount"),
    ),
    (
        r#"{"amount":500,"credits":600}"#,
        "parameter_invalid",
        Some("credits"),
    ),
    (
        r#"{"amount":500,"user_id":"u2"}"#,
        "parameter_unknown",
        Some("user_id"),
    ),
    (
        r#"{"amount":500,"status":"paid"}"#,
        "parameter_unknown",
        Some("status"),
    ),
    (r#"{"amount":49}"#, "parameter_invalid", Some("amount")),
    (r#"{"amount":1000001}"#, "parameter_invalid", Some("amount")),
    (r#"{"amount":-500}"#, "parameter_invalid", Some("amount")),
    (r#"{"amount":500.0}"#, "parameter_invalid", Some("amount")),
    (r#"{"amount":5e2}"#, "parameter_invalid", Some("amount")),
    (r#"{"amount":"500"}"#, "parameter_invalid", Some("amount")),
    (
        r#"{"amount":9223372036854775808}"#,
        "parameter_invalid",
        Some("amount"),
    ),
    (
        r#"{"amount":500,"note":5}"#,
        "parameter_invalid",
        Some("note"),
    ),
    (
        r#"{"amount":500,"meta":[]}"#,
        "parameter_invalid",
        Some("meta"),
    ),
];

#[tokio::test]
async fn a_body_is_read_strictly() {
    let house = House::usual().await;
    let user = token("u1");
    for (body, code, param) in REFUSED_BODIES {
        let answer = house
            .post("/v1/balance/topups/create", &user, body, &[])
            .await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (400, *code),
            "{body}"
        );
        assert_eq!(answer.body["error"]["param"].as_str(), *param, "{body}");
        assert_eq!(
            answer.body["error"]["type"], "invalid_request_error",
            "{body}"
        );
    }
    let both = house
        .post(
            "/v1/balance/topups/create",
            &user,
            r#"{"amount":500,"credits":500}"#,
            &[],
        )
        .await;
    assert_eq!(
        (both.status.as_u16(), &both.body["credits"]),
        (200, &json!(500))
    );
    let form = Request::post("/v1/balance/topups/create")
        .header("authorization", format!("Bearer {user}"));
    let form = form
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from("amount=500"))
        .unwrap();
    assert_eq!(house.send(form).await.status, 415);
    let long = format!(r#"{{"amount":500,"note":"{}"}}"#, "x".repeat(70_000));
    assert_eq!(
        house
            .post("/v1/balance/topups/create", &user, &long, &[])
            .await
            .status,
        413
    );
}
