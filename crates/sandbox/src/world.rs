//! The world: everything the sandbox knows, and what it does when it is asked.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::delivery;
use crate::error::{ApiError, ApiResult};
use crate::id::Ids;
use crate::index::{self, Place};
use crate::records::{Collection, Records};
pub use crate::request::{ApiRequest, ApiResponse};

/// What the sandbox is told about itself and never changes while it runs.
#[derive(Clone)]
pub struct Setup {
    /// Where the sandbox is reached, without a slash at the end.
    pub base_url: String,
    /// The keys that open the API: the secret key first, then restricted ones.
    pub api_keys: Vec<String>,
    /// The API version of the account, for requests and webhook endpoints that name none.
    pub default_version: String,
}

/// A Stripe account with everything in it.
pub struct World {
    /// All state.
    pub records: Records,
    /// Makes the ids of new objects.
    pub ids: Ids,
    /// Base address, keys and version.
    pub setup: Setup,
    /// The request being answered, named by the events it causes.
    pub(crate) cause: Option<Cause>,
    /// What is due when, with the key of the record that says what it is. An entry whose record is gone means
    /// nothing.
    pub(crate) agenda: BTreeSet<(i64, String)>,
    /// The newest event that has become too old to be read. Those up to it are gone, or kept for their deliveries.
    pub(crate) forgotten: Place,
}

/// The request that causes an event.
#[derive(Debug, Clone)]
pub(crate) struct Cause {
    pub(crate) request_id: String,
    pub(crate) idempotency_key: Option<String>,
}

impl World {
    /// A world that knows `records`.
    pub fn new(records: Records, ids: Ids, setup: Setup) -> Self {
        let mut world = Self {
            records,
            ids,
            setup,
            cause: None,
            agenda: BTreeSet::new(),
            forgotten: index::FIRST,
        };
        world.read_agenda();
        world
    }

    /// Takes back every change that was not drained.
    pub fn rollback(&mut self) {
        self.records.rollback();
        self.cause = None;
        self.forgotten = index::FIRST;
        self.read_agenda();
    }

    /// Makes final what has happened, for worlds without a journal: until then the former state of everything that
    /// changed is kept, so that it could be taken back.
    pub fn settle(&mut self) {
        self.records.settle();
    }

    /// How far the clock of the world is ahead of the real one, in seconds.
    pub fn clock_offset(&self) -> i64 {
        let setting = self.records.get(Collection::Setting, "clock");
        setting
            .and_then(|clock| clock["offset"].as_i64())
            .unwrap_or(0)
    }

    /// Sets how far the clock of the world is ahead of the real one, in seconds.
    pub fn set_clock_offset(&mut self, seconds: i64) {
        self.records
            .put(Collection::Setting, "clock", json!({ "offset": seconds }));
    }

    /// Makes an event about `object` as it is now and notes its deliveries. `previous` holds the former values of
    /// the fields an update changed.
    pub fn emit(&mut self, kind: &str, object: &Value, previous: Option<Value>, now: i64) -> Value {
        let id = self.ids.next("evt");
        let mut data = Map::new();
        data.insert("object".into(), object.clone());
        if let Some(previous) = previous {
            data.insert("previous_attributes".into(), previous);
        }
        let cause = self.cause.as_ref();
        let event = json!({
            "id": id,
            "object": "event",
            "api_version": self.setup.default_version,
            "created": now,
            "data": data,
            "livemode": false,
            "pending_webhooks": 0,
            "request": {
                "id": cause.map(|cause| &cause.request_id),
                "idempotency_key": cause.and_then(|cause| cause.idempotency_key.as_ref()),
            },
            "type": kind,
        });
        self.records.put(Collection::Object, &id, event.clone());
        delivery::enqueue(&mut self.records, &event, now);
        event
    }

    /// The id of the account, which follows from its secret key.
    pub(crate) fn account_id(&self) -> String {
        let key = self.setup.api_keys.first().map_or("", String::as_str);
        format!("acct_{}", &hex::encode(Sha256::digest(key))[..16])
    }

    /// The object of that kind and id, unless it was deleted.
    pub(crate) fn find(&self, kind: &str, id: &str) -> Option<Value> {
        let object = self.records.get(Collection::Object, id)?;
        (object["object"] == kind && object["deleted"] != true).then(|| object.clone())
    }

    /// The object a path names; 404 if there is none. `param` is what Stripe calls the id.
    pub(crate) fn object_at(&self, kind: &str, id: &str, param: &str) -> ApiResult {
        self.find(kind, id)
            .ok_or_else(|| ApiError::no_such(kind, id, param, 404))
    }

