//! Holds: reserve an estimate, report progress, settle once for what it came to, or give it back.
//!
//! A hold is open until its first end: settled, released, or expired. An end that comes again gets the first answer; every other
//! call for a hold that has ended is refused by the name of its end. A hold that nobody ends settles at its expiry for the
//! progress reported last: a stream whose client has gone is not free, and not charged in full.

use serde::{Deserialize, Serialize};

use crate::account::{AccountKey, AccountKind};
use crate::amount::Amount;
use crate::announcement::{self, Happening};
use crate::charge::{self, Charge, Spending};
use crate::command::Context;
use crate::grant::{self, AMOUNT_MAX, Part, within, words};
use crate::id::{HoldId, LimitId, TransactionId, UserId};
use crate::journal::{Cause, Reason, Remark};
use crate::limit::{self, Spender, Use};
use crate::refusal::Refusal;
use crate::state::{State, Wanted};
use crate::time::Time;
use crate::wallet::{self, Reservation};

/// What happens when more was used than is reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overage {
    /// It cannot be settled: extend the hold first.
    Refuse,
    /// The rest is charged like anything else, if the wallet has it.
    Charge,
    /// The rest is charged, and the wallet may go below zero, down to its overdraft.
    Debt,
}

/// Where a hold stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldStatus {
    /// It reserves.
    Open,
    /// It was settled.
    Settled,
    /// It was given back whole.
    Released,
    /// Its time ran out: it was settled for the progress reported last.
    Expired,
}

words!(Overage: Refuse = "refuse", Charge = "charge", Debt = "debt");
words!(HoldStatus: Open = "open", Settled = "settled", Released = "released", Expired = "expired");

/// Most open holds of one wallet.
pub const OPEN_MAX: usize = 1_000;

/// The longest a hold may last from now, in seconds: 30 days.
pub const SECONDS_MAX: i64 = 30 * 86_400;

/// Value reserved for something whose cost is not known yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Its id.
    pub id: HoldId,
    /// Whose wallet, and in which unit.
    pub wallet: AccountKey,
    /// How much is reserved, or was until it ended, in smallest steps.
    pub amount: i64,
    /// How much was used so far, by the last report.
    pub progress: i64,
    /// What it reserves of each grant, in burn order.
    pub parts: Vec<Part>,
    /// What happens when more was used than is reserved.
    pub overage: Overage,
    /// Whose limits count besides the user's.
    pub spender: Spender,
    /// The limits that count it as reserved.
    pub limits: Vec<LimitId>,
    /// Where it stands.
    pub status: HoldStatus,
    /// What it was settled for, once it has ended.
    pub settled: i64,
    /// What was used and could not be charged when it expired.
    pub uncovered: i64,
    /// The charge that settled it, if it came to anything.
    pub charge: Option<TransactionId>,
    /// The wallet's balance after it ended.
    pub balance: Option<i64>,
    /// What was said about it.
    pub remark: Remark,
    /// When it was made.
    pub created_at: Time,
    /// When it ends by itself.
    pub expires_at: Time,
    /// When it last changed.
    pub updated_at: Time,
    /// When it ended.
    pub ended_at: Option<Time>,
}

impl Hold {
    /// The user whose wallet it is in.
    fn user(&self) -> Result<UserId, Refusal> {
        UserId::parse(&self.wallet.owner).ok_or(Refusal::HoldNotFound)
    }
}

/// Asks to reserve something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateHold {
    /// Whose wallet, how much, whose limits, and what is said about it. It may not make debt.
    pub charge: Charge,
    /// For how long, in seconds; none: as the operator's policy says.
    pub seconds: Option<i64>,
    /// What happens when more was used; none: as the operator's policy says.
    pub overage: Option<Overage>,
}

pub(crate) fn needs_of(wanted: &mut Wanted<'_>, id: HoldId) {
    if let Some(hold) = wanted.hold(&id)
        && let Ok(user) = hold.user()
    {
        grant::needs_wallet(wanted, &hold.wallet);
        charge::needs_limits(wanted, &user, &hold.spender);
        wanted.cause(&cause(id));
    }
}

fn cause(id: HoldId) -> Cause {
    Cause::new("hold", &id.number().to_string())
}

