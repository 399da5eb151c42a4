//! A small world to test commands in: it keeps rows as the store does, loads what commands ask for, and takes up what they
//! change.

mod absent;
mod short;
mod step;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use absent::load_absent;
pub(crate) use short::{credits, plain_charge, terms};
pub(crate) use step::{Step, steps, user};

use crate::account::{Account, AccountKey};
use crate::announcement::Announcement;
use crate::audit::{Audit, Books, Report};
use crate::command::{self, Answer, AnswerKey, Command, Context, Reply, Request};
use crate::grant::Grant;
use crate::hold::{Hold, HoldStatus};
use crate::id::{GrantId, HoldId, IdSource, LimitId, TopupId};
use crate::journal::{Cause, Posted};
use crate::limit::SpendingLimit;
use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::state::{Needs, Sequence, State};
use crate::sweep::Sweep;
use crate::time::Time;
use crate::topup::Topup;
use crate::wallet::{Reservation, Wallet};

pub(crate) type Answered = (Result<Reply, Refusal>, bool);

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Counter(u128);

impl IdSource for Counter {
    fn random80(&mut self) -> u128 {
        self.0 += 1;
        self.0
    }
}

/// The row of a wallet, and what its live grants have left: their own rows may say what they had left some time ago.
#[derive(Debug, Clone, PartialEq, Eq)]
struct WalletRow {
    account: Account,
    settings: (Option<i64>, bool, Option<i64>),
    left: BTreeMap<GrantId, i64>,
}

#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) policy: Policy,
    pub(crate) sequence: Sequence,
    pub(crate) holds: BTreeMap<HoldId, Hold>,
    pub(crate) limits: BTreeMap<LimitId, SpendingLimit>,
    pub(crate) journal: Vec<Posted>,
    pub(crate) announcements: Vec<Announcement>,
    pub(crate) topups: BTreeMap<TopupId, Topup>,
    pub(crate) causes: BTreeSet<Cause>,
    accounts: BTreeMap<AccountKey, Account>,
    wallets: BTreeMap<AccountKey, WalletRow>,
    grants: BTreeMap<GrantId, Grant>,
    answers: BTreeMap<AnswerKey, Answer>,
    ids: Counter,
}

impl World {
    /// Nothing has happened, half a minute before the end of a month.
    pub(crate) fn new() -> Self {
        let month_ends = 1_798_761_600;
        Self {
            now: Time::from_seconds(month_ends - 30),
            policy: Policy {
                topup_credits_min: 1,
                overdraft: 50,
                balance_low: 10,
                expiry_notice_seconds: 10,
                ..Policy::standard()
            },
            sequence: Sequence::default(),
            holds: BTreeMap::new(),
            limits: BTreeMap::new(),
            journal: vec![],
            announcements: vec![],
            topups: BTreeMap::new(),
            causes: BTreeSet::new(),
            accounts: BTreeMap::new(),
            wallets: BTreeMap::new(),
            grants: BTreeMap::new(),
            answers: BTreeMap::new(),
            ids: Counter::default(),
        }
    }

    /// Decides one command by itself.
    pub(crate) fn ask(&mut self, command: Command) -> Result<Reply, Refusal> {
        let request = Request {
            command,
            idempotency: None,
        };
        let (mut answers, _) = self.run(std::slice::from_ref(&request));
        answers.remove(0).0
    }

    /// Decides requests one after the other in one batch, as the engine does; the answers, and whether anything changed.
    pub(crate) fn run(&mut self, requests: &[Request]) -> (Vec<Answered>, bool) {
        let mut state = self.load(requests);
        let mut context = Context {
            now: self.now,
            ids: &mut self.ids,
            policy: &self.policy,
        };
        let answers: Vec<Answered> = requests
            .iter()
            .map(|request| command::answer(&mut state, &mut context, request))
            .collect();
        assert_eq!(state.missed(), None, "{requests:#?}");
        let changed = state.has_changes();
        assert!(
            changed || state.sequence == self.sequence,
            "numbers were given out for nothing: {requests:#?}"
        );
        if changed {
            self.take_up(&state);
        }
        (answers, changed)
    }

    fn load(&self, requests: &[Request]) -> State {
        let mut state = State {
            sequence: self.sequence,
            has_limits: !self.limits.is_empty(),
            ..State::default()
        };
        for _ in 0..6 {
            let mut needs = Needs::default();
            for request in requests {
                command::needs(request, &state, &mut needs);
            }
            if needs.is_empty() {
                return state;
            }
            self.load_needs(&needs, &mut state);
        }
        panic!("commands ask in circles: {requests:#?}");
    }