    /// The object a parameter names; 400 if there is none.
    pub(crate) fn object_in(&self, kind: &str, id: &str, param: &str) -> ApiResult {
        self.find(kind, id)
            .ok_or_else(|| ApiError::no_such(kind, id, param, 400))
    }

    /// Keeps an object under its id.
    pub(crate) fn keep(&mut self, object: &Value) {
        if let Some(id) = object["id"].as_str() {
            self.records.put(Collection::Object, id, object.clone());
        }
    }

    /// Keeps a changed object and makes an event of what changed. Without a change there is no event.
    pub(crate) fn keep_changed(
        &mut self,
        events: &[&str],
        before: &Value,
        after: &Value,
        now: i64,
    ) {
        self.keep(after);
        if let Some(previous) = former(before, after) {
            for event in events {
                self.emit(event, after, Some(previous.clone()), now);
            }
        }
    }

    /// What is known of an object beside what it shows.
    pub(crate) fn facts(&self, id: &str) -> &Value {
        self.records
            .get(Collection::Private, id)
            .unwrap_or(&Value::Null)
    }

    /// Notes a fact about an object.
    pub(crate) fn note(&mut self, id: &str, name: &str, fact: Value) {
        let mut facts = match self.facts(id) {
            Value::Object(facts) => facts.clone(),
            _ => Map::new(),
        };
        facts.insert(name.to_owned(), fact);
        self.records
            .put(Collection::Private, id, Value::Object(facts));
    }
}

/// The former values of everything that differs; `None` if nothing does. A key that is new within a field, such as
/// one of the metadata, was null before; a field that is new to the object has no former value.
fn former(before: &Value, after: &Value) -> Option<Value> {
    let mut differing = Map::new();
    let none = Map::new();
    let (old, new) = (
        before.as_object().unwrap_or(&none),
        after.as_object().unwrap_or(&none),
    );
    for (name, was) in old
        .iter()
        .filter(|(name, was)| new.get(*name) != Some(*was))
    {
        let former = match (was, new.get(name)) {
            (Value::Object(was), Some(Value::Object(is))) => former_members(was, is),
            _ => was.clone(),
        };
        differing.insert(name.clone(), former);
    }
    (before != after).then_some(Value::Object(differing))
}

fn former_members(was: &Map<String, Value>, is: &Map<String, Value>) -> Value {
    let names: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    let differing = names
        .into_iter()
        .filter(|name| was.get(*name) != is.get(*name));
    differing
        .map(|name| (name.clone(), was.get(name).cloned().unwrap_or_default()))
        .collect()
}

/// Copies the given parameters of those names into an object.
pub(crate) fn apply(object: &mut Value, params: &Value, names: &[&str]) {
    for name in names {
        if let Some(value) = params.get(*name) {
            object[*name] = value.clone();
        }
    }
}

/// Merges a metadata parameter into an object's metadata: an empty value deletes its key, null clears all.
pub(crate) fn apply_metadata(object: &mut Value, params: &Value) {
    let Some(given) = params.get("metadata") else {
        return;
    };
    let mut kept = match (given, object["metadata"].take()) {
        (Value::Null, _) | (_, Value::Null) => Map::new(),
        (_, Value::Object(kept)) => kept,
        _ => Map::new(),
    };
    for (key, value) in given.as_object().into_iter().flatten() {
        if value == "" {
            kept.shift_remove(key);
        } else {
            kept.insert(key.clone(), value.clone());
        }
    }
    object["metadata"] = Value::Object(kept);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_names_the_former_values_only() {
        let before = json!({"a": 1, "b": 2, "metadata": {"x": "1", "gone": "g"}});
        let after = json!({"a": 1, "b": 3, "metadata": {"x": "1", "y": "2"}});
        let after_with_more =
            json!({"a": 1, "b": 2, "new": 1, "metadata": {"x": "1", "gone": "g"}});
        let expected = json!({"b": 2, "metadata": {"y": null, "gone": "g"}});
        assert_eq!(former(&before, &after), Some(expected));
        assert_eq!(former(&after, &after), None);
        assert_eq!(former(&before, &after_with_more), Some(json!({})));
    }

    #[test]
    fn metadata_merges_deletes_and_clears() {
        let mut object = json!({"metadata": {"a": "1", "b": "2"}});
        apply_metadata(&mut object, &json!({"metadata": {"a": "", "c": "3"}}));
        assert_eq!(object["metadata"], json!({"b": "2", "c": "3"}));
        apply_metadata(&mut object, &json!({}));
        assert_eq!(object["metadata"], json!({"b": "2", "c": "3"}));
        apply_metadata(&mut object, &json!({"metadata": null}));
        assert_eq!(object["metadata"], json!({}));
    }
}
