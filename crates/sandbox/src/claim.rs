//! What a customer's bank claims: it takes the money of a charge back, until it has weighed the evidence.

use serde_json::{Value, json};

use crate::balance::Movement;
use crate::card::Behaviour;
use crate::error::{ApiError, ApiResult};
use crate::world::World;

/// What a customer's bank says about a charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// How much is disputed, in minor units; `None` for what has not been refunded yet, or all if nothing is left.
    pub amount: Option<i64>,
    /// Why: one of [`REASONS`].
    pub reason: String,
    /// Only a question: no money moves until it is escalated.
    pub inquiry: bool,
}

impl Default for Claim {
    /// The customer says that somebody else paid.
    fn default() -> Self {
        Self {
            amount: None,
            reason: "fraudulent".to_owned(),
            inquiry: false,
        }
    }
}

/// How a bank decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// For the shop; the money comes back. An inquiry is closed.
    Won,
    /// For the customer. An inquiry is closed; it took no money.
    Lost,
    /// An inquiry becomes a dispute and takes the money.
    Escalated,
}

/// The reasons Stripe passes on.
pub const REASONS: &[&str] = &[
    "bank_cannot_process",
    "check_returned",
    "credit_not_processed",
    "customer_initiated",
    "debit_not_authorized",
    "duplicate",
    "fraudulent",
    "general",
    "incorrect_account_details",
    "insufficient_funds",
    "noncompliant",
    "product_not_received",
    "product_unacceptable",
    "subscription_canceled",
    "unrecognized",
];

/// What Stripe takes for a dispute, in minor units. It is not given back.
const FEE: i64 = 1500;

/// The days a shop has to answer.
const DAYS_TO_ANSWER: i64 = 9;

