//! Lists: a page of objects, newest first.

use serde_json::{Value, json};

use crate::error::{ApiError, ApiResult};

/// One page of `all` (newest first), as `limit`, `starting_after` and `ending_before` ask for it.
pub(crate) fn page<'a>(
    mut all: impl Iterator<Item = &'a Value>,
    params: &Value,
    url: &str,
) -> ApiResult {
    let limit = limit_of(params)?;
    let after = params["starting_after"].as_str();
    let before = params["ending_before"].as_str();
    if after.is_some() && before.is_some() {
        let message = "You can give starting_after or ending_before, not both.";
        return Err(ApiError::coded("parameters_exclusive", message).at("ending_before"));
    }
    let mut taken: Vec<&Value> = Vec::new();
    let more;
    if let Some(cursor) = before {
        let mut found = false;
        taken = all
            .by_ref()
            .take_while(|object| {
                found = object["id"] == cursor;
                !found
            })
            .collect();
        known(found, cursor, "ending_before")?;
        more = taken.len() > limit;
        taken.drain(..taken.len().saturating_sub(limit));
    } else {
        if let Some(cursor) = after {
            known(
                all.any(|object| object["id"] == cursor),
                cursor,
                "starting_after",
            )?;
        }
        taken.extend(all.by_ref().take(limit));
        more = all.next().is_some();
    }
    Ok(json!({ "object": "list", "data": taken, "has_more": more, "url": url }))
}

fn limit_of(params: &Value) -> ApiResult<usize> {
    let limit = params["limit"].as_i64().unwrap_or(10);
    if let Ok(limit @ 1..=100) = usize::try_from(limit) {
        return Ok(limit);
    }
    let message = format!("Invalid limit: {limit}. A page holds 1 to 100 objects.");
    Err(ApiError::coded("parameter_invalid_integer", message).at("limit"))
}

fn known(found: bool, cursor: &str, param: &str) -> ApiResult<()> {
    if found {
        return Ok(());
    }
    let message = format!("No such object in this list: '{cursor}'");
    Err(ApiError::coded("resource_missing", message).at(param))
}

/// Whether every given filter of `names` equals the object's field of the same name.
pub(crate) fn matches(object: &Value, params: &Value, names: &[&str]) -> bool {
    names
        .iter()
        .all(|name| params[*name].is_null() || object[*name] == params[*name])
}

/// Whether a time lies in a range parameter: a moment, or bounds.
pub(crate) fn in_range(time: &Value, range: &Value) -> bool {
    let time = time.as_i64().unwrap_or(0);
    if let Some(moment) = range.as_i64() {
        return time == moment;
    }
    range["gt"].as_i64().is_none_or(|bound| time > bound)
        && range["gte"].as_i64().is_none_or(|bound| time >= bound)
        && range["lt"].as_i64().is_none_or(|bound| time < bound)
        && range["lte"].as_i64().is_none_or(|bound| time <= bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(params: &Value) -> (Vec<i64>, bool) {
        let all: Vec<Value> = (1..=25)
            .rev()
            .map(|n| json!({ "id": n.to_string(), "n": n }))
            .collect();
        let page = page(all.iter(), params, "/v1/things").unwrap();
        let data = page["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|object| object["n"].as_i64().unwrap());
        (data.collect(), page["has_more"].as_bool().unwrap())
    }

    #[test]
    fn pages_run_from_the_newest_to_the_oldest_and_back() {
        assert_eq!(ids(&json!({})), ((16..=25).rev().collect(), true));
        assert_eq!(
            ids(&json!({"limit": 3, "starting_after": "4"})),
            (vec![3, 2, 1], false)
        );
        assert_eq!(
            ids(&json!({"limit": 3, "starting_after": "5"})),
            (vec![4, 3, 2], true)
        );
        assert_eq!(
            ids(&json!({"limit": 2, "ending_before": "20"})),
            (vec![22, 21], true)
        );
        assert_eq!(
            ids(&json!({"limit": 9, "ending_before": "23"})),
            (vec![25, 24], false)
        );
    }

    #[test]
    fn a_page_has_bounds_and_its_cursor_exists() {
        let refused = |params: Value| page([].iter(), &params, "/").unwrap_err().param.unwrap();
        assert_eq!(refused(json!({"limit": 0})), "limit");
        assert_eq!(refused(json!({"limit": 101})), "limit");
        assert_eq!(refused(json!({"starting_after": "x"})), "starting_after");
        assert_eq!(
            refused(json!({"starting_after": "x", "ending_before": "x"})),
            "ending_before"
        );
    }

    #[test]
    fn ranges_are_moments_or_bounds() {
        assert!(in_range(&json!(5), &json!({"gte": 5, "lt": 6})));
        assert!(!in_range(&json!(5), &json!({"gt": 5})));
        assert!(in_range(&json!(5), &json!(5)));
        assert!(in_range(&json!(5), &Value::Null));
    }
}
