//! Usage: facts about what was consumed, and summaries of them.

use axum::extract::State;
use bursar_domain::command::Command;
use bursar_domain::grant::AMOUNT_MAX;
use bursar_domain::id::UserId;
use bursar_domain::usage::{RecordUsage, UsageEvent, UsageStatus};
use bursar_store::query::{PageRequest, UsageFilter, UsageSum};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Item, answer, item};
use super::auth::{Admin, User};
use super::error::ApiError;
use super::extract::Query;
use super::field::Metadata;
use super::form::form;
use super::kind::{Id, Meta, Moment, Name, Whole, Word};
use super::order::Order;
use super::page::{self, List, OfAll};
use crate::App;

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Usage")]
pub(super) struct View {
    usage_id: i64,
    user_id: Id<UserId>,
    service: String,
    variant: String,
    quantity: i64,
    status: Word<UsageStatus>,
    meta: Meta,
    created_at: Moment,
}

impl View {
    fn of(event: &UsageEvent) -> Self {
        Self {
            usage_id: event.number,
            user_id: Id(event.user.clone()),
            service: event.service.clone(),
            variant: event.variant.clone(),
            quantity: event.quantity,
            status: Word(event.status),
            meta: Meta(event.meta.clone()),
            created_at: Moment(event.at),
        }
    }
}

form! {
    /// A fact about what was used.
    pub(super) struct Record {
        user_id: Id<UserId>,
        service: Name,
        /// A model, a size.
        variant: Option<Name>,
        /// How much; 1 without it.
        quantity: Option<Whole<1, AMOUNT_MAX>>,
        /// How it went; `success` without it.
        status: Option<Word<UsageStatus>>,
        meta: Metadata,
    }
}

/// `POST /v1/usage/record`
pub(super) async fn record(
    State(app): State<App>,
    admin: Admin,
    order: Order<Record>,
) -> Result<Item<View>, ApiError> {
    let idempotency = order.idempotency(&admin.caller());
    let form = order.form;
    let fact = RecordUsage {
        user: form.user_id.0,
        service: form.service.0,
        variant: form.variant.map(|name| name.0).unwrap_or_default(),
        quantity: form.quantity.map_or(1, |number| number.0),
        status: form.status.map_or(UsageStatus::Success, |word| word.0),
        meta: form.meta.0,
    };
    Ok(answer(
        &app.engine()
            .ask(Command::RecordUsage(fact), idempotency)
            .await?,
        View::of,
    ))
}

form! {
    /// What was used when.
    pub(super) struct Span {
        service: Option<Name>,
        /// Not before.
        from: Option<Moment>,
        /// Before.
        to: Option<Moment>,
    }
}

impl Span {
    fn of(self, user: Option<UserId>) -> UsageFilter {
        UsageFilter {
            user,
            service: self.service.map(|name| name.0),
            from: self.from.map(|at| at.0),
            to: self.to.map(|at| at.0),
        }
    }
}

form! {
    /// What was used when by oneself.
    pub(super) struct Mine {
        span: Span,
        page: PageRequest,
    }
}

/// `GET /v1/usage/me`
pub(super) async fn mine(
    State(app): State<App>,
    User(user): User,
    Query(form): Query<Mine>,
) -> Result<Item<List<View>>, ApiError> {
    list(&app, form.span.of(Some(user)), form.page).await
}

/// `GET /v1/usage/events`
pub(super) async fn all(
    State(app): State<App>,
    _: Admin,
    Query(form): Query<OfAll<Mine>>,
) -> Result<Item<List<View>>, ApiError> {
    let Mine { span, page } = form.these;
    list(&app, span.of(form.user), page).await
}

async fn list(
    app: &App,
    filter: UsageFilter,
    request: PageRequest,
) -> Result<Item<List<View>>, ApiError> {
    page::read(app, move |reader| reader.usage(&filter, &request), View::of).await
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "UsageSum")]
pub(super) struct Sum {
    service: String,
    variant: String,
    status: Word<UsageStatus>,
    count: i64,
    quantity: i64,
}

/// `GET /v1/usage/summary`
pub(super) async fn summary(
    State(app): State<App>,
    _: Admin,
    Query(form): Query<OfAll<Span>>,
) -> Result<Item<page::Whole<Sum>>, ApiError> {
    let filter = form.these.of(form.user);
    let sums = app
        .engine()
        .read(move |reader| reader.usage_summary(&filter))
        .await?;
    let sum = |sum: UsageSum| Sum {
        service: sum.service,
        variant: sum.variant,
        status: Word(sum.status),
        count: sum.count,
        quantity: sum.quantity,
    };
    Ok(item(page::Whole {
        items: sums.into_iter().map(sum).collect(),
    }))
}
