//! The state of the sandbox at a glance, as JSON and as a page with forms for every command.

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::claim::{check_open, is_inquiry};
use crate::delivery::{Delivery, Stage};
use crate::error::ApiError;
use crate::fault::{self, Fault, Kind};
use crate::order::amount_in;
use crate::page::page;
use crate::{Sandbox, World, delivery, gate, trigger};

/// How many of each kind are shown, newest first.
const SHOWN: usize = 50;

#[derive(Template)]
#[template(path = "control.html")]
struct ControlPage {
    token: String,
    base_url: String,
    now: String,
    offset: String,
    version: String,
    faults: Vec<String>,
    known: &'static [&'static str],
    sessions: Vec<SessionRow>,
    payments: Vec<PaymentRow>,
    refunds: Vec<RefundRow>,
    disputes: Vec<DisputeRow>,
    endpoints: Vec<EndpointRow>,
    deliveries: Vec<DeliveryRow>,
}

struct SessionRow {
    id: String,
    created: String,
    amount: String,
    status: String,
    paid: String,
    url: Option<String>,
}

struct PaymentRow {
    id: String,
    created: String,
    amount: String,
    status: String,
    error: Option<String>,
    waits: bool,
    paid: bool,
}

struct RefundRow {
    id: String,
    created: String,
    amount: String,
    status: String,
    waits: bool,
    arrived: bool,
}

struct DisputeRow {
    id: String,
    created: String,
    amount: String,
    status: String,
    reason: String,
    open: bool,
    inquiry: bool,
}

struct EndpointRow {
    id: String,
    url: String,
    status: String,
    events: String,
}

struct DeliveryRow {
    id: String,
    event_type: String,
    event: String,
    endpoint: String,
    stage: &'static str,
    good: bool,
    bad: bool,
    attempts: Vec<String>,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "closed.html")]
struct RefusalPage<'a> {
    title: &'static str,
    explanation: &'a str,
    onward: Option<&'static str>,
    onward_text: &'static str,
}

/// `GET /sandbox`
pub(crate) async fn show(State(sandbox): State<Sandbox>, headers: HeaderMap) -> Response {
    // The page carries the token its forms need, so it is for this machine's own names only.
    if let Err(error) = gate::check_host(&sandbox, &headers) {
        return refusal(&error);
    }
    let control = sandbox.read(|world, now| ControlPage {
        token: gate::form_token(&sandbox),
        base_url: sandbox.config().base_url.clone(),
        now: moment(now),
        offset: span(world.clock_offset()),
        version: world.setup.default_version.clone(),
        faults: fault::list(&world.records).iter().map(describe).collect(),
        known: trigger::KNOWN,
        sessions: newest(world, "checkout.session")
            .map(SessionRow::of)
            .collect(),
        payments: newest(world, "payment_intent")
            .map(PaymentRow::of)
            .collect(),
        refunds: newest(world, "refund").map(RefundRow::of).collect(),
        disputes: newest(world, "dispute").map(DisputeRow::of).collect(),
        endpoints: newest(world, "webhook_endpoint")
            .map(EndpointRow::of)
            .collect(),
        deliveries: delivery::newest(&world.records, SHOWN)
            .iter()
            .map(DeliveryRow::of)
            .collect(),
    });
    page(StatusCode::OK, &control)
}

/// `GET /sandbox/state`
pub(crate) async fn state(State(sandbox): State<Sandbox>, headers: HeaderMap) -> Response {
    if let Err(error) = gate::check_host(&sandbox, &headers) {
        return gate::refusal(&sandbox, &error);
    }
    let state = sandbox.read(|world, now| {
        let deliveries = delivery::newest(&world.records, SHOWN);
        json!({
            "object": "sandbox.state",
            "now": now,
            "offset_seconds": world.clock_offset(),
            "default_version": world.setup.default_version,
            "faults": fault::list(&world.records),
            "sessions": newest(world, "checkout.session").collect::<Vec<_>>(),
            "payments": newest(world, "payment_intent").collect::<Vec<_>>(),
            "refunds": newest(world, "refund").collect::<Vec<_>>(),
            "disputes": newest(world, "dispute").collect::<Vec<_>>(),
            "endpoints": newest(world, "webhook_endpoint").collect::<Vec<_>>(),
            "deliveries": deliveries.iter().map(described).collect::<Vec<_>>(),
        })
    });
    ([(header::CACHE_CONTROL, "no-store")], Json(state)).into_response()
}

/// What a form is answered that was refused.
pub(crate) fn refusal(error: &ApiError) -> Response {
    let refusal = RefusalPage {
        title: "That did not work",
        explanation: &error.message,
        onward: Some("/sandbox"),
        onward_text: "Back to the control page",
    };
    page(
        StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST),
        &refusal,
    )
}

fn newest<'a>(world: &'a World, kind: &str) -> impl Iterator<Item = &'a Value> {
    world.records.objects(kind).take(SHOWN)
}

