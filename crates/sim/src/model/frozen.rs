//! Wallets of which nothing can be spent: an administrator says so, or credit was spent whose money has gone back.
//!
//! Which grants had paid when money goes back this ledger does not know, so sometimes it learns from an answer what it could not
//! foresee. It knows when that may be, and that a wallet which was seen frozen stays so until something is given.

use bursar_domain::command::Reply;
use bursar_domain::id::{PaymentId, UserId};
use bursar_domain::refusal::Refusal;

use super::Model;
use super::expect::{Outcome, same};

/// Whether a wallet is frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Frozen {
    #[default]
    No,
    /// The next answer tells.
    Perhaps,
    Yes,
}

impl Model {
    pub(super) fn set_frozen(
        &mut self,
        user: &UserId,
        frozen: bool,
        outcome: &Outcome,
    ) -> Result<(), String> {
        same(&"to freeze a wallet", &Ok(()), outcome)?;
        let state = if frozen { Frozen::Yes } else { Frozen::No };
        self.frozen.insert(user.clone(), state);
        Ok(())
    }

    pub(super) fn frozen(&self, user: &UserId) -> Frozen {
        self.frozen.get(user).copied().unwrap_or_default()
    }

    /// Something was given: what pays a debt back lifts the freeze.
    pub(super) fn may_thaw(&mut self, user: &UserId) {
        if self.frozen(user) == Frozen::Yes {
            self.frozen.insert(user.clone(), Frozen::Perhaps);
        }
    }

    /// Money of a payment came, went or came back.
    pub(super) fn may_freeze(&mut self, payment: &PaymentId) {
        for user in self.users_of(payment) {
            if self.freezes || self.frozen(&user) == Frozen::Yes {
                self.frozen.insert(user, Frozen::Perhaps);
            }
        }
    }

    /// What an answer about spending says. `was_asked`: it would have been refused.
    pub(super) fn learn_frozen(&mut self, user: &UserId, outcome: &Outcome, was_asked: bool) {
        if self.frozen(user) != Frozen::Perhaps {
            return;
        }
        let state = match outcome {
            Err(Refusal::WalletFrozen) => Frozen::Yes,
            Ok(
                Reply::Charged(_)
                | Reply::Hold(_)
                | Reply::Exchanged(_)
                | Reply::Prechecked(_)
                | Reply::Adjusted(_),
            )
            | Err(Refusal::InsufficientCredits { .. })
                if was_asked =>
            {
                Frozen::No
            }
            _ => return,
        };
        self.frozen.insert(user.clone(), state);
    }
}
