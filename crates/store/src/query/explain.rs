//! Why a wallet has what it has: its movements summed up, where its grants came from, and what a request was answered.

use std::collections::HashMap;

use bursar_domain::account::AccountKind;
use bursar_domain::command::{Answer, AnswerKey};
use bursar_domain::grant::Grant;
use bursar_domain::id::TransactionId;
use bursar_domain::journal::Reason;

use super::Reader;
use super::chain::{Chain, Step, Walk};
use crate::answers;
use crate::connection::StoreError;
use crate::record;

/// So many postings are read in one snapshot: one for each would begin and end a transaction each time, and one for all would keep
/// the log from being folded into the file. Postings never change, so it makes no difference to the sums.
const TOGETHER: usize = 10_000;

/// What moved in a wallet for one reason, against one kind of account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReasonSum {
    /// Why it moved.
    pub reason: Reason,
    /// Where it came from or went.
    pub other: AccountKind,
    /// How many transactions.
    pub count: i64,
    /// What came in, in smallest steps. Many movements of 64 bits may need more.
    pub came: i128,
    /// What went out.
    pub went: i128,
    newest: i64,
}

impl Reader {
    /// The movements of a wallet up to the head of its chain, summed up. Reads them one by one and keeps none.
    pub fn sums(&mut self, chain: &Chain) -> Result<Vec<ReasonSum>, StoreError> {
        let mut sums: Vec<ReasonSum> = Vec::new();
        let mut kinds = HashMap::new();
        let mut walk = Walk::from(chain, chain.head);
        while walk.next() != 0 {
            self.in_snapshot(|reader| {
                for _ in 0..TOGETHER {
                    let Some(step) = walk.step(reader)? else {
                        break;
                    };
                    let other = reader.kind_of(step.other, &mut kinds)?;
                    add(&mut sums, &step, other);
                }
                Ok::<_, StoreError>(())
            })?;
        }
        sums.sort_by_key(|sum| (sum.reason, sum.other));
        Ok(sums)
    }

    /// The kind of an account. There are few that wallets have to do with.
    fn kind_of(
        &mut self,
        account: i64,
        known: &mut HashMap<i64, AccountKind>,
    ) -> Result<AccountKind, StoreError> {
        if let Some(kind) = known.get(&account) {
            return Ok(*kind);
        }
        let sql = format!("SELECT {} FROM account WHERE number = $1", record::ACCOUNT);
        let key = self.one(&sql, account, |row| record::read_account_key(row, 1))?;
        let kind = key.map(|key| key.kind);
        let kind =
            kind.ok_or_else(|| StoreError::corrupt(format!("account {account} is missing")))?;
        known.insert(account, kind);
        Ok(kind)
    }

    /// The transaction that gave a grant to its wallet; none if a debt took all of it. The chain may begin at any later posting of
    /// the wallet.
    pub fn giving(
        &mut self,
        chain: &Chain,
        grant: &Grant,
    ) -> Result<Option<TransactionId>, StoreError> {
        if let Some(found) = self.giving_by_time(chain, grant)? {
            return Ok(Some(found));
        }
        // The clock was set back about then, and times are no order.
        let mut walk = Walk::from(chain, chain.head);
        while let Some(step) = walk.step(self)? {
            if step.came && step.posting.grant == Some(grant.id) {
                return Ok(Some(TransactionId::of(step.transaction)));
            }
        }
        Ok(None)
    }

    /// Looks only among the transactions of the moment at which the grant was made.
    fn giving_by_time(
        &mut self,
        chain: &Chain,
        grant: &Grant,
    ) -> Result<Option<TransactionId>, StoreError> {
        let made = grant.created_at.0;
        let first = self.first_transaction_at(made)?;
        let end = self.first_transaction_at(made.saturating_add(1))?;
        let sql = "SELECT transaction_number FROM posting WHERE number >= $1 AND number < $2 AND grant_number = $3 \
                   AND to_account = $4 ORDER BY number LIMIT 1";
        let parameters = vec![
            self.first_posting_from(first)?.into(),
            self.first_posting_from(end)?.into(),
            grant.id.number().into(),
            chain.account.into(),
        ];
        let rows = self.connection.rows(sql, parameters)?;
        let number = rows.first().map(|row| row.integer(0)).transpose()?;
        Ok(number.map(TransactionId::of))
    }

    /// The first transaction that was made at this time (in microseconds) or later, if the clock was never set back.
    fn first_transaction_at(&mut self, time: i64) -> Result<i64, StoreError> {
        let newest = "SELECT coalesce(max(number), 0) FROM ledger_transaction";
        let newest = self.connection.rows(newest, vec![])?;
        let newest = newest.first().map_or(Ok(0), |row| row.integer(0))?;
        let sql =
            "SELECT number, at FROM ledger_transaction WHERE number >= $1 ORDER BY number LIMIT 1";
        let (mut low, mut high) = (1, newest + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.one(sql, middle, |row| Ok((row.integer(0)?, row.integer(1)?)))? {
                Some((number, at)) if at < time => low = number + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// What is remembered under an idempotency key, and since when.
    pub fn answer(&mut self, key: &AnswerKey) -> Result<Option<Answer>, StoreError> {
        self.in_snapshot(|reader| answers::look_up(reader.connection(), key))
    }
}

/// The postings of a transaction come together.
fn add(sums: &mut Vec<ReasonSum>, step: &Step, other: AccountKind) {
    let is_its = |sum: &&mut ReasonSum| (sum.reason, sum.other) == (step.reason, other);
    let amount = i128::from(step.posting.amount);
    let (came, went) = if step.came { (amount, 0) } else { (0, amount) };
    match sums.iter_mut().find(is_its) {
        Some(sum) => {
            sum.count += i64::from(sum.newest != step.transaction);
            sum.newest = step.transaction;
            sum.came += came;
            sum.went += went;
        }
        None => sums.push(ReasonSum {
            reason: step.reason,
            other,
            count: 1,
            came,
            went,
            newest: step.transaction,
        }),
    }
}
