//! Reversals: what goes out of wallets because money has gone back.
//!
//! The facts about a payment (its refunds with their status, the movements of its disputes) name one target for everything the
//! payment has given. Each time a fact arrives, the difference between that target and what has been taken so far is posted, and
//! nothing else. So the end depends on the facts alone: not on their order, not on repetition, not on the path by which they came.

use serde::{Deserialize, Serialize};

use crate::account::{AccountKey, AccountKind};
use crate::amount::Amount;
use crate::announcement::{self, Happening};
use crate::award::Award;
use crate::command::Context;
use crate::dispute::{self, Dispute, DisputeFact};
use crate::grant::{self, Category, CreateGrant, Grant, GrantEnd, Part, Source};
use crate::id::{PaymentId, UserId};
use crate::job::{self, Claim, JobKey, JobKind};
use crate::journal::{self, Posting, Reason, Remark, Transaction};
use crate::payment::{self, Payment, PaymentStatus};
use crate::planted::{self, Bug};
use crate::refund::{self, Refund, RefundFact, RefundStatus};
use crate::refusal::Refusal;
use crate::state::{State, Wanted};
use crate::time::Time;
use crate::wallet;
use crate::word::words;

/// What happens to credit that has been spent when its money goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpentCredit {
    /// The wallet owes it: the next credit pays it back first.
    Debt,
    /// The wallet owes it, and nothing can be spent until that is paid back or an administrator lifts it.
    Freeze,
    /// The operator bears it.
    Absorb,
}

words!(SpentCredit: Debt = "debt", Freeze = "freeze", Absorb = "absorb");

/// The share of `granted` that `lost` is of `paid`, rounded down to whole steps in the customer's favour; exactly `granted` when
/// all is lost. `lost` is from 0 to `paid`, `paid` more than zero.
pub fn share_rounded_down(granted: i64, lost: i64, paid: i64) -> i64 {
    let up = i128::from(planted::is(Bug::RoundsUp)) * i128::from(paid.max(1) - 1);
    let share = (i128::from(granted) * i128::from(lost) + up) / i128::from(paid.max(1));
    // No more than granted, which fits.
    i64::try_from(share).unwrap_or(granted)
}

/// What the facts of a payment say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Refunds whose money has left, in smallest steps.
    pub refunded: i64,
    /// What banks have taken and not given back.
    pub disputed: i64,
    /// Whether a dispute or an inquiry is not decided.
    pub is_open: bool,
}

impl Standing {
    /// Adds the facts up.
    pub fn of(refunds: &[Refund], disputes: &[Dispute]) -> Self {
        let planted = |refund: &Refund| {
            planted::is(Bug::FailedRefundStands) && refund.status == RefundStatus::Failed
        };
        let asked_about = |dispute: &&Dispute| {
            planted::is(Bug::InquiryTakes)
                && dispute.status.is_open()
                && dispute.movements.is_empty()
        };
        let asked_about = disputes.iter().filter(asked_about);
        let asked_about: i64 = asked_about.map(|dispute| dispute.amount.minor).sum();
        let stands = refunds
            .iter()
            .filter(|refund| refund.status.stands() || planted(refund));
        Self {
            refunded: stands.map(|refund| refund.amount.minor).sum(),
            disputed: disputes.iter().map(Dispute::withdrawn).sum::<i64>() + asked_about,
            is_open: disputes.iter().any(|dispute| dispute.status.is_open()),
        }
    }

    /// All money that went back: more than was paid, if a payment was refunded and disputed.
    pub const fn returned(self) -> i64 {
        self.refunded + self.disputed
    }

    /// How much of `paid` is lost; no more than all of it.
    pub fn lost(self, paid: i64) -> i64 {
        self.returned().clamp(0, paid)
    }

    /// Where a payment over `paid` stands that has been paid.
    pub const fn status(self, paid: i64) -> PaymentStatus {
        if self.is_open || self.disputed > 0 {
            PaymentStatus::Disputed
        } else if self.refunded >= paid {
            PaymentStatus::Refunded
        } else if self.refunded > 0 {
            PaymentStatus::PartiallyRefunded
        } else {
            PaymentStatus::Paid
        }
    }
}

/// Rows that [`settle`] may touch, besides the payment.
pub(crate) fn needs(wanted: &mut Wanted<'_>, id: &PaymentId) {
    wanted.refunds(id);
    wanted.disputes(id);
    for award in wanted.awards(id).into_iter().flatten() {
        needs_of_award(wanted, award);
    }
}

fn needs_of_award(wanted: &mut Wanted<'_>, award: &Award) {
    grant::needs_to_give(wanted, &award.wallet, award.from);
    wanted.account(&AccountKey::house(AccountKind::Absorbed, award.wallet.unit));
}

