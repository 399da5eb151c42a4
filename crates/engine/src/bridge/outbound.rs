//! What we ask of Stripe, from our own rows.

use bursar_domain::customer::{Customer, CustomerKey};
use bursar_domain::payment::Payment;
use bursar_domain::refund::Refund;
use bursar_stripe::object::{Metadata, PaymentIntent};
use bursar_stripe::request::{self, CheckoutSessionParams, PaymentIntentParams, Request, Window};

/// The metadata key that names our payment in Stripe's objects: a hint for finding it, never a proof.
pub(super) const PAYMENT_ID: &str = "payment_id";

/// Opens a checkout session. Everything in it comes from the stored payment, and its id is the idempotency key, so that
/// however often it is sent it is the same request and opens one session.
///
/// `carried` is our own row, stamped ([`super::stamp`]). With a discount the page shows the full price and, as a coupon for this one
/// payment, what is taken off: the total is ours to the last step, whatever the provider's rules of rounding are.
pub(crate) fn open_session(
    payment: &Payment,
    customer: Option<&Customer>,
    discount: i64,
    carried: Metadata,
) -> Request {
    let metadata = metadata(payment, carried);
    let params = CheckoutSessionParams {
        currency: payment.amount.unit.code().to_owned(),
        unit_amount: payment.amount.minor.saturating_add(discount),
        quantity: 1,
        product_name: payment.item_name.clone(),
        success_url: payment.success_url.clone(),
        cancel_url: payment.cancel_url.clone(),
        client_reference_id: payment.topup.to_string(),
        payment_intent_metadata: metadata.clone(),
        metadata,
        customer: customer.map(|customer| customer.id.clone()),
        setup_future_usage: payment.save_card,
        discount_coupon: (discount > 0).then(|| coupon_id(payment)),
        ..CheckoutSessionParams::default()
    };
    request::create_checkout_session(&params, payment.id.as_str())
}

fn metadata(payment: &Payment, carried: Metadata) -> Metadata {
    let mut metadata = Metadata(
        [
            (PAYMENT_ID, payment.id.as_str()),
            ("topup_id", payment.topup.as_str()),
            ("user_id", payment.user.as_str()),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into(),
    );
    metadata.0.extend(carried.0);
    metadata
}

/// Opens a payment intent, or charges the saved card of the payment. As with a session, all of it comes from stored rows.
pub(crate) fn open_intent(
    payment: &Payment,
    customer: Option<&Customer>,
    carried: Metadata,
) -> Request {
    let params = PaymentIntentParams {
        amount: payment.amount.minor,
        currency: payment.amount.unit.code().to_owned(),
        customer: customer.map(|customer| customer.id.clone()),
        metadata: metadata(payment, carried),
        description: Some(payment.item_name.clone()),
        setup_future_usage: payment.save_card,
        off_session: payment.card.clone(),
    };
    request::create_payment_intent(&params, payment.id.as_str())
}

/// The saved cards of a customer.
pub(crate) fn list_cards(customer: &Customer) -> Request {
    request::list_payment_methods(&customer.id)
}

/// Begins to save a card. The key is the caller's, so that what he repeats is one setup.
pub(crate) fn set_up_card(customer: &Customer, key: &str) -> Request {
    let user = ("user_id".to_owned(), customer.key.user.to_string());
    request::create_setup_intent(&customer.id, &Metadata([user].into()), key)
}

/// Takes a saved card away from its customer. That happens once, so the card makes the key.
pub(crate) fn detach_card(card: &str) -> Request {
    request::detach_payment_method(card, format!("{card}-detach"))
}

/// Whether an intent at Stripe was made for this payment, as its metadata says it.
pub(crate) fn is_intent_of(intent: &PaymentIntent, payment: &Payment) -> bool {
    intent.metadata.get(PAYMENT_ID) == Some(payment.id.as_str())
}

/// Reads a payment intent.
pub(crate) fn read_intent(intent: &str) -> Request {
    request::retrieve_payment_intent(intent)
}

/// Cancels a payment intent. A payment has one, so its id makes the key.
pub(crate) fn cancel_intent(payment: &Payment, intent: &str) -> Request {
    request::cancel_payment_intent(intent, format!("{}-cancel", payment.id))
}

/// Opens the customer for a user. The key is the same for everybody who needs him at the same time, so that they get one.
pub(crate) fn open_customer(key: &CustomerKey) -> Request {
    let user = ("user_id".to_owned(), key.user.to_string());
    let mode = if key.livemode { "live" } else { "test" };
    let idempotency_key = format!("customer-{mode}-{}", key.user);
    request::create_customer(&Metadata([user].into()), None, idempotency_key)
}

/// The coupon for one payment that [`open_session`] names: `amount_off` of its price.
pub(crate) fn create_coupon(payment: &Payment, amount_off: i64, name: &str) -> Request {
    let id = coupon_id(payment);
    let currency = payment.amount.unit.code();
    let name: String = name.chars().take(COUPON_NAME_MAX).collect();
    request::create_coupon(
        &id,
        amount_off,
        currency,
        &name,
        format!("{}-coupon", payment.id),
    )
}

/// Stripe shows no more of a coupon's name.
const COUPON_NAME_MAX: usize = 40;

/// Made of the payment's id, so that it is the same however often it is asked for.
fn coupon_id(payment: &Payment) -> String {
    format!("off-{}", payment.id)
}

/// Reads a checkout session.
pub(crate) fn read_session(session: &str) -> Request {
    request::retrieve_checkout_session(session)
}

/// Closes a checkout session. A payment has one session, so its id makes the key.
pub(crate) fn close_session(payment: &Payment, session: &str) -> Request {
    request::expire_checkout_session(session, format!("{}-close", payment.id))
}

/// The metadata key that names our refund in Stripe's refunds.
pub(super) const REFUND_ID: &str = "refund_id";

/// Asks for a refund, under its id as the idempotency key.
pub(crate) fn create_refund(refund: &Refund, intent: &str) -> Request {
    let metadata = Metadata([(REFUND_ID.to_owned(), refund.id.to_string())].into());
    let reason = Some(refund.reason.as_str()).filter(|reason| !reason.is_empty());
    let amount = Some(refund.amount.minor);
    request::create_refund(intent, amount, reason, &metadata, refund.id.as_str())
}

/// All refunds of a payment intent.
pub(crate) fn list_refunds(intent: &str) -> Request {
    request::list_refunds(Some(intent), &whole_page())
}

/// All disputes of a payment intent.
pub(crate) fn list_disputes(intent: &str) -> Request {
    request::list_disputes(Some(intent), &whole_page())
}

fn whole_page() -> Window {
    Window {
        limit: Some(100),
        ..Window::default()
    }
}
