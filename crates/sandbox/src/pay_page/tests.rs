//! Stories of people who pay, asked through the router.

use axum::body::Body;
use axum::http::{HeaderMap, Request};
use serde_json::json;
use tower::ServiceExt;

use super::*;
use crate::{ApiRequest, SandboxConfig};

const KEY: &str = "sk_test_page";
const FORM: &str =
    "method=card&email=you%40example.com&card_expiry=12%2F40&card_cvc=123&card_number=";

fn sandbox() -> Sandbox {
    Sandbox::open(SandboxConfig::new("http://127.0.0.1:12111", KEY)).unwrap()
}

/// A session for two times five hundred of a currency, and its id.
fn session(sandbox: &Sandbox, currency: &str, more: &Value) -> String {
    let mut params = json!({
        "mode": "payment",
        "success_url": "https://shop.example/done?session={CHECKOUT_SESSION_ID}&x=1",
        "cancel_url": "https://shop.example/cart",
        "line_items": [{
            "quantity": "2",
            "price_data": {
                "currency": currency,
                "unit_amount": "500",
                "product_data": {"name": "500 <b>credits</b>"},
            },
        }],
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        params[name] = value.clone();
    }
    let request = ApiRequest {
        method: "POST".into(),
        path: "/v1/checkout/sessions".into(),
        params,
        api_key: Some(KEY.into()),
        ..ApiRequest::default()
    };
    let response = sandbox.request(&request).unwrap();
    assert_eq!(response.status, 200, "{}", response.body);
    response.body["id"].as_str().unwrap().to_owned()
}

async fn ask(sandbox: &Sandbox, request: Request<Body>) -> (StatusCode, HeaderMap, String) {
    let (parts, body) = sandbox
        .router()
        .oneshot(request)
        .await
        .unwrap()
        .into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    (
        parts.status,
        parts.headers,
        String::from_utf8(body.to_vec()).unwrap(),
    )
}

async fn see(sandbox: &Sandbox, path: &str) -> (StatusCode, HeaderMap, String) {
    ask(sandbox, Request::get(path).body(Body::empty()).unwrap()).await
}

async fn send(sandbox: &Sandbox, path: &str, form: String) -> (StatusCode, HeaderMap, String) {
    let request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
    ask(sandbox, request.body(Body::from(form)).unwrap()).await
}

fn location(headers: &HeaderMap) -> &str {
    headers["location"].to_str().unwrap()
}

fn record(sandbox: &Sandbox, id: &str) -> Value {
    sandbox
        .read(|world, _| world.records.get(Collection::Object, id).cloned())
        .unwrap()
}

#[tokio::test]
async fn the_page_shows_the_order_and_is_kept_by_nobody() {
    let sandbox = sandbox();
    let id = session(&sandbox, "usd", &Value::Null);
    let (status, headers, body) = see(&sandbox, &format!("/c/pay/{id}")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["cache-control"], "no-store");
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    for expected in [
        "Sandbox: no real money",
        "$10.00",
        "2 × $5.00",
        "https://shop.example/cart",
        "4000 0000 0000 9995",
    ] {
        assert!(body.contains(expected), "{expected}: {body}");
    }
    assert!(!body.contains("<b>credits"), "names are text: {body}");
    assert!(body.contains("credits"));
    assert!(
        !body.contains("<script>") && !body.contains(" style="),
        "the policy forbids inline code"
    );
}

#[tokio::test]
async fn amounts_have_the_decimals_of_their_currency() {
    let sandbox = sandbox();
    for (currency, total) in [("jpy", "¥1000"), ("kwd", "1.000 KWD"), ("eur", "€10.00")] {
        let id = session(&sandbox, currency, &Value::Null);
        let (_, _, body) = see(&sandbox, &format!("/c/pay/{id}")).await;
        assert!(body.contains(total), "{currency}: {body}");
    }
}

#[tokio::test]
async fn a_good_card_pays_and_leads_back_to_the_shop() {
    let sandbox = sandbox();
    let id = session(&sandbox, "usd", &Value::Null);
    let path = format!("/c/pay/{id}");
    let (status, headers, _) = send(&sandbox, &path, format!("{FORM}4242+4242+4242+4242")).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert_eq!(
        location(&headers),
        format!("https://shop.example/done?session={id}&x=1")
    );
    let paid = record(&sandbox, &id);
    assert_eq!(
        (&paid["status"], &paid["payment_status"]),
        (&json!("complete"), &json!("paid"))
    );
    assert_eq!(paid["customer_details"]["email"], "you@example.com");
    let (status, _, body) = see(&sandbox, &path).await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.contains("all done here") && body.contains("Back to the shop"));
    let (status, headers, _) = send(&sandbox, &path, format!("{FORM}4242424242424242")).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert!(location(&headers).starts_with("https://shop.example/done"));
    let charges = sandbox.read(|world, _| world.records.objects("charge").count());
    assert_eq!(charges, 1, "a second press does not pay twice");
}

