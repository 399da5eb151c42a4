//! How holds end: settled, given back, or by the clock.

use super::{Hold, HoldStatus, Overage, cause, merged, open};
use crate::account::AccountKind;
use crate::announcement::{self, Happening};
use crate::charge::{self, Spending};
use crate::command::Context;
use crate::grant::{self, AMOUNT_MAX, Part, within};
use crate::id::{HoldId, TransactionId};
use crate::journal::{self, Reason, Remark};
use crate::limit::{self, SpendingLimit, Use};
use crate::planted::{self, Bug};
use crate::refusal::Refusal;
use crate::state::State;
use crate::wallet;

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
        let (subjects, unit) = (hold.subjects()?, hold.wallet.unit);
        limit::check(state, &subjects, unit, context.now, |_| extra)?;
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

/// Settles a hold whose time has run out for the progress reported last, as far as the wallet has it and limits allow. Does
/// nothing if it has ended or still has time.
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
    let allowed = limit::room(state, &hold.subjects()?, hold.wallet.unit, context.now);
    let room = room.min(allowed);
    let used = hold.progress.min(hold.amount.saturating_add(room.max(0)));
    let in_full = planted::is(Bug::HoldExpiresInFull);
    let end = End {
        status: HoldStatus::Expired,
        used: if in_full { hold.amount } else { used },
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
    let subjects = hold.subjects()?;
    if end.used > 0 {
        journal::check_cause(state, &cause(hold.id))?;
    }
    // A grant that has expired meanwhile has done so before the hold gives anything back.
    grant::close_due(state, key, now)?;
    let before = wallet::available(state, key, now);
    let charge = pay(state, context, hold, end.used, remark)?;
    // What comes back from a grant that has expired or was voided meanwhile leaves with it.
    grant::close_due(state, key, now)?;
    if state.may_have_limits() {
        // Limits that counted the hold stop doing so; all that are there now count what was used.
        let used = |limit: &SpendingLimit| Use {
            spent: end.used,
            reserved: if hold.is_counted_by(limit) {
                -hold.amount
            } else {
                0
            },
        };
        limit::count(state, &subjects, key, now, used);
    }
    let after = wallet::available(state, key, now);
    announcement::announce_fall(state, key, now, context.policy.balance_low, (before, after));
    let balance = state.wallets.get(key).map(|wallet| wallet.account.balance);
    Ok(state.holds.change(&hold.id, |hold| {
        hold.remark = hold.remark.followed_by(remark);
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

/// Stops reserving and books what was used, if anything. What is more than was reserved is taken like anything else that is
/// spent.
fn pay(
    state: &mut State,
    context: &Context<'_>,
    hold: &Hold,
    used: i64,
    remark: &Remark,
) -> Result<Option<TransactionId>, Refusal> {
    let (key, now) = (&hold.wallet, context.now);
    let extra = (used - hold.amount).max(0);
    let (more, debt) = match state.wallets.get(key) {
        Some(wallet) if extra > 0 => wallet.burn(extra, now),
        _ => (vec![], extra),
    };
    unreserve(state, hold);
    if used == 0 {
        return Ok(None);
    }
    let mut tags = hold.spender.tags();
    tags.insert(0, format!("hold:{}", hold.id));
    let spending = Spending {
        key: key.clone(),
        amount: used,
        to: AccountKind::Spent,
        reason: Reason::Settle,
        cause: Some(cause(hold.id)),
        remark: hold.remark.followed_by(remark),
        tags: tags.join(" "),
    };
    let parts = merged(&first_of(&hold.parts, used), &more);
    charge::pay(state, now, spending, parts, debt).map(|charged| Some(charged.id))
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
