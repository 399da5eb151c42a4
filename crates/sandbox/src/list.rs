//! Lists: a page of objects, newest first.

use serde_json::{Value, json};

use crate::error::{ApiError, ApiResult};
use crate::index::{self, Span};
use crate::records::Records;
use crate::route::Call;

/// What a list of objects can be asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listing<'a> {
    /// The kind of object.
    pub(crate) kind: &'a str,
    /// The parameters that have to equal the field of the same name, those that leave the fewest first.
    pub(crate) filters: &'a [&'a str],
    /// The moment before which nothing is shown.
    pub(crate) since: Option<i64>,
}

impl<'a> Listing<'a> {
    /// A list of everything of a kind, filtered by these parameters and by `created`.
    pub(crate) fn of(kind: &'a str, filters: &'a [&'a str]) -> Self {
        Self {
            kind,
            filters,
            since: None,
        }
    }

    /// The page a call asks for.
    pub(crate) fn page(&self, records: &Records, call: &Call) -> ApiResult {
        self.page_with(records, call, |_| true)
    }

    /// The page a call asks for, of the objects that fit.
    pub(crate) fn page_with(
        &self,
        records: &Records,
        call: &Call,
        fits: impl Fn(&Value) -> bool,
    ) -> ApiResult {
        let params = &call.params;
        let limit = limit_of(params)?;
        let (after, before) = cursors(params)?;
        let place = |id: &str, param: &str| {
            let place = records.place_of(self.kind, id);
            place.ok_or_else(|| unknown(id, param))
        };
        let mut span = span_of(&params["created"]);
        if let Some(since) = self.since {
            span = span.since(since);
        }
        if let Some(id) = after {
            span = span.before(place(id, "starting_after")?);
        }
        if let Some(id) = before {
            span = span.after(place(id, "ending_before")?);
        }
        let found = records.select(self.kind, self.narrowest(params), span);
        let found = found.filter(|object| {
            object["deleted"] != true && matches(object, params, self.filters) && fits(object)
        });
        // The page before a cursor is the one that ends there: it is read from the cursor on.
        let mut taken: Vec<&Value> = if before.is_some() {
            found.rev().take(limit + 1).collect()
        } else {
            found.take(limit + 1).collect()
        };
        let more = taken.len() > limit;
        taken.truncate(limit);
        if before.is_some() {
            taken.reverse();
        }
        Ok(json!({ "object": "list", "data": taken, "has_more": more, "url": call.path }))
    }

    /// The filter that was given and has an order of its own.
    fn narrowest<'p>(&self, params: &'p Value) -> Option<(&'a str, &'p str)> {
        let mut given = self
            .filters
            .iter()
            .filter(|name| index::is_kept(self.kind, name));
        given.find_map(|name| Some((*name, params[*name].as_str()?)))
    }
}

/// The span a range parameter asks for: a moment, or bounds.
fn span_of(range: &Value) -> Span {
    let mut span = Span::default();
    if let Some(moment) = range.as_i64() {
        return span.since(moment).until(moment);
    }
    if let Some(bound) = range["gte"].as_i64() {
        span = span.since(bound);
    }
    if let Some(bound) = range["gt"].as_i64() {
        span = span.since(bound.saturating_add(1));
    }
    if let Some(bound) = range["lte"].as_i64() {
        span = span.until(bound);
    }
    if let Some(bound) = range["lt"].as_i64() {
        span = span.until(bound.saturating_sub(1));
    }
    span
}

fn cursors(params: &Value) -> ApiResult<(Option<&str>, Option<&str>)> {
    let cursors = (
        params["starting_after"].as_str(),
        params["ending_before"].as_str(),
    );
    if cursors.0.is_some() && cursors.1.is_some() {
        let message = "You can give starting_after or ending_before, not both.";
        return Err(ApiError::coded("parameters_exclusive", message).at("ending_before"));
    }
    Ok(cursors)
}

/// One page of a few objects, newest first, that are no list of the records, as `limit`, `starting_after` and `ending_before` ask for it.
pub(crate) fn page<'a>(
    mut all: impl Iterator<Item = &'a Value>,
    params: &Value,
    url: &str,
) -> ApiResult {
    let limit = limit_of(params)?;
    let (after, before) = cursors(params)?;
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
        Ok(())
    } else {
        Err(unknown(cursor, param))
    }
}

fn unknown(cursor: &str, param: &str) -> ApiError {
    let message = format!("No such object in this list: '{cursor}'");
    ApiError::coded("resource_missing", message).at(param)
}

/// Whether every given filter of `names` equals the object's field of the same name.
fn matches(object: &Value, params: &Value, names: &[&str]) -> bool {
    names
        .iter()
        .all(|name| params[*name].is_null() || object[*name] == params[*name])
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
}
