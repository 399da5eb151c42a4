//! Rebuilds every balance, and what is left of every grant, from the journal and compares.
//!
//! Rows of wallets and grants are written later than the postings that change them (the store says by how many postings at most),
//! so each is compared with the journal as it was at the row's `head`; what came later must be within that distance.

mod difference;
mod numbered;

use std::collections::BTreeMap;

use crate::account::{Account, AccountKey, AccountKind};
use crate::amount::Unit;
use crate::grant::{Grant, Part};
use crate::journal::{PostingRow, Reason, Side};

pub use difference::Difference;
pub use numbered::Numbered;

#[derive(Debug)]
struct Rebuilt {
    account: Account,
    balance: i128,
    entries: i64,
    head: i64,
    /// What moved in without a grant: minus the debt.
    without_grant: i128,
    /// Whether its row was met at its head.
    compared: bool,
}

#[derive(Debug)]
struct RebuiltGrant {
    grant: Grant,
    account: i64,
    left: i128,
    /// What was left at the head of the wallet's row.
    left_at_head: i128,
    held: i128,
}

/// An audit under way: give it all accounts, grants and reservations, then all postings in the order of their numbers.
#[derive(Debug)]
pub struct Audit {
    accounts: Numbered<Rebuilt>,
    grants: Numbered<RebuiltGrant>,
    block: Option<i64>,
    postings: i64,
    transactions: i64,
    last_posting: i64,
    last_transaction: i64,
    newest_posting: i64,
    lag: i64,
    differences: Vec<Difference>,
}

/// What an audit found.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// How many accounts were compared.
    pub accounts: usize,
    /// How many postings were read.
    pub postings: i64,
    /// How many transactions they belong to.
    pub transactions: i64,
    /// The transaction of the last one.
    pub newest_transaction: i64,
    /// Every account's balance as rebuilt: the trial balance.
    pub balances: BTreeMap<AccountKey, i128>,
    /// Sum of all balances of each unit as rebuilt: always zero, since every posting has two sides.
    pub sums: BTreeMap<Unit, i128>,
    /// Everything that does not add up; empty when the books are right.
    pub differences: Vec<Difference>,
}

/// The rows that an audit compares with the journal.
#[derive(Debug, Default)]
pub struct Books {
    /// All accounts.
    pub accounts: Vec<Account>,
    /// All grants.
    pub grants: Vec<Grant>,
    /// What open holds reserve.
    pub reserved: Vec<Part>,
    /// The number of the newest posting.
    pub newest_posting: i64,
    /// How many postings a wallet's row may lag behind.
    pub lag: i64,
    /// Where several nodes give out numbers: they do so in blocks of this many, and begin a new one before the last is used up. One
    /// writer leaves no gaps.
    pub block: Option<i64>,
}

impl Audit {
    /// Begins with the rows as stored.
    pub fn of(books: Books) -> Self {
        let numbers: BTreeMap<AccountKey, i64> = books
            .accounts
            .iter()
            .map(|account| (account.key.clone(), account.number))
            .collect();
        let rebuilt = |account: Account| {
            let rebuilt = Rebuilt {
                balance: 0,
                entries: 0,
                head: 0,
                without_grant: 0,
                compared: account.head == 0 && account.balance == 0,
                account,
            };
            (rebuilt.account.number, rebuilt)
        };
        let rebuilt_grant = |grant: Grant| {
            let rebuilt = RebuiltGrant {
                account: numbers.get(&grant.wallet).copied().unwrap_or(0),
                left: 0,
                left_at_head: 0,
                held: 0,
                grant,
            };
            (rebuilt.grant.id.number(), rebuilt)
        };
        let mut grants = Numbered::of(books.grants.into_iter().map(rebuilt_grant));
        let mut differences = Vec::new();
        for part in books.reserved {
            match grants.at(part.grant.number()) {
                Some(grant) => grant.held += i128::from(part.amount),
                None => differences.push(Difference::Unexplained {
                    what: format!(
                        "a hold reserves some of {}, which does not exist",
                        part.grant
                    ),
                }),
            }
        }
        Self {
            accounts: Numbered::of(books.accounts.into_iter().map(rebuilt)),
            grants,
            block: books.block,
            postings: 0,
            transactions: 0,
            last_posting: 0,
            last_transaction: 0,
            newest_posting: books.newest_posting,
            lag: books.lag,
            differences,
        }
    }

