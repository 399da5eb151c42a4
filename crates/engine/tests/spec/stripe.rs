//! What Stripe sends, made from the words of a specification.

use serde_json::{Map, Value, json};

/// What a line says about an object of Stripe's.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    /// `S1`, `I1`.
    pub(crate) name: String,
    /// In smallest steps.
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) live: bool,
    /// Our payment's id, as in the object's metadata.
    pub(crate) payment: Option<String>,
    pub(crate) intent: Option<String>,
    /// How much of an intent was paid; none: as much as it is over, once it has succeeded.
    pub(crate) received: Option<i64>,
    /// Code of a failed attempt.
    pub(crate) failure: Option<String>,
    /// `open`, `paid`, `unpaid`, `expired`, `free`, `broken` (complete and unpaid, its delayed payment failed).
    pub(crate) standing: String,
}

pub(crate) fn session_id(name: &str) -> String {
    format!("cs_test_{name}")
}

pub(crate) fn intent_id(name: &str) -> String {
    format!("pi_{name}")
}

pub(crate) fn session(told: &Told) -> Value {
    let (status, payment_status) = match told.standing.as_str() {
        "open" => ("open", "unpaid"),
        "paid" => ("complete", "paid"),
        "free" => ("complete", "no_payment_required"),
        "expired" => ("expired", "unpaid"),
        "unpaid" | "broken" => ("complete", "unpaid"),
        other => panic!("a session is open, paid, unpaid, expired, free or broken, not {other}"),
    };
    let intent = told.intent.as_deref().map(intent_id);
    let intent = match told.standing.as_str() {
        "broken" => {
            json!({"id": intent, "object": "payment_intent", "status": "requires_payment_method"})
        }
        _ => json!(intent),
    };
    json!({
        "id": session_id(&told.name),
        "object": "checkout.session",
        "amount_subtotal": told.amount,
        "amount_total": told.amount,
        "currency": told.currency,
        "livemode": told.live,
        "metadata": metadata(told),
        "mode": "payment",
        "payment_intent": intent,
        "payment_status": payment_status,
        "status": status,
        "url": (status == "open").then(|| format!("https://pay.example/{}", told.name)),
    })
}

fn metadata(told: &Told) -> Value {
    let entries = told
        .payment
        .iter()
        .map(|id| ("payment_id".to_owned(), json!(id)));
    Value::Object(entries.collect::<Map<_, _>>())
}

/// As an event of this kind carries it.
fn intent(told: &Told, kind: &str) -> Value {
    let status = match kind.strip_prefix("payment_intent.").unwrap_or(kind) {
        "payment_failed" | "created" => "requires_payment_method",
        status => status,
    };
    intent_with(told, status)
}

/// An intent that stands so, in Stripe's word.
pub(crate) fn intent_with(told: &Told, status: &str) -> Value {
    let failure = told.failure.as_ref().map(|code| {
        json!({"type": "card_error", "code": "card_declined", "decline_code": code, "message": "Your card was declined."})
    });
    let all = if status == "succeeded" {
        told.amount
    } else {
        0
    };
    json!({
        "id": intent_id(&told.name),
        "object": "payment_intent",
        "amount": told.amount,
        "amount_received": told.received.unwrap_or(all),
        "currency": told.currency,
        "livemode": told.live,
        "metadata": metadata(told),
        "last_payment_error": failure,
        "status": status,
    })
}

fn charge(told: &Told, kind: &str) -> Value {
    json!({
        "id": format!("ch_{}", told.name),
        "object": "charge",
        "amount": told.amount,
        "currency": told.currency,
        "livemode": told.live,
        "metadata": metadata(told),
        "payment_intent": intent_id(&told.name),
        "status": kind.strip_prefix("charge."),
    })
}

/// The body of a delivery.
pub(crate) fn event(
    name: &str,
    kind: &str,
    told: &Told,
    created: i64,
    style: Option<&str>,
) -> Vec<u8> {
    let object = match kind {
        _ if style == Some("garbled") => json!("not an object"),
        kind if kind.starts_with("checkout.session.") => session(told),
        kind if kind.starts_with("payment_intent.") => intent(told, kind),
        kind if kind.starts_with("charge.") => charge(told, kind),
        kind => json!({"id": told.name, "object": kind.split('.').next()}),
    };
    let event = if style == Some("thin") {
        json!({
            "id": format!("evt_{name}"), "object": "v2.core.event", "type": format!("v1.{kind}"),
            "created": "2026-01-01T00:00:00.000Z", "livemode": told.live,
            "related_object": {"id": object["id"], "type": object["object"], "url": "/v1/…"},
        })
    } else {
        json!({
            "id": format!("evt_{name}"), "object": "event", "type": kind, "created": created,
            "livemode": told.live, "api_version": "2026-10-28.endive", "pending_webhooks": 1,
            "data": {"object": object},
        })
    };
    serde_json::to_vec(&event).unwrap()
}
