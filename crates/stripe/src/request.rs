//! Calls to Stripe as plain values, so that a job can keep one and a test can look at it.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

mod account;
mod charge;
mod checkout;
mod coupon;
mod customer;
mod dispute;
mod endpoint;
mod event;
mod intent;
mod payment_method;
mod window;

pub use account::{list_balance_transactions, retrieve_account, retrieve_balance};
pub use charge::{create_refund, list_charges, list_refunds, retrieve_refund};
pub use checkout::{
    CheckoutSessionParams, create_checkout_session, expire_checkout_session,
    list_checkout_sessions, retrieve_checkout_session,
};
pub use coupon::create_coupon;
pub use customer::{create_customer, retrieve_customer};
pub use dispute::{list_disputes, list_early_fraud_warnings, retrieve_dispute};
pub use endpoint::{
    WebhookEndpointParams, create_webhook_endpoint, list_webhook_endpoints, update_webhook_endpoint,
};
pub use event::{ListEvents, list_events, retrieve_event};
pub use intent::{
    PaymentIntentParams, cancel_payment_intent, create_payment_intent, create_setup_intent,
    list_payment_intents, retrieve_payment_intent, retrieve_setup_intent,
};
pub use payment_method::{detach_payment_method, list_payment_methods, retrieve_payment_method};
pub use window::{Pages, Window};

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

/// The path of one object. An id cannot leave its place in the path.
fn path(collection: &str, id: &str) -> String {
    const UNSAFE: &percent_encoding::AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-');
    format!("{collection}/{}", utf8_percent_encode(id, UNSAFE))
}

#[cfg(test)]
mod tests;
