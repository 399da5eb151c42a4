//! Holds: reserve an estimate, report progress, settle once for what it came to, or give it back.
//!
//! A hold is open until its first end: settled, released, or expired. An end that comes again gets the first answer; every other
//! call for a hold that has ended is refused by the name of its end. A hold that nobody ends settles at its expiry for the
//! progress reported last: a stream whose client has gone is not free, and not charged in full.

mod end;

use serde::{Deserialize, Serialize};

use crate::account::AccountKey;
use crate::announcement;
use crate::charge::{self, Charge};
use crate::command::Context;
use crate::grant::{self, AMOUNT_MAX, Part, within};
use crate::id::{HoldId, LimitId, TransactionId, UserId};
use crate::journal::{Cause, Remark};
use crate::limit::{self, Spender, SpendingLimit, Subject, Use};
use crate::planted::{self, Bug};
use crate::refusal::Refusal;
use crate::state::{State, Wanted};
use crate::time::Time;
use crate::wallet::{self, Reservation};
use crate::word::words;

pub(crate) use end::{expire, release, settle};

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
        UserId::parse(self.wallet.owner.as_str()).ok_or(Refusal::HoldNotFound)
    }

    /// Everybody whose limits count.
    fn subjects(&self) -> Result<Vec<Subject>, Refusal> {
        Ok(self.spender.subjects(&self.user()?))
    }

    /// Whether this limit counts it as reserved.
    fn is_counted_by(&self, limit: &SpendingLimit) -> bool {
        self.limits.contains(&limit.id)
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

/// Reserves, or says why not: the same checks as for a charge that makes no debt, whatever the wish says about debt.
pub(crate) fn create(
    state: &mut State,
    context: &Context<'_>,
    wish: &CreateHold,
) -> Result<Hold, Refusal> {
    let (now, policy, charge) = (context.now, context.policy, &wish.charge);
    let seconds = wish.seconds.unwrap_or(policy.hold_seconds);
    within("expires_in", seconds, 1, SECONDS_MAX)?;
    let amount = charge::check_down_to(state, context, charge, 0)?;
    let key = charge.wallet();
    let open = state.wallets.get(&key).map_or(0, |it| it.holds.len());
    if open >= OPEN_MAX {
        return Err(too_many());
    }
    grant::close_due(state, &key, now)?;
    let id = HoldId::of(state.sequence.next_hold());
    // A fresh number has never been a cause; nothing needs to be asked of the store. Whoever settles it in the same batch has to
    // know.
    state.causes.load(cause(id), None);
    let before = wallet::available(state, &key, now);
    let parts = reserve(state, &key, id, amount, now);
    let limits = if state.may_have_limits() {
        let subjects = charge.spender.subjects(&charge.user);
        limit::count(state, &subjects, &key, now, |_| Use::reserved(amount))
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

/// Notes on the wallet that a hold reserves so much, besides what it reserves already; what of which grant.
fn reserve(state: &mut State, key: &AccountKey, id: HoldId, amount: i64, now: Time) -> Vec<Part> {
    wallet::change(state, key, |wallet| {
        let (parts, _) = wallet.burn(amount, now);
        for part in &parts {
            if let Some(grant) = wallet.grant_mut(part) {
                grant.held += part.amount;
            }
        }
        match wallet.holds.iter_mut().find(|held| held.hold == id) {
            Some(held) => held.parts = merged(&held.parts, &parts),
            None => wallet.holds.push(Reservation {
                hold: id,
                parts: parts.clone(),
            }),
        }
        parts
    })
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
        HoldStatus::Open if now < hold.expires_at || planted::is(Bug::HoldOutlivesItsTime) => {
            Ok(hold.clone())
        }
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

/// Reserves more, or for longer, or both. Time alone needs nothing of the wallet and of its limits.
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
    let (parts, limits) = if more > 0 {
        reserve_more(state, context, &hold, more)?
    } else {
        (vec![], vec![])
    };
    Ok(state.holds.change(&id, |hold| {
        hold.amount += more;
        hold.parts = merged(&hold.parts, &parts);
        let known = std::mem::take(&mut hold.limits);
        let new = limits.into_iter().filter(|limit| !known.contains(limit));
        hold.limits = known.iter().copied().chain(new).collect();
        if let Some(seconds) = seconds {
            hold.expires_at = hold.expires_at.max(now.plus_seconds(seconds));
        }
        hold.updated_at = now;
        hold.clone()
    }))
}

/// What is reserved of which grant, and which limits count the hold now.
fn reserve_more(
    state: &mut State,
    context: &Context<'_>,
    hold: &Hold,
    more: i64,
) -> Result<(Vec<Part>, Vec<LimitId>), Refusal> {
    let (now, key) = (context.now, &hold.wallet);
    let subjects = hold.subjects()?;
    // A limit that was set after the hold was made counts all of it from now on: it will count what the hold settles, too.
    let adds = |limit: &SpendingLimit| {
        if hold.is_counted_by(limit) {
            more
        } else {
            hold.amount + more
        }
    };
    if state.may_have_limits() {
        limit::check(state, &subjects, key.unit, now, adds)?;
    }
    charge::covers(state, key, more, 0, now)?;
    grant::close_due(state, key, now)?;
    let before = wallet::available(state, key, now);
    let parts = reserve(state, key, hold.id, more, now);
    let limits = if state.may_have_limits() {
        limit::count(state, &subjects, key, now, |limit| {
            Use::reserved(adds(limit))
        })
    } else {
        vec![]
    };
    let fall = (before, before - more);
    announcement::announce_fall(state, key, now, context.policy.balance_low, fall);
    Ok((parts, limits))
}

#[cfg(test)]
mod tests;