#[tokio::test]
async fn a_declined_card_may_be_followed_by_a_good_one() {
    let sandbox = sandbox();
    let id = session(&sandbox, "usd", &Value::Null);
    let path = format!("/c/pay/{id}");
    for (number, says) in [
        ("4000000000000002", "declined"),
        ("4000000000009995", "insufficient funds"),
        ("4000000000000069", "expired"),
    ] {
        let (status, _, body) = send(&sandbox, &path, format!("{FORM}{number}")).await;
        assert_eq!(status, StatusCode::PAYMENT_REQUIRED);
        assert!(body.contains(says), "{number}: {body}");
        assert_eq!(record(&sandbox, &id)["status"], "open");
    }
    let (status, _, _) = send(&sandbox, &path, format!("{FORM}5555555555554444")).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert_eq!(record(&sandbox, &id)["payment_status"], "paid");
}

#[tokio::test]
async fn mistakes_are_told_next_to_their_field_and_the_card_is_not_sent_back() {
    let sandbox = sandbox();
    let id = session(&sandbox, "usd", &Value::Null);
    let form = "method=card&email=you&card_number=4242424242424241&card_expiry=01%2F20&card_cvc=98";
    let (status, _, body) = send(&sandbox, &format!("/c/pay/{id}"), form.into()).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    for field in ["email-error", "number-error", "expiry-error", "cvc-error"] {
        assert!(body.contains(&format!("id=\"{field}\"")), "{field}: {body}");
    }
    assert!(
        !body.contains("4242424242424241") && !body.contains("\"98\""),
        "{body}"
    );
    assert!(
        body.contains("value=\"01/20\"") || body.contains("value=\"01&#47;20\""),
        "{body}"
    );
    let events = sandbox.read(|world, _| {
        world
            .records
            .objects("event")
            .filter(|event| event["type"] == "payment_intent.payment_failed")
            .count()
    });
    assert_eq!(events, 0, "the bank was never asked");
}

#[tokio::test]
async fn a_bank_that_asks_is_answered_on_a_page_of_its_own() {
    let sandbox = sandbox();
    let id = session(&sandbox, "usd", &Value::Null);
    let (path, challenge) = (format!("/c/pay/{id}"), format!("/c/pay/{id}/challenge"));
    let (status, headers, _) = see(&sandbox, &challenge).await;
    assert_eq!(
        (status, location(&headers)),
        (StatusCode::SEE_OTHER, path.as_str()),
        "nothing is asked yet"
    );
    let (status, headers, _) = send(&sandbox, &path, format!("{FORM}4000002760003184")).await;
    assert_eq!(
        (status, location(&headers)),
        (StatusCode::SEE_OTHER, challenge.as_str())
    );
    let (status, _, body) = see(&sandbox, &challenge).await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.contains("3184") && body.contains("$10.00"), "{body}");
    let (status, _, body) = send(&sandbox, &challenge, "answer=fail".into()).await;
    assert_eq!(status, StatusCode::PAYMENT_REQUIRED);
    assert!(body.contains("role=\"alert\""));
    assert_eq!(record(&sandbox, &id)["status"], "open");
    send(&sandbox, &path, format!("{FORM}4000002760003184")).await;
    let (status, headers, _) = send(&sandbox, &challenge, "answer=approve".into()).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert!(location(&headers).starts_with("https://shop.example/done"));
    assert_eq!(record(&sandbox, &id)["payment_status"], "paid");
}

