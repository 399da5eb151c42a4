//! Deliveries of Stripe.

use axum::body::Body;
use bursar_stripe::signature;
use http::Request;
use serde_json::json;

use crate::house::{Answer, House, JWT_SECRET, NOW, WEBHOOK, WEBHOOK_SECRET, token};

fn signed(body: &[u8]) -> String {
    signature::sign(&signature::Secret::new(WEBHOOK_SECRET).unwrap(), NOW, body)
}

async fn deliver(house: &House, body: &[u8], headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::post(WEBHOOK);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    house
        .send(request.body(Body::from(body.to_vec())).unwrap())
        .await
}

#[tokio::test]
async fn a_delivery_is_judged_before_it_is_read() {
    let house = House::usual().await;
    let body = br#"{"id":"evt_1","object":"event","type":"x.y","created":1800000000,"livemode":false,"data":{"object":{}}}"#;
    let good = signed(body);
    for (headers, status, code) in [
        (vec![], 400, "signature_invalid"),
        (
            vec![("stripe-signature", "t=1,v1=00")],
            400,
            "signature_invalid",
        ),
        (
            vec![
                ("stripe-signature", good.as_str()),
                ("stripe-signature", "t=1"),
            ],
            400,
            "signature_invalid",
        ),
        (
            vec![("stripe-signature", &good), ("content-encoding", "gzip")],
            415,
            "content_encoding_unsupported",
        ),
        (
            vec![
                ("stripe-signature", &good),
                ("content-length", "99999999999"),
            ],
            413,
            "body_too_large",
        ),
    ] {
        let answer = deliver(&house, body, &headers).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (status, code),
            "{headers:?}"
        );
    }
    let large = vec![b' '; 1_048_577];
    assert_eq!(
        deliver(&house, &large, &[("stripe-signature", &signed(&large))])
            .await
            .status,
        413
    );
    let first = deliver(&house, body, &[("stripe-signature", &good)]).await;
    assert_eq!(
        (first.status.as_u16(), first.body),
        (200, json!({"received": true}))
    );
    let second = deliver(&house, body, &[("stripe-signature", &good)]).await;
    assert_eq!(second.body, json!({"received": true, "duplicate": true}));
    for odd in [&b"not json"[..], b"[]", b"{}", b"\xef\xbb\xbf{}"] {
        let answer = deliver(&house, odd, &[("stripe-signature", &signed(odd))]).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (400, "event_malformed")
        );
    }
    for method in ["GET", "PUT", "OPTIONS", "HEAD"] {
        let request = Request::builder()
            .method(method)
            .uri(WEBHOOK)
            .body(Body::empty())
            .unwrap();
        let answer = house.send(request).await;
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.headers["allow"], "POST");
    }
}

#[tokio::test]
async fn without_a_secret_nothing_is_believed_and_nothing_is_for_sale() {
    let house = House::open(&[("BURSAR_JWT_HS256_SECRET", JWT_SECRET)]).await;
    let answer = deliver(&house, b"{}", &[("stripe-signature", &signed(b"{}"))]).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (503, "webhook_secret_missing")
    );
    assert!(
        answer.body["error"]["message"]
            .as_str()
            .unwrap()
            .contains("STRIPE_WEBHOOK_SECRET")
    );
    let methods = house.get("/v1/payment/methods", "").await.body;
    assert_eq!(methods["items"][0]["enabled"], false);
    assert!(
        methods["items"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("STRIPE_SECRET_KEY")
    );
    let made = house
        .post(
            "/v1/balance/topups/create",
            &token("u1"),
            r#"{"amount":500}"#,
            &[],
        )
        .await;
    let body = json!({"topup_id": made.body["topup_id"]}).to_string();
    let checkout = house
        .post(
            "/v1/payment.stripe/checkout/create",
            &token("u1"),
            &body,
            &[],
        )
        .await;
    assert_eq!(
        (checkout.status.as_u16(), checkout.code()),
        (503, "payment_not_configured")
    );
}
