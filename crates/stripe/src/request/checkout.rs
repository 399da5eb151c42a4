//! Checkout sessions.

use super::intent::off_session;
use super::{Request, Window, path};
use crate::object::Metadata;
use serde_json::json;

/// What a checkout session for one payment is created with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
    /// Keeps the card for payments without the customer. Wants a `customer` to keep it for.
    pub setup_future_usage: bool,
    /// The id of a coupon taken off the price.
    pub discount_coupon: Option<String>,
}

/// `POST /v1/checkout/sessions`, in payment mode with one item whose price is given here.
pub fn create_checkout_session(
    params: &CheckoutSessionParams,
    idempotency_key: impl Into<String>,
) -> Request {
    let discounts = params
        .discount_coupon
        .as_ref()
        .map(|coupon| json!([{"coupon": coupon}]));
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
        "payment_intent_data": {
            "metadata": params.payment_intent_metadata,
            "setup_future_usage": off_session(params.setup_future_usage),
        },
        "discounts": discounts,
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

/// `GET /v1/checkout/sessions`, newest first; of one payment, or of all.
pub fn list_checkout_sessions(payment_intent: Option<&str>, window: &Window) -> Request {
    let filter = json!({"payment_intent": payment_intent});
    Request::get("/v1/checkout/sessions", window.narrow(filter))
}
