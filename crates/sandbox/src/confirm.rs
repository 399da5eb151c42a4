//! How a payment is made: confirm, ask the customer, charge, decline, wait, capture, cancel.
//!
//! Every way to pay ends here, whether an API call, the hosted page or the undocumented calls of Stripe's CLI.

use serde_json::{Value, json};

use crate::card::{Asks, Behaviour, TestCard};
use crate::decline::{self, Decline};
use crate::error::{ApiError, doc_url};
use crate::world::World;

/// How the customer takes part in a payment.
#[derive(Debug, Clone, Default)]
pub(crate) struct How {
    /// Nobody is there to answer the bank's questions.
    pub(crate) off_session: bool,
    /// Where the bank sends the customer afterwards.
    pub(crate) return_url: Option<String>,
}

/// What came of a confirmation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Confirmed {
    /// The money is here, or reserved if the capture is manual.
    Succeeded,
    /// The bank asks the customer.
    RequiresAction,
    /// The answer comes later.
    Processing,
    /// The bank said no.
    Declined(ApiError),
}

/// The seconds after which a bank debit of the test settles by itself.
const SETTLES_AFTER: i64 = 1;

impl World {
    /// Confirms an intent that has a payment method.
    pub(crate) fn confirm(&mut self, id: &str, how: &How, now: i64) -> Confirmed {
        let Some((intent, method)) = self.intent_and_method(id) else {
            return Confirmed::Declined(ApiError::missing("payment_method"));
        };
        let Some(card) = self.card_of(&method) else {
            return self.start_debit(intent, &method, now);
        };
        if let Behaviour::Challenge(asks, _) = card.behaviour {
            let set_up = self.facts(method["id"].as_str().unwrap_or_default())["set_up"] == true;
            let needed = match asks {
                Asks::Always => true,
                Asks::UnlessSetUp => !(how.off_session && set_up),
                Asks::OnSession => !how.off_session,
            };
            if needed && how.off_session {
                let decline = Decline {
                    code: "authentication_required",
                    reason: Some("authentication_required"),
                };
                return self.decline(intent, &method, decline, now);
            }
            if needed {
                return self.ask_customer(intent, how, now);
            }
        }
        self.charge_card(intent, &method, card, false, now)
    }

    /// Answers the bank's question about an intent's payment. `None` if there is no such question.
    pub(crate) fn answer_bank(&mut self, id: &str, approve: bool, now: i64) -> Option<Confirmed> {
        let (intent, method) = self.intent_and_method(id)?;
        if intent["status"] != "requires_action" {
            return None;
        }
        if !approve {
            let message = "We are unable to authenticate your payment method. Please choose a different payment \
                           method and try again.";
            let error =
                self.fail_authentication(id, "payment_intent_authentication_failure", message, now);
            return Some(Confirmed::Declined(error));
        }
        let card = self.card_of(&method)?;
        if let Behaviour::Challenge(_, Some(decline)) = card.behaviour {
            return Some(self.decline(intent, &method, decline, now));
        }
        Some(self.charge_card(intent, &method, card, true, now))
    }

    /// Ends an attempt that failed before anything was charged.
    pub(crate) fn fail_authentication(
        &mut self,
        id: &str,
        code: &str,
        message: &str,
        now: i64,
    ) -> ApiError {
        let error = ApiError::card(code, None, message);
        match self.intent_and_method(id) {
            Some((intent, method)) => self.fail_intent(intent, &method, error, None, now),
            None => error,
        }
    }

