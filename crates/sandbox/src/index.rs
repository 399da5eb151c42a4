//! In which order records are listed: newest first, all of a kind or those with one value in a field.
//!
//! A page of a list starts where its cursor or its first moment is. It never walks over what lies before it, so a
//! page costs the same whether a world holds a hundred payments or a hundred thousand.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use serde_json::Value;

use crate::records::Collection;

/// Where a record stands: the moment it was made (0 if it does not say), then the order of insertion.
pub(crate) type Place = (i64, u64);

/// Before every other place.
pub(crate) const FIRST: Place = (i64::MIN, 0);

/// The fields by which lists are filtered often enough to keep an order of their own, by the kind of object.
const FIELDS: &[(&str, &[&str])] = &[
    ("balance_transaction", &["source", "type"]),
    ("charge", &["customer", "payment_intent"]),
    (
        "checkout.session",
        &["customer", "payment_intent", "status"],
    ),
    ("customer", &["email"]),
    // Not an object: all deliveries, whatever their stage.
    ("delivery", &["event"]),
    ("dispute", &["charge", "payment_intent"]),
    ("event", &["type"]),
    ("payment_intent", &["customer"]),
    ("payment_method", &["customer"]),
    ("price", &["product", "lookup_key"]),
    ("promotion_code", &["customer"]),
    ("radar.early_fraud_warning", &["charge", "payment_intent"]),
    ("refund", &["charge", "payment_intent"]),
    ("setup_intent", &["customer", "payment_method"]),
];

/// The part of an order between two places, in both of which the bound says whether it belongs to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    oldest: Bound<Place>,
    newest: Bound<Place>,
}

impl Default for Span {
    fn default() -> Self {
        Self {
            oldest: Bound::Unbounded,
            newest: Bound::Unbounded,
        }
    }
}

impl Span {
    /// The same without what was made before this moment.
    pub(crate) fn since(self, moment: i64) -> Self {
        self.above(Bound::Included((moment, 0)))
    }

    /// The same without what was made after this moment.
    pub(crate) fn until(self, moment: i64) -> Self {
        self.below(Bound::Included((moment, u64::MAX)))
    }

    /// The part that is newer than this place.
    pub(crate) fn after(self, place: Place) -> Self {
        self.above(Bound::Excluded(place))
    }

    /// The part that is older than this place.
    pub(crate) fn before(self, place: Place) -> Self {
        self.below(Bound::Excluded(place))
    }

    fn above(mut self, bound: Bound<Place>) -> Self {
        if least(bound) > least(self.oldest) {
            self.oldest = bound;
        }
        self
    }

    fn below(mut self, bound: Bound<Place>) -> Self {
        if most(bound) < most(self.newest) {
            self.newest = bound;
        }
        self
    }

    fn contains(&self, place: Place) -> bool {
        least(self.oldest) <= place && place <= most(self.newest)
    }

    /// Whether nothing can lie in it; a map panics when it is asked for such a range.
    fn is_empty(&self) -> bool {
        least(self.oldest) > most(self.newest)
    }
}

/// The first place that belongs to a lower bound.
fn least(bound: Bound<Place>) -> Place {
    match bound {
        Bound::Unbounded => (i64::MIN, 0),
        Bound::Included(place) => place,
        Bound::Excluded((moment, seq)) => (moment, seq.saturating_add(1)),
    }
}

/// The last place that belongs to an upper bound; what comes before the first insertion of a moment belongs to the
/// moment before.
fn most(bound: Bound<Place>) -> Place {
    match bound {
        Bound::Unbounded => (i64::MAX, u64::MAX),
        Bound::Included(place) => place,
        Bound::Excluded((moment, 0)) => (moment.saturating_sub(1), u64::MAX),
        Bound::Excluded((moment, seq)) => (moment, seq - 1),
    }
}

/// One order. Most orders by a field have one record, such as the charge of a payment: a map would take ten times
/// the memory.
#[derive(Debug)]
enum Order {
    One(Place, Arc<str>),
    Many(BTreeMap<Place, Arc<str>>),
}

impl Order {
    fn insert(&mut self, place: Place, id: Arc<str>) {
        match self {
            Self::Many(all) => drop(all.insert(place, id)),
            Self::One(known, other) => {
                let all = [(*known, other.clone()), (place, id)];
                *self = Self::Many(BTreeMap::from(all));
            }
        }
    }

    /// Says whether nothing is left.
    fn remove(&mut self, place: Place) -> bool {
        match self {
            Self::One(known, _) => *known == place,
            Self::Many(all) => {
                all.remove(&place);
                all.is_empty()
            }
        }
    }

    fn range(&self, span: Span) -> impl DoubleEndedIterator<Item = &str> {
        let (one, many) = match self {
            Self::One(place, id) => (Some((place, id)), None),
            Self::Many(all) => (None, Some(all.range((span.oldest, span.newest)))),
        };
        let one = one.filter(|(place, _)| span.contains(**place));
        one.into_iter()
            .chain(many.into_iter().flatten())
            .map(|(_, id)| &**id)
    }
}

/// The orders of all records.
#[derive(Debug, Default)]
pub(crate) struct Index {
    orders: HashMap<Box<str>, Order>,
}

