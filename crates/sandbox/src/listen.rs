//! What `stripe listen` needs: one POST that opens a session, and a WebSocket over which events come.
//!
//! Stripe does not document either; the shapes are those its CLI reads and writes. A listener is no webhook
//! endpoint: it gets every event once, while it is connected, and faults do not touch it.

use std::pin::pin;

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bursar_stripe::signature::{self, Secret};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{Sandbox, gate, version};

/// Where the WebSocket is.
const PATH: &str = "/v1/stripecli/events";
/// The subprotocol the CLI asks for.
const PROTOCOL: &str = "stripecli-devproxy-v1";
/// After how many seconds the CLI renews its connection.
const RECONNECT: u32 = 600;

/// The two routes of a listener.
pub(crate) fn routes() -> Router<Sandbox> {
    Router::new()
        .route("/v1/stripecli/sessions", post(open))
        .route(PATH, get(connect))
}

/// The signing secret of all listeners of a key. It follows from the key, so that `--print-secret` says the same
/// every time and a `.env` file stays right.
pub fn secret(api_key: &str) -> String {
    format!("whsec_{}", derived("signing secret", api_key))
}

/// The id a listener has to show. It follows from the key too: a listener finds its way back after the sandbox
/// was started anew.
fn socket_id(api_key: &str) -> String {
    format!("cliws_{}", derived("websocket", api_key))
}

fn derived(purpose: &str, api_key: &str) -> String {
    let digest = Sha256::new()
        .chain_update("bursar sandbox, stripe listen, ")
        .chain_update(purpose)
        .chain_update(api_key);
    hex::encode(digest.finalize())
}

async fn open(State(sandbox): State<Sandbox>, headers: HeaderMap) -> Response {
    if let Err(error) = gate::check_key(&sandbox, &headers) {
        return gate::refusal(&sandbox, &error);
    }
    let config = sandbox.config();
    let answer = json!({
        "object": "stripecli_session",
        "display_connect_filter_warning": false,
        "default_version": config.default_version,
        "latest_version": bursar_stripe::VERSION,
        "device_token": derived("device", &config.secret_key),
        "reconnect_delay": RECONNECT,
        "secret": secret(&config.secret_key),
        "websocket_authorized_feature": "webhooks",
        "websocket_id": socket_id(&config.secret_key),
        "websocket_url": socket_url(&sandbox, &headers),
    });
    Json(answer).into_response()
}

/// The CLI comes back by the way it came: what it calls this machine may differ from what we do.
fn socket_url(sandbox: &Sandbox, headers: &HeaderMap) -> String {
    let base = &sandbox.config().base_url;
    let (scheme, own_host) = match base.split_once("://") {
        Some(("https", host)) => ("wss", host),
        Some((_, host)) => ("ws", host),
        None => ("ws", base.as_str()),
    };
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or(own_host);
    format!("{scheme}://{host}{PATH}")
}

async fn connect(
    State(sandbox): State<Sandbox>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let shown = headers
        .get("websocket-id")
        .map(header::HeaderValue::as_bytes);
    if shown != Some(socket_id(&sandbox.config().secret_key).as_bytes()) {
        // By exactly this sentence the CLI knows that it has to open a new session.
        let message = json!({"error": {"message": "Unknown WebSocket ID."}});
        return (StatusCode::UNAUTHORIZED, Json(message)).into_response();
    }
    // Whoever is told that he is connected hears of what happens from then on.
    let seen = newest(&sandbox);
    upgrade
        .protocols([PROTOCOL])
        .on_upgrade(move |socket| forward(sandbox, socket, seen))
}

/// Sends what happens after `seen` until the listener goes.
async fn forward(sandbox: Sandbox, mut socket: WebSocket, mut seen: Option<String>) {
    loop {
        let mut changed = pin!(sandbox.changed().notified());
        changed.as_mut().enable();
        for event in since(&sandbox, seen.as_deref()) {
            seen = event["id"].as_str().map(str::to_owned);
            for message in messages(&sandbox, &event) {
                if socket
                    .send(Message::text(message.to_string()))
                    .await
                    .is_err()
                {
                    return;
                }
            }
        }
        tokio::select! {
            () = changed => {}
            received = socket.recv() => match received {
                Some(Ok(Message::Text(text))) => note(&text),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                // A ping is answered by the library.
                Some(Ok(_)) => {}
            }
        }
    }
}

/// The listener acknowledges each event and then says what its own endpoint answered.
fn note(text: &str) {
    let Ok(message) = serde_json::from_str::<Value>(text) else {
        return;
    };
    tracing::debug!(
        kind = message["type"].as_str(),
        conversation = message["webhook_conversation_id"].as_str(),
        status = message["status"].as_i64(),
        "a listener answered"
    );
}

fn newest(sandbox: &Sandbox) -> Option<String> {
    sandbox.read(|world, _| {
        let event = world.records.objects("event").next()?;
        event["id"].as_str().map(str::to_owned)
    })
}

/// The events after that one, oldest first.
fn since(sandbox: &Sandbox, seen: Option<&str>) -> Vec<Value> {
    let mut events: Vec<Value> = sandbox.read(|world, _| {
        let newest_first = world.records.objects("event");
        newest_first
            .take_while(|event| event["id"].as_str() != seen)
            .cloned()
            .collect()
    });
    events.reverse();
    events
}

/// An event in the account's version and in the newest one; a listener reads the one it was started for
/// (`--latest`) and leaves the other.
fn messages(sandbox: &Sandbox, event: &Value) -> Vec<Value> {
    let latest = [None, Some(bursar_stripe::VERSION)];
    latest
        .into_iter()
        .filter_map(|version| message(sandbox, event, version))
        .collect()
}

fn message(sandbox: &Sandbox, event: &Value, version: Option<&str>) -> Option<Value> {
    let event = version::event_as(event, version);
    let id = event["id"].as_str()?.trim_start_matches("evt_").to_owned();
    let payload = serde_json::to_string_pretty(&event).ok()?;
    let secret = Secret::new(&secret(&sandbox.config().secret_key)).ok()?;
    // The receiver compares with its own clock, so it is the real time that is signed.
    let unix = sandbox.real_millis().div_euclid(1000);
    Some(json!({
        "type": "webhook_event",
        "webhook_id": format!("wh_{id}"),
        "webhook_conversation_id": format!("wc_{id}"),
        "endpoint": { "api_version": version },
        "http_headers": {
            "Accept": "*/*",
            "Cache-Control": "no-cache",
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature::sign(&secret, unix, payload.as_bytes()),
            "User-Agent": crate::sender::USER_AGENT,
        },
        "event_payload": payload,
    }))
}

#[cfg(test)]
mod tests;
