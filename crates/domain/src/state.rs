//! What a batch of commands reads and changes.
//!
//! The shell asks each command for its [`Needs`], loads those rows into a [`State`], lets the commands decide one after
//! the other, and writes what changed. A table remembers which rows were changed, so that a decision cannot forget to
//! save.

mod savepoint;
mod table;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::account::{Account, AccountKey};
use crate::announcement::Announcement;
use crate::api_key::ApiKey;
use crate::auto_topup::AutoTopup;
use crate::award::Award;
use crate::code::RedeemCode;
use crate::command::{Answer, AnswerKey};
use crate::coupon::Coupon;
use crate::customer::{Customer, CustomerKey};
use crate::dispute::Dispute;
use crate::event::StoredEvent;
use crate::grant::Grant;
use crate::hold::Hold;
use crate::id::{ApiKeyId, CodeId, GrantId, HoldId, LimitId, PaymentId, RefundId, TopupId, UserId};
use crate::job::{Job, JobKey};
use crate::journal::{Cause, Posted};
use crate::limit::{SpendingLimit, Subject};
use crate::payment::Payment;
use crate::perk::{Perk, PerkKey};
use crate::referral::Member;
use crate::refund::Refund;
use crate::topup::Topup;
use crate::usage::UsageEvent;
use crate::wallet::Wallet;

pub use table::{Change, Table};

macro_rules! sequence {
    ($($name:ident, $next:ident: $what:literal;)*) => {
        /// The last numbers given out. One writer gives them without gaps; several nodes each have blocks of their own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct Sequence {
            $(#[doc = concat!("Number of the newest ", $what, ".")] pub $name: i64,)*
        }

        impl Sequence {
            /// All numbers, in one order.
            pub const fn numbers(&self) -> [i64; [$(stringify!($name)),*].len()] {
                [$(self.$name),*]
            }

            /// With none of them lower than `least`.
            pub const fn at_least(mut self, least: i64) -> Self {
                $(if self.$name < least {
                    self.$name = least;
                })*
                self
            }

            $(pub(crate) const fn $next(&mut self) -> i64 {
                self.$name += 1;
                self.$name
            })*
        }
    };
}

sequence! {
    account, next_account: "account";
    transaction, next_transaction: "transaction";
    posting, next_posting: "posting";
    event, next_event: "stored event";
    grant, next_grant: "grant";
    hold, next_hold: "hold";
    limit, next_limit: "spending limit";
    announcement, next_announcement: "announcement";
    usage, next_usage: "usage event";
    payment, next_payment: "payment";
}

/// Rows a batch has loaded, and what its commands have made of them.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Numbers given out so far.
    pub sequence: Sequence,
    /// Accounts that are no wallets, by name.
    pub accounts: Table<AccountKey, Account>,
    /// Wallets, by the name of their account. Shared with whoever else has loaded them until they are changed.
    pub wallets: Table<AccountKey, Arc<Wallet>>,
    /// Grants by themselves: new ones, those that have ended, and those asked for by their id. What is left of a live one, its
    /// wallet knows.
    pub grants: Table<GrantId, Grant>,
    /// Holds.
    pub holds: Table<HoldId, Hold>,
    /// Whether there was any spending limit before this batch: if not, and if the batch does not set one, nobody has to look.
    pub has_limits: bool,
    /// Whether the service is in recovery mode ([`crate::recovery`]).
    pub recovering: bool,
    /// The number of the newest payment before this batch, whoever gave it out. Only to be relied on by who asks for the mark of
    /// payments that were seen.
    pub newest_payment: i64,
    /// The spending limits of each subject.
    pub limits: Table<Subject, Vec<SpendingLimit>>,
    /// Whose limit it is (an index, kept by the store).
    pub limit_subjects: Table<LimitId, Subject>,
    /// Limits that were taken away.
    pub removed_limits: Vec<LimitId>,
    /// What happened in this batch.
    pub announcements: Vec<Announcement>,
    /// Usage that was recorded in this batch.
    pub usage: Vec<UsageEvent>,
    /// Causes that have been posted.
    pub causes: Table<Cause, ()>,
    /// Transactions posted in this batch.
    pub journal: Vec<Posted>,
    /// Top-ups.
    pub topups: Table<TopupId, Topup>,
    /// Payments.
    pub payments: Table<PaymentId, Payment>,
    /// Which payment a checkout session belongs to (an index, kept by the store from the payments).
    pub payment_of_session: Table<String, PaymentId>,
    /// Which payment a payment intent belongs to (an index, as above).
    pub payment_of_intent: Table<String, PaymentId>,
    /// Numbers of stored events by Stripe's id: what has been received before.
    pub event_numbers: Table<String, i64>,
    /// Stored events by number.
    pub events: Table<i64, StoredEvent>,
    /// Bodies of events received in this batch, by number.
    pub event_bodies: Vec<(i64, Arc<[u8]>)>,
    /// Events that wait for a payment to learn its session: by payment.
    pub waiting_events: Table<PaymentId, Vec<i64>>,
    /// Events about a checkout session or payment intent that no payment has: by that.
    pub unmatched_events: Table<String, Vec<i64>>,
    /// What each payment has given.
    pub awards: Table<PaymentId, Vec<Award>>,
    /// The refunds of each payment.
    pub refunds: Table<PaymentId, Vec<Refund>>,
    /// The disputes of each payment.
    pub disputes: Table<PaymentId, Vec<Dispute>>,
    /// Which payment a refund belongs to (an index, kept by the store from the refunds).
    pub payment_of_refund: Table<RefundId, PaymentId>,
    /// Who a user is at the provider.
    pub customers: Table<CustomerKey, Customer>,
    /// Automatic top-ups.
    pub auto_topups: Table<UserId, AutoTopup>,
    /// Single values that are remembered, by name.
    pub marks: Table<String, String>,
    /// Coupons, by their code.
    pub coupons: Table<String, Coupon>,
    /// Redeem codes.
    pub codes: Table<CodeId, RedeemCode>,
    /// What somebody has had once.
    pub perks: Table<PerkKey, Perk>,
    /// Who has a referral code, or was brought by one.
    pub members: Table<UserId, Member>,
    /// Whose referral code it is (an index, kept by the store from the members).
    pub member_of_code: Table<String, UserId>,
    /// Who has a top-up that was paid (an index, kept by the store from the top-ups).
    pub buyers: Table<UserId, ()>,
    /// Calls that are owed.
    pub jobs: Table<JobKey, Job>,
    /// API keys.
    pub api_keys: Table<ApiKeyId, ApiKey>,
    /// Answers remembered under idempotency keys.
    pub answers: Table<AnswerKey, Answer>,
}

