//! Statements: what moved in a wallet, a line for each transaction.

use std::collections::{BTreeMap, BTreeSet};

use bursar_domain::account::AccountKey;
use bursar_domain::grant::Part;
use bursar_domain::id::TransactionId;
use bursar_domain::journal::{Reason, Remark};
use bursar_domain::time::Time;

use super::chain::{Chain, Step, Walk, select};
use super::{Conditions, Page, PageRequest, Reader, cut, number_cursor};
use crate::connection::{Parameters, Row, StoreError};
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

/// Narrows a list of entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntryFilter {
    /// Only those of this wallet.
    pub chain: Option<Chain>,
    /// Only those with this reason.
    pub reason: Option<Reason>,
}

impl Entry {
    /// What one posting moves.
    fn of(step: &Step, wallet: &AccountKey) -> Result<Self, StoreError> {
        let posting = &step.posting;
        let part = posting.grant.map(|grant| Part {
            grant,
            amount: posting.amount,
        });
        Ok(Self {
            number: posting.number,
            transaction: TransactionId::of(step.transaction),
            wallet: wallet.clone(),
            reason: step.reason,
            change: if step.came {
                posting.amount
            } else {
                -posting.amount
            },
            parts: part.into_iter().collect(),
            balance: step.link.balance,
            remark: record::read_remark(&step.row, 11)?,
            tags: step.row.text(14)?.to_owned(),
            at: step.row.time(15)?,
        })
    }
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
        let mut walk = Walk::from(chain, cursor.unwrap_or(chain.head));
        if cursor.is_some_and(|cursor| cursor != 0) && !walk.is_on_it(self)? {
            return Err(StoreError::BadCursor);
        }
        let mut items: Vec<Entry> = Vec::new();
        let mut newest_of_last = walk.next();
        while items.len() <= request.limit {
            let number = walk.next();
            let Some(step) = walk.step(self)? else { break };
            let is_wanted = filter.reason.is_none_or(|wanted| wanted == step.reason);
            if is_wanted && gather(&mut items, Entry::of(&step, &chain.wallet)?) {
                newest_of_last = number;
            }
        }
        // One more than wanted has begun: the next page begins with the newest posting of that transaction.
        let more = items.len() > request.limit;
        items.truncate(request.limit);
        Ok(Page {
            items,
            next: more.then(|| newest_of_last.to_string()),
        })
    }

    /// The balance of a wallet at a past moment, and when it last changed before; none if nothing had touched it.
    pub fn balance_at(
        &mut self,
        chain: &Chain,
        at: Time,
    ) -> Result<Option<(i64, Time)>, StoreError> {
        let mut walk = Walk::from(chain, chain.head);
        while let Some(step) = walk.step(self)? {
            let then = step.row.time(15)?;
            if then <= at {
                return Ok(Some((step.link.balance, then)));
            }
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
            let is_last = rows.len() < rows_max;
            let wallets = self.wallets_in(&rows)?;
            for row in rows {
                before = Some(row.integer(0)?);
                for account in [row.integer(3)?, row.integer(6)?] {
                    let Some(key) = wallets.get(&account) else {
                        continue;
                    };
                    if let Some(step) = Step::of(row.clone(), account)? {
                        gather(&mut items, Entry::of(&step, key)?);
                    }
                }
            }
            // When one more than wanted has begun, the last one wanted is whole.
            if is_last || items.len() > request.limit {
                return Ok(cut(items, request.limit, |entry| entry.number.to_string()));
            }
        }
    }

    /// The wallets that these postings move value in, by the numbers of their accounts.
    fn wallets_in(&mut self, rows: &[Row]) -> Result<BTreeMap<i64, AccountKey>, StoreError> {
        let mut accounts = BTreeSet::new();
        for row in rows {
            accounts.extend([row.integer(3)?, row.integer(6)?]);
        }
        let accounts: Vec<Parameters> = accounts.into_iter().map(|it| vec![it.into()]).collect();
        let sql = format!(
            "SELECT {} FROM account WHERE number = $1 AND kind = 'wallet'",
            record::ACCOUNT
        );
        let answers = self.connection.query(&sql, &accounts)?;
        let wallets = answers.iter().flatten();
        wallets
            .map(|row| Ok((row.integer(0)?, record::read_account_key(row, 1)?)))
            .collect()
    }
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
