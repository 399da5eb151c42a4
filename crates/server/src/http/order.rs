//! A `POST`: its JSON body, and the idempotency key under which its answer is remembered.

use axum::extract::{FromRequest, MatchedPath, Request};
use bursar_domain::command::{AnswerKey, Idempotency, RequestHash};
use bursar_domain::text::{self, KEY_MAX};
use bursar_store::digest;
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use super::auth::Caller;
use super::error::ApiError;
use super::extract::{BODY_MAX, Input, read_body};
use super::form::Form;

/// A `POST` with its JSON body and its idempotency key. Where a repetition must be harmless, one without a key is refused.
#[derive(Debug)]
pub(super) struct Order<F, const BYTES_MAX: usize = BODY_MAX, const KEY_REQUIRED: bool = false> {
    /// What is asked for.
    pub(super) form: F,
    route: String,
    key: Option<String>,
    request_hash: RequestHash,
}

/// An [`Order`] that has a key.
pub(super) type KeyedOrder<F> = Order<F, BODY_MAX, true>;

impl<F, const BYTES_MAX: usize, const KEY_REQUIRED: bool> Order<F, BYTES_MAX, KEY_REQUIRED> {
    /// The key under which the answer is remembered, with the digest of what was asked. Another caller's equal key, and the same
    /// key on another route, are other keys.
    pub(super) fn idempotency(&self, caller: &Caller) -> Idempotency {
        let key = AnswerKey {
            principal: caller.principal(),
            route: self.route.clone(),
            key: self.key.clone()?,
        };
        Some((key, self.request_hash))
    }
}

impl<S, F, const BYTES_MAX: usize, const KEY_REQUIRED: bool> FromRequest<S>
    for Order<F, BYTES_MAX, KEY_REQUIRED>
where
    S: Send + Sync,
    F: Form,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let header = key_of_header(&parts.headers)?;
        check_json(&parts.headers)?;
        no_query(&parts)?;
        let bytes = read_body(&parts.headers, body, BYTES_MAX).await?;
        let mut input = Input::from_json(&bytes)?;
        let key = match (header, key_of_body(&mut input)?) {
            (Some(header), Some(body)) if header != body => {
                let message = "differs from the header `Idempotency-Key`; give one of them";
                return Err(ApiError::invalid("idempotency_key", message));
            }
            (header, body) => header.or(body),
        };
        let request_hash = digest::request_hash(&input.canonical());
        let form = input.read()?;
        if KEY_REQUIRED && key.is_none() {
            return Err(ApiError::missing("idempotency_key"));
        }
        let route = parts.extensions.get::<MatchedPath>();
        Ok(Self {
            form,
            route: route.map_or_else(
                || parts.uri.path().to_owned(),
                |path| path.as_str().to_owned(),
            ),
            key,
            request_hash,
        })
    }
}

/// The schema of a key in a header.
pub(super) fn key_schema(about: &str) -> Value {
    json!({ "type": "string", "pattern": format!(r"^[\x21-\x7e]{{1,{KEY_MAX}}}$"), "description": about })
}

/// Adds the key to the schema of a body.
pub(super) fn add_key_to_body(body: &mut Value, required: bool) {
    let mut key = key_schema("The idempotency key.");
    if required {
        match body["required"].as_array_mut() {
            Some(names) => names.push("idempotency_key".into()),
            None => body["required"] = json!(["idempotency_key"]),
        }
    } else {
        key["type"] = json!(["string", "null"]);
    }
    body["properties"]["idempotency_key"] = key;
}

/// The key in the body of an order, or of one of several in a batch.
pub(super) fn key_of_body(input: &mut Input) -> Result<Option<String>, ApiError> {
    let name = "idempotency_key";
    let Some(key) = input.text(name, KEY_MAX)? else {
        return Ok(None);
    };
    match text::check_key(&key) {
        Ok(()) => Ok(Some(key)),
        Err(flaw) => Err(ApiError::flawed(name, flaw)),
    }
}

fn key_of_header(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let key = value.to_str().unwrap_or_default();
    if values.next().is_some() || text::check_key(key).is_err() {
        let message = format!("must be one header of 1 to {KEY_MAX} visible ASCII characters");
        return Err(ApiError::invalid("Idempotency-Key", message));
    }
    Ok(Some(key.to_owned()))
}

/// Refuses bodies that are not JSON by their own word, so that no HTML form of another site can send one.
fn check_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "content_type_unsupported",
        "send JSON, with the header `Content-Type: application/json`",
    ))
}

/// Fields belong into the body; a token or an amount in an address would end up in logs.
fn no_query(parts: &Parts) -> Result<(), ApiError> {
    match parts.uri.query() {
        None | Some("") => Ok(()),
        Some(query) => Input::from_query(query)?.finish(),
    }
}