    /// Takes in the next posting, which belongs to this transaction.
    pub fn read(&mut self, row: &PostingRow, transaction: i64, reason: Reason) {
        let after = self.last_transaction;
        self.postings += 1;
        self.transactions += i64::from(transaction != after);
        if transaction != after && !self.may_follow(transaction, after) {
            self.differences.push(Difference::TransactionGap {
                posting: row.number,
                after,
                found: transaction,
            });
        }
        self.last_transaction = transaction;
        if !self.may_follow(row.number, self.last_posting) {
            self.differences.push(Difference::Gap {
                after: self.last_posting,
                found: row.number,
            });
        }
        self.last_posting = row.number;
        if row.amount <= 0 {
            self.differences.push(Difference::NotPositive {
                posting: row.number,
            });
        }
        let mut side = |side: &Side| {
            let key = &self.accounts.at(side.account)?.account.key;
            Some((key.kind, key.unit))
        };
        if let (Some((from, from_unit)), Some((to, to_unit))) = (side(&row.from), side(&row.to)) {
            let posting = row.number;
            if from_unit != to_unit {
                self.differences.push(Difference::MixedUnits { posting });
            }
            if !is_way_of(reason, from, to) {
                self.differences.push(Difference::WrongWay {
                    posting,
                    reason,
                    from,
                    to,
                });
            }
        }
        self.read_side(row, row.from, -i128::from(row.amount));
        self.read_side(row, row.to, i128::from(row.amount));
    }

    /// Whether one number may come right after another.
    fn may_follow(&self, number: i64, after: i64) -> bool {
        let begins_block = |block: i64| number > after && number % block == 1;
        number == after + 1 || self.block.is_some_and(begins_block)
    }

    fn read_side(&mut self, row: &PostingRow, side: Side, delta: i128) {
        let (posting, number) = (row.number, side.account);
        let Some(rebuilt) = self.accounts.at(number) else {
            self.differences.push(Difference::UnknownAccount {
                posting,
                account: number,
            });
            return;
        };
        let previous = rebuilt.head;
        rebuilt.balance += delta;
        if !rebuilt.account.key.kind.keeps_balance() {
            return;
        }
        rebuilt.entries += 1;
        rebuilt.head = posting;
        if posting == rebuilt.account.head {
            rebuilt.compared = true;
            self.differences.extend(compare(rebuilt));
        } else if posting > rebuilt.account.head && posting <= self.newest_posting - self.lag {
            self.differences.push(Difference::RowTooOld {
                account: number,
                head: rebuilt.account.head,
                posting,
            });
        }
        let balance = rebuilt.balance;
        if side.chain.is_none_or(|link| link.previous != previous) {
            self.differences.push(Difference::BrokenChain {
                posting,
                account: number,
            });
        }
        if let Some(link) = side.chain
            && i128::from(link.balance) != balance
        {
            self.differences.push(Difference::WrongRunningBalance {
                posting,
                account: number,
                stored: link.balance,
                rebuilt: balance,
            });
        }
        self.read_grant(row, number, delta);
    }

    fn read_grant(&mut self, row: &PostingRow, account: i64, delta: i128) {
        let Some(rebuilt) = self.accounts.at(account) else {
            return;
        };
        let Some(id) = row.grant else {
            rebuilt.without_grant += delta;
            if rebuilt.without_grant > 0 {
                let paid = rebuilt.without_grant;
                self.differences
                    .push(Difference::Overpaid { account, paid });
            }
            return;
        };
        let is_in_row = row.number <= rebuilt.account.head;
        match self
            .grants
            .at(id.number())
            .filter(|grant| grant.account == account)
        {
            Some(grant) => {
                grant.left += delta;
                if is_in_row {
                    grant.left_at_head = grant.left;
                }
                if grant.left < 0 {
                    let left = grant.left;
                    self.differences
                        .push(Difference::BelowZero { grant: id, left });
                }
            }
            None => self.differences.push(Difference::ForeignGrant {
                posting: row.number,
                grant: id,
            }),
        }
    }

