//! What we ask of Stripe, from our own rows.

use bursar_domain::payment::Payment;
use bursar_stripe::object::Metadata;
use bursar_stripe::request::{self, CheckoutSessionParams, Request};

/// The metadata key that names our payment in Stripe's objects: a hint for finding it, never a proof.
pub(super) const PAYMENT_ID: &str = "payment_id";

/// Opens a checkout session. Everything in it comes from the stored payment, and its id is the idempotency key, so that
/// however often it is sent it is the same request and opens one session.
pub(crate) fn open_session(payment: &Payment) -> Request {
    let metadata = Metadata(
        [
            (PAYMENT_ID, payment.id.as_str()),
            ("topup_id", payment.topup.as_str()),
            ("user_id", payment.user.as_str()),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into(),
    );
    let params = CheckoutSessionParams {
        currency: payment.amount.unit.code().to_owned(),
        unit_amount: payment.amount.minor,
        quantity: 1,
        product_name: payment.item_name.clone(),
        success_url: payment.success_url.clone(),
        cancel_url: payment.cancel_url.clone(),
        client_reference_id: payment.topup.to_string(),
        payment_intent_metadata: metadata.clone(),
        metadata,
        customer: None,
        customer_email: None,
        expires_at: None,
    };
    request::create_checkout_session(&params, payment.id.as_str())
}

/// Reads a checkout session.
pub(crate) fn read_session(session: &str) -> Request {
    request::retrieve_checkout_session(session)
}

/// Closes a checkout session. A payment has one session, so its id makes the key.
pub(crate) fn close_session(payment: &Payment, session: &str) -> Request {
    request::expire_checkout_session(session, format!("{}-close", payment.id))
}
