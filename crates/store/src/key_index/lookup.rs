//! Finding a key without an index in memory: for readers, who ask rarely and must not wait for the writer.

use super::run::{self, Registered, Run, State};
use super::{UNINDEXED, key_of};
use crate::connection::{Connection, StoreError};

/// Numbers of answers whose key is this one, or begins like it. To be asked in a snapshot: runs are merged and their pages deleted
/// meanwhile.
pub(crate) fn look_up(connection: &mut dyn Connection, key: u64) -> Result<Vec<i64>, StoreError> {
    let (mut found, mut indexed) = (Vec::new(), 0);
    for Registered { run, state, .. } in run::registered(connection)? {
        if state == State::Whole {
            indexed = indexed.max(run.last_answer);
            look_into(connection, &run, key, &mut found)?;
        }
    }
    for row in connection.rows(UNINDEXED, vec![indexed.into()])? {
        if key_of(&row.bytes(1)?)? == key {
            found.push(row.integer(0)?);
        }
    }
    Ok(found)
}

/// Halves the pages of a run, as their fences in memory would.
fn look_into(
    connection: &mut dyn Connection,
    run: &Run,
    key: u64,
    found: &mut Vec<i64>,
) -> Result<(), StoreError> {
    let (mut low, mut high) = (0, run.data_pages());
    while low < high {
        let middle = low + (high - low) / 2;
        if first_key(connection, run, middle)? < Some(key) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    // The page before the first one that begins with the key may end with it.
    for place in low.saturating_sub(1)..run.data_pages() {
        for body in run.read(connection, place..place + 1)? {
            for (other, number) in run::entries(&body) {
                if other > key {
                    return Ok(());
                }
                if other == key {
                    found.push(number);
                }
            }
        }
    }
    Ok(())
}

fn first_key(
    connection: &mut dyn Connection,
    run: &Run,
    place: usize,
) -> Result<Option<u64>, StoreError> {
    let bodies = run.read(connection, place..place + 1)?;
    let first = bodies.first().and_then(|body| run::entry(body, 0));
    Ok(first.map(|(key, _)| key))
}
