//! Where the remembered answer of an idempotency key is: from the first eight bytes of a fingerprint to the numbers of the
//! answers that may have it, for ever.
//!
//! Fingerprints are random. An ordinary index over them changes another page of the file for every key, so each commit gets
//! dearer as the table grows. This one gathers keys in memory (the table of answers itself keeps them safe meanwhile),
//! writes many of them at once as a sorted *run* that never changes again, and merges runs of one level into a single run
//! of the next. Every key is written once for each level, and there are few levels.
//!
//! The index lives in the tables `key_run` and `key_page` and is written in the same transactions as the answers. Memory
//! follows only after the commit, and everything in memory can be read back from the tables, in the middle of a merge too.

mod filter;
mod lookup;
mod merge;
mod recent;
mod run;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::ops::Range;

use crate::connection::{Connection, StoreError};
use merge::{Advance, Merge};
use recent::Recent;
use run::{Numbering, Registered, Run, State};

pub(crate) use lookup::look_up;

/// A key, and the number of the answer that has it. In this order entries are sorted.
type Entry = (u64, i64);

/// How much is done at a time.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    /// So many keys are gathered in memory before they are written as a run.
    gather: usize,
    /// So many runs of one level become one of the next.
    fan_in: usize,
    /// The length of a page of a run, a multiple of 16 (an entry).
    page_bytes: usize,
    /// So many pages are merged, and as many deleted, with each write at least.
    slice: usize,
}

/// 4,032 bytes and what SQLite needs to keep them fill one of its pages and do not overflow into a second one: 4,061 with
/// the header of the row is the most (<https://sqlite.org/fileformat2.html>, section 1.6).
const SIZES: Sizes = Sizes {
    gather: 16_384,
    fan_in: 8,
    page_bytes: 4_032,
    slice: 4,
};

/// So many entries are merged for each new key. Each key is merged once for every level, so that merging keeps up as long as
/// there are fewer levels than this; seven of them hold 34 thousand million keys.
const MERGED_PER_KEY: usize = 8;

const UNINDEXED: &str = "SELECT number, fingerprint FROM answer WHERE number > $1 ORDER BY number";
const DELETE_PAGES: &str = "DELETE FROM key_page WHERE number >= $1 AND number < $2";
const DELETE_RUN: &str = "DELETE FROM key_run WHERE number = $1";

/// The index. Belongs to the one writer.
#[derive(Debug)]
pub(crate) struct KeyIndex {
    sizes: Sizes,
    /// Keys that no run holds yet.
    recent: Recent,
    /// Complete runs, those being merged included, by number.
    runs: Vec<Run>,
    /// Unfinished merges, at most one for each level, the lowest level first.
    merges: Vec<Merge>,
    /// Runs that a merge has replaced, and which of their pages are still there.
    dropped: VecDeque<Dropped>,
    numbering: Numbering,
}

#[derive(Debug)]
struct Dropped {
    run: i64,
    pages: Range<i64>,
}

/// What a write has done to the tables and memory has to take over after the commit.
#[derive(Debug)]
pub(crate) struct Step {
    /// Keys that stay in memory.
    kept: Vec<Entry>,
    /// The run that all keys in memory went into, these new ones included.
    flushed: Option<Run>,
    begun: Option<Merge>,
    advanced: Option<Advance>,
    /// The first page that the first dropped run still has.
    tidied_to: Option<i64>,
    numbering: Numbering,
}

impl KeyIndex {
    /// Reads filters and fences of all runs, and the keys of answers that no run holds yet.
    pub(crate) fn open(connection: &mut dyn Connection) -> Result<Self, StoreError> {
        Self::open_sized(connection, SIZES)
    }

