//! The HTTP skin: from bytes to a request of the API, and back.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, OriginalUri, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bursar_stripe::form;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::gate::key_in;
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
        .merge(crate::authenticate::routes())
        .merge(crate::control::routes())
        .merge(crate::bank::routes())
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
        api_key: text("authorization").as_deref().and_then(key_in),
        idempotency_key: text("idempotency-key"),
        version: text("stripe-version"),
    })
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

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use http::Request;
    use http::request::Builder;
    use tower::ServiceExt;

    use super::*;
    use crate::SandboxConfig;

    const KEY: &str = "sk_test_http";

    async fn ask(request: Builder, body: &'static str) -> (u16, HeaderMap, Value) {
        let sandbox = Sandbox::open(SandboxConfig::new("http://127.0.0.1:1", KEY)).unwrap();
        let request = request.body(Body::from(body)).unwrap();
        let (head, body) = sandbox
            .router()
            .oneshot(request)
            .await
            .unwrap()
            .into_parts();
        let body = to_bytes(body, LARGEST_BODY).await.unwrap();
        (
            head.status.as_u16(),
            head.headers,
            serde_json::from_slice(&body).unwrap(),
        )
    }

    fn post(path: &str) -> Builder {
        Request::post(path).header("authorization", format!("Bearer {KEY}"))
    }

    #[tokio::test]
    async fn a_key_comes_as_bearer_or_as_a_user_name() {
        let basic = format!("Basic {}", STANDARD.encode(format!("{KEY}:")));
        for credentials in [format!("Bearer {KEY}"), basic] {
            let request = Request::get("/v1/balance").header("authorization", credentials);
            let (status, headers, _) = ask(request, "").await;
            assert_eq!(status, 200);
            assert!(headers["request-id"].to_str().unwrap().starts_with("req_"));
            assert_eq!(headers["stripe-version"], crate::DEFAULT_VERSION);
        }
        assert_eq!(ask(Request::get("/v1/balance"), "").await.0, 401);
    }

    #[tokio::test]
    async fn parameters_come_from_the_query_and_from_a_form() {
        let form = "name=Ada+L&metadata[order]=1&preferred_locales[]=de";
        let (status, _, customer) = ask(post("/v1/customers?email=a%40example.com"), form).await;
        assert_eq!(status, 200, "{customer}");
        assert_eq!(
            (&customer["name"], &customer["email"]),
            (&json!("Ada L"), &json!("a@example.com"))
        );
        assert_eq!(customer["preferred_locales"], json!(["de"]));
        assert_eq!(customer["metadata"], json!({"order": "1"}));
    }

    #[tokio::test]
    async fn json_and_broken_forms_are_refused_in_stripes_words() {
        let as_json = post("/v1/customers").header("content-type", "application/json");
        let (status, _, body) = ask(as_json, r#"{"name":"Ada"}"#).await;
        assert_eq!(
            (status, &body["error"]["type"]),
            (400, &json!("invalid_request_error"))
        );
        assert_eq!(ask(post("/v1/customers"), "name=%ZZ").await.0, 400);
    }

    #[test]
    fn an_idempotency_key_answers_one_request_at_a_time() {
        let in_flight = InFlight::default();
        let first = Turn::take(&in_flight, Some("k".into()));
        assert!(first.is_some());
        assert!(Turn::take(&in_flight, Some("k".into())).is_none());
        assert!(Turn::take(&in_flight, Some("other".into())).is_some());
        assert!(Turn::take(&in_flight, None).is_some());
        drop(first);
        assert!(Turn::take(&in_flight, Some("k".into())).is_some());
    }
}
