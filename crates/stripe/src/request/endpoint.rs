//! Webhook endpoints.

use super::{Request, path};
use crate::object::Metadata;
use serde_json::{Map, Value, json};

/// What a webhook endpoint is created or changed with. What is `None` or empty stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebhookEndpointParams {
    /// The address to deliver to.
    pub url: Option<String>,
    /// The types to deliver.
    pub enabled_events: Vec<String>,
    /// The version to write events in. Fixed once the endpoint exists: not sent in a change.
    pub api_version: Option<String>,
    /// What people read in Stripe's dashboard.
    pub description: Option<String>,
    /// Our own keys and values.
    pub metadata: Metadata,
    /// Switches delivery off (`true`) or on. Not sent when creating.
    pub disabled: Option<bool>,
}

impl WebhookEndpointParams {
    fn common(&self) -> Map<String, Value> {
        let Value::Object(params) = json!({
            "url": self.url,
            "enabled_events": self.enabled_events,
            "description": self.description,
            "metadata": self.metadata,
        }) else {
            return Map::new();
        };
        params
    }
}

/// `POST /v1/webhook_endpoints`. The answer carries the signing secret, this once.
pub fn create_webhook_endpoint(
    params: &WebhookEndpointParams,
    idempotency_key: impl Into<String>,
) -> Request {
    let api_version = json!(params.api_version);
    let mut params = params.common();
    params.insert("api_version".to_owned(), api_version);
    Request::post(
        "/v1/webhook_endpoints",
        Value::Object(params),
        idempotency_key,
    )
}

/// `GET /v1/webhook_endpoints`, a hundred at most.
pub fn list_webhook_endpoints() -> Request {
    Request::get("/v1/webhook_endpoints", json!({"limit": 100}))
}

/// `POST /v1/webhook_endpoints/{id}`.
pub fn update_webhook_endpoint(
    id: &str,
    params: &WebhookEndpointParams,
    idempotency_key: impl Into<String>,
) -> Request {
    let disabled = json!(params.disabled);
    let mut params = params.common();
    params.insert("disabled".to_owned(), disabled);
    Request::post(
        path("/v1/webhook_endpoints", id),
        Value::Object(params),
        idempotency_key,
    )
}
