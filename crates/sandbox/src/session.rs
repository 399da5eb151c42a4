//! Checkout sessions: an order, a page to pay it on, and what has become of it. How one is paid is in `pay`.

use serde_json::{Value, json};

use crate::customer::check_email;
use crate::error::{ApiError, ApiResult};
use crate::line_item::Cart;
use crate::list::{self, Listing};
use crate::offer::{limited_types, offered};
use crate::route::{Call, Operation};
use crate::version;
use crate::world::{World, apply, apply_metadata};

pub(crate) const OPERATIONS: &[Operation] = &[
    (
        "POST",
        "/v1/checkout/sessions",
        "mode:payment|setup|subscription success_url:text cancel_url:text return_url:text
         ui_mode:text client_reference_id:text customer:text customer_account:text customer_email:text
         customer_creation:always|if_required customer_update:any currency:currency expires_at:int
         line_items:[{price:text quantity:int metadata:map adjustable_quantity:any tax_rates:any
             price_data:{currency!:currency unit_amount:int unit_amount_decimal:text product:text
                 product_data:{name!:text description:text images:[text] metadata:map tax_code:text
                     tax_details:any unit_label:text}
                 recurring:any tax_behavior:exclusive|inclusive|unspecified}}]
         payment_intent_data:{capture_method:automatic|automatic_async|manual description:text metadata:map
             receipt_email:text setup_future_usage:off_session|on_session shipping:any
             statement_descriptor:text statement_descriptor_suffix:text transfer_group:text
             application_fee_amount:int on_behalf_of:text transfer_data:any}
         setup_intent_data:{description:text metadata:map on_behalf_of:text}
         payment_method_types:[text] allowed_payment_method_types:[text] excluded_payment_method_types:[text]
         payment_method_options:any payment_method_data:any payment_method_configuration:text
         payment_method_collection:always|if_required metadata:map locale:text
         submit_type:auto|book|donate|pay|subscribe billing_address_collection:auto|required
         allow_promotion_codes:bool phone_number_collection:{enabled!:bool}
         redirect_on_completion:always|if_required|never
         adaptive_pricing:any after_expiration:any automatic_tax:{enabled!:bool liability:any}
         branding_settings:any consent_collection:any custom_fields:any custom_text:any
         discounts:[{coupon:text promotion_code:text}]
         integration_identifier:text invoice_creation:any managed_payments:any name_collection:any
         optional_items:any origin_context:mobile_app|web permissions:any saved_payment_method_options:any
         shipping_address_collection:any shipping_options:any subscription_data:any tax_id_collection:any
         wallet_options:any",
        create,
    ),
    (
        "GET",
        "/v1/checkout/sessions",
        "@list created:range customer:text customer_account:text customer_details:{email!:text}
         payment_intent:text payment_link:text status:complete|expired|open subscription:text",
        list,
    ),
    ("GET", "/v1/checkout/sessions/{}", "", retrieve),
    ("POST", "/v1/checkout/sessions/{}", "metadata:map", update),
    ("POST", "/v1/checkout/sessions/{}/expire", "", expire),
    ("GET", "/v1/checkout/sessions/{}/line_items", "@list", list_line_items),
];

/// Parameters that would change the amount or the flow, and that the sandbox would otherwise ignore in silence.
const UNBUILT: &[&str] = &["shipping_options", "optional_items", "subscription_data"];

/// The parameters that are kept in the field of the same name.
const KEPT: &[&str] = &[
    "cancel_url",
    "client_reference_id",
    "customer",
    "customer_email",
    "success_url",
    "locale",
    "submit_type",
    "billing_address_collection",
    "phone_number_collection",
    "allow_promotion_codes",
    "origin_context",
    "integration_identifier",
    "return_url",
    "excluded_payment_method_types",
];

impl World {
    /// Ends a session that nobody paid.
    pub(crate) fn expire_session(&mut self, mut session: Value, now: i64) -> Value {
        session["status"] = json!("expired");
        session["url"] = Value::Null;
        self.keep(&session);
        if let Some(intent) = session["payment_intent"].as_str() {
            let intent = intent.to_owned();
            self.cancel_intent(&intent, json!("expired"), now);
        }
        self.emit("checkout.session.expired", &session, None, now);
        session
    }

