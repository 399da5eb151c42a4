//! The part of the control API that plays the banks: disputes, fraud warnings, and refunds that go wrong, for any
//! payment there is.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;
use serde_json::Value;

use crate::Sandbox;
use crate::claim::{Claim, Verdict};
use crate::control::{Fields, command, written};
use crate::error::{ApiError, ApiResult};
use crate::refund::Arrival;

/// The largest amount that is read, in minor units; the world knows better bounds.
const LARGEST: i64 = 999_999_999_999;

/// The routes of the banks.
pub(crate) fn routes() -> Router<Sandbox> {
    Router::new()
        .route("/sandbox/charges/{charge}/dispute", post(dispute))
        .route("/sandbox/charges/{charge}/warn", post(warn))
        .route("/sandbox/disputes/{dispute}/decide", post(decide))
        .route("/sandbox/refunds/{refund}/decide", post(arrive))
}

/// `{amount, reason, inquiry}` of a charge or payment intent. Without an amount all that has not been refunded is
/// disputed; without a reason the customer calls it fraudulent.
async fn dispute(
    State(sandbox): State<Sandbox>,
    Path(charge): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    command(&sandbox, &headers, &body, |fields| {
        fields.only(&["amount", "reason", "inquiry"])?;
        let usual = Claim::default();
        let claim = Claim {
            amount: fields.integer("amount", 1, LARGEST)?,
            reason: fields.text("reason").unwrap_or(usual.reason),
            inquiry: truth(fields, "inquiry")?,
        };
        written(sandbox.change(|world, now| world.open_dispute(&charge, &claim, now)))
    })
}

/// Warns of a charge, or of that of a payment intent.
async fn warn(
    State(sandbox): State<Sandbox>,
    Path(charge): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    command(&sandbox, &headers, &body, |fields| {
        fields.only(&[])?;
        written(sandbox.change(|world, now| world.warn_of_fraud(&charge, now)))
    })
}

/// `{verdict: won|lost|escalated}` of a dispute that is open.
async fn decide(
    State(sandbox): State<Sandbox>,
    Path(dispute): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    command(&sandbox, &headers, &body, |fields| {
        let choices = [
            ("won", Verdict::Won),
            ("lost", Verdict::Lost),
            ("escalated", Verdict::Escalated),
        ];
        let verdict = chosen(fields, "verdict", &choices)?;
        written(sandbox.change(|world, now| world.decide_dispute(&dispute, verdict, now)))
    })
}

/// `{outcome: succeeded|failed|canceled}` of a refund.
async fn arrive(
    State(sandbox): State<Sandbox>,
    Path(refund): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    command(&sandbox, &headers, &body, |fields| {
        let choices = [
            ("succeeded", Arrival::Succeeded),
            ("failed", Arrival::Failed),
            ("canceled", Arrival::Canceled),
        ];
        let arrival = chosen(fields, "outcome", &choices)?;
        written(sandbox.change(|world, now| world.decide_refund(&refund, arrival, now)))
    })
}

/// The one field of a command, by its name among the choices.
fn chosen<T: Copy>(fields: &Fields, name: &str, choices: &[(&str, T)]) -> ApiResult<T> {
    fields.only(&[name])?;
    let given = fields.text(name).ok_or_else(|| ApiError::missing(name))?;
    let found = choices.iter().find(|(choice, _)| *choice == given);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(choice, _)| *choice).collect();
        let message = format!(
            "Invalid {name}: {given}. It must be one of {}.",
            names.join(", ")
        );
        ApiError::invalid(message).at(name)
    })
}

/// A truth value, as such or in words; without one it is false.
fn truth(fields: &Fields, name: &str) -> ApiResult<bool> {
    match fields.value(name) {
        Value::Null => Ok(false),
        Value::Bool(given) => Ok(*given),
        Value::String(text) if text.is_empty() || text == "false" => Ok(false),
        Value::String(text) if text == "true" => Ok(true),
        _ => Err(ApiError::invalid(format!("Invalid boolean for {name}.")).at(name)),
    }
}