    fn load_needs(&self, needs: &Needs, state: &mut State) {
        for key in &needs.accounts {
            state
                .accounts
                .load(key.clone(), self.accounts.get(key).cloned());
        }
        for key in &needs.wallets {
            let wallet = self.wallet(key).map(Into::into);
            state.wallets.load(key.clone(), wallet);
        }
        for id in &needs.grants {
            state.grants.load(*id, self.grants.get(id).cloned());
        }
        for id in &needs.holds {
            state.holds.load(*id, self.holds.get(id).cloned());
        }
        for subject in &needs.limits {
            let limits = self.limits.values();
            let limits: Vec<_> = limits
                .filter(|limit| limit.subject == *subject)
                .cloned()
                .collect();
            let limits = Some(limits).filter(|limits| !limits.is_empty());
            state.limits.load(subject.clone(), limits);
        }
        for id in &needs.limit_subjects {
            let limit = self.limits.get(id);
            let subject = limit.map(|limit| limit.subject.clone());
            state.limit_subjects.load(*id, subject);
        }
        for cause in &needs.causes {
            let posted = self.causes.contains(cause).then_some(());
            state.causes.load(cause.clone(), posted);
        }
        for id in &needs.topups {
            state.topups.load(id.clone(), self.topups.get(id).cloned());
        }
        for key in &needs.answers {
            let answer = self.answers.get(key).cloned();
            state.answers.load(key.clone(), answer);
        }
    }

    fn take_up(&mut self, state: &State) {
        self.sequence = state.sequence;
        for (key, _, account) in state.accounts.changes() {
            self.accounts.insert(key.clone(), account.unwrap().clone());
        }
        for (id, _, grant) in state.grants.changes() {
            let grant = grant.unwrap();
            let wallet = state.wallets.get(&grant.wallet).unwrap();
            let live = wallet.grants.iter().find(|live| live.id == *id);
            // What holds reserve is not in the row.
            let row = Grant {
                held: 0,
                ..live.unwrap_or(grant).clone()
            };
            self.grants.insert(*id, row);
        }
        for (id, _, hold) in state.holds.changes() {
            self.holds.insert(*id, hold.unwrap().clone());
        }
        for id in &state.removed_limits {
            self.limits.remove(id);
        }
        for limit in state
            .limits
            .changes()
            .flat_map(|(_, _, limits)| limits.unwrap())
        {
            self.limits.insert(limit.id, limit.clone());
        }
        for posted in &state.journal {
            let cause = posted.transaction.cause.clone();
            assert!(cause.is_none_or(|cause| self.causes.insert(cause)));
        }
        for (id, _, topup) in state.topups.changes() {
            self.topups.insert(id.clone(), topup.unwrap().clone());
        }
        for (key, _, answer) in state.answers.changes() {
            self.answers.insert(key.clone(), answer.unwrap().clone());
        }
        self.journal.extend(state.journal.iter().cloned());
        self.announcements
            .extend(state.announcements.iter().cloned());
        for (key, _, wallet) in state.wallets.changes() {
            let wallet = wallet.unwrap();
            let left = wallet
                .grants
                .iter()
                .map(|grant| (grant.id, grant.remaining));
            let row = WalletRow {
                account: wallet.account.clone(),
                settings: (wallet.overdraft, wallet.frozen, wallet.topup_below),
                left: left.collect(),
            };
            self.wallets.insert(key.clone(), row);
            // All that a decision changed about a wallet is in some row.
            assert_eq!(self.wallet(key).as_ref(), Some(wallet.as_ref()));
        }
    }

    /// A wallet, made of its rows.
    pub(crate) fn wallet(&self, key: &AccountKey) -> Option<Wallet> {
        let row = self.wallets.get(key)?;
        let grants = self.grants.values();
        let grants = grants.filter(|grant| grant.wallet == *key && grant.ended_at.is_none());
        let holds = self.open_holds().filter(|hold| hold.wallet == *key);
        let reservations = holds.map(|hold| Reservation {
            hold: hold.id,
            parts: hold.parts.clone(),
        });
        let left = |grant: &Grant| Grant {
            remaining: row.left[&grant.id],
            ..grant.clone()
        };
        Some(Wallet::of_rows(
            row.account.clone(),
            row.settings,
            grants.map(left).collect(),
            reservations.collect(),
        ))
    }

    pub(crate) fn open_holds(&self) -> impl Iterator<Item = &Hold> {
        let holds = self.holds.values();
        holds.filter(|hold| hold.status == HoldStatus::Open)
    }

    pub(crate) fn wallet_keys(&self) -> Vec<AccountKey> {
        self.wallets.keys().cloned().collect()
    }

    pub(crate) fn available(&self, key: &AccountKey) -> i64 {
        self.wallet(key)
            .map_or(0, |wallet| wallet.available(self.now))
    }

