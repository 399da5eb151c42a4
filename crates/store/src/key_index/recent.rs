//! The keys in memory that no run holds yet.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::Entry;

/// Keys and their numbers, found at once.
#[derive(Debug, Default)]
pub(super) struct Recent {
    first: HashMap<u64, i64, BuildHasherDefault<AsItIs>>,
    /// Further numbers of a key that is there already. Of 2^64 keys two are hardly ever the same, so a list is enough.
    further: Vec<Entry>,
}

impl Recent {
    pub(super) fn len(&self) -> usize {
        self.first.len() + self.further.len()
    }

    pub(super) fn add(&mut self, (key, number): Entry) {
        if *self.first.entry(key).or_insert(number) != number {
            self.further.push((key, number));
        }
    }

    pub(super) fn find(&self, key: u64) -> Vec<i64> {
        let further = self.further.iter().filter(|(other, _)| *other == key);
        let further = further.map(|(_, number)| *number);
        self.first
            .get(&key)
            .copied()
            .into_iter()
            .chain(further)
            .collect()
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> {
        let first = self.first.iter().map(|(key, number)| (*key, *number));
        first.chain(self.further.iter().copied())
    }
}

/// Keys are parts of a cryptographic hash; hashing them again would gain nothing.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        // The trait demands it; keys arrive below.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
