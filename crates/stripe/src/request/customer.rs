//! Customers.

use super::{Request, path};
use crate::object::Metadata;
use serde_json::json;

/// `POST /v1/customers`. To the address Stripe sends receipts, where the account says so.
pub fn create_customer(
    metadata: &Metadata,
    email: Option<&str>,
    idempotency_key: impl Into<String>,
) -> Request {
    let params = json!({"metadata": metadata, "email": email});
    Request::post("/v1/customers", params, idempotency_key)
}

/// `GET /v1/customers/{id}`. A deleted one is still found, with `deleted` set.
pub fn retrieve_customer(id: &str) -> Request {
    Request::get(path("/v1/customers", id), json!({}))
}
