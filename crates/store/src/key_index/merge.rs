//! A merge: several runs of one level become one of the next, a slice with every write.
//!
//! How far it is can be seen from the pages that are there, so a merge goes on after a restart where it was. The inputs are
//! searched until the output is complete; one transaction then puts the output in their place.

use std::sync::Arc;

use super::Entry;
use super::run::{self, Numbering, Run, State};
use crate::connection::{Connection, Parameters, StoreError};

const MARK_INPUT: &str = "UPDATE key_run SET merged_into = $1 WHERE number = $2";
const DROP_INPUTS: &str =
    "UPDATE key_run SET state = $1, merged_into = NULL WHERE merged_into = $2";
const FINISH: &str = "UPDATE key_run SET state = $1 WHERE number = $2";

/// After a restart, so many pages already written are read again where one would be written. Reading is much cheaper, and a
/// merge only comes to its end if the program lives long enough to read all of it.
const READ_AGAIN: usize = 32;

/// An unfinished merge.
#[derive(Debug)]
pub(super) struct Merge {
    /// The output.
    run: Run,
    inputs: Vec<i64>,
    /// How many pages of the output are in the database.
    written: usize,
    /// The last entry of those that the output's fences and filter know.
    last: Option<Entry>,
}

/// How far a write has brought a merge.
#[derive(Debug)]
pub(super) struct Advance {
    /// The output of the merge.
    pub(super) run: i64,
    /// Whether the output has taken the place of the inputs.
    pub(super) finished: bool,
    /// What the output's fences and filter have to learn: the entries of whole pages.
    entries: Vec<Entry>,
    written: usize,
}

impl Merge {
    /// Reserves the pages of the output. `inputs` are complete runs of one level.
    pub(super) fn begin(
        connection: &mut dyn Connection,
        numbering: &mut Numbering,
        inputs: &[&Run],
        page_bytes: usize,
    ) -> Result<Self, StoreError> {
        let level = inputs.iter().map(|input| input.level).max().unwrap_or(0) + 1;
        let entries = inputs.iter().map(|input| input.entries).sum();
        let last_answer = inputs.iter().map(|input| input.last_answer).max();
        let last_answer = last_answer.unwrap_or(0);
        let run = Run::plan(numbering, level, entries, last_answer, page_bytes);
        run.register(connection, State::Building)?;
        let inputs: Vec<i64> = inputs.iter().map(|input| input.number).collect();
        let marks: Vec<Parameters> = inputs
            .iter()
            .map(|input| vec![run.number.into(), (*input).into()])
            .collect();
        connection.execute(MARK_INPUT, &marks)?;
        Ok(Self {
            run,
            inputs,
            written: 0,
            last: None,
        })
    }

