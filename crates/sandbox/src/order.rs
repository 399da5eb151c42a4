//! What a checkout session asks for, as the hosted page shows it.

use serde_json::Value;

use crate::World;
use crate::money::Currency;

/// Who the money goes to when the session does not say.
const MERCHANT: &str = "Sandbox shop";

/// A checkout session in words and formatted amounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) merchant: String,
    pub(crate) total: String,
    pub(crate) lines: Vec<Line>,
    /// Shipping, tax and discounts, where there are any.
    pub(crate) extras: Vec<Extra>,
    /// Where the form goes.
    pub(crate) action: String,
    /// What the button says.
    pub(crate) verb: String,
    pub(crate) cancel_url: Option<String>,
    /// The shop has said who the customer is.
    pub(crate) email: Option<String>,
    /// The customer may type in a promotion code.
    pub(crate) takes_code: bool,
    /// The kind of bank debit the session takes, if it does.
    pub(crate) bank_debit: Option<&'static str>,
}

/// One line item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) quantity: i64,
    pub(crate) each: String,
    pub(crate) total: String,
}

/// An amount that is not a line item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Extra {
    pub(crate) name: &'static str,
    pub(crate) total: String,
}

impl Order {
    /// The order of a session.
    pub(crate) fn of(world: &World, session: &Value) -> Self {
        let show =
            |amount: i64| amount_in(session["currency"].as_str().unwrap_or_default(), amount);
        let id = session["id"].as_str().unwrap_or_default();
        let total = show(session["amount_total"].as_i64().unwrap_or(0));
        let items = world.facts(id)["line_items"].as_array();
        let lines = items
            .into_iter()
            .flatten()
            .map(|item| Line::of(item, show))
            .collect();
        let details = &session["total_details"];
        let extras = [
            ("Shipping", "amount_shipping", 1),
            ("Tax", "amount_tax", 1),
            ("Discount", "amount_discount", -1),
        ]
        .into_iter()
        .filter_map(|(name, field, sign)| {
            let amount = details[field].as_i64().filter(|amount| *amount != 0)?;
            Some(Extra {
                name,
                total: show(amount * sign),
            })
        });
        Self {
            merchant: merchant(session),
            extras: extras.collect(),
            lines,
            action: format!("/c/pay/{id}"),
            verb: verb(session, &total),
            cancel_url: web_address(&session["cancel_url"]),
            email: session["customer_email"].as_str().map(str::to_owned),
            takes_code: session["allow_promotion_codes"] == true,
            bank_debit: bank_debit(session),
            total,
        }
    }
}

impl Line {
    fn of(item: &Value, show: impl Fn(i64) -> String) -> Self {
        let amount = |value: &Value| show(value.as_i64().unwrap_or(0));
        Self {
            name: item["description"].as_str().unwrap_or("Item").to_owned(),
            quantity: item["quantity"].as_i64().unwrap_or(1),
            each: amount(&item["price"]["unit_amount"]),
            // Before tax and discounts: those have lines of their own.
            total: amount(&item["amount_subtotal"]),
        }
    }
}

/// An amount for a person. A currency nobody knows is shown as a bare number of minor units rather than wrongly.
pub(crate) fn amount_in(currency: &str, amount: i64) -> String {
    let known = Currency::of(currency, "currency").ok();
    known.map_or_else(
        || format!("{amount} {currency}"),
        |currency| currency.show(amount),
    )
}

/// An address a link may lead to; anything else (`javascript:`) is left out.
pub(crate) fn web_address(value: &Value) -> Option<String> {
    let url = value.as_str()?;
    (url.starts_with("https://") || url.starts_with("http://")).then(|| url.to_owned())
}

fn merchant(session: &Value) -> String {
    let name = session["branding_settings"]["display_name"].as_str();
    name.filter(|name| !name.is_empty())
        .unwrap_or(MERCHANT)
        .to_owned()
}

fn verb(session: &Value, total: &str) -> String {
    let verb = match session["submit_type"].as_str() {
        Some("book") => "Book",
        Some("donate") => "Donate",
        Some("subscribe") => "Subscribe for",
        _ => "Pay",
    };
    format!("{verb} {total}")
}

/// The method of the session that pays days later.
fn bank_debit(session: &Value) -> Option<&'static str> {
    const KINDS: [&str; 2] = ["us_bank_account", "sepa_debit"];
    let types = session["payment_method_types"].as_array()?;
    KINDS
        .into_iter()
        .find(|kind| types.iter().any(|known| known == kind))
}
