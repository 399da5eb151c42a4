//! Reconciliation over HTTP: an administrator begins a run and asks how it stands; stored events are worked off again.

use axum::extract::State;
use bursar_domain::grant::AMOUNT_MAX;
use bursar_domain::recovery::{Recovery, Step};
use bursar_domain::time::Time;
use bursar_engine::reconcile::{Options, Report, RunState};
use bursar_store::query::{EventFilter, PageRequest, Span};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Item, item};
use super::auth::Admin;
use super::error::ApiError;
use super::extract::Query;
use super::form::{Nothing, form};
use super::kind::{Moment, Text, Whole};
use super::order::Order;
use crate::App;

form! {
    /// What is compared, and how much may be repaired.
    pub(super) struct Begin {
        /// What was made at Stripe from then on; 35 days ago without it.
        from: Option<Moment>,
        /// And before then; two minutes ago without it.
        to: Option<Moment>,
        /// Whether to repair what can be repaired without a person.
        repair: Option<bool>,
        /// At most so many repairs; 50 without it.
        max_count: Option<Whole<0, AMOUNT_MAX>>,
        /// Repairs over so much money at most, in smallest steps of each currency.
        max_amount: Option<Whole<0, AMOUNT_MAX>>,
    }
}

/// That a run has begun.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ReconciliationBegun")]
pub(super) struct Begun {
    status: Standing,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Standing {
    None,
    Running,
    Failed,
    Done,
}

/// `POST /v1/payment.stripe/reconcile`: begins a run. It may take longer than any caller waits, so how it ends is asked for.
pub(super) async fn begin(
    State(app): State<App>,
    _admin: Admin,
    order: Order<Begin>,
) -> Result<Item<Begun>, ApiError> {
    let engine = app.engine();
    let mut options = Options::until(engine.now().seconds());
    let form = order.form;
    if let Some(Moment(from)) = form.from {
        options.span.from = from.seconds();
    }
    if let Some(Moment(to)) = form.to {
        options.span.to = to.seconds();
    }
    options.repair = form.repair.unwrap_or(false);
    let count = form.max_count;
    if let Some(count) = count.and_then(|count| u64::try_from(count.0).ok()) {
        options.count_max = count;
    }
    options.amount_max = form.max_amount.map(|amount| amount.0);
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
    Ok(item(Begun {
        status: Standing::Running,
    }))
}

/// How the newest run stands, and the recovery mode.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Reconciliation {
    status: Standing,
    /// Why it has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(flatten)]
    done: Option<Done>,
    recovery: Option<RecoveryView>,
}

/// What a run has found.
#[derive(Debug, Serialize, JsonSchema)]
struct Done {
    /// Whether nothing is left to repair, and nothing is left for a person.
    agrees: bool,
    /// The report, to be read.
    text: String,
    report: Report,
}

/// Since when and why payments wait.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Recovery")]
struct RecoveryView {
    since: Moment,
    passes: u32,
    began_at: Moment,
    reason: String,
}

impl RecoveryView {
    fn of(recovery: Recovery) -> Self {
        Self {
            since: Moment(Time::from_seconds(recovery.since)),
            passes: recovery.passes,
            began_at: Moment(recovery.began_at),
            reason: recovery.why,
        }
    }
}

/// `GET /v1/payment.stripe/reconcile`: how the newest run stands, and the recovery mode.
pub(super) async fn state(
    State(app): State<App>,
    _admin: Admin,
    _: Query<Nothing>,
) -> Result<Item<Reconciliation>, ApiError> {
    let recovery = app.engine().recovery().await?;
    let (status, reason, done) = match app.engine().reconciliation() {
        RunState::None => (Standing::None, None, None),
        RunState::Running => (Standing::Running, None, None),
        RunState::Failed(why) => (Standing::Failed, Some(why), None),
        RunState::Done(report) => {
            let done = Done {
                agrees: report.agrees(),
                text: report.to_string(),
                report: *report,
            };
            (Standing::Done, None, Some(done))
        }
    };
    Ok(item(Reconciliation {
        status,
        reason,
        done,
        recovery: recovery.map(RecoveryView::of),
    }))
}

/// That nothing is recovered from any more.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RecoveryEnded {
    recovery: Option<RecoveryView>,
}

/// `POST /v1/payment.stripe/recovery/end`: an administrator says that enough is known again.
pub(super) async fn end_recovery(
    State(app): State<App>,
    _admin: Admin,
    _: Order<Nothing>,
) -> Result<Item<RecoveryEnded>, ApiError> {
    app.engine().step_recovery(Step::End).await?;
    tracing::warn!("recovery mode was ended by an administrator");
    Ok(item(RecoveryEnded { recovery: None }))
}

form! {
    /// Which events are worked off again: one, or all that arrived in a time.
    pub(super) struct Replay {
        event_id: Option<Text<255>>,
        from: Option<Moment>,
        /// Now without it.
        to: Option<Moment>,
    }
}

/// How many they were.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Replayed {
    replayed: i64,
}

/// `POST /v1/payment.stripe/events/replay`: one event, or all that arrived in a time.
pub(super) async fn replay(
    State(app): State<App>,
    _admin: Admin,
    order: Order<Replay>,
) -> Result<Item<Replayed>, ApiError> {
    let Replay { event_id, from, to } = order.form;
    let replayed = match (event_id, from, to) {
        (Some(id), None, None) => replay_one(&app, id.0).await?,
        (None, Some(from), to) => {
            let to = to.map_or_else(|| app.engine().now(), |to| to.0);
            let (from, to) = (from.0.seconds(), to.seconds());
            app.engine().replay_span(Span { from, to }).await?
        }
        _ => {
            let rule = "is needed, or else `from` and perhaps `to`";
            return Err(ApiError::invalid("event_id", rule));
        }
    };
    Ok(item(Replayed { replayed }))
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
