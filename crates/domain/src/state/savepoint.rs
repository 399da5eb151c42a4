//! What charges may touch, kept so that all of them can be undone together.

use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use super::table::{Change, Slot, Table};
use super::{Needs, Sequence, State};
use crate::account::{Account, AccountKey};
use crate::command::{Answer, AnswerKey};
use crate::grant::Grant;
use crate::id::GrantId;
use crate::limit::{SpendingLimit, Subject};
use crate::wallet::Wallet;

type Saved<K, V> = Vec<(K, Option<Slot<V>>)>;

/// The rows that some charges asked for, as they were, and how far the lists went that only grow. A copy of the whole state
/// would cost as much as all that the batch has done so far, for each request.
#[derive(Debug)]
pub(crate) struct Savepoint {
    sequence: Sequence,
    journal: usize,
    announcements: usize,
    accounts: Saved<AccountKey, Account>,
    wallets: Saved<AccountKey, Arc<Wallet>>,
    grants: Saved<GrantId, Grant>,
    limits: Saved<Subject, Vec<SpendingLimit>>,
    answers: Saved<AnswerKey, Answer>,
}

impl<K: Ord + Clone + std::fmt::Debug, V: Clone> Table<K, V> {
    fn save<'a>(&self, keys: impl IntoIterator<Item = &'a K>) -> Saved<K, V>
    where
        K: 'a,
    {
        let keys = keys.into_iter();
        keys.map(|key| (key.clone(), self.rows.get(key).cloned()))
            .collect()
    }

    fn restore(&mut self, saved: Saved<K, V>) {
        for (key, slot) in saved {
            match slot {
                Some(slot) => self.rows.insert(key, slot),
                None => self.rows.remove(&key),
            };
        }
    }
}

impl State {
    /// Keeps what charges that asked for these rows may touch.
    pub(crate) fn save(&self, needs: &Needs) -> Savepoint {
        let wallets = needs.wallets.iter().filter_map(|key| {
            let slot = self.wallets.rows.get(key)?;
            slot.value.as_ref()
        });
        let live: Vec<GrantId> = wallets
            .flat_map(|wallet| wallet.grants.iter().map(|grant| grant.id))
            .collect();
        Savepoint {
            sequence: self.sequence,
            journal: self.journal.len(),
            announcements: self.announcements.len(),
            accounts: self.accounts.save(&needs.accounts),
            wallets: self.wallets.save(&needs.wallets),
            grants: self.grants.save(&live),
            limits: self.limits.save(&needs.limits),
            answers: self.answers.save(&needs.answers),
        }
    }

    /// Undoes what charges have done since.
    pub(crate) fn undo(&mut self, saved: Savepoint) {
        // What passed on from a grant that had expired became a grant with a fresh number, which nobody has now.
        let newest = GrantId::of(saved.sequence.grant);
        for (_, slot) in self.grants.rows.range_mut((Excluded(newest), Unbounded)) {
            *slot = Slot {
                value: None,
                change: Change::Keep,
            };
        }
        self.sequence = saved.sequence;
        self.journal.truncate(saved.journal);
        self.announcements.truncate(saved.announcements);
        self.accounts.restore(saved.accounts);
        self.wallets.restore(saved.wallets);
        self.grants.restore(saved.grants);
        self.limits.restore(saved.limits);
        self.answers.restore(saved.answers);
    }
}
