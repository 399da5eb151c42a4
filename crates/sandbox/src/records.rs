//! All state of the sandbox, as JSON records.
//!
//! Whoever changes a record leaves a [`Change`] behind. The journal writes the changes down before the answer
//! leaves the machine and plays them back at the next start, so nothing that was answered is ever lost, and no
//! other part of the sandbox has to think about persistence.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The groups of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Collection {
    /// Stripe's objects as they are rendered, related objects by id; the key is the object's id.
    Object,
    /// Facts that are never rendered: how a payment method behaves, what a challenge waits for, signing secrets.
    Private,
    /// Attempts to deliver events to webhook endpoints.
    Delivery,
    /// Answers kept under an `Idempotency-Key`.
    Idempotency,
    /// Settings of the sandbox itself, such as the offset of its clock.
    Setting,
}

/// What happened to one record; the line a journal keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The group of the record.
    pub collection: Collection,
    /// The key of the record within its group.
    pub id: String,
    /// The record as it is now; `None` means that it is gone.
    pub value: Option<Value>,
    /// The position of the record in the order of insertion. It stays the same when the record changes.
    pub seq: u64,
}

#[derive(Debug, Clone)]
struct Entry {
    seq: u64,
    value: Value,
}

/// The value of a record's `object` field; lists are kept for each kind, so that a list of charges does not
/// walk over every event ever made. Records without one are of the kind `""`.
type Kind = String;

/// A point between two changes, since the last [`Records::drain_changes`].
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    changes: usize,
    undo: usize,
}

/// The records, in memory, with the changes not yet written down.
#[derive(Debug, Default)]
pub struct Records {
    entries: HashMap<(Collection, String), Entry>,
    order: BTreeMap<(Collection, Kind), BTreeMap<u64, String>>,
    next_seq: u64,
    changes: Vec<Change>,
    undo: Vec<(Collection, String, Option<Entry>)>,
}

impl Records {
    /// The record, if there is one.
    pub fn get(&self, collection: Collection, id: &str) -> Option<&Value> {
        // A borrowed tuple cannot look up an owned one; ids are short.
        self.entries
            .get(&(collection, id.to_owned()))
            .map(|entry| &entry.value)
    }

    /// Writes a record, new or not. A record that exists keeps its place in the order.
    pub fn put(&mut self, collection: Collection, id: &str, value: Value) {
        let before = self.take(collection, id);
        let seq = before.as_ref().map_or(self.next_seq, |entry| entry.seq);
        self.next_seq = self.next_seq.max(seq + 1);
        self.undo.push((collection, id.to_owned(), before));
        self.changes.push(Change {
            collection,
            id: id.to_owned(),
            value: Some(value.clone()),
            seq,
        });
        self.place(collection, id, Entry { seq, value });
    }

    /// Changes a record in place and returns what it is then; `None` if there is no such record.
    pub fn update(
        &mut self,
        collection: Collection,
        id: &str,
        change: impl FnOnce(&mut Value),
    ) -> Option<&Value> {
        let mut value = self.get(collection, id)?.clone();
        change(&mut value);
        self.put(collection, id, value);
        self.get(collection, id)
    }

    /// Removes a record and returns it.
    pub fn delete(&mut self, collection: Collection, id: &str) -> Option<Value> {
        let entry = self.take(collection, id)?;
        self.changes.push(Change {
            collection,
            id: id.to_owned(),
            value: None,
            seq: entry.seq,
        });
        let value = entry.value.clone();
        self.undo.push((collection, id.to_owned(), Some(entry)));
        Some(value)
    }

    /// All records of a group, newest first.
    pub fn list(&self, collection: Collection) -> Vec<(&str, &Value)> {
        let mut found: Vec<(u64, &str)> = self
            .order
            .range((collection, String::new())..)
            .take_while(|((group, _), _)| *group == collection)
            .flat_map(|(_, ids)| ids.iter().map(|(seq, id)| (*seq, id.as_str())))
            .collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        found
            .into_iter()
            .filter_map(|(_, id)| Some((id, self.get(collection, id)?)))
            .collect()
    }