    fn open_sized(connection: &mut dyn Connection, sizes: Sizes) -> Result<Self, StoreError> {
        let registered = run::registered(connection)?;
        let mut index = Self {
            sizes,
            recent: Recent::default(),
            runs: Vec::new(),
            merges: Vec::new(),
            dropped: VecDeque::new(),
            numbering: Numbering::default(),
        };
        let mut indexed = 0;
        for Registered { mut run, state, .. } in registered.iter().cloned() {
            index.numbering.skip(&run);
            match state {
                State::Whole => {
                    indexed = indexed.max(run.last_answer);
                    run.read_tail(connection)?;
                    index.runs.push(run);
                }
                State::Building => {
                    let inputs = registered
                        .iter()
                        .filter(|input| input.merged_into == Some(run.number));
                    let inputs = inputs.map(|input| input.run.number).collect();
                    index.merges.push(Merge::resume(connection, run, inputs)?);
                }
                State::Dropped => {
                    let pages = run.first_page..run.end_page();
                    let first = run::first_page_from(connection, pages.start)?;
                    let first = first.unwrap_or(pages.end).min(pages.end);
                    index.dropped.push_back(Dropped {
                        run: run.number,
                        pages: first..pages.end,
                    });
                }
            }
        }
        index.merges.sort_by_key(Merge::level);
        for row in connection.rows(UNINDEXED, vec![indexed.into()])? {
            index.recent.add((key_of(&row.bytes(1)?)?, row.integer(0)?));
        }
        Ok(index)
    }

    /// Numbers of answers whose key may be this one: all that have it, and hardly ever one that has not. Usually none or one.
    pub(crate) fn find(
        &self,
        connection: &mut dyn Connection,
        key: u64,
    ) -> Result<Vec<i64>, StoreError> {
        let mut found = self.recent.find(key);
        let pages: Vec<i64> = self.runs.iter().flat_map(|run| run.pages_of(key)).collect();
        for body in run::read_pages(connection, &pages)? {
            let equal = run::entries(&body).filter(|(other, _)| *other == key);
            found.extend(equal.map(|(_, number)| number));
        }
        Ok(found)
    }

    /// To be called in the transaction in which the `new` answers were inserted. Writes a run if enough keys have gathered,
    /// and goes on with merging and tidying up, a bounded amount. The step is for [`KeyIndex::apply`] after the commit.
    pub(crate) fn write(
        &self,
        connection: &mut dyn Connection,
        new: &[Entry],
    ) -> Result<Step, StoreError> {
        let mut numbering = self.numbering;
        let slice = self.sizes.slice
            + new.len() * MERGED_PER_KEY * run::ENTRY_BYTES / self.sizes.page_bytes;
        let flushed = self.flush(connection, new, &mut numbering)?;
        Ok(Step {
            kept: if flushed.is_some() {
                Vec::new()
            } else {
                new.to_vec()
            },
            flushed,
            begun: self.begin_merge(connection, &mut numbering)?,
            advanced: self.advance_merge(connection, slice)?,
            tidied_to: self.tidy(connection, slice)?,
            numbering,
        })
    }

    /// Takes over what was committed. Must not be called if the commit failed: the next write decides again then.
    pub(crate) fn apply(&mut self, step: Step) {
        self.numbering = step.numbering;
        if let Some(first) = step.tidied_to {
            self.take_tidied(first);
        }
        if let Some(advance) = step.advanced {
            self.take_advance(&advance);
        }
        if let Some(run) = step.flushed {
            self.recent = Recent::default();
            self.runs.push(run);
        }
        for entry in step.kept {
            self.recent.add(entry);
        }
        self.merges.extend(step.begun);
        // As after a restart, so that a run of the program and its repetition do the same.
        self.runs.sort_by_key(|run| run.number);
        self.merges.sort_by_key(Merge::level);
    }

