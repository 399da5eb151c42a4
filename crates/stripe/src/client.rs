//! The client: the only file that opens a connection.
//!
//! It sends one request and reports one outcome. It never repeats a call by itself, follows no
//! redirect and uses no proxy from the environment: whether a call may be made again is a
//! decision about money, and it belongs to the caller, who has [`Error::retry`] to go by. Before it
//! sends, it waits until its budget of calls allows it; all its clones share one budget.

use crate::error::{Error, pause, without_values};
use crate::form;
use crate::request::{Method, Request};
use crate::secret_key::Mode;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::error::Error as _;
use std::sync::Arc;

mod budget;
mod config;
mod gate;

use budget::{Budget, Priority};
use gate::Gate;

pub use config::{BASE_URL, ClientConfig, ClientError};

/// The largest answer that is read. A page of a hundred large objects stays below it.
pub const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;
/// Stripe's bound on an idempotency key.
const MAX_KEY_CHARS: usize = 255;
const USER_AGENT: &str = concat!("bursar/", env!("CARGO_PKG_VERSION"));
const FORM: &str = "application/x-www-form-urlencoded";
const STRIPE_VERSION: HeaderName = HeaderName::from_static("stripe-version");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A successful answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// The JSON.
    pub body: Value,
    /// `Request-Id`.
    pub request_id: Option<String>,
    /// HTTP status, 200 to 299.
    pub status: u16,
    /// Whether this is the stored answer to an earlier call with the same key.
    pub idempotent_replayed: bool,
}

/// A connection pool to Stripe, or to something that behaves like it. Cheap to clone; clones share
/// the connections and the budget.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    mode: Mode,
    gate: Arc<Gate>,
    priority: Priority,
}

