//! Saved payment methods.

use super::{Request, path};
use serde_json::json;

/// `GET /v1/payment_methods`: the saved cards of a customer, a hundred at most.
pub fn list_payment_methods(customer: &str) -> Request {
    let params = json!({"customer": customer, "type": "card", "limit": 100});
    Request::get("/v1/payment_methods", params)
}

/// `GET /v1/payment_methods/{id}`.
pub fn retrieve_payment_method(id: &str) -> Request {
    Request::get(path("/v1/payment_methods", id), json!({}))
}

/// `POST /v1/payment_methods/{id}/detach`: the customer cannot pay with it any more. This cannot be
/// taken back.
pub fn detach_payment_method(id: &str, idempotency_key: impl Into<String>) -> Request {
    let path = format!("{}/detach", path("/v1/payment_methods", id));
    Request::post(path, json!({}), idempotency_key)
}
