//! Spending limits: set, listed, taken away.

use axum::extract::State;
use axum::response::IntoResponse;
use bursar_domain::amount::Amount;
use bursar_domain::command::{Command, Reply};
use bursar_domain::grant::AMOUNT_MAX;
use bursar_domain::id::LimitId;
use bursar_domain::limit::{Period, SetLimit, SpendingLimit, Subject, SubjectKind};
use bursar_domain::refusal::Refusal;
use bursar_domain::time::Time;
use serde::Serialize;

use super::answer::{Item, answer};
use super::auth::Admin;
use super::error::ApiError;
use super::extract::{Input, Query, required};
use super::order::Order;
use super::page;
use crate::App;

#[derive(Debug, Serialize)]
struct View {
    limit_id: String,
    user_id: Option<String>,
    api_key: Option<String>,
    label: Option<String>,
    period: &'static str,
    credits: i64,
    used: i64,
    reserved: i64,
    left: i64,
    unit: &'static str,
    resets_at: Option<String>,
    created_at: String,
    updated_at: String,
}

impl View {
    fn of(limit: &SpendingLimit, now: Time) -> Self {
        let name = |kind| {
            let is_it = limit.subject.kind == kind;
            is_it.then(|| limit.subject.name.clone())
        };
        let used = limit.used(now);
        Self {
            limit_id: limit.id.to_string(),
            user_id: name(SubjectKind::User),
            api_key: name(SubjectKind::ApiKey),
            label: name(SubjectKind::Label),
            period: limit.period.as_str(),
            credits: limit.most.minor,
            used,
            reserved: limit.reserved,
            left: (limit.most.minor - used).max(0),
            unit: limit.most.unit.code(),
            resets_at: limit.period.ends(now).map(|at| at.to_string()),
            created_at: limit.created_at.to_string(),
            updated_at: limit.updated_at.to_string(),
        }
    }
}

/// `user_id`, `api_key` or `label`; none if none is there.
fn subject(input: &mut Input) -> Result<Option<Subject>, ApiError> {
    let user = input.user("user_id")?.map(|user| user.to_string());
    let named = [
        (SubjectKind::User, user),
        (SubjectKind::ApiKey, input.name("api_key")?),
        (SubjectKind::Label, input.name("label")?),
    ];
    let mut subjects = named
        .into_iter()
        .filter_map(|(kind, name)| name.map(|name| Subject { kind, name }));
    let subject = subjects.next();
    if let Some(second) = subjects.next() {
        let field = if second.kind == SubjectKind::Label {
            "label"
        } else {
            "api_key"
        };
        let message =
            "stands beside another: a limit is about one of `user_id`, `api_key` and `label`";
        return Err(ApiError::invalid(field, message));
    }
    Ok(subject)
}

/// `POST /v1/balance/limits/set`
pub(super) async fn set(
    State(app): State<App>,
    admin: Admin,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let input = &mut order.input;
    let subject = subject(input)?.ok_or_else(|| ApiError {
        message: "say whose spending is limited: one of `user_id`, `api_key` and `label`"
            .to_owned(),
        ..ApiError::missing("user_id")
    })?;
    let period = required("period", input.word("period", Period::ALL, Period::as_str)?)?;
    let unit = input.unit()?;
    let most = Amount::new(input.credits(0, AMOUNT_MAX)?, unit);
    let command = Command::SetLimit(SetLimit {
        subject,
        most,
        period,
    });
    decide(&app, admin, order, command).await
}

/// `POST /v1/balance/limits/remove`
pub(super) async fn remove(
    State(app): State<App>,
    admin: Admin,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let text = required("limit_id", order.input.text("limit_id", 200)?)?;
    let id = LimitId::parse(&text).ok_or(Refusal::LimitNotFound)?;
    decide(&app, admin, order, Command::RemoveLimit(id)).await
}

async fn decide(
    app: &App,
    admin: Admin,
    order: Order,
    command: Command,
) -> Result<Item<View>, ApiError> {
    let idempotency = order.idempotency(&admin.caller());
    order.input.finish()?;
    let is_set = matches!(command, Command::SetLimit(_));
    let answered = app.submit(command, idempotency).await?;
    match answered.reply {
        Reply::Limit(limit) => {
            // An answer that is given again is the one of its moment, not of today's period.
            let at = if is_set {
                limit.updated_at
            } else {
                app.engine().now()
            };
            Ok(answer(View::of(&limit, at), answered.replayed))
        }
        _ => Err(ApiError::internal(
            &"a limit was answered with something else",
        )),
    }
}

/// `GET /v1/balance/limits`
pub(super) async fn all(
    State(app): State<App>,
    _: Admin,
    Query(mut query): Query,
) -> Result<impl IntoResponse, ApiError> {
    let subject = subject(&mut query)?;
    let request = page::request(&mut query)?;
    query.finish()?;
    let limits = app
        .engine()
        .read(move |reader| reader.limits(subject.as_ref(), &request))
        .await?;
    let now = app.engine().now();
    Ok(page::list(limits, |limit| View::of(limit, now)))
}
