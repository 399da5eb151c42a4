//! The edge: what every answer carries, whatever made it.
//!
//! Each request gets an id, which the answer names in `Request-Id` and an error repeats in its body. Errors are written out here
//! and nowhere else. A handler that panics answers 500 and says nothing of the inside.

use std::any::Any;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bursar_engine::Once;
use http::{HeaderName, HeaderValue, StatusCode, Version, header};
use serde::Serialize;

use super::admission;
use super::error::ApiError;
use super::facade;
use crate::config::BaseUrl;

const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const TRUE: HeaderValue = HeaderValue::from_static("true");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Gives out ids of requests: random for each start of the program, counted up from there.
#[derive(Debug)]
pub struct RequestIds {
    start: u64,
    next: AtomicU64,
}

impl RequestIds {
    /// Begins with a number of its own.
    pub fn new() -> Result<Self, getrandom::Error> {
        Ok(Self {
            start: getrandom::u64()?,
            next: AtomicU64::new(1),
        })
    }

    fn next(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut id = String::with_capacity(32);
        let _ = write!(id, "rq_{:016x}{number:08x}", self.start);
        id
    }
}

/// The outermost layer.
pub async fn finish(State(app): State<crate::App>, request: Request, next: Next) -> Response {
    let id = app.request_ids().next();
    let mut response = match admission::admit(&app, &request) {
        Ok(_admitted) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        response = written(&error, &id, response);
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    for (name, value) in ALWAYS {
        headers.entry(name).or_insert(value);
    }
    if app
        .config()
        .base_url
        .as_ref()
        .is_some_and(BaseUrl::is_secure)
    {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, ONE_YEAR);
    }
    response
}

/// Balances, tokens and pages with sessions in their address are for one pair of eyes, and nothing here is meant to be guessed
/// at, framed or referred to.
const ALWAYS: [(HeaderName, HeaderValue); 3] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
];

/// Browsers that came by https once do not try without it.
const ONE_YEAR: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// What is answered before the request has been read.
const ENDS_CONNECTION: [StatusCode; 4] = [
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::URI_TOO_LONG,
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
];

/// The error as JSON, keeping the headers the response had (`Allow`).
fn written(error: &ApiError, id: &str, response: Response) -> Response {
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, JSON);
    if error.status == StatusCode::UNAUTHORIZED {
        parts
            .headers
            .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    // The rest of the request will not be read, so there can be no other one behind it.
    if ENDS_CONNECTION.contains(&error.status) && parts.version <= Version::HTTP_11 {
        parts
            .headers
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(seconds) = error.retry_after {
        parts
            .headers
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if error.replayed {
        parts.headers.insert(REPLAYED, TRUE);
    }
    let body = match parts.extensions.remove::<facade::Plain>() {
        Some(_) => facade::error(error),
        None => error.body(id),
    };
    Response::from_parts(parts, Body::from(body.to_string()))
}

/// What a panic answers. The panic itself is on standard error, with its place.
pub fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    ApiError::internal(&"a handler panicked").into_response()
}

/// A body of JSON with status 200.
#[derive(Debug)]
pub struct Item<T> {
    body: T,
    replayed: bool,
}

/// An answer that was decided now.
pub const fn item<T>(body: T) -> Item<T> {
    Item {
        body,
        replayed: false,
    }
}

/// An answer to a command as `show` shows it; it may be the repetition of an earlier one under the same idempotency key.
pub fn answer<T, V>(once: &Once<T>, show: impl FnOnce(&T) -> V) -> Item<V> {
    Item {
        body: show(&once.value),
        replayed: once.replayed,
    }
}

impl<T: Serialize> IntoResponse for Item<T> {
    fn into_response(self) -> Response {
        let text = match serde_json::to_vec(&self.body) {
            Ok(text) => text,
            Err(error) => return ApiError::internal(&error).into_response(),
        };
        let mut response = ([(header::CONTENT_TYPE, JSON)], text).into_response();
        if self.replayed {
            response.headers_mut().insert(REPLAYED, TRUE);
        }
        response
    }
}
