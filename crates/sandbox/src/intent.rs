//! Payment intents: what is to be paid, and how far it has come. How a payment is made is in `confirm`.

use serde_json::{Value, json};

use crate::confirm::{Confirmed, How};
use crate::customer::check_email;
use crate::error::{ApiError, ApiResult};
use crate::list::Listing;
use crate::money::Currency;
use crate::offer::{limited_types, offered, options};
use crate::payment_method;
use crate::route::{Call, Operation};
use crate::world::{World, apply, apply_metadata};

pub(crate) const OPERATIONS: &[Operation] = &[
    (
        "POST",
        "/v1/payment_intents",
        "amount!:int currency!:currency confirm:bool off_session:text error_on_requires_action:bool
         customer:text payment_method:text payment_method_data:any payment_method_types:[text]
         allowed_payment_method_types:[text] excluded_payment_method_types:[text]
         automatic_payment_methods:{enabled!:bool allow_redirects:always|never}
         capture_method:automatic|automatic_async|manual confirmation_method:automatic|manual
         setup_future_usage:off_session|on_session description:text metadata:map receipt_email:text
         statement_descriptor:text statement_descriptor_suffix:text return_url:text shipping:any
         use_stripe_sdk:bool payment_method_options:any transfer_group:text mandate_data:any mandate:text
         radar_options:any payment_details:any hooks:any amount_details:any application_fee_amount:int
         confirmation_token:text customer_account:text on_behalf_of:text payment_method_configuration:text
         transfer_data:any",
        create,
    ),
    ("GET", "/v1/payment_intents", "@list created:range customer:text customer_account:text", list),
    ("GET", "/v1/payment_intents/{}", "client_secret:text", retrieve),
    (
        "POST",
        "/v1/payment_intents/{}",
        "amount:int currency:currency customer:text payment_method:text payment_method_data:any
         payment_method_types:[text] allowed_payment_method_types:[text] excluded_payment_method_types:[text]
         capture_method:automatic|automatic_async|manual setup_future_usage:off_session|on_session
         description:text metadata:map receipt_email:text statement_descriptor:text
         statement_descriptor_suffix:text shipping:any payment_method_options:any transfer_group:text
         payment_details:any hooks:any amount_details:any application_fee_amount:int customer_account:text
         payment_method_configuration:text transfer_data:any",
        update,
    ),
    (
        "POST",
        "/v1/payment_intents/{}/confirm",
        "payment_method:text payment_method_data:any off_session:text error_on_requires_action:bool
         return_url:text receipt_email:text setup_future_usage:off_session|on_session
         capture_method:automatic|automatic_async|manual payment_method_types:[text]
         allowed_payment_method_types:[text] excluded_payment_method_types:[text] shipping:any
         use_stripe_sdk:bool payment_method_options:any mandate_data:any mandate:text radar_options:any
         payment_details:any hooks:any amount_details:any amount_to_confirm:int confirmation_token:text
         client_secret:text",
        confirm,
    ),
    (
        "POST",
        "/v1/payment_intents/{}/capture",
        "amount_to_capture:int final_capture:bool metadata:map statement_descriptor:text
         statement_descriptor_suffix:text application_fee_amount:int amount_details:any hooks:any
         payment_details:any transfer_data:any",
        capture,
    ),
    (
        "POST",
        "/v1/payment_intents/{}/cancel",
        "cancellation_reason:abandoned|duplicate|fraudulent|requested_by_customer",
        cancel,
    ),
];

/// What a new intent starts from.
#[derive(Debug, Default)]
pub(crate) struct Draft<'a> {
    pub(crate) amount: i64,
    pub(crate) currency: &'a str,
    /// The types of payment method it takes.
    pub(crate) types: Value,
    /// The types the caller limited it to, or null.
    pub(crate) allowed: Value,
    /// Whether Stripe chose the types.
    pub(crate) automatic: Value,
    /// Parameters with the same names as fields.
    pub(crate) params: &'a Value,
}