    /// Stripe objects of one kind (the value of their `object` field), newest first.
    pub fn objects<'a>(&'a self, kind: &str) -> impl DoubleEndedIterator<Item = &'a Value> + 'a {
        self.of_kind(Collection::Object, kind)
    }

    /// Records of one group and one kind (the value of their `object` field), newest first.
    pub fn of_kind<'a>(
        &'a self,
        collection: Collection,
        kind: &str,
    ) -> impl DoubleEndedIterator<Item = &'a Value> + 'a {
        self.order
            .get(&(collection, kind.to_owned()))
            .into_iter()
            .flat_map(|ids| ids.values().rev())
            .filter_map(move |id| self.get(collection, id))
    }

    /// The number of records ever inserted; grows with every new record and never shrinks.
    pub fn inserted(&self) -> u64 {
        self.next_seq
    }

    /// Takes the changes made since the last call, oldest first. They can no longer be rolled back.
    pub fn drain_changes(&mut self) -> Vec<Change> {
        self.undo.clear();
        std::mem::take(&mut self.changes)
    }

    /// The changes not yet drained, oldest first.
    pub fn pending(&self) -> &[Change] {
        &self.changes
    }

    /// Where the changes stand now, for [`Records::rollback_to`].
    pub fn mark(&self) -> Mark {
        Mark {
            changes: self.changes.len(),
            undo: self.undo.len(),
        }
    }

    /// Takes back every change since the mark was made.
    pub fn rollback_to(&mut self, mark: Mark) {
        self.changes.truncate(mark.changes);
        while self.undo.len() > mark.undo {
            let Some((collection, id, before)) = self.undo.pop() else {
                break;
            };
            self.take(collection, &id);
            if let Some(entry) = before {
                self.place(collection, &id, entry);
            }
        }
    }

    /// Takes back every change since the last [`Records::drain_changes`].
    pub fn rollback(&mut self) {
        self.rollback_to(Mark {
            changes: 0,
            undo: 0,
        });
    }

    /// Plays a change back, as a journal does at the start; leaves no change behind.
    pub fn load(&mut self, change: Change) {
        self.take(change.collection, &change.id);
        self.next_seq = self.next_seq.max(change.seq + 1);
        if let Some(value) = change.value {
            let entry = Entry {
                seq: change.seq,
                value,
            };
            self.place(change.collection, &change.id, entry);
        }
    }

    /// Every record as a change, oldest first: what a journal keeps when it is rewritten in short.
    pub fn snapshot(&self) -> Vec<Change> {
        let mut all: Vec<Change> = self
            .entries
            .iter()
            .map(|((collection, id), entry)| Change {
                collection: *collection,
                id: id.clone(),
                value: Some(entry.value.clone()),
                seq: entry.seq,
            })
            .collect();
        all.sort_unstable_by_key(|change| change.seq);
        all
    }

    fn place(&mut self, collection: Collection, id: &str, entry: Entry) {
        let kind = kind_of(&entry.value);
        self.order
            .entry((collection, kind))
            .or_default()
            .insert(entry.seq, id.to_owned());
        self.entries.insert((collection, id.to_owned()), entry);
    }

    fn take(&mut self, collection: Collection, id: &str) -> Option<Entry> {
        let entry = self.entries.remove(&(collection, id.to_owned()))?;
        if let Some(ids) = self.order.get_mut(&(collection, kind_of(&entry.value))) {
            ids.remove(&entry.seq);
        }
        Some(entry)
    }
}

fn kind_of(value: &Value) -> Kind {
    value
        .get("object")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn charge(n: u32) -> Value {
        json!({"object": "charge", "n": n})
    }

    #[test]
    fn a_changed_record_keeps_its_place_in_the_order() {
        let mut records = Records::default();
        records.put(Collection::Object, "ch_1", charge(1));
        records.put(Collection::Object, "cus_1", json!({"object": "customer"}));
        records.put(Collection::Object, "ch_2", charge(2));
        records.update(Collection::Object, "ch_1", |value| value["n"] = json!(7));
        let ids: Vec<_> = records
            .list(Collection::Object)
            .into_iter()
            .map(|(id, _)| id)
            .collect();
        assert_eq!(ids, ["ch_2", "cus_1", "ch_1"]);
        let charges: Vec<_> = records
            .objects("charge")
            .map(|value| value["n"].clone())
            .collect();
        assert_eq!(charges, [2, 7]);
    }

    #[test]
    fn changes_played_back_give_the_same_records() {
        let mut records = Records::default();
        records.put(Collection::Object, "ch_1", charge(1));
        records.put(Collection::Setting, "clock", json!({"offset": 5}));
        records.delete(Collection::Object, "ch_1");
        records.put(Collection::Object, "ch_2", charge(2));
        let mut again = Records::default();
        for change in records.drain_changes() {
            again.load(change);
        }
        assert_eq!(again.snapshot(), records.snapshot());
        assert_eq!(again.inserted(), records.inserted());
        assert!(again.drain_changes().is_empty());
    }

    #[test]
    fn a_rollback_leaves_everything_as_it_was() {
        let mut records = Records::default();
        records.put(Collection::Object, "ch_1", charge(1));
        records.put(Collection::Object, "ch_2", charge(2));
        records.drain_changes();
        let before = records.snapshot();
        records.put(Collection::Object, "ch_1", charge(9));
        records.put(Collection::Object, "ch_1", charge(10));
        records.delete(Collection::Object, "ch_2");
        records.put(Collection::Object, "ch_3", charge(3));
        records.rollback();
        assert_eq!(records.snapshot(), before);
        assert!(records.drain_changes().is_empty());
        assert_eq!(records.objects("charge").count(), 2);
    }
}
