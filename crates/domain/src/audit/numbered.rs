//! Rows by their number.

use std::collections::BTreeMap;

/// How many numbers are kept side by side.
const BLOCK: i64 = 65_536;

/// Rows by their number. One writer gives out numbers without gaps, several nodes in blocks far apart; either way most rows stand
/// next to each other.
#[derive(Debug)]
pub struct Numbered<T> {
    blocks: BTreeMap<i64, Vec<Option<T>>>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self {
            blocks: BTreeMap::new(),
        }
    }
}

impl<T> Numbered<T> {
    /// In the order in which they are given.
    pub(super) fn of(rows: impl Iterator<Item = (i64, T)>) -> Self {
        let mut all = Self::default();
        for (number, row) in rows {
            *all.place(number) = Some(row);
        }
        all
    }

    /// Where the row with this number is, or would be.
    pub fn place(&mut self, number: i64) -> &mut Option<T> {
        let (block, place) = place_of(number);
        let block = self.blocks.entry(block).or_default();
        if place >= block.len() {
            block.resize_with(place + 1, || None);
        }
        &mut block[place]
    }

    /// The row with this number.
    pub fn get(&self, number: i64) -> Option<&T> {
        let (block, place) = place_of(number);
        self.blocks.get(&block)?.get(place)?.as_ref()
    }

    pub(super) fn at(&mut self, number: i64) -> Option<&mut T> {
        let (block, place) = place_of(number);
        self.blocks.get_mut(&block)?.get_mut(place)?.as_mut()
    }

    /// In the order of their numbers.
    pub(super) fn all(&self) -> impl Iterator<Item = &T> {
        self.blocks.values().flatten().flatten()
    }
}

fn place_of(number: i64) -> (i64, usize) {
    let place = usize::try_from(number.rem_euclid(BLOCK)).unwrap_or(0);
    (number.div_euclid(BLOCK), place)
}
