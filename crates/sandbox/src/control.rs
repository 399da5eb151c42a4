//! The control API under `/sandbox`: the clock, what goes wrong with deliveries, what banks decide, and events on
//! demand. The page that goes with it is `control_page`.
//!
//! Every command takes JSON from a program that has the secret key, or a form from the control page. A program
//! gets JSON, a form leads back to the page.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bursar_stripe::form;
use serde_json::{Map, Value, json};

use crate::error::{ApiError, ApiResult};
use crate::fault::{self, Fault, Kind};
use crate::trigger::TriggerError;
use crate::{Sandbox, SandboxError, control_page, delivery, gate};

/// The farthest the clock moves at once: ten years, in seconds.
const FARTHEST: i64 = 10 * 366 * 86_400;
/// The most deliveries a fault counts.
const MOST: i64 = 10_000;
/// The most copies of one delivery.
const MOST_TIMES: i64 = 100;
/// How long a burst is held back unless said otherwise, in seconds.
const HOLD: i64 = 10;

/// The routes of the control API and of its page.
pub(crate) fn routes() -> Router<Sandbox> {
    Router::new()
        .route("/sandbox", get(control_page::show))
        .route("/sandbox/state", get(control_page::state))
        .route("/sandbox/clock", post(clock))
        .route("/sandbox/deliveries", post(add_fault))
        .route("/sandbox/deliveries/clear", post(clear_faults))
        .route("/sandbox/deliveries/{id}/resend", post(resend))
        .route("/sandbox/payments/{payment_intent}/settle", post(settle))
        .route("/sandbox/trigger", post(trigger))
}

/// `{advance_seconds}` or `{set}` (seconds since 1970). Time goes forward only, as in Stripe's test clocks.
async fn clock(State(sandbox): State<Sandbox>, headers: HeaderMap, body: Bytes) -> Response {
    command(&sandbox, &headers, &body, |fields| {
        fields.only(&["advance_seconds", "set"])?;
        let advance = fields.integer("advance_seconds", 0, FARTHEST)?;
        let set = fields.integer("set", 0, i64::MAX)?;
        let moved = sandbox.change(|world, now| {
            let forward = match (advance, set) {
                (Some(seconds), None) => seconds,
                (None, Some(moment)) => forward_to(moment, now)?,
                (None, None) => return Err(ApiError::missing("advance_seconds")),
                (Some(_), Some(_)) => {
                    let message = "Give either advance_seconds or set, not both.";
                    return Err(ApiError::invalid(message).at("set"));
                }
            };
            let offset = world.clock_offset().saturating_add(forward);
            world.set_clock_offset(offset);
            world.tick(now + forward);
            Ok(json!({"object": "sandbox.clock", "now": now + forward, "offset_seconds": offset}))
        });
        written(moved)
    })
}

fn forward_to(moment: i64, now: i64) -> Result<i64, ApiError> {
    let forward = moment - now;
    if (0..=FARTHEST).contains(&forward) {
        return Ok(forward);
    }
    let message = format!(
        "The clock shows {now} and moves forward only, ten years at most; {moment} is out of reach."
    );
    Err(ApiError::coded("parameter_invalid_integer", message).at("set"))
}

/// `{fault: drop|duplicate|delay|reorder|refuse, count, event_type, times, seconds}`. Without `count` one delivery
/// is affected; `count: null` (or empty, in a form) means all until cleared.
async fn add_fault(State(sandbox): State<Sandbox>, headers: HeaderMap, body: Bytes) -> Response {
    command(&sandbox, &headers, &body, |fields| {
        let fault = read_fault(fields)?;
        let answer = json!(fault);
        written(sandbox.change(|world, _| {
            fault::add(&mut world.records, fault);
            Ok(answer)
        }))
    })
}

fn read_fault(fields: &Fields) -> Result<Fault, ApiError> {
    fields.only(&["fault", "count", "event_type", "times", "seconds"])?;
    let kind = match fields
        .text("fault")
        .ok_or_else(|| ApiError::missing("fault"))?
        .as_str()
    {
        "drop" => Kind::Drop,
        "duplicate" => Kind::Duplicate,
        "delay" => Kind::Delay,
        "reorder" => Kind::Reorder,
        "refuse" => Kind::Refuse,
        other => {
            let message = format!(
                "Invalid fault: {other}. It must be one of drop, duplicate, delay, reorder or refuse."
            );
            return Err(ApiError::invalid(message).at("fault"));
        }
    };
    let least = if kind == Kind::Reorder { 2 } else { 1 };
    let count = fields.integer("count", least, MOST)?.map(narrow);
    let count = if fields.has("count") {
        count
    } else {
        Some(narrow(least))
    };
    let seconds = fields.integer("seconds", 1, FARTHEST)?;
    if kind == Kind::Delay && seconds.is_none() {
        return Err(ApiError::missing("seconds"));
    }
    Ok(Fault {
        fault: kind,
        count,
        event_type: fields.text("event_type"),
        times: fields.integer("times", 1, MOST_TIMES)?.map_or(1, narrow),
        seconds: narrow(seconds.unwrap_or(HOLD)),
    })
}

