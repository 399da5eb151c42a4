//! Paying a checkout session: the one way a customer has, whether on the hosted page or by `payment_pages`.

use serde_json::{Value, json};

use crate::confirm::{Confirmed, How};
use crate::error::{ApiError, ApiResult};
use crate::intent::Draft;
use crate::world::World;

/// How a customer pays.
#[derive(Clone, PartialEq, Eq)]
pub enum Payment {
    /// A card as it is typed in.
    Card(CardEntry),
    /// A payment method that exists, or one of the `pm_card_…` names.
    Method(String),
    /// A method that answers days later, such as `us_bank_account` or `sepa_debit`; `settles` says when and how
    /// by itself, or leaves it to [`World::settle_delayed`].
    Delayed {
        /// The type of payment method.
        kind: String,
        /// What will become of it by itself; `None` waits until somebody decides.
        settles: Option<Settlement>,
    },
}

/// A card as a customer types it in. The number and the CVC live as long as this value and are kept nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct CardEntry {
    /// The number; blanks and dashes do not matter.
    pub number: String,
    /// The month, 1 to 12.
    pub exp_month: i64,
    /// The year, with four digits.
    pub exp_year: i64,
    /// The code on the card, if it was given.
    pub cvc: Option<String>,
    /// The customer's e-mail address, for the session's `customer_details`.
    pub email: Option<String>,
}

/// What becomes of a delayed payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settlement {
    /// The moment, in seconds since 1970.
    pub at: i64,
    /// Whether the money arrives.
    pub succeeds: bool,
}

/// What came of an attempt to pay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PayOutcome {
    /// Paid; the session is complete.
    Succeeded,
    /// The bank asks the customer; [`World::answer_challenge`] goes on.
    RequiresAction {
        /// The payment intent that waits.
        payment_intent: String,
    },
    /// The bank said no; the session stays open for another try.
    Declined {
        /// Stripe's error code, such as `card_declined`.
        code: String,
        /// The bank's reason, such as `insufficient_funds`.
        decline_code: Option<String>,
        /// What to tell the customer.
        message: String,
    },
    /// A delayed method: the session is complete and unpaid until the money arrives.
    Processing,
    /// The session cannot be paid, or not with this.
    NotPayable {
        /// Stripe's code for the case, where there is one.
        code: Option<String>,
        /// Why not, for the customer.
        message: String,
    },
}

impl World {
    /// Pays a session. Whatever comes of it is kept, and a declined attempt leaves the session open.
    pub fn pay_session(&mut self, session: &str, payment: &Payment, now: i64) -> PayOutcome {
        self.tick(now);
        let session = match self.payable(session) {
            Ok(session) => session,
            Err(refusal) => return refusal,
        };
        let method = match self.method_of_payment(payment, now) {
            Ok(method) => method,
            Err(error) => return refused(error),
        };
        let types = session["payment_method_types"].as_array();
        if types.is_some_and(|types| !types.contains(&method["type"])) {
            let message = "This way to pay is not offered for this session.";
            return PayOutcome::NotPayable {
                code: None,
                message: message.to_owned(),
            };
        }
        if !self.discount_holds(&session, now) {
            let message = "The discount of this session can no longer be redeemed.";
            return PayOutcome::NotPayable {
                code: Some("coupon_expired".to_owned()),
                message: message.to_owned(),
            };
        }
        if session["mode"] == "setup" {
            return self.set_up_session(&session, &method, now);
        }
        if session["amount_total"] == 0 {
            self.complete(session, &method, "no_payment_required", now);
            return PayOutcome::Succeeded;
        }
        let intent = self.intent_of_session(session, &method, now);
        let confirmed = self.confirm(&intent, &How::default(), now);
        if let (
            Confirmed::Processing,
            Payment::Delayed {
                settles: Some(settlement),
                ..
            },
        ) = (&confirmed, payment)
        {
            let what = if settlement.succeeds {
                "payment_arrives"
            } else {
                "payment_bounces"
            };
            self.plan(settlement.at, what, &intent);
        }
        self.conclude(&intent, &method, confirmed, now)
    }

