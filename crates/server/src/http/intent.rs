//! Paying on a page of the product: a payment intent, and what Stripe's own form confirms it with.

use axum::extract::State;
use bursar_domain::id::PaymentId;
use bursar_domain::intent::OpenIntent;
use bursar_domain::payment::{Payment, PaymentStatus};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Item, answer};
use super::auth::User;
use super::checkout::{self, Pay};
use super::error::ApiError;
use super::kind::{Currency, Id, Word};
use super::order::Order;
use crate::App;

/// The secret stands in no other answer, and cannot be printed: this has no `Debug`.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Intent")]
pub(super) struct View {
    payment_id: Id<PaymentId>,
    stripe_payment_intent_id: Option<String>,
    client_secret: String,
    amount_minor: i64,
    currency: Currency,
    status: Word<PaymentStatus>,
}

impl View {
    fn of(payment: &Payment, client_secret: String) -> Self {
        Self {
            payment_id: Id(payment.id.clone()),
            stripe_payment_intent_id: payment.intent.clone(),
            client_secret,
            amount_minor: payment.amount.minor,
            currency: Currency(payment.amount.unit),
            status: Word(payment.status),
        }
    }
}

/// `POST /v1/payment.stripe/intent/create`
pub(super) async fn create(
    State(app): State<App>,
    user: User,
    order: Order<Pay>,
) -> Result<Item<View>, ApiError> {
    checkout::configured(&app)?;
    let idempotency = order.idempotency(&user.caller());
    let wish = OpenIntent {
        topup: order.form.topup_id.0,
        user: user.0,
        save_card: order.form.save_card.unwrap_or(false),
    };
    let opened = app.engine().open_intent(wish, idempotency).await?;
    let secret = app.engine().client_secret(&opened).await?;
    let secret = secret.expose().to_owned();
    Ok(answer(&opened, |payment| View::of(payment, secret)))
}
