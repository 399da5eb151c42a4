//! The chain of seals, recomputed from the rows they cover.

use super::{OPENED, Seal, Sealing, begin_row, newest_of_all, read, write_cell};
use crate::connection::{Connection, Dialect, StoreError};
use crate::{node, record};

/// Rows of one table read at a time.
const CHUNK: usize = 10_000;

/// What is wrong with the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainReport {
    /// The newest seal.
    pub newest: Seal,
    /// The newest one of each chain. Where several nodes write there is one for each that has written.
    pub checkpoints: Vec<Seal>,
    /// How many seals were recomputed.
    pub seals: i64,
    /// What is wrong, in order; empty if the chain is whole.
    pub broken: Vec<String>,
}

/// Recomputes every seal from the first one. `expected` are seals that were kept elsewhere. Nodes have a chain each.
pub(crate) fn verify(
    connection: &mut dyn Connection,
    expected: &[(i64, String)],
) -> Result<ChainReport, StoreError> {
    let mut chains = Chains {
        unseen: expected.iter().collect(),
        found: Findings::default(),
        newest: Seal::default(),
        checkpoints: Vec::new(),
        seals: 0,
    };
    match connection.dialect() {
        Dialect::Sqlite => chains.verify(connection, 0, RowReader::new(""))?,
        Dialect::Postgres => {
            let history = node::history(connection)?;
            // Each slot means reading the journal once, so those that have sealed nothing are read together: there must be no row.
            let newest = newest_of_all(connection)?;
            let mut slots: Vec<i64> = newest
                .iter()
                .map(|seal| node::slot_of_seal(seal.number))
                .collect();
            if slots.first() != Some(&0) {
                slots.insert(0, 0);
            }
            for slot in &slots {
                let condition = node::written_by(*slot, history);
                chains.verify(connection, *slot, RowReader::new(&condition))?;
            }
            let condition = node::written_by_none_of(&slots, history);
            let mut rest = RowReader::new(&condition);
            rest.expect_end(connection, &Seal::default(), &mut chains.found)?;
        }
    }
    for (number, _) in chains.unseen {
        chains.found.say(format!(
            "seal {number} was published and is not there; the newest one is {}",
            chains.newest.number
        ));
    }
    Ok(ChainReport {
        newest: chains.newest,
        checkpoints: chains.checkpoints,
        seals: chains.seals,
        broken: chains.found.all(),
    })
}

/// Chains under way.
struct Chains<'a> {
    unseen: Vec<&'a (i64, String)>,
    found: Findings,
    newest: Seal,
    checkpoints: Vec<Seal>,
    seals: i64,
}

impl Chains<'_> {
    fn verify(
        &mut self,
        connection: &mut dyn Connection,
        slot: i64,
        mut reader: RowReader,
    ) -> Result<(), StoreError> {
        let mut newest = Seal {
            number: node::first_seal(slot),
            ..Seal::default()
        };
        let end = node::first_seal(slot + 1);
        let sql = "SELECT number, account_number, transaction_number, hash FROM seal WHERE number > $1 AND number < $2 \
                   ORDER BY number LIMIT 1000";
        loop {
            let rows = connection.rows(sql, vec![newest.number.into(), end.into()])?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                let seal = read(row)?;
                // Each is recomputed from the one before it as it is stored, so that one change breaks one seal.
                let mut sealing = Sealing::after(&newest);
                reader.feed(connection, &mut sealing, &seal)?;
                self.compare(&newest, &seal, sealing.finish() == seal.hash);
                newest = seal;
                self.seals += 1;
            }
        }
        if newest.number > node::first_seal(slot) {
            self.newest = newest;
            self.checkpoints.push(newest);
        }
        reader.expect_end(connection, &newest, &mut self.found)
    }

    fn compare(&mut self, before: &Seal, seal: &Seal, fits: bool) {
        if seal.number != before.number + 1 {
            self.found
                .say(format!("seal {} is missing", before.number + 1));
        }
        if !fits {
            self.found.misfit(before, seal);
        }
        let published = self
            .unseen
            .extract_if(.., |(number, _)| *number == seal.number);
        for (_, published) in published {
            let written = seal.written();
            if *published != written {
                self.found.say(format!(
                    "seal {} is {written}, and was published as {published}",
                    seal.number
                ));
            }
        }
    }
}

/// Seals one after the other that do not fit what they cover.
struct Misfits {
    seals: (i64, i64),
    transactions: (i64, i64),
}

/// What is wrong, with misfits that follow each other in one sentence: a posting that is not where it belongs can spoil all
/// seals that come after it.
#[derive(Default)]
struct Findings {
    broken: Vec<String>,
    misfits: Option<Misfits>,
}

impl Findings {
    fn misfit(&mut self, before: &Seal, seal: &Seal) {
        if let Some(misfits) = &mut self.misfits
            && misfits.seals.1 == before.number
        {
            misfits.seals.1 = seal.number;
            misfits.transactions.1 = seal.transaction;
            return;
        }
        self.close();
        self.misfits = Some(Misfits {
            seals: (seal.number, seal.number),
            transactions: (before.transaction + 1, seal.transaction),
        });
    }

