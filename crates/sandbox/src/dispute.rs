//! Disputes: a customer's bank takes the money back, until the evidence is weighed.

use serde_json::{Value, json};

use crate::balance::Movement;
use crate::card::Behaviour;
use crate::error::{ApiError, ApiResult};
use crate::list::Listing;
use crate::route::{Call, Operation};
use crate::world::{World, apply_metadata};

pub(crate) const OPERATIONS: &[Operation] = &[
    (
        "GET",
        "/v1/disputes",
        "@list charge:text payment_intent:text created:range",
        list,
    ),
    ("GET", "/v1/disputes/{}", "", retrieve),
    (
        "POST",
        "/v1/disputes/{}",
        "evidence:any metadata:map submit:bool
         intended_submission_method:manual|prefer_manual|prefer_smart_disputes|smart_disputes",
        update,
    ),
    ("POST", "/v1/disputes/{}/close", "", close),
    (
        "GET",
        "/v1/radar/early_fraud_warnings",
        "@list charge:text payment_intent:text created:range",
        list_warnings,
    ),
    (
        "GET",
        "/v1/radar/early_fraud_warnings/{}",
        "",
        retrieve_warning,
    ),
];

/// What Stripe takes for a dispute, in minor units.
const FEE: i64 = 1500;

/// The pieces of evidence, all text.
const EVIDENCE: &[&str] = &[
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
];

impl World {
    /// Opens the dispute that the card of a charge is made for.
    pub(crate) fn open_dispute(&mut self, charge: &str, now: i64) {
        let Some(before) = self.find("charge", charge) else {
            return;
        };
        let method = before["payment_method"]
            .as_str()
            .and_then(|id| self.find("payment_method", id));
        let behaviour = method
            .and_then(|method| self.card_of(&method))
            .map(|card| card.behaviour);
        let Some(Behaviour::Dispute { reason, inquiry }) = behaviour else {
            return;
        };
        let mut evidence = json!({ "enhanced_evidence": {} });
        for name in EVIDENCE {
            evidence[*name] = Value::Null;
        }
        let dispute = json!({
            "id": self.ids.next("du"),
            "object": "dispute",
            "amount": before["amount"],
            "balance_transactions": [],
            "charge": charge,
            "created": now,
            "currency": before["currency"],
            "enhanced_eligibility_types": [],
            "evidence": evidence,
            "evidence_details": {
                "due_by": now + 9 * 86_400,
                "enhanced_eligibility": {},
                "has_evidence": false,
                "past_due": false,
                "submission_count": 0,
                "submission_method": "not_submitted",
            },
            "intended_submission_method": null,
            "is_charge_refundable": inquiry,
            "livemode": false,
            "metadata": {},
            "payment_intent": before["payment_intent"],
            "payment_method_details": {
                "type": "card",
                "card": {
                    "brand": before["payment_method_details"]["card"]["brand"],
                    "case_type": if inquiry { "inquiry" } else { "chargeback" },
                    "network": before["payment_method_details"]["card"]["brand"],
                    "network_reason_code": "10.4",
                },
            },
            "reason": reason,
            "status": if inquiry { "warning_needs_response" } else { "needs_response" },
        });
        self.keep(&dispute);
        let mut disputed = before.clone();
        disputed["disputed"] = json!(true);
        self.emit("charge.dispute.created", &dispute, None, now);
        self.keep_changed(&["charge.updated"], &before, &disputed, now);
        if !inquiry {
            self.withdraw(dispute, now);
        }
    }

    /// Warns of a charge that its issuer calls fraudulent.
    pub(crate) fn warn_of_fraud(&mut self, charge: &str, now: i64) {
        let Some(found) = self.find("charge", charge) else {
            return;
        };
        let warning = json!({
            "id": self.ids.next("issfr"),
            "object": "radar.early_fraud_warning",
            "actionable": true,
            "charge": charge,
            "created": now,
            "fraud_type": "unauthorized_use_of_card",
            "livemode": false,
            "payment_intent": found["payment_intent"],
        });
        self.keep(&warning);
        self.emit("radar.early_fraud_warning.created", &warning, None, now);
    }

    /// Takes the money of a dispute out of the balance.
    fn withdraw(&mut self, mut dispute: Value, now: i64) {
        let amount = dispute["amount"].as_i64().unwrap_or_default();
        self.move_funds(&mut dispute, -amount, FEE, now);
        self.keep(&dispute);
        self.emit("charge.dispute.funds_withdrawn", &dispute, None, now);
    }

