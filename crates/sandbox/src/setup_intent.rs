//! Setup intents: a payment method is made ready for later payments.

use serde_json::{Value, json};

use crate::card::Behaviour;
use crate::decline;
use crate::error::{ApiError, ApiResult, doc_url};
use crate::list::Listing;
use crate::offer::{limited_types, offered};
use crate::pay::PayOutcome;
use crate::payment_method;
use crate::route::{Call, Operation};
use crate::world::{World, apply, apply_metadata};

pub(crate) const OPERATIONS: &[Operation] = &[
    (
        "POST",
        "/v1/setup_intents",
        "confirm:bool customer:text payment_method:text payment_method_data:any payment_method_types:[text]
         allowed_payment_method_types:[text] excluded_payment_method_types:[text]
         automatic_payment_methods:{enabled!:bool allow_redirects:always|never} description:text metadata:map
         usage:off_session|on_session return_url:text use_stripe_sdk:bool attach_to_self:bool
         payment_method_options:any payment_method_configuration:text mandate_data:any single_use:any
         flow_directions:[text] on_behalf_of:text customer_account:text confirmation_token:text",
        create,
    ),
    (
        "GET",
        "/v1/setup_intents",
        "@list created:range customer:text customer_account:text payment_method:text attach_to_self:bool",
        list,
    ),
    ("GET", "/v1/setup_intents/{}", "client_secret:text", retrieve),
    (
        "POST",
        "/v1/setup_intents/{}",
        "customer:text description:text metadata:map payment_method:text payment_method_data:any
         payment_method_types:[text] allowed_payment_method_types:[text] excluded_payment_method_types:[text]
         payment_method_options:any payment_method_configuration:text flow_directions:[text]
         attach_to_self:bool customer_account:text",
        update,
    ),
    (
        "POST",
        "/v1/setup_intents/{}/confirm",
        "payment_method:text payment_method_data:any return_url:text use_stripe_sdk:bool mandate_data:any
         payment_method_options:any payment_method_types:[text] allowed_payment_method_types:[text]
         confirmation_token:text client_secret:text",
        confirm,
    ),
    (
        "POST",
        "/v1/setup_intents/{}/cancel",
        "cancellation_reason:abandoned|duplicate|requested_by_customer",
        cancel,
    ),
];

impl World {
    fn new_setup_intent(&mut self, types: &Value, now: i64) -> Value {
        let id = self.ids.next("seti");
        json!({
            "id": id,
            "object": "setup_intent",
            "allowed_payment_method_types": null,
            "application": null,
            "automatic_payment_methods": null,
            "cancellation_reason": null,
            "client_secret": format!("{id}_secret_{}", self.ids.text(25)),
            "created": now,
            "customer": null,
            "customer_account": null,
            "description": null,
            "excluded_payment_method_types": null,
            "flow_directions": null,
            "last_setup_error": null,
            "latest_attempt": null,
            "livemode": false,
            "mandate": null,
            "metadata": {},
            "next_action": null,
            "on_behalf_of": null,
            "payment_method": null,
            "payment_method_configuration_details": null,
            "payment_method_options": { "card": {
                "mandate_options": null,
                "network": null,
                "request_three_d_secure": "automatic",
            }},
            "payment_method_types": types,
            "single_use_mandate": null,
            "status": "requires_payment_method",
            "usage": "off_session",
        })
    }

    /// The setup intent of a session in setup mode.
    pub(crate) fn setup_intent_of_session(
        &mut self,
        session: &Value,
        data: &Value,
        now: i64,
    ) -> Value {
        let mut intent = self.new_setup_intent(&session["payment_method_types"], now);
        intent["customer"] = session["customer"].clone();
        apply(&mut intent, data, &["description"]);
        apply_metadata(&mut intent, data);
        self.keep(&intent);
        self.emit("setup_intent.created", &intent, None, now);
        intent
    }

