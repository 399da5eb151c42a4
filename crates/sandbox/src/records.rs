//! All state of the sandbox, as JSON records.
//!
//! Whoever changes a record leaves a [`Change`] behind. The journal writes the changes down before the answer
//! leaves the machine and plays them back at the next start, so nothing that was answered is ever lost, and no
//! other part of the sandbox has to think about persistence.

use std::collections::{HashMap, HashSet};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::delivery;
use crate::index::{self, Index, Place, Span};
use crate::record::Record;
use crate::shapes::Shapes;

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

/// How many records are kept as values besides those that are always; the others are kept as text.
const WARM: usize = 2_048;

/// What a record was before it changed.
#[derive(Debug)]
struct Former {
    collection: Collection,
    id: String,
    /// The place of what replaced it or is gone.
    seq: u64,
    before: Option<Record>,
}

/// A point between two changes, since the last [`Records::drain_changes`] or [`Records::settle`].
#[derive(Debug, Clone, Copy)]
pub struct Mark(usize);

/// The records, in memory, with the changes not yet written down.
#[derive(Debug, Default)]
pub struct Records {
    entries: HashMap<Collection, HashMap<Arc<str>, Record>>,
    index: Index,
    shapes: Shapes,
    /// The records that are values at the moment, some of them more than once.
    warm: Mutex<Vec<(Collection, Arc<str>)>>,
    next_seq: u64,
    undo: Vec<Former>,
}

impl Records {
    /// The record, if there is one.
    pub fn get(&self, collection: Collection, id: &str) -> Option<&Value> {
        self.entry(collection, id).map(Record::value)
    }

    /// Writes a record, new or not. A record that exists keeps its place in the order.
    pub fn put(&mut self, collection: Collection, id: &str, value: Value) {
        let before = self.take(collection, id);
        let seq = before.as_ref().map_or(self.next_seq, |entry| entry.seq);
        self.next_seq = self.next_seq.max(seq + 1);
        self.undo.push(Former {
            collection,
            id: id.to_owned(),
            seq,
            before,
        });
        self.place(collection, id, Record::new(seq, value));
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
        let value = entry.value().clone();
        self.undo.push(Former {
            collection,
            id: id.to_owned(),
            seq: entry.seq,
            before: Some(entry),
        });
        Some(value)
    }

    /// All records of a group, newest first.
    pub fn list(&self, collection: Collection) -> Vec<(&str, &Value)> {
        let group = self.entries.get(&collection).into_iter().flatten();
        let mut found: Vec<(u64, &str, &Value)> = group
            .map(|(id, entry)| (entry.seq, &**id, entry.value()))
            .collect();
        found.sort_unstable_by_key(|(seq, _, _)| std::cmp::Reverse(*seq));
        found
            .into_iter()
            .map(|(_, id, value)| (id, value))
            .collect()
    }

