//! The line items of a checkout session: what is bought, how many, and what it comes to.

use serde_json::{Value, json};

use crate::error::{ApiError, ApiResult};
use crate::money::Currency;
use crate::world::World;

/// The most line items a session takes.
const MOST: usize = 100;

/// The items of a session and what they come to.
#[derive(Debug)]
pub(crate) struct Cart {
    pub(crate) items: Vec<Value>,
    /// The currency they share.
    pub(crate) currency: &'static str,
    /// Their sum in minor units.
    pub(crate) total: i64,
}

impl World {
    /// The line items of a session, in their order.
    pub(crate) fn line_items(&self, session: &str) -> &[Value] {
        self.facts(session)["line_items"]
            .as_array()
            .map_or(&[], Vec::as_slice)
    }

    /// Reads the `line_items` of a session in payment mode, and makes the products and prices they describe.
    pub(crate) fn cart(&mut self, params: &Value, now: i64) -> ApiResult<Cart> {
        let given = params["line_items"].as_array().cloned().unwrap_or_default();
        if given.is_empty() {
            let message = "A session in payment mode needs line_items.";
            return Err(ApiError::coded("parameter_missing", message).at("line_items"));
        }
        if given.len() > MOST {
            let message = format!("A session takes up to {MOST} line items.");
            return Err(ApiError::invalid(message).at("line_items"));
        }
        let mut items = Vec::new();
        let mut currency: Option<Currency> = None;
        let mut total = 0_i64;
        for (n, given) in given.iter().enumerate() {
            let at = format!("line_items[{n}]");
            let item = self.line_item(given, &at, now)?;
            let its = Currency::of(item["currency"].as_str().unwrap_or_default(), &at)?;
            if currency.is_some_and(|first| first != its) {
                let message = "All line items have to have the same currency.";
                return Err(ApiError::invalid(message).at(&at));
            }
            currency = Some(its);
            let amount = item["amount_total"].as_i64().unwrap_or_default();
            total = total.checked_add(amount).ok_or_else(|| too_large(&at))?;
            items.push(item);
        }
        let Some(currency) = currency else {
            return Err(ApiError::missing("line_items"));
        };
        // A session may cost nothing; whatever it costs otherwise has to be chargeable.
        if total != 0 {
            currency.check(total, "line_items").map_err(|error| {
                let message = format!(
                    "The Checkout Session's total is out of range. {}",
                    error.message
                );
                ApiError { message, ..error }
            })?;
        }
        Ok(Cart {
            items,
            currency: currency.code,
            total,
        })
    }

    fn line_item(&mut self, given: &Value, at: &str, now: i64) -> ApiResult {
        let price = match (given["price"].as_str(), &given["price_data"]) {
            (Some(id), Value::Null) => self.object_in("price", id, &format!("{at}[price]"))?,
            (None, data @ Value::Object(_)) => self.price_of_data(data, at, now)?,
            (None, _) => return Err(ApiError::missing(&format!("{at}[price]"))),
            (Some(_), _) => {
                let message = "Give price or price_data, not both.";
                return Err(
                    ApiError::coded("parameters_exclusive", message).at(&format!("{at}[price]"))
                );
            }
        };
        if price["active"] != true && given["price_data"].is_null() {
            let message = format!(
                "The price {} is inactive and cannot be bought.",
                price["id"]
            );
            return Err(ApiError::invalid(message.replace('"', "")).at(&format!("{at}[price]")));
        }
        if !price["recurring"].is_null() {
            let message = "You specified payment mode but passed a recurring price. Use subscription mode for it.";
            return Err(ApiError::invalid(message).at(&format!("{at}[price]")));
        }
        let quantity_at = format!("{at}[quantity]");
        let Some(quantity) = given["quantity"].as_i64() else {
            return Err(ApiError::missing(&quantity_at));
        };
        if !(1..=999_999).contains(&quantity) {
            let message = format!("Invalid quantity: {quantity}. It has to be from 1 to 999999.");
            return Err(ApiError::coded("parameter_invalid_integer", message).at(&quantity_at));
        }
        let unit = price["unit_amount"].as_i64().unwrap_or_default();
        let amount = unit
            .checked_mul(quantity)
            .ok_or_else(|| too_large(&quantity_at))?;
        let product = self.find("product", price["product"].as_str().unwrap_or_default());
        Ok(json!({
            "id": self.ids.next("li"),
            "object": "item",
            "adjustable_quantity": null,
            "amount_discount": 0,
            "amount_subtotal": amount,
            "amount_tax": 0,
            "amount_total": amount,
            "currency": price["currency"],
            "description": product.map_or(Value::Null, |product| product["name"].clone()),
            "metadata": given["metadata"].as_object().cloned().unwrap_or_default(),
            "price": price,
            "quantity": quantity,
        }))
    }

    /// The price a line item describes. It and its product exist, inactive, as nobody else is to buy by them.
    fn price_of_data(&mut self, data: &Value, at: &str, now: i64) -> ApiResult {
        let at = format!("{at}[price_data]");
        let product = match (data["product"].as_str(), &data["product_data"]) {
            (Some(id), Value::Null) => self.object_in("product", id, &format!("{at}[product]"))?,
            (None, described @ Value::Object(_)) => {
                let mut described = described.clone();
                described["active"] = json!(false);
                self.new_product(&described, now)?
            }
            (None, _) => return Err(ApiError::missing(&format!("{at}[product]"))),
            (Some(_), _) => {
                let message = "Give product or product_data, not both.";
                return Err(
                    ApiError::coded("parameters_exclusive", message).at(&format!("{at}[product]"))
                );
            }
        };
        let mut data = data.clone();
        data["active"] = json!(false);
        self.new_price(&data, product["id"].as_str().unwrap_or_default(), &at, now)
    }
}

fn too_large(param: &str) -> ApiError {
    ApiError::coded(
        "amount_too_large",
        "This amount is larger than any that can be charged.",
    )
    .at(param)
}
