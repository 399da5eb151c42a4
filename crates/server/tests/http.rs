//! The HTTP surface from outside: who may do what, what is accepted, and how it is refused.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a test that panics has failed"
)]

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use bursar::{App, Config, Sources, api_key};
use bursar_domain::api_key::Role;
use bursar_domain::id::UserId;
use bursar_domain::time::Time;
use bursar_engine::clock::FixedClock;
use bursar_stripe::signature;
use http::{Request, Response, StatusCode};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tower::ServiceExt as _;

const NOW: i64 = 1_800_000_000;
const WEBHOOK_SECRET: &str = "whsec_aB3dE5fG7hJ9kL1mN2pQ";
const JWT_SECRET: &str = "kE5yFdLr2mTqXc8uZb1wVn4sAj7hPg0o";
const WEBHOOK: &str = "/v1/payment.stripe/webhook";

/// A service on a folder of its own, with a clock that stands still.
struct House {
    app: App,
    router: Router,
    admin: String,
    _folder: tempfile::TempDir,
}

struct Answer {
    status: StatusCode,
    headers: http::HeaderMap,
    body: Value,
}

impl Answer {
    fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }
}

impl House {
    async fn open(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data").display().to_string();
        let mut pairs = vec![("BURSAR_DATA", data.as_str())];
        pairs.extend_from_slice(settings);
        let pairs = pairs
            .iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let sources = Sources {
            environment: pairs.collect(),
            ..Sources::default()
        };
        let (config, _) = Config::load(&sources).unwrap();
        let clock = Arc::new(FixedClock::at(Time::from_seconds(NOW)));
        let app = App::start_with(config, None, clock).unwrap();
        let (admin, _) = api_key::issue(app.engine(), Role::Admin, String::new())
            .await
            .unwrap();
        Self {
            router: app.router(),
            app,
            admin,
            _folder: folder,
        }
    }

    async fn usual() -> Self {
        Self::open(&[
            ("BURSAR_JWT_HS256_SECRET", JWT_SECRET),
            ("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET),
        ])
        .await
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response: Response<Body> = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 1 << 20).await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    async fn get(&self, path: &str, token: &str) -> Answer {
        let request = Request::get(path).header("authorization", format!("Bearer {token}"));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn post(&self, path: &str, token: &str, body: &str, more: &[(&str, &str)]) -> Answer {
        let mut request = Request::post(path)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json");
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body.to_owned())).unwrap())
            .await
    }

    async fn deliver(&self, body: &[u8], headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::post(WEBHOOK);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body.to_vec())).unwrap())
            .await
    }
}

fn claims(user: &str) -> Value {
    json!({"sub": user, "exp": NOW + 600})
}

fn token(user: &str) -> String {
    let key = EncodingKey::from_secret(JWT_SECRET.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims(user), &key).unwrap()
}

fn signed(body: &[u8]) -> String {
    signature::sign(&signature::Secret::new(WEBHOOK_SECRET).unwrap(), NOW, body)
}

const GUEST: &[(&str, &str)] = &[
    ("GET", "/"),
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("GET", "/v1/payment/methods"),
    ("GET", "/v1/payment.stripe/redirect/cancel"),
];
const USER: &[(&str, &str)] = &[
    ("GET", "/v1/balance/me"),
    ("GET", "/v1/balance/history/me"),
    ("GET", "/v1/balance/topups/me"),
    ("GET", "/v1/payment.stripe/payments/me"),
    ("POST", "/v1/balance/topups/create"),
    ("POST", "/v1/payment.stripe/checkout/create"),
];
const ADMIN: &[(&str, &str)] = &[
    ("GET", "/v1/balance/users"),
    ("GET", "/v1/balance/history"),
    ("GET", "/v1/balance/topups"),
    ("GET", "/v1/payment.stripe/payments"),
    ("GET", "/v1/payment.stripe/events"),
    ("GET", "/v1/keys"),
    ("POST", "/v1/balance/add"),
    ("POST", "/v1/balance/sub"),
    ("POST", "/v1/balance/topups/finish"),
    ("POST", "/v1/balance/topups/cancel"),
    ("POST", "/v1/keys/create"),
    ("POST", "/v1/keys/revoke"),
];

#[tokio::test]
async fn each_route_is_for_its_role() {
    let house = House::usual().await;
    let user = token("u1");
    for (method, path) in GUEST {
        let request = Request::builder().method(*method).uri(*path);
        let answer = house.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 200, "{method} {path}");
    }
    for (routes, wrong) in [(USER, house.admin.as_str()), (ADMIN, user.as_str())] {
        for (method, path) in routes {
            for (credentials, status, code) in [
                (None, 401, "unauthenticated"),
                (Some("nonsense"), 401, "unauthenticated"),
                (Some("bursar_admin_0000"), 401, "unauthenticated"),
                (Some(wrong), 403, "forbidden"),
            ] {
                let mut request = Request::builder().method(*method).uri(*path);
                if let Some(credentials) = credentials {
                    request = request.header("authorization", format!("Bearer {credentials}"));
                }
                let answer = house.send(request.body(Body::empty()).unwrap()).await;
                assert_eq!(
                    (answer.status.as_u16(), answer.code()),
                    (status, code),
                    "{method} {path}"
                );
                assert!(
                    answer.body["error"]["request_id"]
                        == answer.headers["request-id"].to_str().unwrap()
                );
            }
        }
    }
}

