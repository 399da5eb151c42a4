//! Prices: what a product costs.

use serde_json::{Value, json};

use crate::error::{ApiError, ApiResult};
use crate::list::Listing;
use crate::route::{Call, Operation};
use crate::world::{World, apply, apply_metadata};

pub(crate) const OPERATIONS: &[Operation] = &[
    (
        "POST",
        "/v1/prices",
        "currency!:currency unit_amount:int unit_amount_decimal:text product:text
         product_data:{name!:text id:text active:bool metadata:map statement_descriptor:text tax_code:text
             tax_details:any unit_label:text}
         active:bool nickname:text lookup_key:text transfer_lookup_key:bool metadata:map
         recurring:{interval!:day|week|month|year interval_count:int meter:text trial_period_days:int
             usage_type:licensed|metered}
         billing_scheme:per_unit|tiered tax_behavior:exclusive|inclusive|unspecified
         tiers:any tiers_mode:graduated|volume transform_quantity:any currency_options:any
         custom_unit_amount:any",
        create,
    ),
    (
        "GET",
        "/v1/prices",
        "@list active:bool created:range currency:currency lookup_keys:[text] product:text recurring:any
         type:one_time|recurring",
        list,
    ),
    ("GET", "/v1/prices/{}", "", retrieve),
    (
        "POST",
        "/v1/prices/{}",
        "active:bool nickname:text lookup_key:text transfer_lookup_key:bool metadata:map
         tax_behavior:exclusive|inclusive|unspecified currency_options:any",
        update,
    ),
];

impl World {
    /// Makes a price of the given parameters, without an event. `at` is the parameter that holds them, empty if they
    /// are the request's own.
    pub(crate) fn new_price(
        &mut self,
        params: &Value,
        product: &str,
        at: &str,
        now: i64,
    ) -> ApiResult {
        for unbuilt in [
            "tiers",
            "custom_unit_amount",
            "transform_quantity",
            "currency_options",
        ] {
            if !params[unbuilt].is_null() {
                return Err(ApiError::not_built(
                    &format!("prices with {unbuilt}"),
                    unbuilt,
                ));
            }
        }
        let amount = unit_amount(params, at)?;
        let recurring = &params["recurring"];
        let recurring = if recurring.is_object() {
            json!({
                "interval": recurring["interval"],
                "interval_count": recurring["interval_count"].as_i64().unwrap_or(1),
                "meter": recurring["meter"],
                "trial_period_days": recurring["trial_period_days"],
                "usage_type": recurring["usage_type"].as_str().unwrap_or("licensed"),
            })
        } else {
            Value::Null
        };
        let mut price = json!({
            "id": self.ids.next("price"),
            "object": "price",
            "active": params["active"].as_bool().unwrap_or(true),
            "billing_scheme": "per_unit",
            "created": now,
            "currency": params["currency"],
            "custom_unit_amount": null,
            "livemode": false,
            "lookup_key": params["lookup_key"],
            "metadata": {},
            "nickname": params["nickname"],
            "product": product,
            "recurring": recurring,
            "tax_behavior": params["tax_behavior"].as_str().unwrap_or("unspecified"),
            "tiers_mode": null,
            "transform_quantity": null,
            "type": if recurring.is_null() { "one_time" } else { "recurring" },
            "unit_amount": amount,
            "unit_amount_decimal": amount.to_string(),
        });
        apply_metadata(&mut price, params);
        self.keep(&price);
        Ok(price)
    }
}

