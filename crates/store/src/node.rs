//! One of several nodes on a database server: what it is known by, the numbers it gives out, and what became of a commit of which
//! nobody said.
//!
//! Each node has a *slot*, a row that it locks with every batch. So there is one batch at a time in a slot, and a slot that was
//! taken over by somebody else is noticed before anything is written. The row counts the batches: whoever lost the connection
//! during a commit reads there whether it was done.
//!
//! Numbers are given out in blocks. A block is named by a *tick* and a slot, so no two nodes have the same, and nobody has to be
//! asked for one. A node moves to a new tick when its block is nearly used up, and whenever it meets a wallet whose newest posting
//! has a higher number than its own: so the postings of a wallet are always numbered in the order in which they were made.

use bursar_domain::planted::{self, Bug};
use bursar_domain::state::Sequence;

use crate::connection::{Connection, Parameters, Row, StoreError};
use crate::record;

/// How many numbers a block has.
pub(crate) const BLOCK: i64 = 1 << 16;

/// A node moves on when so many of a block have been used. No batch may use more than what is left.
const USED_MOST: i64 = BLOCK / 2;

/// How many slots there are.
pub(crate) const SLOTS: i64 = 64;

/// The slot that was taken first of all, and so is always there.
const FIRST: i64 = 0;

/// The row that counts announcements. They are read in the order of their numbers by others who remember how far they came, so
/// nodes number them under a lock: none appears behind one that was read.
pub(crate) const ANNOUNCEMENTS: i64 = SLOTS;

/// The row that is locked by whoever writes down which session or intent is whose, and by whoever finds an event about one that is
/// nobody's: whichever comes second sees what the first has written.
const OBJECTS: i64 = SLOTS + 1;

/// Seals of a slot are numbered from here on. Each slot has a chain of its own.
pub(crate) const fn first_seal(slot: i64) -> i64 {
    slot << 40
}

/// The slot to whose chain a seal belongs.
pub(crate) const fn slot_of_seal(number: i64) -> i64 {
    number >> 40
}

const COLUMNS: &str = "slot, token, taken, batch";
const SLOTS_LOCKED: &str = "SELECT slot, token, taken, batch FROM node ORDER BY slot FOR UPDATE";
/// Asked for with each batch: columns token, batch.
pub(crate) const FENCE: &str = "SELECT token, batch FROM node WHERE slot = $1 FOR UPDATE";
const COUNT_BATCH: &str = "UPDATE node SET batch = $2 WHERE slot = $1";
const RELEASE: &str = "UPDATE node SET taken = 0 WHERE slot = $1 AND token = $2";

/// A slot that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) slot: i64,
    token: i64,
    /// The number of the newest batch that was committed.
    pub(crate) batch: i64,
}

/// What became of a commit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Committed,
    Nothing,
    /// The slot has been taken over meanwhile.
    Taken,
}

impl Node {
    /// Takes a slot: one that was given back, else one that was never used, else the one that has been held longest. Its holder,
    /// should there be one, notices and takes another. Also: whether no other slot is held.
    pub(crate) fn take(connection: &mut dyn Connection) -> Result<(Self, bool), StoreError> {
        let mut tries = 0;
        loop {
            connection.begin()?;
            match Self::take_locked(connection).and_then(|taken| {
                connection.commit()?;
                Ok(taken)
            }) {
                // The first nodes of all make the same row. And nothing depends on a slot that was perhaps taken: another is.
                Err(StoreError::Conflict(_) | StoreError::Unknown(_)) if tries < 8 => {
                    connection.rollback()?;
                    tries += 1;
                }
                Err(error) => {
                    connection.rollback()?;
                    return Err(error);
                }
                Ok(taken) => return Ok(taken),
            }
        }
    }