impl Client {
    /// Checks the configuration and prepares TLS. Opens no connection yet.
    pub fn new(config: &ClientConfig) -> Result<Self, ClientError> {
        let base = config.base()?;
        let builder = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .default_headers(headers(config)?)
            .connect_timeout(config.connect_timeout)
            .timeout(config.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy();
        let http = with_tls(builder, &base)?
            .build()
            .map_err(|error| ClientError::Tls {
                reason: causes(&error),
            })?;
        Ok(Self {
            http,
            base,
            mode: config.secret_key.mode(),
            gate: Arc::new(Gate::new(Budget::new(
                config.calls_per_second,
                config.burst,
            ))),
            priority: Priority::Ordinary,
        })
    }

    /// A clone for work that nobody waits for. It uses a quarter of the budget at most, so that
    /// looking back at a year of payments does not hold up a customer.
    pub fn background(&self) -> Self {
        Self {
            priority: Priority::Background,
            ..self.clone()
        }
    }

    /// Whether the key moves real money.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Where it sends to, without `/v1`.
    pub fn base_url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Sends a request once and reads the answer as one of the types in [`crate::object`].
    pub async fn call<T: DeserializeOwned>(&self, request: &Request) -> Result<T, Error> {
        let Response {
            body, request_id, ..
        } = self.send(request).await?;
        serde_json::from_value(body).map_err(|error| Error::Garbled {
            reason: without_values(&error),
            request_id,
        })
    }

    /// Sends a request once, as soon as the budget allows it. The time spent waiting for that does not
    /// count towards the timeout of the call.
    pub async fn send(&self, request: &Request) -> Result<Response, Error> {
        let outgoing = self.prepare(request)?;
        self.gate.pass(self.priority).await;
        let answer = match self.http.execute(outgoing).await {
            Ok(answer) => self.read(answer).await,
            Err(error) => Err(lost(&error)),
        };
        match &answer {
            Ok(response) => tracing::debug!(
                method = ?request.method,
                path = request.path,
                status = response.status,
                request_id = response.request_id,
                replayed = response.idempotent_replayed,
                "stripe answered"
            ),
            Err(error) => tracing::debug!(
                method = ?request.method,
                path = request.path,
                code = error.code(),
                "stripe call failed"
            ),
        }
        answer
    }

    fn prepare(&self, request: &Request) -> Result<reqwest::Request, Error> {
        check(request)?;
        let mut url = self.base.clone();
        url.set_path(&format!(
            "{}{}",
            self.base.path().trim_end_matches('/'),
            request.path
        ));
        let params = form::encode(&request.params);
        let mut outgoing = match request.method {
            Method::Post => {
                let mut outgoing = reqwest::Request::new(reqwest::Method::POST, url);
                outgoing
                    .headers_mut()
                    .insert(CONTENT_TYPE, HeaderValue::from_static(FORM));
                *outgoing.body_mut() = Some(params.into());
                outgoing
            }
            reading => {
                url.set_query((!params.is_empty()).then_some(params.as_str()));
                let method = match reading {
                    Method::Delete => reqwest::Method::DELETE,
                    Method::Get | Method::Post => reqwest::Method::GET,
                };
                reqwest::Request::new(method, url)
            }
        };
        if let Some(key) = &request.idempotency_key {
            let value = HeaderValue::from_str(key)
                .map_err(|_| unsendable("the idempotency key holds characters a header cannot"))?;
            outgoing.headers_mut().insert(IDEMPOTENCY_KEY, value);
        }
        Ok(outgoing)
    }

    async fn read(&self, mut answer: reqwest::Response) -> Result<Response, Error> {
        let status = answer.status();
        let header = |name: &str| answer.headers().get(name)?.to_str().ok();
        let request_id = header("request-id").map(str::to_owned);
        let after = pause(header("retry-after"));
        let idempotent_replayed = header("idempotent-replayed") == Some("true");
        let body = body(&mut answer).await;
        if !status.is_success() {
            // The status alone decides; the body only explains.
            let explanation = body.unwrap_or_default();
            return Err(Error::from_answer(
                status.as_u16(),
                request_id,
                after,
                &explanation,
            ));
        }
        let garbled = |reason: String| Error::Garbled {
            reason,
            request_id: request_id.clone(),
        };
        let bytes = match body {
            Ok(bytes) => bytes,
            Err(Unread::TooLarge) => {
                return Err(garbled(format!(
                    "it is larger than {MAX_ANSWER_BYTES} bytes"
                )));
            }
            Err(Unread::Lost(reason)) => {
                let status = Some(status.as_u16());
                return Err(Error::Unknown {
                    reason,
                    status,
                    request_id,
                    after,
                });
            }
        };
        let body =
            serde_json::from_slice(&bytes).map_err(|error| garbled(without_values(&error)))?;
        Ok(Response {
            body,
            request_id,
            status: status.as_u16(),
            idempotent_replayed,
        })
    }
}

/// Why a body was not read to its end.
enum Unread {
    TooLarge,
    Lost(String),
}

async fn body(answer: &mut reqwest::Response) -> Result<Vec<u8>, Unread> {
    let announced = answer.content_length().unwrap_or(0);
    if announced > MAX_ANSWER_BYTES as u64 {
        return Err(Unread::TooLarge);
    }
    let mut bytes = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if bytes.len() + chunk.len() > MAX_ANSWER_BYTES => {
                return Err(Unread::TooLarge);
            }
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => return Ok(bytes),
            Err(error) => return Err(Unread::Lost(causes(&error))),
        }
    }
}

/// Sorts a failure before any answer: was the request sent?
fn lost(error: &reqwest::Error) -> Error {
    let reason = causes(error);
    if error.is_builder() {
        Error::Unsendable { reason }
    } else if error.is_connect() {
        Error::Unreachable { reason }
    } else {
        Error::Unknown {
            reason,
            status: None,
            request_id: None,
            after: None,
        }
    }
}

