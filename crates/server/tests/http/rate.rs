//! Who asks too often is refused until he may ask again; nobody else is.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use bursar_domain::time::Time;
use bursar_stripe::signature;
use http::Request;
use serde_json::json;
use tower::ServiceExt as _;

use crate::house::{Answer, House, JWT_SECRET, NOW, WEBHOOK, WEBHOOK_SECRET, token};

const STRANGER: &str = "198.51.100.1:40000";
const PROXY: &str = "127.0.0.1:40000";

async fn house(settings: &[(&str, &str)]) -> House {
    let mut all = vec![
        ("BURSAR_JWT_HS256_SECRET", JWT_SECRET),
        ("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET),
    ];
    all.extend_from_slice(settings);
    House::open(&all).await
}

fn later(house: &House, seconds: i64) {
    house.clock.set(Time::from_seconds(NOW + seconds));
}

/// A request on a connection from `peer`.
async fn get(house: &House, peer: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::empty()).unwrap();
    let peer: SocketAddr = peer.parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
    house.send(request).await
}

async fn get_as(house: &House, token: &str, path: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    get(house, STRANGER, path, &[("authorization", &bearer)]).await
}

const METHODS: &str = "/v1/payment/methods";
const ME: &str = "/v1/balance/me";

#[track_caller]
fn limited(answer: &Answer, seconds: u32, about: &str) {
    answer.refused(429, "rate_limited", None);
    assert_eq!(answer.headers["retry-after"], seconds.to_string());
    assert_eq!(answer.body["error"]["type"], "rate_limit_error");
    assert!(answer.message().contains(about), "{}", answer.message());
}

#[tokio::test]
async fn guests_are_counted_by_their_address() {
    let house = house(&[("BURSAR_RATE_GUEST", "3/30s")]).await;
    for _ in 0..3 {
        get(&house, STRANGER, METHODS, &[]).await.ok();
    }
    let refused = get(&house, STRANGER, METHODS, &[]).await;
    limited(
        &refused,
        10,
        "without credentials from this address: 3 in 30 seconds",
    );
    // Another port is the same address; what is not there counts as well.
    limited(
        &get(&house, "198.51.100.1:1", "/nowhere", &[]).await,
        10,
        "",
    );
    get(&house, "198.51.100.2:1", METHODS, &[]).await.ok();
    // Whoever shows credentials is no guest, and health is for everybody.
    get_as(&house, &house.admin, "/v1/keys").await.ok();
    get(&house, STRANGER, "/livez", &[]).await.ok();
    get(&house, STRANGER, "/readyz", &[]).await.ok();
    later(&house, 10);
    get(&house, STRANGER, METHODS, &[]).await.ok();
    limited(&get(&house, STRANGER, METHODS, &[]).await, 10, "");
}

#[tokio::test]
async fn behind_a_proxy_its_word_counts_and_in_front_of_it_nobodys() {
    let house = house(&[("BURSAR_RATE_GUEST", "1/30s")]).await;
    let from = |address| [("x-forwarded-for", address)];
    get(&house, PROXY, METHODS, &from("203.0.113.1")).await.ok();
    limited(
        &get(&house, PROXY, METHODS, &from("203.0.113.1")).await,
        30,
        "",
    );
    limited(
        &get(&house, PROXY, METHODS, &from("1.1.1.1, 203.0.113.1")).await,
        30,
        "",
    );
    get(&house, PROXY, METHODS, &from("203.0.113.2")).await.ok();
    // A program on this machine that forwards nothing.
    for _ in 0..3 {
        get(&house, PROXY, METHODS, &[]).await.ok();
    }
    get(&house, STRANGER, METHODS, &from("203.0.113.3"))
        .await
        .ok();
    limited(
        &get(&house, STRANGER, METHODS, &from("203.0.113.4")).await,
        30,
        "",
    );
}

#[tokio::test]
async fn users_are_counted_and_admin_keys_are_not() {
    let house = house(&[
        ("BURSAR_RATE_USER", "4/40s"),
        ("BURSAR_RATE_READING", "2/40s"),
    ])
    .await;
    let (anna, bert) = (token("anna"), token("bert"));
    // Two arguments of this handler ask who the caller is; it counts once, and before the reading is done.
    for _ in 0..2 {
        get_as(&house, &anna, "/v1/balance/explain").await.ok();
    }
    let refused = get_as(&house, &anna, "/v1/balance/history/me").await;
    limited(&refused, 20, "explanations and histories: 2 in 40 seconds");
    get_as(&house, &anna, ME).await.ok();
    limited(
        &get_as(&house, &anna, ME).await,
        10,
        "of this user: 4 in 40 seconds",
    );
    // A token of the same user is the same user.
    get_as(&house, &bert, ME).await.ok();
    for _ in 0..50 {
        get_as(&house, &house.admin, "/v1/balance/history")
            .await
            .ok();
    }
}

#[tokio::test]
async fn an_admin_key_is_bounded_if_the_operator_says_so() {
    let house = house(&[("BURSAR_RATE_ADMIN_KEY", "2/20s")]).await;
    for _ in 0..2 {
        get_as(&house, &house.admin, "/v1/keys").await.ok();
    }
    limited(
        &get_as(&house, &house.admin, "/v1/keys").await,
        10,
        "with this key",
    );
}

