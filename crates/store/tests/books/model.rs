//! The same commands decided a second time, by one state that never leaves memory: what a store must agree with, however
//! often it is opened anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use bursar_domain::account::AccountKey;
use bursar_domain::announcement::Announcement;
use bursar_domain::command::{self, Context, Request};
use bursar_domain::hold::{Hold, HoldStatus};
use bursar_domain::id::HoldId;
use bursar_domain::limit::SpendingLimit;
use bursar_domain::state::{Needs, State, Table};
use bursar_domain::sweep::Sweep;
use bursar_domain::time::Time;
use bursar_domain::wallet::Wallet;
use bursar_store::audit;
use bursar_store::query::{PageRequest, Reader};

use super::{Answers, Books, Counter};

#[derive(Default)]
pub(crate) struct Model {
    state: State,
}

/// All rows of a table: in the model each of them was put there by a command.
fn rows<K: Ord + Clone + std::fmt::Debug, V: Clone>(table: &Table<K, V>) -> BTreeMap<K, V> {
    let rows = table.changes();
    rows.filter_map(|(key, _, row)| Some((key.clone(), row?.clone())))
        .collect()
}

/// What nobody put there is absent.
fn load<K: Ord + Clone + std::fmt::Debug, V>(
    keys: impl IntoIterator<Item = K>,
    table: &mut Table<K, V>,
) {
    for key in keys {
        table.load(key, None);
    }
}

impl Model {
    /// Decides the commands as `books` have just done, with the ids that came next before.
    pub(crate) fn run(&mut self, requests: &[Request], books: &Books, mut ids: Counter) -> Answers {
        let state = &mut self.state;
        state.has_limits = rows(&state.limits)
            .values()
            .any(|limits| !limits.is_empty());
        loop {
            let mut needs = Needs::default();
            for request in requests {
                command::needs(request, state, &mut needs);
            }
            if needs.is_empty() {
                break;
            }
            load(needs.accounts, &mut state.accounts);
            load(needs.wallets, &mut state.wallets);
            load(needs.grants, &mut state.grants);
            load(needs.holds, &mut state.holds);
            load(needs.limits, &mut state.limits);
            load(needs.limit_subjects, &mut state.limit_subjects);
            load(needs.causes, &mut state.causes);
            load(needs.topups, &mut state.topups);
            load(needs.payments, &mut state.payments);
            load(needs.jobs, &mut state.jobs);
            load(needs.answers, &mut state.answers);
        }
        let mut context = Context {
            now: books.now,
            ids: &mut ids,
            policy: &books.policy,
        };
        let answers = requests
            .iter()
            .map(|request| command::answer(state, &mut context, request))
            .collect();
        assert_eq!(state.missed(), None);
        answers
    }

    pub(crate) fn wallets(&self) -> BTreeMap<AccountKey, Arc<Wallet>> {
        rows(&self.state.wallets)
    }

    fn holds(&self) -> BTreeMap<HoldId, Hold> {
        rows(&self.state.holds)
    }

    fn limits(&self) -> Vec<SpendingLimit> {
        let mut limits: Vec<SpendingLimit> =
            rows(&self.state.limits).into_values().flatten().collect();
        limits.sort_by_key(|limit| std::cmp::Reverse(limit.id));
        limits
    }

    /// What a sweep has to do now.
    pub(crate) fn due(&self, now: Time, soon: Time) -> Sweep {
        let is_due = |hold: &&Hold| hold.status == HoldStatus::Open && hold.expires_at <= now;
        let mut holds: Vec<Hold> = self.holds().values().filter(is_due).cloned().collect();
        holds.sort_by_key(|hold| hold.expires_at);
        let has_news = |wallet: &Wallet| {
            let mut live = wallet.grants.iter().filter(|grant| grant.end.is_none());
            live.any(|grant| {
                let until = if grant.announced { now } else { soon };
                grant.expires_at.is_some_and(|expiry| expiry <= until)
            })
        };
        let wallets = self.wallets();
        let wallets = wallets.iter().filter(|(_, wallet)| has_news(wallet));
        Sweep {
            holds: holds.into_iter().map(|hold| hold.id).collect(),
            wallets: wallets.map(|(key, _)| key.clone()).collect(),
        }
    }

    /// Compares everything there is, and audits.
    pub(crate) fn agrees_with(&self, books: &mut Books, reader: &mut Reader) {
        let expected = self.wallets();
        let keys: Vec<AccountKey> = expected.keys().cloned().collect();
        let found = books.wallets(&keys);
        for (wallet, found) in expected.values().zip(found) {
            assert_eq!(Some(wallet), found.as_ref());
        }
        assert_eq!(self.state.sequence, books.store.state().sequence);

        for (id, hold) in self.holds() {
            assert_eq!(reader.hold(id).unwrap(), Some(hold));
        }
        for (id, grant) in rows(&self.state.grants) {
            let found = reader.grant(id).unwrap().unwrap();
            match expected[&grant.wallet]
                .grants
                .iter()
                .find(|live| live.id == id)
            {
                // What is left of a live one, its row says later.
                Some(live) => {
                    assert!(found.remaining >= live.remaining);
                    let (remaining, held) = (found.remaining, found.held);
                    let same = bursar_domain::grant::Grant {
                        remaining,
                        held,
                        ..live.clone()
                    };
                    assert_eq!(found, same);
                }
                None => assert_eq!(found, grant),
            }
        }
        let all = PageRequest {
            limit: 100_000,
            cursor: None,
        };
        assert_eq!(reader.limits(None, &all).unwrap().items, self.limits());
        let announced: Vec<Announcement> = reader.announcements(0, 100_000).unwrap();
        assert_eq!(announced, self.state.announcements);
        let mut used = reader
            .usage(&bursar_store::query::UsageFilter::default(), &all)
            .unwrap()
            .items;
        used.reverse();
        assert_eq!(used, self.state.usage);

        let report = audit::run(reader).unwrap();
        assert_eq!(report.differences, vec![]);
        assert_eq!(report.postings, self.state.sequence.posting);
        assert_eq!(report.transactions, self.state.sequence.transaction);
        let chain = audit::chain(reader, &[]).unwrap();
        assert_eq!(chain.broken, Vec::<String>::new());
        assert_eq!(chain.newest, books.store.seal());
    }
}
