//! The client against a server that misbehaves in every way that matters.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use bursar_stripe::client::{Client, ClientConfig, MAX_ANSWER_BYTES, Response};
use bursar_stripe::error::{Error, Retry};
use bursar_stripe::object::CheckoutSession;
use bursar_stripe::request::{Request, retrieve_balance, retrieve_checkout_session};
use bursar_stripe::secret_key::SecretKey;
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What the server does with the one connection it takes, after reading the whole request.
enum Act {
    Answer(Vec<u8>),
    HangUp,
    HangUpBeforeReading,
    Wait,
}

/// A server for one connection; the task's result is the request as it arrived.
struct Server {
    base: String,
    task: JoinHandle<String>,
}

impl Server {
    async fn that(act: Act) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            if matches!(act, Act::HangUpBeforeReading) {
                return String::new();
            }
            let request = read_request(&mut stream).await;
            match act {
                Act::Answer(bytes) => {
                    let _ = stream.write_all(&bytes).await;
                    let _ = stream.shutdown().await;
                }
                Act::Wait => tokio::time::sleep(Duration::from_secs(30)).await,
                Act::HangUp | Act::HangUpBeforeReading => {}
            }
            request
        });
        Self { base, task }
    }

    async fn answering(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        let answer =
            format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n{body}");
        Self::that(Act::Answer(answer.into_bytes())).await
    }

    async fn outcome(&self, request: &Request) -> Result<Response, Error> {
        client(&self.base).send(request).await
    }

    /// The request as it arrived.
    async fn received(self) -> String {
        self.task.await.unwrap()
    }
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.split("content-length: ").nth(1).map_or(0, |rest| {
                rest.split("\r\n").next().unwrap().parse().unwrap()
            });
            if body.len() >= length {
                return String::from_utf8(bytes).unwrap();
            }
        }
        match stream.read(&mut buffer).await.unwrap() {
            0 => return String::from_utf8(bytes).unwrap(),
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}

/// A client that waits long enough for a busy machine.
fn client(base: &str) -> Client {
    with_patience(base, Duration::from_secs(20))
}

fn with_patience(base: &str, patience: Duration) -> Client {
    let config = ClientConfig::new(SecretKey::new("sk_test_canary").unwrap());
    Client::new(&ClientConfig {
        base_url: base.to_owned(),
        connect_timeout: patience,
        timeout: patience * 2,
        ..config
    })
    .unwrap()
}

fn post() -> Request {
    Request::post(
        "/v1/checkout/sessions",
        json!({"metadata": {"a": "b c"}}),
        "key_1",
    )
}

