//! Refunds: money on its way back.

use serde_json::{Value, json};

use crate::balance::Movement;
use crate::card::Behaviour;
use crate::error::{ApiError, ApiResult};
use crate::list::Listing;
use crate::money::Currency;
use crate::route::{Call, Operation};
use crate::world::{World, apply_metadata};

pub(crate) const OPERATIONS: &[Operation] = &[
    (
        "POST",
        "/v1/refunds",
        "charge:text payment_intent:text amount:int reason:duplicate|fraudulent|requested_by_customer
         metadata:map instructions_email:text refund_application_fee:bool reverse_transfer:bool
         currency:currency customer:text origin:customer_balance|",
        create,
    ),
    ("GET", "/v1/refunds", "@list charge:text payment_intent:text created:range", list),
    ("GET", "/v1/refunds/{}", "", retrieve),
    ("POST", "/v1/refunds/{}", "metadata:map", update),
    ("POST", "/v1/refunds/{}/cancel", "", cancel),
    ("GET", "/v1/charges/{}/refunds", "@list", list_of_charge),
];

/// The seconds after which the test cards with slow or failing refunds change their mind.
const DECIDES_AFTER: i64 = 1;

/// What becomes of a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The customer's bank has it.
    Succeeded,
    /// It came back, even if it had succeeded before.
    Failed,
    /// It was called back before it went out, as the dashboard can.
    Canceled,
}

impl World {
    /// Decides any refund that is not over: one that waits arrives or is called back, one that arrived comes back.
    ///
    /// # Errors
    /// When there is no such refund, or when its status does not allow it.
    pub fn decide_refund(&mut self, id: &str, arrival: Arrival, now: i64) -> ApiResult {
        self.tick(now);
        self.arrive(id, arrival, now)
    }

    /// The same, when the moment has been reached already.
    pub(crate) fn arrive(&mut self, id: &str, arrival: Arrival, now: i64) -> ApiResult {
        let before = self.object_at("refund", id, "refund")?;
        let status = before["status"].as_str().unwrap_or_default();
        let allowed = match arrival {
            Arrival::Failed => matches!(status, "pending" | "requires_action" | "succeeded"),
            Arrival::Succeeded | Arrival::Canceled => {
                matches!(status, "pending" | "requires_action")
            }
        };
        if !allowed {
            let message = format!("A refund with status {status} cannot change in this way.");
            return Err(ApiError::state("refund_unexpected_state", message).at("refund"));
        }
        let mut refund = before.clone();
        let events: &[&str] = match arrival {
            Arrival::Succeeded => {
                refund["status"] = json!("succeeded");
                &["refund.updated", "charge.refund.updated"]
            }
            Arrival::Canceled => {
                refund["status"] = json!("canceled");
                &["refund.updated", "charge.refund.updated"]
            }
            Arrival::Failed => {
                refund["status"] = json!("failed");
                refund["failure_reason"] = json!("unknown");
                &["refund.failed", "refund.updated", "charge.refund.updated"]
            }
        };
        if arrival != Arrival::Succeeded {
            refund["failure_balance_transaction"] = self.bring_back(&refund, now);
            self.give_back(&refund, now);
        }
        self.keep_changed(events, &before, &refund, now);
        Ok(refund)
    }

    /// The balance transaction of a refund that failed; its id.
    fn bring_back(&mut self, refund: &Value, now: i64) -> Value {
        let movement = Movement {
            kind: "refund_failure",
            category: "refund_failure",
            source: refund["id"].clone(),
            currency: refund["currency"].clone(),
            amount: refund["amount"].as_i64().unwrap_or_default(),
            fee: 0,
            available_on: now,
            description: json!("REFUND FAILURE"),
        };
        self.new_movement(&movement, now)
    }