impl State {
    /// A row that a decision looked up although no command had asked for it. What was decided may rest on a row that the
    /// store has and the state has not, so it must not be written.
    pub fn missed(&self) -> Option<&str> {
        [
            &self.accounts.missed,
            &self.wallets.missed,
            &self.grants.missed,
            &self.holds.missed,
            &self.limits.missed,
            &self.limit_subjects.missed,
            &self.causes.missed,
            &self.topups.missed,
            &self.payments.missed,
            &self.payment_of_session.missed,
            &self.payment_of_intent.missed,
            &self.event_numbers.missed,
            &self.events.missed,
            &self.waiting_events.missed,
            &self.unmatched_events.missed,
            &self.awards.missed,
            &self.refunds.missed,
            &self.disputes.missed,
            &self.payment_of_refund.missed,
            &self.customers.missed,
            &self.auto_topups.missed,
            &self.marks.missed,
            &self.coupons.missed,
            &self.codes.missed,
            &self.perks.missed,
            &self.members.missed,
            &self.member_of_code.missed,
            &self.buyers.missed,
            &self.jobs.missed,
            &self.api_keys.missed,
            &self.answers.missed,
        ]
        .into_iter()
        .find_map(|missed| missed.get().map(String::as_str))
    }

    /// Whether there may be a spending limit: there was one, or a command of this batch is about limits.
    pub(crate) fn may_have_limits(&self) -> bool {
        self.has_limits || !self.limits.is_unasked()
    }
}

impl State {
    /// Whether there is anything to write. Refusals, repetitions and questions leave nothing, and cost no sync.
    pub fn has_changes(&self) -> bool {
        !(self.journal.is_empty()
            && self.announcements.is_empty()
            && self.usage.is_empty()
            && self.removed_limits.is_empty())
            || self.accounts.has_changes()
            || self.wallets.has_changes()
            || self.grants.has_changes()
            || self.holds.has_changes()
            || self.limits.has_changes()
            || self.topups.has_changes()
            || self.payments.has_changes()
            || self.events.has_changes()
            || self.awards.has_changes()
            || self.refunds.has_changes()
            || self.disputes.has_changes()
            || self.customers.has_changes()
            || self.auto_topups.has_changes()
            || self.marks.has_changes()
            || self.coupons.has_changes()
            || self.codes.has_changes()
            || self.perks.has_changes()
            || self.members.has_changes()
            || self.jobs.has_changes()
            || self.api_keys.has_changes()
            || self.answers.has_changes()
    }
}

