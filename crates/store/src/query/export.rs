//! The journal as a whole, oldest first, for those who write it out or look at one of its transactions.

use std::collections::HashMap;

use bursar_domain::account::AccountKey;
use bursar_domain::amount::Unit;
use bursar_domain::id::TransactionId;
use bursar_domain::journal::{Cause, PostingRow, Reason, Remark};
use bursar_domain::time::Time;

use super::Reader;
use crate::connection::{Cells, Parameters, StoreError};
use crate::record;

/// Postings read at a time: bounds memory whatever the size of the journal. More than one transaction can have.
const CHUNK: usize = 4_000;

/// So many names of accounts are remembered.
const NAMES_MAX: usize = 50_000;

/// A transaction as the journal has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its id.
    pub id: TransactionId,
    /// Why.
    pub reason: Reason,
    /// What caused it, if something did.
    pub cause: Option<Cause>,
    /// When.
    pub at: Time,
    /// What was said about it.
    pub remark: Remark,
    /// What it was for, in words for programs.
    pub tags: String,
    /// Its postings, in their order.
    pub postings: Vec<RecordedPosting>,
}

/// A posting of a recorded transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedPosting {
    /// As stored: numbers of accounts, and balances afterwards.
    pub row: PostingRow,
    /// Where it came from.
    pub from: AccountKey,
    /// Where it went.
    pub to: AccountKey,
}

/// How far the journal has been read, and the names of accounts met lately.
#[derive(Debug, Default)]
pub struct Progress {
    last_posting: i64,
    names: HashMap<i64, AccountKey>,
}

