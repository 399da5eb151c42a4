//! The account itself.

use serde_json::{Value, json};

use crate::error::{ApiError, ApiResult};
use crate::route::{Call, Operation};
use crate::world::World;

pub(crate) const OPERATIONS: &[Operation] = &[
    ("GET", "/v1/account", "", retrieve),
    ("GET", "/v1/accounts/{}", "", retrieve),
];

fn retrieve(world: &mut World, call: &Call) -> ApiResult {
    let id = world.account_id();
    if call.ids.first().is_some_and(|asked| *asked != id) {
        return Err(ApiError::no_such("account", call.id(), "id", 404));
    }
    Ok(json!({
        "id": id,
        "object": "account",
        "business_type": null,
        "capabilities": { "card_payments": "active", "transfers": "active" },
        "charges_enabled": true,
        "country": "US",
        "default_currency": "usd",
        "details_submitted": true,
        "email": "sandbox@example.com",
        "metadata": {},
        "payouts_enabled": true,
        "settings": Value::Null,
        "type": "standard",
    }))
}