    /// Completes a session in setup mode with a payment method.
    pub(crate) fn set_up_session(
        &mut self,
        session: &Value,
        method: &Value,
        now: i64,
    ) -> PayOutcome {
        let intent = session["setup_intent"]
            .as_str()
            .and_then(|id| self.find("setup_intent", id));
        let Some(mut intent) = intent else {
            let message = "The session has no setup intent.".to_owned();
            return PayOutcome::NotPayable {
                code: None,
                message,
            };
        };
        intent["payment_method"] = method["id"].clone();
        // The page asks no questions of the bank here: a person who sets up a card on it is present.
        match self.set_up(intent, true, now) {
            Ok(_) => {
                self.complete(session.clone(), method, "no_payment_required", now);
                PayOutcome::Succeeded
            }
            Err(error) => PayOutcome::Declined {
                code: error.code.unwrap_or_default(),
                decline_code: error
                    .more
                    .get("decline_code")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
                message: error.message,
            },
        }
    }

    /// Sets up an intent's payment method, or asks the customer first unless that was done.
    fn set_up(&mut self, mut intent: Value, approved: bool, now: i64) -> ApiResult {
        let id = intent["payment_method"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let method = self.object_in("payment_method", &id, "payment_method")?;
        match self.card_of(&method).map(|card| card.behaviour) {
            Some(Behaviour::Decline(decline)) => {
                let error = decline::error(decline);
                intent["status"] = json!("requires_payment_method");
                intent["payment_method"] = Value::Null;
                intent["last_setup_error"] = json!({
                    "code": decline.code,
                    "doc_url": doc_url(decline.code),
                    "message": error.message,
                    "payment_method": method,
                    "type": error.kind,
                });
                if let Some(reason) = decline.reason {
                    intent["last_setup_error"]["decline_code"] = json!(reason);
                }
                self.keep(&intent);
                self.emit("setup_intent.setup_failed", &intent, None, now);
                return Err(error.with("setup_intent", intent));
            }
            Some(Behaviour::Challenge(..)) if !approved => {
                let url = format!(
                    "{}/c/authenticate/{}",
                    self.setup.base_url,
                    intent["id"].as_str().unwrap_or_default()
                );
                intent["status"] = json!("requires_action");
                intent["next_action"] = json!({
                    "type": "use_stripe_sdk",
                    "use_stripe_sdk": { "type": "three_d_secure_redirect", "stripe_js": url },
                });
                self.keep(&intent);
                self.emit("setup_intent.requires_action", &intent, None, now);
                return Ok(intent);
            }
            _ => {}
        }
        self.note(&id, "set_up", json!(true));
        if let Some(customer) = intent["customer"].as_str() {
            self.attach_method(&method, customer, now)?;
        }
        intent["status"] = json!("succeeded");
        intent["next_action"] = Value::Null;
        intent["last_setup_error"] = Value::Null;
        self.keep(&intent);
        self.emit("setup_intent.succeeded", &intent, None, now);
        Ok(intent)
    }

    /// Answers the bank's question about a card that is set up. False if there is no such question.
    pub(crate) fn answer_setup_challenge(&mut self, id: &str, approve: bool, now: i64) -> bool {
        let found = self.find("setup_intent", id);
        let Some(mut intent) = found.filter(|intent| intent["status"] == "requires_action") else {
            return false;
        };
        if approve {
            if let Err(error) = self.set_up(intent, true, now) {
                tracing::debug!(reason = %error.message, "an approved card could not be set up");
            }
            return true;
        }
        let code = "setup_intent_authentication_failure";
        intent["last_setup_error"] = json!({
            "code": code,
            "doc_url": doc_url(code),
            "message": "The customer did not confirm this card.",
            "type": "invalid_request_error",
        });
        intent["status"] = json!("requires_payment_method");
        intent["payment_method"] = Value::Null;
        intent["next_action"] = Value::Null;
        self.keep(&intent);
        self.emit("setup_intent.setup_failed", &intent, None, now);
        true
    }

    fn give_method(&mut self, intent: &mut Value, call: &Call) -> ApiResult<()> {
        let params = &call.params;
        let method = match (
            params["payment_method"].as_str(),
            &params["payment_method_data"],
        ) {
            (Some(id), _) => self.method_in(id, "payment_method", call.now)?,
            (None, data @ Value::Object(_)) => payment_method::of_data(self, data, call.now)?,
            _ => return Ok(()),
        };
        intent["payment_method"] = method["id"].clone();
        intent["status"] = json!("requires_confirmation");
        Ok(())
    }
}

fn create(world: &mut World, call: &Call) -> ApiResult {
    let params = &call.params;
    if let Some(customer) = params["customer"].as_str() {
        world.object_in("customer", customer, "customer")?;
    }
    let limited = limited_types(params, &call.version)?;
    let types = if limited.is_null() {
        offered("")
    } else {
        limited.clone()
    };
    let mut intent = world.new_setup_intent(&types, call.now);
    intent["allowed_payment_method_types"] = params["allowed_payment_method_types"].clone();
    if limited.is_null() {
        intent["automatic_payment_methods"] =
            json!({ "allow_redirects": "always", "enabled": true });
    }
    apply(
        &mut intent,
        params,
        &[
            "customer",
            "description",
            "usage",
            "excluded_payment_method_types",
        ],
    );
    apply_metadata(&mut intent, params);
    world.give_method(&mut intent, call)?;
    world.keep(&intent);
    world.emit("setup_intent.created", &intent, None, call.now);
    if params["confirm"] == true {
        if intent["payment_method"].is_null() {
            return Err(ApiError::missing("payment_method"));
        }
        return world.set_up(intent, false, call.now);
    }
    Ok(intent)
}

fn list(world: &mut World, call: &Call) -> ApiResult {
    Listing::of("setup_intent", &["payment_method", "customer"]).page(&world.records, call)
}

fn retrieve(world: &mut World, call: &Call) -> ApiResult {
    world.object_at("setup_intent", call.id(), "intent")
}

fn update(world: &mut World, call: &Call) -> ApiResult {
    let mut intent = world.object_at("setup_intent", call.id(), "intent")?;
    limited_types(&call.params, &call.version)?;
    apply(&mut intent, &call.params, &["customer", "description"]);
    apply_metadata(&mut intent, &call.params);
    world.give_method(&mut intent, call)?;
    world.keep(&intent);
    Ok(intent)
}

fn confirm(world: &mut World, call: &Call) -> ApiResult {
    let mut intent = world.object_at("setup_intent", call.id(), "intent")?;
    check_open(&intent, "confirm")?;
    world.give_method(&mut intent, call)?;
    if intent["payment_method"].is_null() {
        return Err(ApiError::missing("payment_method"));
    }
    world.set_up(intent, false, call.now)
}

fn cancel(world: &mut World, call: &Call) -> ApiResult {
    let mut intent = world.object_at("setup_intent", call.id(), "intent")?;
    check_open(&intent, "cancel")?;
    intent["status"] = json!("canceled");
    intent["cancellation_reason"] = call.params["cancellation_reason"].clone();
    intent["next_action"] = Value::Null;
    world.keep(&intent);
    world.emit("setup_intent.canceled", &intent, None, call.now);
    Ok(intent)
}

fn check_open(intent: &Value, verb: &str) -> ApiResult<()> {
    let status = intent["status"].as_str().unwrap_or_default();
    if matches!(status, "succeeded" | "canceled") {
        let message =
            format!("You cannot {verb} this SetupIntent because it has a status of {status}.");
        let error = ApiError::state("setup_intent_unexpected_state", message);
        return Err(error.with("setup_intent", intent.clone()));
    }
    Ok(())
}