/// Reserves, or says why not: the same checks as for a charge that makes no debt.
pub(crate) fn create(
    state: &mut State,
    context: &Context<'_>,
    wish: &CreateHold,
) -> Result<Hold, Refusal> {
    let (now, policy, charge) = (context.now, context.policy, &wish.charge);
    let seconds = wish.seconds.unwrap_or(policy.hold_seconds);
    within("expires_in", seconds, 1, SECONDS_MAX)?;
    let amount = charge::check(state, context, charge)?;
    let key = charge.wallet();
    let wallet = state.wallets.get(&key);
    let (parts, _) = wallet.map_or((vec![], amount), |wallet| wallet.burn(amount, now));
    if wallet.is_some_and(|wallet| wallet.holds.len() >= OPEN_MAX) {
        return Err(too_many());
    }
    let id = HoldId::of(state.sequence.next_hold());
    let before = wallet::available(state, &key, now);
    reserve(state, &key, id, &parts);
    let subjects = charge.spender.subjects(&charge.user);
    let limits = if state.has_limits {
        limit::count(state, &subjects, &key, Use::Reserve(amount), now, |_| true)
    } else {
        vec![]
    };
    let fall = (before, before - amount);
    announcement::announce_fall(state, &key, now, policy.balance_low, fall);
    let hold = Hold {
        id,
        wallet: key,
        amount,
        progress: 0,
        parts,
        overage: wish.overage.unwrap_or(policy.hold_overage),
        spender: charge.spender.clone(),
        limits,
        status: HoldStatus::Open,
        settled: 0,
        uncovered: 0,
        charge: None,
        balance: None,
        remark: charge.remark.clone(),
        created_at: now,
        expires_at: now.plus_seconds(seconds),
        updated_at: now,
        ended_at: None,
    };
    state.holds.insert(id, hold.clone());
    Ok(hold)
}

fn too_many() -> Refusal {
    Refusal::TooMany {
        what: "open holds in one wallet".into(),
        most: i64::try_from(OPEN_MAX).unwrap_or(i64::MAX),
    }
}

/// Notes on the wallet that a hold reserves these parts, besides what it reserves already.
fn reserve(state: &mut State, key: &AccountKey, id: HoldId, parts: &[Part]) {
    wallet::change(state, key, |wallet| {
        for part in parts {
            if let Some(grant) = wallet.grant_mut(part) {
                grant.held += part.amount;
            }
        }
        match wallet.holds.iter_mut().find(|held| held.hold == id) {
            Some(held) => held.parts = merged(&held.parts, parts),
            None => wallet.holds.push(Reservation {
                hold: id,
                parts: parts.to_vec(),
            }),
        }
    });
}

/// Both lists of parts in one, a grant at most once, in the order of their first mention.
fn merged(one: &[Part], other: &[Part]) -> Vec<Part> {
    let mut parts = one.to_vec();
    for part in other {
        match parts.iter_mut().find(|known| known.grant == part.grant) {
            Some(known) => known.amount += part.amount,
            None => parts.push(*part),
        }
    }
    parts
}

/// The hold, if it is open and its time has not run out.
fn open(state: &State, id: HoldId, now: Time) -> Result<Hold, Refusal> {
    let hold = state.holds.get(&id).ok_or(Refusal::HoldNotFound)?;
    match hold.status {
        HoldStatus::Open if now < hold.expires_at => Ok(hold.clone()),
        HoldStatus::Open => Err(Refusal::HoldEnded {
            status: HoldStatus::Expired,
        }),
        status => Err(Refusal::HoldEnded { status }),
    }
}

/// Takes in how much was used so far. Reports count up; one that says less than an earlier one is refused.
pub(crate) fn progress(
    state: &mut State,
    now: Time,
    id: HoldId,
    used: i64,
) -> Result<Hold, Refusal> {
    let hold = open(state, id, now)?;
    within("credits", used, hold.progress, AMOUNT_MAX)?;
    if used > hold.amount && hold.overage == Overage::Refuse {
        return Err(Refusal::HoldExceeded {
            held: hold.amount,
            given: used,
        });
    }
    Ok(state.holds.change(&id, |hold| {
        hold.progress = used;
        hold.updated_at = now;
        hold.clone()
    }))
}

