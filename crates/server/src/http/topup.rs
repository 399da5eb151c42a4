//! Top-ups: a user wishes for credits; an administrator can finish or cancel a wish.

use axum::extract::State;
use axum::response::IntoResponse;
use bursar_domain::command::{Command, Reply};
use bursar_domain::id::TopupId;
use bursar_domain::topup::{CreateTopup, Topup, TopupStatus, Wish};
use bursar_store::query::TopupFilter;
use serde::Serialize;
use serde_json::Value;

use super::answer::{Item, answer};
use super::auth::{Admin, Caller, User};
use super::error::ApiError;
use super::extract::{Input, Query, required};
use super::order::Order;
use super::{json, page};
use crate::App;

#[derive(Debug, Serialize)]
pub(super) struct View {
    topup_id: String,
    user_id: String,
    credits: i64,
    bonus: i64,
    package_id: Option<String>,
    coupon: Option<String>,
    discount_minor: i64,
    amount_minor: i64,
    currency: &'static str,
    display: String,
    status: &'static str,
    payment_id: Option<String>,
    note: String,
    r#ref: String,
    meta: Value,
    created_at: String,
    updated_at: String,
    paid_at: Option<String>,
}

impl View {
    fn of(topup: &Topup) -> Self {
        Self {
            topup_id: topup.id.to_string(),
            user_id: topup.user.to_string(),
            credits: topup.credits,
            bonus: topup.bonus,
            package_id: topup.package.clone(),
            coupon: topup.coupon.clone(),
            discount_minor: topup.discount,
            amount_minor: topup.price.minor,
            currency: topup.price.unit.code(),
            display: topup.price.to_string(),
            status: topup.status.as_str(),
            payment_id: topup.payment.as_ref().map(ToString::to_string),
            note: topup.remark.note.clone(),
            r#ref: topup.remark.reference.clone(),
            meta: json::stored(&topup.remark.meta),
            created_at: topup.created_at.to_string(),
            updated_at: topup.updated_at.to_string(),
            paid_at: topup.paid_at.map(|at| at.to_string()),
        }
    }
}

/// `POST /v1/balance/topups/create`
pub(super) async fn create(
    State(app): State<App>,
    user: User,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let limits = &app.config().topup;
    let input = &mut order.input;
    let package = input.text("package_id", 200)?;
    let credits = input.optional_credits(limits.min, limits.max)?;
    let wish = match (package, credits) {
        (Some(package), None) => Wish::Package(package),
        (None, Some(credits)) => Wish::Credits(credits),
        (None, None) => return Err(ApiError::missing("amount")),
        (Some(_), Some(_)) => {
            let message = "has credits of its own: give it, or `credits`";
            return Err(ApiError::invalid("package_id", message));
        }
    };
    let wish = CreateTopup {
        user: user.0.clone(),
        wish,
        currency: input.currency()?,
        coupon: input.text("coupon", 64)?,
        remark: input.remark()?,
    };
    decide(&app, &user.caller(), order, Command::CreateTopup(wish)).await
}

/// `POST /v1/balance/topups/finish`
pub(super) async fn finish(
    State(app): State<App>,
    admin: Admin,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let topup = id(&mut order.input)?;
    let remark = order.input.remark()?;
    decide(
        &app,
        &admin.caller(),
        order,
        Command::FinishTopup { topup, remark },
    )
    .await
}

/// `POST /v1/balance/topups/cancel`
pub(super) async fn cancel(
    State(app): State<App>,
    admin: Admin,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let topup = id(&mut order.input)?;
    let remark = order.input.remark()?;
    decide(
        &app,
        &admin.caller(),
        order,
        Command::CancelTopup { topup, remark },
    )
    .await
}

async fn decide(
    app: &App,
    caller: &Caller,
    order: Order,
    command: Command,
) -> Result<Item<View>, ApiError> {
    let idempotency = order.idempotency(caller);
    order.input.finish()?;
    let answered = app.submit(command, idempotency).await?;
    match answered.reply {
        Reply::Topup(topup) => Ok(answer(View::of(&topup), answered.replayed)),
        _ => Err(ApiError::internal(
            &"a top-up was answered with something else",
        )),
    }
}

/// A text that is no id of ours names nothing of ours: 404, like any id that does not exist.
pub(super) fn id(input: &mut Input) -> Result<TopupId, ApiError> {
    let text = required("topup_id", input.text("topup_id", 200)?)?;
    TopupId::parse(&text).ok_or_else(|| bursar_domain::refusal::Refusal::TopupNotFound.into())
}

const STATUSES: &[(&str, TopupStatus)] = &[
    ("pending", TopupStatus::Pending),
    ("paid", TopupStatus::Paid),
    ("canceled", TopupStatus::Canceled),
    ("expired", TopupStatus::Expired),
    ("failed", TopupStatus::Failed),
];

/// `GET /v1/balance/topups/me`
pub(super) async fn mine(
    State(app): State<App>,
    User(user): User,
    Query(mut query): Query,
) -> Result<impl IntoResponse, ApiError> {
    let filter = TopupFilter {
        user: Some(user),
        status: query.choice("status", STATUSES)?,
    };
    list(&app, filter, query).await
}

/// `GET /v1/balance/topups`
pub(super) async fn all(
    State(app): State<App>,
    _: Admin,
    Query(mut query): Query,
) -> Result<impl IntoResponse, ApiError> {
    let filter = TopupFilter {
        user: query.user("user_id")?,
        status: query.choice("status", STATUSES)?,
    };
    list(&app, filter, query).await
}

async fn list(
    app: &App,
    filter: TopupFilter,
    mut query: Input,
) -> Result<impl IntoResponse + use<>, ApiError> {
    let request = page::request(&mut query)?;
    query.finish()?;
    let topups = app
        .engine()
        .read(move |reader| reader.topups(&filter, &request))
        .await?;
    Ok(page::list(topups, View::of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_can_be_filtered_by() {
        for status in TopupStatus::ALL {
            assert!(STATUSES.contains(&(status.as_str(), status)), "{status:?}");
        }
    }
}
