//! Usage: facts about what was consumed, and summaries of them.

use axum::extract::State;
use axum::response::IntoResponse;
use bursar_domain::command::{Command, Reply};
use bursar_domain::grant::AMOUNT_MAX;
use bursar_domain::usage::{RecordUsage, UsageEvent, UsageStatus};
use bursar_store::query::{UsageFilter, UsageSum};
use serde::Serialize;
use serde_json::Value;

use super::answer::{answer, item};
use super::auth::{Admin, User};
use super::error::ApiError;
use super::extract::{Input, Query, required};
use super::order::Order;
use super::{json, page};
use crate::App;

#[derive(Debug, Serialize)]
struct View {
    usage_id: i64,
    user_id: String,
    service: String,
    variant: String,
    quantity: i64,
    status: &'static str,
    meta: Value,
    created_at: String,
}

impl View {
    fn of(event: &UsageEvent) -> Self {
        Self {
            usage_id: event.number,
            user_id: event.user.to_string(),
            service: event.service.clone(),
            variant: event.variant.clone(),
            quantity: event.quantity,
            status: event.status.as_str(),
            meta: json::stored(&event.meta),
            created_at: event.at.to_string(),
        }
    }
}

/// `POST /v1/usage/record`
pub(super) async fn record(
    State(app): State<App>,
    admin: Admin,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let input = &mut order.input;
    let fact = RecordUsage {
        user: required("user_id", input.user("user_id")?)?,
        service: required("service", input.name("service")?)?,
        variant: input.name("variant")?.unwrap_or_default(),
        quantity: input.integer("quantity", 1, AMOUNT_MAX)?.unwrap_or(1),
        status: input
            .word("status", UsageStatus::ALL, UsageStatus::as_str)?
            .unwrap_or(UsageStatus::Success),
        meta: input.meta()?,
    };
    let idempotency = order.idempotency(&admin.caller());
    order.input.finish()?;
    let answered = app.submit(Command::RecordUsage(fact), idempotency).await?;
    match answered.reply {
        Reply::Usage(event) => Ok(answer(View::of(&event), answered.replayed)),
        _ => Err(ApiError::internal(
            &"usage was answered with something else",
        )),
    }
}

fn filter(query: &mut Input) -> Result<UsageFilter, ApiError> {
    Ok(UsageFilter {
        user: None,
        service: query.name("service")?,
        from: query.time("from")?,
        to: query.time("to")?,
    })
}

/// `GET /v1/usage/me`
pub(super) async fn mine(
    State(app): State<App>,
    User(user): User,
    Query(mut query): Query,
) -> Result<impl IntoResponse, ApiError> {
    let filter = UsageFilter {
        user: Some(user),
        ..filter(&mut query)?
    };
    list(&app, filter, query).await
}

/// `GET /v1/usage/events`
pub(super) async fn all(
    State(app): State<App>,
    _: Admin,
    Query(mut query): Query,
) -> Result<impl IntoResponse, ApiError> {
    let filter = UsageFilter {
        user: query.user("user_id")?,
        ..filter(&mut query)?
    };
    list(&app, filter, query).await
}

async fn list(
    app: &App,
    filter: UsageFilter,
    mut query: Input,
) -> Result<impl IntoResponse + use<>, ApiError> {
    let request = page::request(&mut query)?;
    query.finish()?;
    let events = app
        .engine()
        .read(move |reader| reader.usage(&filter, &request))
        .await?;
    Ok(page::list(events, View::of))
}

#[derive(Debug, Serialize)]
struct Summary {
    items: Vec<Sum>,
}

#[derive(Debug, Serialize)]
struct Sum {
    service: String,
    variant: String,
    status: &'static str,
    count: i64,
    quantity: i64,
}

/// `GET /v1/usage/summary`
pub(super) async fn summary(
    State(app): State<App>,
    _: Admin,
    Query(mut query): Query,
) -> Result<impl IntoResponse, ApiError> {
    let filter = UsageFilter {
        user: query.user("user_id")?,
        ..filter(&mut query)?
    };
    query.finish()?;
    let sums = app
        .engine()
        .read(move |reader| reader.usage_summary(&filter))
        .await?;
    let sum = |sum: UsageSum| Sum {
        service: sum.service,
        variant: sum.variant,
        status: sum.status.as_str(),
        count: sum.count,
        quantity: sum.quantity,
    };
    Ok(item(Summary {
        items: sums.into_iter().map(sum).collect(),
    }))
}
