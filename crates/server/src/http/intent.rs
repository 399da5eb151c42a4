//! Paying on a page of the product: a payment intent, and what Stripe's own form confirms it with.

use axum::extract::State;
use axum::response::IntoResponse;
use bursar_domain::intent::OpenIntent;
use bursar_domain::payment::Payment;
use serde::Serialize;

use super::answer::answer;
use super::auth::User;
use super::error::ApiError;
use super::order::Order;
use super::{checkout, topup};
use crate::App;

/// The secret stands in no other answer, and cannot be printed: this has no `Debug`.
#[derive(Serialize)]
struct View {
    payment_id: String,
    stripe_payment_intent_id: Option<String>,
    client_secret: String,
    amount_minor: i64,
    currency: &'static str,
    status: &'static str,
}

impl View {
    fn of(payment: &Payment, client_secret: String) -> Self {
        Self {
            payment_id: payment.id.to_string(),
            stripe_payment_intent_id: payment.intent.clone(),
            client_secret,
            amount_minor: payment.amount.minor,
            currency: payment.amount.unit.code(),
            status: payment.status.as_str(),
        }
    }
}

/// `POST /v1/payment.stripe/intent/create`
pub(super) async fn create(
    State(app): State<App>,
    user: User,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    checkout::configured(&app)?;
    let idempotency = order.idempotency(&user.caller());
    let topup = topup::id(&mut order.input)?;
    let save_card = order.input.boolean("save_card")?.unwrap_or(false);
    order.input.finish()?;
    let wish = OpenIntent {
        topup,
        user: user.0,
        save_card,
    };
    let (payment, replayed) = app.engine().open_intent(wish, idempotency).await?;
    let secret = app.engine().client_secret(&payment).await?;
    Ok(answer(
        View::of(&payment, secret.expose().to_owned()),
        replayed,
    ))
}
