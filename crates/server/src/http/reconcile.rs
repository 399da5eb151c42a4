//! Reconciliation over HTTP: an administrator begins a run and asks how it stands; stored events are worked off again.

use axum::extract::State;
use axum::response::IntoResponse;
use bursar_domain::grant::AMOUNT_MAX;
use bursar_domain::recovery::{Recovery, Step};
use bursar_engine::reconcile::{Options, RunState};
use bursar_store::query::{EventFilter, PageRequest, Span};
use http::StatusCode;
use serde_json::{Value, json};

use super::answer::item;
use super::auth::Admin;
use super::error::ApiError;
use super::extract::Query;
use super::order::Order;
use crate::App;

/// `POST /v1/payment.stripe/reconcile`: begins a run. It may take longer than any caller waits, so how it ends is asked for.
pub(super) async fn begin(
    State(app): State<App>,
    _admin: Admin,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let engine = app.engine();
    let mut options = Options::until(engine.now().seconds());
    if let Some(from) = order.input.time("from")? {
        options.span.from = from.seconds();
    }
    if let Some(to) = order.input.time("to")? {
        options.span.to = to.seconds();
    }
    options.repair = order.input.boolean("repair")?.unwrap_or(false);
    let count = order.input.integer("max_count", 0, AMOUNT_MAX)?;
    if let Some(count) = count.and_then(|count| u64::try_from(count).ok()) {
        options.count_max = count;
    }
    options.amount_max = order.input.integer("max_amount", 0, AMOUNT_MAX)?;
    order.input.finish()?;
    if options.span.from > options.span.to {
        return Err(ApiError::invalid("from", "must not be after `to`"));
    }
    if !engine.has_provider() {
        return Err(bursar_engine::EngineError::NoProvider.into());
    }
    if !engine.begin_reconciliation(options) {
        let message =
            "a reconciliation is under way: ask for its result, and begin another one afterwards";
        let code = "reconciliation_running";
        return Err(ApiError::new(StatusCode::CONFLICT, code, message));
    }
    Ok(item(json!({ "status": "running" })))
}

/// `GET /v1/payment.stripe/reconcile`: how the newest run stands, and the recovery mode.
pub(super) async fn state(
    State(app): State<App>,
    _admin: Admin,
    query: Query,
) -> Result<impl IntoResponse, ApiError> {
    query.0.finish()?;
    let recovery = app.engine().recovery().await?;
    let mut body = match app.engine().reconciliation() {
        RunState::None => json!({ "status": "none" }),
        RunState::Running => json!({ "status": "running" }),
        RunState::Failed(why) => json!({ "status": "failed", "reason": why }),
        RunState::Done(report) => json!({
            "status": "done",
            "agrees": report.agrees(),
            "text": report.to_string(),
            "report": *report,
        }),
    };
    body["recovery"] = recovery.map_or(Value::Null, |recovery| view(&recovery));
    Ok(item(body))
}

fn view(recovery: &Recovery) -> Value {
    json!({
        "since": bursar_domain::time::Time::from_seconds(recovery.since).to_string(),
        "passes": recovery.passes,
        "began_at": recovery.began_at.to_string(),
        "reason": recovery.why,
    })
}

/// `POST /v1/payment.stripe/recovery/end`: an administrator says that enough is known again.
pub(super) async fn end_recovery(
    State(app): State<App>,
    _admin: Admin,
    order: Order,
) -> Result<impl IntoResponse, ApiError> {
    order.input.finish()?;
    app.engine().step_recovery(Step::End).await?;
    tracing::warn!("recovery mode was ended by an administrator");
    Ok(item(json!({ "recovery": null })))
}

/// `POST /v1/payment.stripe/events/replay`: one event, or all that arrived in a time.
pub(super) async fn replay(
    State(app): State<App>,
    _admin: Admin,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let event = order.input.text("event_id", 255)?;
    let from = order.input.time("from")?;
    let to = order.input.time("to")?;
    order.input.finish()?;
    let count = match (event, from, to) {
        (Some(id), None, None) => replay_one(&app, id).await?,
        (None, Some(from), to) => {
            let to = to.unwrap_or_else(|| app.engine().now());
            let (from, to) = (from.seconds(), to.seconds());
            app.engine().replay_span(Span { from, to }).await?
        }
        _ => {
            let rule = "is needed, or else `from` and perhaps `to`";
            return Err(ApiError::invalid("event_id", rule));
        }
    };
    Ok(item(json!({ "replayed": count })))
}

async fn replay_one(app: &App, id: String) -> Result<i64, ApiError> {
    let filter = EventFilter {
        id: Some(id),
        ..EventFilter::default()
    };
    let request = PageRequest {
        limit: 1,
        cursor: None,
    };
    let events = app
        .engine()
        .read(move |reader| reader.events(&filter, &request));
    let numbers = events
        .await?
        .items
        .iter()
        .map(|event| event.number)
        .collect();
    Ok(app.engine().replay(numbers).await?)
}