/// The parameters that are kept in the field of the same name.
const KEPT: &[&str] = &[
    "capture_method",
    "confirmation_method",
    "customer",
    "description",
    "receipt_email",
    "setup_future_usage",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
    "excluded_payment_method_types",
];

impl World {
    /// Makes an intent that waits for a payment method.
    pub(crate) fn new_intent(&mut self, draft: &Draft<'_>, now: i64) -> Value {
        let id = self.ids.next("pi");
        let mut intent = json!({
            "id": id,
            "object": "payment_intent",
            "allowed_payment_method_types": draft.allowed,
            "amount": draft.amount,
            "amount_capturable": 0,
            "amount_details": { "tip": {} },
            "amount_received": 0,
            "application": null,
            "application_fee_amount": null,
            "automatic_payment_methods": draft.automatic,
            "canceled_at": null,
            "cancellation_reason": null,
            "capture_method": "automatic_async",
            "client_secret": format!("{id}_secret_{}", self.ids.text(25)),
            "confirmation_method": "automatic",
            "created": now,
            "currency": draft.currency,
            "customer": null,
            "customer_account": null,
            "description": null,
            "excluded_payment_method_types": null,
            "last_payment_error": null,
            "latest_charge": null,
            "livemode": false,
            "managed_payments": null,
            "metadata": {},
            "next_action": null,
            "on_behalf_of": null,
            "payment_method": null,
            "payment_method_configuration_details": null,
            "payment_method_options": options(&draft.types, &draft.params["payment_method_options"]),
            "payment_method_types": draft.types,
            "payment_record": null,
            "processing": null,
            "receipt_email": null,
            "review": null,
            "setup_future_usage": null,
            "shipping": null,
            "source": null,
            "statement_descriptor": null,
            "statement_descriptor_suffix": null,
            "status": "requires_payment_method",
            "transfer_data": null,
            "transfer_group": null,
        });
        apply(&mut intent, draft.params, KEPT);
        apply_shipping(&mut intent, draft.params);
        apply_metadata(&mut intent, draft.params);
        self.keep(&intent);
        intent
    }

