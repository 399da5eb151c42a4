//! Disputes and the warnings before them.

use super::{Request, Window, path};
use serde_json::json;

/// `GET /v1/disputes/{id}`.
pub fn retrieve_dispute(id: &str) -> Request {
    Request::get(path("/v1/disputes", id), json!({}))
}

/// `GET /v1/disputes`, newest first; those of one payment, or all.
pub fn list_disputes(payment_intent: Option<&str>, window: &Window) -> Request {
    let filter = json!({"payment_intent": payment_intent});
    Request::get("/v1/disputes", window.narrow(filter))
}

/// `GET /v1/radar/early_fraud_warnings`, newest first; those of one payment, or all.
pub fn list_early_fraud_warnings(payment_intent: Option<&str>, window: &Window) -> Request {
    let filter = json!({"payment_intent": payment_intent});
    Request::get("/v1/radar/early_fraud_warnings", window.narrow(filter))
}