/// Posts the difference between what the facts of a payment ask for and what has been posted for it. Until the payment is paid there
/// is nothing to take back.
pub(crate) fn settle(
    state: &mut State,
    context: &mut Context<'_>,
    id: &PaymentId,
) -> Result<(), Refusal> {
    let payment = payment::find(state, id)?.clone();
    watch(state, context.now, id);
    if !payment.status.is_paid() {
        return Ok(());
    }
    let refunds = state.refunds.get(id).map_or(&[][..], Vec::as_slice);
    let disputes = state.disputes.get(id).map_or(&[][..], Vec::as_slice);
    let standing = Standing::of(refunds, disputes);
    let moved = standing.returned() - payment.returned.posted;
    if moved != 0 {
        journal::post(state, money(context, &payment, moved))?;
    }
    let lost = standing.lost(payment.amount.minor);
    let awards = state.awards.get(id).cloned().unwrap_or_default();
    let mut settled = Vec::with_capacity(awards.len());
    for award in &awards {
        settled.push(settle_award(state, context, &payment, award, lost)?);
    }
    if settled != awards {
        state.awards.put(id.clone(), settled);
    }
    let (now, status) = (context.now, standing.status(payment.amount.minor));
    state.payments.change(id, |payment| {
        payment.status = status;
        payment.updated_at = now;
        payment.returned = payment::Returned {
            refunded: standing.refunded,
            disputed: standing.disputed,
            posted: standing.returned(),
            ..payment.returned
        };
    });
    let key = AccountKey::wallet(&payment.user);
    let is_news = moved != 0 || status != payment.status;
    if is_news && state.wallets.get(&key).is_some() {
        let happening = Happening::PaymentReturned {
            payment: id.clone(),
            status,
            refunded: standing.refunded,
            disputed: standing.disputed,
        };
        announcement::announce(state, &key, now, happening);
    }
    Ok(())
}

/// What the provider has of a payment's money: all its refunds and disputes, as a worker or a reconciliation has read them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnsRead {
    /// Which payment.
    pub payment: PaymentId,
    /// The job that asked, if one did.
    pub claim: Option<Claim>,
    /// Its refunds.
    pub refunds: Vec<RefundFact>,
    /// Its disputes.
    pub disputes: Vec<DisputeFact>,
}

impl ReturnsRead {
    pub(crate) fn needs(&self, wanted: &mut Wanted<'_>) {
        if let Some(claim) = &self.claim {
            wanted.job(&claim.key);
        }
        payment::needs_to_observe(wanted, &self.payment);
    }
}

/// Takes in what was read. What contradicts the payment is noted on it and changes nothing.
pub(crate) fn read(
    state: &mut State,
    context: &mut Context<'_>,
    read: &ReturnsRead,
) -> Result<Payment, Refusal> {
    if let Some(claim) = &read.claim {
        job::check_claim(state, claim)?;
    }
    let id = &read.payment;
    let mut mismatches = vec![];
    for fact in &read.refunds {
        mismatches.extend(refund::observe(state, context, id, fact)?.err());
    }
    for fact in &read.disputes {
        mismatches.extend(dispute::observe(state, context, id, fact)?.err());
    }
    for mismatch in mismatches {
        payment::record_mismatch(state, context.now, id, &mismatch);
    }
    if let Some(claim) = &read.claim {
        look_again(state, context.now, claim, id);
    }
    payment::find(state, id).cloned()
}

/// Whether something may still become of money that has gone back or is about to, so that it has to be read again although no
/// event asks for it.
fn is_unsettled(state: &State, id: &PaymentId) -> bool {
    let refunds = state.refunds.get(id).map_or(&[][..], Vec::as_slice);
    let disputes = state.disputes.get(id).map_or(&[][..], Vec::as_slice);
    let waits = |refund: &Refund| {
        matches!(
            refund.status,
            RefundStatus::Pending | RefundStatus::RequiresAction
        )
    };
    refunds.iter().any(waits) || disputes.iter().any(|dispute| dispute.status.is_open())
}

/// Ends the job that has read, or puts it back with a growing pause.
fn look_again(state: &mut State, now: Time, claim: &Claim, id: &PaymentId) {
    if is_unsettled(state, id) {
        job::read_later(state, now, claim);
    } else {
        job::give_up(state, now, claim);
    }
}

/// A lost event is found by reading, as with sessions.
fn watch(state: &mut State, now: Time, id: &PaymentId) {
    if is_unsettled(state, id) {
        job::owe_reading(state, now, JobKey::of_payment(JobKind::ReadReturns, id));
    }
}

fn reason(amount: i64) -> Reason {
    if amount > 0 {
        Reason::Refund
    } else {
        Reason::Reinstate
    }
}

/// The customer's money leaves the provider's account, or comes back to it.
fn money(context: &Context<'_>, payment: &Payment, moved: i64) -> Transaction {
    let [received, clearing] = payment::money_accounts(payment);
    let (from, to) = if moved > 0 {
        (clearing, received)
    } else {
        (received, clearing)
    };
    let amount = Amount::new(moved.saturating_abs(), payment.amount.unit);
    Transaction {
        reason: reason(moved),
        // The row of the payment says how much was posted, and that keeps it from happening twice.
        cause: None,
        at: context.now,
        remark: of_session(payment),
        tags: format!("payment:{}", payment.id),
        postings: vec![Posting {
            from,
            to,
            amount,
            grant: None,
        }],
    }
}

