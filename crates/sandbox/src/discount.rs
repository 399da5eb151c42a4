//! Discounts: a coupon applied to a checkout session, by itself or by a promotion code.

use serde_json::{Value, json};

use crate::coupon::{is_redeemable, is_valid, taken_off};
use crate::error::{ApiError, ApiResult};
use crate::line_item::Cart;
use crate::money::Currency;
use crate::world::World;

/// A coupon that was found to be good for an order, and the promotion code that led to it.
#[derive(Debug)]
pub(crate) struct Discount {
    coupon: Value,
    promotion_code: Option<Value>,
}

/// What a discount is to be good for.
#[derive(Debug, Clone, Copy)]
struct Order<'a> {
    customer: &'a Value,
    currency: &'a str,
    subtotal: i64,
    now: i64,
}

impl Discount {
    /// The discount as a session shows it.
    fn shown(&self) -> Value {
        let coupon = match self.promotion_code {
            Some(_) => Value::Null,
            None => self.coupon["id"].clone(),
        };
        let code = self.promotion_code.as_ref();
        json!({ "coupon": coupon, "promotion_code": code.map(|code| &code["id"]) })
    }
}

impl World {
    /// The discount the parameters of a session name, if any.
    pub(crate) fn discount_of(
        &self,
        params: &Value,
        cart: Option<&Cart>,
        now: i64,
    ) -> ApiResult<Option<Discount>> {
        let given = params["discounts"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        let (one, cart) = match (given, cart) {
            ([], _) => return Ok(None),
            ([one], Some(cart)) => (one, cart),
            ([_], None) => {
                let message = "A session in setup mode takes no discounts.";
                return Err(ApiError::invalid(message).at("discounts"));
            }
            _ => {
                let message = "A Checkout Session takes one discount.";
                return Err(ApiError::invalid(message).at("discounts"));
            }
        };
        if params["allow_promotion_codes"] == true {
            let message =
                "You may only specify one of these parameters: allow_promotion_codes, discounts.";
            return Err(ApiError::coded("parameters_exclusive", message).at("discounts"));
        }
        let order = Order {
            customer: &params["customer"],
            currency: cart.currency,
            subtotal: cart.total,
            now,
        };
        let at = "discounts[0]";
        match (one["coupon"].as_str(), one["promotion_code"].as_str()) {
            (Some(id), None) => {
                let at = format!("{at}[coupon]");
                let coupon = self.object_in("coupon", id, &at)?;
                check_coupon(&coupon, order, &at)?;
                Ok(Some(Discount {
                    coupon,
                    promotion_code: None,
                }))
            }
            (None, Some(id)) => {
                let at = format!("{at}[promotion_code]");
                let code = self.object_in("promotion_code", id, &at)?;
                self.discount_by(code, order, &at).map(Some)
            }
            (None, None) => Err(ApiError::missing(&format!("{at}[coupon]"))),
            (Some(_), Some(_)) => {
                let message = "Give coupon or promotion_code, not both.";
                Err(ApiError::coded("parameters_exclusive", message).at(at))
            }
        }
    }

    /// The discount a promotion code leads to, if it is good for an order.
    fn discount_by(&self, code: Value, order: Order<'_>, at: &str) -> ApiResult<Discount> {
        let refuse = |message: &str| Err(ApiError::invalid(message).at(at));
        if code["active"] != true || !is_redeemable(&code, "expires_at", order.now) {
            return refuse("This promotion code cannot be redeemed: it is no longer active.");
        }
        if !code["customer"].is_null() && code["customer"] != *order.customer {
            return refuse("This promotion code belongs to another customer.");
        }
        let restrictions = &code["restrictions"];
        if restrictions["first_time_transaction"] == true && self.has_paid(order.customer) {
            return refuse("This promotion code is for a first payment only.");
        }
        if let Some(least) = restrictions["minimum_amount"].as_i64()
            && (restrictions["minimum_amount_currency"] != order.currency || order.subtotal < least)
        {
            return refuse("This order does not reach the minimum amount of the promotion code.");
        }
        let coupon = code["promotion"]["coupon"].as_str().unwrap_or_default();
        let coupon = self.object_in("coupon", coupon, at)?;
        check_coupon(&coupon, order, at)?;
        Ok(Discount {
            coupon,
            promotion_code: Some(code),
        })
    }

    fn has_paid(&self, customer: &Value) -> bool {
        let customer = customer.as_str().unwrap_or_default();
        self.records
            .objects_by("payment_intent", "customer", customer)
            .any(|intent| intent["status"] == "succeeded")
    }

    /// Applies a discount to a session and its line items. The session is for the caller to keep.
    pub(crate) fn apply_discount(
        &mut self,
        session: &mut Value,
        discount: &Discount,
    ) -> ApiResult<()> {
        let subtotal = session["amount_subtotal"].as_i64().unwrap_or_default();
        let off = taken_off(&discount.coupon, subtotal);
        let total = subtotal.saturating_sub(off);
        let currency = session["currency"].as_str().unwrap_or_default();
        // What is left may be nothing; whatever it is otherwise has to be chargeable.
        if total != 0 {
            Currency::of(currency, "currency")?.check(total, "discounts")?;
        }
        let id = session["id"].as_str().unwrap_or_default().to_owned();
        let items = spread(self.line_items(&id), subtotal, off);
        self.note(&id, "line_items", json!(items));
        self.note(&id, "coupon", discount.coupon["id"].clone());
        session["amount_total"] = json!(total);
        session["total_details"]["amount_discount"] = json!(off);
        session["discounts"] = json!([discount.shown()]);
        Ok(())
    }

    /// Applies the promotion code a customer typed in on the page of an open session.
    pub fn apply_promotion_code(&mut self, session: &str, code: &str, now: i64) -> ApiResult {
        self.tick(now);
        let mut session = self.object_at("checkout.session", session, "session")?;
        if session["status"] != "open" || session["allow_promotion_codes"] != true {
            let message = "This session takes no promotion codes.";
            return Err(ApiError::invalid(message).at("session"));
        }
        let Some(found) = self.promotion_code_named(code, &session["customer"]) else {
            let message = "This code is invalid.";
            return Err(ApiError::coded("resource_missing", message).at("promotion_code"));
        };
        let order = Order {
            customer: &session["customer"],
            currency: session["currency"].as_str().unwrap_or_default(),
            subtotal: session["amount_subtotal"].as_i64().unwrap_or_default(),
            now,
        };
        let discount = self.discount_by(found, order, "promotion_code")?;
        self.apply_discount(&mut session, &discount)?;
        self.keep(&session);
        Ok(session)
    }

    /// Whether the discount of a session, if it has one, can still be redeemed. A coupon that was deleted since goes
    /// on to count where it was applied.
    pub(crate) fn discount_holds(&self, session: &Value, now: i64) -> bool {
        let id = session["id"].as_str().unwrap_or_default();
        let coupon = self.facts(id)["coupon"].as_str();
        let coupon = coupon.and_then(|id| self.find("coupon", id));
        let code = session["discounts"][0]["promotion_code"].as_str();
        let code = code.and_then(|id| self.find("promotion_code", id));
        coupon.is_none_or(|coupon| is_valid(&coupon, now))
            && code.is_none_or(|code| {
                code["active"] == true && is_redeemable(&code, "expires_at", now)
            })
    }

    /// Counts the discount of a session that is complete.
    pub(crate) fn redeem_discount(&mut self, session: &Value, now: i64) {
        let id = session["id"].as_str().unwrap_or_default();
        if let Some(coupon) = self.facts(id)["coupon"].as_str().map(str::to_owned) {
            self.redeem_coupon(&coupon, now);
        }
        if let Some(code) = session["discounts"][0]["promotion_code"].as_str() {
            self.redeem_promotion_code(code, now);
        }
    }
}

/// Checks that a coupon is good for an order.
fn check_coupon(coupon: &Value, order: Order<'_>, at: &str) -> ApiResult<()> {
    if !is_valid(coupon, order.now) {
        let id = coupon["id"].as_str().unwrap_or_default();
        let message = format!("Coupon {id} is expired and cannot be applied.");
        return Err(ApiError::coded("coupon_expired", message).at(at));
    }
    if !coupon["currency"].is_null() && coupon["currency"] != order.currency {
        let message = format!(
            "The coupon's currency ({}) is not that of the line items ({}).",
            coupon["currency"].as_str().unwrap_or_default(),
            order.currency
        );
        return Err(ApiError::invalid(message).at(at));
    }
    Ok(())
}

/// The line items with a discount spread over them by their amounts; what does not divide goes to the first ones.
fn spread(items: &[Value], subtotal: i64, off: i64) -> Vec<Value> {
    let amounts: Vec<i64> = items
        .iter()
        .map(|item| item["amount_subtotal"].as_i64().unwrap_or_default())
        .collect();
    let share = |amount: &i64| -> i64 {
        let share = i128::from(*amount) * i128::from(off) / i128::from(subtotal.max(1));
        i64::try_from(share).unwrap_or_default()
    };
    let mut shares: Vec<i64> = amounts.iter().map(share).collect();
    let mut left = off.saturating_sub(shares.iter().sum());
    for (share, amount) in shares.iter_mut().zip(&amounts) {
        let more = left.min(amount.saturating_sub(*share));
        *share += more;
        left -= more;
    }
    let discounted = items.iter().zip(shares).map(|(item, share)| {
        let mut item = item.clone();
        let amount = item["amount_subtotal"].as_i64().unwrap_or_default();
        item["amount_discount"] = json!(share);
        item["amount_total"] = json!(amount.saturating_sub(share));
        item
    });
    discounted.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_discount_is_spread_to_the_last_unit() {
        let items: Vec<Value> = [333, 333, 334]
            .iter()
            .map(|amount| json!({"amount_subtotal": amount}))
            .collect();
        let spread = spread(&items, 1000, 500);
        let shares: Vec<i64> = spread
            .iter()
            .map(|item| item["amount_discount"].as_i64().unwrap())
            .collect();
        assert_eq!(shares, [167, 166, 167]);
        assert_eq!(spread[0]["amount_total"], 166);
    }
}
