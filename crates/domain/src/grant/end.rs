//! How grants end: they expire, perhaps with a rest that rolls over, or they are taken back.

use super::{Grant, GrantEnd, Part, Source, postings, put_in, take};
use crate::account::{AccountKey, AccountKind};
use crate::amount::Amount;
use crate::announcement::{self, Happening};
use crate::id::GrantId;
use crate::journal::{self, Posting, Reason, Remark, Transaction};
use crate::refusal::Refusal;
use crate::state::State;
use crate::time::Time;
use crate::wallet;

/// What becomes of what is free in a grant that ends; all else of it leaves the wallet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Rest {
    /// So much pays a debt: value that would expire does so first.
    pub(crate) repaid: i64,
    /// So much passes to a new grant.
    pub(crate) rolled: i64,
}

impl Grant {
    /// Whether something of it has to be booked: it has expired, or it has ended and a hold has given some of it back.
    pub(crate) fn is_due(&self, now: Time) -> bool {
        match self.end {
            Some(_) => self.free() > 0,
            None => self.has_expired(now),
        }
    }

    /// What becomes of what is free, in a wallet that owes `debt`.
    pub(crate) fn rest(&self, end: GrantEnd, debt: i64, now: Time) -> Rest {
        if end != GrantEnd::Expired {
            return Rest::default();
        }
        let repaid = debt.clamp(0, self.free());
        let cap = self.rolls(now).map_or(0, |(cap, _)| cap);
        Rest {
            repaid,
            rolled: cap.min(self.free() - repaid),
        }
    }

    /// How much may pass on, and until when the new grant holds. That is counted from the expiry, so that it does not matter when
    /// it is booked; and it happens once, so that what a hold gives back afterwards does not pass on, too.
    fn rolls(&self, now: Time) -> Option<(i64, Time)> {
        let roll = self.roll_over.filter(|_| self.end.is_none())?;
        let until = self.expires_at?.plus_seconds(roll.seconds);
        (until > now).then_some((roll.cap, until))
    }
}

/// Books what is free in grants that have expired, or were voided while a hold reserved it. Called before anything is spent,
/// reserved or granted, when a hold gives back, and by the clock. What is available does not change by it.
///
/// It moves no more than there is, so it cannot refuse.
pub(crate) fn close_due(state: &mut State, key: &AccountKey, now: Time) -> Result<(), Refusal> {
    let Some(wallet) = state.wallets.get(key) else {
        return Ok(());
    };
    let due = wallet.grants.iter().filter(|grant| grant.is_due(now));
    let due: Vec<Grant> = due.cloned().collect();
    for grant in due {
        let end = grant.end.unwrap_or(GrantEnd::Expired);
        close(state, &grant, end, now, &Remark::default())?;
    }
    Ok(())
}

/// Ends a grant: what is free leaves the wallet now, what holds reserve of it later.
fn close(
    state: &mut State,
    grant: &Grant,
    end: GrantEnd,
    now: Time,
    remark: &Remark,
) -> Result<(), Refusal> {
    let (key, free) = (&grant.wallet, grant.free());
    let debt = state.wallets.get(key).map_or(0, |wallet| wallet.debt());
    let rest = grant.rest(end, debt, now);
    if free > rest.rolled {
        leave(state, grant, (end, rest), now, remark)?;
    }
    if rest.rolled > 0 {
        let mut passes_on = transaction(grant, Reason::RollOver, now, &Remark::default());
        let part = part_of(grant, rest.rolled);
        passes_on.postings = postings(key, &[part], 0, AccountKind::RolledOver);
        journal::post(state, passes_on)?;
    }
    let part = part_of(grant, free);
    wallet::change(state, key, |wallet| {
        if let Some(grant) = wallet.grant_mut(&part) {
            grant.end = Some(end);
            // It has ended: nobody has to be told any more that it will.
            grant.announced = true;
        }
    });
    take(state, key, &[part], now);
    // What a hold reserves of it is still there; that it has ended has to be kept.
    if let Some(left) = live(state, key, grant.id) {
        state.grants.put(left.id, left);
    }
    if rest.rolled > 0 {
        roll_over(state, grant, rest.rolled, now)?;
    }
    if end == GrantEnd::Expired && free > 0 {
        let happening = Happening::GrantExpired {
            grant: grant.id,
            expired: free - rest.rolled - rest.repaid,
            rolled_over: rest.rolled,
        };
        announcement::announce(state, key, now, happening);
    }
    Ok(())
}

