//! The ways to pay that are offered: by the account, or by a request that limits itself.

use serde_json::{Value, json};

use crate::error::{ApiError, ApiResult};
use crate::version::ENDIVE;
use crate::world::apply;

/// The options of each type of payment method, with what Stripe shows when none are given.
pub(crate) fn options(types: &Value, given: &Value) -> Value {
    let mut options = json!({});
    for kind in types
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        let mut shown = match kind {
            "card" => json!({
                "installments": null,
                "mandate_options": null,
                "network": null,
                "request_three_d_secure": "automatic",
            }),
            _ => json!({}),
        };
        if kind == "card" {
            apply(
                &mut shown,
                &given[kind],
                &[
                    "request_three_d_secure",
                    "capture_method",
                    "setup_future_usage",
                ],
            );
        }
        options[kind] = shown;
    }
    options
}

/// The types of payment method an account offers for a currency, unless a request limits them.
pub(crate) fn offered(currency: &str) -> Value {
    match currency {
        "usd" => json!(["card", "us_bank_account"]),
        "eur" => json!(["card", "sepa_debit"]),
        _ => json!(["card"]),
    }
}

/// The types a request limits itself to, by either of two parameters; null if it does not.
pub(crate) fn limited_types(params: &Value, version: &str) -> ApiResult {
    let (old, new) = ("payment_method_types", "allowed_payment_method_types");
    if !params[old].is_null() && version >= ENDIVE {
        let message = format!(
            "{old} is not supported from API version {ENDIVE} on. Use {new}, or leave the choice to the account."
        );
        return Err(ApiError::coded("payment_method_types_no_longer_supported", message).at(old));
    }
    let (types, param) = if params[old].is_null() {
        (&params[new], new)
    } else {
        (&params[old], old)
    };
    for kind in types
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        if !["card", "link", "sepa_debit", "us_bank_account"].contains(&kind) {
            let message = format!("The sandbox has no payment method of type {kind}.");
            return Err(ApiError::invalid(message).at(param));
        }
    }
    Ok(types.clone())
}
