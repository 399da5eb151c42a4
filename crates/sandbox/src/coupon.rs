//! Coupons: what is taken off a price, and how often.

use serde_json::{Number, Value, json};

use crate::error::{ApiError, ApiResult};
use crate::list::Listing;
use crate::money::Currency;
use crate::records::Collection;
use crate::route::{Call, Operation};
use crate::world::{World, apply, apply_metadata};

pub(crate) const OPERATIONS: &[Operation] = &[
    (
        "POST",
        "/v1/coupons",
        "id:text amount_off:int currency:currency percent_off:text duration:forever|once|repeating
         duration_in_months:int max_redemptions:int redeem_by:int name:text metadata:map applies_to:any
         currency_options:any",
        create,
    ),
    ("GET", "/v1/coupons", "@list created:range", list),
    ("GET", "/v1/coupons/{}", "", retrieve),
    ("POST", "/v1/coupons/{}", "name:text metadata:map currency_options:any", update),
    ("DELETE", "/v1/coupons/{}", "", delete),
];

/// The longest name of a coupon, in characters.
const LONGEST_NAME: usize = 40;
/// The longest id of a coupon, in characters.
const LONGEST_ID: usize = 200;

impl World {
    /// Counts one redemption of a coupon that still exists. As at Stripe no event tells of it.
    pub(crate) fn redeem_coupon(&mut self, id: &str, now: i64) {
        let Some(mut coupon) = self.find("coupon", id) else {
            return;
        };
        coupon["times_redeemed"] = json!(coupon["times_redeemed"].as_i64().unwrap_or(0) + 1);
        coupon["valid"] = json!(is_valid(&coupon, now));
        self.keep(&coupon);
    }

    /// Ends the time of a coupon.
    pub(crate) fn end_coupon(&mut self, id: &str, now: i64) {
        if let Some(mut coupon) = self.find("coupon", id) {
            coupon["valid"] = json!(is_valid(&coupon, now));
            self.keep(&coupon);
        }
    }
}

/// Whether a coupon can still be applied.
pub(crate) fn is_valid(coupon: &Value, now: i64) -> bool {
    is_redeemable(coupon, "redeem_by", now)
}

/// Whether something that is redeemed has redemptions and time left; `until` names the field of its last moment.
pub(crate) fn is_redeemable(object: &Value, until: &str, now: i64) -> bool {
    let times = object["times_redeemed"].as_i64().unwrap_or(0);
    object["max_redemptions"]
        .as_i64()
        .is_none_or(|most| times < most)
        && object[until].as_i64().is_none_or(|last| now <= last)
}

/// What a coupon takes off an amount in its currency, in minor units; never more than the amount.
pub(crate) fn taken_off(coupon: &Value, amount: i64) -> i64 {
    if let Some(off) = coupon["amount_off"].as_i64() {
        return off.min(amount);
    }
    let hundredths = coupon["percent_off"]
        .as_number()
        .and_then(|percent| hundredths(&percent.to_string()));
    // Half a unit is rounded up.
    let off = (i128::from(amount) * i128::from(hundredths.unwrap_or(0)) + 5_000) / 10_000;
    i64::try_from(off).unwrap_or(amount).min(amount)
}

/// The hundredths of a decimal with up to two digits after the point, without trailing zeros of more.
fn hundredths(text: &str) -> Option<i64> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let rest = rest.trim_end_matches('0');
    if whole.is_empty() || rest.len() > 2 || !rest.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    let rest: i64 = format!("{rest:0<2}").parse().ok()?;
    whole.checked_mul(100)?.checked_add(rest)
}

fn create(world: &mut World, call: &Call) -> ApiResult {
    let params = &call.params;
    for name in ["applies_to", "currency_options"] {
        if !params[name].is_null() {
            return Err(ApiError::not_built(&format!("{name} of a coupon"), name));
        }
    }
    let (amount_off, percent_off) = worth(params)?;
    let duration = params["duration"].as_str().unwrap_or("once");
    let months = &params["duration_in_months"];
    if (duration == "repeating") != months.is_i64() {
        let message = "duration_in_months belongs to the duration repeating, and only to it.";
        return Err(ApiError::invalid(message).at("duration_in_months"));
    }
    positive(params, "max_redemptions")?;
    if params["redeem_by"]
        .as_i64()
        .is_some_and(|moment| moment <= call.now)
    {
        let message = "Invalid timestamp: redeem_by has to be in the future.";
        return Err(ApiError::invalid(message).at("redeem_by"));
    }
    check_name(params)?;
    let id = free_id(world, params)?;
    let mut coupon = json!({
        "id": id,
        "object": "coupon",
        "amount_off": amount_off,
        "created": call.now,
        "currency": if amount_off.is_null() { &Value::Null } else { &params["currency"] },
        "duration": duration,
        "duration_in_months": months,
        "livemode": false,
        "max_redemptions": params["max_redemptions"],
        "metadata": {},
        "name": params["name"],
        "percent_off": percent_off,
        "redeem_by": params["redeem_by"],
        "times_redeemed": 0,
        "valid": true,
    });
    apply_metadata(&mut coupon, params);
    world.keep(&coupon);
    if let Some(last) = params["redeem_by"].as_i64() {
        world.plan(last.saturating_add(1), "coupon_ends", &id);
    }
    world.emit("coupon.created", &coupon, None, call.now);
    Ok(coupon)
}

