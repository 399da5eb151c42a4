//! Payment methods: cards and the methods that answer days later.

use serde_json::{Value, json};

use crate::card::{self, Behaviour, TestCard};
use crate::decline;
use crate::error::{ApiError, ApiResult};
use crate::list::Listing;
use crate::pay::CardEntry;
use crate::route::{self, Call, Operation};
use crate::world::{World, apply, apply_metadata};

pub(crate) const OPERATIONS: &[Operation] = &[
    (
        "POST",
        "/v1/payment_methods",
        "type:text card:{number:text exp_month:int exp_year:int cvc:text token:text networks:any}
         sepa_debit:{iban!:text}
         us_bank_account:{account_number:text routing_number:text account_holder_type:company|individual
             account_type:checking|savings financial_connections_account:text}
         link:any customer:text payment_method:text billing_details:any metadata:map
         allow_redisplay:always|limited|unspecified radar_options:any",
        create,
    ),
    (
        "GET",
        "/v1/payment_methods",
        "@list type:text customer:text customer_account:text allow_redisplay:always|limited|unspecified",
        list,
    ),
    ("GET", "/v1/payment_methods/{}", "", retrieve),
    (
        "POST",
        "/v1/payment_methods/{}",
        "card:{exp_month:int exp_year:int networks:any} billing_details:any metadata:map
         allow_redisplay:always|limited|unspecified us_bank_account:any",
        update,
    ),
    ("POST", "/v1/payment_methods/{}/attach", "customer!:text customer_account:text", attach),
    ("POST", "/v1/payment_methods/{}/detach", "", detach),
];

/// Bank accounts of the test whose debits bounce. All others pay.
const BOUNCING_IBANS: &[&str] = &[
    "AT861904300235473202",
    "IT60X0542811101000000123456",
    "DE62370400440532013001",
];
const BOUNCING_ACCOUNTS: &[&str] = &[
    "000111111113",
    "000111111116",
    "000222222227",
    "000333333335",
];

impl World {
    /// Makes a payment method; `facts` say how it behaves and are never shown.
    pub(crate) fn new_method(
        &mut self,
        kind: &str,
        details: Value,
        facts: &Value,
        now: i64,
    ) -> Value {
        let mut method = json!({
            "id": self.ids.next("pm"),
            "object": "payment_method",
            "allow_redisplay": "unspecified",
            "billing_details": billing(&Value::Null),
            "created": now,
            "customer": null,
            "customer_account": null,
            "livemode": false,
            "metadata": {},
            "type": kind,
        });
        method[kind] = details;
        self.keep(&method);
        let id = method["id"].as_str().unwrap_or_default().to_owned();
        for (name, fact) in facts.as_object().into_iter().flatten() {
            self.note(&id, name, fact.clone());
        }
        method
    }

    /// Makes a payment method of a card as it was typed in. The number goes no further than here.
    pub(crate) fn method_of_entry(&mut self, entry: &CardEntry, now: i64) -> ApiResult {
        let (details, card) = card::accept(entry, now, self.secret())?;
        let mut method = self.new_method("card", details, &json!({ "card": card.name }), now);
        if let Some(email) = &entry.email {
            method["billing_details"]["email"] = json!(email);
            self.keep(&method);
        }
        Ok(method)
    }

    /// Makes a payment method of a delayed kind, such as `sepa_debit`.
    pub(crate) fn method_of_account(&mut self, kind: &str, account: &Value, now: i64) -> ApiResult {
        let iban = account["iban"]
            .as_str()
            .unwrap_or("AT611904300234573201")
            .replace(' ', "");
        let number = account["account_number"].as_str().unwrap_or("000123456789");
        let (shown, bounces) = match kind {
            "sepa_debit" => (iban.as_str(), BOUNCING_IBANS.contains(&iban.as_str())),
            "us_bank_account" => (number, BOUNCING_ACCOUNTS.contains(&number)),
            other => {
                let message = format!(
                    "The sandbox has no payment method of type {other}. It has card, sepa_debit and us_bank_account."
                );
                return Err(ApiError::invalid(message).at("type"));
            }
        };
        let last4 = shown
            .get(shown.len().saturating_sub(4)..)
            .unwrap_or_default();
        let fingerprint = card::fingerprint(shown, self.secret());
        let details = if kind == "sepa_debit" {
            json!({
                "bank_code": iban.get(4..9),
                "branch_code": "",
                "country": iban.get(..2),
                "fingerprint": fingerprint,
                "generated_from": { "charge": null, "setup_attempt": null },
                "last4": last4,
            })
        } else {
            json!({
                "account_holder_type": account["account_holder_type"].as_str().unwrap_or("individual"),
                "account_type": account["account_type"].as_str().unwrap_or("checking"),
                "bank_name": "STRIPE TEST BANK",
                "financial_connections_account": null,
                "fingerprint": fingerprint,
                "last4": last4,
                "networks": { "preferred": "ach", "supported": ["ach"] },
                "routing_number": account["routing_number"].as_str().unwrap_or("110000000"),
                "status_details": {},
            })
        };
        Ok(self.new_method(kind, details, &json!({ "bounces": bounces }), now))
    }