    /// A charge whose refund failed has that much less refunded.
    fn give_back(&mut self, refund: &Value, now: i64) {
        let charge = refund["charge"].as_str().unwrap_or_default();
        let Some(before) = self.find("charge", charge) else {
            return;
        };
        let mut charge = before.clone();
        let amount = refund["amount"].as_i64().unwrap_or_default();
        let refunded = before["amount_refunded"].as_i64().unwrap_or_default();
        charge["amount_refunded"] = json!(refunded.saturating_sub(amount));
        charge["refunded"] = json!(false);
        self.keep_changed(&["charge.updated"], &before, &charge, now);
    }
}

fn create(world: &mut World, call: &Call) -> ApiResult {
    let params = &call.params;
    let before = charge_to_refund(world, params)?;
    let amount = amount_of(&before, params)?;
    let card = before["payment_method"]
        .as_str()
        .and_then(|id| world.find("payment_method", id));
    let behaviour = card
        .and_then(|method| world.card_of(&method))
        .map(|card| card.behaviour);
    let id = world.ids.next("re");
    let mut refund = json!({
        "id": id,
        "object": "refund",
        "amount": amount,
        "balance_transaction": null,
        "charge": before["id"],
        "created": call.now,
        "currency": before["currency"],
        "customer": before["customer"],
        "customer_account": null,
        "destination_details": destination(&before),
        "metadata": {},
        "payment_intent": before["payment_intent"],
        "payment_method": before["payment_method"],
        "reason": params["reason"],
        "receipt_number": null,
        "source_transfer_reversal": null,
        "status": if behaviour == Some(Behaviour::RefundPends) { "pending" } else { "succeeded" },
        "transfer_reversal": null,
    });
    apply_metadata(&mut refund, params);
    let movement = Movement {
        kind: if before["payment_method_details"]["type"] == "card" {
            "refund"
        } else {
            "payment_refund"
        },
        category: "refund",
        source: json!(id),
        currency: before["currency"].clone(),
        amount: -amount,
        fee: 0,
        available_on: call.now,
        description: json!("REFUND FOR CHARGE"),
    };
    refund["balance_transaction"] = world.new_movement(&movement, call.now);
    world.keep(&refund);
    let mut charge = before.clone();
    let refunded = before["amount_refunded"].as_i64().unwrap_or_default() + amount;
    charge["amount_refunded"] = json!(refunded);
    charge["refunded"] = json!(before["amount"] == refunded);
    world.keep(&charge);
    world.emit("refund.created", &refund, None, call.now);
    let previous = json!({
        "amount_refunded": before["amount_refunded"],
        "refunded": before["refunded"],
    });
    world.emit("charge.refunded", &charge, Some(previous), call.now);
    world.settle_warnings(charge["id"].as_str().unwrap_or_default(), call.now);
    match behaviour {
        Some(Behaviour::RefundPends) => world.plan(call.now + DECIDES_AFTER, "refund_arrives", &id),
        Some(Behaviour::RefundFails) => world.plan(call.now + DECIDES_AFTER, "refund_bounces", &id),
        _ => {}
    }
    Ok(refund)
}

/// The charge a refund is of: named, or the last one of a payment intent.
fn charge_to_refund(world: &World, params: &Value) -> ApiResult {
    let charge = match (params["charge"].as_str(), params["payment_intent"].as_str()) {
        (Some(id), None) => world.object_at("charge", id, "charge")?,
        (charge, Some(id)) => {
            let intent = world.object_at("payment_intent", id, "payment_intent")?;
            let latest = intent["latest_charge"]
                .as_str()
                .and_then(|id| world.find("charge", id));
            let Some(latest) = latest.filter(|charge| charge["status"] == "succeeded") else {
                let message = format!(
                    "This PaymentIntent ({id}) does not have a successful charge to refund."
                );
                return Err(ApiError::state("payment_intent_unexpected_state", message)
                    .at("payment_intent"));
            };
            if charge.is_some_and(|charge| latest["id"] != charge) {
                let message = "The charge is not the one of the payment intent. Give one of them.";
                return Err(ApiError::invalid(message).at("charge"));
            }
            latest
        }
        (None, None) => {
            let message = "One of the following params should be provided for this request: payment_intent or charge.";
            return Err(ApiError::coded("parameter_missing", message).at("payment_intent"));
        }
    };
    if charge["status"] != "succeeded" {
        let message = "You can only refund a charge that succeeded.";
        return Err(ApiError::state("charge_not_refundable", message).at("charge"));
    }
    let id = charge["id"].as_str().unwrap_or_default();
    let disputed = world
        .records
        .objects_by("dispute", "charge", id)
        .any(|dispute| dispute["is_charge_refundable"] == false);
    if disputed {
        let message = format!(
            "Charge {} has been charged back; cannot issue a refund.",
            charge["id"]
        );
        return Err(ApiError::state("charge_disputed", message.replace('"', "")).at("charge"));
    }
    Ok(charge)
}