const fn part_of(grant: &Grant, amount: i64) -> Part {
    Part {
        grant: grant.id,
        amount,
    }
}

fn transaction(grant: &Grant, reason: Reason, now: Time, remark: &Remark) -> Transaction {
    Transaction {
        reason,
        cause: None,
        at: now,
        remark: remark.clone(),
        tags: format!("grant:{}", grant.id),
        postings: vec![],
    }
}

/// Posts what does not roll over out of the wallet, and what pays a debt back into it.
fn leave(
    state: &mut State,
    grant: &Grant,
    (end, rest): (GrantEnd, Rest),
    now: Time,
    remark: &Remark,
) -> Result<(), Refusal> {
    let key = &grant.wallet;
    let (reason, to) = if end == GrantEnd::Expired {
        (Reason::Expire, AccountKind::Breakage)
    } else {
        (Reason::Void, grant.from)
    };
    let mut leaves = transaction(grant, reason, now, remark);
    let part = part_of(grant, grant.free() - rest.rolled);
    leaves.postings = postings(key, &[part], 0, to);
    leaves.postings.extend((rest.repaid > 0).then(|| Posting {
        from: AccountKey::house(to, key.unit),
        to: key.clone(),
        amount: Amount::new(rest.repaid, key.unit),
        grant: None,
    }));
    journal::post(state, leaves).map(drop)
}

/// What passes on of an expired grant becomes a grant of its own, which does not roll over again.
fn roll_over(state: &mut State, grant: &Grant, amount: i64, now: Time) -> Result<(), Refusal> {
    let passes_on = transaction(grant, Reason::RollOver, now, &Remark::default());
    let next = Grant {
        source: Source::RollOver,
        starts_at: None,
        expires_at: grant.rolls(now).map(|(_, until)| until),
        roll_over: None,
        granted: amount,
        held: 0,
        announced: false,
        ..grant.clone()
    };
    put_in(state, next, AccountKind::RolledOver, passes_on).map(drop)
}

/// The grant as its wallet knows it, if something of it is left.
fn live(state: &State, key: &AccountKey, id: GrantId) -> Option<Grant> {
    let wallet = state.wallets.get(key)?;
    wallet.grants.iter().find(|grant| grant.id == id).cloned()
}

/// Takes a grant back: what is free goes to where it came from; what holds reserve follows if they give it back.
pub(crate) fn void(
    state: &mut State,
    now: Time,
    id: GrantId,
    remark: &Remark,
) -> Result<Grant, Refusal> {
    let stored = state.grants.get(&id).ok_or(Refusal::GrantNotFound)?.clone();
    let key = &stored.wallet;
    let ended = |end| Err(Refusal::GrantEnded { end });
    let Some(known) = live(state, key, id) else {
        return match stored.end {
            Some(GrantEnd::Voided) => Ok(stored),
            end => ended(end.unwrap_or(GrantEnd::Spent)),
        };
    };
    if known.end == Some(GrantEnd::Voided) {
        return Ok(known);
    }
    // It has expired, whether or not that has been booked: what is free does not go back any more.
    if known.has_expired(now) && known.held == 0 {
        return ended(GrantEnd::Expired);
    }
    close_due(state, key, now)?;
    if let Some(left) = live(state, key, id) {
        close(state, &left, GrantEnd::Voided, now, remark)?;
    }
    let voided = live(state, key, id).or_else(|| state.grants.get(&id).cloned());
    voided.ok_or(Refusal::GrantNotFound)
}