    /// Stripe objects of one kind (the value of their `object` field), newest first.
    pub fn objects<'a>(&'a self, kind: &str) -> impl DoubleEndedIterator<Item = &'a Value> + 'a {
        self.of_kind(Collection::Object, kind)
    }

    /// Records of one group and one kind (the value of their `object` field), newest first: by the moment they say
    /// they were created, then by the order of insertion.
    pub fn of_kind<'a>(
        &'a self,
        collection: Collection,
        kind: &str,
    ) -> impl DoubleEndedIterator<Item = &'a Value> + 'a {
        self.keyed(collection, kind).map(|(_, value)| value)
    }

    /// The same with their keys.
    pub(crate) fn keyed<'a>(
        &'a self,
        collection: Collection,
        kind: &str,
    ) -> impl DoubleEndedIterator<Item = (&'a str, &'a Value)> + 'a {
        let ids = self.index.ids(collection, kind, None, Span::default());
        ids.into_iter()
            .flatten()
            .filter_map(move |id| Some((id, self.get(collection, id)?)))
    }

    /// Stripe objects of one kind that have `text` in `field`, newest first. Without an order by that field nothing
    /// is found; see [`index::is_kept`].
    pub(crate) fn objects_by<'a>(
        &'a self,
        kind: &str,
        field: &str,
        text: &str,
    ) -> impl DoubleEndedIterator<Item = &'a Value> + 'a {
        debug_assert!(
            index::is_kept(kind, field),
            "{kind} has no order by {field}"
        );
        self.select(kind, Some((field, text)), Span::default())
    }

    /// The same within a span, or without a filter.
    pub(crate) fn select<'a>(
        &'a self,
        kind: &str,
        filter: Option<(&str, &str)>,
        span: Span,
    ) -> impl DoubleEndedIterator<Item = &'a Value> + 'a {
        let ids = self.index.ids(Collection::Object, kind, filter, span);
        ids.into_iter()
            .flatten()
            .filter_map(|id| self.get(Collection::Object, id))
    }

    /// The ids of the objects of one kind within a span, newest first; none of them is read.
    pub(crate) fn ids<'a>(
        &'a self,
        kind: &str,
        span: Span,
    ) -> impl DoubleEndedIterator<Item = &'a str> + 'a {
        let ids = self.index.ids(Collection::Object, kind, None, span);
        ids.into_iter().flatten()
    }

    /// The deliveries of an event, newest first.
    pub(crate) fn deliveries_of<'a>(
        &'a self,
        event: &str,
    ) -> impl DoubleEndedIterator<Item = (&'a str, &'a Value)> + 'a {
        let by_event = Some(("event", event));
        let ids = self
            .index
            .ids(Collection::Delivery, "delivery", by_event, Span::default());
        ids.into_iter()
            .flatten()
            .filter_map(|id| Some((id, self.get(Collection::Delivery, id)?)))
    }

    /// Where an object of that kind stands in the order of its kind.
    pub(crate) fn place_of(&self, kind: &str, id: &str) -> Option<Place> {
        let entry = self.entry(Collection::Object, id)?;
        (entry.value()["object"] == kind).then(|| index::place(entry.seq, entry.value()))
    }

    /// The number of records ever inserted; grows with every new record and never shrinks.
    pub fn inserted(&self) -> u64 {
        self.next_seq
    }

    /// Takes the changes made since the last call, in the order in which their records first changed; a record
    /// that changed more than once is there as it is now. They can no longer be rolled back.
    pub fn drain_changes(&mut self) -> Vec<Change> {
        let changes = self.pending();
        self.settle();
        changes
    }

    /// Makes the changes final without looking at them; says whether there were any.
    pub fn settle(&mut self) -> bool {
        let changed = !self.undo.is_empty();
        self.undo.clear();
        self.chill();
        changed
    }

    /// The changes not yet drained, as [`Records::drain_changes`] gives them.
    pub fn pending(&self) -> Vec<Change> {
        let mut seen = HashSet::new();
        let first = self
            .undo
            .iter()
            .filter(|former| seen.insert((former.collection, former.id.as_str())));
        first
            .map(|former| {
                let entry = self.entry(former.collection, &former.id);
                Change {
                    collection: former.collection,
                    id: former.id.clone(),
                    value: entry.map(|entry| entry.value().clone()),
                    seq: entry.map_or(former.seq, |entry| entry.seq),
                }
            })
            .collect()
    }

    /// Whether there are changes not yet drained.
    pub fn has_pending(&self) -> bool {
        !self.undo.is_empty()
    }

    /// Where the changes stand now, for [`Records::rollback_to`].
    pub fn mark(&self) -> Mark {
        Mark(self.undo.len())
    }

    /// Takes back every change since the mark was made.
    pub fn rollback_to(&mut self, mark: Mark) {
        while self.undo.len() > mark.0 {
            let Some(former) = self.undo.pop() else {
                break;
            };
            self.take(former.collection, &former.id);
            if let Some(entry) = former.before {
                self.place(former.collection, &former.id, entry);
            }
        }
    }

    /// Takes back every change since the last [`Records::drain_changes`].
    pub fn rollback(&mut self) {
        self.rollback_to(Mark(0));
    }

    /// Plays a change back, as a journal does at the start; leaves no change behind.
    pub fn load(&mut self, change: Change) {
        self.take(change.collection, &change.id);
        self.next_seq = self.next_seq.max(change.seq + 1);
        if let Some(value) = change.value {
            self.place(
                change.collection,
                &change.id,
                Record::new(change.seq, value),
            );
        }
        self.chill();
    }

    /// Every record as a change, oldest first: what a journal keeps when it is rewritten in short.
    pub fn snapshot(&self) -> Vec<Change> {
        let mut all = Vec::new();
        for (collection, group) in &self.entries {
            all.extend(group.iter().map(|(id, entry)| Change {
                collection: *collection,
                id: id.to_string(),
                value: Some(entry.value().clone()),
                seq: entry.seq,
            }));
        }
        all.sort_unstable_by_key(|change| change.seq);
        all
    }

    fn entry(&self, collection: Collection, id: &str) -> Option<&Record> {
        let (id, record) = self.entries.get(&collection)?.get_key_value(id)?;
        if record.is_cold() {
            let mut warm = self.warm.lock().unwrap_or_else(PoisonError::into_inner);
            warm.push((collection, id.clone()));
        }
        Some(record)
    }

    /// Keeps what was looked at as text again, once it has become much.
    fn chill(&mut self) {
        let warm = self.warm.get_mut().unwrap_or_else(PoisonError::into_inner);
        if warm.len() < WARM {
            return;
        }
        for (collection, id) in mem::take(warm) {
            let group = self.entries.get_mut(&collection);
            if let Some(record) = group.and_then(|group| group.get_mut(&id)) {
                record.chill(&mut self.shapes);
            }
        }
    }

    fn place(&mut self, collection: Collection, id: &str, entry: Record) {
        let id: Arc<str> = id.into();
        self.index.add(collection, &id, entry.seq, entry.value());
        // What waits to be delivered is looked at all the time.
        let waits = collection == Collection::Delivery && delivery::is_open(entry.value());
        if !waits && collection != Collection::Setting {
            let warm = self.warm.get_mut().unwrap_or_else(PoisonError::into_inner);
            warm.push((collection, id.clone()));
        }
        self.entries
            .entry(collection)
            .or_default()
            .insert(id, entry);
    }

    fn take(&mut self, collection: Collection, id: &str) -> Option<Record> {
        let entry = self.entries.get_mut(&collection)?.remove(id)?;
        self.index.remove(collection, entry.seq, entry.value());
        Some(entry)
    }
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
    fn a_record_that_changed_twice_is_written_down_once_and_one_that_came_and_went_is_counted() {
        let mut records = Records::default();
        records.put(Collection::Object, "ch_1", charge(1));
        records.put(Collection::Object, "ch_1", charge(2));
        records.put(Collection::Object, "ch_2", charge(3));
        records.delete(Collection::Object, "ch_2");
        let changes = records.drain_changes();
        let seen: Vec<_> = changes
            .iter()
            .map(|change| (change.id.as_str(), change.value.clone(), change.seq))
            .collect();
        assert_eq!(seen, [("ch_1", Some(charge(2)), 0), ("ch_2", None, 1)]);
        assert!(!records.has_pending() && !records.settle());
    }

    #[test]
    fn what_became_text_is_found_changed_and_rolled_back_as_before() {
        let mut records = Records::default();
        let count = u32::try_from(WARM).unwrap() + 10;
        for n in 0..count {
            records.put(Collection::Object, &format!("ch_{n}"), charge(n));
        }
        records.settle();
        let cold = |records: &Records, n: u32| {
            records.entries[&Collection::Object][format!("ch_{n}").as_str()].is_cold()
        };
        assert!(cold(&records, 0) && cold(&records, count - 1));
        assert_eq!(records.get(Collection::Object, "ch_7"), Some(&charge(7)));
        assert!(!cold(&records, 7));
        records.put(Collection::Object, "ch_8", charge(1000));
        records.delete(Collection::Object, "ch_9");
        records.rollback();
        assert_eq!(records.get(Collection::Object, "ch_8"), Some(&charge(8)));
        assert_eq!(records.objects("charge").count(), count as usize);
        assert!(!cold(&records, 100));
        records.settle();
        assert!(cold(&records, 100));
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
