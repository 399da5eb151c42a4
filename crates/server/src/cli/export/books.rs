//! What accounts have while a journal is read: of wallets what the journal itself says after each posting, of the others the sum.

use std::collections::HashMap;

use bursar_domain::account::AccountKey;
use bursar_domain::audit::Numbered;
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

/// What all accounts have. A wallet takes sixteen bytes, or an export of many of them would need much memory.
#[derive(Debug, Default)]
pub(super) struct Books {
    seen: Numbered<Seen>,
    others: HashMap<i64, (i128, i128)>,
}

/// What the export knows of one account.
#[derive(Debug, Default)]
struct Seen {
    /// Of a wallet: what it had after its newest posting.
    balance: i64,
    /// Whether it has been named.
    is_named: bool,
}

impl Books {
    /// Takes a transaction into account.
    pub(super) fn take(&mut self, recorded: &Recorded) {
        for posting in &recorded.postings {
            let amount = i128::from(posting.row.amount);
            let sign = chart::sign(posting);
            self.move_side(&posting.row.from, -amount, sign);
            self.move_side(&posting.row.to, amount, sign);
        }
    }

    fn move_side(&mut self, side: &Side, amount: i128, sign: i128) {
        let Some(link) = side.chain else {
            let (own, booked) = self.others.entry(side.account).or_default();
            *own += amount;
            *booked += amount * sign;
            return;
        };
        // Not the sum: the importing program computes that, and compares.
        self.seen(side.account).balance = link.balance;
    }

    fn seen(&mut self, number: i64) -> &mut Seen {
        self.seen.place(number).get_or_insert_default()
    }

    /// What an account has.
    pub(super) fn standing(&self, number: i64, key: &AccountKey) -> Standing {
        let balance = self.seen.get(number).map_or(0, |seen| seen.balance);
        let of_wallet = (balance.into(), i128::from(balance) * chart::CLAIM);
        let (own, booked) = self.others.get(&number).copied().unwrap_or(of_wallet);
        Standing {
            key: key.clone(),
            own,
            booked,
        }
    }

    /// Whether the export names this account for the first time.
    pub(super) fn is_new(&mut self, number: i64) -> bool {
        !std::mem::replace(&mut self.seen(number).is_named, true)
    }

    /// Whether the export has named this account.
    pub(super) fn is_used(&self, number: i64) -> bool {
        self.seen.get(number).is_some_and(|seen| seen.is_named)
    }
}

/// What one side of a posting gets, as bookkeepers count: what the other one gives.
pub(super) fn booked(posting: &RecordedPosting) -> i128 {
    i128::from(posting.row.amount) * chart::sign(posting)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_of_several_nodes_have_numbers_far_apart_and_take_no_memory_for_what_is_between() {
        let mut books = Books::default();
        for number in [1, 65_537, i64::MAX / 2, i64::MAX] {
            assert!(!books.is_used(number));
            assert!(books.is_new(number));
            assert!(!books.is_new(number));
        }
        assert!(!books.is_used(2));
    }
}
