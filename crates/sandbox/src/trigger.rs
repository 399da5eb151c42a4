//! Makes an event happen on demand, as `stripe trigger` does: by the requests that lead to it. No event is made up;
//! whatever else the requests cause happens too.

mod known;

use serde_json::{Map, Value, json};

use crate::pay::{PayOutcome, Payment};
use crate::refund::Arrival;
use crate::{Sandbox, SandboxError, World};
pub use known::KNOWN;

/// Why an event could not be made to happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TriggerError {
    /// Nobody knows an event of that name.
    #[error("'{0}' is not an event this sandbox can trigger. Choose one of: {list}", list = KNOWN.join(", "))]
    Unknown(String),
    /// An override that is not of the form `{"checkout_session": {"metadata": {…}}}`.
    #[error(
        "overrides have to be an object of objects, by the name of the request they change: {0}"
    )]
    Overrides(String),
    /// One of the requests was refused, most likely because of an override.
    #[error("the request for '{step}' was refused: {message}")]
    Refused {
        /// The name of the request: `product`, `price`, `checkout_session`, `payment_intent`, `refund`, `customer`.
        step: String,
        /// What the API said.
        message: String,
    },
    /// Every request succeeded, and still the event did not happen.
    #[error("'{0}' did not happen: an override must have led elsewhere")]
    Silent(String),
}

impl Sandbox {
    /// Makes `event` happen, all or nothing; see [`trigger`].
    ///
    /// # Errors
    /// When the journal cannot be written; the inner result is that of [`trigger`].
    pub fn trigger(
        &self,
        event: &str,
        overrides: &Value,
    ) -> Result<Result<Vec<String>, TriggerError>, SandboxError> {
        self.change(|world, now| {
            let caused = trigger(world, event, overrides, now);
            if caused.is_err() {
                world.rollback();
            }
            caused
        })
    }
}

/// Makes `event` happen and returns the ids of all events this caused, oldest first.
///
/// `overrides` changes what is asked for: an object with parameters for each request by its name (`product`,
/// `price`, `checkout_session`, `payment_intent`, `refund`, `customer`), such as
/// `{"checkout_session": {"client_reference_id": "topup_1"}}`; null for none.
///
/// # Errors
/// See [`TriggerError`]. What had happened before the error stays, unless the caller takes it back.
pub fn trigger(
    world: &mut World,
    event: &str,
    overrides: &Value,
    now: i64,
) -> Result<Vec<String>, TriggerError> {
    if !KNOWN.contains(&event) {
        return Err(TriggerError::Unknown(event.to_owned()));
    }
    let overrides = match overrides {
        Value::Null => Map::new(),
        Value::Object(all) if all.values().all(Value::is_object) => all.clone(),
        other => return Err(TriggerError::Overrides(other.to_string())),
    };
    let before = newest(world);
    let mut story = Story {
        world,
        overrides,
        now,
    };
    story.tell(event)?;
    let mut caused = Vec::new();
    let mut happened = false;
    for found in story.world.records.objects("event") {
        let id = found["id"].as_str().unwrap_or_default();
        if Some(id) == before.as_deref() {
            break;
        }
        happened |= found["type"] == event;
        caused.push(id.to_owned());
    }
    caused.reverse();
    if happened {
        Ok(caused)
    } else {
        Err(TriggerError::Silent(event.to_owned()))
    }
}

fn newest(world: &World) -> Option<String> {
    let event = world.records.objects("event").next()?;
    event["id"].as_str().map(str::to_owned)
}

/// The requests that lead to one event.
struct Story<'a> {
    world: &'a mut World,
    overrides: Map<String, Value>,
    now: i64,
}

type Told<T = ()> = Result<T, TriggerError>;

