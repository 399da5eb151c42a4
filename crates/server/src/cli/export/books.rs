//! What accounts have while a journal is read: of wallets what the journal itself says after each posting, of the others the sum.

use std::collections::HashMap;

use anyhow::Context as _;
use bursar_domain::account::AccountKey;
use bursar_domain::journal::Side;
use bursar_store::query::{Recorded, RecordedPosting};

use super::chart;

/// What one account has.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    /// Its name.
    pub(super) key: AccountKey,
    /// What came in minus what went out, as Bursar counts.
    pub(super) own: i128,
    /// The same as bookkeepers count.
    pub(super) booked: i128,
}

/// What all accounts have. A wallet takes eight bytes, or an export of many of them would need much memory.
#[derive(Debug, Default)]
pub(super) struct Books {
    wallets: Vec<i64>,
    others: HashMap<i64, (i128, i128)>,
    /// Which accounts the export has named, a bit each.
    named: Vec<u64>,
}

impl Books {
    /// Takes a transaction into account.
    pub(super) fn take(&mut self, recorded: &Recorded) -> anyhow::Result<()> {
        for posting in &recorded.postings {
            let amount = i128::from(posting.row.amount);
            let sign = chart::sign(posting);
            self.move_side(&posting.row.from, -amount, sign)?;
            self.move_side(&posting.row.to, amount, sign)?;
        }
        Ok(())
    }

    fn move_side(&mut self, side: &Side, amount: i128, sign: i128) -> anyhow::Result<()> {
        let Some(link) = side.chain else {
            let (own, booked) = self.others.entry(side.account).or_default();
            *own += amount;
            *booked += amount * sign;
            return Ok(());
        };
        let place = usize::try_from(side.account).context("an account has a negative number")?;
        if self.wallets.len() <= place {
            self.wallets.resize(place + 1, 0);
        }
        // Not the sum: the importing program computes that, and compares.
        self.wallets[place] = link.balance;
        Ok(())
    }

    /// What an account has.
    pub(super) fn standing(&self, number: i64, key: &AccountKey) -> Standing {
        let of_wallet = || {
            let balance = self.wallets.get(usize::try_from(number).ok()?);
            balance.map(|balance| i128::from(*balance))
        };
        let (own, booked) = self.others.get(&number).copied().unwrap_or_else(|| {
            let balance = of_wallet().unwrap_or(0);
            (balance, balance * chart::CLAIM)
        });
        Standing {
            key: key.clone(),
            own,
            booked,
        }
    }

    /// Whether the export names this account for the first time.
    pub(super) fn is_new(&mut self, number: i64) -> bool {
        if self.is_used(number) {
            return false;
        }
        let (word, bit) = place(number);
        if self.named.len() <= word {
            self.named.resize(word + 1, 0);
        }
        self.named[word] |= bit;
        true
    }

    /// Whether the export has named this account.
    pub(super) fn is_used(&self, number: i64) -> bool {
        let (word, bit) = place(number);
        self.named.get(word).is_some_and(|bits| bits & bit != 0)
    }
}

/// Numbers of accounts have no gaps.
fn place(number: i64) -> (usize, u64) {
    let word = usize::try_from(number / 64).unwrap_or(0);
    (word, 1 << number.rem_euclid(64))
}

/// What one side of a posting gets, as bookkeepers count: what the other one gives.
pub(super) fn booked(posting: &RecordedPosting) -> i128 {
    i128::from(posting.row.amount) * chart::sign(posting)
}
