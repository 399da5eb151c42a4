//! Statements: what moved in a wallet, a line for each transaction.

use bursar_domain::account::{AccountKey, AccountKind};
use bursar_domain::grant::Part;
use bursar_domain::id::TransactionId;
use bursar_domain::journal::{Link, PostingRow, Reason, Remark};
use bursar_domain::time::Time;

use super::{Conditions, Page, PageRequest, Reader, cut, number_cursor};
use crate::connection::{Row, StoreError};
use crate::record;

/// A line of a statement: what one transaction moved in one wallet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Number of its first posting.
    pub number: i64,
    /// The transaction.
    pub transaction: TransactionId,
    /// Whose wallet, and in which unit.
    pub wallet: AccountKey,
    /// Why.
    pub reason: Reason,
    /// What came in, in smallest steps; negative when it went out.
    pub change: i64,
    /// Of which grants, in the order of the postings. What is missing to `change` made a debt, or paid one back.
    pub parts: Vec<Part>,
    /// The balance afterwards.
    pub balance: i64,
    /// What was said about it.
    pub remark: Remark,
    /// What it was for, in words for programs.
    pub tags: String,
    /// When.
    pub at: Time,
}

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

/// Narrows a list of entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntryFilter {
    /// Only those of this wallet.
    pub chain: Option<Chain>,
    /// Only those with this reason.
    pub reason: Option<Reason>,
}

/// One side of a posting, with what its transaction says.
struct Movement {
    entry: Entry,
    link: Link,
}

impl Reader {
    /// Entries of one wallet or of all, the newest first.
    pub fn entries(
        &mut self,
        filter: &EntryFilter,
        request: &PageRequest,
    ) -> Result<Page<Entry>, StoreError> {
        let Some(chain) = &filter.chain else {
            return self.entries_of_all(filter, request);
        };
        let cursor = number_cursor(request)?;
        let mut next = cursor.unwrap_or(chain.head);
        let mut items: Vec<Entry> = Vec::new();
        let mut newest_of_last = next;
        while next != 0 && items.len() <= request.limit {
            let movement = match self.movement(chain, next)? {
                None if cursor == Some(next) => return Err(StoreError::BadCursor),
                movement => in_chain(movement, next)?,
            };
            let is_wanted = |reason| filter.reason.is_none_or(|wanted| wanted == reason);
            if is_wanted(movement.entry.reason) && gather(&mut items, movement.entry) {
                newest_of_last = next;
            }
            next = movement.link.previous;
        }
        // One more than wanted has begun: the next page begins with the newest posting of that transaction.
        let more = items.len() > request.limit;
        items.truncate(request.limit);
        Ok(Page {
            items,
            next: more.then(|| newest_of_last.to_string()),
        })
    }

    fn movement(&mut self, chain: &Chain, number: i64) -> Result<Option<Movement>, StoreError> {
        let sql = format!("{} WHERE p.number = $1", select());
        let rows = self.connection.rows(&sql, vec![number.into()])?;
        match rows.first() {
            Some(row) => movement(row, chain.account, &chain.wallet),
            None => Ok(None),
        }
    }

    /// The balance of a wallet at a past moment, and when it last changed before; none if nothing had touched it.
    pub fn balance_at(
        &mut self,
        chain: &Chain,
        at: Time,
    ) -> Result<Option<(i64, Time)>, StoreError> {
        let mut next = chain.head;
        while next != 0 {
            let movement = in_chain(self.movement(chain, next)?, next)?;
            if movement.entry.at <= at {
                return Ok(Some((movement.link.balance, movement.entry.at)));
            }
            next = movement.link.previous;
        }
        Ok(None)
    }