#[tokio::test]
async fn credentials_come_in_one_header_and_nowhere_else() {
    let house = House::usual().await;
    let user = token("u1");
    for request in [
        Request::get(format!("/v1/balance/me?token={user}")),
        Request::get(format!("/v1/balance/me?access_token={user}")),
        Request::get("/v1/balance/me").header("authorization", format!("Basic {user}")),
        Request::get("/v1/balance/me").header("authorization", user.clone()),
        Request::get("/v1/balance/me").header("x-user-id", "u1"),
        Request::get("/v1/balance/me").header("cookie", format!("token={user}")),
        Request::get("/v1/balance/me")
            .header("authorization", format!("Bearer {user}"))
            .header("authorization", format!("Bearer {user}")),
    ] {
        let answer = house.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 401);
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    assert_eq!(
        house.get("/v1/balance/me", &user).await.body["user_id"],
        "u1"
    );
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once() {
    let house = House::usual().await;
    let made = house
        .post(
            "/v1/keys/create",
            &house.admin,
            r#"{"role":"user","user_id":"u1","label":"x"}"#,
            &[],
        )
        .await;
    let (id, key) = (
        made.body["api_key_id"].as_str().unwrap(),
        made.body["api_key"].as_str().unwrap(),
    );
    assert!(key.starts_with("bursar_user_"), "{key}");
    assert_eq!(house.get("/v1/balance/me", key).await.body["user_id"], "u1");
    let listed = house.get("/v1/keys", &house.admin).await.body.to_string();
    assert!(listed.contains(id) && !listed.contains(key), "{listed}");
    let revoked = house
        .post(
            "/v1/keys/revoke",
            &house.admin,
            &json!({"api_key_id": id}).to_string(),
            &[],
        )
        .await;
    assert_eq!(revoked.status, 200);
    assert_eq!(house.get("/v1/balance/me", key).await.status, 401);
}

#[tokio::test]
async fn tokens_of_every_configured_kind_open_and_of_no_other() {
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys");
    let read = |name: &str| std::fs::read(keys.join(name)).unwrap();
    let rsa = EncodingKey::from_rsa_pem(&read("rs256.private.pem")).unwrap();
    let elliptic = EncodingKey::from_ec_pem(&read("es256.private.pem")).unwrap();
    let sign = |algorithm, key: &EncodingKey, kid: Option<&str>| {
        let mut header = Header::new(algorithm);
        header.kid = kid.map(str::to_owned);
        jsonwebtoken::encode(&header, &claims("u1"), key).unwrap()
    };
    let mut jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&elliptic, Algorithm::ES256).unwrap();
    jwk.common.key_id = Some("k1".to_owned());
    let folder = tempfile::tempdir().unwrap();
    let jwks = folder.path().join("jwks.json");
    std::fs::write(&jwks, json!({"keys": [jwk]}).to_string()).unwrap();

    let by_rsa = sign(Algorithm::RS256, &rsa, None);
    let by_elliptic = sign(Algorithm::ES256, &elliptic, None);
    let by_k1 = sign(Algorithm::ES256, &elliptic, Some("k1"));
    let by_k2 = sign(Algorithm::ES256, &elliptic, Some("k2"));
    let public = String::from_utf8(read("rs256.public.pem")).unwrap();
    let confused = sign(
        Algorithm::HS256,
        &EncodingKey::from_secret(public.as_bytes()),
        None,
    );
    let path = |name: &str| keys.join(name).display().to_string();
    let cases = [
        (
            "BURSAR_JWT_PUBLIC_KEY_FILE",
            path("rs256.public.pem"),
            vec![&by_rsa],
            vec![&by_elliptic, &confused],
        ),
        (
            "BURSAR_JWT_PUBLIC_KEY_FILE",
            path("es256.public.pem"),
            vec![&by_elliptic],
            vec![&by_rsa, &confused],
        ),
        (
            "BURSAR_JWT_JWKS_FILE",
            jwks.display().to_string(),
            vec![&by_k1, &by_elliptic],
            vec![&by_k2, &by_rsa, &confused],
        ),
    ];
    for (name, value, good, bad) in cases {
        let house = House::open(&[(name, &value)]).await;
        for token in good {
            assert_eq!(
                house.get("/v1/balance/me", token).await.status,
                200,
                "{value}"
            );
        }
        for token in bad {
            assert_eq!(
                house.get("/v1/balance/me", token).await.status,
                401,
                "{value}"
            );
        }
    }
}

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