    /// Adds a difference found elsewhere: a paid payment without its posting, for example.
    pub fn add(&mut self, difference: Difference) {
        self.differences.push(difference);
    }

    /// Compares what was rebuilt with what is stored.
    pub fn finish(mut self) -> Report {
        let (mut sums, mut balances) = (BTreeMap::new(), BTreeMap::new());
        let mut accounts = 0;
        for rebuilt in self.accounts.all() {
            let key = &rebuilt.account.key;
            if key.kind == AccountKind::RolledOver && rebuilt.balance != 0 {
                let what = format!(
                    "{} did not pass from expired grants to those that follow them, but stayed in between",
                    rebuilt.balance
                );
                self.differences.push(Difference::Unexplained { what });
            }
            accounts += 1;
            *sums.entry(key.unit).or_insert(0) += rebuilt.balance;
            balances.insert(key.clone(), rebuilt.balance);
            if key.kind.keeps_balance() && !rebuilt.compared {
                self.differences.extend(compare(rebuilt));
            }
        }
        for grant in self.grants.all() {
            let id = grant.grant.id;
            if i128::from(grant.grant.remaining) != grant.left_at_head {
                self.differences.push(Difference::WrongRemaining {
                    grant: id,
                    stored: grant.grant.remaining,
                    rebuilt: grant.left_at_head,
                });
            }
            if grant.held > grant.left {
                self.differences.push(Difference::HeldTwice {
                    grant: id,
                    held: grant.held,
                    left: grant.left,
                });
            }
        }
        Report {
            accounts,
            postings: self.postings,
            transactions: self.transactions,
            newest_transaction: self.last_transaction,
            balances,
            sums,
            differences: self.differences,
        }
    }
}

/// Whether transactions with this reason move value from such an account to such another.
const fn is_way_of(reason: Reason, from: AccountKind, to: AccountKind) -> bool {
    use AccountKind::{
        Absorbed, Adjusted, Breakage, Clearing, Exchanged, Granted, Received, RolledOver, Sold,
        Spent, Wallet,
    };
    match reason {
        Reason::Topup => matches!((from, to), (Sold, Wallet)),
        Reason::Payment => matches!((from, to), (Received, Clearing)),
        Reason::Add => matches!((from, to), (Adjusted, Wallet)),
        Reason::Sub => matches!((from, to), (Wallet, Adjusted)),
        Reason::Grant => matches!((from, to), (Sold | Granted, Wallet)),
        Reason::Charge | Reason::Settle => matches!((from, to), (Wallet, Spent)),
        Reason::Expire => matches!((from, to), (Wallet, Breakage) | (Breakage, Wallet)),
        Reason::Void => matches!((from, to), (Wallet, Sold | Granted | Adjusted | Exchanged)),
        Reason::RollOver => matches!((from, to), (Wallet, RolledOver) | (RolledOver, Wallet)),
        Reason::Exchange => matches!((from, to), (Wallet, Exchanged) | (Exchanged, Wallet)),
        Reason::Refund => matches!(
            (from, to),
            (Wallet | Absorbed, Sold | Granted) | (Clearing, Received)
        ),
        Reason::Reinstate => matches!(
            (from, to),
            (Sold | Granted, Wallet | Absorbed) | (Received, Clearing)
        ),
    }
}

fn compare(rebuilt: &Rebuilt) -> Vec<Difference> {
    let account = &rebuilt.account;
    let (number, mut found) = (account.number, Vec::new());
    if i128::from(account.balance) != rebuilt.balance {
        found.push(Difference::WrongBalance {
            account: number,
            stored: account.balance,
            rebuilt: rebuilt.balance,
        });
    }
    if account.entries != rebuilt.entries {
        found.push(Difference::WrongEntryCount {
            account: number,
            stored: account.entries,
            rebuilt: rebuilt.entries,
        });
    }
    if account.head != rebuilt.head {
        found.push(Difference::WrongHead {
            account: number,
            stored: account.head,
            rebuilt: rebuilt.head,
        });
    }
    found
}

#[cfg(test)]
mod tests;