    fn say(&mut self, what: String) {
        self.close();
        self.broken.push(what);
    }

    fn close(&mut self) {
        let Some(Misfits {
            seals: (first, last),
            transactions: (from, to),
        }) = self.misfits.take()
        else {
            return;
        };
        let rows = match from {
            _ if from > to => "the accounts opened with it".to_owned(),
            _ if from == to => format!("transaction {from}, its accounts"),
            _ => format!("transactions {from} to {to}, their accounts"),
        };
        self.broken.push(if first == last {
            format!("seal {first} does not fit {rows}, or the seal before it")
        } else {
            format!("seals {first} to {last} do not fit {rows}, or the seals before them")
        });
    }

    fn all(mut self) -> Vec<String> {
        self.close();
        self.broken
    }
}

/// Reads accounts, transactions and postings in step.
struct RowReader {
    accounts: Ahead,
    transactions: Ahead,
    postings: Ahead,
}

impl RowReader {
    /// Reads the rows that fulfil a condition; all if it is empty.
    fn new(condition: &str) -> Self {
        Self {
            accounts: Ahead::new(OPENED, "account", condition, 0),
            transactions: Ahead::new(record::TRANSACTION, "ledger_transaction", condition, 0),
            postings: Ahead::new(record::POSTING, "posting", condition, 1),
        }
    }

    fn feed(
        &mut self,
        connection: &mut dyn Connection,
        sealing: &mut Sealing,
        seal: &Seal,
    ) -> Result<(), StoreError> {
        while let Some((_, row)) = self.accounts.next_if(connection, seal.account)? {
            sealing.written_row(row);
        }
        while let Some((number, row)) = self.transactions.next_if(connection, seal.transaction)? {
            sealing.written_row(row);
            while let Some((_, row)) = self.postings.next_if(connection, number)? {
                sealing.written_row(row);
            }
        }
        // Postings of a transaction that is gone must not be held against the next seal.
        while let Some((_, row)) = self.postings.next_if(connection, seal.transaction)? {
            sealing.written_row(row);
        }
        Ok(())
    }

    fn expect_end(
        &mut self,
        connection: &mut dyn Connection,
        newest: &Seal,
        found: &mut Findings,
    ) -> Result<(), StoreError> {
        let rest = [
            ("account", &mut self.accounts),
            ("transaction", &mut self.transactions),
            ("posting", &mut self.postings),
        ];
        for (what, rows) in rest {
            if rows.next_if(connection, i64::MAX)?.is_some() {
                found.say(format!(
                    "no seal covers {what} {} and what comes after it; the newest seal is {}",
                    rows.given, newest.number
                ));
            }
        }
        Ok(())
    }
}

/// A row in [`Ahead::bytes`].
struct Place {
    number: i64,
    /// Its own number, or that of its transaction.
    belongs_to: i64,
    end: usize,
}

/// A table read in the order of its numbers, some thousand rows at a time, each written as it is hashed.
struct Ahead {
    sql: String,
    /// The column that says what a row belongs to.
    belongs: usize,
    bytes: Vec<u8>,
    places: Vec<Place>,
    next: usize,
    /// The number of the row given out last.
    given: i64,
    /// Whether all rows have been read.
    ended: bool,
}

impl Ahead {
    fn new(columns: &str, table: &str, condition: &str, belongs: usize) -> Self {
        Self {
            sql: format!(
                "SELECT {columns} FROM {table} WHERE number > $1 {condition} ORDER BY number LIMIT {CHUNK}"
            ),
            belongs,
            bytes: Vec::new(),
            places: Vec::new(),
            next: 0,
            given: i64::MIN,
            ended: false,
        }
    }

    /// The next row and what it belongs to, if that is at most `most`.
    fn next_if(
        &mut self,
        connection: &mut dyn Connection,
        most: i64,
    ) -> Result<Option<(i64, &[u8])>, StoreError> {
        if self.next == self.places.len() && !self.ended {
            self.read_on(connection)?;
        }
        let Some(place) = self.places.get(self.next) else {
            return Ok(None);
        };
        if place.belongs_to > most {
            return Ok(None);
        }
        let before = self.next.checked_sub(1);
        let start = before.map_or(0, |before| self.places[before].end);
        self.next += 1;
        self.given = place.number;
        Ok(Some((place.belongs_to, &self.bytes[start..place.end])))
    }

    fn read_on(&mut self, connection: &mut dyn Connection) -> Result<(), StoreError> {
        self.bytes.clear();
        self.places.clear();
        self.next = 0;
        let after = vec![self.given.into()];
        connection.visit(&self.sql, &after, &mut |row| {
            begin_row(&mut self.bytes, row.columns());
            for column in 0..row.columns() {
                write_cell(&mut self.bytes, row.cell(column)?);
            }
            self.places.push(Place {
                number: row.integer(0)?,
                belongs_to: row.integer(self.belongs)?,
                end: self.bytes.len(),
            });
            Ok(())
        })?;
        self.ended = self.places.len() < CHUNK;
        Ok(())
    }
}
