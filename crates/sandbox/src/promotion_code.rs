//! Promotion codes: words a customer can type in, each leading to a coupon.

use serde_json::{Value, json};

use crate::coupon::{is_redeemable, is_valid, positive};
use crate::error::{ApiError, ApiResult};
use crate::list::Listing;
use crate::route::{Call, Operation};
use crate::world::{World, apply, apply_metadata};

pub(crate) const OPERATIONS: &[Operation] = &[
    (
        "POST",
        "/v1/promotion_codes",
        "promotion:{type!:coupon| coupon:text} coupon:text active:bool code:text customer:text
         customer_account:text expires_at:int max_redemptions:int metadata:map
         restrictions:{first_time_transaction:bool minimum_amount:int minimum_amount_currency:currency
             currency_options:any}",
        create,
    ),
    (
        "GET",
        "/v1/promotion_codes",
        "@list created:range active:bool code:text coupon:text customer:text customer_account:text",
        list,
    ),
    ("GET", "/v1/promotion_codes/{}", "", retrieve),
    (
        "POST",
        "/v1/promotion_codes/{}",
        "active:bool metadata:map restrictions:any",
        update,
    ),
];

impl World {
    /// The active promotion code of that word, in upper or lower case: the customer's own before one for everybody.
    pub(crate) fn promotion_code_named(&self, code: &str, customer: &Value) -> Option<Value> {
        let known = self
            .records
            .objects("promotion_code")
            .filter(|known| known["active"] == true && is_named(known, code));
        let fitting: Vec<&Value> = known
            .filter(|known| known["customer"].is_null() || known["customer"] == *customer)
            .collect();
        let own = fitting.iter().find(|known| !known["customer"].is_null());
        own.or(fitting.first()).map(|found| (*found).clone())
    }

    /// Counts one redemption of a promotion code.
    pub(crate) fn redeem_promotion_code(&mut self, id: &str, now: i64) {
        let Some(mut code) = self.find("promotion_code", id) else {
            return;
        };
        code["times_redeemed"] = json!(code["times_redeemed"].as_i64().unwrap_or(0) + 1);
        code["active"] = json!(code["active"] == true && is_redeemable(&code, "expires_at", now));
        self.keep(&code);
    }

    /// Ends the time of a promotion code.
    pub(crate) fn end_promotion_code(&mut self, id: &str) {
        if let Some(mut code) = self.find("promotion_code", id) {
            code["active"] = json!(false);
            self.keep(&code);
        }
    }
}

fn is_named(known: &Value, code: &str) -> bool {
    known["code"]
        .as_str()
        .is_some_and(|known| known.eq_ignore_ascii_case(code))
}

fn create(world: &mut World, call: &Call) -> ApiResult {
    let params = &call.params;
    let coupon = coupon_of(world, params)?;
    if !is_valid(&coupon, call.now) {
        let message = "The coupon of this promotion code can no longer be redeemed.";
        return Err(ApiError::coded("coupon_expired", message).at("promotion[coupon]"));
    }
    if let Some(customer) = params["customer"].as_str() {
        world.object_in("customer", customer, "customer")?;
    }
    positive(params, "max_redemptions")?;
    check_within(params, &coupon, call.now)?;
    let restrictions = restrictions_of(params)?;
    let code = free_code(world, params)?;
    let id = world.ids.next("promo");
    let mut promotion = json!({
        "id": id,
        "object": "promotion_code",
        "active": params["active"].as_bool().unwrap_or(true),
        "code": code,
        "created": call.now,
        "customer": params["customer"],
        "customer_account": null,
        "expires_at": params["expires_at"],
        "livemode": false,
        "max_redemptions": params["max_redemptions"],
        "metadata": {},
        "promotion": { "coupon": coupon["id"], "type": "coupon" },
        "restrictions": restrictions,
        "times_redeemed": 0,
    });
    apply_metadata(&mut promotion, params);
    world.keep(&promotion);
    if let Some(last) = params["expires_at"].as_i64() {
        world.plan(last.saturating_add(1), "promotion_code_ends", &id);
    }
    world.emit("promotion_code.created", &promotion, None, call.now);
    Ok(promotion)
}

