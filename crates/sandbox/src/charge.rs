//! Charges: the attempts to move money, and how they reach the balance.

use serde_json::{Value, json};

use crate::card::Behaviour;
use crate::error::{ApiError, ApiResult};
use crate::intent::apply_shipping;
use crate::list::Listing;
use crate::money::Currency;
use crate::route::{Call, Operation};
use crate::world::{World, apply, apply_metadata};

pub(crate) const OPERATIONS: &[Operation] = &[
    (
        "GET",
        "/v1/charges",
        "@list created:range customer:text payment_intent:text transfer_group:text",
        list,
    ),
    ("GET", "/v1/charges/{}", "", retrieve),
    (
        "POST",
        "/v1/charges/{}",
        "customer:text description:text metadata:map receipt_email:text shipping:any transfer_group:text
         fraud_details:{user_report:fraudulent|safe}",
        update,
    ),
    (
        "POST",
        "/v1/charges/{}/capture",
        "amount:int receipt_email:text statement_descriptor:text statement_descriptor_suffix:text
         transfer_group:text transfer_data:any application_fee:int application_fee_amount:int",
        capture,
    ),
];

impl World {
    /// Makes the charge of an intent's attempt; its outcome is for the caller to set.
    pub(crate) fn new_charge(
        &mut self,
        intent: &Value,
        method: &Value,
        authenticated: bool,
        now: i64,
    ) -> Value {
        let id = self.ids.next("ch");
        let receipt = format!("{}/receipts/{id}", self.setup.base_url);
        json!({
            "id": id,
            "object": "charge",
            "amount": intent["amount"],
            "amount_captured": 0,
            "amount_refunded": 0,
            "application": null,
            "application_fee": null,
            "application_fee_amount": null,
            "balance_transaction": null,
            "billing_details": method["billing_details"],
            "calculated_statement_descriptor": "BURSAR SANDBOX",
            "captured": false,
            "created": now,
            "currency": intent["currency"],
            "customer": intent["customer"],
            "description": intent["description"],
            "disputed": false,
            "failure_balance_transaction": null,
            "failure_code": null,
            "failure_message": null,
            "fraud_details": {},
            "livemode": false,
            "metadata": intent["metadata"],
            "on_behalf_of": null,
            "outcome": self.outcome(method),
            "paid": false,
            "payment_intent": intent["id"],
            "payment_method": method["id"],
            "payment_method_details": self.method_details(method, intent, authenticated),
            "receipt_email": intent["receipt_email"],
            "receipt_number": null,
            "receipt_url": receipt,
            "refunded": false,
            "review": null,
            "shipping": intent["shipping"],
            "source": null,
            "source_transfer": null,
            "statement_descriptor": intent["statement_descriptor"],
            "statement_descriptor_suffix": intent["statement_descriptor_suffix"],
            "status": "pending",
            "transfer_data": null,
            "transfer_group": intent["transfer_group"],
        })
    }

    fn outcome(&self, method: &Value) -> Value {
        let level = match self.card_of(method).map(|card| card.behaviour) {
            Some(Behaviour::Risk(level)) => level,
            Some(_) => "normal",
            None => "not_assessed",
        };
        json!({
            "advice_code": null,
            "network_advice_code": null,
            "network_decline_code": null,
            "network_status": "approved_by_network",
            "reason": null,
            "risk_level": level,
            "risk_score": match level { "highest" => 90, "elevated" => 70, _ => 20 },
            "seller_message": "Payment complete.",
            "type": "authorized",
        })
    }

    fn method_details(&self, method: &Value, intent: &Value, authenticated: bool) -> Value {
        let kind = method["type"].as_str().unwrap_or_default();
        let known = &method[kind];
        let details = match kind {
            "card" => {
                let behaviour = self.card_of(method).map(|card| card.behaviour);
                card_details(known, behaviour, intent, authenticated)
            }
            "sepa_debit" => json!({
                "bank_code": known["bank_code"],
                "branch_code": known["branch_code"],
                "country": known["country"],
                "fingerprint": known["fingerprint"],
                "last4": known["last4"],
                "mandate": null,
            }),
            _ => json!({
                "account_holder_type": known["account_holder_type"],
                "account_type": known["account_type"],
                "bank_name": known["bank_name"],
                "fingerprint": known["fingerprint"],
                "last4": known["last4"],
                "payment_reference": null,
                "routing_number": known["routing_number"],
            }),
        };
        let mut all = json!({ "type": kind });
        all[kind] = details;
        all
    }

    /// Brings the whole amount of a charge into the balance. The caller keeps the charge.
    pub(crate) fn settle_charge(&mut self, charge: &mut Value, available_on: i64, now: i64) {
        let amount = charge["amount"].as_i64().unwrap_or_default();
        charge["status"] = json!("succeeded");
        charge["paid"] = json!(true);
        charge["captured"] = json!(true);
        charge["amount_captured"] = json!(amount);
        charge["balance_transaction"] = self.credit_charge(charge, amount, available_on, now);
    }