fn amount_of(charge: &Value, params: &Value) -> ApiResult<i64> {
    let whole = charge["amount"].as_i64().unwrap_or_default();
    let left = whole.saturating_sub(charge["amount_refunded"].as_i64().unwrap_or_default());
    if charge["refunded"] == true || left == 0 {
        let id = charge["id"].as_str().unwrap_or_default();
        let message = format!("Charge {id} has already been refunded.");
        return Err(ApiError::state("charge_already_refunded", message));
    }
    let amount = params["amount"].as_i64().unwrap_or(left);
    if amount < 1 {
        let message = format!("Invalid positive integer: {amount}. A refund is of at least 1.");
        return Err(ApiError::coded("parameter_invalid_integer", message).at("amount"));
    }
    if amount > left {
        let currency = Currency::of(charge["currency"].as_str().unwrap_or_default(), "currency")?;
        let (amount, left) = (currency.show(amount), currency.show(left));
        let message = format!(
            "Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
        );
        return Err(ApiError {
            executed: true,
            ..ApiError::invalid(message).at("amount")
        });
    }
    Ok(amount)
}

fn destination(charge: &Value) -> Value {
    match charge["payment_method_details"]["type"].as_str() {
        Some("card") => json!({
            "type": "card",
            "card": { "reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund" },
        }),
        Some("us_bank_account") => json!({ "type": "us_bank_transfer", "us_bank_transfer": {
            "reference": null, "reference_status": null,
        }}),
        _ => json!({ "type": "sepa_debit" }),
    }
}

fn list(world: &mut World, call: &Call) -> ApiResult {
    Listing::of("refund", &["charge", "payment_intent"]).page(&world.records, call)
}

fn list_of_charge(world: &mut World, call: &Call) -> ApiResult {
    world.object_at("charge", call.id(), "charge")?;
    let mut of_charge = call.clone();
    of_charge.params["charge"] = json!(call.id());
    Listing::of("refund", &["charge"]).page(&world.records, &of_charge)
}

fn retrieve(world: &mut World, call: &Call) -> ApiResult {
    world.object_at("refund", call.id(), "refund")
}

fn update(world: &mut World, call: &Call) -> ApiResult {
    let before = world.object_at("refund", call.id(), "refund")?;
    let mut refund = before.clone();
    apply_metadata(&mut refund, &call.params);
    world.keep_changed(
        &["refund.updated", "charge.refund.updated"],
        &before,
        &refund,
        call.now,
    );
    Ok(refund)
}

fn cancel(world: &mut World, call: &Call) -> ApiResult {
    let refund = world.object_at("refund", call.id(), "refund")?;
    // Only refunds that wait for the customer can be canceled by a call, and the sandbox's methods never make such a
    // one. One that waits for a bank can be called back as on the dashboard: by `decide_refund`.
    let status = refund["status"].as_str().unwrap_or_default();
    let message = format!(
        "A refund with status {status} cannot be canceled. Only one with status requires_action can."
    );
    Err(ApiError::state("refund_unexpected_state", message))
}