    /// Ends a session whose time is over, unless it has ended otherwise.
    pub(crate) fn expire_session_due(&mut self, id: &str, now: i64) {
        if let Some(session) = self
            .find("checkout.session", id)
            .filter(|s| s["status"] == "open")
        {
            self.expire_session(session, now);
        }
    }

    /// Where a customer goes who has paid, with the session's id in its place.
    pub fn success_url(&self, id: &str) -> Option<String> {
        let session = self.find("checkout.session", id)?;
        Some(
            session["success_url"]
                .as_str()?
                .replace("{CHECKOUT_SESSION_ID}", id),
        )
    }
}

/// Checks that a parameter, if given, is an address a browser can go to.
pub(crate) fn check_url(params: &Value, name: &str) -> ApiResult<()> {
    let Some(url) = params[name].as_str() else {
        return Ok(());
    };
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let host = rest
        .and_then(|rest| rest.split(['/', '?', '#']).next())
        .unwrap_or_default();
    if host.is_empty() || url.contains(char::is_whitespace) {
        let message =
            "Invalid URL: an explicit scheme (such as https) and a host must be provided.";
        return Err(ApiError::coded("url_invalid", message).at(name));
    }
    Ok(())
}

fn create(world: &mut World, call: &Call) -> ApiResult {
    let params = &call.params;
    let mode = params["mode"].as_str().unwrap_or("payment");
    if mode == "subscription" {
        return Err(ApiError::not_built("sessions in subscription mode", "mode"));
    }
    refuse_unbuilt(params)?;
    let ui_mode = check_ui_mode(params, &call.version)?;
    for url in ["success_url", "cancel_url", "return_url"] {
        check_url(params, url)?;
    }
    check_email(params, "customer_email")?;
    check_customer(world, params)?;
    let expires_at = check_expiry(params, call.now)?;
    let limited = limited_types(params, &call.version)?;
    let cart = if mode == "payment" {
        Some(world.cart(params, call.now)?)
    } else {
        None
    };
    if mode == "setup" && !params["line_items"].is_null() {
        let message = "A session in setup mode takes no line_items.";
        return Err(ApiError::invalid(message).at("line_items"));
    }
    let discount = world.discount_of(params, cart.as_ref(), call.now)?;
    let currency = cart
        .as_ref()
        .map(|cart| cart.currency)
        .or(params["currency"].as_str());
    if params["currency"].is_string() && params["currency"].as_str() != currency {
        let message = "The currency is not that of the line items.";
        return Err(ApiError::invalid(message).at("currency"));
    }
    let id = world.ids.session();
    let mut session = blank(&id, call.now, expires_at);
    let types = if limited.is_null() {
        offered(currency.unwrap_or_default())
    } else {
        limited.clone()
    };
    session["allowed_payment_method_types"] = params["allowed_payment_method_types"].clone();
    session["payment_method_options"] =
        json!({ "card": { "request_three_d_secure": "automatic" } });
    session["payment_method_types"] = types;
    session["currency"] = json!(currency);
    session["mode"] = json!(mode);
    session["ui_mode"] = json!(ui_mode);
    session["url"] = if ui_mode == "hosted_page" {
        json!(format!("{}/c/pay/{id}", world.setup.base_url))
    } else {
        session["client_secret"] = json!(format!("{id}_secret_{}", world.ids.text(40)));
        json!(null)
    };
    fill(&mut session, params, mode);
    if let Some(Cart { items, total, .. }) = cart {
        session["amount_subtotal"] = json!(total);
        session["amount_total"] = json!(total);
        session["total_details"] =
            json!({ "amount_discount": 0, "amount_shipping": 0, "amount_tax": 0 });
        world.note(&id, "line_items", json!(items));
        world.note(
            &id,
            "payment_intent_data",
            params["payment_intent_data"].clone(),
        );
        if let Some(discount) = discount {
            world.apply_discount(&mut session, &discount)?;
        }
    } else {
        session["payment_status"] = json!("no_payment_required");
        let intent =
            world.setup_intent_of_session(&session, &params["setup_intent_data"], call.now);
        session["setup_intent"] = intent["id"].clone();
    }
    prefill_customer(world, &mut session);
    world.keep(&session);
    world.plan(expires_at, "expire_session", &id);
    Ok(session)
}

