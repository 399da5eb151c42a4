//! Gifts: credits that nobody paid for, given once for a cause.

use crate::account::{AccountKey, AccountKind};
use crate::amount::Amount;
use crate::grant::{self, Category, CreateGrant, Grant, Source};
use crate::id::UserId;
use crate::journal::{self, Cause, Reason, Remark, Transaction};
use crate::refusal::Refusal;
use crate::state::{State, Wanted};
use crate::time::Time;

/// A gift.
pub(crate) struct Gift {
    pub(crate) user: UserId,
    pub(crate) amount: Amount,
    pub(crate) source: Source,
    /// None: it never expires.
    pub(crate) expires_at: Option<Time>,
    pub(crate) cause: Cause,
    pub(crate) remark: Remark,
}

/// Rows that [`give`] may touch.
pub(crate) fn needs(wanted: &mut Wanted<'_>, wallet: &AccountKey, cause: &Cause) {
    grant::needs_to_give(wanted, wallet, AccountKind::Granted);
    // What is given may expire before another command of the same batch looks at it.
    grant::needs_to_expire(wanted, wallet);
    wanted.cause(cause);
}

impl Gift {
    pub(crate) fn wallet(&self) -> AccountKey {
        AccountKey::wallet_in(&self.user, self.amount.unit)
    }

    /// Whether [`give`] would give it.
    pub(crate) fn check(&self, state: &State) -> Result<(), Refusal> {
        journal::check_cause(state, &self.cause)?;
        grant::check_fits(state, &self.wallet(), self.amount.minor)
    }
}

/// Gives it.
pub(crate) fn give(state: &mut State, now: Time, gift: Gift) -> Result<Grant, Refusal> {
    let terms = CreateGrant {
        expires_at: gift.expires_at,
        ..CreateGrant::plain(gift.user, gift.amount, Category::Promotional, gift.source)
    };
    let transaction = Transaction {
        reason: Reason::Grant,
        cause: Some(gift.cause),
        at: now,
        remark: gift.remark,
        tags: String::new(),
        postings: vec![],
    };
    grant::give(state, &terms, AccountKind::Granted, transaction)
}
