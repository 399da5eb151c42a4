//! Customers.

use serde_json::{Value, json};

use crate::error::{ApiError, ApiResult};
use crate::intent::apply_shipping;
use crate::list::Listing;
use crate::payment_method::address;
use crate::route::{Call, Operation};
use crate::world::{World, apply, apply_metadata};

pub(crate) const OPERATIONS: &[Operation] = &[
    (
        "POST",
        "/v1/customers",
        "address:any balance:int business_name:text cash_balance:any description:text email:text
         individual_name:text invoice_prefix:text invoice_settings:any metadata:map name:text
         next_invoice_sequence:int payment_method:text phone:text preferred_locales:[text] shipping:any
         source:text tax:any tax_exempt:exempt|none|reverse tax_id_data:any test_clock:text validate:bool",
        create,
    ),
    ("GET", "/v1/customers", "@list created:range email:text test_clock:text", list),
    ("GET", "/v1/customers/{}", "", retrieve),
    (
        "POST",
        "/v1/customers/{}",
        "address:any balance:int business_name:text cash_balance:any default_source:text description:text
         email:text individual_name:text invoice_prefix:text invoice_settings:any metadata:map name:text
         next_invoice_sequence:int phone:text preferred_locales:[text] shipping:any source:text tax:any
         tax_exempt:exempt|none|reverse validate:bool",
        update,
    ),
    ("DELETE", "/v1/customers/{}", "", delete),
    (
        "GET",
        "/v1/customers/{}/payment_methods",
        "@list type:text allow_redisplay:always|limited|unspecified",
        list_methods,
    ),
    ("GET", "/v1/customers/{}/payment_methods/{}", "", retrieve_method),
];

/// The parameters that are kept in the field of the same name.
const KEPT: &[&str] = &[
    "balance",
    "business_name",
    "description",
    "email",
    "individual_name",
    "name",
    "next_invoice_sequence",
    "invoice_prefix",
    "phone",
    "preferred_locales",
    "tax_exempt",
];

/// Checks that a parameter, if given, can be a mail address.
pub(crate) fn check_email(params: &Value, name: &str) -> ApiResult<()> {
    let Some(email) = params[name].as_str() else {
        return Ok(());
    };
    let sound = email.split_once('@').is_some_and(|(who, host)| {
        !who.is_empty()
            && host.split('.').count() > 1
            && host.split('.').all(|part| !part.is_empty())
    });
    if sound && !email.contains(char::is_whitespace) && email.matches('@').count() == 1 {
        return Ok(());
    }
    let message = format!("Invalid email address: {email}");
    Err(ApiError::coded("email_invalid", message).at(name))
}

impl World {
    /// Makes a customer of the given parameters.
    pub(crate) fn new_customer(&mut self, params: &Value, now: i64) -> ApiResult {
        let id = self.ids.next("cus");
        let prefix = self.ids.text(8).to_uppercase();
        let mut customer = json!({
            "id": id,
            "object": "customer",
            "address": null,
            "balance": 0,
            "created": now,
            "currency": null,
            "default_source": null,
            "delinquent": false,
            "description": null,
            "discount": null,
            "email": null,
            "invoice_prefix": prefix,
            "invoice_settings": {
                "custom_fields": null,
                "default_payment_method": null,
                "footer": null,
                "rendering_options": null,
            },
            "livemode": false,
            "metadata": {},
            "name": null,
            "next_invoice_sequence": 1,
            "phone": null,
            "preferred_locales": [],
            "shipping": null,
            "tax_exempt": "none",
            "test_clock": null,
        });
        fill(&mut customer, params);
        self.keep(&customer);
        let method = params["payment_method"].as_str();
        let method = method
            .map(|method| self.method_in(method, "payment_method", now))
            .transpose()?;
        self.emit("customer.created", &customer, None, now);
        if let Some(method) = method {
            self.attach_method(&method, &id, now)?;
        }
        if let Some(default) = params["invoice_settings"]["default_payment_method"].as_str() {
            customer["invoice_settings"]["default_payment_method"] = json!(default);
            self.keep(&customer);
        }
        Ok(customer)
    }
}

fn fill(customer: &mut Value, params: &Value) {
    apply(customer, params, KEPT);
    if customer["preferred_locales"].is_null() {
        customer["preferred_locales"] = json!([]);
    }
    match params.get("address") {
        Some(given @ Value::Object(_)) => customer["address"] = address(given),
        Some(_) => customer["address"] = Value::Null,
        None => {}
    }
    apply_shipping(customer, params);
    apply(
        &mut customer["invoice_settings"],
        &params["invoice_settings"],
        &["footer"],
    );
    apply_metadata(customer, params);
}

fn create(world: &mut World, call: &Call) -> ApiResult {
    check_email(&call.params, "email")?;
    world.new_customer(&call.params, call.now)
}

fn list(world: &mut World, call: &Call) -> ApiResult {
    Listing::of("customer", &["email", "test_clock"]).page(&world.records, call)
}

fn retrieve(world: &mut World, call: &Call) -> ApiResult {
    // A deleted customer can still be read, cut down.
    let record = world
        .records
        .get(crate::records::Collection::Object, call.id());
    match record.filter(|record| record["object"] == "customer" && record["deleted"] == true) {
        Some(deleted) => Ok(deleted.clone()),
        None => world.object_at("customer", call.id(), "id"),
    }
}

fn update(world: &mut World, call: &Call) -> ApiResult {
    check_email(&call.params, "email")?;
    let before = world.object_at("customer", call.id(), "id")?;
    let mut customer = before.clone();
    fill(&mut customer, &call.params);
    if let Some(default) = call.params["invoice_settings"].get("default_payment_method") {
        let param = "invoice_settings[default_payment_method]";
        if let Some(method) = default.as_str().filter(|id| !id.is_empty()) {
            world.object_in("payment_method", method, param)?;
        }
        let default = if default == "" {
            Value::Null
        } else {
            default.clone()
        };
        customer["invoice_settings"]["default_payment_method"] = default;
    }
    world.keep_changed(&["customer.updated"], &before, &customer, call.now);
    Ok(customer)
}

fn delete(world: &mut World, call: &Call) -> ApiResult {
    let customer = world.object_at("customer", call.id(), "id")?;
    let methods: Vec<Value> = world
        .records
        .objects_by("payment_method", "customer", call.id())
        .cloned()
        .collect();
    for before in methods {
        let mut method = before.clone();
        method["customer"] = Value::Null;
        world.keep_changed(&["payment_method.detached"], &before, &method, call.now);
    }
    world.emit("customer.deleted", &customer, None, call.now);
    let deleted = json!({ "id": call.id(), "object": "customer", "deleted": true });
    world.keep(&deleted);
    Ok(deleted)
}

fn list_methods(world: &mut World, call: &Call) -> ApiResult {
    world.object_at("customer", call.id(), "customer")?;
    let mut of_customer = call.clone();
    of_customer.params["customer"] = json!(call.id());
    let filters = ["customer", "type", "allow_redisplay"];
    Listing::of("payment_method", &filters).page(&world.records, &of_customer)
}

fn retrieve_method(world: &mut World, call: &Call) -> ApiResult {
    world.object_at("customer", call.id(), "customer")?;
    let id = call.ids.get(1).map_or("", String::as_str);
    let method = world
        .find("payment_method", id)
        .filter(|method| method["customer"] == call.id());
    method.ok_or_else(|| ApiError::no_such("PaymentMethod", id, "payment_method", 404))
}