    pub(crate) fn balance(&self, key: &AccountKey) -> i64 {
        self.wallets.get(key).map_or(0, |row| row.account.balance)
    }

    /// A grant as it stands.
    pub(crate) fn grant(&self, id: GrantId) -> Grant {
        let row = &self.grants[&id];
        let wallet = self.wallet(&row.wallet).unwrap();
        let live = wallet.grants.into_iter().find(|grant| grant.id == id);
        live.unwrap_or_else(|| row.clone())
    }

    /// What the clock would find to be due.
    pub(crate) fn due(&self) -> Sweep {
        let is_due = |hold: &&Hold| hold.expires_at <= self.now;
        Sweep {
            holds: self
                .open_holds()
                .filter(is_due)
                .map(|hold| hold.id)
                .collect(),
            wallets: self.wallet_keys(),
        }
    }

    /// The rows that an audit compares with the journal.
    pub(crate) fn books(&self) -> Books {
        let accounts = self.accounts.values().cloned();
        let wallets = self.wallets.values().map(|row| row.account.clone());
        Books {
            accounts: accounts.chain(wallets).collect(),
            grants: self.grants.keys().map(|id| self.grant(*id)).collect(),
            reserved: self
                .open_holds()
                .flat_map(|hold| hold.parts.clone())
                .collect(),
            newest_posting: self.sequence.posting,
            lag: 0,
            block: None,
        }
    }

    pub(crate) fn audit(&self) -> Report {
        audit(self.books(), &self.journal)
    }

    /// Whether both are the same in all that anybody can see.
    pub(crate) fn assert_same(&self, other: &Self) {
        assert_eq!(self.journal, other.journal);
        assert_eq!(self.announcements, other.announcements);
        assert_eq!(self.sequence, other.sequence);
        assert_eq!(self.accounts, other.accounts);
        assert_eq!(self.wallets, other.wallets);
        assert_eq!(self.holds, other.holds);
        assert_eq!(self.limits, other.limits);
        assert_eq!(self.topups, other.topups);
        assert_eq!(self.answers, other.answers);
        for id in self.grants.keys() {
            assert_eq!(self.grant(*id), other.grant(*id));
        }
    }

    /// What has to hold after every command.
    pub(crate) fn check(&self) {
        let report = self.audit();
        assert_eq!(report.differences, []);
        assert!(report.sums.values().all(|sum| *sum == 0));
        for key in self.wallets.keys() {
            self.check_wallet(key);
        }
        for hold in self.holds.values() {
            let reserved: i64 = hold.parts.iter().map(|part| part.amount).sum();
            assert_eq!(reserved, hold.amount, "{hold:#?}");
            assert!(hold.parts.iter().all(|part| part.amount > 0));
            let grants: BTreeSet<GrantId> = hold.parts.iter().map(|part| part.grant).collect();
            assert_eq!(grants.len(), hold.parts.len(), "a grant reserved twice");
        }
        for limit in self.limits.values() {
            let counted = self
                .open_holds()
                .filter(|hold| hold.limits.contains(&limit.id));
            let reserved: i64 = counted.map(|hold| hold.amount).sum();
            assert_eq!(limit.reserved, reserved, "{limit:#?}");
        }
    }

    fn check_wallet(&self, key: &AccountKey) {
        let wallet = self.wallet(key).unwrap();
        let postings = self.journal.iter().flat_map(|it| &it.transaction.postings);
        let debt: i64 = postings
            .filter(|posting| posting.grant.is_none())
            .map(|posting| {
                i64::from(posting.from == *key) * posting.amount.minor
                    - i64::from(posting.to == *key) * posting.amount.minor
            })
            .sum();
        let left: i64 = wallet.grants.iter().map(|grant| grant.remaining).sum();
        assert_eq!(wallet.account.balance, left - debt);
        assert_eq!(wallet.debt(), debt);
        assert!(debt >= 0);
        assert!(wallet.grants.is_sorted_by_key(Grant::burn_order));
        for grant in &wallet.grants {
            assert!(0 <= grant.held && grant.held <= grant.remaining);
            assert!(0 < grant.remaining && grant.remaining <= grant.granted);
            // What has ended and is still here is held to the last bit.
            assert!(grant.end.is_none() || grant.free() == 0);
        }
        assert_eq!(
            wallet.credits(self.now),
            wallet.available(self.now) + wallet.held()
        );
    }
}

/// Compares rows with a journal.
pub(crate) fn audit(books: Books, journal: &[Posted]) -> Report {
    let mut audit = Audit::of(books);
    for posted in journal {
        for row in &posted.rows {
            audit.read(row, posted.id.number(), posted.transaction.reason);
        }
    }
    audit.finish()
}
