//! A run: sorted entries that never change, cut into pages.
//!
//! The pages of a run have consecutive numbers. First come the entries, then the *fences* (the first key of each page of
//! entries), then the filter. Fences and filter are kept in memory, so that a key that is not in the run costs nothing as a
//! rule, and one that is costs reading one page. Keys stand in the bodies only, as unsigned numbers with the high byte
//! first; SQL never sees one.

use std::ops::Range;
use std::sync::Arc;

use super::Entry;
use super::filter::Filter;
use crate::connection::{Connection, Parameters, Row, StoreError, Value};

pub(super) const ENTRY_BYTES: usize = 16;
const WORD_BYTES: usize = 8;

const RUNS: &str = "SELECT number, level, state, merged_into, entries, last_answer, first_page, page_bytes, \
                    filter_blocks, filter_probes FROM key_run ORDER BY number";
const REGISTER: &str = "INSERT INTO key_run (number, level, state, entries, last_answer, first_page, page_bytes, \
                        filter_blocks, filter_probes) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const INSERT_PAGE: &str = "INSERT INTO key_page (number, body) VALUES ($1, $2)";
const PAGE: &str = "SELECT body FROM key_page WHERE number = $1";
const PAGES: &str = "SELECT body FROM key_page WHERE number >= $1 AND number < $2 ORDER BY number";
const FIRST_PAGE: &str = "SELECT number FROM key_page WHERE number >= $1 ORDER BY number LIMIT 1";
const LAST_PAGE: &str =
    "SELECT number FROM key_page WHERE number >= $1 AND number < $2 ORDER BY number DESC LIMIT 1";

/// What a registered run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The unfinished output of a merge. Nobody looks into it.
    Building,
    /// Complete; keys are looked up in it.
    Whole,
    /// Replaced by a merge. Its pages are being deleted.
    Dropped,
}

impl State {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Whole => "whole",
            Self::Dropped => "dropped",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Building, Self::Whole, Self::Dropped]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// The numbers that the next run and the next page get.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Numbering {
    run: i64,
    page: i64,
}

impl Numbering {
    /// Leaves the numbers of this run alone.
    pub(super) fn skip(&mut self, run: &Run) {
        self.run = self.run.max(run.number + 1);
        self.page = self.page.max(run.end_page());
    }
}

/// A run, in the tables and in memory.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) number: i64,
    pub(super) level: i64,
    pub(super) entries: usize,
    /// The highest number of an answer in it.
    pub(super) last_answer: i64,
    pub(super) first_page: i64,
    page_bytes: usize,
    /// The first key of each page of entries that is known so far.
    fences: Vec<u64>,
    filter: Filter,
}

impl Run {
    /// A run that has its numbers and nothing else yet.
    pub(super) fn plan(
        numbering: &mut Numbering,
        level: i64,
        entries: usize,
        last_answer: i64,
        page_bytes: usize,
    ) -> Self {
        let run = Self {
            number: numbering.run,
            level,
            entries,
            last_answer,
            first_page: numbering.page,
            page_bytes,
            fences: Vec::with_capacity(entries.div_ceil(page_bytes / ENTRY_BYTES)),
            filter: Filter::sized_for(entries),
        };
        numbering.skip(&run);
        run
    }

    /// How many entries a page has; the last one may have fewer.
    pub(super) fn page_entries(&self) -> usize {
        self.page_bytes / ENTRY_BYTES
    }

    fn page_words(&self) -> usize {
        self.page_bytes / WORD_BYTES
    }

    /// How many pages the entries fill.
    pub(super) fn data_pages(&self) -> usize {
        self.entries.div_ceil(self.page_entries())
    }

    fn fence_pages(&self) -> usize {
        self.data_pages().div_ceil(self.page_words())
    }

    /// How many pages fences and filter fill.
    pub(super) fn tail_pages(&self) -> usize {
        let filter_pages = self.filter.words().len().div_ceil(self.page_words());
        self.fence_pages() + filter_pages
    }

    /// How many pages the run has in all.
    pub(super) fn pages(&self) -> usize {
        self.data_pages() + self.tail_pages()
    }

    /// The number after that of the last page.
    pub(super) fn end_page(&self) -> i64 {
        self.first_page + signed(self.pages())
    }