fn of_session(payment: &Payment) -> Remark {
    Remark {
        reference: payment.reference().to_owned(),
        ..Remark::default()
    }
}

/// Takes back, or gives back, so that what is taken is the target. Gives the award as it is then.
fn settle_award(
    state: &mut State,
    context: &Context<'_>,
    payment: &Payment,
    award: &Award,
    lost: i64,
) -> Result<Award, Refusal> {
    let target = share_rounded_down(award.granted, lost, payment.amount.minor);
    let transaction = |amount: i64| Transaction {
        reason: reason(amount),
        cause: None,
        at: context.now,
        remark: of_session(payment),
        tags: format!("payment:{}", payment.id),
        postings: vec![],
    };
    let change = target - award.taken;
    match change {
        0 => Ok(award.clone()),
        ..0 if planted::is(Bug::NothingGivenBack) => Ok(award.clone()),
        1.. => take(state, context, award, change, transaction(change)),
        _ => give_back(state, award, -change, transaction(change)),
    }
}

/// Takes from the award's own grants what is free in them; the rest has been spent, and the policy says who bears it.
fn take(
    state: &mut State,
    context: &Context<'_>,
    award: &Award,
    amount: i64,
    mut transaction: Transaction,
) -> Result<Award, Refusal> {
    let (key, now) = (&award.wallet, context.now);
    wallet::open(state, key, now);
    let parts = free_parts(state, award, amount);
    let spent = amount - parts.iter().map(|part| part.amount).sum::<i64>();
    let policy = context.policy.spent_credit;
    let (debt, absorbed) = match policy {
        SpentCredit::Debt | SpentCredit::Freeze => (spent, 0),
        SpentCredit::Absorb => (0, spent),
    };
    transaction.postings = grant::postings(key, &parts, debt, award.from);
    transaction.postings.extend((absorbed > 0).then(|| Posting {
        from: AccountKey::house(AccountKind::Absorbed, key.unit),
        to: AccountKey::house(award.from, key.unit),
        amount: Amount::new(absorbed, key.unit),
        grant: None,
    }));
    let before = wallet::available(state, key, now);
    journal::post(state, transaction)?;
    grant::take_as(state, key, &parts, now, GrantEnd::Voided);
    let fall = (before, wallet::available(state, key, now));
    announcement::announce_fall(state, key, now, context.policy.balance_low, fall);
    if policy == SpentCredit::Freeze && spent > 0 {
        wallet::change(state, key, |wallet| wallet.frozen = true);
    }
    let amount = if planted::is(Bug::RefundTwice) {
        0
    } else {
        amount
    };
    Ok(Award {
        taken: award.taken + amount,
        absorbed: award.absorbed + absorbed,
        ..award.clone()
    })
}

/// What can be taken of the grants of an award: what no hold reserves.
fn free_parts(state: &State, award: &Award, amount: i64) -> Vec<Part> {
    let live = state.wallets.get(&award.wallet);
    let grants = live.map_or(&[][..], |wallet| &wallet.grants);
    let (mut parts, mut left) = (Vec::new(), amount);
    for grant in grants.iter().filter(|it| award.grants.contains(&it.id)) {
        let amount = left.min(Grant::free(grant));
        if amount > 0 {
            let grant = grant.id;
            parts.push(Part { grant, amount });
            left -= amount;
        }
    }
    parts
}

/// Gives back: first to the operator what he has borne, then to the wallet as a new grant, which pays a debt first.
fn give_back(
    state: &mut State,
    award: &Award,
    amount: i64,
    transaction: Transaction,
) -> Result<Award, Refusal> {
    let key = &award.wallet;
    let relieved = award.absorbed.min(amount);
    let mut settled = Award {
        taken: award.taken - amount,
        absorbed: award.absorbed - relieved,
        ..award.clone()
    };
    if relieved > 0 {
        let postings = vec![Posting {
            from: AccountKey::house(award.from, key.unit),
            to: AccountKey::house(AccountKind::Absorbed, key.unit),
            amount: Amount::new(relieved, key.unit),
            grant: None,
        }];
        let relief = Transaction {
            postings,
            ..transaction.clone()
        };
        journal::post(state, relief)?;
    }
    if amount > relieved {
        let (category, source) = match award.from {
            AccountKind::Sold => (Category::Paid, Source::Topup),
            _ => (Category::Promotional, Source::Bonus),
        };
        let amount = Amount::new(amount - relieved, key.unit);
        let user = UserId::parse(key.owner.as_str()).ok_or(Refusal::PaymentNotFound)?;
        let terms = CreateGrant::plain(user, amount, category, source);
        let given = grant::give(state, &terms, award.from, transaction)?;
        settled.grants.push(given.id);
    }
    Ok(settled)
}

#[cfg(test)]
mod tests;