    /// The payment method a parameter names: an id, or one of Stripe's `pm_card_…` names, which make a new one each
    /// time.
    pub(crate) fn method_in(&mut self, id: &str, param: &str, now: i64) -> ApiResult {
        if let Some(card) = id.strip_prefix("pm_card_").and_then(TestCard::named) {
            return Ok(self.method_of_card(card, now));
        }
        match id {
            "pm_usBankAccount_success" | "pm_usBankAccount" => {
                self.method_of_account("us_bank_account", &Value::Null, now)
            }
            "pm_usBankAccount_insufficientFunds" | "pm_usBankAccount_accountClosed" => {
                let account = json!({ "account_number": "000222222227" });
                self.method_of_account("us_bank_account", &account, now)
            }
            _ => self
                .find("payment_method", id)
                .ok_or_else(|| ApiError::no_such("PaymentMethod", id, param, 400)),
        }
    }

    /// Makes a payment method of a test card named by the request.
    fn method_of_card(&mut self, card: &'static TestCard, now: i64) -> Value {
        let details = card.stored(card::year_and_month(now).0, self.secret());
        self.new_method("card", details, &json!({ "card": card.name }), now)
    }

    /// The test card a payment method is.
    pub(crate) fn card_of(&self, method: &Value) -> Option<&'static TestCard> {
        TestCard::named(self.facts(method["id"].as_str()?)["card"].as_str()?)
    }

    /// Attaches a payment method to a customer.
    pub(crate) fn attach_method(&mut self, method: &Value, customer: &str, now: i64) -> ApiResult {
        if method["customer"] == customer {
            return Ok(method.clone());
        }
        if !method["customer"].is_null() {
            let message =
                "The payment method you provided has already been attached to a customer.";
            return Err(ApiError::state("payment_method_unexpected_state", message));
        }
        if let Some(Behaviour::Decline(decline)) = self.card_of(method).map(|card| card.behaviour) {
            return Err(decline::error(decline));
        }
        let mut method = method.clone();
        method["customer"] = json!(customer);
        if method["type"] == "card" {
            method["card"]["checks"]["cvc_check"] = json!("pass");
        }
        self.keep(&method);
        self.emit("payment_method.attached", &method, None, now);
        Ok(method)
    }

    fn secret(&self) -> &str {
        self.setup.api_keys.first().map_or("", String::as_str)
    }

    /// The payment method a path names.
    fn method_at(&self, call: &Call) -> ApiResult {
        let id = call.id();
        let found = self.find("payment_method", id);
        found.ok_or_else(|| ApiError::no_such("PaymentMethod", id, "payment_method", 404))
    }
}

/// Billing details in full, from those that were given.
pub(crate) fn billing(given: &Value) -> Value {
    json!({
        "address": address(&given["address"]),
        "email": given["email"],
        "name": given["name"],
        "phone": given["phone"],
        "tax_id": given["tax_id"],
    })
}

/// An address in full, from the lines that were given.
pub(crate) fn address(given: &Value) -> Value {
    json!({
        "city": given["city"],
        "country": given["country"],
        "line1": given["line1"],
        "line2": given["line2"],
        "postal_code": given["postal_code"],
        "state": given["state"],
    })
}

fn create(world: &mut World, call: &Call) -> ApiResult {
    create_of(world, &call.params, call.now)
}

/// Makes the payment method that another operation describes in its `payment_method_data`.
pub(crate) fn of_data(world: &mut World, data: &Value, now: i64) -> ApiResult {
    let (route, _) = route::find("POST", "/v1/payment_methods")?;
    create_of(world, &route.shape.read(data)?, now)
}