    /// How many pages of entries are in the fences and the filter.
    pub(super) fn known_pages(&self) -> usize {
        self.fences.len()
    }

    /// Takes the entries of the next pages into fences and filter.
    pub(super) fn take(&mut self, entries: &[Entry]) {
        let pages = entries.chunks(self.page_entries());
        self.fences
            .extend(pages.filter_map(|page| page.first().map(|(key, _)| *key)));
        for (key, _) in entries {
            self.filter.add(*key);
        }
    }

    /// The pages of these entries.
    pub(super) fn data_bodies(&self, entries: &[Entry]) -> Vec<Arc<[u8]>> {
        let body = |page: &[Entry]| {
            page.iter()
                .flat_map(|(key, number)| [key.to_be_bytes(), number.to_be_bytes()])
                .flatten()
                .collect()
        };
        entries.chunks(self.page_entries()).map(body).collect()
    }

    /// A page of fences or of the filter, counted from the end of the entries.
    pub(super) fn tail_body(&self, place: usize) -> Arc<[u8]> {
        let (words, place) = match place.checked_sub(self.fence_pages()) {
            None => (self.fences.as_slice(), place),
            Some(place) => (self.filter.words(), place),
        };
        let words = words
            .chunks(self.page_words())
            .nth(place)
            .unwrap_or_default();
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    /// Writes pages; `place` is that of the first of them, counted from the beginning of the run.
    pub(super) fn insert_pages(
        &self,
        connection: &mut dyn Connection,
        place: usize,
        bodies: Vec<Arc<[u8]>>,
    ) -> Result<(), StoreError> {
        let numbers = self.first_page + signed(place)..;
        let rows = numbers.zip(bodies);
        let rows: Vec<Parameters> = rows
            .map(|(number, body)| vec![number.into(), Value::Bytes(body)])
            .collect();
        connection.execute(INSERT_PAGE, &rows).map(drop)
    }

    /// Enters the run in the table of runs.
    pub(super) fn register(
        &self,
        connection: &mut dyn Connection,
        state: State,
    ) -> Result<(), StoreError> {
        let row = vec![
            self.number.into(),
            self.level.into(),
            state.as_str().into(),
            signed(self.entries).into(),
            self.last_answer.into(),
            self.first_page.into(),
            signed(self.page_bytes).into(),
            signed(self.filter.blocks()).into(),
            signed(self.filter.probes()).into(),
        ];
        connection.execute(REGISTER, &[row]).map(drop)
    }

    /// Reads fences and filter of a complete run.
    pub(super) fn read_tail(&mut self, connection: &mut dyn Connection) -> Result<(), StoreError> {
        let first = self.first_page + signed(self.data_pages());
        let bodies = connection.rows(PAGES, vec![first.into(), self.end_page().into()])?;
        let (fences, filter) = bodies
            .split_at_checked(self.fence_pages())
            .ok_or_else(|| self.damaged())?;
        self.fences = words(fences)?;
        let filter = words(filter)?;
        if self.fences.len() != self.data_pages() || filter.len() != self.filter.words().len() {
            return Err(self.damaged());
        }
        self.filter.words_mut().copy_from_slice(&filter);
        Ok(())
    }

    fn damaged(&self) -> StoreError {
        StoreError::corrupt(format!(
            "the run {} of the index of keys lacks pages",
            self.number
        ))
    }

    /// How many pages from the first one are there.
    pub(super) fn written_pages(
        &self,
        connection: &mut dyn Connection,
    ) -> Result<usize, StoreError> {
        let range = vec![self.first_page.into(), self.end_page().into()];
        let rows = connection.rows(LAST_PAGE, range)?;
        let Some(row) = rows.first() else {
            return Ok(0);
        };
        unsigned(row.integer(0)? - self.first_page + 1)
    }

    /// The numbers of the pages that may hold this key: none or one as a rule, more where equal keys cross a border.
    pub(super) fn pages_of(&self, key: u64) -> Range<i64> {
        let places = if self.filter.may_hold(key) {
            self.place_before(key)..self.fences.partition_point(|first| *first <= key)
        } else {
            0..0
        };
        self.first_page + signed(places.start)..self.first_page + signed(places.end)
    }

    /// The first page that may hold this key or a higher one. The page before the first one that begins with the key may end
    /// with it.
    pub(super) fn place_before(&self, key: u64) -> usize {
        let beginning = self.fences.partition_point(|first| *first < key);
        beginning.saturating_sub(1)
    }

    /// The entries of some pages, from one place to before another.
    pub(super) fn read(
        &self,
        connection: &mut dyn Connection,
        places: Range<usize>,
    ) -> Result<Vec<Arc<[u8]>>, StoreError> {
        let number = |place: usize| self.first_page + signed(place);
        let numbers: Vec<i64> = places.map(number).collect();
        read_pages(connection, &numbers)
    }
}

/// Reads pages of entries by their numbers.
pub(super) fn read_pages(
    connection: &mut dyn Connection,
    numbers: &[i64],
) -> Result<Vec<Arc<[u8]>>, StoreError> {
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    let parameters: Vec<Parameters> = numbers
        .iter()
        .map(|number| vec![(*number).into()])
        .collect();
    let answers = connection.query(PAGE, &parameters)?;
    let bodies = answers.iter().zip(numbers).map(|(rows, number)| {
        let row = rows.first();
        let body = row.map(|row| row.bytes(0)).transpose()?;
        body.filter(|body| !body.is_empty() && body.len().is_multiple_of(ENTRY_BYTES))
            .ok_or_else(|| {
                StoreError::corrupt(format!("the page {number} of the index of keys is damaged"))
            })
    });
    bodies.collect()
}

/// The entries of a page.
pub(super) fn entries(body: &[u8]) -> impl Iterator<Item = Entry> {
    (0..).map_while(|place| entry(body, place))
}

/// One entry of a page.
pub(super) fn entry(body: &[u8], place: usize) -> Option<Entry> {
    let (key, rest) = body.get(place * ENTRY_BYTES..)?.split_first_chunk()?;
    let number = rest.first_chunk()?;
    Some((u64::from_be_bytes(*key), i64::from_be_bytes(*number)))
}

fn words(rows: &[Row]) -> Result<Vec<u64>, StoreError> {
    let mut words = Vec::new();
    for row in rows {
        let body = row.bytes(0)?;
        let (chunks, _) = body.as_chunks::<WORD_BYTES>();
        words.extend(chunks.iter().map(|word| u64::from_be_bytes(*word)));
    }
    Ok(words)
}

/// The first page from this number on.
pub(super) fn first_page_from(
    connection: &mut dyn Connection,
    number: i64,
) -> Result<Option<i64>, StoreError> {
    let rows = connection.rows(FIRST_PAGE, vec![number.into()])?;
    rows.first().map(|row| row.integer(0)).transpose()
}

/// A row of the table of runs. Fences and filter are still empty.
#[derive(Debug, Clone)]
pub(super) struct Registered {
    pub(super) run: Run,
    pub(super) state: State,
    /// The unfinished run that this one is being merged into.
    pub(super) merged_into: Option<i64>,
}

/// All registered runs by number.
pub(super) fn registered(connection: &mut dyn Connection) -> Result<Vec<Registered>, StoreError> {
    let rows = connection.rows(RUNS, vec![])?;
    rows.iter().map(read_registered).collect()
}

fn read_registered(row: &Row) -> Result<Registered, StoreError> {
    let page_bytes = unsigned(row.integer(7)?)?;
    if page_bytes < ENTRY_BYTES {
        return Err(StoreError::corrupt(
            "a run of the index of keys without room in its pages",
        ));
    }
    Ok(Registered {
        run: Run {
            number: row.integer(0)?,
            level: row.integer(1)?,
            entries: unsigned(row.integer(4)?)?,
            last_answer: row.integer(5)?,
            first_page: row.integer(6)?,
            page_bytes,
            fences: Vec::new(),
            filter: Filter::empty(unsigned(row.integer(8)?)?, unsigned(row.integer(9)?)?),
        },
        state: row.parsed(2, State::parse)?,
        merged_into: row.optional_integer(3)?,
    })
}

/// A count as the database takes it. What fits into memory fits into an `i64`.
pub(super) fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn unsigned(count: i64) -> Result<usize, StoreError> {
    usize::try_from(count)
        .map_err(|_| StoreError::corrupt(format!("{count} as a count in the index of keys")))
}
