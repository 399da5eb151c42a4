//! From a request to its answer: the key, the version, the operation, the idempotency key.

use std::fmt;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::error::{ApiError, ApiResult};
use crate::expand::expand;
use crate::records::Collection;
use crate::route::{self, Call};
use crate::version;
use crate::world::{Cause, World};

/// How long an answer is kept under its idempotency key, in seconds: Stripe promises a day.
const KEPT: i64 = 24 * 3600;

/// One request to the API, already decoded. It may hold a card number, so it is never printed in full.
#[derive(Clone, Default)]
pub struct ApiRequest {
    /// The HTTP method in capitals.
    pub method: String,
    /// The path, such as `/v1/refunds`.
    pub path: String,
    /// The parameters of query and body together, as form decoding gives them: text at the leaves.
    pub params: Value,
    /// The key the request came with, by `Authorization: Bearer` or as the user name of `Basic`.
    pub api_key: Option<String>,
    /// The `Idempotency-Key` header.
    pub idempotency_key: Option<String>,
    /// The `Stripe-Version` header.
    pub version: Option<String>,
}

impl fmt::Debug for ApiRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiRequest({} {})", self.method, self.path)
    }
}

/// The answer to one request.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiResponse {
    /// The HTTP status.
    pub status: u16,
    /// Headers beside the content type.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Value,
}

impl World {
    /// Answers one request at the moment `now` (seconds since 1970).
    pub fn request(&mut self, request: &ApiRequest, now: i64) -> ApiResponse {
        self.tick(now);
        let request_id = self.ids.request();
        let default = self.setup.default_version.clone();
        let version = request.version.clone().unwrap_or(default);
        let admitted = self.admit(request).and_then(|()| version::check(&version));
        let mut response = match admitted {
            Ok(()) => self.answer_once(request, &request_id, &version, now),
            Err(error) => refusal(&error, &request_id),
        };
        response.headers.push(("Request-Id", request_id));
        response.headers.push(("Stripe-Version", version));
        if let Some(key) = &request.idempotency_key {
            response.headers.push(("Idempotency-Key", key.clone()));
        }
        response
    }

    /// Asks with the account's own key, as a program does that has the world in its hands. Numbers and truth values
    /// may be given as such. Without a version the account's counts.
    pub fn call(
        &mut self,
        method: &str,
        path: &str,
        params: Value,
        version: Option<&str>,
        now: i64,
    ) -> ApiResponse {
        let request = ApiRequest {
            method: method.to_owned(),
            path: path.to_owned(),
            params: as_text(params),
            api_key: self.setup.api_keys.first().cloned(),
            version: version.map(str::to_owned),
            ..ApiRequest::default()
        };
        self.request(&request, now)
    }

    /// Checks the API key.
    fn admit(&self, request: &ApiRequest) -> ApiResult<()> {
        let message = match request.api_key.as_deref() {
            Some(key) if self.opens(key) => return Ok(()),
            Some(key) if !key.is_empty() => format!("Invalid API Key provided: {}", masked(key)),
            _ => "You did not provide an API key. Send it as Authorization: Bearer YOUR_SECRET_KEY, or as the \
                  user name of HTTP Basic."
                .to_owned(),
        };
        Err(ApiError {
            status: 401,
            ..ApiError::invalid(message)
        })
    }

    fn opens(&self, key: &str) -> bool {
        use subtle::ConstantTimeEq;
        self.setup
            .api_keys
            .iter()
            .any(|known| known.as_bytes().ct_eq(key.as_bytes()).into())
    }

    /// Answers, or repeats the answer of the first request with the same idempotency key.
    fn answer_once(
        &mut self,
        request: &ApiRequest,
        request_id: &str,
        version: &str,
        now: i64,
    ) -> ApiResponse {
        let key = request
            .idempotency_key
            .as_deref()
            .filter(|_| request.method == "POST");
        let Some(key) = key else {
            return self.answer(request, request_id, version, now).0;
        };
        if key.is_empty() || key.chars().count() > 255 {
            let message = "An Idempotency-Key is 1 to 255 characters long.";
            return refusal(&ApiError::invalid(message), request_id);
        }
        let known = self.records.get(Collection::Idempotency, key);
        if let Some(known) = known {
            let same = known["fingerprint"] == self.fingerprint(&request.params);
            return repeated(known, request, same, request_id);
        }
        let (response, executed) = self.answer(request, request_id, version, now);
        if executed {
            let record = json!({
                "request": request_id,
                "path": request.path,
                "fingerprint": self.fingerprint(&request.params),
                "status": response.status,
                "body": response.body,
            });
            self.records.put(Collection::Idempotency, key, record);
            self.plan(now + KEPT, "forget_key", key);
        }
        response
    }

