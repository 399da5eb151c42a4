//! Grants: value given, listed, taken back.

use axum::extract::State;
use axum::response::IntoResponse;
use bursar_domain::account::AccountKey;
use bursar_domain::amount::Amount;
use bursar_domain::command::{Command, Reply};
use bursar_domain::grant::{
    AMOUNT_MAX, Category, CreateGrant, Grant, GrantEnd, PRIORITY_DEFAULT, PRIORITY_MAX, RollOver,
    Source,
};
use bursar_domain::id::GrantId;
use bursar_domain::refusal::Refusal;
use bursar_domain::time::Time;
use bursar_engine::Answered;
use bursar_store::query::GrantFilter;
use serde::Serialize;
use serde_json::Value;

use super::answer::{Item, answer};
use super::auth::{Admin, User};
use super::error::ApiError;
use super::extract::{Input, Query, required};
use super::order::Order;
use super::{json, page};
use crate::App;

/// The longest a rolled-over grant may last, in seconds: ten years.
const ROLL_SECONDS_MAX: i64 = 10 * 366 * 86_400;

#[derive(Debug, Serialize)]
pub(super) struct View {
    grant_id: String,
    user_id: String,
    status: &'static str,
    category: &'static str,
    source: &'static str,
    priority: i64,
    credits: i64,
    remaining: i64,
    held: i64,
    unit: &'static str,
    starts_at: Option<String>,
    expires_at: Option<String>,
    roll_over: Option<Rolls>,
    note: String,
    r#ref: String,
    meta: Value,
    created_at: String,
    ended_at: Option<String>,
}

#[derive(Debug, Serialize)]
struct Rolls {
    cap: i64,
    expires_in: i64,
}

impl View {
    pub(super) fn of(grant: &Grant, now: Time) -> Self {
        let written = |at: Option<Time>| at.map(|at| at.to_string());
        Self {
            grant_id: grant.id.to_string(),
            user_id: grant.wallet.owner.to_string(),
            status: status(grant, now),
            category: grant.category.as_str(),
            source: grant.source.as_str(),
            priority: grant.priority,
            credits: grant.granted,
            remaining: grant.remaining,
            held: grant.held,
            unit: grant.wallet.unit.code(),
            starts_at: written(grant.starts_at),
            expires_at: written(grant.expires_at),
            roll_over: grant.roll_over.map(|roll| Rolls {
                cap: roll.cap,
                expires_in: roll.seconds,
            }),
            note: grant.remark.note.clone(),
            r#ref: grant.remark.reference.clone(),
            meta: json::stored(&grant.remark.meta),
            created_at: grant.created_at.to_string(),
            ended_at: written(grant.ended_at),
        }
    }
}

/// In a word, as it stands now.
fn status(grant: &Grant, now: Time) -> &'static str {
    match grant.end {
        Some(GrantEnd::Spent) => "spent",
        Some(GrantEnd::Voided) => "voided",
        None if grant.is_usable(now) => "active",
        None if grant.starts_at.is_some_and(|start| now < start) => "scheduled",
        Some(GrantEnd::Expired) | None => "expired",
    }
}

/// What may be named as the source of a grant; the others name themselves.
const SOURCES: &[(&str, Source)] = &[
    ("bonus", Source::Bonus),
    ("allowance", Source::Allowance),
    ("trial", Source::Trial),
    ("code", Source::Code),
    ("manual", Source::Manual),
];

/// `POST /v1/balance/grants/create`
pub(super) async fn create(
    State(app): State<App>,
    admin: Admin,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let input = &mut order.input;
    let user = required("user_id", input.user("user_id")?)?;
    let unit = input.unit()?;
    let amount = input.credits(1, AMOUNT_MAX)?;
    let category = input.word("category", Category::ALL, Category::as_str)?;
    let source = input.choice("source", SOURCES)?;
    let priority = input.integer("priority", 0, PRIORITY_MAX)?;
    let terms = CreateGrant {
        user,
        amount: Amount::new(amount, unit),
        category: category.unwrap_or(Category::Promotional),
        source: source.unwrap_or(Source::Manual),
        priority: priority.unwrap_or(PRIORITY_DEFAULT),
        starts_at: input.time("starts_at")?,
        expires_at: input.time("expires_at")?,
        roll_over: roll_over(input)?,
        remark: input.remark()?,
    };
    decide(&app, admin, order, Command::CreateGrant(terms)).await
}

