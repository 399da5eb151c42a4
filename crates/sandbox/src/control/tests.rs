//! Stories of the control API and its page, asked through the router.

use axum::body::Body;
use axum::http::{Request, Response};
use tower::ServiceExt;

use super::*;
use crate::SandboxConfig;
use crate::delivery::Stage;
use crate::records::Collection;

const KEY: &str = "sk_test_control";

fn sandbox() -> Sandbox {
    Sandbox::open(SandboxConfig::new("http://127.0.0.1:12111", KEY)).unwrap()
}

async fn ask(sandbox: &Sandbox, request: Request<Body>) -> (StatusCode, HeaderMap, String) {
    let response: Response<Body> = sandbox.router().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    (
        parts.status,
        parts.headers,
        String::from_utf8(body.to_vec()).unwrap(),
    )
}

async fn post_json(sandbox: &Sandbox, path: &str, body: Value) -> (StatusCode, Value) {
    let request = Request::post(path)
        .header("host", "127.0.0.1:12111")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {KEY}"))
        .body(Body::from(body.to_string()))
        .unwrap();
    let (status, _, body) = ask(sandbox, request).await;
    (status, serde_json::from_str(&body).unwrap())
}

async fn post_form(
    sandbox: &Sandbox,
    path: &str,
    form: String,
    headers: &[(&str, &str)],
) -> (StatusCode, HeaderMap, String) {
    let mut request = Request::post(path)
        .header("host", "127.0.0.1:12111")
        .header("content-type", "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    ask(sandbox, request.body(Body::from(form)).unwrap()).await
}

async fn get_page(sandbox: &Sandbox, path: &str, host: &str) -> (StatusCode, HeaderMap, String) {
    ask(
        sandbox,
        Request::get(path)
            .header("host", host)
            .body(Body::empty())
            .unwrap(),
    )
    .await
}

fn error(body: &Value) -> (&str, &str) {
    let error = &body["error"];
    assert_eq!(error["type"], "invalid_request_error");
    (
        error["code"].as_str().unwrap_or_default(),
        error["param"].as_str().unwrap_or_default(),
    )
}

#[tokio::test]
async fn the_clock_moves_forward_and_stays_there() {
    let sandbox = sandbox();
    let before = sandbox.read(|_, now| now);
    let (status, body) = post_json(
        &sandbox,
        "/sandbox/clock",
        json!({"advance_seconds": 86_400}),
    )
    .await;
    assert_eq!(
        (status, body["offset_seconds"].as_i64()),
        (StatusCode::OK, Some(86_400))
    );
    assert!(sandbox.read(|_, now| now) >= before + 86_400);
    let (_, body) = post_json(&sandbox, "/sandbox/clock", json!({"set": before + 200_000})).await;
    assert_eq!(body["now"].as_i64(), Some(before + 200_000));
    let (status, body) = post_json(&sandbox, "/sandbox/clock", json!({"set": before})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(error(&body), ("parameter_invalid_integer", "set"));
}

#[tokio::test]
async fn bad_input_is_told_by_its_field() {
    let sandbox = sandbox();
    let integer = "parameter_invalid_integer";
    let cases = [
        ("clock", "{}", "parameter_missing", "advance_seconds"),
        (
            "clock",
            r#"{"advance_seconds": -1}"#,
            integer,
            "advance_seconds",
        ),
        (
            "clock",
            r#"{"advance_seconds": "soon"}"#,
            integer,
            "advance_seconds",
        ),
        ("clock", r#"{"advance": 1}"#, "parameter_unknown", "advance"),
        ("deliveries", "{}", "parameter_missing", "fault"),
        ("deliveries", r#"{"fault": "explode"}"#, "", "fault"),
        (
            "deliveries",
            r#"{"fault": "delay"}"#,
            "parameter_missing",
            "seconds",
        ),
        (
            "deliveries",
            r#"{"fault": "reorder", "count": 1}"#,
            integer,
            "count",
        ),
        (
            "deliveries/evt_1.we_1/resend",
            "{}",
            "resource_missing",
            "id",
        ),
        (
            "payments/pi_1/settle",
            r#"{"outcome": "maybe"}"#,
            "",
            "outcome",
        ),
        (
            "payments/pi_1/settle",
            r#"{"outcome": "failed"}"#,
            "resource_missing",
            "payment_intent",
        ),
        ("trigger", "{}", "parameter_missing", "event"),
        ("trigger", r#"{"event": "sun.rises"}"#, "", "event"),
        (
            "trigger",
            r#"{"event": "product.created", "overrides": 7}"#,
            "",
            "overrides",
        ),
    ];
    for (path, body, code, param) in cases {
        let body = serde_json::from_str(body).unwrap();
        let (status, answer) = post_json(&sandbox, &format!("/sandbox/{path}"), body).await;
        assert!(status.is_client_error(), "{path} {answer}");
        assert_eq!(error(&answer), (code, param), "{path} {answer}");
    }
    let (_, answer) = post_json(&sandbox, "/sandbox/trigger", json!({"event": "sun.rises"})).await;
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("checkout.session.completed"),
        "it lists the known ones: {message}"
    );
}

#[tokio::test]
async fn only_the_secret_key_opens_the_control_api() {
    let sandbox = sandbox();
    for authorization in ["", "Bearer sk_test_other", "Basic c2tfdGVzdF9vdGhlcjo="] {
        let request = Request::post("/sandbox/clock")
            .header("host", "127.0.0.1:12111")
            .header("content-type", "application/json")
            .header("authorization", authorization)
            .body(Body::from(r#"{"advance_seconds":60}"#))
            .unwrap();
        let (status, _, body) = ask(&sandbox, request).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert!(!body.contains("sk_test"), "no key is told: {body}");
    }
    assert_eq!(sandbox.read(|world, _| world.clock_offset()), 0);
}

#[tokio::test]
async fn the_page_drives_the_sandbox_and_a_page_elsewhere_does_not() {
    let sandbox = sandbox();
    let (status, headers, body) = get_page(&sandbox, "/sandbox", "127.0.0.1:12111").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["cache-control"], "no-store");
    assert!(
        headers["content-security-policy"]
            .to_str()
            .unwrap()
            .contains("default-src 'none'")
    );
    assert!(!body.contains(KEY));
    let token = gate::form_token(&sandbox);
    assert!(body.contains(&token));
    let form = format!("token={token}&advance_seconds=60");
    let elsewhere: [&[(&str, &str)]; 3] = [
        &[("sec-fetch-site", "cross-site")],
        &[("origin", "http://evil.example")],
        &[("host", "evil.example")],
    ];
    for headers in elsewhere {
        let (status, _, _) = if headers[0].0 == "host" {
            get_page(&sandbox, "/sandbox", headers[0].1).await
        } else {
            post_form(&sandbox, "/sandbox/clock", form.clone(), headers).await
        };
        assert_eq!(status, StatusCode::FORBIDDEN, "{headers:?}");
    }
    let without = "advance_seconds=60".to_owned();
    assert_eq!(
        post_form(&sandbox, "/sandbox/clock", without, &[]).await.0,
        StatusCode::FORBIDDEN
    );
    assert_eq!(sandbox.read(|world, _| world.clock_offset()), 0);
    let here = [
        ("sec-fetch-site", "same-origin"),
        ("origin", "http://127.0.0.1:12111"),
    ];
    let (status, headers, _) = post_form(&sandbox, "/sandbox/clock", form, &here).await;
    assert_eq!(
        (status, headers["location"].to_str().unwrap()),
        (StatusCode::SEE_OTHER, "/sandbox")
    );
    assert_eq!(sandbox.read(|world, _| world.clock_offset()), 60);
    let wrong = format!("token={token}&advance_seconds=x");
    let (status, _, body) = post_form(&sandbox, "/sandbox/clock", wrong, &here).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body.contains("advance_seconds"));
}

#[tokio::test]
async fn faults_are_set_shown_and_cleared() {
    let sandbox = sandbox();
    let fault =
        json!({"fault": "duplicate", "times": 3, "count": null, "event_type": "charge.failed"});
    let (status, body) = post_json(&sandbox, "/sandbox/deliveries", fault).await;
    assert_eq!(
        (status, &body["count"], &body["times"]),
        (StatusCode::OK, &Value::Null, &json!(3))
    );
    let (_, body) = post_json(&sandbox, "/sandbox/deliveries", json!({"fault": "drop"})).await;
    assert_eq!(body["count"], 1, "one, unless said otherwise");
    let (_, _, page) = get_page(&sandbox, "/sandbox", "localhost:12111").await;
    assert!(
        page.contains("duplicate 3 times: all, until cleared, charge.failed only"),
        "{page}"
    );
    let (_, _, state) = get_page(&sandbox, "/sandbox/state", "127.0.0.1:12111").await;
    let state: Value = serde_json::from_str(&state).unwrap();
    assert_eq!(state["faults"].as_array().unwrap().len(), 2);
    post_json(&sandbox, "/sandbox/deliveries/clear", json!({})).await;
    assert!(
        sandbox
            .read(|world, _| fault::list(&world.records))
            .is_empty()
    );
}

#[tokio::test]
async fn clearing_lets_go_what_is_held_and_resend_makes_another_delivery() {
    let sandbox = sandbox();
    let endpoint = json!({
        "id": "we_1", "object": "webhook_endpoint", "url": "http://127.0.0.1:1/hook",
        "status": "enabled", "enabled_events": ["*"],
    });
    sandbox
        .change(|world, _| world.records.put(Collection::Object, "we_1", endpoint))
        .unwrap();
    post_json(
        &sandbox,
        "/sandbox/deliveries",
        json!({"fault": "reorder", "count": null}),
    )
    .await;
    let event = sandbox
        .change(|world, now| world.emit("charge.failed", &json!({}), None, now))
        .unwrap();
    let id = format!("{}.we_1", event["id"].as_str().unwrap());
    let stage = |id: &str| {
        sandbox.read(|world, _| delivery::get(&world.records, id).map(|delivery| delivery.stage))
    };
    assert_eq!(stage(&id), Some(Stage::Held));
    post_json(&sandbox, "/sandbox/deliveries/clear", json!({})).await;
    assert_eq!(stage(&id), Some(Stage::Waiting));
    let (_, body) = post_json(
        &sandbox,
        &format!("/sandbox/deliveries/{id}/resend"),
        json!({}),
    )
    .await;
    let copy = body["id"].as_str().unwrap();
    assert_eq!(copy, format!("{id}.2"));
    assert_eq!(stage(copy), Some(Stage::Waiting));
    let (_, _, page) = get_page(&sandbox, "/sandbox", "127.0.0.1:12111").await;
    assert!(page.contains(copy) && page.contains("http://127.0.0.1:1/hook"));
}

/// A paid charge of this sandbox.
fn charge(sandbox: &Sandbox) -> String {
    let params = json!({
        "amount": 2000, "currency": "usd", "confirm": true, "payment_method": "pm_card_visa",
    });
    let answer = sandbox
        .change(|world, now| world.call("POST", "/v1/payment_intents", params, None, now))
        .unwrap();
    answer.body["latest_charge"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn banks_dispute_decide_warn_and_lose_refunds() {
    let sandbox = sandbox();
    let paid = charge(&sandbox);
    let path = format!("/sandbox/charges/{paid}");
    let (_, warning) = post_json(&sandbox, &format!("{path}/warn"), json!({})).await;
    assert_eq!(warning["charge"], json!(paid));
    let ask = json!({"inquiry": true, "amount": 700, "reason": "general"});
    let (_, dispute) = post_json(&sandbox, &format!("{path}/dispute"), ask).await;
    assert_eq!(
        (&dispute["status"], &dispute["amount"], &dispute["reason"]),
        (
            &json!("warning_needs_response"),
            &json!(700),
            &json!("general")
        )
    );
    let decide = format!(
        "/sandbox/disputes/{}/decide",
        dispute["id"].as_str().unwrap()
    );
    for (verdict, status) in [("escalated", "needs_response"), ("lost", "lost")] {
        let (_, decided) = post_json(&sandbox, &decide, json!({"verdict": verdict})).await;
        assert_eq!(decided["status"], status);
    }
    let (status, body) = post_json(&sandbox, &decide, json!({"verdict": "won"})).await;
    assert_eq!(
        (status, error(&body)),
        (StatusCode::BAD_REQUEST, ("", "dispute"))
    );

    let other = charge(&sandbox);
    let params = json!({"charge": other, "amount": 300});
    let refund = sandbox
        .change(|world, now| world.call("POST", "/v1/refunds", params, None, now))
        .unwrap()
        .body;
    let decide = format!("/sandbox/refunds/{}/decide", refund["id"].as_str().unwrap());
    let (status, body) = post_json(&sandbox, &decide, json!({"outcome": "canceled"})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(error(&body), ("refund_unexpected_state", "refund"));
    let (_, failed) = post_json(&sandbox, &decide, json!({"outcome": "failed"})).await;
    assert_eq!(failed["status"], "failed");
    let (_, body) = post_json(&sandbox, &decide, json!({"outcome": "maybe"})).await;
    assert_eq!(error(&body), ("", "outcome"));
}

#[tokio::test]
async fn the_page_has_a_button_for_every_decision_of_a_bank() {
    let sandbox = sandbox();
    let paid = charge(&sandbox);
    let token = gate::form_token(&sandbox);
    let form = format!("token={token}&inquiry=true");
    let path = format!("/sandbox/charges/{paid}/dispute");
    let (status, _, _) = post_form(&sandbox, &path, form, &[]).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let refund = json!({"charge": charge(&sandbox)});
    sandbox
        .change(|world, now| world.call("POST", "/v1/refunds", refund, None, now))
        .unwrap();
    let (_, _, page) = get_page(&sandbox, "/sandbox", "127.0.0.1:12111").await;
    for button in [
        "Dispute<",
        "Fraud warning",
        "Escalate",
        "Close<",
        "It fails",
        "warning_needs_response",
    ] {
        assert!(page.contains(button), "{button}");
    }
}