    fn flush(
        &self,
        connection: &mut dyn Connection,
        new: &[Entry],
        numbering: &mut Numbering,
    ) -> Result<Option<Run>, StoreError> {
        if self.recent.len() + new.len() < self.sizes.gather {
            return Ok(None);
        }
        let mut entries: Vec<Entry> = self.recent.entries().chain(new.iter().copied()).collect();
        entries.sort_unstable();
        let last_answer = entries.iter().map(|(_, number)| *number).max();
        let mut run = Run::plan(
            numbering,
            0,
            entries.len(),
            last_answer.unwrap_or(0),
            self.sizes.page_bytes,
        );
        run.take(&entries);
        run.register(connection, State::Whole)?;
        let mut pages = run.data_bodies(&entries);
        pages.extend((0..run.tail_pages()).map(|place| run.tail_body(place)));
        run.insert_pages(connection, 0, pages)?;
        Ok(Some(run))
    }

    fn begin_merge(
        &self,
        connection: &mut dyn Connection,
        numbering: &mut Numbering,
    ) -> Result<Option<Merge>, StoreError> {
        let inputs = self.due();
        if inputs.is_empty() {
            return Ok(None);
        }
        Merge::begin(connection, numbering, &inputs, self.sizes.page_bytes).map(Some)
    }

    /// Enough runs of the lowest level that has enough of them and is not being merged already.
    fn due(&self) -> Vec<&Run> {
        let idle = |level: i64| self.merges.iter().all(|merge| merge.level() != level + 1);
        let mut levels: Vec<i64> = self.runs.iter().map(|run| run.level).collect();
        levels.sort_unstable();
        levels.dedup();
        let of_level = |level: i64| self.runs.iter().filter(move |run| run.level == level);
        levels
            .into_iter()
            .find(|level| idle(*level) && of_level(*level).count() >= self.sizes.fan_in)
            .map(|level| of_level(level).take(self.sizes.fan_in).collect())
            .unwrap_or_default()
    }

    /// The lowest level goes first: its runs come fastest, and its merges are the shortest.
    fn advance_merge(
        &self,
        connection: &mut dyn Connection,
        slice: usize,
    ) -> Result<Option<Advance>, StoreError> {
        let Some(merge) = self.merges.first() else {
            return Ok(None);
        };
        let is_input = |run: &&Run| merge.has_input(run.number);
        let inputs: Vec<&Run> = self.runs.iter().filter(is_input).collect();
        merge.advance(connection, &inputs, slice).map(Some)
    }

    fn take_advance(&mut self, advance: &Advance) {
        let Some(place) = self
            .merges
            .iter()
            .position(|merge| merge.is_run(advance.run))
        else {
            return;
        };
        self.merges[place].take(advance);
        if !advance.finished {
            return;
        }
        let merge = self.merges.remove(place);
        let replaced = self.runs.extract_if(.., |run| merge.has_input(run.number));
        self.dropped.extend(replaced.map(|run| Dropped {
            run: run.number,
            pages: run.first_page..run.end_page(),
        }));
        self.runs.push(merge.into_run());
    }

    /// Deletes some pages of the first dropped run; with the last of them the run is forgotten.
    fn tidy(
        &self,
        connection: &mut dyn Connection,
        slice: usize,
    ) -> Result<Option<i64>, StoreError> {
        let Some(Dropped { run, pages }) = self.dropped.front() else {
            return Ok(None);
        };
        let until = pages
            .end
            .min(pages.start.saturating_add(run::signed(slice)));
        connection.execute(DELETE_PAGES, &[vec![pages.start.into(), until.into()]])?;
        if until == pages.end {
            connection.execute(DELETE_RUN, &[vec![(*run).into()]])?;
        }
        Ok(Some(until))
    }

    fn take_tidied(&mut self, first: i64) {
        if let Some(dropped) = self.dropped.front_mut() {
            dropped.pages.start = first;
            if dropped.pages.is_empty() {
                self.dropped.pop_front();
            }
        }
    }
}

/// The key in a fingerprint.
fn key_of(fingerprint: &[u8]) -> Result<u64, StoreError> {
    let first = fingerprint.first_chunk().copied();
    first
        .map(u64::from_be_bytes)
        .ok_or_else(|| StoreError::corrupt("a fingerprint of fewer than eight bytes"))
}