fn create_of(world: &mut World, params: &Value, now: i64) -> ApiResult {
    let Some(kind) = params["type"].as_str() else {
        return Err(ApiError::missing("type"));
    };
    let mut method = if kind == "card" {
        create_card(world, &params["card"], now)?
    } else {
        if params[kind].is_null() && matches!(kind, "sepa_debit" | "us_bank_account") {
            return Err(ApiError::missing(kind));
        }
        world.method_of_account(kind, &params[kind], now)?
    };
    if params["billing_details"].is_object() {
        method["billing_details"] = billing(&params["billing_details"]);
    }
    apply(&mut method, params, &["allow_redisplay"]);
    apply_metadata(&mut method, params);
    world.keep(&method);
    Ok(method)
}

fn create_card(world: &mut World, card: &Value, now: i64) -> ApiResult {
    if let Some(token) = card["token"].as_str() {
        let known = token.strip_prefix("tok_").and_then(TestCard::named);
        let Some(card) = known else {
            return Err(ApiError::no_such("token", token, "card[token]", 400));
        };
        return Ok(world.method_of_card(card, now));
    }
    let Some(number) = card["number"].as_str() else {
        return Err(ApiError::missing(if card.is_null() {
            "card"
        } else {
            "card[number]"
        }));
    };
    let (Some(exp_month), Some(exp_year)) = (card["exp_month"].as_i64(), card["exp_year"].as_i64())
    else {
        let absent = if card["exp_month"].is_null() {
            "card[exp_month]"
        } else {
            "card[exp_year]"
        };
        return Err(ApiError::missing(absent));
    };
    let exp_year = if exp_year < 100 {
        exp_year + 2000
    } else {
        exp_year
    };
    let entry = CardEntry {
        number: number.to_owned(),
        exp_month,
        exp_year,
        cvc: card["cvc"].as_str().map(str::to_owned),
        email: None,
    };
    world.method_of_entry(&entry, now)
}

fn retrieve(world: &mut World, call: &Call) -> ApiResult {
    // Reading one of the names makes a method of it, as Stripe does.
    if call.id().starts_with("pm_card_") {
        return world.method_in(call.id(), "payment_method", call.now);
    }
    world.method_at(call)
}

fn list(world: &mut World, call: &Call) -> ApiResult {
    let filters = ["customer", "type", "allow_redisplay"];
    let attached = |method: &Value| !method["customer"].is_null();
    Listing::of("payment_method", &filters).page_with(&world.records, call, attached)
}

fn update(world: &mut World, call: &Call) -> ApiResult {
    let before = world.method_at(call)?;
    if before["customer"].is_null() {
        let message = "You must attach this PaymentMethod to a customer before you can update it.";
        return Err(ApiError::state("payment_method_unexpected_state", message));
    }
    let mut method = before.clone();
    apply(&mut method, &call.params, &["allow_redisplay"]);
    if let Some(card) = method.get_mut("card") {
        apply(card, &call.params["card"], &["exp_month", "exp_year"]);
    }
    let details = &mut method["billing_details"];
    apply(
        details,
        &call.params["billing_details"],
        &["email", "name", "phone", "tax_id"],
    );
    if call.params["billing_details"]["address"].is_object() {
        details["address"] = address(&call.params["billing_details"]["address"]);
    }
    apply_metadata(&mut method, &call.params);
    world.keep_changed(&["payment_method.updated"], &before, &method, call.now);
    Ok(method)
}

fn attach(world: &mut World, call: &Call) -> ApiResult {
    let customer = call.params["customer"].as_str().unwrap_or_default();
    world.object_in("customer", customer, "customer")?;
    let method =
        if call.id().starts_with("pm_") && world.find("payment_method", call.id()).is_none() {
            world
                .method_in(call.id(), "payment_method", call.now)
                .map_err(|error| ApiError {
                    status: 404,
                    ..error
                })?
        } else {
            world.method_at(call)?
        };
    world.attach_method(&method, customer, call.now)
}

fn detach(world: &mut World, call: &Call) -> ApiResult {
    let before = world.method_at(call)?;
    if before["customer"].is_null() {
        let message = "The payment method you provided is not attached to a customer so detachment is impossible.";
        return Err(ApiError::state("payment_method_unexpected_state", message));
    }
    let mut method = before.clone();
    method["customer"] = Value::Null;
    world.keep_changed(&["payment_method.detached"], &before, &method, call.now);
    Ok(method)
}
