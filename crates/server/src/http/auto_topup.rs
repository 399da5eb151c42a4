//! Automatic top-ups: what a user wants to be bought when his wallet falls low. A user for himself, an administrator for anybody.

use axum::extract::State;
use axum::response::IntoResponse;
use bursar_domain::auto_topup::{AutoTopup, Cap, Refill, SetAutoTopup, Stop, Terms};
use bursar_domain::command::{Command, Reply};
use bursar_domain::grant::AMOUNT_MAX;
use bursar_domain::limit::Period;
use bursar_domain::refusal::Refusal;
use serde::Serialize;

use super::answer::{answer, item};
use super::auth::Caller;
use super::error::ApiError;
use super::extract::{Input, Query, required};
use super::order::Order;
use super::{card, checkout};
use crate::App;

#[derive(Debug, Serialize)]
struct View {
    user_id: String,
    enabled: bool,
    threshold: i64,
    credits: Option<i64>,
    target: Option<i64>,
    period: &'static str,
    topups_max: Option<i64>,
    credits_max: Option<i64>,
    topups_used: i64,
    credits_used: i64,
    card_id: String,
    livemode: bool,
    failures: i64,
    stopped: Option<&'static str>,
    retry_at: Option<String>,
    payment_id: Option<String>,
    created_at: String,
    updated_at: String,
}

impl View {
    fn of(row: &AutoTopup) -> Self {
        let (terms, breaker) = (&row.terms, row.breaker);
        let (credits, target) = match terms.refill {
            Refill::Credits(credits) => (Some(credits), None),
            Refill::Target(target) => (None, Some(target)),
        };
        Self {
            user_id: row.user.to_string(),
            enabled: terms.enabled,
            threshold: terms.threshold,
            credits,
            target,
            period: terms.cap.period.as_str(),
            topups_max: terms.cap.topups,
            credits_max: terms.cap.credits,
            topups_used: row.used.topups,
            credits_used: row.used.credits,
            card_id: terms.card.clone(),
            livemode: row.livemode,
            failures: breaker.failures,
            stopped: breaker.stopped.map(Stop::as_str),
            retry_at: breaker.retry_at.map(|at| at.to_string()),
            payment_id: row.payment.as_ref().map(ToString::to_string),
            created_at: row.created_at.to_string(),
            updated_at: row.updated_at.to_string(),
        }
    }
}

fn terms(input: &mut Input) -> Result<Terms, ApiError> {
    let threshold = required("threshold", input.integer("threshold", 1, AMOUNT_MAX)?)?;
    let credits = input.optional_credits(1, AMOUNT_MAX)?;
    let refill = match (credits, input.integer("target", 1, AMOUNT_MAX)?) {
        (Some(credits), None) => Refill::Credits(credits),
        (None, Some(target)) => Refill::Target(target),
        (None, None) => return Err(ApiError::missing("credits")),
        (Some(_), Some(_)) => {
            let message = "stands beside `credits`: give one of them";
            return Err(ApiError::invalid("target", message));
        }
    };
    let usual = Cap::default();
    let period = input.word("period", Period::ALL, Period::as_str)?;
    let topups = input.integer("topups_max", 1, AMOUNT_MAX)?;
    Ok(Terms {
        enabled: true,
        threshold,
        refill,
        cap: Cap {
            period: period.unwrap_or(usual.period),
            topups: topups.or(usual.topups),
            credits: input.integer("credits_max", 1, AMOUNT_MAX)?,
        },
        card: card::id(input)?,
    })
}

/// `POST /v1/balance/auto_topup/set`
pub(super) async fn set(
    State(app): State<App>,
    caller: Caller,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let user = card::whose(&caller, &mut order.input)?;
    let idempotency = order.idempotency(&caller);
    let terms = terms(&mut order.input)?;
    order.input.finish()?;
    checkout::configured(&app)?;
    let wish = SetAutoTopup { user, terms };
    let (row, replayed) = app.engine().set_auto_topup(wish, idempotency).await?;
    Ok(answer(View::of(&row), replayed))
}

/// `POST /v1/balance/auto_topup/remove`
pub(super) async fn remove(
    State(app): State<App>,
    caller: Caller,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let user = card::whose(&caller, &mut order.input)?;
    let idempotency = order.idempotency(&caller);
    order.input.finish()?;
    let answered = app.submit(Command::EndAutoTopup(user), idempotency).await?;
    match answered.reply {
        Reply::AutoTopup(row) => Ok(answer(View::of(&row), answered.replayed)),
        _ => Err(ApiError::internal(
            &"an automatic top-up was answered with something else",
        )),
    }
}

/// `GET /v1/balance/auto_topup`
pub(super) async fn one(
    State(app): State<App>,
    caller: Caller,
    Query(mut query): Query,
) -> Result<impl IntoResponse, ApiError> {
    let user = card::whose(&caller, &mut query)?;
    query.finish()?;
    let row = app
        .engine()
        .read(move |reader| reader.auto_topup(&user))
        .await?;
    let row = row.ok_or(Refusal::AutoTopupNotFound)?;
    Ok(item(View::of(&row)))
}
