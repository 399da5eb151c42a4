//! Rebuilds every balance from the journal and compares.

use std::collections::BTreeMap;
use std::fmt;

use crate::account::{Account, AccountKey};
use crate::amount::Unit;
use crate::journal::{PostingRow, Side};

/// Something that does not add up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the text of each variant says what its fields are"
)]
pub enum Difference {
    UnknownAccount {
        posting: i64,
        account: i64,
    },
    MixedUnits {
        posting: i64,
    },
    NotPositive {
        posting: i64,
    },
    Gap {
        after: i64,
        found: i64,
    },
    BrokenChain {
        posting: i64,
        account: i64,
    },
    WrongRunningBalance {
        posting: i64,
        account: i64,
        stored: i64,
        rebuilt: i128,
    },
    WrongBalance {
        account: i64,
        stored: i64,
        rebuilt: i128,
    },
    WrongEntryCount {
        account: i64,
        stored: i64,
        rebuilt: i64,
    },
    WrongHead {
        account: i64,
        stored: i64,
        rebuilt: i64,
    },
    BelowZero {
        account: i64,
        available: i64,
    },
    HeldForNothing {
        account: i64,
        held: i64,
    },
    Unexplained {
        what: String,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownAccount { posting, account } => {
                write!(
                    f,
                    "posting {posting} names account {account}, which does not exist"
                )
            }
            Self::MixedUnits { posting } => {
                write!(f, "posting {posting} connects accounts of two units")
            }
            Self::NotPositive { posting } => {
                write!(f, "posting {posting} moves an amount that is not positive")
            }
            Self::Gap { after, found } => write!(
                f,
                "posting {found} follows posting {after}: numbers are missing"
            ),
            Self::BrokenChain { posting, account } => {
                write!(
                    f,
                    "posting {posting} does not continue the chain of account {account}"
                )
            }
            Self::WrongRunningBalance {
                posting,
                account,
                stored,
                rebuilt,
            } => write!(
                f,
                "posting {posting} leaves account {account} at {stored}; the journal adds up to {rebuilt}"
            ),
            Self::WrongBalance {
                account,
                stored,
                rebuilt,
            } => {
                write!(
                    f,
                    "account {account} has a balance of {stored}; the journal adds up to {rebuilt}"
                )
            }
            Self::WrongEntryCount {
                account,
                stored,
                rebuilt,
            } => {
                write!(
                    f,
                    "account {account} counts {stored} entries; the journal has {rebuilt}"
                )
            }
            Self::WrongHead {
                account,
                stored,
                rebuilt,
            } => {
                write!(
                    f,
                    "account {account} points to posting {stored} as its newest; it is {rebuilt}"
                )
            }
            Self::BelowZero { account, available } => {
                write!(
                    f,
                    "account {account} has {available} available, less than nothing"
                )
            }
            Self::HeldForNothing { account, held } => {
                write!(f, "account {account} holds {held} back, and for nothing")
            }
            Self::Unexplained { what } => f.write_str(what),
        }
    }
}

#[derive(Debug)]
struct Rebuilt {
    account: Account,
    balance: i128,
    entries: i64,
    head: i64,
}

/// An audit under way: give it all accounts, then all postings in the order of their numbers.
#[derive(Debug)]
pub struct Audit {
    accounts: BTreeMap<i64, Rebuilt>,
    last_posting: i64,
    differences: Vec<Difference>,
}

/// What an audit found.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// How many accounts were compared.
    pub accounts: usize,
    /// How many postings were read.
    pub postings: i64,
    /// Every account's balance as rebuilt: the trial balance.
    pub balances: BTreeMap<AccountKey, i128>,
    /// Sum of all balances of each unit as rebuilt: always zero, since every posting has two sides.
    pub sums: BTreeMap<Unit, i128>,
    /// Everything that does not add up; empty when the books are right.
    pub differences: Vec<Difference>,
}

impl Audit {
    /// Begins with the accounts as stored.
    pub fn of(accounts: impl IntoIterator<Item = Account>) -> Self {
        let rebuilt = |account: Account| {
            (
                account.number,
                Rebuilt {
                    account,
                    balance: 0,
                    entries: 0,
                    head: 0,
                },
            )
        };
        Self {
            accounts: accounts.into_iter().map(rebuilt).collect(),
            last_posting: 0,
            differences: Vec::new(),
        }
    }

    /// Takes in the next posting.
    pub fn read(&mut self, row: &PostingRow) {
        if row.number != self.last_posting + 1 {
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
        let units = [&row.from, &row.to]
            .map(|side| self.accounts.get(&side.account).map(|a| a.account.key.unit));
        if let [Some(from), Some(to)] = units
            && from != to
        {
            self.differences.push(Difference::MixedUnits {
                posting: row.number,
            });
        }
        self.read_side(row.number, row.from, -i128::from(row.amount));
        self.read_side(row.number, row.to, i128::from(row.amount));
    }

    fn read_side(&mut self, posting: i64, side: Side, delta: i128) {
        let number = side.account;
        let Some(rebuilt) = self.accounts.get_mut(&number) else {
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
        let Some(link) = side.chain.filter(|link| link.previous == previous) else {
            self.differences.push(Difference::BrokenChain {
                posting,
                account: number,
            });
            return;
        };
        if i128::from(link.balance) != rebuilt.balance {
            let (stored, rebuilt) = (link.balance, rebuilt.balance);
            self.differences.push(Difference::WrongRunningBalance {
                posting,
                account: number,
                stored,
                rebuilt,
            });
        }
    }

    /// Adds a difference found elsewhere: a paid payment without its posting, for example.
    pub fn add(&mut self, difference: Difference) {
        self.differences.push(difference);
    }

    /// Compares what was rebuilt with what is stored.
    pub fn finish(mut self) -> Report {
        let (mut sums, mut balances) = (BTreeMap::new(), BTreeMap::new());
        for rebuilt in self.accounts.values() {
            let key = &rebuilt.account.key;
            *sums.entry(key.unit).or_insert(0) += rebuilt.balance;
            balances.insert(key.clone(), rebuilt.balance);
            self.differences.extend(compare(rebuilt));
        }
        Report {
            accounts: self.accounts.len(),
            postings: self.last_posting,
            balances,
            sums,
            differences: self.differences,
        }
    }
}

fn compare(rebuilt: &Rebuilt) -> Vec<Difference> {
    let account = &rebuilt.account;
    let (number, mut found) = (account.number, Vec::new());
    if !account.key.kind.keeps_balance() {
        return found;
    }
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
    if account.available() < 0 {
        found.push(Difference::BelowZero {
            account: number,
            available: account.available(),
        });
    }
    // Nothing can be reserved yet, so nothing explains a hold; it would keep a customer from spending what is his.
    if account.held != 0 {
        found.push(Difference::HeldForNothing {
            account: number,
            held: account.held,
        });
    }
    found
}