    fn take_locked(connection: &mut dyn Connection) -> Result<(Self, bool), StoreError> {
        // One after the other: a statement that has waited for locks sees the rows it has waited for, but none that were added
        // meanwhile, so two nodes would take one slot for unused. The next statement sees them.
        connection.rows(FENCE, vec![FIRST.into()])?;
        let rows = connection.rows(SLOTS_LOCKED, vec![])?;
        let mut slots = Vec::new();
        for row in &rows {
            let slot: [i64; 4] = numbers(row)?;
            if slot[0] < SLOTS {
                slots.push(slot);
            }
        }
        let newest = slots.iter().map(|[_, token, ..]| *token).max().unwrap_or(0);
        let unused = (FIRST..SLOTS).find(|slot| slots.iter().all(|[other, ..]| other != slot));
        let free = slots
            .iter()
            .find(|[_, _, taken, _]| *taken == 0 || planted::is(Bug::SlotTwice));
        let oldest = slots.iter().min_by_key(|[_, token, ..]| *token);
        let (slot, batch) = match (free, unused, oldest) {
            (Some([slot, _, _, batch]), _, _) | (None, None, Some([slot, _, _, batch])) => {
                (*slot, *batch)
            }
            (None, Some(slot), _) => (slot, 0),
            (None, None, None) => (FIRST, 0),
        };
        let node = Self {
            slot,
            token: newest + 1,
            batch,
        };
        let row = vec![slot.into(), node.token.into(), 1.into(), batch.into()];
        connection.execute(&record::upsert("node", COLUMNS, "slot"), &[row])?;
        let others: Vec<i64> = rows
            .iter()
            .map(|row| row.integer(0))
            .collect::<Result<_, _>>()?;
        if !others.contains(&OBJECTS) {
            let row = vec![OBJECTS.into(), 0.into(), 0.into(), 0.into()];
            connection.execute(&record::insert("node", COLUMNS), &[row])?;
        }
        if !others.contains(&ANNOUNCEMENTS) {
            let sql = "SELECT coalesce(max(number), 0) FROM announcement";
            let rows = connection.rows(sql, vec![])?;
            let newest = rows.first().map_or(Ok(0), |row| row.integer(0))?;
            let row = vec![ANNOUNCEMENTS.into(), 0.into(), 0.into(), newest.into()];
            connection.execute(&record::insert("node", COLUMNS), &[row])?;
        }
        let is_alone = slots
            .iter()
            .all(|[other, _, taken, _]| *taken == 0 || *other == slot)
            || planted::is(Bug::ClaimsOfOthersVoid);
        Ok((node, is_alone))
    }

    /// What to ask with each batch.
    pub(crate) fn fence(&self) -> Parameters {
        vec![self.slot.into()]
    }

    /// Whether the slot is still this node's, by the answer to [`FENCE`].
    pub(crate) fn check(&self, answer: &[Row]) -> Result<bool, StoreError> {
        let lost = |found: &str| {
            StoreError::Lost(format!(
                "slot {} was at batch {} when this node committed it, and is {found}",
                self.slot, self.batch
            ))
        };
        let row = answer.first().ok_or_else(|| lost("not there"))?;
        let [token, batch] = numbers(row)?;
        if planted::is(Bug::FenceUnchecked) {
            return Ok(true);
        }
        match token.cmp(&self.token) {
            std::cmp::Ordering::Greater => Ok(false),
            std::cmp::Ordering::Equal if batch == self.batch => Ok(true),
            _ => Err(lost(&format!("at batch {batch} of {token} now"))),
        }
    }

    /// Writes that the next batch is this one.
    pub(crate) fn count_batch(&self, connection: &mut dyn Connection) -> Result<(), StoreError> {
        let next = self.batch + 1;
        connection.write(COUNT_BATCH, &[vec![self.slot.into(), next.into()]])
    }

    /// Whether the next batch was committed, after a connection was lost in the middle of it. Waits until the server has ended
    /// what was under way.
    pub(crate) fn outcome(&self, connection: &mut dyn Connection) -> Result<Found, StoreError> {
        connection.begin()?;
        let answer = connection.rows(FENCE, self.fence());
        connection.rollback()?;
        let next = Self {
            batch: self.batch + 1,
            ..*self
        };
        let answer = answer?;
        if next.check(&answer).is_ok_and(|is_mine| is_mine) {
            return Ok(Found::Committed);
        }
        Ok(if self.check(&answer)? {
            Found::Nothing
        } else {
            Found::Taken
        })
    }

