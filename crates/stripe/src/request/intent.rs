//! Payment intents and setup intents.

use super::{Request, Window, path};
use crate::object::Metadata;
use serde_json::{Value, json};

/// What a payment without Stripe's page is created with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PaymentIntentParams {
    /// In minor units of `currency`.
    pub amount: i64,
    /// Three letters in lower case.
    pub currency: String,
    /// An existing customer. Needed with `off_session`.
    pub customer: Option<String>,
    /// Comes back with every event of the payment. At most 50 keys.
    pub metadata: Metadata,
    /// What people read in Stripe's dashboard.
    pub description: Option<String>,
    /// Keeps the card for payments without the customer. Not sent with `off_session`: Stripe
    /// refuses the two together, and that card is kept already.
    pub setup_future_usage: bool,
    /// Takes the money at once from this saved payment method, without the customer. Without it
    /// the payment waits for a browser to confirm it with its client secret.
    pub off_session: Option<String>,
}

/// `POST /v1/payment_intents`.
///
/// With `off_session` a card that is declined, or whose bank wants to see the customer, is a
/// refusal; it names the payment that was created all the same.
pub fn create_payment_intent(
    params: &PaymentIntentParams,
    idempotency_key: impl Into<String>,
) -> Request {
    let mut form = json!({
        "amount": params.amount,
        "currency": params.currency,
        "customer": params.customer,
        "metadata": params.metadata,
        "description": params.description,
    });
    if let Some(method) = &params.off_session {
        form["payment_method"] = json!(method);
        form["off_session"] = json!(true);
        form["confirm"] = json!(true);
    } else {
        form["automatic_payment_methods"] = json!({"enabled": true});
        form["setup_future_usage"] = off_session(params.setup_future_usage);
    }
    Request::post("/v1/payment_intents", form, idempotency_key)
}

/// The value of `setup_future_usage`.
pub(super) fn off_session(wanted: bool) -> Value {
    json!(wanted.then_some("off_session"))
}

/// `GET /v1/payment_intents/{id}` with its newest charge expanded.
pub fn retrieve_payment_intent(id: &str) -> Request {
    Request::get(
        path("/v1/payment_intents", id),
        json!({"expand": ["latest_charge"]}),
    )
}

/// `POST /v1/payment_intents/{id}/cancel`: it takes no payment from then on.
pub fn cancel_payment_intent(id: &str, idempotency_key: impl Into<String>) -> Request {
    let path = format!("{}/cancel", path("/v1/payment_intents", id));
    Request::post(path, json!({}), idempotency_key)
}

/// `GET /v1/payment_intents`, newest first, with the newest charge of each expanded if
/// `expand_charge`.
pub fn list_payment_intents(window: &Window, expand_charge: bool) -> Request {
    let expand = expand_charge.then_some(["data.latest_charge"]);
    let params = window.narrow(json!({"expand": expand}));
    Request::get("/v1/payment_intents", params)
}

/// `POST /v1/setup_intents`: saves a card for payments without the customer.
pub fn create_setup_intent(
    customer: &str,
    metadata: &Metadata,
    idempotency_key: impl Into<String>,
) -> Request {
    let params = json!({
        "customer": customer,
        "usage": "off_session",
        "metadata": metadata,
    });
    Request::post("/v1/setup_intents", params, idempotency_key)
}

/// `GET /v1/setup_intents/{id}` with its payment method expanded.
pub fn retrieve_setup_intent(id: &str) -> Request {
    Request::get(
        path("/v1/setup_intents", id),
        json!({"expand": ["payment_method"]}),
    )
}