    /// Ends a session that nobody has paid, as the shop or time does. False if it is not open.
    pub fn expire(&mut self, session: &str, now: i64) -> bool {
        self.tick(now);
        let session = self.find("checkout.session", session);
        let open = session.filter(|session| session["status"] == "open");
        open.map(|session| self.expire_session(session, now))
            .is_some()
    }

    /// Answers the bank's question about a session's payment: the customer approves, or does not.
    pub fn answer_challenge(&mut self, session: &str, approve: bool, now: i64) -> PayOutcome {
        self.tick(now);
        let intent = match self.payable(session) {
            Ok(session) => session["payment_intent"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            Err(refusal) => return refusal,
        };
        self.answer_intent_challenge(&intent, approve, now)
    }

    /// Answers the bank's question about a payment intent, whether or not it belongs to a session.
    pub fn answer_intent_challenge(&mut self, intent: &str, approve: bool, now: i64) -> PayOutcome {
        let method = self
            .find("payment_intent", intent)
            .and_then(|intent| self.find("payment_method", intent["payment_method"].as_str()?));
        let (Some(method), Some(confirmed)) = (method, self.answer_bank(intent, approve, now))
        else {
            let message = "There is nothing to approve for this payment.";
            return PayOutcome::NotPayable {
                code: None,
                message: message.to_owned(),
            };
        };
        self.conclude(intent, &method, confirmed, now)
    }

    /// Tells a session what became of its delayed payment.
    pub(crate) fn settle_session(&mut self, intent: &str, succeeded: bool, now: i64) {
        let Some(mut session) = self.session_of(intent) else {
            return;
        };
        if succeeded {
            session["payment_status"] = json!("paid");
            self.keep(&session);
        }
        let outcome = if succeeded { "succeeded" } else { "failed" };
        self.emit(
            &format!("checkout.session.async_payment_{outcome}"),
            &session,
            None,
            now,
        );
    }

    /// Marks the session of an intent as paid: what it had reserved has been captured.
    pub(crate) fn mark_session_paid(&mut self, intent: &str) {
        if let Some(mut session) = self.session_of(intent) {
            session["payment_status"] = json!("paid");
            self.keep(&session);
        }
    }

    fn session_of(&self, intent: &str) -> Option<Value> {
        self.find("checkout.session", self.facts(intent)["session"].as_str()?)
    }

    /// The session, if it can be paid.
    fn payable(&self, id: &str) -> Result<Value, PayOutcome> {
        let refusal = |code: Option<&str>, message: &str| PayOutcome::NotPayable {
            code: code.map(str::to_owned),
            message: message.to_owned(),
        };
        let Some(session) = self.find("checkout.session", id) else {
            return Err(refusal(
                Some("resource_missing"),
                "There is no such session.",
            ));
        };
        match session["status"].as_str() {
            Some("open") => Ok(session),
            Some("complete") => Err(refusal(None, "This session has already been paid.")),
            _ => Err(refusal(
                None,
                "This session has expired and cannot be paid any more.",
            )),
        }
    }

    fn method_of_payment(&mut self, payment: &Payment, now: i64) -> ApiResult {
        match payment {
            Payment::Card(entry) => self.method_of_entry(entry, now),
            Payment::Method(id) => self.method_in(id, "payment_method", now),
            Payment::Delayed { kind, .. } => {
                let method = self.method_of_account(kind, &Value::Null, now)?;
                // It settles when the payment says so, not by itself.
                self.note(
                    method["id"].as_str().unwrap_or_default(),
                    "waits",
                    json!(true),
                );
                Ok(method)
            }
        }
    }

    /// The intent of a session, made at the first attempt to pay, with the payment method of this attempt.
    fn intent_of_session(&mut self, mut session: Value, method: &Value, now: i64) -> String {
        let known = session["payment_intent"].as_str();
        let known = known.and_then(|id| self.find("payment_intent", id));
        let mut intent = known.unwrap_or_else(|| self.new_intent_of_session(&session, now));
        session["payment_intent"] = intent["id"].clone();
        self.keep(&session);
        // A promotion code may have been typed in after the first attempt.
        intent["amount"] = session["amount_total"].clone();
        intent["payment_method"] = method["id"].clone();
        intent["status"] = json!("requires_confirmation");
        intent["next_action"] = Value::Null;
        self.keep(&intent);
        intent["id"].as_str().unwrap_or_default().to_owned()
    }

    fn new_intent_of_session(&mut self, session: &Value, now: i64) -> Value {
        let id = session["id"].as_str().unwrap_or_default();
        let mut params = json!({});
        if let given @ Value::Object(_) = &self.facts(id)["payment_intent_data"] {
            params = given.clone();
        }
        params["customer"] = session["customer"].clone();
        let draft = Draft {
            amount: session["amount_total"].as_i64().unwrap_or_default(),
            currency: session["currency"].as_str().unwrap_or_default(),
            types: session["payment_method_types"].clone(),
            allowed: session["allowed_payment_method_types"].clone(),
            automatic: Value::Null,
            params: &params,
        };
        let intent = self.new_intent(&draft, now);
        self.note(
            intent["id"].as_str().unwrap_or_default(),
            "session",
            json!(id),
        );
        self.emit("payment_intent.created", &intent, None, now);
        intent
    }

    /// What a confirmation means for the session of the intent, if it has one.
    fn conclude(
        &mut self,
        intent: &str,
        method: &Value,
        confirmed: Confirmed,
        now: i64,
    ) -> PayOutcome {
        let (outcome, payment_status) = match confirmed {
            Confirmed::Declined(error) => return refused(error),
            Confirmed::RequiresAction => {
                return PayOutcome::RequiresAction {
                    payment_intent: intent.to_owned(),
                };
            }
            Confirmed::Processing => (PayOutcome::Processing, "unpaid"),
            Confirmed::Succeeded => (PayOutcome::Succeeded, "paid"),
        };
        if let Some(session) = self.session_of(intent) {
            let reserved = self
                .find("payment_intent", intent)
                .is_some_and(|i| i["status"] == "requires_capture");
            self.complete(
                session,
                method,
                if reserved { "unpaid" } else { payment_status },
                now,
            );
        }
        outcome
    }

    /// The payment of a session belongs to the customer the session has made; so does the card, if it is to be kept.
    fn give_customer(&mut self, session: &Value, method: &Value, now: i64) {
        let intent = session["payment_intent"].as_str().unwrap_or_default();
        let Some(mut intent) = self.find("payment_intent", intent) else {
            return;
        };
        intent["customer"] = session["customer"].clone();
        self.keep(&intent);
        let charge = intent["latest_charge"].as_str().unwrap_or_default();
        if let Some(mut charge) = self.find("charge", charge) {
            charge["customer"] = session["customer"].clone();
            self.keep(&charge);
        }
        self.remember_method(&intent, method, now);
    }

    /// Completes a session.
    pub(crate) fn complete(
        &mut self,
        mut session: Value,
        method: &Value,
        payment_status: &str,
        now: i64,
    ) {
        let mut details = json!({
            "address": method["billing_details"]["address"],
            "business_name": null,
            "email": method["billing_details"]["email"],
            "individual_name": null,
            "name": method["billing_details"]["name"],
            "phone": method["billing_details"]["phone"],
            "tax_exempt": "none",
            "tax_ids": [],
        });
        let known = &session["customer_details"]["email"];
        if !known.is_null() {
            details["email"] = known.clone();
        }
        if session["customer_creation"] == "always" {
            let params = json!({ "email": details["email"], "name": details["name"] });
            if let Ok(customer) = self.new_customer(&params, now) {
                session["customer"] = customer["id"].clone();
                self.give_customer(&session, method, now);
            }
        }
        session["customer_details"] = details;
        session["payment_status"] = json!(payment_status);
        session["status"] = json!("complete");
        session["url"] = Value::Null;
        session["client_secret"] = Value::Null;
        self.keep(&session);
        self.redeem_discount(&session, now);
        self.emit("checkout.session.completed", &session, None, now);
    }
}

/// A refusal of a card is a decline; any other means that the session cannot be paid with this.
fn refused(error: ApiError) -> PayOutcome {
    if error.kind != "card_error" {
        return PayOutcome::NotPayable {
            code: error.code,
            message: error.message,
        };
    }
    PayOutcome::Declined {
        code: error.code.unwrap_or_default(),
        decline_code: error
            .more
            .get("decline_code")
            .and_then(Value::as_str)
            .map(str::to_owned),
        message: error.message,
    }
}