/// `roll_over`: `{"cap": 100, "expires_in": 2592000}`.
fn roll_over(input: &mut Input) -> Result<Option<RollOver>, ApiError> {
    let fields = match input.take("roll_over") {
        None => return Ok(None),
        Some(Value::Object(fields)) => fields,
        Some(_) => {
            let message = "must be an object with `cap` and `expires_in`";
            return Err(ApiError::invalid("roll_over", message));
        }
    };
    let rolls = rolls(Input::of(fields)).map_err(|error| error.inside("roll_over"))?;
    Ok(Some(rolls))
}

fn rolls(mut input: Input) -> Result<RollOver, ApiError> {
    let roll = RollOver {
        cap: required("cap", input.integer("cap", 1, AMOUNT_MAX)?)?,
        seconds: required(
            "expires_in",
            input.integer("expires_in", 1, ROLL_SECONDS_MAX)?,
        )?,
    };
    input.finish()?;
    Ok(roll)
}

/// `POST /v1/balance/grants/void`
pub(super) async fn void(
    State(app): State<App>,
    admin: Admin,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let text = required("grant_id", order.input.text("grant_id", 200)?)?;
    let grant = GrantId::parse(&text).ok_or(Refusal::GrantNotFound)?;
    let remark = order.input.remark()?;
    decide(&app, admin, order, Command::VoidGrant { grant, remark }).await
}

async fn decide(
    app: &App,
    admin: Admin,
    order: Order,
    command: Command,
) -> Result<Item<View>, ApiError> {
    let idempotency = order.idempotency(&admin.caller());
    order.input.finish()?;
    given(app.submit(command, idempotency).await?)
}

/// The answer to whatever gives a grant or takes one back.
pub(super) fn given(answered: Answered) -> Result<Item<View>, ApiError> {
    match answered.reply {
        Reply::Grant(grant) => {
            // An answer that is given again is the one of its moment: of the grant's beginning, or of its end, which the grant
            // itself knows.
            let view = View::of(&grant, grant.created_at);
            Ok(answer(view, answered.replayed))
        }
        _ => Err(ApiError::internal(
            &"a grant was answered with something else",
        )),
    }
}

/// `GET /v1/balance/grants/me`
pub(super) async fn mine(
    State(app): State<App>,
    User(user): User,
    Query(mut query): Query,
) -> Result<impl IntoResponse, ApiError> {
    let filter = GrantFilter {
        user: Some(user),
        live: live(&mut query)?,
    };
    list(&app, filter, query).await
}

/// `GET /v1/balance/grants`
pub(super) async fn all(
    State(app): State<App>,
    _: Admin,
    Query(mut query): Query,
) -> Result<impl IntoResponse, ApiError> {
    let filter = GrantFilter {
        user: query.user("user_id")?,
        live: live(&mut query)?,
    };
    list(&app, filter, query).await
}

fn live(query: &mut Input) -> Result<Option<bool>, ApiError> {
    query.choice("live", &[("true", true), ("false", false)])
}

/// Rows are read for the order and the ends; what is left of the live ones, their wallets know.
async fn list(
    app: &App,
    filter: GrantFilter,
    mut query: Input,
) -> Result<impl IntoResponse + use<>, ApiError> {
    let request = page::request(&mut query)?;
    query.finish()?;
    let mut grants = app
        .engine()
        .read(move |reader| reader.grants(&filter, &request))
        .await?;
    let mut keys: Vec<AccountKey> = grants
        .items
        .iter()
        .filter(|grant| grant.ended_at.is_none())
        .map(|grant| grant.wallet.clone())
        .collect();
    keys.sort();
    keys.dedup();
    let wallets = app.engine().wallets(keys).await?;
    for grant in &mut grants.items {
        let mut live = wallets.iter().flatten().flat_map(|wallet| &wallet.grants);
        if let Some(live) = live.find(|live| live.id == grant.id) {
            grant.clone_from(live);
        }
    }
    let now = app.engine().now();
    Ok(page::list(grants, |grant| View::of(grant, now)))
}
