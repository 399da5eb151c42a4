//! The postings of a wallet, read back along its chain.

use bursar_domain::account::AccountKey;
use bursar_domain::journal::{Link, PostingRow, Reason};

use super::Reader;
use crate::connection::{Row, StoreError};
use crate::record;

/// So many postings are read at first, and twice as many each time, up to the most. A server far away is asked a few times for a
/// statement, and not once for each posting.
const FIRST: i64 = 32;
const MOST: i64 = 1_024;

/// Where the entries of a wallet are found: they are a chain that begins at its newest posting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Whose wallet, and in which unit.
    pub wallet: AccountKey,
    /// The number of its account.
    pub account: i64,
    /// The newest posting, as the writer knows it; the stored row may be older.
    pub head: i64,
}

/// A posting, from the side of one account.
pub(super) struct Step {
    pub(super) posting: PostingRow,
    pub(super) transaction: i64,
    pub(super) reason: Reason,
    pub(super) link: Link,
    /// The account on the other side.
    pub(super) other: i64,
    pub(super) came: bool,
    /// What its transaction says: see [`select`].
    pub(super) row: Row,
}

/// Postings, with reason, note, reference, meta, tags and time of their transactions behind them.
pub(super) fn select() -> String {
    format!(
        "SELECT {}, t.reason, t.note, t.reference, t.meta, t.tags, t.at \
         FROM posting p JOIN ledger_transaction t ON t.number = p.transaction_number",
        record::columns_of("p", record::POSTING)
    )
}

/// The posting `$2` of account `$1` and those before it, `$3` at most.
fn back() -> String {
    let link = "CASE WHEN p.from_account = $1 THEN p.from_previous ELSE p.to_previous END";
    format!(
        "WITH RECURSIVE chain AS (\
         SELECT p.number AS number, {link} AS previous, 1 AS place FROM posting p \
         WHERE p.number = $2 AND (p.from_account = $1 OR p.to_account = $1) \
         UNION ALL SELECT p.number, {link}, c.place + 1 FROM chain c JOIN posting p ON p.number = c.previous \
         WHERE c.place < $3) {} JOIN chain c ON c.number = p.number ORDER BY c.place",
        select()
    )
}

impl Step {
    /// A row of [`select`], from the side of this account; none if it is not one of its.
    pub(super) fn of(row: Row, account: i64) -> Result<Option<Self>, StoreError> {
        let posting = record::read_posting(&row)?;
        let (own, other, came) = if posting.from.account == account {
            (posting.from, posting.to, false)
        } else {
            (posting.to, posting.from, true)
        };
        let Some(link) = own.chain.filter(|_| own.account == account) else {
            return Ok(None);
        };
        Ok(Some(Self {
            transaction: row.integer(1)?,
            reason: row.parsed(10, Reason::parse)?,
            other: other.account,
            posting,
            link,
            came,
            row,
        }))
    }
}

/// A walk along a chain, from the newer to the older.
pub(super) struct Walk<'a> {
    chain: &'a Chain,
    next: i64,
    size: i64,
    read: std::vec::IntoIter<Row>,
}

impl<'a> Walk<'a> {
    /// Begins with the posting of this number.
    pub(super) fn from(chain: &'a Chain, next: i64) -> Self {
        Self {
            chain,
            next,
            size: FIRST,
            read: vec![].into_iter(),
        }
    }

    /// The number of the posting that comes next; 0 at the end.
    pub(super) const fn next(&self) -> i64 {
        self.next
    }

    /// Whether the chain has the posting that comes next.
    pub(super) fn is_on_it(&mut self, reader: &mut Reader) -> Result<bool, StoreError> {
        if self.next != 0 && self.read.as_slice().is_empty() {
            let range = [self.chain.account, self.next, self.size];
            let range = range.map(Into::into).to_vec();
            self.read = reader.connection.rows(&back(), range)?.into_iter();
            self.size = MOST.min(self.size * 2);
        }
        Ok(!self.read.as_slice().is_empty())
    }

    /// The next posting; none at the end.
    pub(super) fn step(&mut self, reader: &mut Reader) -> Result<Option<Step>, StoreError> {
        if self.next == 0 {
            return Ok(None);
        }
        self.is_on_it(reader)?;
        let row = self.read.next();
        let step = row.map(|row| Step::of(row, self.chain.account));
        // A chain leads back, or it would never end.
        let step = step
            .transpose()?
            .flatten()
            .filter(|step| (0..self.next).contains(&step.link.previous));
        let step = step.ok_or_else(|| {
            StoreError::corrupt(format!(
                "posting {} does not continue its wallet's chain",
                self.next
            ))
        })?;
        self.next = step.link.previous;
        Ok(Some(step))
    }
}