    fn move_funds(&mut self, dispute: &mut Value, amount: i64, fee: i64, now: i64) {
        let movement = Movement {
            kind: "adjustment",
            category: if amount < 0 {
                "dispute"
            } else {
                "dispute_reversal"
            },
            source: dispute["id"].clone(),
            currency: dispute["currency"].clone(),
            amount,
            fee,
            available_on: now,
            description: json!(if amount < 0 {
                "Chargeback withdrawal"
            } else {
                "Chargeback reversal"
            }),
        };
        let id = self.new_movement(&movement, now);
        let booked = id
            .as_str()
            .and_then(|id| self.find("balance_transaction", id));
        if let (Some(booked), Some(all)) = (booked, dispute["balance_transactions"].as_array_mut())
        {
            all.push(booked);
        }
    }

    /// Ends a dispute.
    fn conclude_dispute(&mut self, mut dispute: Value, status: &str, now: i64) -> Value {
        dispute["status"] = json!(status);
        if status == "won" {
            let amount = dispute["amount"].as_i64().unwrap_or_default();
            self.move_funds(&mut dispute, amount, 0, now);
            self.keep(&dispute);
            self.emit("charge.dispute.funds_reinstated", &dispute, None, now);
        }
        self.keep(&dispute);
        self.emit("charge.dispute.closed", &dispute, None, now);
        dispute
    }
}

fn list(world: &mut World, call: &Call) -> ApiResult {
    page_of(world, call, "dispute")
}

fn list_warnings(world: &mut World, call: &Call) -> ApiResult {
    page_of(world, call, "radar.early_fraud_warning")
}

fn page_of(world: &World, call: &Call, kind: &str) -> ApiResult {
    Listing::of(kind, &["charge", "payment_intent"]).page(&world.records, call)
}

fn retrieve(world: &mut World, call: &Call) -> ApiResult {
    world.object_at("dispute", call.id(), "dispute")
}

fn retrieve_warning(world: &mut World, call: &Call) -> ApiResult {
    world.object_at(
        "radar.early_fraud_warning",
        call.id(),
        "early_fraud_warning",
    )
}

fn update(world: &mut World, call: &Call) -> ApiResult {
    let params = &call.params;
    let before = world.object_at("dispute", call.id(), "dispute")?;
    let mut dispute = before.clone();
    apply_metadata(&mut dispute, params);
    let Some(given) = params["evidence"].as_object() else {
        world.keep_changed(&["charge.dispute.updated"], &before, &dispute, call.now);
        return Ok(dispute);
    };
    check_open(&before)?;
    for (name, text) in given {
        if !EVIDENCE.contains(&name.as_str()) {
            return Err(ApiError::unknown(&format!("evidence[{name}]")));
        }
        dispute["evidence"][name] = text.clone();
    }
    let details = &mut dispute["evidence_details"];
    details["has_evidence"] = json!(true);
    let submits = params["submit"] != false;
    if submits {
        details["submission_count"] = json!(details["submission_count"].as_i64().unwrap_or(0) + 1);
        details["submission_method"] = json!("manual");
        let inquiry = dispute["status"]
            .as_str()
            .is_some_and(|status| status.starts_with("warning"));
        dispute["status"] = json!(if inquiry {
            "warning_under_review"
        } else {
            "under_review"
        });
    }
    world.keep_changed(&["charge.dispute.updated"], &before, &dispute, call.now);
    let text = dispute["evidence"]["uncategorized_text"]
        .as_str()
        .map(str::to_owned);
    let inquiry = dispute["status"]
        .as_str()
        .is_some_and(|status| status.starts_with("warning"));
    Ok(match text.as_deref().filter(|_| submits) {
        Some("winning_evidence") => {
            let status = if inquiry { "warning_closed" } else { "won" };
            world.conclude_dispute(dispute, status, call.now)
        }
        Some("losing_evidence") => world.conclude_dispute(dispute, "lost", call.now),
        Some("escalate_inquiry_evidence") if inquiry => {
            dispute["status"] = json!("needs_response");
            dispute["is_charge_refundable"] = json!(false);
            dispute["payment_method_details"]["card"]["case_type"] = json!("chargeback");
            world.withdraw(dispute, call.now);
            world.object_at("dispute", call.id(), "dispute")?
        }
        _ => dispute,
    })
}

fn close(world: &mut World, call: &Call) -> ApiResult {
    let dispute = world.object_at("dispute", call.id(), "dispute")?;
    check_open(&dispute)?;
    let inquiry = dispute["status"]
        .as_str()
        .is_some_and(|status| status.starts_with("warning"));
    Ok(world.conclude_dispute(
        dispute,
        if inquiry { "warning_closed" } else { "lost" },
        call.now,
    ))
}

fn check_open(dispute: &Value) -> ApiResult<()> {
    let status = dispute["status"].as_str().unwrap_or_default();
    if matches!(status, "won" | "lost" | "warning_closed") {
        let message = format!("This dispute is over ({status}).");
        return Err(ApiError {
            executed: true,
            ..ApiError::invalid(message).at("dispute")
        });
    }
    Ok(())
}
