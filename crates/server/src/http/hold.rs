//! Holds: reserve, report progress, extend, settle, release.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use bursar_domain::command::{Command, Reply};
use bursar_domain::grant::AMOUNT_MAX;
use bursar_domain::hold::{CreateHold, Hold, HoldStatus, Overage, SECONDS_MAX};
use bursar_domain::id::{HoldId, TransactionId};
use bursar_domain::refusal::Refusal;
use bursar_store::query::HoldFilter;
use serde::Serialize;
use serde_json::Value;

use super::answer::{Item, answer, item};
use super::auth::{Admin, User};
use super::charge::Paid;
use super::error::ApiError;
use super::extract::{Input, Query, required};
use super::order::Order;
use super::{json, page};
use crate::App;

#[derive(Debug, Serialize)]
struct View {
    hold_id: String,
    user_id: String,
    status: &'static str,
    credits: i64,
    progress: i64,
    settled: i64,
    uncovered: i64,
    unit: &'static str,
    grants: Vec<Paid>,
    overage: &'static str,
    api_key: Option<String>,
    labels: Vec<String>,
    charge_id: Option<String>,
    balance_after: Option<i64>,
    note: String,
    r#ref: String,
    meta: Value,
    created_at: String,
    expires_at: String,
    updated_at: String,
    ended_at: Option<String>,
}

impl View {
    fn of(hold: &Hold) -> Self {
        Self {
            hold_id: hold.id.to_string(),
            user_id: hold.wallet.owner.to_string(),
            status: hold.status.as_str(),
            credits: hold.amount,
            progress: hold.progress,
            settled: hold.settled,
            uncovered: hold.uncovered,
            unit: hold.wallet.unit.code(),
            grants: hold.parts.iter().map(Paid::of).collect(),
            overage: hold.overage.as_str(),
            api_key: hold.spender.api_key.clone(),
            labels: hold.spender.labels.clone(),
            charge_id: hold.charge.as_ref().map(TransactionId::to_string),
            balance_after: hold.balance,
            note: hold.remark.note.clone(),
            r#ref: hold.remark.reference.clone(),
            meta: json::stored(&hold.remark.meta),
            created_at: hold.created_at.to_string(),
            expires_at: hold.expires_at.to_string(),
            updated_at: hold.updated_at.to_string(),
            ended_at: hold.ended_at.map(|at| at.to_string()),
        }
    }
}

/// `POST /v1/balance/holds/create`
pub(super) async fn create(
    State(app): State<App>,
    admin: Admin,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let (mut charge, priced) = order.input.charge()?;
    if !priced {
        return Err(ApiError::missing("credits"));
    }
    let seconds = order.input.integer("expires_in", 1, SECONDS_MAX)?;
    let overage = order.input.word("overage", Overage::ALL, Overage::as_str)?;
    charge.remark = order.input.remark()?;
    let command = Command::CreateHold(CreateHold {
        charge,
        seconds,
        overage,
    });
    decide(&app, admin, order, command).await
}

/// `POST /v1/balance/holds/progress`
pub(super) async fn progress(
    State(app): State<App>,
    admin: Admin,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let hold = id(&mut order.input)?;
    let used = order.input.credits(0, AMOUNT_MAX)?;
    decide(&app, admin, order, Command::ProgressHold { hold, used }).await
}

/// `POST /v1/balance/holds/extend`
pub(super) async fn extend(
    State(app): State<App>,
    admin: Admin,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let hold = id(&mut order.input)?;
    let more = order.input.optional_credits(1, AMOUNT_MAX)?;
    let seconds = order.input.integer("expires_in", 1, SECONDS_MAX)?;
    if more.is_none() && seconds.is_none() {
        let message = "is missing, and so is `expires_in`: say what to extend";
        return Err(ApiError::invalid("credits", message));
    }
    let command = Command::ExtendHold {
        hold,
        more: more.unwrap_or(0),
        seconds,
    };
    decide(&app, admin, order, command).await
}

/// `POST /v1/balance/holds/settle`
pub(super) async fn settle(
    State(app): State<App>,
    admin: Admin,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let hold = id(&mut order.input)?;
    let used = order.input.credits(0, AMOUNT_MAX)?;
    let remark = order.input.remark()?;
    let command = Command::SettleHold { hold, used, remark };
    decide(&app, admin, order, command).await
}

/// `POST /v1/balance/holds/release`
pub(super) async fn release(
    State(app): State<App>,
    admin: Admin,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let hold = id(&mut order.input)?;
    let remark = order.input.remark()?;
    decide(&app, admin, order, Command::ReleaseHold { hold, remark }).await
}

async fn decide(
    app: &App,
    admin: Admin,
    order: Order,
    command: Command,
) -> Result<Item<View>, ApiError> {
    let idempotency = order.idempotency(&admin.caller());
    order.input.finish()?;
    let answered = app.submit(command, idempotency).await?;
    match answered.reply {
        Reply::Hold(hold) => Ok(answer(View::of(&hold), answered.replayed)),
        _ => Err(ApiError::internal(
            &"a hold was answered with something else",
        )),
    }
}

/// A text that is no id of ours names nothing of ours: 404, like any id that does not exist.
fn id(input: &mut Input) -> Result<HoldId, ApiError> {
    let text = required("hold_id", input.text("hold_id", 200)?)?;
    HoldId::parse(&text).ok_or_else(|| Refusal::HoldNotFound.into())
}

/// `GET /v1/balance/holds/{hold_id}`
pub(super) async fn one(
    State(app): State<App>,
    _: Admin,
    path: Result<Path<String>, PathRejection>,
    Query(query): Query,
) -> Result<impl IntoResponse, ApiError> {
    query.finish()?;
    // An address that is not even text names nothing of ours.
    let id = path.ok().and_then(|Path(text)| HoldId::parse(&text));
    let hold = match id {
        Some(id) => app.engine().read(move |reader| reader.hold(id)).await?,
        None => None,
    };
    let hold = hold.ok_or_else(|| ApiError::from(Refusal::HoldNotFound))?;
    Ok(item(View::of(&hold)))
}

/// `GET /v1/balance/holds/me`
pub(super) async fn mine(
    State(app): State<App>,
    User(user): User,
    Query(mut query): Query,
) -> Result<impl IntoResponse, ApiError> {
    let filter = HoldFilter {
        user: Some(user),
        status: query.word("status", HoldStatus::ALL, HoldStatus::as_str)?,
    };
    list(&app, filter, query).await
}

/// `GET /v1/balance/holds`
pub(super) async fn all(
    State(app): State<App>,
    _: Admin,
    Query(mut query): Query,
) -> Result<impl IntoResponse, ApiError> {
    let filter = HoldFilter {
        user: query.user("user_id")?,
        status: query.word("status", HoldStatus::ALL, HoldStatus::as_str)?,
    };
    list(&app, filter, query).await
}

async fn list(
    app: &App,
    filter: HoldFilter,
    mut query: Input,
) -> Result<impl IntoResponse + use<>, ApiError> {
    let request = page::request(&mut query)?;
    query.finish()?;
    let holds = app
        .engine()
        .read(move |reader| reader.holds(&filter, &request))
        .await?;
    Ok(page::list(holds, View::of))
}