impl Story<'_> {
    fn tell(&mut self, event: &str) -> Told {
        match event {
            "product.created" => self.product().map(drop),
            "price.created" => self.price().map(drop),
            "customer.created" => self.customer().map(drop),
            "customer.updated" => self.customer_updated(),
            "customer.deleted" => self.customer_deleted(),
            "coupon.created" => self.coupon().map(drop),
            "coupon.deleted" => self.coupon_deleted(),
            "promotion_code.created" => self.promotion_code(),
            "payment_method.attached" => self.card_saved().map(drop),
            "payment_method.detached" => self.card_forgotten(),
            "setup_intent.created" | "setup_intent.succeeded" => self.set_up("pm_card_visa"),
            "setup_intent.setup_failed" => self.set_up_declined(),
            "checkout.session.completed" => self.session_paid(),
            "checkout.session.expired" => self.session_expired(),
            "checkout.session.async_payment_succeeded" => self.bank_debit(Some(true)),
            "checkout.session.async_payment_failed" => self.bank_debit(Some(false)),
            "payment_intent.processing" => self.bank_debit(None),
            "payment_intent.created" => self.intent(json!({})).map(drop),
            "payment_intent.canceled" => self.intent_canceled(),
            "payment_intent.succeeded" | "charge.succeeded" => {
                self.charge("pm_card_visa").map(drop)
            }
            "payment_intent.payment_failed" | "charge.failed" => self.declined(),
            "payment_intent.requires_action" => {
                self.charge("pm_card_authenticationRequired").map(drop)
            }
            "payment_intent.amount_capturable_updated" => self.authorized().map(drop),
            "charge.captured" => self.captured(),
            "charge.refunded" | "refund.created" => self.refund("pm_card_visa").map(drop),
            "refund.updated" | "charge.refund.updated" => self.refund_updated(),
            "charge.dispute.created" | "charge.dispute.funds_withdrawn" => self.dispute().map(drop),
            "charge.dispute.updated" => {
                self.dispute_answered(json!({"metadata": {"triggered": "yes"}}))
            }
            "charge.dispute.closed" => self.dispute_closed(),
            "charge.dispute.funds_reinstated" => self.dispute_answered(json!({
                "evidence": {"uncategorized_text": "winning_evidence"},
                "submit": true,
            })),
            "radar.early_fraud_warning.created" => self.fraud_warning(),
            "refund.failed" => self.refund_failed(),
            other => Err(TriggerError::Unknown(other.to_owned())),
        }
    }

    fn product(&mut self) -> Told<String> {
        let params = json!({"name": "Triggered product", "description": "Made by a trigger"});
        self.made("product", "/v1/products", params)
    }

    fn price(&mut self) -> Told<String> {
        let product = self.product()?;
        let params = json!({"product": product, "unit_amount": 1500, "currency": "usd"});
        self.made("price", "/v1/prices", params)
    }

    fn customer(&mut self) -> Told<String> {
        let params = json!({"name": "Triggered customer", "email": "triggered@example.com"});
        self.made("customer", "/v1/customers", params)
    }

    fn customer_updated(&mut self) -> Told {
        let customer = self.customer()?;
        let params = json!({"metadata": {"triggered": "yes"}});
        self.post(
            "customer_update",
            &format!("/v1/customers/{customer}"),
            params,
        )
        .map(drop)
    }

    fn customer_deleted(&mut self) -> Told {
        let customer = self.customer()?;
        self.ask(
            "customer_delete",
            "DELETE",
            &format!("/v1/customers/{customer}"),
            json!({}),
        )
        .map(drop)
    }

    fn coupon(&mut self) -> Told<String> {
        let params = json!({"percent_off": 10, "duration": "once", "name": "Triggered coupon"});
        self.made("coupon", "/v1/coupons", params)
    }

    fn coupon_deleted(&mut self) -> Told {
        let coupon = self.coupon()?;
        let path = format!("/v1/coupons/{coupon}");
        self.ask("coupon_delete", "DELETE", &path, json!({}))
            .map(drop)
    }

    fn promotion_code(&mut self) -> Told {
        let coupon = self.coupon()?;
        let params = json!({"promotion": {"type": "coupon", "coupon": coupon}});
        self.post("promotion_code", "/v1/promotion_codes", params)
            .map(drop)
    }

    /// A card that a customer keeps for later payments.
    fn card_saved(&mut self) -> Told<String> {
        let customer = self.customer()?;
        let path = "/v1/payment_methods/pm_card_visa/attach";
        self.made("payment_method", path, json!({"customer": customer}))
    }

    fn card_forgotten(&mut self) -> Told {
        let method = self.card_saved()?;
        let path = format!("/v1/payment_methods/{method}/detach");
        self.post("detach", &path, json!({})).map(drop)
    }

    fn set_up(&mut self, method: &str) -> Told {
        let customer = self.customer()?;
        let params = json!({"customer": customer, "confirm": true, "payment_method": method});
        self.post("setup_intent", "/v1/setup_intents", params)
            .map(drop)
    }

    fn set_up_declined(&mut self) -> Told {
        match self.set_up("pm_card_visa_chargeDeclined") {
            Ok(()) | Err(TriggerError::Refused { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn session(&mut self, more: Value) -> Told<String> {
        let price = self.price()?;
        let mut params = json!({
            "mode": "payment",
            "line_items": [{"price": price, "quantity": 2}],
            "success_url": "https://example.com/success?session_id={CHECKOUT_SESSION_ID}",
            "cancel_url": "https://example.com/cancel",
        });
        merge(&mut params, more);
        self.made("checkout_session", "/v1/checkout/sessions", params)
    }

    fn session_paid(&mut self) -> Told {
        let session = self.session(json!({}))?;
        self.pay(&session, &Payment::Method("pm_card_visa".into()))
    }

    fn session_expired(&mut self) -> Told {
        let session = self.session(json!({}))?;
        let path = format!("/v1/checkout/sessions/{session}/expire");
        self.post("expire", &path, json!({})).map(drop)
    }

    /// A debit that a bank takes its time over, and then pays, refuses, or leaves open.
    fn bank_debit(&mut self, succeeds: Option<bool>) -> Told {
        let session = self.session(json!({"payment_method_types": ["us_bank_account"]}))?;
        let payment = Payment::Delayed {
            kind: "us_bank_account".into(),
            settles: None,
        };
        self.pay(&session, &payment)?;
        let Some(succeeds) = succeeds else {
            return Ok(());
        };
        let paid = self
            .world
            .records
            .get(crate::records::Collection::Object, &session);
        let intent = paid
            .and_then(|session| session["payment_intent"].as_str())
            .map(str::to_owned);
        if self
            .world
            .settle_delayed(&intent.unwrap_or_default(), succeeds, self.now)
        {
            return Ok(());
        }
        Err(refused(
            "settle",
            "no payment of the session waits for a bank",
        ))
    }

    fn intent(&mut self, more: Value) -> Told<Value> {
        let mut params =
            json!({"amount": 2000, "currency": "usd", "description": "Made by a trigger"});
        merge(&mut params, more);
        self.post("payment_intent", "/v1/payment_intents", params)
    }

    fn charge(&mut self, method: &str) -> Told<Value> {
        self.intent(json!({
            "confirm": true,
            "payment_method": method,
            "automatic_payment_methods": {"enabled": true, "allow_redirects": "never"},
        }))
    }

    fn declined(&mut self) -> Told {
        match self.charge("pm_card_visa_chargeDeclined") {
            // The refusal is what was asked for; whether it was the right one the events tell.
            Ok(_) | Err(TriggerError::Refused { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn intent_canceled(&mut self) -> Told {
        let intent = id_of(&self.intent(json!({}))?);
        let path = format!("/v1/payment_intents/{intent}/cancel");
        self.post(
            "cancel",
            &path,
            json!({"cancellation_reason": "requested_by_customer"}),
        )
        .map(drop)
    }

    fn authorized(&mut self) -> Told<String> {
        let intent = self.intent(json!({
            "capture_method": "manual",
            "confirm": true,
            "payment_method": "pm_card_visa",
            "automatic_payment_methods": {"enabled": true, "allow_redirects": "never"},
        }))?;
        Ok(id_of(&intent))
    }

    fn captured(&mut self) -> Told {
        let intent = self.authorized()?;
        self.post(
            "capture",
            &format!("/v1/payment_intents/{intent}/capture"),
            json!({}),
        )
        .map(drop)
    }

    fn refund(&mut self, method: &str) -> Told<String> {
        let intent = id_of(&self.charge(method)?);
        self.made("refund", "/v1/refunds", json!({"payment_intent": intent}))
    }

    fn refund_updated(&mut self) -> Told {
        let refund = self.refund("pm_card_visa")?;
        let params = json!({"metadata": {"triggered": "yes"}});
        self.post("refund_update", &format!("/v1/refunds/{refund}"), params)
            .map(drop)
    }

    /// The bank cannot pay out a refund, and that only turns out some time later: here, now.
    fn refund_failed(&mut self) -> Told {
        let refund = self.refund("pm_card_refundFail")?;
        let failed = self.world.decide_refund(&refund, Arrival::Failed, self.now);
        failed
            .map(drop)
            .map_err(|error| refused("refund_fail", &error.message))
    }

    /// A payment that the customer's bank takes back at once.
    fn dispute(&mut self) -> Told<String> {
        let intent = id_of(&self.charge("pm_card_createDispute")?);
        // The bank hears of it as soon as time passes, if only by nothing.
        self.world.tick(self.now);
        let disputes = self.ask(
            "dispute",
            "GET",
            "/v1/disputes",
            json!({"payment_intent": intent}),
        )?;
        Ok(id_of(&disputes["data"][0]))
    }

    fn dispute_answered(&mut self, params: Value) -> Told {
        let dispute = self.dispute()?;
        self.post("dispute_update", &format!("/v1/disputes/{dispute}"), params)
            .map(drop)
    }

    fn dispute_closed(&mut self) -> Told {
        let dispute = self.dispute()?;
        self.post(
            "dispute_close",
            &format!("/v1/disputes/{dispute}/close"),
            json!({}),
        )
        .map(drop)
    }

    fn fraud_warning(&mut self) -> Told {
        self.charge("pm_card_createIssuerFraudRecord")?;
        self.world.tick(self.now);
        Ok(())
    }

    fn pay(&mut self, session: &str, payment: &Payment) -> Told {
        match self.world.pay_session(session, payment, self.now) {
            PayOutcome::Succeeded | PayOutcome::Processing => Ok(()),
            PayOutcome::RequiresAction { .. } => Err(refused("pay", "the bank asks the customer")),
            PayOutcome::Declined { message, .. } | PayOutcome::NotPayable { message, .. } => {
                Err(refused("pay", &message))
            }
        }
    }

    /// Makes an object and returns its id.
    fn made(&mut self, step: &str, path: &str, params: Value) -> Told<String> {
        self.post(step, path, params).map(|object| id_of(&object))
    }

    fn post(&mut self, step: &str, path: &str, params: Value) -> Told<Value> {
        self.ask(step, "POST", path, params)
    }

    fn ask(&mut self, step: &str, method: &str, path: &str, mut params: Value) -> Told<Value> {
        if let Some(wanted) = self.overrides.get(step) {
            merge(&mut params, wanted.clone());
        }
        // The last version that lets a request say how it may be paid.
        let version = Some(crate::DEFAULT_VERSION);
        let response = self.world.call(method, path, params, version, self.now);
        if response.status == 200 {
            return Ok(response.body);
        }
        let message = response.body["error"]["message"]
            .as_str()
            .unwrap_or("no reason given");
        Err(refused(step, message))
    }
}

fn refused(step: &str, message: &str) -> TriggerError {
    TriggerError::Refused {
        step: step.to_owned(),
        message: message.to_owned(),
    }
}

fn id_of(object: &Value) -> String {
    object["id"].as_str().unwrap_or_default().to_owned()
}

/// Puts the members of one object over those of another; a null removes.
fn merge(into: &mut Value, over: Value) {
    match (into, over) {
        (Value::Object(into), Value::Object(over)) => {
            for (name, value) in over {
                if value.is_null() {
                    into.remove(&name);
                } else {
                    merge(into.entry(name).or_insert(Value::Null), value);
                }
            }
        }
        (into, over) => *into = over,
    }
}

#[cfg(test)]
mod tests;