    /// Gives the slot back.
    pub(crate) fn release(&self, connection: &mut dyn Connection) -> Result<(), StoreError> {
        let mine = vec![self.slot.into(), self.token.into()];
        connection.execute(RELEASE, &[mine]).map(drop)
    }

    /// The numbers to go on from, when these are the newest that anybody has given out; `answers` is the newest answer's. A holder
    /// of this slot may have given nothing but answers in its last block.
    pub(crate) fn follow(&self, newest: Sequence, answers: i64) -> Sequence {
        let answers = (!planted::is(Bug::BlockBegunAgain)).then_some(answers);
        let numbers = newest.numbers().into_iter().chain(answers);
        let highest = numbers.max().unwrap_or(0);
        let base = base(tick_of(highest), self.slot);
        if highest - base < USED_MOST {
            newest.at_least(base)
        } else {
            newest.at_least(self.after(highest))
        }
    }

    /// A new block, behind this number.
    fn after(&self, number: i64) -> i64 {
        base(tick_of(number) + 1, self.slot)
    }

    /// The numbers of the next batch, which will see a posting with the number `seen`. `answers` is the newest answer's.
    pub(crate) fn advanced(&self, sequence: Sequence, answers: i64, seen: i64) -> Sequence {
        let highest = sequence.numbers().into_iter().max().unwrap_or(0);
        let place = base_of(highest);
        let is_used = |number: i64| number - place > USED_MOST;
        let is_full = is_used(answers) || sequence.numbers().into_iter().any(is_used);
        if is_full || seen > sequence.posting && !planted::is(Bug::SeenNotFollowed) {
            sequence.at_least(self.after(highest.max(seen)))
        } else {
            sequence
        }
    }
}

/// Up to which number one writer, before there were nodes, gave out all of them: a database that was copied from a file.
pub(crate) fn history(connection: &mut dyn Connection) -> Result<i64, StoreError> {
    let rows = connection.rows(
        "SELECT value FROM mark WHERE name = $1",
        vec![HISTORY.into()],
    )?;
    let row = rows.first();
    let end = row.map(|row| row.parsed(0, |text| text.parse().ok()));
    end.unwrap_or(Ok(0))
}

/// The mark that says so.
pub(crate) const HISTORY: &str = "history";

/// The slot that has given out the number in this column.
pub(crate) fn slot_of(column: &str) -> String {
    format!("{column} / {BLOCK} % {SLOTS}")
}

/// Narrows a query to rows with numbers that this slot has given out.
pub(crate) fn written_by(slot: i64, history: i64) -> String {
    let of_slot = format!("{} = {slot}", slot_of("number"));
    match slot {
        0 => format!("AND ({of_slot} OR number <= {history})"),
        _ => format!("AND {of_slot} AND number > {history}"),
    }
}

/// Narrows a query to rows with numbers that none of these slots has given out, of which 0 is one.
pub(crate) fn written_by_none_of(slots: &[i64], history: i64) -> String {
    let slots: Vec<String> = slots.iter().map(i64::to_string).collect();
    let (of_slot, slots) = (slot_of("number"), slots.join(", "));
    format!("AND {of_slot} NOT IN ({slots}) AND number > {history}")
}

/// Nobody else writes down, until the transaction has ended, which object at the provider belongs to which payment.
pub(crate) fn lock_objects(connection: &mut dyn Connection) -> Result<(), StoreError> {
    connection.rows(FENCE, vec![OBJECTS.into()]).map(drop)
}

/// The newest announcement's number. Nobody else numbers one until the transaction has ended.
pub(crate) fn announced(connection: &mut dyn Connection) -> Result<i64, StoreError> {
    let rows = connection.rows(FENCE, vec![ANNOUNCEMENTS.into()])?;
    let row = rows.first();
    row.ok_or_else(|| StoreError::corrupt("the counter of announcements is missing"))?
        .integer(1)
}

/// Writes the newest announcement's number.
pub(crate) fn count_announced(
    connection: &mut dyn Connection,
    newest: i64,
) -> Result<(), StoreError> {
    connection.write(COUNT_BATCH, &[vec![ANNOUNCEMENTS.into(), newest.into()]])
}

/// Where the block begins that these numbers are in.
pub(crate) fn base_of_all(sequence: Sequence) -> i64 {
    base_of(sequence.numbers().into_iter().max().unwrap_or(0))
}