#[tokio::test]
async fn a_repeated_key_repeats_the_answer_and_nothing_else() {
    let house = House::usual().await;
    let add = async |body: &str, key: &str| {
        house
            .post(
                "/v1/balance/add",
                &house.admin,
                body,
                &[("idempotency-key", key)],
            )
            .await
    };
    let body = r#"{"user_id":"u1","amount":100,"note":"gift"}"#;
    let first = add(body, "k1").await;
    assert!(!first.headers.contains_key("idempotent-replayed"));
    let again = add(
        r#"{ "note": "gift", "amount": 100, "user_id": "u1" }"#,
        "k1",
    )
    .await;
    assert_eq!((again.status.as_u16(), &again.body), (200, &first.body));
    assert_eq!(again.headers["idempotent-replayed"], "true");
    let other = add(r#"{"user_id":"u1","amount":101,"note":"gift"}"#, "k1").await;
    assert_eq!(
        (other.status.as_u16(), other.code()),
        (409, "idempotency_key_reused")
    );
    assert_eq!(other.body["error"]["type"], "idempotency_error");
    for key in ["", "a b", &"x".repeat(256)] {
        assert_eq!(add(body, key).await.status, 400, "{key:?}");
    }
    let elsewhere = house
        .post(
            "/v1/balance/sub",
            &house.admin,
            body,
            &[("idempotency-key", "k1")],
        )
        .await;
    assert_eq!(elsewhere.status, 200);
    assert_eq!(
        house.get("/v1/balance/me", &token("u1")).await.body["credits"],
        0
    );
}

#[tokio::test]
async fn another_users_things_do_not_exist() {
    let house = House::usual().await;
    let made = house
        .post(
            "/v1/balance/topups/create",
            &token("u1"),
            r#"{"amount":500}"#,
            &[],
        )
        .await;
    let topup = made.body["topup_id"].as_str().unwrap();
    assert_eq!(made.body["status"], "pending");
    let others = house.get("/v1/balance/topups/me", &token("u2")).await;
    assert_eq!(
        others.body,
        json!({"items": [], "has_more": false, "next": null})
    );
    assert_eq!(
        house.get("/v1/balance/topups/me", &token("u1")).await.body["items"][0]["topup_id"],
        topup
    );
}

#[tokio::test]
async fn lists_refuse_what_they_do_not_know() {
    let house = House::usual().await;
    for (query, param) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=1000000000000000000000", "limit"),
        ("limit=-1", "limit"),
        ("limit=5&limit=6", "limit"),
        ("cursor=x", "cursor"),
        ("status=odd", "status"),
        ("user_id=%20", "user_id"),
        ("user=u1", "user"),
    ] {
        let answer = house
            .get(&format!("/v1/balance/topups?{query}"), &house.admin)
            .await;
        assert_eq!(answer.status, 400, "{query}");
        assert_eq!(answer.body["error"]["param"], param, "{query}");
    }
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
        let answer = house.deliver(body, &headers).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (status, code),
            "{headers:?}"
        );
    }
    let large = vec![b' '; 1_048_577];
    assert_eq!(
        house
            .deliver(&large, &[("stripe-signature", &signed(&large))])
            .await
            .status,
        413
    );
    let first = house.deliver(body, &[("stripe-signature", &good)]).await;
    assert_eq!(
        (first.status.as_u16(), first.body),
        (200, json!({"received": true}))
    );
    let second = house.deliver(body, &[("stripe-signature", &good)]).await;
    assert_eq!(second.body, json!({"received": true, "duplicate": true}));
    for odd in [&b"not json"[..], b"[]", b"{}", b"\xef\xbb\xbf{}"] {
        let answer = house
            .deliver(odd, &[("stripe-signature", &signed(odd))])
            .await;
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
    let answer = house
        .deliver(b"{}", &[("stripe-signature", &signed(b"{}"))])
        .await;
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

#[tokio::test]
async fn a_key_speaks_for_the_user_it_was_made_for() {
    let house = House::usual().await;
    let user = UserId::parse("auth0|5").unwrap();
    let (secret, key) = api_key::issue(house.app.engine(), Role::User(user), "t".to_owned())
        .await
        .unwrap();
    assert!(secret.ends_with(&key.hint));
    let wallet = house.get("/v1/balance/me", &secret).await.body;
    let expected = json!({
        "user_id": "auth0|5", "credits": 0, "available": 0, "held": 0, "unit": "credit",
        "money": {"amount_minor": 0, "currency": "usd", "display": "0.00 USD"},
        "created_at": null, "updated_at": null,
    });
    assert_eq!(wallet, expected);
}
