//! Saved cards. They are at Stripe; what is shown of them is asked for there each time. A user for himself, an administrator for
//! anybody.

use axum::extract::State;
use axum::response::IntoResponse;
use bursar_domain::id::UserId;
use bursar_domain::intent::ChargeCard;
use bursar_engine::card::Card;
use serde::Serialize;
use serde_json::json;

use super::answer::{answer, item};
use super::auth::Caller;
use super::error::ApiError;
use super::extract::{Input, Query, required};
use super::order::Order;
use super::{checkout, payment, topup};
use crate::App;

/// Whose things a request is about: the caller's own; an administrator has to name the user.
pub(super) fn whose(caller: &Caller, input: &mut Input) -> Result<UserId, ApiError> {
    match caller.only() {
        Some(user) => Ok(user.clone()),
        None => required("user_id", input.user("user_id")?),
    }
}

#[derive(Debug, Serialize)]
struct View {
    card_id: String,
    brand: String,
    last4: String,
    exp_month: i64,
    exp_year: i64,
}

impl View {
    fn of(card: &Card) -> Self {
        Self {
            card_id: card.id.clone(),
            brand: card.brand.clone(),
            last4: card.last4.clone(),
            exp_month: card.expires.0,
            exp_year: card.expires.1,
        }
    }
}

/// `card_id`, as Stripe calls it.
pub(super) fn id(input: &mut Input) -> Result<String, ApiError> {
    required("card_id", input.text("card_id", 255)?)
}

/// `GET /v1/payment.stripe/cards`
pub(super) async fn all(
    State(app): State<App>,
    caller: Caller,
    Query(mut query): Query,
) -> Result<impl IntoResponse, ApiError> {
    let user = whose(&caller, &mut query)?;
    query.finish()?;
    checkout::configured(&app)?;
    let cards = app.engine().cards(&user).await?;
    let items: Vec<View> = cards.iter().map(View::of).collect();
    Ok(item(json!({ "items": items })))
}

/// `POST /v1/payment.stripe/cards/setup`
pub(super) async fn set_up(
    State(app): State<App>,
    caller: Caller,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let user = whose(&caller, &mut order.input)?;
    let idempotency = order.idempotency(&caller);
    order.input.finish()?;
    checkout::configured(&app)?;
    let setup = app.engine().set_up_card(&user, idempotency).await?;
    Ok(item(json!({
        "stripe_setup_intent_id": setup.id,
        "client_secret": setup.client_secret.expose(),
    })))
}

/// `POST /v1/payment.stripe/cards/detach`
pub(super) async fn detach(
    State(app): State<App>,
    caller: Caller,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let user = whose(&caller, &mut order.input)?;
    let card = id(&mut order.input)?;
    order.input.finish()?;
    checkout::configured(&app)?;
    let card = app.engine().detach_card(&user, &card).await?;
    Ok(item(View::of(&card)))
}

/// `POST /v1/payment.stripe/cards/charge`
pub(super) async fn charge(
    State(app): State<App>,
    caller: Caller,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let user = whose(&caller, &mut order.input)?;
    let idempotency = order.idempotency(&caller);
    let (topup, card) = (topup::id(&mut order.input)?, id(&mut order.input)?);
    order.input.finish()?;
    checkout::configured(&app)?;
    let wish = ChargeCard { topup, user, card };
    let (payment, replayed) = app.engine().charge_card(wish, idempotency).await?;
    Ok(answer(payment::View::of(&payment), replayed))
}
