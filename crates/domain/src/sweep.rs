//! What time alone causes: holds and grants end, and grants that will end soon are announced.
//!
//! A grant that has expired pays nothing, and a hold whose time has run out takes no call, whether or not a sweep has come by; it
//! books what follows from that. Only what such a hold reserves stays reserved until then: to give it back means to settle it.

use crate::account::{AccountKey, AccountKind};
use crate::announcement::{self, Happening};
use crate::command::Context;
use crate::grant::{self, Grant};
use crate::hold;
use crate::id::HoldId;
use crate::refusal::Refusal;
use crate::state::{State, Wanted};
use crate::wallet;

/// What was found to be due. Whether it still is, is asked again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sweep {
    /// Holds whose time has run out.
    pub holds: Vec<HoldId>,
    /// Wallets with grants that have expired or soon will.
    pub wallets: Vec<AccountKey>,
}

impl Sweep {
    /// Whether there is nothing to do.
    pub const fn is_empty(&self) -> bool {
        self.holds.is_empty() && self.wallets.is_empty()
    }
}

pub(crate) fn needs(wanted: &mut Wanted<'_>, sweep: &Sweep) {
    sweep
        .holds
        .iter()
        .for_each(|hold| hold::needs_of(wanted, *hold));
    for key in &sweep.wallets {
        grant::needs_to_give(wanted, key, AccountKind::RolledOver);
    }
}

pub(crate) fn sweep(
    state: &mut State,
    context: &Context<'_>,
    sweep: &Sweep,
) -> Result<(), Refusal> {
    let mut refusals = vec![];
    for hold in &sweep.holds {
        refusals.extend(hold::expire(state, context, *hold).err());
    }
    for key in &sweep.wallets {
        grant::close_due(state, key, context.now)?;
        announce_expiring(state, context, key);
    }
    // A hold that contradicts the books must not keep all others from ending. It is heard of when there is nothing else to do.
    let nothing_else = sweep.wallets.is_empty() && refusals.len() == sweep.holds.len();
    match refusals.pop() {
        Some(refusal) if nothing_else => Err(refusal),
        _ => Ok(()),
    }
}

/// Says once of each grant that it will expire soon, whether or not it has begun.
fn announce_expiring(state: &mut State, context: &Context<'_>, key: &AccountKey) {
    let soon = context
        .now
        .plus_seconds(context.policy.expiry_notice_seconds);
    let expires_soon = |grant: &Grant| {
        !grant.announced
            && grant.end.is_none()
            && grant.expires_at.is_some_and(|expiry| expiry <= soon)
    };
    let Some(wallet) = state.wallets.get(key) else {
        return;
    };
    let expiring: Vec<Grant> = wallet
        .grants
        .iter()
        .filter(|grant| expires_soon(grant))
        .cloned()
        .collect();
    for mut grant in expiring {
        let Some(expires_at) = grant.expires_at else {
            continue;
        };
        let happening = Happening::GrantExpiring {
            grant: grant.id,
            remaining: grant.remaining,
            expires_at,
        };
        announcement::announce(state, key, context.now, happening);
        grant.announced = true;
        wallet::change(state, key, |wallet| {
            let same = wallet.grants.iter_mut().find(|other| other.id == grant.id);
            if let Some(same) = same {
                same.announced = true;
            }
        });
        state.grants.put(grant.id, grant);
    }
}