#[tokio::test]
async fn a_post_carries_key_version_and_form() {
    let headers = "request-id: req_1\r\nidempotent-replayed: true\r\n";
    let server = Server::answering("200 OK", headers, r#"{"id":"cs_1"}"#).await;
    let response = server.outcome(&post()).await.unwrap();
    assert_eq!(response.body, json!({"id": "cs_1"}));
    assert_eq!(response.request_id.as_deref(), Some("req_1"));
    assert_eq!(response.status, 200);
    assert!(response.idempotent_replayed);

    let request = server.received().await;
    assert!(
        request.starts_with("POST /v1/checkout/sessions HTTP/1.1\r\n"),
        "{request}"
    );
    let lower = request.to_lowercase();
    for header in [
        "authorization: bearer sk_test_canary",
        "stripe-version: 2026-10-28.endive",
        "idempotency-key: key_1",
        "content-type: application/x-www-form-urlencoded",
        "user-agent: bursar/",
    ] {
        assert!(
            lower.contains(&format!("\r\n{header}")),
            "{header} is missing in {request}"
        );
    }
    assert!(request.ends_with("\r\n\r\nmetadata[a]=b%20c"), "{request}");
}

#[tokio::test]
async fn a_get_carries_its_parameters_in_the_address() {
    let server = Server::answering("200 OK", "", r#"{"id":"cs_1","amount_total":500}"#).await;
    let session: CheckoutSession = client(&server.base)
        .call(&retrieve_checkout_session("cs_1"))
        .await
        .unwrap();
    assert_eq!(session.amount_total, Some(500));
    let request = server.received().await;
    let line = "GET /v1/checkout/sessions/cs_1?expand[0]=payment_intent HTTP/1.1\r\n";
    assert!(request.starts_with(line), "{request}");
    assert!(
        !request.to_lowercase().contains("idempotency-key"),
        "{request}"
    );
}

#[tokio::test]
async fn a_refused_connection_means_nothing_happened() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = client(&base).send(&post()).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert_eq!(error.retry(), Retry::SameKey { after: None });
}

#[tokio::test]
async fn a_handshake_that_hangs_means_nothing_happened() {
    // Takes the connection and never says a word of TLS.
    let server = Server::that(Act::Wait).await;
    let base = server.base.replace("http://", "https://");
    let error = with_patience(&base, Duration::from_millis(300))
        .send(&post())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    server.task.abort();
}

#[tokio::test]
async fn a_connection_cut_after_sending_leaves_the_outcome_unknown() {
    for act in [Act::HangUp, Act::HangUpBeforeReading] {
        let server = Server::that(act).await;
        let error = server.outcome(&post()).await.unwrap_err();
        assert!(
            matches!(error, Error::Unknown { status: None, .. }),
            "{error:?}"
        );
        assert_eq!(error.retry(), Retry::SameKey { after: None });
    }
}

#[tokio::test]
async fn a_cut_answer_leaves_the_outcome_unknown() {
    let half =
        b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\nrequest-id: req_1\r\n\r\n{\"id\":".to_vec();
    let server = Server::that(Act::Answer(half)).await;
    let error = server.outcome(&post()).await.unwrap_err();
    let Error::Unknown {
        status, request_id, ..
    } = &error
    else {
        panic!("{error:?}")
    };
    assert_eq!((*status, request_id.as_deref()), (Some(200), Some("req_1")));
}

#[tokio::test]
async fn a_slow_answer_leaves_the_outcome_unknown() {
    let server = Server::that(Act::Wait).await;
    let client = Client::new(&ClientConfig {
        base_url: server.base.clone(),
        timeout: Duration::from_secs(1),
        ..ClientConfig::new(SecretKey::new("sk_test_canary").unwrap())
    });
    let error = client.unwrap().send(&post()).await.unwrap_err();
    assert!(
        matches!(error, Error::Unknown { status: None, .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("in time"), "{error}");
    server.task.abort();
}

#[tokio::test]
async fn a_server_error_leaves_the_outcome_unknown() {
    let body = r#"{"error":{"type":"api_error","message":"oops"}}"#;
    for status in ["500 Oops", "502 Bad Gateway", "503 No"] {
        let server = Server::answering(status, "retry-after: 2\r\n", body).await;
        let error = server.outcome(&post()).await.unwrap_err();
        assert!(
            matches!(
                error,
                Error::Unknown {
                    status: Some(500..),
                    ..
                }
            ),
            "{error:?}"
        );
        assert_eq!(
            error.retry(),
            Retry::SameKey {
                after: Some(Duration::from_secs(2))
            }
        );
    }
}

#[tokio::test]
async fn busy_may_be_asked_again_with_the_same_key() {
    for (status, code) in [
        ("429 Too Many Requests", "lock_timeout"),
        ("429 Too Many Requests", "rate_limit"),
        ("409 Conflict", "idempotency_key_in_use"),
    ] {
        let body = json!({"error": {"type": "invalid_request_error", "code": code}}).to_string();
        let server = Server::answering(status, "", &body).await;
        let error = server.outcome(&post()).await.unwrap_err();
        assert!(matches!(error, Error::Busy { .. }), "{error:?}");
        assert_eq!(error.refusal().unwrap().code.as_deref(), Some(code));
        assert_eq!(error.retry(), Retry::SameKey { after: None });
    }
}

#[tokio::test]
async fn a_definite_no_is_final() {
    for (status, code) in [
        ("400 Bad Request", "stripe_refused"),
        ("402 Payment Required", "stripe_refused"),
        ("404 Not Found", "stripe_refused"),
        ("401 Unauthorized", "stripe_unauthorized"),
        ("403 Forbidden", "stripe_unauthorized"),
    ] {
        let body = r#"{"error":{"type":"card_error","code":"card_declined","message":"no"}}"#;
        let server = Server::answering(status, "request-id: req_9\r\n", body).await;
        let error = server.outcome(&post()).await.unwrap_err();
        assert_eq!(
            (error.code(), error.retry()),
            (code, Retry::Never),
            "{status}"
        );
        let refusal = error.refusal().unwrap();
        assert_eq!(refusal.code.as_deref(), Some("card_declined"));
        assert_eq!(refusal.request_id.as_deref(), Some("req_9"));
        assert!(!error.to_string().contains("canary"));
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let location = format!(
        "location: http://{}/v1/balance\r\n",
        target.local_addr().unwrap()
    );
    for status in ["302 Found", "307 Temporary Redirect"] {
        let server = Server::answering(status, &location, "").await;
        let error = server.outcome(&post()).await.unwrap_err();
        assert_eq!(
            error.refusal().map(|refusal| refusal.status / 100),
            Some(3),
            "{error:?}"
        );
    }
    let knock = tokio::time::timeout(Duration::from_millis(50), target.accept()).await;
    assert!(knock.is_err(), "the key was carried to another address");
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_told_apart_from_a_no() {
    for body in ["", "<html>", r#"{"id":"#, r#"{"id":"a"} x"#] {
        let server = Server::answering("200 OK", "request-id: req_1\r\n", body).await;
        let error = server.outcome(&post()).await.unwrap_err();
        let Error::Garbled { request_id, .. } = &error else {
            panic!("{body}: {error:?}")
        };
        assert_eq!(request_id.as_deref(), Some("req_1"));
        assert_eq!(error.retry(), Retry::Never);
    }
    let odd = r#"{"id":"cs_1","amount_total":"4242424242424242"}"#;
    let server = Server::answering("200 OK", "", odd).await;
    let error = client(&server.base)
        .call::<CheckoutSession>(&retrieve_checkout_session("cs_1"))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Garbled { .. }), "{error:?}");
    assert!(!error.to_string().contains("4242"), "{error}");
}

#[tokio::test]
async fn a_huge_answer_is_not_read() {
    // Announced, and unannounced in one endless chunk.
    let announced = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{{",
        MAX_ANSWER_BYTES + 1
    );
    let mut endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7fffffff\r\n".to_vec();
    endless.resize(endless.len() + MAX_ANSWER_BYTES + 1, b' ');
    for bytes in [announced.into_bytes(), endless] {
        let server = Server::that(Act::Answer(bytes)).await;
        let error = server.outcome(&retrieve_balance()).await.unwrap_err();
        assert!(matches!(error, Error::Garbled { .. }), "{error:?}");
        assert!(error.to_string().contains("larger"), "{error}");
    }
}

#[tokio::test]
async fn a_call_is_never_repeated_by_itself() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let connections = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        drop(stream);
        let again = tokio::time::timeout(Duration::from_secs(1), listener.accept()).await;
        assert!(again.is_err(), "it was sent once more");
    });
    let error = client(&base).send(&post()).await.unwrap_err();
    assert!(matches!(error, Error::Unknown { .. }), "{error:?}");
    connections.await.unwrap();
}

#[tokio::test]
async fn all_clones_share_one_budget() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            read_request(&mut stream).await;
            let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
            let _ = stream.write_all(answer).await;
        }
    });
    let config = ClientConfig::new(SecretKey::new("sk_test_canary").unwrap());
    let client = Client::new(&ClientConfig {
        base_url: base,
        calls_per_second: 20.try_into().unwrap(),
        burst: 4.try_into().unwrap(),
        ..config
    })
    .unwrap();
    let took = async |clients: Vec<Client>| {
        let start = std::time::Instant::now();
        for client in clients {
            client.send(&retrieve_balance()).await.unwrap();
        }
        start.elapsed()
    };
    // Four at once, then one in 50 milliseconds, whichever clone asks.
    let ahead = took(vec![client.clone(); 8]).await;
    assert!(ahead >= Duration::from_millis(200), "{ahead:?}");
    // One, then one in 200 milliseconds.
    let behind = took(vec![client.background(); 4]).await;
    assert!(behind >= Duration::from_millis(600), "{behind:?}");
    server.abort();
}