    /// A merge that was begun before the program started.
    pub(super) fn resume(
        connection: &mut dyn Connection,
        run: Run,
        inputs: Vec<i64>,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            written: run.written_pages(connection)?,
            run,
            inputs,
            last: None,
        })
    }

    /// The level of the output.
    pub(super) fn level(&self) -> i64 {
        self.run.level
    }

    pub(super) fn is_run(&self, number: i64) -> bool {
        self.run.number == number
    }

    pub(super) fn has_input(&self, run: i64) -> bool {
        self.inputs.contains(&run)
    }

    pub(super) fn into_run(self) -> Run {
        self.run
    }

    /// Writes the next `slice` pages of the output; with the last of them it takes the place of the inputs.
    pub(super) fn advance(
        &self,
        connection: &mut dyn Connection,
        inputs: &[&Run],
        slice: usize,
    ) -> Result<Advance, StoreError> {
        let (known, data) = (self.run.known_pages(), self.run.data_pages());
        if known < self.written.min(data) {
            return self.read_again(connection, slice * READ_AGAIN);
        }
        if self.written < data {
            return self.merge(connection, inputs, slice);
        }
        self.write_tail(connection, slice)
    }

    /// Memory lost fences and filter at a restart.
    fn read_again(
        &self,
        connection: &mut dyn Connection,
        slice: usize,
    ) -> Result<Advance, StoreError> {
        let known = self.run.known_pages();
        let until = self.written.min(self.run.data_pages()).min(known + slice);
        let bodies = self.run.read(connection, known..until)?;
        let entries = bodies.iter().flat_map(|body| run::entries(body));
        Ok(self.advanced(entries.collect(), self.written))
    }

    fn merge(
        &self,
        connection: &mut dyn Connection,
        inputs: &[&Run],
        slice: usize,
    ) -> Result<Advance, StoreError> {
        let pages = slice.min(self.run.data_pages() - self.written);
        let before = self.written * self.run.page_entries();
        let wanted = (pages * self.run.page_entries()).min(self.run.entries - before);
        let mut cursors = Vec::with_capacity(inputs.len());
        for input in inputs {
            cursors.push(Cursor::after(connection, input, self.last)?);
        }
        let mut entries = Vec::with_capacity(wanted);
        while entries.len() < wanted {
            let heads = cursors
                .iter_mut()
                .filter_map(|cursor| Some((cursor.head()?, cursor)));
            let Some((entry, cursor)) = heads.min_by_key(|(entry, _)| *entry) else {
                return Err(StoreError::corrupt(
                    "a run of the index of keys lacks entries",
                ));
            };
            entries.push(entry);
            cursor.step(connection)?;
        }
        let bodies = self.run.data_bodies(&entries);
        self.run.insert_pages(connection, self.written, bodies)?;
        Ok(self.advanced(entries, self.written + pages))
    }

    fn write_tail(
        &self,
        connection: &mut dyn Connection,
        slice: usize,
    ) -> Result<Advance, StoreError> {
        let until = self.run.pages().min(self.written + slice);
        let places = self.written..until;
        let body = |place: usize| self.run.tail_body(place - self.run.data_pages());
        let bodies = places.map(body).collect();
        self.run.insert_pages(connection, self.written, bodies)?;
        let mut advance = self.advanced(Vec::new(), until);
        if until == self.run.pages() {
            let number = self.run.number;
            let dropped = vec![State::Dropped.as_str().into(), number.into()];
            connection.execute(DROP_INPUTS, &[dropped])?;
            let whole = vec![State::Whole.as_str().into(), number.into()];
            connection.execute(FINISH, &[whole])?;
            advance.finished = true;
        }
        Ok(advance)
    }

    fn advanced(&self, entries: Vec<Entry>, written: usize) -> Advance {
        Advance {
            run: self.run.number,
            finished: false,
            entries,
            written,
        }
    }

    /// Takes over what was committed.
    pub(super) fn take(&mut self, advance: &Advance) {
        self.run.take(&advance.entries);
        self.last = advance.entries.last().copied().or(self.last);
        self.written = advance.written;
    }
}

/// A place in an input.
struct Cursor<'a> {
    run: &'a Run,
    page: usize,
    body: Arc<[u8]>,
    place: usize,
}

impl<'a> Cursor<'a> {
    /// The first entry after `last`, or the very first. Found by the fences each time, so that nothing about places has to
    /// be remembered from one write to the next, or over a restart.
    fn after(
        connection: &mut dyn Connection,
        run: &'a Run,
        last: Option<Entry>,
    ) -> Result<Self, StoreError> {
        let page = last.map_or(0, |(key, _)| run.place_before(key));
        let mut cursor = Self {
            run,
            page,
            body: Arc::default(),
            place: 0,
        };
        cursor.load(connection)?;
        while last.is_some() && cursor.head().is_some_and(|head| Some(head) <= last) {
            cursor.step(connection)?;
        }
        Ok(cursor)
    }

    fn head(&self) -> Option<Entry> {
        run::entry(&self.body, self.place)
    }

    fn step(&mut self, connection: &mut dyn Connection) -> Result<(), StoreError> {
        self.place += 1;
        if self.head().is_none() && self.page + 1 < self.run.data_pages() {
            self.page += 1;
            self.place = 0;
            self.load(connection)?;
        }
        Ok(())
    }

    fn load(&mut self, connection: &mut dyn Connection) -> Result<(), StoreError> {
        let bodies = self.run.read(connection, self.page..self.page + 1)?;
        self.body = bodies.into_iter().next().unwrap_or_default();
        Ok(())
    }
}
