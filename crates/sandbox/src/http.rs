//! The HTTP skin: from bytes to a request of the API, and back.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, OriginalUri, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bursar_stripe::form;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::{ApiRequest, ApiResponse, Sandbox};

/// The largest body that is read, in bytes. Stripe's requests are small.
const LARGEST_BODY: usize = 1 << 20;

/// The idempotency keys of requests that are being answered.
type InFlight = Arc<Mutex<HashSet<String>>>;

/// The routes of the API, and of what is not the API: the hosted pages, the control API, and what `stripe listen`
/// needs.
pub fn router(sandbox: Sandbox) -> Router {
    let in_flight = InFlight::default();
    let api = move |State(sandbox): State<Sandbox>, method, OriginalUri(uri), headers, body| {
        let answer = answer(&sandbox, &in_flight, method, &uri, &headers, &body);
        std::future::ready(answer)
    };
    Router::new()
        .route("/v1/{*operation}", any(api))
        .merge(crate::page::routes())
        .merge(crate::pay_page::routes())
        .merge(crate::control::routes())
        .merge(crate::listen::routes())
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(sandbox)
}

#[expect(clippy::needless_pass_by_value, reason = "axum hands the method over")]
fn answer(
    sandbox: &Sandbox,
    in_flight: &InFlight,
    method: Method,
    uri: &http::Uri,
    headers: &HeaderMap,
    body: &Bytes,
) -> Response {
    let request = match request_of(&method, uri, headers, body) {
        Ok(request) => request,
        Err(error) => return refusal(&error),
    };
    let key = request
        .idempotency_key
        .clone()
        .filter(|_| method == Method::POST);
    let Some(_turn) = Turn::take(in_flight, key) else {
        let message = "There is currently another in-progress request using this Idempotency-Key. Wait for it, or \
                       try again later.";
        let error = ApiError::coded("idempotency_key_in_use", message);
        return refusal(&ApiError {
            status: 409,
            kind: "idempotency_error",
            ..error
        });
    };
    match sandbox.request(&request) {
        Ok(response) => written(&response),
        Err(error) => {
            tracing::error!(%error, "the sandbox could not keep what it was about to answer");
            let error =
                ApiError::invalid("The sandbox could not write its journal. Nothing has changed.");
            refusal(&ApiError {
                status: 500,
                kind: "api_error",
                ..error
            })
        }
    }
}

/// The right to answer a request with an idempotency key; given back at the end.
struct Turn(InFlight, Option<String>);

impl Turn {
    fn take(in_flight: &InFlight, key: Option<String>) -> Option<Self> {
        if let Some(key) = &key {
            let mut keys = in_flight.lock().unwrap_or_else(PoisonError::into_inner);
            if !keys.insert(key.clone()) {
                return None;
            }
        }
        Some(Self(in_flight.clone(), key))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(key) = &self.1 {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(key);
        }
    }
}

fn request_of(
    method: &Method,
    uri: &http::Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<ApiRequest, ApiError> {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let is_json = text("content-type").is_some_and(|kind| kind.contains("json"));
    if is_json && !body.is_empty() {
        let message =
            "Send the parameters as application/x-www-form-urlencoded; JSON is not read here.";
        return Err(ApiError::invalid(message));
    }
    let mut params = Map::new();
    for part in [uri.query().unwrap_or_default().as_bytes(), body] {
        let decoded = form::decode(part).map_err(|error| {
            let refusal = ApiError::invalid(error.to_string());
            error
                .param()
                .map_or(refusal.clone(), |param| refusal.clone().at(param))
        })?;
        params.extend(decoded.as_object().cloned().unwrap_or_default());
    }
    Ok(ApiRequest {
        method: method.as_str().to_owned(),
        path: uri.path().to_owned(),
        params: Value::Object(params),
        api_key: key_of(headers),
        idempotency_key: text("idempotency-key"),
        version: text("stripe-version"),
    })
}

/// The key of a request: `Bearer KEY`, or `Basic` with the key as the user name.
fn key_of(headers: &HeaderMap) -> Option<String> {
    let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credentials) = given.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(credentials.trim().to_owned());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let decoded = STANDARD.decode(credentials.trim()).ok()?;
        let pair = String::from_utf8(decoded).ok()?;
        return Some(pair.split(':').next().unwrap_or_default().to_owned());
    }
    None
}

/// An answer to something that is not a request of the API.
fn refusal(error: &ApiError) -> Response {
    let body = error.body("req_unread");
    written(&ApiResponse {
        status: error.status,
        headers: vec![("Request-Id", "req_unread".to_owned())],
        body,
    })
}

fn written(response: &ApiResponse) -> Response {
    let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // Stripe's answers are indented, too.
    let body = serde_json::to_vec_pretty(&response.body)
        .unwrap_or_else(|_| json!({}).to_string().into_bytes());
    let mut answer = (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
    for (name, value) in &response.headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}
