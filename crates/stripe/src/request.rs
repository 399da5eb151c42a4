//! Calls to Stripe as plain values, so that a job can keep one and a test can look at it.

use crate::object::Metadata;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// How a call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads; the parameters are in the address.
    Get,
    /// Creates or changes; the parameters are in the body.
    Post,
    /// Deletes.
    Delete,
}

/// One call: what to send, and under which idempotency key.
///
/// It can be stored and read back. A call that changes something is stored before it is made, so
/// that it can be made again with the same key after a crash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// How it is made.
    pub method: Method,
    /// From `/v1/` on.
    pub path: String,
    /// A JSON object, sent as [`crate::form`] writes it.
    pub params: Value,
    /// 1 to 255 characters, unique for what the call is meant to do, fixed before the first try.
    /// Every POST has one.
    pub idempotency_key: Option<String>,
}

impl Request {
    /// A call that reads.
    pub fn get(path: impl Into<String>, params: Value) -> Self {
        Self {
            method: Method::Get,
            path: path.into(),
            params,
            idempotency_key: None,
        }
    }

    /// A call that creates or changes something, once for each `idempotency_key`.
    pub fn post(
        path: impl Into<String>,
        params: Value,
        idempotency_key: impl Into<String>,
    ) -> Self {
        let idempotency_key = Some(idempotency_key.into());
        Self {
            method: Method::Post,
            path: path.into(),
            params,
            idempotency_key,
        }
    }
}

/// What a checkout session for one payment is created with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckoutSessionParams {
    /// Three letters in lower case.
    pub currency: String,
    /// Price of one, in minor units of `currency`.
    pub unit_amount: i64,
    /// How many.
    pub quantity: u32,
    /// What the customer reads on the page.
    pub product_name: String,
    /// Where the customer goes after paying. `{CHECKOUT_SESSION_ID}` in it becomes the session's id.
    pub success_url: String,
    /// Where the customer goes to leave without paying.
    pub cancel_url: String,
    /// Our own id of the purchase; comes back with every event of the session. At most 200
    /// characters.
    pub client_reference_id: String,
    /// Comes back with every event of the session. At most 50 keys.
    pub metadata: Metadata,
    /// Comes back with every event of the payment behind the session.
    pub payment_intent_metadata: Metadata,
    /// An existing customer.
    pub customer: Option<String>,
    /// Fills in the e-mail field. Not together with `customer`.
    pub customer_email: Option<String>,
    /// Unix seconds, 30 minutes to 24 hours from now; 24 hours without it.
    pub expires_at: Option<i64>,
}

/// `POST /v1/checkout/sessions`, in payment mode with one item whose price is given here.
pub fn create_checkout_session(
    params: &CheckoutSessionParams,
    idempotency_key: impl Into<String>,
) -> Request {
    let params = json!({
        "mode": "payment",
        "line_items": [{
            "price_data": {
                "currency": params.currency,
                "unit_amount": params.unit_amount,
                "product_data": {"name": params.product_name},
            },
            "quantity": params.quantity,
        }],
        "success_url": params.success_url,
        "cancel_url": params.cancel_url,
        "client_reference_id": params.client_reference_id,
        "metadata": params.metadata,
        "payment_intent_data": {"metadata": params.payment_intent_metadata},
        "customer": params.customer,
        "customer_email": params.customer_email,
        "expires_at": params.expires_at,
    });
    Request::post("/v1/checkout/sessions", params, idempotency_key)
}

/// `GET /v1/checkout/sessions/{id}` with its payment intent expanded.
pub fn retrieve_checkout_session(id: &str) -> Request {
    Request::get(
        path("/v1/checkout/sessions", id),
        json!({"expand": ["payment_intent"]}),
    )
}

/// `POST /v1/checkout/sessions/{id}/expire`: the page takes no payment from then on.
pub fn expire_checkout_session(id: &str, idempotency_key: impl Into<String>) -> Request {
    let path = format!("{}/expire", path("/v1/checkout/sessions", id));
    Request::post(path, json!({}), idempotency_key)
}

/// `GET /v1/payment_intents/{id}` with its newest charge expanded.
pub fn retrieve_payment_intent(id: &str) -> Request {
    Request::get(
        path("/v1/payment_intents", id),
        json!({"expand": ["latest_charge"]}),
    )
}

/// Which events to list, newest first. Stripe keeps them for 30 days.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListEvents {
    /// At most 20 types; empty for all.
    pub types: Vec<String>,
    /// Unix seconds, this one included.
    pub created_from: Option<i64>,
    /// Unix seconds, this one included.
    pub created_to: Option<i64>,
    /// Only those that all endpoints took (`true`) or some did not take (`false`).
    pub delivery_success: Option<bool>,
    /// 1 to 100; 10 without it.
    pub limit: Option<u8>,
    /// The id of the last event of the page before.
    pub starting_after: Option<String>,
    /// The id of the first event of the page behind.
    pub ending_before: Option<String>,
}