/// Keys of the rows that commands ask for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(
    missing_docs,
    reason = "each field asks for the table of the same name in `State`"
)]
pub struct Needs {
    pub accounts: BTreeSet<AccountKey>,
    pub wallets: BTreeSet<AccountKey>,
    pub grants: BTreeSet<GrantId>,
    pub holds: BTreeSet<HoldId>,
    pub limits: BTreeSet<Subject>,
    pub limit_subjects: BTreeSet<LimitId>,
    pub causes: BTreeSet<Cause>,
    pub topups: BTreeSet<TopupId>,
    pub payments: BTreeSet<PaymentId>,
    pub payment_of_session: BTreeSet<String>,
    pub payment_of_intent: BTreeSet<String>,
    pub event_numbers: BTreeSet<String>,
    pub events: BTreeSet<i64>,
    pub waiting_events: BTreeSet<PaymentId>,
    pub unmatched_events: BTreeSet<String>,
    pub awards: BTreeSet<PaymentId>,
    pub refunds: BTreeSet<PaymentId>,
    pub disputes: BTreeSet<PaymentId>,
    pub payment_of_refund: BTreeSet<RefundId>,
    pub customers: BTreeSet<CustomerKey>,
    pub auto_topups: BTreeSet<UserId>,
    pub marks: BTreeSet<String>,
    pub coupons: BTreeSet<String>,
    pub codes: BTreeSet<CodeId>,
    pub perks: BTreeSet<PerkKey>,
    pub members: BTreeSet<UserId>,
    pub member_of_code: BTreeSet<String>,
    pub buyers: BTreeSet<UserId>,
    pub jobs: BTreeSet<JobKey>,
    pub api_keys: BTreeSet<ApiKeyId>,
    pub answers: BTreeSet<AnswerKey>,
}

impl Needs {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Collects what is needed and not loaded yet.
#[derive(Debug)]
pub struct Wanted<'a> {
    state: &'a State,
    needs: &'a mut Needs,
}

macro_rules! wanted {
    ($($(#[$doc:meta])* $name:ident($table:ident: $key:ty) $(-> $value:ty)?;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, key: &$key) $(-> Option<&'a $value>)? {
            if !self.state.$table.is_loaded(key) {
                self.needs.$table.insert(key.clone());
                $(return None::<&'a $value>;)?
            }
            $({ let row: Option<&'a $value> = self.state.$table.get(key); return row; })?
        }
    )*};
}

impl<'a> Wanted<'a> {
    /// A collector that compares with `state` and adds to `needs`.
    pub const fn new(state: &'a State, needs: &'a mut Needs) -> Self {
        Self { state, needs }
    }

    /// Whether there may be a spending limit.
    pub fn has_limits(&self) -> bool {
        self.state.may_have_limits()
    }

    wanted! {
        /// Asks for an account that is no wallet.
        account(accounts: AccountKey);
        /// Asks for a wallet; gives it if it is here.
        wallet(wallets: AccountKey) -> Arc<Wallet>;
        /// Asks for a grant; gives it if it is here.
        grant(grants: GrantId) -> Grant;
        /// Asks for a hold; gives it if it is here.
        hold(holds: HoldId) -> Hold;
        /// Asks for the spending limits of a subject.
        limits(limits: Subject);
        /// Asks whose limit it is; gives the subject if it is here.
        limit_subject(limit_subjects: LimitId) -> Subject;
        /// Asks whether a cause has been posted.
        cause(causes: Cause);
        /// Asks for a top-up; gives it if it is here.
        topup(topups: TopupId) -> Topup;
        /// Asks for a payment; gives it if it is here.
        payment(payments: PaymentId) -> Payment;
        /// Asks which payment a session belongs to.
        session(payment_of_session: String) -> PaymentId;
        /// Asks which payment an intent belongs to.
        intent(payment_of_intent: String) -> PaymentId;
        /// Asks whether an event was received.
        event_number(event_numbers: String);
        /// Asks for a stored event.
        event(events: i64);
        /// Asks which events wait for a payment.
        waiting_events(waiting_events: PaymentId) -> Vec<i64>;
        /// Asks which events are about a session or an intent that no payment has.
        unmatched_events(unmatched_events: String) -> Vec<i64>;
        /// Asks what a payment has given; tells if it is here.
        awards(awards: PaymentId) -> Vec<Award>;
        /// Asks for the refunds of a payment; gives them if they are here.
        refunds(refunds: PaymentId) -> Vec<Refund>;
        /// Asks for the disputes of a payment.
        disputes(disputes: PaymentId);
        /// Asks which payment a refund belongs to.
        payment_of_refund(payment_of_refund: RefundId) -> PaymentId;
        /// Asks who a user is at the provider.
        customer(customers: CustomerKey);
        /// Asks for the automatic top-up of a user; gives it if it is here.
        auto_topup(auto_topups: UserId) -> AutoTopup;
        /// Asks for a remembered value.
        mark(marks: String) -> String;
        /// Asks for a coupon by its code.
        coupon(coupons: String);
        /// Asks for a redeem code; gives it if it is here.
        code(codes: CodeId) -> RedeemCode;
        /// Asks for what somebody has had once; gives it if it is here.
        perk(perks: PerkKey) -> Perk;
        /// Asks for a member of the referral programme; gives it if it is here.
        member(members: UserId) -> Member;
        /// Asks whose referral code it is.
        member_of_code(member_of_code: String) -> UserId;
        /// Asks whether a user has bought.
        buyer(buyers: UserId);
        /// Asks for a job.
        job(jobs: JobKey);
        /// Asks for an API key.
        api_key(api_keys: ApiKeyId);
        /// Asks for a remembered answer.
        answer(answers: AnswerKey);
    }
}

#[cfg(test)]
mod tests;