/// Whether all numbers of a batch are in the block that it began in.
pub(crate) fn fits(before: Sequence, after: Sequence) -> bool {
    let end = base_of_all(before) + BLOCK;
    after.numbers().into_iter().all(|number| number < end)
}

const fn tick_of(number: i64) -> i64 {
    number / (BLOCK * SLOTS)
}

/// The highest number that has the tick of this one.
pub(crate) const fn end_of_tick(number: i64) -> i64 {
    base(tick_of(number) + 1, 0) - 1
}

const fn base(tick: i64, slot: i64) -> i64 {
    (tick * SLOTS + slot) * BLOCK
}

/// The block of a number that was given out.
const fn base_of(number: i64) -> i64 {
    number - number % BLOCK
}

fn numbers<const N: usize>(row: &Row) -> Result<[i64; N], StoreError> {
    let mut numbers = [0; N];
    for (column, number) in numbers.iter_mut().enumerate() {
        *number = row.integer(column)?;
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn slot_of(number: i64) -> i64 {
        (number / BLOCK) % SLOTS
    }

    fn node(slot: i64) -> Node {
        Node {
            slot,
            token: 1,
            batch: 0,
        }
    }

    #[test]
    fn the_first_node_alone_numbers_as_one_writer_does() {
        let first = node(0).follow(Sequence::default(), 0);
        assert_eq!(first, Sequence::default());
        let posted = Sequence {
            posting: 700,
            transaction: 300,
            ..first
        };
        assert_eq!(node(0).follow(posted, 0), posted);
        assert_eq!(node(0).advanced(posted, 0, 700), posted);
    }

    #[test]
    fn blocks_of_two_nodes_never_meet_and_follow_what_was_seen() {
        let (a, b) = (node(0), node(1));
        let mut of_a = a.follow(Sequence::default(), 0);
        let mut of_b = b.follow(Sequence::default(), 0);
        assert_eq!(of_b.posting, BLOCK);
        of_b.posting += 5;
        // A meets a wallet that B has touched.
        of_a = a.advanced(of_a, 0, of_b.posting);
        assert!(of_a.posting > of_b.posting);
        assert_eq!(slot_of(of_a.posting + 1), 0);
        of_a.posting += 1;
        let again = b.advanced(of_b, 0, of_a.posting);
        assert!(again.posting > of_a.posting);
        assert_eq!((slot_of(again.posting + 1), slot_of(of_b.posting)), (1, 1));
        // What nobody else has seen goes on in its block.
        assert_eq!(b.advanced(again, 0, of_a.posting), again);
    }

    #[test]
    fn a_block_that_is_half_used_is_left() {
        let used = Sequence {
            posting: USED_MOST + 1,
            ..Sequence::default()
        };
        let next = node(0).advanced(used, 0, 0);
        assert_eq!(next.posting, BLOCK * SLOTS);
        assert_eq!(next.account, BLOCK * SLOTS);
        assert!(fits(Sequence::default(), used));
        let over = Sequence {
            posting: BLOCK,
            ..used
        };
        assert!(!fits(used, over));
    }

    #[test]
    fn a_block_with_nothing_but_answers_is_not_begun_again() {
        let newest = Sequence {
            posting: base(7, 3) + 10,
            ..Sequence::default()
        };
        let begun = node(3).follow(newest, base(8, 3) + 1);
        assert_eq!(begun.posting, base(8, 3));
        assert_eq!(node(3).follow(newest, base(8, 5) + 1).posting, base(9, 3));
    }

    #[test]
    fn a_node_that_starts_behind_others_begins_a_new_block() {
        let newest = Sequence {
            posting: base(7, 3) + 10,
            account: 40,
            ..Sequence::default()
        };
        let begun = node(2).follow(newest, 0);
        assert_eq!(begun.posting, base(8, 2));
        assert_eq!(begun.account, base(8, 2));
        // The one whose numbers these are goes on behind them, and all its numbers are in one block.
        let same = node(3).follow(newest, 0);
        assert_eq!((same.posting, same.account), (base(7, 3) + 10, base(7, 3)));
    }
}