fn fill(session: &mut Value, params: &Value, mode: &str) {
    apply(session, params, KEPT);
    if mode == "payment" {
        session["customer_creation"] = json!(match (
            params["customer"].as_str(),
            &params["customer_creation"]
        ) {
            (Some(_), _) => Value::Null,
            (None, Value::Null) => json!("if_required"),
            (None, given) => given.clone(),
        });
        session["invoice_creation"] = json!({
            "enabled": false,
            "invoice_data": {
                "account_tax_ids": null,
                "custom_fields": null,
                "description": null,
                "footer": null,
                "issuer": null,
                "metadata": {},
                "rendering_options": null,
            },
        });
    }
    if session["ui_mode"] != "hosted_page" {
        let redirects = params["redirect_on_completion"]
            .as_str()
            .unwrap_or("always");
        session["redirect_on_completion"] = json!(redirects);
    }
    apply_metadata(session, params);
}

/// What Stripe knows of the customer before anything is typed in.
fn prefill_customer(world: &World, session: &mut Value) {
    let customer = session["customer"]
        .as_str()
        .and_then(|id| world.find("customer", id));
    let email = match &customer {
        Some(customer) => customer["email"].clone(),
        None => session["customer_email"].clone(),
    };
    if customer.is_some() || !email.is_null() {
        session["customer_details"] = json!({
            "address": null,
            "business_name": null,
            "email": email,
            "individual_name": null,
            "name": null,
            "phone": null,
            "tax_exempt": "none",
            "tax_ids": null,
        });
    }
}

fn refuse_unbuilt(params: &Value) -> ApiResult<()> {
    if let Some(name) = UNBUILT.iter().find(|name| !params[**name].is_null()) {
        return Err(ApiError::not_built(&format!("{name} of a session"), name));
    }
    if params["automatic_tax"]["enabled"] == true {
        return Err(ApiError::not_built(
            "automatic tax",
            "automatic_tax[enabled]",
        ));
    }
    if params["invoice_creation"]["enabled"] == "true" {
        return Err(ApiError::not_built(
            "invoices for sessions in payment mode",
            "invoice_creation[enabled]",
        ));
    }
    Ok(())
}

/// The form of the page, and the addresses it needs.
fn check_ui_mode(params: &Value, version: &str) -> ApiResult<&'static str> {
    let mode = match params["ui_mode"].as_str() {
        None => "hosted_page",
        Some(given) => match version::ui_mode(given, version) {
            Some("hosted_page") => "hosted_page",
            Some("embedded_page") => "embedded_page",
            Some(other) => {
                return Err(ApiError::not_built(
                    &format!("sessions with ui_mode {other}"),
                    "ui_mode",
                ));
            }
            None => {
                let message = format!("Invalid ui_mode: {given} is none of API version {version}.");
                return Err(ApiError::invalid(message).at("ui_mode"));
            }
        },
    };
    if mode == "hosted_page" {
        if params["success_url"].is_null() {
            return Err(ApiError::missing("success_url"));
        }
        if !params["return_url"].is_null() {
            let message = "return_url belongs to embedded sessions. Use success_url.";
            return Err(ApiError::invalid(message).at("return_url"));
        }
    } else {
        for url in ["success_url", "cancel_url"] {
            if !params[url].is_null() {
                let message = format!("{url} belongs to hosted sessions. Use return_url.");
                return Err(ApiError::invalid(message).at(url));
            }
        }
        if params["return_url"].is_null() && params["redirect_on_completion"] != "never" {
            return Err(ApiError::missing("return_url"));
        }
    }
    Ok(mode)
}

fn check_customer(world: &World, params: &Value) -> ApiResult<()> {
    let Some(customer) = params["customer"].as_str() else {
        return Ok(());
    };
    world.object_in("customer", customer, "customer")?;
    if !params["customer_email"].is_null() {
        let message = "You may only specify one of these parameters: customer, customer_email.";
        return Err(ApiError::coded("parameters_exclusive", message).at("customer_email"));
    }
    if !params["customer_creation"].is_null() {
        let message = "customer_creation makes no sense for a customer who exists.";
        return Err(ApiError::invalid(message).at("customer_creation"));
    }
    Ok(())
}

