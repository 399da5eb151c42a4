//! The account's balance and the movements that make it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::error::ApiResult;
use crate::list::Listing;
use crate::route::{Call, Operation};
use crate::world::World;

pub(crate) const OPERATIONS: &[Operation] = &[
    ("GET", "/v1/balance", "", balance),
    (
        "GET",
        "/v1/balance_transactions",
        "@list created:range currency:currency source:text type:text payout:text",
        list,
    ),
    ("GET", "/v1/balance_transactions/{}", "", retrieve),
    // The path of older client libraries.
    (
        "GET",
        "/v1/balance/history",
        "@list created:range currency:currency source:text type:text",
        list,
    ),
];

/// Money that comes into the balance, or leaves it if the amount is negative.
#[derive(Debug)]
pub(crate) struct Movement {
    /// Stripe's type of balance transaction.
    pub(crate) kind: &'static str,
    /// Stripe's reporting category.
    pub(crate) category: &'static str,
    /// The id of the object that caused it.
    pub(crate) source: Value,
    pub(crate) currency: Value,
    /// Before the fee, in minor units.
    pub(crate) amount: i64,
    pub(crate) fee: i64,
    /// When it can be paid out, in seconds since 1970.
    pub(crate) available_on: i64,
    pub(crate) description: Value,
}

impl World {
    /// Books a movement and returns its id.
    pub(crate) fn new_movement(&mut self, movement: &Movement, now: i64) -> Value {
        let id = self.ids.next("txn");
        let available = movement.available_on <= now;
        let fees = match movement.fee {
            0 => json!([]),
            fee => json!([{
                "amount": fee,
                "application": null,
                "currency": movement.currency,
                "description": "Stripe processing fees",
                "type": "stripe_fee",
            }]),
        };
        let transaction = json!({
            "id": id,
            "object": "balance_transaction",
            "amount": movement.amount,
            "available_on": movement.available_on,
            "balance_type": "payments",
            "created": now,
            "currency": movement.currency,
            "description": movement.description,
            "exchange_rate": null,
            "fee": movement.fee,
            "fee_details": fees,
            "net": movement.amount.saturating_sub(movement.fee),
            "reporting_category": movement.category,
            "source": movement.source,
            "status": if available { "available" } else { "pending" },
            "type": movement.kind,
        });
        self.keep(&transaction);
        if !available {
            self.plan(movement.available_on, "funds_available", &id);
        }
        json!(id)
    }

    /// Makes the money of a movement available.
    pub(crate) fn free_funds(&mut self, id: &str) {
        if let Some(mut transaction) = self.find("balance_transaction", id) {
            transaction["status"] = json!("available");
            self.keep(&transaction);
        }
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "every operation may refuse; this one never does"
)]
fn balance(world: &mut World, _call: &Call) -> ApiResult {
    let mut sums: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for movement in world.records.objects("balance_transaction") {
        let currency = movement["currency"].as_str().unwrap_or_default();
        let net = movement["net"].as_i64().unwrap_or_default();
        // Every currency is shown in both places, with a zero where there is nothing.
        for status in ["available", "pending"] {
            let sum = sums.entry((status, currency)).or_default();
            *sum += if movement["status"] == status { net } else { 0 };
        }
    }
    if sums.is_empty() {
        sums.extend([(("available", "usd"), 0), (("pending", "usd"), 0)]);
    }
    let funds = |wanted: &str| -> Vec<Value> {
        let of_status = sums.iter().filter(|((status, _), _)| *status == wanted);
        of_status
            .map(|((_, currency), sum)| {
                json!({ "amount": sum, "currency": currency, "source_types": { "card": sum } })
            })
            .collect()
    };
    Ok(json!({
        "object": "balance",
        "available": funds("available"),
        "livemode": false,
        "pending": funds("pending"),
    }))
}

fn list(world: &mut World, call: &Call) -> ApiResult {
    let filters = ["source", "type", "currency"];
    let paid_out = !call.params["payout"].is_null();
    let listing = Listing::of("balance_transaction", &filters);
    let mut page = listing.page_with(&world.records, call, |_| !paid_out)?;
    page["url"] = json!("/v1/balance_transactions");
    Ok(page)
}

fn retrieve(world: &mut World, call: &Call) -> ApiResult {
    world.object_at("balance_transaction", call.id(), "id")
}