/// Reserves more, or for longer, or both.
pub(crate) fn extend(
    state: &mut State,
    context: &Context<'_>,
    id: HoldId,
    more: i64,
    seconds: Option<i64>,
) -> Result<Hold, Refusal> {
    let now = context.now;
    let hold = open(state, id, now)?;
    within("credits", more, 0, AMOUNT_MAX - hold.amount)?;
    if let Some(seconds) = seconds {
        within("expires_in", seconds, 1, SECONDS_MAX)?;
    }
    let subjects = hold.spender.subjects(&hold.user()?);
    if state.has_limits {
        let amount = Amount::new(more, hold.wallet.unit);
        limit::check(state, &subjects, amount, now)?;
    }
    charge::covers(state, &hold.wallet, more, 0, now)?;
    let wallet = state.wallets.get(&hold.wallet);
    let parts = wallet.map_or(vec![], |wallet| wallet.burn(more, now).0);
    let before = wallet::available(state, &hold.wallet, now);
    reserve(state, &hold.wallet, id, &parts);
    if state.has_limits {
        // A limit that was set after the hold was made does not count it, and does not count what is added either.
        let counts = |limit: &limit::SpendingLimit| hold.limits.contains(&limit.id);
        let what = Use::Reserve(more);
        limit::count(state, &subjects, &hold.wallet, what, now, counts);
    }
    let fall = (before, before - more);
    announcement::announce_fall(state, &hold.wallet, now, context.policy.balance_low, fall);
    Ok(state.holds.change(&id, |hold| {
        hold.amount += more;
        hold.parts = merged(&hold.parts, &parts);
        if let Some(seconds) = seconds {
            hold.expires_at = hold.expires_at.max(now.plus_seconds(seconds));
        }
        hold.updated_at = now;
        hold.clone()
    }))
}

/// Ends a hold with what it came to: less than reserved, as much, or more if its overage allows.
pub(crate) fn settle(
    state: &mut State,
    context: &Context<'_>,
    id: HoldId,
    used: i64,
    remark: &Remark,
) -> Result<Hold, Refusal> {
    let known = state.holds.get(&id).ok_or(Refusal::HoldNotFound)?;
    if known.status == HoldStatus::Settled && known.settled == used {
        return Ok(known.clone());
    }
    let hold = open(state, id, context.now)?;
    within("credits", used, 0, AMOUNT_MAX)?;
    let extra = (used - hold.amount).max(0);
    if extra > 0 {
        let floor = match hold.overage {
            Overage::Refuse => {
                return Err(Refusal::HoldExceeded {
                    held: hold.amount,
                    given: used,
                });
            }
            Overage::Charge => 0,
            Overage::Debt => charge::overdraft(state, context.policy, &hold.wallet),
        };
        charge::covers(state, &hold.wallet, extra, floor, context.now)?;
    }
    let end = End {
        status: HoldStatus::Settled,
        used,
        uncovered: 0,
    };
    finish(state, context, &hold, end, remark)
}

/// Gives a hold back whole.
pub(crate) fn release(
    state: &mut State,
    context: &Context<'_>,
    id: HoldId,
    remark: &Remark,
) -> Result<Hold, Refusal> {
    let known = state.holds.get(&id).ok_or(Refusal::HoldNotFound)?;
    if known.status == HoldStatus::Released {
        return Ok(known.clone());
    }
    let hold = open(state, id, context.now)?;
    let end = End {
        status: HoldStatus::Released,
        used: 0,
        uncovered: 0,
    };
    finish(state, context, &hold, end, remark)
}