#[tokio::test]
async fn who_opens_a_checkout_after_another_is_slowed_down() {
    let house = house(&[("BURSAR_RATE_CHECKOUT", "3/3s")]).await;
    let anna = token("anna");
    let path = "/v1/payment.stripe/checkout/create";
    let body = json!({"topup_id": "topup_nothing"}).to_string();
    for _ in 0..3 {
        let answer = house.post(path, &anna, &body, &[]).await;
        assert_ne!(answer.status, 429, "{:#}", answer.body);
    }
    limited(
        &house.post(path, &anna, &body, &[]).await,
        1,
        "to pay or to save a card",
    );
    let answer = house
        .post("/api/stripe/payment-intent", &anna, "{}", &[])
        .await;
    assert_eq!(
        (answer.status.as_u16(), &answer.body["code"]),
        (429, &json!("rate_limited"))
    );
    house.get(ME, &anna).await.ok();
    let answer = house.post(path, &token("bert"), &body, &[]).await;
    assert_ne!(answer.status, 429);
}

#[tokio::test]
async fn wrong_credentials_run_out_and_right_ones_do_not() {
    let house = house(&[("BURSAR_RATE_FAILURE", "3/60s")]).await;
    for guess in ["bursar_admin_0", "x.y.z", "bursar_user_1"] {
        get_as(&house, guess, "/v1/balance/explain")
            .await
            .refused(401, "unauthenticated", None);
    }
    limited(
        &get_as(&house, "bursar_admin_2", ME).await,
        20,
        "could not be believed",
    );
    // Not even from the same address, and not even for the first time.
    get_as(&house, &house.admin, "/v1/keys").await.ok();
    get_as(&house, &token("anna"), ME).await.ok();
    later(&house, 20);
    get_as(&house, "bursar_admin_2", ME)
        .await
        .refused(401, "unauthenticated", None);
}

#[tokio::test]
async fn forged_deliveries_run_out_and_genuine_ones_do_not() {
    let house = house(&[
        ("BURSAR_RATE_FAILURE", "3/60s"),
        ("BURSAR_RATE_GUEST", "1/60s"),
    ])
    .await;
    let secret = signature::Secret::new(WEBHOOK_SECRET).unwrap();
    let deliver = async |id: &str, is_genuine: bool| {
        let body = format!(
            r#"{{"id":"{id}","object":"event","type":"x.y","created":1800000000,"livemode":false,"data":{{"object":{{}}}}}}"#
        );
        let mut signed = signature::sign(&secret, NOW, body.as_bytes());
        if !is_genuine {
            let last = signed.pop().unwrap();
            signed.push(if last == '0' { '1' } else { '0' });
        }
        let request = Request::post(WEBHOOK).header("stripe-signature", signed);
        let mut request = request.body(Body::from(body)).unwrap();
        let peer: SocketAddr = STRANGER.parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        house.send(request).await
    };
    for number in 0..3 {
        let id = format!("evt_forged_{number}");
        deliver(&id, false)
            .await
            .refused(400, "signature_invalid", None);
    }
    for number in 0..10 {
        limited(
            &deliver("evt_forged", false).await,
            20,
            "could not be believed",
        );
        deliver(&format!("evt_genuine_{number}"), true).await.ok();
    }
    let events = house
        .get("/v1/payment.stripe/events?limit=100", &house.admin)
        .await
        .ok();
    assert_eq!(events["items"].as_array().unwrap().len(), 10);
}

#[tokio::test]
async fn heads_have_a_size_of_their_own() {
    let house = house(&[]).await;
    let long = format!("{METHODS}?x={}", "y".repeat(8 * 1024));
    get(&house, STRANGER, &long, &[])
        .await
        .refused(414, "uri_too_long", None);
    let large = "z".repeat(17 * 1024);
    let refused = get(&house, STRANGER, METHODS, &[("x-large", &large)]).await;
    refused.refused(431, "head_too_large", None);
    assert_eq!(refused.headers["connection"], "close");
    let many = |count| vec![("x-many", "1"); count];
    get(&house, STRANGER, METHODS, &many(64)).await.ok();
    get(&house, STRANGER, METHODS, &many(65))
        .await
        .refused(431, "head_too_large", None);
}

/// A body of which nothing ever comes.
struct Never;

impl hyper::body::Body for Never {
    type Data = hyper::body::Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<hyper::body::Bytes>, Infallible>>> {
        Poll::Pending
    }
}

#[tokio::test]
async fn so_many_requests_are_worked_on_and_who_goes_away_makes_room() {
    let house = house(&[("BURSAR_REQUESTS_MAX", "16")]).await;
    let bearer = format!("Bearer {}", house.admin);
    let waiting: Vec<_> = (0..16)
        .map(|_| {
            let request = Request::post("/v1/balance/add")
                .header("authorization", &bearer)
                .header("content-type", "application/json");
            let request = request.body(Body::new(Never)).unwrap();
            tokio::spawn(house.router.clone().oneshot(request))
        })
        .collect();
    // They have begun when the next one is too many.
    let busy = async {
        loop {
            let answer = get(&house, STRANGER, METHODS, &[]).await;
            if answer.status == 503 {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    let refused = tokio::time::timeout(Duration::from_mins(1), busy)
        .await
        .unwrap();
    refused.refused(503, "busy", None);
    assert_eq!(refused.headers["retry-after"], "1");
    for one in &waiting {
        one.abort();
    }
    for one in waiting {
        assert!(one.await.unwrap_err().is_cancelled());
    }
    for _ in 0..40 {
        get(&house, STRANGER, METHODS, &[]).await.ok();
    }
}