    fn entries_of_all(
        &mut self,
        filter: &EntryFilter,
        request: &PageRequest,
    ) -> Result<Page<Entry>, StoreError> {
        let mut items: Vec<Entry> = Vec::new();
        let mut before = number_cursor(request)?;
        let rows_max = (request.limit + 1) * 2;
        loop {
            let mut conditions = Conditions::default();
            conditions.equal("t.reason", filter.reason.map(Reason::as_str));
            conditions.compare("p.number", "<", before);
            let sql = format!(
                "{} {} ORDER BY p.number DESC LIMIT {rows_max}",
                select(),
                conditions.written()
            );
            let rows = self.connection.rows(&sql, conditions.parameters)?;
            for row in &rows {
                before = Some(row.integer(0)?);
                for (account, key) in self.sides(row)? {
                    if let Some(movement) = movement(row, account, &key)? {
                        gather(&mut items, movement.entry);
                    }
                }
            }
            // When one more than wanted has begun, the last one wanted is whole.
            if rows.len() < rows_max || items.len() > request.limit {
                return Ok(cut(items, request.limit, |entry| entry.number.to_string()));
            }
        }
    }

    /// The sides of a posting that are wallets.
    fn sides(&mut self, row: &Row) -> Result<Vec<(i64, AccountKey)>, StoreError> {
        let posting = record::read_posting(row)?;
        let sql = format!("SELECT {} FROM account WHERE number = $1", record::ACCOUNT);
        let mut wallets = Vec::new();
        for side in [posting.from, posting.to] {
            if side.chain.is_none() {
                continue;
            }
            if let Some(row) = self
                .connection
                .rows(&sql, vec![side.account.into()])?
                .first()
            {
                let key = record::read_account_key(row, 1)?;
                if key.kind == AccountKind::Wallet {
                    wallets.push((side.account, key));
                }
            }
        }
        Ok(wallets)
    }
}

fn select() -> String {
    format!(
        "SELECT {}, t.reason, t.note, t.reference, t.meta, t.tags, t.at \
         FROM posting p JOIN ledger_transaction t ON t.number = p.transaction_number",
        record::columns_of("p", record::POSTING)
    )
}

/// The movement of posting `number`, which a chain has led to. A chain leads back, or it would never end.
fn in_chain(movement: Option<Movement>, number: i64) -> Result<Movement, StoreError> {
    movement
        .filter(|movement| (0..number).contains(&movement.link.previous))
        .ok_or_else(|| {
            StoreError::corrupt(format!(
                "posting {number} does not continue its wallet's chain"
            ))
        })
}

/// What a posting moves in `account`; none if it is not one of its.
fn movement(row: &Row, account: i64, wallet: &AccountKey) -> Result<Option<Movement>, StoreError> {
    let posting: PostingRow = record::read_posting(row)?;
    let (side, sign) = match account {
        _ if posting.from.account == account => (posting.from, -1),
        _ if posting.to.account == account => (posting.to, 1),
        _ => return Ok(None),
    };
    let Some(link) = side.chain else {
        return Ok(None);
    };
    let part = posting.grant.map(|grant| Part {
        grant,
        amount: posting.amount,
    });
    let entry = Entry {
        number: posting.number,
        transaction: TransactionId::of(row.integer(1)?),
        wallet: wallet.clone(),
        reason: row.parsed(10, Reason::parse)?,
        change: sign * posting.amount,
        parts: part.into_iter().collect(),
        balance: link.balance,
        remark: record::read_remark(row, 11)?,
        tags: row.text(14)?.to_owned(),
        at: row.time(15)?,
    };
    Ok(Some(Movement { entry, link }))
}

/// Adds an older posting to the entry of its transaction, which the newer ones have begun, or begins a new entry; whether it has
/// begun one. No transaction moves value in two wallets, so what belongs together comes together.
fn gather(items: &mut Vec<Entry>, older: Entry) -> bool {
    match items.last_mut() {
        Some(last) if last.transaction == older.transaction && last.wallet == older.wallet => {
            last.number = older.number;
            last.change += older.change;
            last.parts.splice(0..0, older.parts);
            false
        }
        _ => {
            items.push(older);
            true
        }
    }
}
