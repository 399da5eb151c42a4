//! Wallets: what one user has in one unit, as a whole.
//!
//! A wallet is an account, the grants its value is made of, and the holds that reserve some of it. One rule connects them:
//! the account's balance is what the grants have left, minus the debt. Debt is what was spent beyond the grants, where that was
//! allowed; the next grant pays it back first.

use std::sync::Arc;

use crate::account::{Account, AccountKey};
use crate::grant::{AMOUNT_MAX, Grant, GrantEnd, Part, within};
use crate::id::HoldId;
use crate::refusal::Refusal;
use crate::state::State;
use crate::time::Time;

/// What one user has in one unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wallet {
    /// Its account: balance and chain of entries.
    pub account: Account,
    /// How far below zero a charge that may make debt can take it, in smallest steps. None: as far as the operator's policy says.
    pub overdraft: Option<i64>,
    /// Whether nothing can be spent: credit was spent whose money went back, and the policy says so. Lifted when the debt is paid
    /// back, or by an administrator.
    pub frozen: bool,
    /// With less available, an automatic top-up is due; none if there is none, or if it has been stopped.
    pub topup_below: Option<i64>,
    /// The grants with something left, in the order in which they burn.
    pub grants: Vec<Grant>,
    /// The open holds, in the order in which they were made.
    pub holds: Vec<Reservation>,
}

/// What an open hold reserves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// Which hold.
    pub hold: HoldId,
    /// How much of which grant.
    pub parts: Vec<Part>,
}

impl Wallet {
    /// A new, empty wallet.
    pub(crate) fn new(account: Account) -> Self {
        Self {
            account,
            overdraft: None,
            frozen: false,
            topup_below: None,
            grants: Vec::new(),
            holds: Vec::new(),
        }
    }

    /// A wallet as stored: what holds reserve is counted on the grants here and nowhere else.
    pub fn of_rows(
        account: Account,
        (overdraft, frozen, topup_below): (Option<i64>, bool, Option<i64>),
        mut grants: Vec<Grant>,
        holds: Vec<Reservation>,
    ) -> Self {
        for part in holds.iter().flat_map(|hold| &hold.parts) {
            if let Some(grant) = grants.iter_mut().find(|grant| grant.id == part.grant) {
                grant.held += part.amount;
            }
        }
        grants.sort_by_key(Grant::burn_order);
        Self {
            account,
            overdraft,
            frozen,
            topup_below,
            grants,
            holds,
        }
    }

    /// What all grants have left, whether it can be spent or not.
    pub(crate) fn left(&self) -> i64 {
        self.grants.iter().map(|grant| grant.remaining).sum()
    }

    /// What the customer owes, in smallest steps; 0 or more.
    pub fn debt(&self) -> i64 {
        self.left() - self.account.balance
    }

    /// What is reserved by open holds.
    pub fn held(&self) -> i64 {
        self.grants.iter().map(|grant| grant.held).sum()
    }

    /// The balance without what has expired or has not begun; negative for a debt. What is left of an expired grant leaves the
    /// books a moment later than it stops counting here. A hold keeps what it reserved of a grant that expires meanwhile.
    pub fn credits(&self, now: Time) -> i64 {
        self.available(now) + self.held()
    }

    /// What may be spent now; negative if there is more debt than value. It is the same before and after what has expired is
    /// booked: what will pay a debt then, or pass on, counts already.
    pub fn available(&self, now: Time) -> i64 {
        let (mut value, mut debt) = (0, self.debt());
        for grant in &self.grants {
            if grant.is_due(now) {
                let rest = grant.rest(grant.end.unwrap_or(GrantEnd::Expired), debt, now);
                debt -= rest.repaid;
                value += rest.rolled;
            } else if grant.is_usable(now) {
                value += grant.free();
            }
        }
        value - debt
    }

    /// What the grants pay of `amount`, in burn order; the rest, if any, is left over. What has expired must have been booked
    /// before, or what passes on of it is missing here.
    pub(crate) fn burn(&self, amount: i64, now: Time) -> (Vec<Part>, i64) {
        let (mut parts, mut left) = (Vec::new(), amount);
        for grant in self.grants.iter().filter(|grant| grant.is_usable(now)) {
            let paid = left.min(grant.free());
            if paid > 0 {
                parts.push(Part {
                    grant: grant.id,
                    amount: paid,
                });
                left -= paid;
            }
            if left == 0 {
                break;
            }
        }
        (parts, left)
    }

    pub(crate) fn grant_mut(&mut self, part: &Part) -> Option<&mut Grant> {
        self.grants.iter_mut().find(|grant| grant.id == part.grant)
    }
}

/// Opens the wallet if nothing ever touched it.
pub(crate) fn open(state: &mut State, key: &AccountKey, now: Time) {
    if state.wallets.get(key).is_none() {
        let number = state.sequence.next_account();
        let wallet = Wallet::new(key.clone().open(number, now));
        state.wallets.insert(key.clone(), Arc::new(wallet));
    }
}

/// Changes a wallet that is there.
pub(crate) fn change<R>(
    state: &mut State,
    key: &AccountKey,
    edit: impl FnOnce(&mut Wallet) -> R,
) -> R {
    state
        .wallets
        .change(key, |wallet| edit(Arc::make_mut(wallet)))
}

/// How far below zero this wallet may be taken; without a number, as far as the policy says.
pub(crate) fn set_overdraft(
    state: &mut State,
    key: &AccountKey,
    overdraft: Option<i64>,
    now: Time,
) -> Result<Option<i64>, Refusal> {
    if let Some(overdraft) = overdraft {
        within("overdraft", overdraft, 0, AMOUNT_MAX)?;
    }
    open(state, key, now);
    change(state, key, |wallet| wallet.overdraft = overdraft);
    Ok(overdraft)
}

/// Whether nothing can be spent of this wallet.
pub(crate) fn set_frozen(state: &mut State, key: &AccountKey, frozen: bool, now: Time) {
    open(state, key, now);
    change(state, key, |wallet| wallet.frozen = frozen);
}

/// What may be spent of a wallet now; 0 if nothing ever touched it.
pub(crate) fn available(state: &State, key: &AccountKey, now: Time) -> i64 {
    state
        .wallets
        .get(key)
        .map_or(0, |wallet| wallet.available(now))
}

#[cfg(test)]
mod tests;