/// A session lives from thirty minutes to a day.
fn check_expiry(params: &Value, now: i64) -> ApiResult<i64> {
    let latest = now + 24 * 3600;
    let Some(expires_at) = params["expires_at"].as_i64() else {
        return Ok(latest);
    };
    if expires_at < now + 1800 {
        let message =
            "The expires_at timestamp must be at least 30 minutes from Checkout Session creation.";
        return Err(ApiError::invalid(message).at("expires_at"));
    }
    if expires_at > latest {
        let message =
            "The expires_at timestamp must be less than 24 hours from Checkout Session creation.";
        return Err(ApiError::invalid(message).at("expires_at"));
    }
    Ok(expires_at)
}

/// A session with every field Stripe shows.
fn blank(id: &str, now: i64, expires_at: i64) -> Value {
    json!({
        "id": id,
        "object": "checkout.session",
        "adaptive_pricing": { "enabled": false },
        "after_expiration": null,
        "allow_promotion_codes": null,
        "allowed_payment_method_types": null,
        "amount_subtotal": null,
        "amount_total": null,
        "automatic_tax": { "enabled": false, "liability": null, "provider": null, "status": null },
        "billing_address_collection": null,
        "cancel_url": null,
        "client_reference_id": null,
        "client_secret": null,
        "collected_information": null,
        "consent": null,
        "consent_collection": null,
        "created": now,
        "currency": null,
        "currency_conversion": null,
        "custom_fields": [],
        "custom_text": {
            "after_submit": null,
            "shipping_address": null,
            "submit": null,
            "terms_of_service_acceptance": null,
        },
        "customer": null,
        "customer_account": null,
        "customer_creation": null,
        "customer_details": null,
        "customer_email": null,
        "discounts": [],
        "expires_at": expires_at,
        "integration_identifier": null,
        "invoice": null,
        "invoice_creation": null,
        "livemode": false,
        "locale": null,
        "managed_payments": null,
        "metadata": {},
        "mode": "payment",
        "origin_context": null,
        "payment_intent": null,
        "payment_link": null,
        "payment_method_collection": "if_required",
        "payment_method_configuration_details": null,
        "payment_method_options": {},
        "payment_method_types": [],
        "payment_status": "unpaid",
        "permissions": null,
        "phone_number_collection": { "enabled": false },
        "recovered_from": null,
        "saved_payment_method_options": null,
        "setup_intent": null,
        "shipping_address_collection": null,
        "shipping_cost": null,
        "shipping_options": [],
        "status": "open",
        "submit_type": null,
        "subscription": null,
        "success_url": null,
        "total_details": null,
        "ui_mode": "hosted_page",
        "url": null,
        "wallet_options": null,
    })
}

fn list(world: &mut World, call: &Call) -> ApiResult {
    let params = &call.params;
    let email = &params["customer_details"]["email"];
    let filters = [
        "payment_intent",
        "customer",
        "payment_link",
        "status",
        "subscription",
    ];
    let fits = |session: &Value| email.is_null() || session["customer_details"]["email"] == *email;
    Listing::of("checkout.session", &filters).page_with(&world.records, call, fits)
}

fn retrieve(world: &mut World, call: &Call) -> ApiResult {
    world.object_at("checkout.session", call.id(), "session")
}

fn update(world: &mut World, call: &Call) -> ApiResult {
    let mut session = world.object_at("checkout.session", call.id(), "session")?;
    apply_metadata(&mut session, &call.params);
    world.keep(&session);
    Ok(session)
}

fn expire(world: &mut World, call: &Call) -> ApiResult {
    let session = world.object_at("checkout.session", call.id(), "session")?;
    if session["status"] != "open" {
        let status = session["status"].as_str().unwrap_or_default();
        let message = format!(
            "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session has a status \
             of {status}."
        );
        return Err(ApiError {
            executed: true,
            ..ApiError::invalid(message).at("session")
        });
    }
    Ok(world.expire_session(session, call.now))
}

fn list_line_items(world: &mut World, call: &Call) -> ApiResult {
    world.object_at("checkout.session", call.id(), "session")?;
    list::page(world.line_items(call.id()).iter(), &call.params, &call.path)
}