/// A number whose bounds have been checked.
fn narrow(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Ends all faults and lets go what is held back.
async fn clear_faults(State(sandbox): State<Sandbox>, headers: HeaderMap, body: Bytes) -> Response {
    command(&sandbox, &headers, &body, |fields| {
        fields.only(&[])?;
        written(sandbox.change(|world, _| {
            let now = sandbox.world_millis(world);
            fault::clear(&mut world.records);
            delivery::release_held(&mut world.records, now);
            Ok(json!({"object": "list", "data": []}))
        }))
    })
}

/// Sends one delivery again.
async fn resend(
    State(sandbox): State<Sandbox>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    command(&sandbox, &headers, &body, |fields| {
        fields.only(&[])?;
        written(sandbox.change(|world, _| {
            let now = sandbox.world_millis(world);
            let fresh = delivery::resend(&mut world.records, &id, now);
            let fresh = fresh.ok_or_else(|| ApiError::no_such("delivery", &id, "id", 404))?;
            Ok(json!({"object": "sandbox.delivery", "id": fresh}))
        }))
    })
}

/// `{outcome: succeeded|failed}` of a payment that waits for a bank.
async fn settle(
    State(sandbox): State<Sandbox>,
    Path(intent): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    command(&sandbox, &headers, &body, |fields| {
        fields.only(&["outcome"])?;
        let succeed = match fields.text("outcome").as_deref() {
            Some("succeeded") => true,
            Some("failed") => false,
            Some(other) => {
                let message = format!("Invalid outcome: {other}. It must be succeeded or failed.");
                return Err(ApiError::invalid(message).at("outcome"));
            }
            None => return Err(ApiError::missing("outcome")),
        };
        written(sandbox.change(|world, now| {
            if !world.settle_delayed(&intent, succeed, now) {
                let message = format!("No payment '{intent}' waits for a bank.");
                let error = ApiError::coded("resource_missing", message).at("payment_intent");
                return Err(ApiError {
                    status: 404,
                    ..error
                });
            }
            let found = world
                .records
                .get(crate::records::Collection::Object, &intent);
            Ok(found.cloned().unwrap_or_default())
        }))
    })
}

/// `{event, overrides}`: makes an event happen. Answers the ids of all events it caused.
async fn trigger(State(sandbox): State<Sandbox>, headers: HeaderMap, body: Bytes) -> Response {
    command(&sandbox, &headers, &body, |fields| {
        fields.only(&["event", "overrides"])?;
        let event = fields
            .text("event")
            .ok_or_else(|| ApiError::missing("event"))?;
        let caused = sandbox
            .trigger(&event, fields.value("overrides"))
            .map_err(|e| unwritten(&e))?;
        let events = caused.map_err(|error| {
            let param = match error {
                TriggerError::Unknown(_) => "event",
                _ => "overrides",
            };
            ApiError::invalid(error.to_string()).at(param)
        })?;
        Ok(json!({"object": "sandbox.trigger", "event": event, "events": events}))
    })
}

/// The fields of a command.
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), ApiError> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(ApiError::unknown(name)),
            None => Ok(()),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(crate) fn value(&self, name: &str) -> &Value {
        self.0.get(name).unwrap_or(&Value::Null)
    }

    /// A text; an empty one is none.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let text = self.value(name).as_str()?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// An integer, as a number or in digits; null and an empty text are none.
    pub(crate) fn integer(
        &self,
        name: &str,
        least: i64,
        most: i64,
    ) -> Result<Option<i64>, ApiError> {
        let number = match self.value(name) {
            Value::Null => return Ok(None),
            Value::String(text) if text.trim().is_empty() => return Ok(None),
            Value::String(text) => text.trim().parse().ok(),
            other => other.as_i64(),
        };
        let number = number.filter(|number| (least..=most).contains(number));
        number.map(Some).ok_or_else(|| {
            let message = format!("Invalid integer for {name}. It must be from {least} to {most}.");
            ApiError::coded("parameter_invalid_integer", message).at(name)
        })
    }
}

/// Checks who asks, reads what is asked, does it and answers in the way it was asked.
pub(crate) fn command(
    sandbox: &Sandbox,
    headers: &HeaderMap,
    body: &Bytes,
    act: impl FnOnce(&Fields) -> ApiResult,
) -> Response {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    let by_form = kind.starts_with("application/x-www-form-urlencoded")
        && !headers.contains_key(header::AUTHORIZATION);
    let done = admitted(sandbox, headers, body, kind, by_form).and_then(|fields| act(&fields));
    match done {
        Ok(_) if by_form => Redirect::to("/sandbox").into_response(),
        Ok(answer) => (StatusCode::OK, Json(answer)).into_response(),
        Err(error) if by_form => control_page::refusal(&error),
        Err(error) => gate::refusal(sandbox, &error),
    }
}

fn admitted(
    sandbox: &Sandbox,
    headers: &HeaderMap,
    body: &Bytes,
    kind: &str,
    by_form: bool,
) -> Result<Fields, ApiError> {
    gate::check_host(sandbox, headers)?;
    if !by_form {
        gate::check_key(sandbox, headers)?;
    }
    let mut fields = read(body, kind)?;
    if by_form {
        let token = fields.remove("token").unwrap_or_default();
        gate::check_form(sandbox, headers, token.as_str().unwrap_or_default())?;
    }
    Ok(Fields(fields))
}

fn read(body: &Bytes, kind: &str) -> Result<Map<String, Value>, ApiError> {
    let read = if kind.starts_with("application/json") && !body.is_empty() {
        serde_json::from_slice(body).map_err(|error| error.to_string())
    } else {
        form::decode(body).map_err(|error| error.to_string())
    };
    match read {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(ApiError::invalid("The body has to be a JSON object.")),
        Err(error) => Err(ApiError::invalid(format!(
            "The body cannot be read: {error}."
        ))),
    }
}

/// The outcome of a change to the world.
pub(crate) fn written(outcome: Result<ApiResult, SandboxError>) -> ApiResult {
    outcome.map_err(|error| unwritten(&error))?
}

fn unwritten(error: &SandboxError) -> ApiError {
    tracing::error!(%error, "a command could not be written down");
    let message = "The sandbox's journal cannot be written; its log says why.";
    ApiError {
        status: 500,
        kind: "api_error",
        ..ApiError::invalid(message)
    }
}

#[cfg(test)]
mod tests;
