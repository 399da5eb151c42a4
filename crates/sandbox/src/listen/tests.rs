//! A listener as `stripe listen` is one, on 127.0.0.1.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::*;
use crate::SandboxConfig;

const KEY: &str = "sk_test_listen";

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn sandbox() -> (Sandbox, SocketAddr) {
    let sandbox = Sandbox::open(SandboxConfig::new("http://127.0.0.1:1", KEY)).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = sandbox.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (sandbox, address)
}

async fn open_session(address: SocketAddr, key: &str) -> (u16, Value) {
    let response = crate::sender::client()
        .unwrap()
        .post(format!("http://{address}/v1/stripecli/sessions"))
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body("device_name=here&websocket_features[]=webhooks")
        .send()
        .await
        .unwrap();
    let status = response.status().as_u16();
    (
        status,
        serde_json::from_slice(&response.bytes().await.unwrap()).unwrap(),
    )
}

async fn connect_as(session: &Value, id: &str) -> Result<Socket, u16> {
    let url = session["websocket_url"].as_str().unwrap();
    let feature = session["websocket_authorized_feature"].as_str().unwrap();
    let mut request = format!("{url}?websocket_feature={feature}")
        .into_client_request()
        .unwrap();
    let headers = request.headers_mut();
    headers.insert("websocket-id", id.parse().unwrap());
    headers.insert("sec-websocket-protocol", PROTOCOL.parse().unwrap());
    match connect_async(request).await {
        Ok((socket, answer)) => {
            assert_eq!(answer.headers()["sec-websocket-protocol"], PROTOCOL);
            Ok(socket)
        }
        Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => Err(answer.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

async fn connect_to(session: &Value) -> Socket {
    connect_as(session, session["websocket_id"].as_str().unwrap())
        .await
        .unwrap()
}

/// The next message, read as the CLI reads it.
async fn next(socket: &mut Socket) -> Value {
    loop {
        let frame = timeout(Duration::from_mins(1), socket.next())
            .await
            .expect("a message comes");
        if let Frame::Text(text) = frame.unwrap().unwrap() {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

fn emit(sandbox: &Sandbox, kind: &str) -> String {
    let event = sandbox
        .change(|world, now| world.emit(kind, &json!({}), None, now))
        .unwrap();
    event["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_listener_gets_what_happens_from_then_on_signed_with_its_secret() {
    let (sandbox, address) = sandbox().await;
    emit(&sandbox, "charge.failed");
    let (status, session) = open_session(address, KEY).await;
    assert_eq!(status, 200);
    let mut socket = connect_to(&session).await;
    let ids = [
        emit(&sandbox, "charge.succeeded"),
        emit(&sandbox, "charge.refunded"),
    ];
    let secrets = [Secret::new(session["secret"].as_str().unwrap()).unwrap()];
    for id in ids {
        for version in [Value::Null, json!(bursar_stripe::VERSION)] {
            let message = next(&mut socket).await;
            assert_eq!(message["type"], "webhook_event");
            assert_eq!(message["endpoint"]["api_version"], version);
            let payload = message["event_payload"].as_str().unwrap();
            let event: Value = serde_json::from_str(payload).unwrap();
            assert_eq!(event["id"], id.as_str());
            let header = message["http_headers"]["Stripe-Signature"]
                .as_str()
                .unwrap();
            let now = sandbox.real_millis() / 1000;
            let believed =
                signature::verify(header.as_bytes(), payload.as_bytes(), &secrets, now, 300);
            assert_eq!(believed, Ok(()));
        }
    }
}

#[tokio::test]
async fn the_secret_is_the_same_every_time_and_another_keys_is_another() {
    let (_sandbox, address) = sandbox().await;
    let (_, first) = open_session(address, KEY).await;
    let (_, second) = open_session(address, KEY).await;
    assert_eq!(first["secret"], second["secret"]);
    assert_eq!(first["secret"], secret(KEY));
    assert_ne!(secret(KEY), secret("sk_test_other"));
    let (status, refused) = open_session(address, "sk_test_other").await;
    assert_eq!(
        (status, refused["error"]["type"].as_str()),
        (401, Some("invalid_request_error"))
    );
}

#[tokio::test]
async fn a_listener_without_a_session_is_sent_to_open_one() {
    let (_sandbox, address) = sandbox().await;
    let (_, session) = open_session(address, KEY).await;
    assert_eq!(
        connect_as(&session, "cliws_of_another_key").await.err(),
        Some(401)
    );
}
