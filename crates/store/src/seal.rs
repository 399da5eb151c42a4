//! Seals: a hash over what was committed together and over the seal before it.
//!
//! Whoever keeps one seal elsewhere can tell later whether anything before it was changed. What is hashed is the rows as they are
//! stored: accounts that were opened, transactions, postings.

mod chain;

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::connection::{Cell, Connection, Parameters, Row, StoreError, Value};
use crate::node;

pub use chain::ChainReport;
pub(crate) use chain::verify;

/// A seal: a checkpoint that can be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seal {
    /// Its number; 0 before the first one.
    pub number: i64,
    /// The newest account it covers.
    pub account: i64,
    /// The newest transaction it covers.
    pub transaction: i64,
    /// SHA-256 over the seal before it and the rows since.
    pub hash: [u8; 32],
}

impl Seal {
    /// `7:5c0f…`: the number and the hash.
    pub fn written(&self) -> String {
        let mut text = format!("{}:", self.number);
        for byte in self.hash {
            // Writing to a text does not fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

/// The next seal, under way.
pub(crate) struct Sealing {
    hasher: Sha256,
    /// Used again for each row.
    bytes: Vec<u8>,
}

impl Sealing {
    /// Begins where `before` ended.
    pub(crate) fn after(before: &Seal) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(before.hash);
        Self {
            hasher,
            bytes: Vec::new(),
        }
    }

    /// Takes in a row.
    pub(crate) fn row(&mut self, values: &[Value]) {
        self.bytes.clear();
        begin_row(&mut self.bytes, values.len());
        for value in values {
            write_cell(&mut self.bytes, value.cell());
        }
        self.hasher.update(&self.bytes);
    }

    /// Takes in a row that was written by [`begin_row`] and [`write_cell`].
    fn written_row(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        self.hasher.finalize().into()
    }
}

/// Begins a row with the number of its columns. Each value is preceded by its type and, where that varies, its length, so that no
/// two different rows are written alike.
fn begin_row(bytes: &mut Vec<u8>, columns: usize) {
    bytes.extend((columns as u64).to_le_bytes());
}

fn write_cell(bytes: &mut Vec<u8>, cell: Cell<'_>) {
    match cell {
        Cell::Null => bytes.push(0),
        Cell::Integer(number) => {
            bytes.push(1);
            bytes.extend(number.to_le_bytes());
        }
        Cell::Text(text) => write_sized(bytes, 2, text.as_bytes()),
        Cell::Bytes(value) => write_sized(bytes, 3, value),
    }
}

fn write_sized(bytes: &mut Vec<u8>, kind: u8, value: &[u8]) {
    bytes.push(kind);
    bytes.extend((value.len() as u64).to_le_bytes());
    bytes.extend(value);
}

/// The part of an account's row that never changes.
pub(crate) const OPENED: &str = "number, kind, owner, unit, opened_at";

fn read(row: &Row) -> Result<Seal, StoreError> {
    let hash = row.bytes(3)?;
    Ok(Seal {
        number: row.integer(0)?,
        account: row.integer(1)?,
        transaction: row.integer(2)?,
        hash: hash
            .as_ref()
            .try_into()
            .map_err(|_| StoreError::corrupt("a seal whose hash has not 32 bytes"))?,
    })
}

/// The newest seal, and up to which posting the rows of wallets miss nothing.
pub(crate) fn newest(connection: &mut dyn Connection) -> Result<(Seal, i64), StoreError> {
    newest_below(connection, i64::MAX)
}

/// The newest seal in the chain of a slot.
pub(crate) fn newest_of_slot(
    connection: &mut dyn Connection,
    slot: i64,
) -> Result<Seal, StoreError> {
    let first = node::first_seal(slot);
    let (newest, _) = newest_below(connection, node::first_seal(slot + 1))?;
    if newest.number > first {
        return Ok(newest);
    }
    Ok(Seal {
        number: first,
        ..Seal::default()
    })
}

/// The newest seal of each chain, in the order of slots: nodes have one each. None if nothing has been sealed.
pub(crate) fn newest_of_all(connection: &mut dyn Connection) -> Result<Vec<Seal>, StoreError> {
    let sql = "SELECT number, account_number, transaction_number, hash FROM seal WHERE number > $1 AND number < $2 \
               ORDER BY number DESC LIMIT 1";
    let ranges: Vec<Parameters> = (0..node::SLOTS)
        .map(|slot| {
            let (first, end) = (node::first_seal(slot), node::first_seal(slot + 1));
            vec![first.into(), end.into()]
        })
        .collect();
    let found = connection.query(sql, &ranges)?;
    found.iter().flatten().map(read).collect()
}

fn newest_below(connection: &mut dyn Connection, number: i64) -> Result<(Seal, i64), StoreError> {
    let sql = "SELECT number, account_number, transaction_number, hash, rows_to FROM seal WHERE number < $1 \
               ORDER BY number DESC LIMIT 1";
    match connection.rows(sql, vec![number.into()])?.first() {
        Some(row) => Ok((read(row)?, row.integer(4)?)),
        None => Ok((Seal::default(), 0)),
    }
}