    /// Sets the payment method of an intent and asks for confirmation.
    fn set_method(&mut self, intent: &mut Value, call: &Call) -> ApiResult<()> {
        let params = &call.params;
        let method = match (
            params["payment_method"].as_str(),
            &params["payment_method_data"],
        ) {
            (Some(id), _) => self.method_in(id, "payment_method", call.now)?,
            (None, data @ Value::Object(_)) => payment_method::of_data(self, data, call.now)?,
            _ => return Ok(()),
        };
        let types = intent["payment_method_types"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        if !types.contains(&method["type"]) {
            let message = format!(
                "The PaymentMethod provided ({}) is not allowed for this PaymentIntent.",
                method["type"].as_str().unwrap_or_default()
            );
            return Err(ApiError::invalid(message).at("payment_method"));
        }
        if !method["customer"].is_null() && method["customer"] != intent["customer"] {
            let message =
                "The payment method belongs to another customer. Give the intent that customer.";
            return Err(ApiError::invalid(message).at("payment_method"));
        }
        intent["payment_method"] = method["id"].clone();
        if intent["status"] == "requires_payment_method" {
            intent["status"] = json!("requires_confirmation");
        }
        Ok(())
    }

    /// Confirms an intent as a call of the API does: a decline is an error.
    fn confirm_by_call(&mut self, intent: &Value, call: &Call) -> ApiResult {
        let id = intent["id"].as_str().unwrap_or_default();
        let params = &call.params;
        let off_session = params["off_session"]
            .as_str()
            .is_some_and(|given| given != "false");
        if let (Some(method), true) = (intent["payment_method"].as_str(), off_session)
            && intent["customer"].is_null()
            && self
                .find("payment_method", method)
                .is_some_and(|method| !method["customer"].is_null())
        {
            return Err(ApiError::missing("customer"));
        }
        let how = How {
            off_session,
            return_url: params["return_url"].as_str().map(str::to_owned),
        };
        let refuses_action = params["error_on_requires_action"] == true;
        match self.confirm(id, &how, call.now) {
            Confirmed::Declined(error) => Err(error),
            Confirmed::RequiresAction if refuses_action => {
                let message = "The payment needs the customer's authentication, and you asked to refuse it then.";
                Err(self.fail_authentication(id, "authentication_required", message, call.now))
            }
            _ => self.object_at("payment_intent", id, "intent"),
        }
    }
}

pub(crate) fn apply_shipping(object: &mut Value, params: &Value) {
    let given = &params["shipping"];
    if given.is_object() {
        object["shipping"] = json!({
            "address": payment_method::address(&given["address"]),
            "carrier": given["carrier"],
            "name": given["name"],
            "phone": given["phone"],
            "tracking_number": given["tracking_number"],
        });
    }
}

fn create(world: &mut World, call: &Call) -> ApiResult {
    let params = &call.params;
    let currency = params["currency"].as_str().unwrap_or_default();
    let amount = params["amount"].as_i64().unwrap_or_default();
    Currency::of(currency, "currency")?.check(amount, "amount")?;
    check_email(params, "receipt_email")?;
    if let Some(customer) = params["customer"].as_str() {
        world.object_in("customer", customer, "customer")?;
    }
    let limited = limited_types(params, &call.version)?;
    let chosen = params["automatic_payment_methods"]["enabled"] == true || limited.is_null();
    let automatic = json!({
        "allow_redirects": params["automatic_payment_methods"]["allow_redirects"].as_str().unwrap_or("always"),
        "enabled": true,
    });
    let draft = Draft {
        amount,
        currency,
        types: if limited.is_null() {
            offered(currency)
        } else {
            limited.clone()
        },
        allowed: params["allowed_payment_method_types"].clone(),
        automatic: if chosen { automatic } else { Value::Null },
        params,
    };
    let mut intent = world.new_intent(&draft, call.now);
    if let Some(url) = params["return_url"]
        .as_str()
        .filter(|_| params["confirm"] != true)
    {
        let message = format!("return_url ({url}) can only be given together with confirm=true.");
        return Err(ApiError::invalid(message).at("return_url"));
    }
    world.set_method(&mut intent, call)?;
    world.keep(&intent);
    world.emit("payment_intent.created", &intent, None, call.now);
    if params["confirm"] == true {
        return world.confirm_by_call(&intent, call);
    }
    Ok(intent)
}

fn retrieve(world: &mut World, call: &Call) -> ApiResult {
    world.object_at("payment_intent", call.id(), "intent")
}

fn list(world: &mut World, call: &Call) -> ApiResult {
    Listing::of("payment_intent", &["customer"]).page(&world.records, call)
}

fn update(world: &mut World, call: &Call) -> ApiResult {
    let params = &call.params;
    let mut intent = world.object_at("payment_intent", call.id(), "intent")?;
    let status = intent["status"].as_str().unwrap_or_default().to_owned();
    let open = [
        "requires_payment_method",
        "requires_confirmation",
        "requires_action",
    ];
    let about_money = [
        "amount",
        "currency",
        "payment_method",
        "capture_method",
        "setup_future_usage",
    ];
    if !open.contains(&status.as_str())
        && let Some(name) = about_money.iter().find(|name| params.get(**name).is_some())
    {
        let message =
            format!("The {name} of a PaymentIntent with status {status} cannot be updated.");
        return Err(unexpected(&intent, message));
    }
    if let Some(customer) = params["customer"].as_str() {
        world.object_in("customer", customer, "customer")?;
    }
    limited_types(params, &call.version)?;
    apply(&mut intent, params, KEPT);
    apply(
        &mut intent,
        params,
        &["amount", "currency", "payment_method_types"],
    );
    let currency = intent["currency"].as_str().unwrap_or_default();
    let amount = intent["amount"].as_i64().unwrap_or_default();
    Currency::of(currency, "currency")?.check(amount, "amount")?;
    apply_shipping(&mut intent, params);
    apply_metadata(&mut intent, params);
    world.set_method(&mut intent, call)?;
    world.keep(&intent);
    Ok(intent)
}

fn confirm(world: &mut World, call: &Call) -> ApiResult {
    let params = &call.params;
    let mut intent = world.object_at("payment_intent", call.id(), "intent")?;
    limited_types(params, &call.version)?;
    let status = intent["status"].as_str().unwrap_or_default().to_owned();
    if ![
        "requires_payment_method",
        "requires_confirmation",
        "requires_action",
    ]
    .contains(&status.as_str())
    {
        let message = format!(
            "You cannot confirm this PaymentIntent because it has a status of {status}. Only a PaymentIntent with \
             one of these statuses can be confirmed: requires_confirmation, requires_action, \
             requires_payment_method."
        );
        return Err(unexpected(&intent, message));
    }
    apply(
        &mut intent,
        params,
        &["receipt_email", "setup_future_usage", "capture_method"],
    );
    apply_shipping(&mut intent, params);
    world.set_method(&mut intent, call)?;
    if intent["payment_method"].is_null() {
        let message = "You cannot confirm this PaymentIntent because it is missing a payment method. Give one with \
                       payment_method.";
        return Err(unexpected(&intent, message.to_owned()));
    }
    world.keep(&intent);
    world.confirm_by_call(&intent, call)
}

fn capture(world: &mut World, call: &Call) -> ApiResult {
    let mut intent = world.object_at("payment_intent", call.id(), "intent")?;
    let status = intent["status"].as_str().unwrap_or_default();
    if status != "requires_capture" {
        let message = format!(
            "This PaymentIntent could not be captured because it has a status of {status}. Only a PaymentIntent \
             with one of these statuses can be captured: requires_capture."
        );
        return Err(unexpected(&intent, message));
    }
    let capturable = intent["amount_capturable"].as_i64().unwrap_or_default();
    let amount = call.params["amount_to_capture"]
        .as_i64()
        .unwrap_or(capturable);
    if amount > capturable || amount < 1 {
        let message = format!(
            "The amount to capture has to be from 1 to {capturable}, what is left to capture."
        );
        return Err(ApiError::state("amount_too_large", message).at("amount_to_capture"));
    }
    apply(
        &mut intent,
        &call.params,
        &["statement_descriptor", "statement_descriptor_suffix"],
    );
    apply_metadata(&mut intent, &call.params);
    world.keep(&intent);
    world.capture_intent(call.id(), amount, call.now);
    world.object_at("payment_intent", call.id(), "intent")
}

fn cancel(world: &mut World, call: &Call) -> ApiResult {
    let intent = world.object_at("payment_intent", call.id(), "intent")?;
    let status = intent["status"].as_str().unwrap_or_default();
    let open = [
        "requires_payment_method",
        "requires_capture",
        "requires_confirmation",
        "requires_action",
    ];
    if !open.contains(&status) {
        let message = format!(
            "You cannot cancel this PaymentIntent because it has a status of {status}. Only a PaymentIntent with \
             one of these statuses may be canceled: {}.",
            open.join(", ")
        );
        return Err(unexpected(&intent, message));
    }
    let session = world.facts(call.id())["session"]
        .as_str()
        .map(str::to_owned);
    if session.is_some_and(|id| {
        world
            .find("checkout.session", &id)
            .is_some_and(|s| s["status"] == "open")
    }) {
        let message =
            "This PaymentIntent belongs to an open Checkout Session. Expire the session instead.";
        return Err(unexpected(&intent, message.to_owned()));
    }
    world.cancel_intent(
        call.id(),
        call.params["cancellation_reason"].clone(),
        call.now,
    );
    world.object_at("payment_intent", call.id(), "intent")
}

/// A refusal because of an intent's status; it shows the intent.
fn unexpected(intent: &Value, message: String) -> ApiError {
    let error = ApiError::state("payment_intent_unexpected_state", message);
    error.with("payment_intent", intent.clone())
}
