//! Charges and their refunds.

use super::{Request, Window, path};
use crate::object::Metadata;
use serde_json::json;

/// `GET /v1/charges`, newest first; those of one payment, or all.
pub fn list_charges(payment_intent: Option<&str>, window: &Window) -> Request {
    let filter = json!({"payment_intent": payment_intent});
    Request::get("/v1/charges", window.narrow(filter))
}

/// `POST /v1/refunds`: gives back `amount` (minor units of the payment's currency), or all that is
/// left.
///
/// `reason` is `duplicate`, `fraudulent` or `requested_by_customer`. With `fraudulent` Stripe also
/// blocks the card.
pub fn create_refund(
    payment_intent: &str,
    amount: Option<i64>,
    reason: Option<&str>,
    metadata: &Metadata,
    idempotency_key: impl Into<String>,
) -> Request {
    let params = json!({
        "payment_intent": payment_intent,
        "amount": amount,
        "reason": reason,
        "metadata": metadata,
    });
    Request::post("/v1/refunds", params, idempotency_key)
}

/// `GET /v1/refunds/{id}`.
pub fn retrieve_refund(id: &str) -> Request {
    Request::get(path("/v1/refunds", id), json!({}))
}

/// `GET /v1/refunds`, newest first; those of one payment, or all.
pub fn list_refunds(payment_intent: Option<&str>, window: &Window) -> Request {
    let filter = json!({"payment_intent": payment_intent});
    Request::get("/v1/refunds", window.narrow(filter))
}