impl Reader {
    /// Answers from one moment, however many questions are asked and whatever is committed meanwhile.
    pub fn in_snapshot<T, E: From<StoreError>>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        self.connection.begin_reading()?;
        let answer = read(self);
        self.connection.rollback()?;
        answer
    }

    /// The next transactions of the journal, whole; none if there are no more. A few thousand postings at a time.
    pub fn journal(&mut self, progress: &mut Progress) -> Result<Vec<Recorded>, StoreError> {
        let condition = format!("p.number > $1 ORDER BY p.number LIMIT {CHUNK}");
        let after = vec![progress.last_posting.into()];
        let (mut all, rows) = self.recorded(&condition, &after, progress)?;
        // The last one may go on behind what was read.
        if rows == CHUNK {
            all.pop();
            if all.is_empty() {
                return Err(StoreError::corrupt(format!(
                    "a transaction with more than {CHUNK} postings"
                )));
            }
        }
        let last = all.last().and_then(|last| last.postings.last());
        progress.last_posting = last.map_or(progress.last_posting, |last| last.row.number);
        Ok(all)
    }

    /// One transaction.
    pub fn transaction(&mut self, id: TransactionId) -> Result<Option<Recorded>, StoreError> {
        let first = self.first_posting_from(id.number())?;
        let end = self.first_posting_from(id.number().saturating_add(1))?;
        let range = vec![first.into(), end.into()];
        let condition = "p.number >= $1 AND p.number < $2 ORDER BY p.number";
        let (all, _) = self.recorded(condition, &range, &mut Progress::default())?;
        Ok(all.into_iter().next())
    }

    /// The first posting of this transaction or a later one, or the number that the next posting will have. Transactions and
    /// postings are numbered in one order, so it is found by halving.
    pub(super) fn first_posting_from(&mut self, transaction: i64) -> Result<i64, StoreError> {
        let newest = "SELECT coalesce(max(number), 0) FROM posting";
        let newest = self.connection.rows(newest, vec![])?;
        let newest = newest.first().map_or(Ok(0), |row| row.integer(0))?;
        let (mut low, mut high) = (1, newest + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.posting_from(middle)? {
                Some((number, of)) if of < transaction => low = number + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// The first posting from this number on, and its transaction.
    fn posting_from(&mut self, number: i64) -> Result<Option<(i64, i64)>, StoreError> {
        let sql = "SELECT number, transaction_number FROM posting WHERE number >= $1 ORDER BY number LIMIT 1";
        let rows = self.connection.rows(sql, vec![number.into()])?;
        let row = rows.first();
        row.map(|row| Ok((row.integer(0)?, row.integer(1)?)))
            .transpose()
    }

    /// Transactions whose postings fulfil a condition, and how many postings these are.
    fn recorded(
        &mut self,
        condition: &str,
        parameters: &Parameters,
        progress: &mut Progress,
    ) -> Result<(Vec<Recorded>, usize), StoreError> {
        let sql = format!(
            "SELECT {}, t.reason, t.cause_kind, t.cause_id, t.at, t.note, t.reference, t.meta, t.tags FROM posting p \
             LEFT JOIN ledger_transaction t ON t.number = p.transaction_number WHERE {condition}",
            record::columns_of("p", record::POSTING)
        );
        let mut read: Vec<(Recorded, Vec<PostingRow>)> = Vec::new();
        let mut rows = 0;
        self.connection.visit(&sql, parameters, &mut |row| {
            rows += 1;
            let posting = record::read_posting(row)?;
            let id = TransactionId::of(row.integer(1)?);
            match read.last_mut() {
                Some((last, postings)) if last.id == id => postings.push(posting),
                _ => read.push((read_recorded(row, id)?, vec![posting])),
            }
            Ok(())
        })?;
        let mut all = Vec::with_capacity(read.len());
        for (mut recorded, postings) in read {
            for row in postings {
                recorded.postings.push(RecordedPosting {
                    from: self.name(row.from.account, progress)?,
                    to: self.name(row.to.account, progress)?,
                    row,
                });
            }
            all.push(recorded);
        }
        Ok((all, rows))
    }

    /// The name of an account by its number.
    fn name(&mut self, account: i64, progress: &mut Progress) -> Result<AccountKey, StoreError> {
        if let Some(key) = progress.names.get(&account) {
            return Ok(key.clone());
        }
        let sql = format!("SELECT {} FROM account WHERE number = $1", record::ACCOUNT);
        let rows = self.connection.rows(&sql, vec![account.into()])?;
        let row = rows
            .first()
            .ok_or_else(|| StoreError::corrupt(format!("account {account} is missing")))?;
        let key = record::read_account_key(row, 1)?;
        if progress.names.len() >= NAMES_MAX {
            progress.names.clear();
        }
        progress.names.insert(account, key.clone());
        Ok(key)
    }

    /// Names of accounts whose number is higher than `after`, in the order of their numbers; none if there are no more.
    pub fn account_names(&mut self, after: i64) -> Result<Vec<(i64, AccountKey)>, StoreError> {
        let sql = format!(
            "SELECT number, kind, owner, unit FROM account WHERE number > $1 ORDER BY number LIMIT {CHUNK}"
        );
        let rows = self.connection.rows(&sql, vec![after.into()])?;
        rows.iter()
            .map(|row| Ok((row.integer(0)?, record::read_account_key(row, 1)?)))
            .collect()
    }

    /// Every unit there is an account in.
    pub fn units(&mut self) -> Result<Vec<Unit>, StoreError> {
        // There are few accounts of the house, and no wallet has a unit in which the house has no account.
        let sql = "SELECT DISTINCT unit FROM account WHERE kind <> 'wallet' ORDER BY unit";
        let rows = self.connection.rows(sql, vec![])?;
        rows.iter().map(|row| row.parsed(0, Unit::parse)).collect()
    }
}

fn read_recorded(row: &dyn Cells, id: TransactionId) -> Result<Recorded, StoreError> {
    let text = |column: usize| -> Result<&str, StoreError> {
        row.optional_text(column)?
            .ok_or_else(|| StoreError::corrupt(format!("transaction {id} is missing")))
    };
    let cause = match (row.optional_text(11)?, row.optional_text(12)?) {
        (Some(kind), Some(id)) => Some(Cause::new(kind, id)),
        _ => None,
    };
    Ok(Recorded {
        id,
        reason: Reason::parse(text(10)?)
            .ok_or_else(|| StoreError::corrupt(format!("transaction {id} has no known reason")))?,
        cause,
        at: Time(row.integer(13)?),
        remark: Remark {
            note: text(14)?.to_owned(),
            reference: text(15)?.to_owned(),
            meta: text(16)?.to_owned(),
        },
        tags: text(17)?.to_owned(),
        postings: Vec::new(),
    })
}