/// `GET /v1/events`.
pub fn list_events(list: &ListEvents) -> Request {
    let params = json!({
        "types": list.types,
        "created": {"gte": list.created_from, "lte": list.created_to},
        "delivery_success": list.delivery_success,
        "limit": list.limit,
        "starting_after": list.starting_after,
        "ending_before": list.ending_before,
    });
    Request::get("/v1/events", params)
}

/// `GET /v1/events/{id}`.
pub fn retrieve_event(id: &str) -> Request {
    Request::get(path("/v1/events", id), json!({}))
}

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

/// `GET /v1/account`: whose key this is.
pub fn retrieve_account() -> Request {
    Request::get("/v1/account", json!({}))
}

/// `GET /v1/balance`: the cheapest proof that a key works.
pub fn retrieve_balance() -> Request {
    Request::get("/v1/balance", json!({}))
}

/// The path of one object. An id cannot leave its place in the path.
fn path(collection: &str, id: &str) -> String {
    const UNSAFE: &percent_encoding::AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-');
    format!("{collection}/{}", utf8_percent_encode(id, UNSAFE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form;

    fn metadata(entries: &[(&str, &str)]) -> Metadata {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Metadata(entries.iter().map(owned).collect())
    }

    fn params() -> CheckoutSessionParams {
        CheckoutSessionParams {
            currency: "usd".to_owned(),
            unit_amount: 500,
            quantity: 1,
            product_name: "500 credits".to_owned(),
            success_url: "https://shop.example/ok?s={CHECKOUT_SESSION_ID}".to_owned(),
            cancel_url: "https://shop.example/no".to_owned(),
            client_reference_id: "top_1".to_owned(),
            metadata: metadata(&[("topup", "top_1")]),
            payment_intent_metadata: metadata(&[("topup", "top_1")]),
            customer: None,
            customer_email: None,
            expires_at: Some(1_795_203_600),
        }
    }

    #[test]
    fn a_checkout_session_as_it_goes_out() {
        let request = create_checkout_session(&params(), "pay_1");
        assert_eq!(
            (request.method, request.path.as_str()),
            (Method::Post, "/v1/checkout/sessions")
        );
        assert_eq!(request.idempotency_key.as_deref(), Some("pay_1"));
        assert_eq!(
            form::encode(&request.params),
            "mode=payment&line_items[0][price_data][currency]=usd\
             &line_items[0][price_data][unit_amount]=500\
             &line_items[0][price_data][product_data][name]=500%20credits\
             &line_items[0][quantity]=1\
             &success_url=https%3A%2F%2Fshop.example%2Fok%3Fs%3D%7BCHECKOUT_SESSION_ID%7D\
             &cancel_url=https%3A%2F%2Fshop.example%2Fno&client_reference_id=top_1\
             &metadata[topup]=top_1&payment_intent_data[metadata][topup]=top_1\
             &expires_at=1795203600"
        );
    }

    #[test]
    fn a_stored_request_comes_back_the_same() {
        let request = create_checkout_session(&params(), "pay_1");
        let stored = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<Request>(&stored).unwrap(), request);
        assert!(
            stored.starts_with(r#"{"method":"POST","path":"/v1/checkout/sessions""#),
            "{stored}"
        );
    }

    #[test]
    fn an_id_stays_in_its_place() {
        assert_eq!(
            retrieve_payment_intent("pi_1").path,
            "/v1/payment_intents/pi_1"
        );
        assert_eq!(
            retrieve_event("../charges?x").path,
            "/v1/events/%2E%2E%2Fcharges%3Fx"
        );
        assert_eq!(
            expire_checkout_session("cs_test_1", "k").path,
            "/v1/checkout/sessions/cs_test_1/expire"
        );
    }

    #[test]
    fn lists_and_endpoints_send_only_what_is_set() {
        let list = ListEvents {
            types: vec![
                "checkout.session.completed".to_owned(),
                "charge.refunded".to_owned(),
            ],
            created_from: Some(1_795_200_000),
            delivery_success: Some(false),
            limit: Some(100),
            ..ListEvents::default()
        };
        assert_eq!(
            form::encode(&list_events(&list).params),
            "types[0]=checkout.session.completed&types[1]=charge.refunded\
             &created[gte]=1795200000&delivery_success=false&limit=100"
        );
        assert_eq!(
            form::encode(&list_events(&ListEvents::default()).params),
            ""
        );
        let endpoint = WebhookEndpointParams {
            url: Some("https://shop.example/hook".to_owned()),
            enabled_events: vec!["*".to_owned()],
            api_version: Some(crate::VERSION.to_owned()),
            disabled: Some(false),
            ..WebhookEndpointParams::default()
        };
        assert_eq!(
            form::encode(&create_webhook_endpoint(&endpoint, "k").params),
            "url=https%3A%2F%2Fshop.example%2Fhook&enabled_events[0]=%2A\
             &api_version=2026-10-28.endive"
        );
        assert_eq!(
            form::encode(&update_webhook_endpoint("we_1", &endpoint, "k").params),
            "url=https%3A%2F%2Fshop.example%2Fhook&enabled_events[0]=%2A&disabled=false"
        );
    }
}
