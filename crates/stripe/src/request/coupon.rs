//! Coupons.

use super::Request;
use serde_json::json;

/// `POST /v1/coupons`: takes `amount_off` (minor units of `currency`) off one purchase, once.
///
/// `id` is ours. A second coupon with it is refused with `resource_already_exists`. The customer
/// reads `name` (40 characters at most) on the page.
pub fn create_coupon(
    id: &str,
    amount_off: i64,
    currency: &str,
    name: &str,
    idempotency_key: impl Into<String>,
) -> Request {
    let params = json!({
        "id": id,
        "amount_off": amount_off,
        "currency": currency,
        "name": name,
        "duration": "once",
        "max_redemptions": 1,
    });
    Request::post("/v1/coupons", params, idempotency_key)
}