    /// A digest of parameters that does not depend on their order. It is keyed with the account's secret, because
    /// among the parameters may be a card number.
    fn fingerprint(&self, params: &Value) -> String {
        let secret = self.setup.api_keys.first().map_or("", String::as_str);
        let mut into = Sha256::new().chain_update(secret);
        if !params.is_null() {
            digest(params, &mut into);
        }
        hex::encode(into.finalize())
    }

    /// Answers, and says whether the operation began, so that its outcome has to be remembered.
    fn answer(
        &mut self,
        request: &ApiRequest,
        request_id: &str,
        version: &str,
        now: i64,
    ) -> (ApiResponse, bool) {
        let mark = self.records.mark();
        self.cause = Some(Cause {
            request_id: request_id.to_owned(),
            idempotency_key: request.idempotency_key.clone(),
        });
        let result = self.perform(request, version, now);
        self.cause = None;
        match result {
            Ok(body) => (
                ApiResponse {
                    status: 200,
                    headers: Vec::new(),
                    body,
                },
                true,
            ),
            Err(error) => {
                // A declined card is a fact that stays. Any other refusal leaves the world as it was.
                if error.kind != "card_error" {
                    self.records.rollback_to(mark);
                }
                let mut response = refusal(&error, request_id);
                version::render(&mut response.body, version);
                (response, error.executed)
            }
        }
    }

    fn perform(&mut self, request: &ApiRequest, version: &str, now: i64) -> ApiResult {
        let (route, ids) = route::find(&request.method, &request.path)?;
        let params = match &request.params {
            Value::Null => json!({}),
            params => params.clone(),
        };
        let call = Call {
            ids,
            params: route.shape.read(&params)?,
            path: request.path.clone(),
            version: version.to_owned(),
            now,
        };
        let mut answer = (route.act)(self, &call)?;
        expand(&self.records, &mut answer, &call.params)?;
        version::render(&mut answer, version);
        Ok(answer)
    }
}

/// Parameters as they come out of a form: text at the leaves.
fn as_text(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (name, as_text(value)))
            .collect(),
        Value::Array(items) => items.into_iter().map(as_text).collect(),
        Value::String(_) | Value::Null => value,
        Value::Bool(_) | Value::Number(_) => Value::String(value.to_string()),
    }
}

fn refusal(error: &ApiError, request_id: &str) -> ApiResponse {
    ApiResponse {
        status: error.status,
        headers: Vec::new(),
        body: error.body(request_id),
    }
}

/// The answer of the first request with the key, if this one is the same.
fn repeated(known: &Value, request: &ApiRequest, same: bool, request_id: &str) -> ApiResponse {
    let key = request.idempotency_key.as_deref().unwrap_or_default();
    let first_path = known["path"].as_str().unwrap_or_default();
    let message = if first_path != request.path {
        format!(
            "The idempotency key '{key}' was first used for {first_path} and now for {}. Use a new key for \
             another request.",
            request.path
        )
    } else if same {
        return ApiResponse {
            status: known["status"]
                .as_u64()
                .and_then(|status| u16::try_from(status).ok())
                .unwrap_or(500),
            headers: vec![
                ("Idempotent-Replayed", "true".to_owned()),
                (
                    "Original-Request",
                    known["request"].as_str().unwrap_or_default().to_owned(),
                ),
            ],
            body: known["body"].clone(),
        };
    } else {
        format!(
            "The idempotency key '{key}' was first used with other parameters. Use a new key for another request."
        )
    };
    let error = ApiError {
        kind: "idempotency_error",
        ..ApiError::invalid(message)
    };
    refusal(&error, request_id)
}

/// Feeds parameters into a digest in an order of their own.
fn digest(value: &Value, into: &mut Sha256) {
    match value {
        Value::Object(fields) => {
            let mut names: Vec<_> = fields.keys().collect();
            names.sort();
            into.update(b"{");
            for name in names {
                into.update(json!(name).to_string());
                digest(&fields[name], into);
            }
            into.update(b"}");
        }
        Value::Array(items) => {
            into.update(b"[");
            for item in items {
                digest(item, into);
                into.update(b",");
            }
            into.update(b"]");
        }
        leaf => into.update(leaf.to_string()),
    }
}

/// A key as Stripe shows a wrong one: enough to recognize it by.
fn masked(key: &str) -> String {
    let letters: Vec<char> = key.chars().collect();
    if letters.len() < 13 {
        return "*".repeat(letters.len());
    }
    let (head, tail) = (&letters[..8], &letters[letters.len() - 4..]);
    format!(
        "{}{}{}",
        head.iter().collect::<String>(),
        "*".repeat(8),
        tail.iter().collect::<String>()
    )
}