impl Index {
    /// Notes a record.
    pub(crate) fn add(&mut self, collection: Collection, id: &Arc<str>, seq: u64, value: &Value) {
        let place = place(seq, value);
        for name in names(collection, value) {
            match self.orders.get_mut(name.as_str()) {
                Some(order) => order.insert(place, id.clone()),
                None => drop(
                    self.orders
                        .insert(name.into(), Order::One(place, id.clone())),
                ),
            }
        }
    }

    /// Forgets a record.
    pub(crate) fn remove(&mut self, collection: Collection, seq: u64, value: &Value) {
        let place = place(seq, value);
        for name in names(collection, value) {
            let order = self.orders.get_mut(name.as_str());
            // Values come and go, such as the customers of payments.
            if order.is_some_and(|order| order.remove(place)) {
                self.orders.remove(name.as_str());
            }
        }
    }

    /// The ids of one kind within a span, newest first; with a filter only those that have this text in that field.
    /// `None` if there is no order by that field.
    pub(crate) fn ids<'a>(
        &'a self,
        collection: Collection,
        kind: &str,
        filter: Option<(&str, &str)>,
        span: Span,
    ) -> Option<impl DoubleEndedIterator<Item = &'a str> + use<'a>> {
        let name = match filter {
            None => of_kind(collection, kind),
            Some((field, text)) if is_kept(kind, field) => of_field(kind, field, text),
            Some(_) => return None,
        };
        let order = self.orders.get(name.as_str());
        let order = order.filter(|_| !span.is_empty());
        let ids = order
            .into_iter()
            .flat_map(move |order| order.range(span).rev());
        Some(ids)
    }
}

/// Where a record stands in every order it is in.
pub(crate) fn place(seq: u64, value: &Value) -> Place {
    (value["created"].as_i64().unwrap_or(0), seq)
}

/// Whether objects of this kind can be found by that field without looking at all of them.
pub(crate) fn is_kept(kind: &str, field: &str) -> bool {
    fields(kind).contains(&field)
}

fn fields(kind: &str) -> &'static [&'static str] {
    let known = FIELDS.iter().find(|(name, _)| *name == kind);
    known.map_or(&[], |(_, fields)| fields)
}

fn names(collection: Collection, value: &Value) -> Vec<String> {
    let kind = value["object"].as_str().unwrap_or_default();
    let mut names = vec![of_kind(collection, kind)];
    let kind = match collection {
        Collection::Object => kind,
        Collection::Delivery => "delivery",
        Collection::Private | Collection::Idempotency | Collection::Setting => return names,
    };
    let given = fields(kind)
        .iter()
        .filter_map(|field| Some(of_field(kind, field, value[*field].as_str()?)));
    names.extend(given);
    names
}

fn of_kind(collection: Collection, kind: &str) -> String {
    format!("{collection:?} {kind}")
}

fn of_field(kind: &str, field: &str, text: &str) -> String {
    format!("{kind} by {field} {text}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn index() -> Index {
        let mut index = Index::default();
        for (seq, (created, customer)) in [(5, "a"), (7, "b"), (7, "a"), (9, "a")]
            .into_iter()
            .enumerate()
        {
            let charge = json!({"object": "charge", "created": created, "customer": customer});
            index.add(
                Collection::Object,
                &format!("ch_{seq}").into(),
                seq as u64,
                &charge,
            );
        }
        index
    }

    fn ids(filter: Option<(&str, &str)>, span: Span) -> Vec<String> {
        let index = index();
        let found = index.ids(Collection::Object, "charge", filter, span);
        found.unwrap().map(str::to_owned).collect()
    }

    #[test]
    fn an_order_is_read_from_the_newest_within_a_span() {
        let all = Span::default();
        assert_eq!(ids(None, all), ["ch_3", "ch_2", "ch_1", "ch_0"]);
        assert_eq!(ids(None, all.since(7).until(8)), ["ch_2", "ch_1"]);
        assert_eq!(ids(None, all.before((7, 2))), ["ch_1", "ch_0"]);
        assert_eq!(ids(None, all.after((7, 1))), ["ch_3", "ch_2"]);
        assert_eq!(ids(None, all.after((7, 1)).until(7)), ["ch_2"]);
        assert_eq!(
            ids(None, all.before((7, 1)).until(9)),
            ["ch_0"],
            "the narrower bound counts"
        );
        assert!(ids(None, all.since(8).until(7)).is_empty());
        assert!(ids(None, all.after((9, 3)).before((9, 3))).is_empty());
        assert!(ids(None, all.since(i64::MAX).until(i64::MIN)).is_empty());
    }

    #[test]
    fn a_field_has_an_order_of_its_own() {
        let found = ids(Some(("customer", "a")), Span::default().since(6));
        assert_eq!(found, ["ch_3", "ch_2"]);
        let by_amount = index();
        let by_amount = by_amount.ids(
            Collection::Object,
            "charge",
            Some(("amount", "1")),
            Span::default(),
        );
        assert!(by_amount.is_none());
    }

    #[test]
    fn what_is_removed_leaves_nothing_behind() {
        let mut index = index();
        for (seq, (created, customer)) in [(5, "a"), (7, "b"), (7, "a"), (9, "a")]
            .into_iter()
            .enumerate()
        {
            let charge = json!({"object": "charge", "created": created, "customer": customer});
            index.remove(Collection::Object, seq as u64, &charge);
        }
        assert!(index.orders.is_empty());
    }
}