/// The pieces of evidence, all text.
pub(crate) const EVIDENCE: &[&str] = &[
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
    /// Opens a dispute about any charge that brought money, named by its id or by that of its payment intent.
    ///
    /// # Errors
    /// When there is no such charge, when it brought no money, or when more is disputed than it brought.
    pub fn open_dispute(&mut self, charge: &str, claim: &Claim, now: i64) -> ApiResult {
        self.tick(now);
        self.claim(charge, claim, now)
    }

    /// The same, when the moment has been reached already.
    fn claim(&mut self, charge: &str, claim: &Claim, now: i64) -> ApiResult {
        let before = self.charge_named(charge)?;
        let amount = self.disputable(&before, claim)?;
        if !REASONS.contains(&claim.reason.as_str()) {
            let message = format!("Invalid reason: must be one of {}", REASONS.join(", "));
            return Err(ApiError::invalid(message).at("reason"));
        }
        let dispute = self.new_dispute(&before, claim, amount, now);
        let id = dispute["id"].as_str().unwrap_or_default().to_owned();
        self.emit("charge.dispute.created", &dispute, None, now);
        let mut disputed = before.clone();
        disputed["disputed"] = json!(true);
        self.keep_changed(&["charge.updated"], &before, &disputed, now);
        if !claim.inquiry {
            self.withdraw(dispute, now);
        }
        self.settle_warnings(before["id"].as_str().unwrap_or_default(), now);
        self.object_at("dispute", &id, "dispute")
    }

    /// Decides a dispute as the customer's bank does.
    ///
    /// # Errors
    /// When there is no such dispute, when it is over, or when it cannot be escalated.
    pub fn decide_dispute(&mut self, id: &str, verdict: Verdict, now: i64) -> ApiResult {
        self.tick(now);
        let mut dispute = self.object_at("dispute", id, "dispute")?;
        check_open(&dispute)?;
        match (verdict, is_inquiry(&dispute)) {
            (Verdict::Escalated, true) => self.escalate(dispute, now)?,
            (Verdict::Escalated, false) => {
                let message = "Only an inquiry can be escalated; this is a dispute already.";
                return Err(ApiError::invalid(message).at("dispute"));
            }
            (_, true) => self.close_dispute(dispute, "warning_closed", now),
            (Verdict::Lost, false) => self.close_dispute(dispute, "lost", now),
            (Verdict::Won, false) => {
                let amount = dispute["amount"].as_i64().unwrap_or_default();
                dispute["status"] = json!("won");
                dispute["is_charge_refundable"] = json!(true);
                self.move_funds(&mut dispute, amount, 0, now);
                self.keep(&dispute);
                self.emit("charge.dispute.funds_reinstated", &dispute, None, now);
                self.close_dispute(dispute, "won", now);
            }
        }
        self.object_at("dispute", id, "dispute")
    }

    /// Opens the dispute that the card of a charge is made for.
    pub(crate) fn open_dispute_of_card(&mut self, charge: &str, now: i64) {
        let method = self
            .find("charge", charge)
            .and_then(|charge| self.find("payment_method", charge["payment_method"].as_str()?));
        let behaviour = method
            .and_then(|method| self.card_of(&method))
            .map(|card| card.behaviour);
        let Some(Behaviour::Dispute { reason, inquiry }) = behaviour else {
            return;
        };
        let claim = Claim {
            amount: None,
            reason: reason.to_owned(),
            inquiry,
        };
        if let Err(error) = self.claim(charge, &claim, now) {
            tracing::debug!(reason = %error.message, "a charge made to be disputed was not");
        }
    }

    /// The charge of that id, or the last one of the payment intent of that id.
    pub(crate) fn charge_named(&self, id: &str) -> ApiResult {
        let intent = self.find("payment_intent", id);
        let latest = intent.and_then(|intent| intent["latest_charge"].as_str().map(str::to_owned));
        self.object_at("charge", latest.as_deref().unwrap_or(id), "charge")
    }

    /// How much of a charge a claim is about.
    fn disputable(&self, charge: &Value, claim: &Claim) -> ApiResult<i64> {
        let number = |name: &str| charge[name].as_i64().unwrap_or_default();
        if charge["paid"] != true || charge["captured"] != true {
            let message = "Only a charge that brought money can be disputed.";
            return Err(ApiError::invalid(message).at("charge"));
        }
        let id = charge["id"].as_str().unwrap_or_default();
        let disputed: i64 = self
            .records
            .objects_by("dispute", "charge", id)
            .filter(|dispute| !matches!(dispute["status"].as_str(), Some("won" | "warning_closed")))
            .filter_map(|dispute| dispute["amount"].as_i64())
            .sum();
        let most = number("amount_captured").saturating_sub(disputed);
        let kept = number("amount").saturating_sub(number("amount_refunded"));
        let kept = kept.saturating_sub(disputed);
        let amount = claim.amount.unwrap_or(if kept > 0 { kept } else { most });
        if (1..=most).contains(&amount) {
            return Ok(amount);
        }
        let message = format!(
            "The amount in dispute has to be from 1 to {most}, what the charge brought and is not in dispute yet."
        );
        Err(ApiError::invalid(message).at("amount"))
    }

    fn new_dispute(&mut self, charge: &Value, claim: &Claim, amount: i64, now: i64) -> Value {
        let mut evidence = json!({ "enhanced_evidence": {} });
        for name in EVIDENCE {
            evidence[*name] = Value::Null;
        }
        let mut dispute = json!({
            "id": self.ids.next("du"),
            "object": "dispute",
            "amount": amount,
            "balance_transactions": [],
            "charge": charge["id"],
            "created": now,
            "currency": charge["currency"],
            "enhanced_eligibility_types": [],
            "evidence": evidence,
            "evidence_details": {
                "due_by": now + DAYS_TO_ANSWER * 86_400,
                "enhanced_eligibility": {},
                "has_evidence": false,
                "past_due": false,
                "submission_count": 0,
                "submission_method": "not_submitted",
            },
            "intended_submission_method": null,
            "is_charge_refundable": claim.inquiry,
            "livemode": false,
            "metadata": {},
            "payment_intent": charge["payment_intent"],
            "reason": claim.reason,
            "status": if claim.inquiry { "warning_needs_response" } else { "needs_response" },
        });
        let card = &charge["payment_method_details"]["card"];
        if card.is_object() {
            dispute["payment_method_details"] = json!({
                "type": "card",
                "card": {
                    "brand": card["brand"],
                    "case_type": if claim.inquiry { "inquiry" } else { "chargeback" },
                    "network": card["brand"],
                    "network_reason_code": "10.4",
                },
            });
        }
        self.keep(&dispute);
        dispute
    }

    /// Makes an inquiry a dispute.
    fn escalate(&mut self, mut dispute: Value, now: i64) -> ApiResult<()> {
        let charge = self.charge_named(dispute["charge"].as_str().unwrap_or_default())?;
        if charge["refunded"] == true {
            let message =
                "The charge was refunded in full: nothing can be taken for this inquiry any more.";
            return Err(ApiError::invalid(message).at("dispute"));
        }
        dispute["status"] = json!("needs_response");
        dispute["is_charge_refundable"] = json!(false);
        if dispute["payment_method_details"].is_object() {
            dispute["payment_method_details"]["card"]["case_type"] = json!("chargeback");
        }
        // What was refunded since the bank asked is not taken a second time.
        let kept = charge["amount"].as_i64().unwrap_or_default()
            - charge["amount_refunded"].as_i64().unwrap_or_default();
        let asked = dispute["amount"].as_i64().unwrap_or_default();
        dispute["amount"] = json!(asked.min(kept));
        self.withdraw(dispute, now);
        Ok(())
    }

    /// Takes the money of a dispute out of the balance.
    fn withdraw(&mut self, mut dispute: Value, now: i64) {
        let amount = dispute["amount"].as_i64().unwrap_or_default();
        self.move_funds(&mut dispute, -amount, FEE, now);
        self.keep(&dispute);
        self.emit("charge.dispute.funds_withdrawn", &dispute, None, now);
    }

    fn move_funds(&mut self, dispute: &mut Value, amount: i64, fee: i64, now: i64) {
        let (category, description) = if amount < 0 {
            ("dispute", "Chargeback withdrawal")
        } else {
            ("dispute_reversal", "Chargeback reversal")
        };
        let movement = Movement {
            kind: "adjustment",
            category,
            source: dispute["id"].clone(),
            currency: dispute["currency"].clone(),
            amount,
            fee,
            available_on: now,
            description: json!(description),
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

    fn close_dispute(&mut self, mut dispute: Value, status: &str, now: i64) {
        dispute["status"] = json!(status);
        self.keep(&dispute);
        self.emit("charge.dispute.closed", &dispute, None, now);
    }
}

/// Whether a dispute is only a question so far.
pub(crate) fn is_inquiry(dispute: &Value) -> bool {
    let status = dispute["status"].as_str();
    status.is_some_and(|status| status.starts_with("warning"))
}

/// Checks that a dispute has not been decided.
pub(crate) fn check_open(dispute: &Value) -> ApiResult<()> {
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
