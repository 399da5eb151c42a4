//! `expand[]`: related objects in full instead of their ids.

use serde_json::Value;

use crate::error::{ApiError, ApiResult};
use crate::records::{Collection, Records};

/// The fields that hold the id of another object.
const REFERENCES: &[&str] = &[
    "application",
    "balance_transaction",
    "charge",
    "coupon",
    "customer",
    "default_payment_method",
    "default_price",
    "default_source",
    "failure_balance_transaction",
    "invoice",
    "latest_attempt",
    "latest_charge",
    "mandate",
    "on_behalf_of",
    "payment_intent",
    "payment_link",
    "payment_method",
    "product",
    "promotion_code",
    "review",
    "setup_intent",
    "source",
    "source_transfer_reversal",
    "subscription",
    "test_clock",
    "transfer",
    "transfer_reversal",
];

/// The fields that are left out unless they are asked for, by the kind of object that has them.
const ON_REQUEST: &[(&str, &str)] = &[
    ("charge", "refunds"),
    ("checkout.session", "line_items"),
    ("customer", "sources"),
    ("customer", "subscriptions"),
    ("customer", "tax_ids"),
];

/// Fields that Stripe leaves out unless asked, and that nothing in the sandbox ever fills.
const INCLUDABLE: &[&str] = &[
    "breakdown",
    "cash_balance",
    "currency_options",
    "discounts",
    "tax",
    "tiers",
];

/// Expands every path of the `expand` parameter in an answer.
pub(crate) fn expand(records: &Records, answer: &mut Value, params: &Value) -> ApiResult<()> {
    let paths = params["expand"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    for path in paths {
        let steps: Vec<&str> = path.split('.').collect();
        if steps.len() > 4 {
            let message = format!("You cannot expand more than 4 levels of a property: {path}");
            return Err(ApiError::invalid(message).at("expand"));
        }
        // Also where there is nothing to expand, as in an empty list.
        let last = steps.last().copied().unwrap_or_default();
        let known = REFERENCES.contains(&last)
            || INCLUDABLE.contains(&last)
            || ON_REQUEST.iter().any(|(_, field)| *field == last);
        if !known {
            return Err(not_expandable(last, path));
        }
        follow(records, answer, &steps, path)?;
    }
    Ok(())
}

fn follow(records: &Records, value: &mut Value, steps: &[&str], path: &str) -> ApiResult<()> {
    let Some((step, rest)) = steps.split_first() else {
        return Ok(());
    };
    if let Value::Array(items) = value {
        return items
            .iter_mut()
            .try_for_each(|item| follow(records, item, steps, path));
    }
    if value.is_null() {
        return Ok(());
    }
    if let Some(listed) = on_request(records, value, step) {
        value[*step] = listed;
    }
    let Some(field) = value.get_mut(*step) else {
        if INCLUDABLE.contains(step) {
            return Ok(());
        }
        return Err(not_expandable(step, path));
    };
    if let Some(object) = field
        .as_str()
        .and_then(|id| records.get(Collection::Object, id))
    {
        *field = object.clone();
    }
    let expandable = field.is_object() || field.is_array() || REFERENCES.contains(step);
    if !expandable {
        return Err(not_expandable(step, path));
    }
    // An id of something the sandbox does not keep stays an id.
    if field.is_string() {
        Ok(())
    } else {
        follow(records, field, rest, path)
    }
}

fn not_expandable(step: &str, path: &str) -> ApiError {
    let hint = if path.starts_with("data.") {
        ""
    } else {
        " In a list, paths begin with data."
    };
    let message = format!("This property cannot be expanded ({step}), in {path}.{hint}");
    ApiError::invalid(message).at("expand")
}

/// The list an object has only on request.
fn on_request(records: &Records, owner: &Value, field: &str) -> Option<Value> {
    let kind = owner["object"].as_str()?;
    ON_REQUEST.iter().find(|known| **known == (kind, field))?;
    let id = owner["id"].as_str()?;
    let (data, url): (Vec<Value>, String) = match field {
        "refunds" => {
            let refunds = records.objects_by("refund", "charge", id).take(11);
            (
                refunds.cloned().collect(),
                format!("/v1/charges/{id}/refunds"),
            )
        }
        "line_items" => {
            let private = records.get(Collection::Private, id);
            let items = private.and_then(|private| private["line_items"].as_array());
            let items = items.cloned().unwrap_or_default();
            (items, format!("/v1/checkout/sessions/{id}/line_items"))
        }
        _ => (Vec::new(), format!("/v1/customers/{id}/{field}")),
    };
    let (first, more) = (data.get(..10).unwrap_or(&data), data.len() > 10);
    Some(serde_json::json!({ "object": "list", "data": first, "has_more": more, "url": url }))
}