/// What the coupon is worth: an amount or a percentage, the other null.
fn worth(params: &Value) -> ApiResult<(Value, Value)> {
    let percent = params["percent_off"].as_str();
    match (params["amount_off"].as_i64(), percent) {
        (Some(_), Some(_)) => {
            let message = "You may only specify one of these parameters: amount_off, percent_off.";
            Err(ApiError::coded("parameters_exclusive", message).at("percent_off"))
        }
        (None, None) => {
            let message = "You must pass either percent_off or amount_off.";
            Err(ApiError::coded("parameter_missing", message).at("percent_off"))
        }
        (Some(amount), None) => {
            let Some(currency) = params["currency"].as_str() else {
                return Err(ApiError::missing("currency"));
            };
            Currency::of(currency, "currency")?;
            positive(params, "amount_off")?;
            Ok((json!(amount), Value::Null))
        }
        (None, Some(percent)) => {
            let known = hundredths(percent).filter(|hundredths| (1..=10_000).contains(hundredths));
            let number: Option<Number> = known.and_then(|hundredths| {
                let (whole, rest) = (hundredths / 100, hundredths % 100);
                let text = if rest == 0 {
                    whole.to_string()
                } else {
                    format!("{whole}.{rest:02}")
                };
                text.parse().ok()
            });
            let message = format!(
                "Invalid percent_off: {percent}. It has to be greater than 0 and at most 100, with up to two decimals."
            );
            let number = number.ok_or_else(|| ApiError::invalid(message).at("percent_off"))?;
            Ok((Value::Null, Value::Number(number)))
        }
    }
}

/// Checks that a parameter, if given, is at least 1.
pub(crate) fn positive(params: &Value, name: &str) -> ApiResult<()> {
    match params[name].as_i64() {
        Some(number) if number < 1 => {
            let message = format!("Invalid positive integer: {number}");
            Err(ApiError::coded("parameter_invalid_integer", message).at(name))
        }
        _ => Ok(()),
    }
}

fn check_name(params: &Value) -> ApiResult<()> {
    let name = params["name"].as_str().unwrap_or_default();
    if name.chars().count() > LONGEST_NAME {
        let message = format!("A coupon's name is at most {LONGEST_NAME} characters long.");
        return Err(ApiError::coded("parameter_invalid_string_too_long", message).at("name"));
    }
    Ok(())
}

/// The id the caller chose, if nothing else has it, or one that nobody could foresee.
fn free_id(world: &mut World, params: &Value) -> ApiResult<String> {
    let Some(id) = params["id"].as_str() else {
        return Ok(world.ids.text(8).to_uppercase());
    };
    if id.chars().count() > LONGEST_ID || id.contains(['/', '?', '#']) {
        let message = format!(
            "Invalid coupon id: it is at most {LONGEST_ID} characters long, without / ? or #."
        );
        return Err(ApiError::invalid(message).at("id"));
    }
    match world.records.get(Collection::Object, id) {
        Some(known) if known["deleted"] != true || known["object"] != "coupon" => Err(
            ApiError::state("resource_already_exists", "Coupon already exists."),
        ),
        _ => Ok(id.to_owned()),
    }
}

fn list(world: &mut World, call: &Call) -> ApiResult {
    Listing::of("coupon", &[]).page(&world.records, call)
}

fn retrieve(world: &mut World, call: &Call) -> ApiResult {
    world.object_at("coupon", call.id(), "coupon")
}

fn update(world: &mut World, call: &Call) -> ApiResult {
    let before = world.object_at("coupon", call.id(), "coupon")?;
    if !call.params["currency_options"].is_null() {
        return Err(ApiError::not_built(
            "currency_options of a coupon",
            "currency_options",
        ));
    }
    check_name(&call.params)?;
    let mut coupon = before.clone();
    apply(&mut coupon, &call.params, &["name"]);
    apply_metadata(&mut coupon, &call.params);
    world.keep_changed(&["coupon.updated"], &before, &coupon, call.now);
    Ok(coupon)
}

fn delete(world: &mut World, call: &Call) -> ApiResult {
    let coupon = world.object_at("coupon", call.id(), "coupon")?;
    world.emit("coupon.deleted", &coupon, None, call.now);
    let deleted = json!({ "id": call.id(), "object": "coupon", "deleted": true });
    world.keep(&deleted);
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_read_without_floating_point() {
        assert_eq!(hundredths("25.5"), Some(2550));
        assert_eq!(hundredths("100"), Some(10_000));
        assert_eq!(hundredths("0.05"), Some(5));
        assert_eq!(hundredths("33.330"), Some(3333));
        for wrong in ["", ".5", "1.234", "x", "1.x", "-0.5.1"] {
            assert_eq!(hundredths(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn no_coupon_takes_more_than_there_is() {
        assert_eq!(taken_off(&json!({"amount_off": 700}), 500), 500);
        assert_eq!(taken_off(&json!({"amount_off": 200}), 500), 200);
        assert_eq!(taken_off(&json!({"percent_off": 25.5}), 999), 255);
        assert_eq!(
            taken_off(&json!({"percent_off": 50}), 3),
            2,
            "half a unit is rounded up"
        );
        assert_eq!(taken_off(&json!({"percent_off": 100}), i64::MAX), i64::MAX);
    }
}
