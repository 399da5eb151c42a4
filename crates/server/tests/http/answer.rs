//! What every answer carries, and what a stopping service answers.

use crate::house::{House, token};

#[tokio::test]
async fn every_answer_carries_its_headers_and_pages_cannot_be_framed() {
    let house = House::usual().await;
    for path in [
        "/",
        "/v1/payment.stripe/redirect/cancel",
        "/v1/payment.stripe/redirect/success?session_id=%3Cscript%3E",
    ] {
        let answer = house.get(path, "").await;
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"),
            "{path}"
        );
    }
    for path in ["/", "/nothing", "/v1/balance/me", "/assets/bursar.css"] {
        let answer = house.get(path, "").await;
        assert_eq!(
            answer.headers["x-content-type-options"], "nosniff",
            "{path}"
        );
        assert_eq!(answer.headers["cache-control"], "no-store", "{path}");
        assert_eq!(answer.headers["referrer-policy"], "no-referrer", "{path}");
        assert!(answer.headers.contains_key("request-id"), "{path}");
        assert!(
            !answer.headers.contains_key("server")
                && !answer.headers.contains_key("access-control-allow-origin")
        );
    }
    assert_eq!(house.get("/demo/session", "").await.status, 404);
    assert_eq!(house.get("/nothing", "").await.code(), "route_not_found");
    assert_eq!(house.get("/V1/balance/me", &house.admin).await.status, 404);
}

#[tokio::test]
async fn every_error_has_one_shape_however_odd_the_address() {
    let house = House::usual().await;
    for (path, status, code) in [
        ("/%FF", 404, "route_not_found"),
        ("/assets/%FF", 404, "route_not_found"),
        ("/assets/..%2fhome.js", 404, "route_not_found"),
        ("/v1/balance/holds/%FF", 404, "hold_not_found"),
        ("/v1/balance/holds/%00", 404, "hold_not_found"),
        ("/v1/balance/holds/a%2fb", 404, "hold_not_found"),
        ("/v1/balance/holds/", 404, "route_not_found"),
        ("/v1/balance//holds", 404, "route_not_found"),
        ("/v1/balance/holds/x/y", 404, "route_not_found"),
        ("/v1/balance/charge", 405, "method_not_allowed"),
        ("/v1/balance/holds/create", 405, "method_not_allowed"),
        ("/v1/balance/holds?a=%FF", 400, "query_malformed"),
    ] {
        let answer = house.get(path, &house.admin).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (status, code),
            "{path}"
        );
        assert_eq!(answer.headers["content-type"], "application/json", "{path}");
    }
}

#[tokio::test]
async fn a_stopping_service_says_so() {
    let house = House::usual().await;
    assert_eq!(house.get("/readyz", "").await.status, 200);
    house.app.announce_stop();
    let answer = house.get("/readyz", "").await;
    assert_eq!((answer.status.as_u16(), answer.code()), (503, "not_ready"));
    assert_eq!(house.get("/livez", "").await.status, 200);
    house.app.stop().await;
    let late = house
        .post(
            "/v1/balance/topups/create",
            &token("u1"),
            r#"{"amount":500}"#,
            &[],
        )
        .await;
    assert_eq!(late.status, 503);
}