/// An error with its causes, without the address, which holds the parameters of a GET.
fn causes(error: &reqwest::Error) -> String {
    let kind = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else if error.is_builder() {
        "not prepared"
    } else {
        "the connection was lost"
    };
    let mut text = kind.to_owned();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

fn unsendable(reason: &str) -> Error {
    Error::Unsendable {
        reason: reason.to_owned(),
    }
}

/// Refuses what would reach another place than meant, or could not be repeated safely.
fn check(request: &Request) -> Result<(), Error> {
    let inside = request.path.strip_prefix("/v1/");
    let plain = |segment: &str| {
        !segment.is_empty()
            && !segment.contains(['?', '#', '\\'])
            && segment.chars().any(|c| c != '.')
    };
    if !inside.is_some_and(|path| path.split('/').all(plain)) {
        return Err(unsendable(
            "the path is not one of Stripe's: an id in it may be empty",
        ));
    }
    if !request.params.is_object() && !request.params.is_null() {
        return Err(unsendable("the parameters are not a JSON object"));
    }
    let length = request
        .idempotency_key
        .as_ref()
        .map(|key| key.chars().count());
    match (request.method, length) {
        (Method::Post, None) => Err(unsendable("a POST needs an idempotency key")),
        (_, Some(length)) if length == 0 || length > MAX_KEY_CHARS => {
            Err(unsendable("an idempotency key has 1 to 255 characters"))
        }
        _ => Ok(()),
    }
}

/// The headers every request carries.
fn headers(config: &ClientConfig) -> Result<HeaderMap, ClientError> {
    let mut headers = HeaderMap::new();
    let version = HeaderValue::from_str(&config.version).map_err(|_| ClientError::BadVersion)?;
    headers.insert(STRIPE_VERSION, version);
    let bearer = format!("Bearer {}", config.secret_key.expose());
    let mut bearer = HeaderValue::from_str(&bearer).map_err(|_| ClientError::BadVersion)?;
    bearer.set_sensitive(true);
    headers.insert(AUTHORIZATION, bearer);
    Ok(headers)
}

/// Picks the roots of trust: the machine's own for https, none where TLS is never spoken, so that
/// a machine without root certificates can still use a sandbox.
fn with_tls(
    builder: reqwest::ClientBuilder,
    base: &Url,
) -> Result<reqwest::ClientBuilder, ClientError> {
    let provider = rustls::crypto::ring::default_provider();
    if base.scheme() == "https" {
        // Someone else may have installed one already, and theirs is as good.
        let _ = provider.install_default();
        return Ok(builder.https_only(true));
    }
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError::Tls {
            reason: error.to_string(),
        })?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Ok(builder.tls_backend_preconfigured(config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret_key::SecretKey;
    use serde_json::json;

    fn made(base_url: &str, key: &str) -> Result<Client, ClientError> {
        let config = ClientConfig::new(SecretKey::new(key).unwrap());
        Client::new(&ClientConfig {
            base_url: base_url.to_owned(),
            ..config
        })
    }

    #[test]
    fn a_path_is_put_behind_the_base() {
        let client = made("http://127.0.0.1:1/stripe/v1/", "sk_test_1").unwrap();
        let params = json!({"expand": ["a"], "b": {"c": "d e"}});
        let request = client
            .prepare(&Request::get("/v1/events/evt%2F1", params))
            .unwrap();
        let url = request.url().as_str();
        assert_eq!(
            url,
            "http://127.0.0.1:1/stripe/v1/events/evt%2F1?expand[0]=a&b[c]=d%20e"
        );
    }

    #[test]
    fn nothing_of_the_client_shows_the_key() {
        let config = ClientConfig::new(SecretKey::new("sk_test_canary").unwrap());
        let config = ClientConfig {
            base_url: "http://127.0.0.1:1".to_owned(),
            ..config
        };
        let client = Client::new(&config).unwrap();
        let shown = format!("{config:?} {client:?}");
        assert!(!shown.contains("canary"), "{shown}");
    }

    #[test]
    fn a_request_that_cannot_be_repeated_is_not_sent() {
        let client = made("http://127.0.0.1:1", "sk_test_1").unwrap();
        let mut keyless = Request::post("/v1/refunds", json!({}), "k");
        keyless.idempotency_key = None;
        for request in [
            keyless,
            Request::post("/v1/refunds", json!({}), ""),
            Request::post("/v1/refunds", json!({}), "k".repeat(256)),
            Request::post("/v1/refunds", json!({}), "k\r\nX: y"),
            Request::post("/v1/refunds", json!(["a"]), "k"),
            Request::get("/v1/refunds/", json!({})),
            Request::get("/v1/refunds/../charges", json!({})),
            Request::get("/v1/refunds?limit=1", json!({})),
            Request::get("/v2/core/events", json!({})),
            Request::get("refunds", json!({})),
        ] {
            let error = client.prepare(&request).unwrap_err();
            assert_eq!(error.code(), "stripe_request_unsendable", "{request:?}");
        }
    }
}