/// Settles a hold whose time has run out for the progress reported last, as far as the wallet has it. Does nothing if it has
/// ended or still has time.
pub(crate) fn expire(state: &mut State, context: &Context<'_>, id: HoldId) -> Result<(), Refusal> {
    let Some(hold) = state.holds.get(&id).cloned() else {
        return Ok(());
    };
    if hold.status != HoldStatus::Open || context.now < hold.expires_at {
        return Ok(());
    }
    let floor = match hold.overage {
        Overage::Refuse | Overage::Charge => 0,
        Overage::Debt => charge::overdraft(state, context.policy, &hold.wallet),
    };
    let room = wallet::available(state, &hold.wallet, context.now).saturating_add(floor);
    let used = hold.progress.min(hold.amount.saturating_add(room.max(0)));
    let end = End {
        status: HoldStatus::Expired,
        used,
        uncovered: hold.progress - used,
    };
    finish(state, context, &hold, end, &Remark::default())?;
    let happening = Happening::HoldExpired {
        hold: id,
        settled: end.used,
        uncovered: end.uncovered,
    };
    announcement::announce(state, &hold.wallet, context.now, happening);
    Ok(())
}

#[derive(Clone, Copy)]
struct End {
    status: HoldStatus,
    used: i64,
    uncovered: i64,
}

/// The one way a hold ends: books what was used, out of what it reserved first, and gives the rest back.
fn finish(
    state: &mut State,
    context: &Context<'_>,
    hold: &Hold,
    end: End,
    remark: &Remark,
) -> Result<Hold, Refusal> {
    let (key, now) = (&hold.wallet, context.now);
    let before = wallet::available(state, key, now);
    let mut paid = first_of(&hold.parts, end.used);
    let extra = (end.used - hold.amount).max(0);
    let (more, debt) = match state.wallets.get(key) {
        Some(wallet) if extra > 0 => wallet.burn(extra, now),
        _ => (vec![], extra),
    };
    paid = merged(&paid, &more);
    unreserve(state, hold);
    let mut charge = None;
    if end.used > 0 {
        let remark = if *remark == Remark::default() {
            &hold.remark
        } else {
            remark
        };
        let mut tags = hold.spender.tags();
        tags.insert(0, format!("hold:{}", hold.id));
        let spending = Spending {
            key: key.clone(),
            amount: end.used,
            to: AccountKind::Spent,
            reason: Reason::Settle,
            cause: Some(cause(hold.id)),
            remark: remark.clone(),
            tags: tags.join(" "),
        };
        charge = Some(charge::pay(state, now, spending, paid, debt)?.id);
    }
    // What comes back from a grant that has expired or was voided meanwhile leaves with it.
    grant::close_due(state, key, now)?;
    count_end(state, hold, end.used, now)?;
    let after = wallet::available(state, key, now);
    announcement::announce_fall(state, key, now, context.policy.balance_low, (before, after));
    let balance = state.wallets.get(key).map(|wallet| wallet.account.balance);
    Ok(state.holds.change(&hold.id, |hold| {
        hold.status = end.status;
        hold.settled = end.used;
        hold.uncovered = end.uncovered;
        hold.charge = charge;
        hold.balance = balance;
        hold.updated_at = now;
        hold.ended_at = Some(now);
        hold.clone()
    }))
}

/// The first parts, up to `amount` in all.
fn first_of(parts: &[Part], amount: i64) -> Vec<Part> {
    let mut left = amount;
    let mut taken = Vec::new();
    for part in parts {
        let amount = part.amount.min(left);
        if amount > 0 {
            taken.push(Part { amount, ..*part });
            left -= amount;
        }
    }
    taken
}

fn unreserve(state: &mut State, hold: &Hold) {
    wallet::change(state, &hold.wallet, |wallet| {
        for part in &hold.parts {
            if let Some(grant) = wallet.grant_mut(part) {
                grant.held -= part.amount;
            }
        }
        wallet.holds.retain(|held| held.hold != hold.id);
    });
}

/// Limits that counted the hold stop doing so; all that are there now count what was used.
fn count_end(state: &mut State, hold: &Hold, used: i64, now: Time) -> Result<(), Refusal> {
    if !state.has_limits {
        return Ok(());
    }
    let subjects = hold.spender.subjects(&hold.user()?);
    let counted = |limit: &limit::SpendingLimit| hold.limits.contains(&limit.id);
    let back = Use::Reserve(-hold.amount);
    limit::count(state, &subjects, &hold.wallet, back, now, counted);
    if used > 0 {
        let what = Use::Spend(used);
        limit::count(state, &subjects, &hold.wallet, what, now, |_| true);
    }
    Ok(())
}