    /// Settles a delayed payment: its money arrives, or it bounces. False if no such payment waits.
    pub fn settle_delayed(&mut self, id: &str, succeed: bool, now: i64) -> bool {
        let Some((mut intent, method)) = self.intent_and_method(id) else {
            return false;
        };
        if intent["status"] != "processing" {
            return false;
        }
        let charge = intent["latest_charge"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let Some(mut charge) = self.find("charge", &charge) else {
            return false;
        };
        if succeed {
            self.settle_charge(&mut charge, now + 2 * 86_400, now);
            self.keep(&charge);
            self.emit("charge.succeeded", &charge, None, now);
            intent["status"] = json!("succeeded");
            intent["amount_received"] = charge["amount_captured"].clone();
            self.keep(&intent);
            self.emit("payment_intent.succeeded", &intent, None, now);
        } else {
            let decline = Decline {
                code: "payment_intent_payment_attempt_failed",
                reason: None,
            };
            let error = ApiError::card(decline.code, None, "The bank did not pay this debit.");
            charge["status"] = json!("failed");
            charge["paid"] = json!(false);
            charge["failure_code"] = json!(decline.code);
            charge["failure_message"] = json!(error.message);
            self.keep(&charge);
            self.emit("charge.failed", &charge, None, now);
            self.fail_intent(intent, &method, error, Some(&charge), now);
        }
        self.settle_session(id, succeed, now);
        true
    }

    /// Captures what an intent has reserved; the rest is given back.
    pub(crate) fn capture_intent(&mut self, id: &str, amount: i64, now: i64) {
        let Some(mut intent) = self.find("payment_intent", id) else {
            return;
        };
        let charge = intent["latest_charge"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        if let Some(mut charge) = self.find("charge", &charge) {
            self.capture_charge(&mut charge, amount, now);
        }
        intent["status"] = json!("succeeded");
        intent["amount_capturable"] = json!(0);
        intent["amount_received"] = json!(amount);
        self.keep(&intent);
        self.emit("payment_intent.succeeded", &intent, None, now);
        self.mark_session_paid(id);
    }

    /// Cancels an intent and gives back what it had reserved.
    pub(crate) fn cancel_intent(&mut self, id: &str, reason: Value, now: i64) {
        let Some(mut intent) = self.find("payment_intent", id) else {
            return;
        };
        if intent["status"] == "requires_capture"
            && let Some(mut charge) = self.find(
                "charge",
                intent["latest_charge"].as_str().unwrap_or_default(),
            )
        {
            charge["amount_refunded"] = charge["amount"].clone();
            charge["refunded"] = json!(true);
            self.keep(&charge);
            self.emit("charge.refunded", &charge, None, now);
        }
        intent["status"] = json!("canceled");
        intent["canceled_at"] = json!(now);
        intent["cancellation_reason"] = reason;
        intent["amount_capturable"] = json!(0);
        intent["next_action"] = Value::Null;
        self.keep(&intent);
        self.emit("payment_intent.canceled", &intent, None, now);
    }

    fn intent_and_method(&self, id: &str) -> Option<(Value, Value)> {
        let intent = self.find("payment_intent", id)?;
        let method = self.find("payment_method", intent["payment_method"].as_str()?)?;
        Some((intent, method))
    }

    fn ask_customer(&mut self, mut intent: Value, how: &How, now: i64) -> Confirmed {
        let id = intent["id"].as_str().unwrap_or_default();
        let url = format!("{}/c/authenticate/{id}", self.setup.base_url);
        intent["status"] = json!("requires_action");
        intent["next_action"] = match &how.return_url {
            Some(back) => json!({
                "type": "redirect_to_url",
                "redirect_to_url": { "return_url": back, "url": url },
            }),
            None => json!({
                "type": "use_stripe_sdk",
                "use_stripe_sdk": { "type": "three_d_secure_redirect", "stripe_js": url },
            }),
        };
        self.keep(&intent);
        self.emit("payment_intent.requires_action", &intent, None, now);
        Confirmed::RequiresAction
    }

    fn charge_card(
        &mut self,
        mut intent: Value,
        method: &Value,
        card: &'static TestCard,
        authenticated: bool,
        now: i64,
    ) -> Confirmed {
        match card.behaviour {
            Behaviour::Decline(decline) | Behaviour::DeclineLater(decline) => {
                return self.decline(intent, method, decline, now);
            }
            Behaviour::Blocked => {
                let decline = Decline {
                    code: "card_declined",
                    reason: Some("fraudulent"),
                };
                return self.decline(intent, method, decline, now);
            }
            _ => {}
        }
        let mut charge = self.new_charge(&intent, method, authenticated, now);
        let manual = intent["capture_method"] == "manual";
        charge["status"] = json!("succeeded");
        charge["paid"] = json!(true);
        if manual {
            charge["payment_method_details"]["card"]["capture_before"] = json!(now + 7 * 86_400);
        } else {
            let days = if card.behaviour == Behaviour::FundsAtOnce {
                0
            } else {
                2
            };
            self.settle_charge(&mut charge, now + days * 86_400, now);
        }
        self.keep(&charge);
        self.emit("charge.succeeded", &charge, None, now);
        intent["latest_charge"] = charge["id"].clone();
        intent["next_action"] = Value::Null;
        intent["last_payment_error"] = Value::Null;
        let reached = if manual {
            "amount_capturable"
        } else {
            "amount_received"
        };
        intent[reached] = intent["amount"].clone();
        intent["status"] = json!(if manual {
            "requires_capture"
        } else {
            "succeeded"
        });
        self.keep(&intent);
        let event = if manual {
            "amount_capturable_updated"
        } else {
            "succeeded"
        };
        self.emit(&format!("payment_intent.{event}"), &intent, None, now);
        self.remember_method(&intent, method, now);
        let charge = charge["id"].as_str().unwrap_or_default();
        match card.behaviour {
            Behaviour::Dispute { .. } => self.plan(now, "dispute", charge),
            Behaviour::FraudWarning => self.plan(now, "fraud_warning", charge),
            _ => {}
        }
        Confirmed::Succeeded
    }

    /// Keeps a payment method for later payments, if the intent says so.
    pub(crate) fn remember_method(&mut self, intent: &Value, method: &Value, now: i64) {
        if intent["setup_future_usage"].is_null() {
            return;
        }
        self.note(
            method["id"].as_str().unwrap_or_default(),
            "set_up",
            json!(true),
        );
        if let Some(customer) = intent["customer"].as_str()
            && let Err(error) = self.attach_method(method, customer, now)
        {
            tracing::debug!(reason = %error.message, "a payment method was not kept for its customer");
        }
    }

    fn decline(&mut self, intent: Value, method: &Value, decline: Decline, now: i64) -> Confirmed {
        let error = decline::error(decline);
        let mut charge = self.new_charge(&intent, method, false, now);
        charge["status"] = json!("failed");
        charge["failure_code"] = json!(decline.code);
        charge["failure_message"] = json!(error.message);
        let blocked = decline.reason == Some("fraudulent");
        let reason = decline.reason.unwrap_or(decline.code);
        charge["outcome"] = json!({
            "advice_code": decline::advice(decline),
            "network_advice_code": null,
            "network_decline_code": if blocked { Value::Null } else { json!("01") },
            "network_status": if blocked { "not_sent_to_network" } else { "declined_by_network" },
            "reason": if blocked { "highest_risk_level" } else { reason },
            "risk_level": if blocked { "highest" } else { "normal" },
            "risk_score": if blocked { 90 } else { 20 },
            "seller_message": if blocked {
                "Stripe blocked this payment as too risky."
            } else {
                "The bank did not accept this payment."
            },
            "type": if blocked { "blocked" } else { "issuer_declined" },
        });
        self.keep(&charge);
        self.emit("charge.failed", &charge, None, now);
        Confirmed::Declined(self.fail_intent(intent, method, error, Some(&charge), now))
    }

    /// Sends an intent back to the choice of a payment method, and tells why in the error that is returned.
    fn fail_intent(
        &mut self,
        mut intent: Value,
        method: &Value,
        error: ApiError,
        charge: Option<&Value>,
        now: i64,
    ) -> ApiError {
        let code = error.code.clone().unwrap_or_default();
        let mut last = json!({
            "code": code,
            "doc_url": doc_url(&code),
            "message": error.message,
            "payment_method": method,
            "type": error.kind,
        });
        for name in ["decline_code", "advice_code"] {
            if let Some(told) = error.more.get(name) {
                last[name] = told.clone();
            }
        }
        if let Some(charge) = charge {
            last["charge"] = charge["id"].clone();
            intent["latest_charge"] = charge["id"].clone();
        }
        intent["last_payment_error"] = last;
        intent["status"] = json!("requires_payment_method");
        intent["payment_method"] = Value::Null;
        intent["next_action"] = Value::Null;
        intent["processing"] = Value::Null;
        self.keep(&intent);
        self.emit("payment_intent.payment_failed", &intent, None, now);
        let error = match charge {
            Some(charge) => error.with("charge", charge["id"].clone()),
            None => error,
        };
        error
            .with("payment_intent", intent)
            .with("payment_method", method.clone())
    }

    fn start_debit(&mut self, mut intent: Value, method: &Value, now: i64) -> Confirmed {
        let mut charge = self.new_charge(&intent, method, false, now);
        charge["status"] = json!("pending");
        self.keep(&charge);
        intent["status"] = json!("processing");
        intent["latest_charge"] = charge["id"].clone();
        intent["last_payment_error"] = Value::Null;
        self.keep(&intent);
        self.emit("charge.pending", &charge, None, now);
        self.emit("payment_intent.processing", &intent, None, now);
        self.remember_method(&intent, method, now);
        let facts = self.facts(method["id"].as_str().unwrap_or_default());
        // A payment on the hosted page says for itself when it settles, if ever.
        if facts["waits"] != true {
            let what = if facts["bounces"] == true {
                "payment_bounces"
            } else {
                "payment_arrives"
            };
            self.plan(
                now + SETTLES_AFTER,
                what,
                intent["id"].as_str().unwrap_or_default(),
            );
        }
        Confirmed::Processing
    }
}
