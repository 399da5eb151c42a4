//! What users have, and what becomes of it when it is spent or reserved.

use bursar_domain::hold::{HoldStatus, Overage};
use bursar_domain::id::{HoldId, UserId};
use bursar_domain::refusal::Refusal;
use bursar_domain::time::Time;

use super::frozen::Frozen;
use super::limit::Limit;
use super::{Held, Model, Paying};

/// How far below zero a wallet may go where debt is allowed and nobody has said anything else of it: the operator's standard.
const OVERDRAFT: i64 = 1_000_000;

impl Model {
    /// What a user has, reserved or not.
    pub(crate) fn balance(&self, user: &UserId) -> i64 {
        let bought = self.topups.values().filter(|bought| bought.user == *user);
        let bought = bought.map(|bought| {
            let paying = bought.paid_by.as_ref().and_then(|id| self.payments.get(id));
            let parts = [bought.credits, bought.bonus];
            let left = |paying: &Paying| parts.map(|part| part - paying.target(part)).iter().sum();
            let by_hand = if bought.by_hand {
                parts.iter().sum()
            } else {
                0
            };
            paying.map_or(by_hand, left)
        });
        let given = self.given.get(user).copied().unwrap_or(0);
        let spent = self.spent.get(user).copied().unwrap_or(0);
        given - spent + bought.sum::<i64>() + self.rewards(user)
    }

    /// What is reserved of it.
    pub(crate) fn held(&self, user: &UserId) -> i64 {
        let open = self.holds.values();
        let open = open.filter(|held| held.user == *user && held.status == HoldStatus::Open);
        open.map(|held| held.amount).sum()
    }

    pub(crate) fn available(&self, user: &UserId) -> i64 {
        self.balance(user) - self.held(user)
    }

    pub(super) fn give(&mut self, user: &UserId, amount: i64) {
        *self.given.entry(user.clone()).or_default() += amount;
        self.may_thaw(user);
    }

    pub(super) fn spend(&mut self, user: &UserId, amount: i64) {
        *self.spent.entry(user.clone()).or_default() += amount;
    }

    /// How far below zero a wallet may go where debt is allowed.
    pub(super) fn overdraft(&self, user: &UserId) -> i64 {
        self.overdrafts.get(user).copied().unwrap_or(OVERDRAFT)
    }

    /// Whether so much can be taken without going further below zero than `floor`.
    pub(super) fn covers(&self, user: &UserId, amount: i64, floor: i64) -> Result<(), Refusal> {
        if self.frozen(user) == Frozen::Yes {
            return Err(Refusal::WalletFrozen);
        }
        let available = self.available(user);
        let missing = amount - available - floor;
        if missing <= 0 {
            return Ok(());
        }
        Err(Refusal::InsufficientCredits { available, missing })
    }

    fn open_hold(&self, id: HoldId, now: Time) -> Result<&Held, Refusal> {
        let held = self.holds.get(&id).ok_or(Refusal::HoldNotFound)?;
        let is_late = held.status == HoldStatus::Open && now >= held.expires_at;
        let status = if is_late {
            HoldStatus::Expired
        } else {
            held.status
        };
        match status {
            HoldStatus::Open => Ok(held),
            status => Err(Refusal::HoldEnded { status }),
        }
    }

    pub(super) fn progress(&mut self, id: HoldId, used: i64, now: Time) -> Result<(), Refusal> {
        let held = self.open_hold(id, now)?;
        if used < held.progress {
            return Err(out_of_range());
        }
        if used > held.amount && held.overage == Overage::Refuse {
            return Err(exceeded(held, used));
        }
        self.change(id, |held| held.progress = used);
        Ok(())
    }

    pub(super) fn extend(
        &mut self,
        id: HoldId,
        more: i64,
        until: Time,
        now: Time,
    ) -> Result<(), Refusal> {
        let held = self.open_hold(id, now)?;
        if more > 0 {
            // A limit that was set later counts all of it from now on.
            let (subjects, known) = (held.subjects.clone(), held.counted.clone());
            let amount = held.amount;
            let adds = |limit: &Limit| {
                if known.contains(&limit.id) {
                    more
                } else {
                    amount + more
                }
            };
            self.limits_allow(&subjects, now, adds)?;
            self.covers(&held.user, more, 0)?;
            let counted = self.limits_count(&subjects, now, |limit| (0, adds(limit)));
            self.change(id, |held| held.counted.extend(counted));
        }
        self.change(id, |held| {
            held.amount += more;
            held.expires_at = held.expires_at.max(until);
        });
        Ok(())
    }

    pub(super) fn settle(&mut self, id: HoldId, used: i64, now: Time) -> Result<(), Refusal> {
        let known = self.holds.get(&id).ok_or(Refusal::HoldNotFound)?;
        if known.status == HoldStatus::Settled && known.settled == used {
            return Ok(());
        }
        let held = self.open_hold(id, now)?;
        let extra = used - held.amount;
        if extra > 0 {
            let floor = match held.overage {
                Overage::Refuse => return Err(exceeded(held, used)),
                Overage::Charge => 0,
                Overage::Debt => self.overdraft(&held.user),
            };
            self.limits_allow(&held.subjects, now, |_| extra)?;
            self.covers(&held.user, extra, floor)?;
        }
        self.end(id, HoldStatus::Settled, used, now);
        Ok(())
    }

    pub(super) fn release(&mut self, id: HoldId, now: Time) -> Result<(), Refusal> {
        let known = self.holds.get(&id).ok_or(Refusal::HoldNotFound)?;
        if known.status == HoldStatus::Released {
            return Ok(());
        }
        self.open_hold(id, now)?;
        self.end(id, HoldStatus::Released, 0, now);
        Ok(())
    }

    /// A hold whose time has run out is settled for what was reported, as far as there is something.
    pub(super) fn expire(&mut self, id: HoldId, now: Time) {
        let Some(held) = self.holds.get(&id) else {
            return;
        };
        if held.status != HoldStatus::Open || now < held.expires_at {
            return;
        }
        let floor = if held.overage == Overage::Debt {
            self.overdraft(&held.user)
        } else {
            0
        };
        let room = self.available(&held.user) + floor;
        let room = room.min(self.limits_leave(&held.subjects, now)).max(0);
        let used = held.progress.min(held.amount + room);
        self.end(id, HoldStatus::Expired, used, now);
    }

    fn end(&mut self, id: HoldId, status: HoldStatus, used: i64, now: Time) {
        let Some(held) = self.holds.get(&id) else {
            return;
        };
        let (owner, amount) = (held.user.clone(), held.amount);
        let (subjects, known) = (held.subjects.clone(), held.counted.clone());
        self.limits_count(&subjects, now, |limit| {
            let counted = known.contains(&limit.id);
            (used, if counted { -amount } else { 0 })
        });
        self.change(id, |held| {
            held.status = status;
            held.settled = used;
        });
        self.spend(&owner, used);
    }

    fn change(&mut self, id: HoldId, edit: impl FnOnce(&mut Held)) {
        if let Some(held) = self.holds.get_mut(&id) {
            edit(held);
        }
    }
}

fn exceeded(held: &Held, given: i64) -> Refusal {
    Refusal::HoldExceeded {
        held: held.amount,
        given,
    }
}

/// Which range is not this ledger's business.
pub(super) fn out_of_range() -> Refusal {
    Refusal::OutOfRange {
        field: String::new(),
        least: 0,
        most: 0,
        given: 0,
    }
}