#[tokio::test]
async fn a_bank_debit_is_settled_later_as_chosen() {
    for (later, status_after) in [("succeed", "paid"), ("fail", "unpaid"), ("ask", "unpaid")] {
        let sandbox = sandbox();
        let id = session(
            &sandbox,
            "usd",
            &json!({"payment_method_types": ["card", "us_bank_account"]}),
        );
        let (_, _, body) = see(&sandbox, &format!("/c/pay/{id}")).await;
        assert!(body.contains("Bank debit"));
        let form = format!("method=bank&email=&later={later}");
        let (status, headers, body) = send(&sandbox, &format!("/c/pay/{id}"), form).await;
        assert_eq!(status, StatusCode::SEE_OTHER, "{body}");
        assert!(location(&headers).starts_with("https://shop.example/done"));
        let now = record(&sandbox, &id);
        assert_eq!(
            (&now["status"], &now["payment_status"]),
            (&json!("complete"), &json!("unpaid"))
        );
        sandbox
            .change(|world, now| world.tick(now + BANK_DELAY))
            .unwrap();
        assert_eq!(
            record(&sandbox, &id)["payment_status"],
            status_after,
            "{later}"
        );
        let failed = sandbox.read(|world, _| {
            world
                .records
                .objects("event")
                .any(|event| event["type"] == "checkout.session.async_payment_failed")
        });
        assert_eq!(failed, later == "fail");
    }
}

#[tokio::test]
async fn an_expired_session_says_so_and_takes_no_money() {
    let sandbox = sandbox();
    let id = session(&sandbox, "usd", &Value::Null);
    sandbox
        .change(|world, _| world.set_clock_offset(2 * 86_400))
        .unwrap();
    let (status, _, body) = see(&sandbox, &format!("/c/pay/{id}")).await;
    assert_eq!(status, StatusCode::GONE);
    assert!(body.contains("timed out") && body.contains("https://shop.example/cart"));
    let (status, _, _) = send(
        &sandbox,
        &format!("/c/pay/{id}"),
        format!("{FORM}4242424242424242"),
    )
    .await;
    assert_eq!(status, StatusCode::GONE);
    assert_eq!(record(&sandbox, &id)["status"], "expired");
}

#[tokio::test]
async fn an_unknown_session_is_not_found() {
    let (status, _, body) = see(&sandbox(), "/c/pay/cs_test_nothing").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(body.contains("no such checkout"));
}

#[tokio::test]
async fn the_customer_is_sent_on_when_the_endpoint_has_answered() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    let answered = Arc::new(AtomicBool::new(false));
    let flag = answered.clone();
    let hook = post(move || async move {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        flag.store(true, Ordering::SeqCst);
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/hook", hook)).await });
    let sandbox = sandbox();
    let endpoint = ApiRequest {
        method: "POST".into(),
        path: "/v1/webhook_endpoints".into(),
        params: json!({"url": url, "enabled_events": ["checkout.session.completed"]}),
        api_key: Some(KEY.into()),
        ..ApiRequest::default()
    };
    assert_eq!(sandbox.request(&endpoint).unwrap().status, 200);
    let running = sandbox.clone();
    let runner = tokio::spawn(async move { running.run(std::future::pending()).await });
    let id = session(&sandbox, "usd", &Value::Null);
    let (status, _, _) = send(
        &sandbox,
        &format!("/c/pay/{id}"),
        format!("{FORM}4242424242424242"),
    )
    .await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert!(
        answered.load(Ordering::SeqCst),
        "the shop knows before the customer is back"
    );
    runner.abort();
}

#[tokio::test]
async fn a_promotion_code_is_typed_in_and_the_discount_shown() {
    let sandbox = sandbox();
    let make = |path: &str, params: Value| {
        sandbox
            .change(|world, now| world.call("POST", path, params, None, now))
            .unwrap()
            .body
    };
    make("/v1/coupons", json!({"id": "ten", "percent_off": 10}));
    let promotion = json!({"promotion": {"type": "coupon", "coupon": "ten"}, "code": "SPRING"});
    make("/v1/promotion_codes", promotion);
    let plain = session(&sandbox, "usd", &json!({}));
    let (_, _, page) = see(&sandbox, &format!("/c/pay/{plain}")).await;
    assert!(!page.contains("Promotion code"));
    let id = session(&sandbox, "usd", &json!({"allow_promotion_codes": "true"}));
    let path = format!("/c/pay/{id}");
    let (_, _, page) = see(&sandbox, &path).await;
    assert!(page.contains("Promotion code") && !page.contains("Discount"));
    let (status, _, page) = send(&sandbox, &format!("{path}/code"), "code=AUTUMN".into()).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.contains("This code is invalid."));
    let (status, headers, _) = send(&sandbox, &format!("{path}/code"), "code=+spring".into()).await;
    assert_eq!(
        (status, headers["location"].to_str().unwrap()),
        (StatusCode::SEE_OTHER, path.as_str())
    );
    let (_, _, page) = see(&sandbox, &path).await;
    assert!(
        page.contains("Discount") && page.contains("$9.00"),
        "{page}"
    );
}