/// The amount of one unit, from either of two parameters. Parts of a minor unit are not built.
fn unit_amount(params: &Value, at: &str) -> ApiResult<i64> {
    let name = |name: &str| {
        if at.is_empty() {
            name.to_owned()
        } else {
            format!("{at}[{name}]")
        }
    };
    let amount = match (
        params["unit_amount"].as_i64(),
        params["unit_amount_decimal"].as_str(),
    ) {
        (Some(amount), None) => amount,
        (None, Some(decimal)) => decimal.parse().map_err(|_| {
            ApiError::not_built(
                "amounts that are no whole minor unit",
                &name("unit_amount_decimal"),
            )
        })?,
        (Some(_), Some(_)) => {
            let message = "Give unit_amount or unit_amount_decimal, not both.";
            return Err(ApiError::coded("parameters_exclusive", message).at(&name("unit_amount")));
        }
        (None, None) => return Err(ApiError::missing(&name("unit_amount"))),
    };
    if amount < 0 {
        let message = format!("Invalid non-negative integer: {amount}");
        return Err(ApiError::coded("parameter_invalid_integer", message).at(&name("unit_amount")));
    }
    if amount > 99_999_999_999 {
        let message = "This amount is larger than any that can be charged.";
        return Err(ApiError::coded("amount_too_large", message).at(&name("unit_amount")));
    }
    Ok(amount)
}

fn create(world: &mut World, call: &Call) -> ApiResult {
    let params = &call.params;
    let product = match (params["product"].as_str(), &params["product_data"]) {
        (Some(id), Value::Null) => world.object_in("product", id, "product")?,
        (None, data @ Value::Object(_)) => {
            let product = world.new_product(data, call.now)?;
            world.emit("product.created", &product, None, call.now);
            product
        }
        (None, _) => return Err(ApiError::missing("product")),
        (Some(_), _) => {
            let message = "Give product or product_data, not both.";
            return Err(ApiError::coded("parameters_exclusive", message).at("product"));
        }
    };
    claim_lookup_key(world, params, None, call.now)?;
    let product = product["id"].as_str().unwrap_or_default();
    let price = world.new_price(params, product, "", call.now)?;
    world.emit("price.created", &price, None, call.now);
    Ok(price)
}

/// A lookup key names one price. Another that has it loses it if the request says so.
fn claim_lookup_key(
    world: &mut World,
    params: &Value,
    of: Option<&str>,
    now: i64,
) -> ApiResult<()> {
    let Some(key) = params["lookup_key"].as_str() else {
        return Ok(());
    };
    let holder = world
        .records
        .objects_by("price", "lookup_key", key)
        .next()
        .cloned();
    let Some(before) = holder.filter(|price| of.is_none_or(|id| price["id"] != id)) else {
        return Ok(());
    };
    if params["transfer_lookup_key"] != true {
        let message = format!(
            "Another price already has the lookup key {key}. Set transfer_lookup_key to true to take it over."
        );
        return Err(ApiError::invalid(message).at("lookup_key"));
    }
    let mut price = before.clone();
    price["lookup_key"] = Value::Null;
    world.keep_changed(&["price.updated"], &before, &price, now);
    Ok(())
}

fn list(world: &mut World, call: &Call) -> ApiResult {
    let params = &call.params;
    let keys = params["lookup_keys"].as_array();
    let interval = &params["recurring"]["interval"];
    let fits = |price: &Value| {
        keys.is_none_or(|keys| keys.contains(&price["lookup_key"]))
            && (interval.is_null() || price["recurring"]["interval"] == *interval)
    };
    let filters = ["product", "active", "currency", "type"];
    Listing::of("price", &filters).page_with(&world.records, call, fits)
}

fn retrieve(world: &mut World, call: &Call) -> ApiResult {
    world.object_at("price", call.id(), "price")
}

fn update(world: &mut World, call: &Call) -> ApiResult {
    let before = world.object_at("price", call.id(), "price")?;
    claim_lookup_key(world, &call.params, Some(call.id()), call.now)?;
    let mut price = before.clone();
    apply(
        &mut price,
        &call.params,
        &["active", "nickname", "lookup_key", "tax_behavior"],
    );
    apply_metadata(&mut price, &call.params);
    world.keep_changed(&["price.updated"], &before, &price, call.now);
    Ok(price)
}
