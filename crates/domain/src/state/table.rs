//! Rows of one kind, of which a table remembers which were changed.

use std::cell::OnceCell;
use std::collections::BTreeMap;

/// What has to be done with a row at commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    Keep,
    /// It is new.
    Insert,
    /// It was there and is different now.
    Update,
    /// It was there and is to go.
    Delete,
}

#[derive(Debug, Clone)]
pub(super) struct Slot<V> {
    pub(super) value: Option<V>,
    pub(super) change: Change,
}

/// Rows of one kind: those loaded, those known to be absent, and what became of them.
#[derive(Debug, Clone)]
pub struct Table<K, V> {
    pub(super) rows: BTreeMap<K, Slot<V>>,
    /// The first row that was looked up without having been loaded.
    pub(super) missed: OnceCell<String>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self {
            rows: BTreeMap::new(),
            missed: OnceCell::new(),
        }
    }
}

impl<K: Ord + Clone + std::fmt::Debug, V> Table<K, V> {
    /// Whether the store has been asked for this row, be it there or not.
    pub fn is_loaded(&self, key: &K) -> bool {
        self.rows.contains_key(key)
    }

    /// Takes in a row as the store has it (`None`: there is none).
    pub fn load(&mut self, key: K, value: Option<V>) {
        self.rows.entry(key).or_insert(Slot {
            value,
            change: Change::Keep,
        });
    }

    /// The row, if there is one. It must have been loaded: one that was not reads as absent, and [`State::missed`] tells, so
    /// that nothing of what was decided on it is written.
    pub fn get(&self, key: &K) -> Option<&V> {
        let slot = self.rows.get(key);
        if slot.is_none() {
            self.missed.get_or_init(|| format!("{key:?}"));
        }
        slot.and_then(|slot| slot.value.as_ref())
    }

    /// Takes in a row that is kept elsewhere (an index), over whatever was loaded. Nothing is written for it.
    pub fn set(&mut self, key: K, value: V) {
        let slot = Slot {
            value: Some(value),
            change: Change::Keep,
        };
        self.rows.insert(key, slot);
    }

    /// Adds a row that is not there yet.
    pub fn insert(&mut self, key: K, value: V) {
        let replaces = self
            .rows
            .get(&key)
            .is_some_and(|slot| slot.change == Change::Delete);
        let change = if replaces {
            Change::Update
        } else {
            Change::Insert
        };
        let before = self.rows.insert(
            key,
            Slot {
                value: Some(value),
                change,
            },
        );
        debug_assert!(
            before.is_none_or(|slot| slot.value.is_none()),
            "a row was inserted over another"
        );
    }

    /// Writes a row, whether or not there is one. For tables whose rows may be known from elsewhere, as the grants of a wallet.
    pub fn put(&mut self, key: K, value: V) {
        let change = match self.rows.get(&key) {
            Some(slot) if slot.change == Change::Insert => Change::Insert,
            Some(slot) if slot.value.is_none() => Change::Insert,
            _ => Change::Update,
        };
        let value = Some(value);
        self.rows.insert(key, Slot { value, change });
    }

    /// Changes a row that is there.
    ///
    /// # Panics
    /// When the row is not there: the caller has just looked.
    #[expect(
        clippy::expect_used,
        reason = "every caller has looked the row up in the same decision"
    )]
    pub fn change<R>(&mut self, key: &K, edit: impl FnOnce(&mut V) -> R) -> R {
        let slot = self.rows.get_mut(key).expect("a changed row is loaded");
        if slot.change == Change::Keep {
            slot.change = Change::Update;
        }
        edit(slot.value.as_mut().expect("a changed row is there"))
    }

    /// Takes a row away, if it is there.
    pub fn remove(&mut self, key: &K) {
        if let Some(slot) = self.rows.get_mut(key)
            && slot.value.take().is_some()
        {
            slot.change = if slot.change == Change::Insert {
                Change::Keep
            } else {
                Change::Delete
            };
        }
    }

    /// Whether nobody has asked for any row.
    pub(super) fn is_unasked(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether there are rows to write.
    pub fn has_changes(&self) -> bool {
        self.changes().next().is_some()
    }

    /// The rows to write, in key order. `None` with [`Change::Delete`].
    pub fn changes(&self) -> impl Iterator<Item = (&K, Change, Option<&V>)> {
        let changed = self
            .rows
            .iter()
            .filter(|(_, slot)| slot.change != Change::Keep);
        changed.map(|(key, slot)| (key, slot.change, slot.value.as_ref()))
    }
}
