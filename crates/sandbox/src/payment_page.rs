//! The two calls, nowhere documented, by which Stripe's own CLI pays a session without a browser.

use serde_json::{Value, json};

use crate::error::{ApiError, ApiResult};
use crate::pay::{PayOutcome, Payment};
use crate::route::{Call, Operation};
use crate::world::World;

pub(crate) const OPERATIONS: &[Operation] = &[
    ("GET", "/v1/payment_pages/{}", "", show),
    (
        "POST",
        "/v1/payment_pages/{}/confirm",
        "payment_method!:text expected_amount:int",
        confirm,
    ),
];

/// The page of a session: the session with what it comes to.
fn page(world: &World, session: &Value) -> Value {
    let id = session["id"].as_str().unwrap_or_default();
    json!({
        "id": format!("ppage_{}", id.trim_start_matches("cs_test_")),
        "object": "payment_page",
        "currency": session["currency"],
        "livemode": false,
        "mode": session["mode"],
        "payment_intent": session["payment_intent"],
        "payment_method_types": session["payment_method_types"],
        "payment_status": session["payment_status"],
        "session_id": id,
        "state": session["status"],
        "status": session["status"],
        "success_url": world.success_url(id),
        "total": session["amount_total"],
    })
}

fn show(world: &mut World, call: &Call) -> ApiResult {
    let session = world.object_at("checkout.session", call.id(), "session")?;
    Ok(page(world, &session))
}

fn confirm(world: &mut World, call: &Call) -> ApiResult {
    let session = world.object_at("checkout.session", call.id(), "session")?;
    let expected = &call.params["expected_amount"];
    if !expected.is_null() && *expected != session["amount_total"] {
        let message = format!(
            "The session comes to {}, not to {expected}.",
            session["amount_total"]
        );
        return Err(ApiError::coded("checkout_amount_mismatch", message).at("expected_amount"));
    }
    let method = call.params["payment_method"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    match world.pay_session(call.id(), &Payment::Method(method), call.now) {
        PayOutcome::Succeeded | PayOutcome::Processing | PayOutcome::RequiresAction { .. } => {
            let session = world.object_at("checkout.session", call.id(), "session")?;
            Ok(page(world, &session))
        }
        PayOutcome::Declined {
            code,
            decline_code,
            message,
        } => Err(ApiError::card(&code, decline_code.as_deref(), message)),
        PayOutcome::NotPayable { code, message } => Err(ApiError {
            code,
            ..ApiError::invalid(message)
        }),
    }
}