fn described(delivery: &Delivery) -> Value {
    let mut value = json!(delivery);
    if let Some(fields) = value.as_object_mut() {
        fields.insert("object".into(), json!("sandbox.delivery"));
        fields.insert("stage".into(), json!(delivery.stage));
    }
    value
}

impl SessionRow {
    fn of(session: &Value) -> Self {
        let open = session["status"] == "open";
        Self {
            id: text(session, "id"),
            created: moment(session["created"].as_i64().unwrap_or(0)),
            amount: amount(session, "amount_total"),
            status: text(session, "status"),
            paid: text(session, "payment_status"),
            url: session["url"].as_str().filter(|_| open).map(str::to_owned),
        }
    }
}

impl PaymentRow {
    fn of(intent: &Value) -> Self {
        let error = intent["last_payment_error"]["message"].as_str();
        Self {
            id: text(intent, "id"),
            created: moment(intent["created"].as_i64().unwrap_or(0)),
            amount: amount(intent, "amount"),
            status: text(intent, "status"),
            error: error.map(str::to_owned),
            waits: intent["status"] == "processing",
            paid: intent["status"] == "succeeded",
        }
    }
}

impl RefundRow {
    fn of(refund: &Value) -> Self {
        Self {
            id: text(refund, "id"),
            created: moment(refund["created"].as_i64().unwrap_or(0)),
            amount: amount(refund, "amount"),
            status: text(refund, "status"),
            waits: refund["status"] == "pending",
            arrived: refund["status"] == "succeeded",
        }
    }
}

impl DisputeRow {
    fn of(dispute: &Value) -> Self {
        Self {
            id: text(dispute, "id"),
            created: moment(dispute["created"].as_i64().unwrap_or(0)),
            amount: amount(dispute, "amount"),
            status: text(dispute, "status"),
            reason: text(dispute, "reason"),
            open: check_open(dispute).is_ok(),
            inquiry: is_inquiry(dispute),
        }
    }
}

impl EndpointRow {
    fn of(endpoint: &Value) -> Self {
        let events = endpoint["enabled_events"].as_array().into_iter().flatten();
        let events: Vec<&str> = events.filter_map(Value::as_str).collect();
        Self {
            id: text(endpoint, "id"),
            url: text(endpoint, "url"),
            status: text(endpoint, "status"),
            events: events.join(", "),
        }
    }
}

impl DeliveryRow {
    fn of(delivery: &Delivery) -> Self {
        let waiting = matches!(delivery.stage, Stage::Waiting | Stage::Held);
        Self {
            id: delivery.id.clone(),
            event_type: delivery.event_type.clone(),
            event: delivery.event.clone(),
            endpoint: delivery.endpoint.clone(),
            stage: delivery.stage.name(),
            good: delivery.stage == Stage::Delivered,
            bad: matches!(delivery.stage, Stage::Failed | Stage::Dropped),
            attempts: delivery.attempts.iter().map(attempt).collect(),
            next: waiting.then(|| moment(delivery.due_at.div_euclid(1000))),
        }
    }
}

fn attempt(attempt: &delivery::Attempt) -> String {
    let at = moment(attempt.at.div_euclid(1000));
    let status = attempt
        .status
        .map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    let error = attempt.error.as_deref().filter(|error| !error.is_empty());
    let error = error.map(|error| format!(": {error}")).unwrap_or_default();
    format!("{at} {status} in {} ms{error}", attempt.millis)
}

fn describe(fault: &Fault) -> String {
    let count = fault.count.map_or_else(
        || "all, until cleared".to_owned(),
        |count| format!("next {count}"),
    );
    let kind = match fault.fault {
        Kind::Drop => "drop".to_owned(),
        Kind::Duplicate => format!("duplicate {} times", fault.times),
        Kind::Delay => format!("delay by {}", span(i64::from(fault.seconds))),
        Kind::Reorder => format!(
            "reverse, held for {} at most",
            span(i64::from(fault.seconds))
        ),
        Kind::Refuse => "refuse the connection".to_owned(),
    };
    let which = fault
        .event_type
        .as_deref()
        .map(|kind| format!(", {kind} only"))
        .unwrap_or_default();
    format!("{kind}: {count}{which}")
}

fn text(object: &Value, field: &str) -> String {
    object[field].as_str().unwrap_or_default().to_owned()
}

fn amount(object: &Value, field: &str) -> String {
    let currency = object["currency"].as_str().unwrap_or_default();
    object[field]
        .as_i64()
        .map(|amount| amount_in(currency, amount))
        .unwrap_or_default()
}

/// A moment in UTC, such as `2026-11-21 08:30:00`.
fn moment(seconds: i64) -> String {
    let moment = Timestamp::from_second(seconds).unwrap_or_default();
    moment.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A span of time in its largest units.
fn span(seconds: i64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (hours, minutes, seconds) = (rest / 3600, rest % 3600 / 60, rest % 60);
    let parts = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(n, _)| *n != 0)
        .map(|(n, unit)| format!("{n} {unit}"))
        .collect();
    if parts.is_empty() {
        "0 s".to_owned()
    } else {
        parts.join(" ")
    }
}