    /// The balance transaction of money that came in by a charge; its id.
    fn credit_charge(&mut self, charge: &Value, amount: i64, available_on: i64, now: i64) -> Value {
        let currency = charge["currency"].as_str().unwrap_or_default();
        let fee = Currency::of(currency, "").map_or(0, |currency| currency.fee(amount).min(amount));
        let charge = crate::balance::Movement {
            kind: if charge["payment_method_details"]["type"] == "card" {
                "charge"
            } else {
                "payment"
            },
            category: "charge",
            source: charge["id"].clone(),
            currency: charge["currency"].clone(),
            amount,
            fee,
            available_on,
            description: charge["description"].clone(),
        };
        self.new_movement(&charge, now)
    }

    /// Captures part or all of a charge that was only reserved.
    pub(crate) fn capture_charge(&mut self, charge: &mut Value, amount: i64, now: i64) {
        let reserved = charge["amount"].as_i64().unwrap_or_default();
        charge["captured"] = json!(true);
        charge["amount_captured"] = json!(amount);
        charge["amount_refunded"] = json!(reserved.saturating_sub(amount));
        charge["balance_transaction"] = self.credit_charge(charge, amount, now + 2 * 86_400, now);
        self.keep(charge);
        self.emit("charge.captured", charge, None, now);
    }
}

fn card_details(
    card: &Value,
    behaviour: Option<Behaviour>,
    intent: &Value,
    authenticated: bool,
) -> Value {
    let checks = match behaviour {
        Some(Behaviour::Checks(cvc, line1, postal)) => (cvc, json!(line1), json!(postal)),
        _ => ("pass", Value::Null, Value::Null),
    };
    json!({
        "amount_authorized": intent["amount"],
        "authorization_code": null,
        "brand": card["brand"],
        "checks": {
            "address_line1_check": checks.1,
            "address_postal_code_check": checks.2,
            "cvc_check": checks.0,
        },
        "country": card["country"],
        "electronic_commerce_indicator": null,
        "exp_month": card["exp_month"],
        "exp_year": card["exp_year"],
        "extended_authorization": { "status": "disabled" },
        "fingerprint": card["fingerprint"],
        "funding": card["funding"],
        "incremental_authorization": { "status": "unavailable" },
        "installments": null,
        "last4": card["last4"],
        "mandate": null,
        "multicapture": { "status": "unavailable" },
        "network": card["brand"],
        "network_token": { "used": false },
        "network_transaction_id": null,
        "overcapture": { "maximum_amount_capturable": intent["amount"], "status": "unavailable" },
        "regulated_status": "unregulated",
        "three_d_secure": if authenticated { three_d_secure() } else { Value::Null },
        "transaction_link_id": null,
        "wallet": null,
    })
}

fn three_d_secure() -> Value {
    json!({
        "authentication_flow": "challenge",
        "electronic_commerce_indicator": "05",
        "exemption_indicator": null,
        "result": "authenticated",
        "result_reason": null,
        "transaction_id": null,
        "version": "2.2.0",
    })
}

fn list(world: &mut World, call: &Call) -> ApiResult {
    let filters = ["payment_intent", "customer", "transfer_group"];
    Listing::of("charge", &filters).page(&world.records, call)
}

fn retrieve(world: &mut World, call: &Call) -> ApiResult {
    world.object_at("charge", call.id(), "id")
}

fn update(world: &mut World, call: &Call) -> ApiResult {
    let before = world.object_at("charge", call.id(), "id")?;
    let mut charge = before.clone();
    if let Some(customer) = call.params["customer"].as_str() {
        world.object_in("customer", customer, "customer")?;
    }
    apply(
        &mut charge,
        &call.params,
        &["customer", "description", "receipt_email", "transfer_group"],
    );
    if let Some(report) = call.params["fraud_details"]["user_report"].as_str() {
        charge["fraud_details"] = json!({ "user_report": report });
    }
    apply_shipping(&mut charge, &call.params);
    apply_metadata(&mut charge, &call.params);
    world.keep_changed(&["charge.updated"], &before, &charge, call.now);
    Ok(charge)
}

fn capture(world: &mut World, call: &Call) -> ApiResult {
    let charge = world.object_at("charge", call.id(), "id")?;
    if charge["captured"] == true {
        let message = format!("Charge {} has already been captured.", call.id());
        return Err(ApiError::state("charge_already_captured", message));
    }
    if charge["status"] != "succeeded" || charge["refunded"] == true {
        let message = format!("Charge {} cannot be captured.", call.id());
        return Err(ApiError::state("charge_not_capturable", message));
    }
    let reserved = charge["amount"].as_i64().unwrap_or_default();
    let amount = call.params["amount"].as_i64().unwrap_or(reserved);
    if amount > reserved || amount < 1 {
        let message =
            format!("The amount to capture has to be from 1 to {reserved}, what was reserved.");
        return Err(ApiError::state("amount_too_large", message).at("amount"));
    }
    let intent = charge["payment_intent"].as_str().unwrap_or_default();
    world.capture_intent(intent, amount, call.now);
    world.object_at("charge", call.id(), "id")
}