/// The coupon, named as the newest versions do or as older ones did.
fn coupon_of(world: &World, params: &Value) -> ApiResult {
    let named = params["promotion"]["coupon"].as_str();
    match (named, params["coupon"].as_str()) {
        (Some(id), _) => world.object_in("coupon", id, "promotion[coupon]"),
        (None, Some(id)) => world.object_in("coupon", id, "coupon"),
        (None, None) => Err(ApiError::missing("promotion[coupon]")),
    }
}

/// A promotion code cannot outlive its coupon, nor be redeemed more often.
fn check_within(params: &Value, coupon: &Value, now: i64) -> ApiResult<()> {
    for (name, bound) in [
        ("expires_at", &coupon["redeem_by"]),
        ("max_redemptions", &coupon["max_redemptions"]),
    ] {
        let (given, bound) = (params[name].as_i64(), bound.as_i64());
        if given.zip(bound).is_some_and(|(given, bound)| given > bound) {
            let message = format!("The {name} of a promotion code cannot go beyond its coupon's.");
            return Err(ApiError::invalid(message).at(name));
        }
    }
    if params["expires_at"]
        .as_i64()
        .is_some_and(|moment| moment <= now)
    {
        let message = "Invalid timestamp: expires_at has to be in the future.";
        return Err(ApiError::invalid(message).at("expires_at"));
    }
    Ok(())
}

fn restrictions_of(params: &Value) -> ApiResult {
    let given = &params["restrictions"];
    if !given["currency_options"].is_null() {
        let param = "restrictions[currency_options]";
        return Err(ApiError::not_built(param, param));
    }
    if given["minimum_amount"].is_i64() != given["minimum_amount_currency"].is_string() {
        return Err(ApiError::missing("restrictions[minimum_amount_currency]"));
    }
    Ok(json!({
        "first_time_transaction": given["first_time_transaction"].as_bool().unwrap_or(false),
        "minimum_amount": given["minimum_amount"],
        "minimum_amount_currency": given["minimum_amount_currency"],
    }))
}

/// The code the caller chose, if no active code for the same customers has it, or one of letters and digits.
fn free_code(world: &mut World, params: &Value) -> ApiResult<String> {
    let Some(code) = params["code"].as_str() else {
        return Ok(world.ids.text(8).to_uppercase());
    };
    if !code
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    {
        let message = "A promotion code is made of letters, digits and dashes.";
        return Err(ApiError::invalid(message).at("code"));
    }
    let taken = world.records.objects("promotion_code").any(|known| {
        known["active"] == true && known["customer"] == params["customer"] && is_named(known, code)
    });
    if taken {
        let message = format!("An active promotion code with `code: {code}` already exists.");
        return Err(ApiError::state("resource_already_exists", message).at("code"));
    }
    Ok(code.to_owned())
}

fn list(world: &mut World, call: &Call) -> ApiResult {
    let mut filtered = call.clone();
    // Codes are the same in upper and lower case.
    let code = filtered.params["code"].take();
    let coupon = filtered.params["coupon"].take();
    let fits = |known: &Value| {
        code.as_str().is_none_or(|code| is_named(known, code))
            && (coupon.is_null() || known["promotion"]["coupon"] == coupon)
    };
    Listing::of("promotion_code", &["customer", "active"]).page_with(
        &world.records,
        &filtered,
        fits,
    )
}

fn retrieve(world: &mut World, call: &Call) -> ApiResult {
    world.object_at("promotion_code", call.id(), "promotion_code")
}

fn update(world: &mut World, call: &Call) -> ApiResult {
    let before = world.object_at("promotion_code", call.id(), "promotion_code")?;
    if !call.params["restrictions"].is_null() {
        return Err(ApiError::not_built(
            "new restrictions of a promotion code",
            "restrictions",
        ));
    }
    if call.params["active"] == true {
        let coupon = before["promotion"]["coupon"].as_str().unwrap_or_default();
        let coupon = world.find("coupon", coupon);
        let usable = coupon.is_some_and(|coupon| is_valid(&coupon, call.now))
            && is_redeemable(&before, "expires_at", call.now);
        if !usable {
            let message = "This promotion code cannot be made active: it, or its coupon, can no longer be redeemed.";
            return Err(ApiError {
                executed: true,
                ..ApiError::invalid(message).at("active")
            });
        }
    }
    let mut code = before.clone();
    apply(&mut code, &call.params, &["active"]);
    apply_metadata(&mut code, &call.params);
    world.keep_changed(&["promotion_code.updated"], &before, &code, call.now);
    Ok(code)
}
