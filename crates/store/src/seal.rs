//! Seals: a hash over what was committed together and over the seal before it.
//!
//! Whoever keeps one seal elsewhere can tell later whether anything before it was changed. What is hashed is the rows as they are
//! stored: accounts that were opened, transactions, postings.

use sha2::{Digest as _, Sha256};

use crate::connection::{Connection, Parameters, Row, StoreError, Value};
use crate::record;

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
            text.push_str(&format!("{byte:02x}"));
        }
        text
    }
}

/// The next seal, under way.
pub(crate) struct Sealing {
    hasher: Sha256,
}

impl Sealing {
    /// Begins where `before` ended.
    pub(crate) fn after(before: &Seal) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(before.hash);
        Self { hasher }
    }

    /// Takes in a row. Each value is preceded by its type and, where that varies, its length, so that no two different rows look
    /// the same.
    pub(crate) fn row(&mut self, values: &[Value]) {
        self.hasher.update((values.len() as u64).to_le_bytes());
        for value in values {
            match value {
                Value::Null => self.hasher.update([0]),
                Value::Integer(number) => {
                    self.hasher.update([1]);
                    self.hasher.update(number.to_le_bytes());
                }
                Value::Text(text) => self.sized(2, text.as_bytes()),
                Value::Bytes(bytes) => self.sized(3, bytes),
            }
        }
    }

    fn sized(&mut self, kind: u8, bytes: &[u8]) {
        self.hasher.update([kind]);
        self.hasher.update((bytes.len() as u64).to_le_bytes());
        self.hasher.update(bytes);
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        self.hasher.finalize().into()
    }
}

/// The part of an account's row that never changes.
pub(crate) const OPENED: &str = "number, kind, owner, unit, opened_at";

pub(crate) fn read(row: &Row) -> Result<Seal, StoreError> {
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
    let sql = "SELECT number, account_number, transaction_number, hash, rows_to FROM seal ORDER BY number DESC LIMIT 1";
    match connection.rows(sql, vec![])?.first() {
        Some(row) => Ok((read(row)?, row.integer(4)?)),
        None => Ok((Seal::default(), 0)),
    }
}

/// What is wrong with the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainReport {
    /// The newest seal.
    pub newest: Seal,
    /// How many seals were recomputed.
    pub seals: i64,
    /// What is wrong, in order; empty if the chain is whole.
    pub broken: Vec<String>,
}

/// Recomputes every seal from the first one. `expected` are seals that were kept elsewhere.
pub(crate) fn verify(
    connection: &mut dyn Connection,
    expected: &[(i64, String)],
) -> Result<ChainReport, StoreError> {
    let mut reader = RowReader::new();
    let mut report = ChainReport {
        newest: Seal::default(),
        seals: 0,
        broken: vec![],
    };
    let sql = "SELECT number, account_number, transaction_number, hash FROM seal WHERE number > $1 ORDER BY number LIMIT 1000";
    loop {
        let rows = connection.rows(sql, vec![report.newest.number.into()])?;
        if rows.is_empty() {
            break;
        }
        for row in &rows {
            let seal = read(row)?;
            if seal.number != report.newest.number + 1 {
                let missing = report.newest.number + 1;
                report.broken.push(format!("seal {missing} is missing"));
            }
            let mut sealing = Sealing::after(&report.newest);
            reader.feed(connection, &mut sealing, &seal)?;
            if sealing.finish() != seal.hash {
                let (from, to) = (report.newest.transaction + 1, seal.transaction);
                report.broken.push(format!(
                    "seal {} does not fit transactions {from} to {to}, their accounts, or the seal before it",
                    seal.number
                ));
            }
            for (_, hash) in expected.iter().filter(|(number, _)| *number == seal.number) {
                if *hash != seal.written() {
                    report.broken.push(format!(
                        "seal {} is {}, and was published as {hash}",
                        seal.number,
                        seal.written()
                    ));
                }
            }
            report.newest = seal;
            report.seals += 1;
        }
    }
    for (number, _) in expected
        .iter()
        .filter(|(number, _)| *number > report.newest.number)
    {
        report.broken.push(format!(
            "seal {number} was published, and the newest one is {}",
            report.newest.number
        ));
    }
    reader.expect_end(connection, &report.newest, &mut report.broken)?;
    Ok(report)
}

/// Reads accounts, transactions and postings in step.
struct RowReader {
    accounts: Ahead,
    transactions: Ahead,
    postings: Ahead,
}

impl RowReader {
    fn new() -> Self {
        let of = |columns: &str, table: &str| {
            Ahead::new(format!(
                "SELECT {columns} FROM {table} WHERE number > $1 ORDER BY number LIMIT 5000"
            ))
        };
        Self {
            accounts: of(OPENED, "account"),
            transactions: of(record::TRANSACTION, "ledger_transaction"),
            postings: of(record::POSTING, "posting"),
        }
    }

    fn feed(
        &mut self,
        connection: &mut dyn Connection,
        sealing: &mut Sealing,
        seal: &Seal,
    ) -> Result<(), StoreError> {
        while let Some(row) = self.accounts.next_if(connection, 0, seal.account)? {
            sealing.row(&row);
        }
        while let Some(row) = self.transactions.next_if(connection, 0, seal.transaction)? {
            let Some(Value::Integer(number)) = row.first().cloned() else {
                return Err(StoreError::corrupt("a transaction without a number"));
            };
            sealing.row(&row);
            while let Some(row) = self.postings.next_if(connection, 1, number)? {
                sealing.row(&row);
            }
        }
        Ok(())
    }

    fn expect_end(
        &mut self,
        connection: &mut dyn Connection,
        newest: &Seal,
        broken: &mut Vec<String>,
    ) -> Result<(), StoreError> {
        let rest = [
            ("accounts", &mut self.accounts),
            ("transactions", &mut self.transactions),
            ("postings", &mut self.postings),
        ];
        for (what, rows) in rest {
            if rows.next_if(connection, 0, i64::MAX)?.is_some() {
                broken.push(format!("there are {what} behind seal {}", newest.number));
            }
        }
        Ok(())
    }
}

/// A table read in the order of its numbers, a few thousand rows at a time.
struct Ahead {
    sql: String,
    rows: std::vec::IntoIter<Row>,
    waiting: Option<Row>,
    last: i64,
}

impl Ahead {
    fn new(sql: String) -> Self {
        Self {
            sql,
            rows: Vec::new().into_iter(),
            waiting: None,
            last: 0,
        }
    }

    /// The next row, if the number in `column` is at most `most`.
    fn next_if(
        &mut self,
        connection: &mut dyn Connection,
        column: usize,
        most: i64,
    ) -> Result<Option<Parameters>, StoreError> {
        if self.waiting.is_none() {
            self.waiting = match self.rows.next() {
                Some(row) => Some(row),
                None => {
                    self.rows = connection
                        .rows(&self.sql, vec![self.last.into()])?
                        .into_iter();
                    self.rows.next()
                }
            };
            if let Some(row) = &self.waiting {
                self.last = row.integer(0)?;
            }
        }
        match self.waiting.take() {
            Some(row) if row.integer(column)? <= most => Ok(Some(row.0)),
            row => {
                self.waiting = row;
                Ok(None)
            }
        }
    }
}
