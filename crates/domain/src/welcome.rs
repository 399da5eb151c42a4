//! Credits to begin with: for signing up, and for a trial. Each once for a user and once for an e-mail address.

use serde::{Deserialize, Serialize};

use crate::account::AccountKey;
use crate::amount::Amount;
use crate::command::Context;
use crate::gift::{self, Gift};
use crate::grant::{self, Grant, Source};
use crate::id::UserId;
use crate::journal::{Cause, Remark};
use crate::perk::{Perk, PerkKey, PerkKind, PerkStatus};
use crate::planted::{self, Bug};
use crate::refusal::Refusal;
use crate::state::State;
use crate::state::Wanted;
use crate::word::words;

/// Which credits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Welcome {
    /// For signing up.
    Signup,
    /// To try the product.
    Trial,
}

words!(Welcome: Signup = "signup", Trial = "trial");

/// How much is given to begin with, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allowance {
    /// How many credits; 0: none are given.
    pub credits: i64,
    /// For how long they last, in seconds.
    pub seconds: i64,
}

/// A user asks for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimWelcome {
    /// Which.
    pub which: Welcome,
    /// Who.
    pub user: UserId,
    /// The digest of the user's e-mail address in the form of [`crate::identity`], if it is known.
    pub identity: Option<String>,
}

impl ClaimWelcome {
    fn perk_keys(&self) -> Vec<PerkKey> {
        let (kind, of_identity, source) = match self.which {
            Welcome::Signup => (PerkKind::Signup, PerkKind::SignupIdentity, &self.identity),
            Welcome::Trial => (PerkKind::Trial, PerkKind::TrialIdentity, &self.identity),
        };
        let mut keys = vec![PerkKey::new(kind, "", self.user.as_str())];
        keys.extend(
            source
                .iter()
                .filter(|_| !planted::is(Bug::WelcomeByUser))
                .map(|identity| PerkKey::new(of_identity, identity, "")),
        );
        keys
    }

    fn cause(&self) -> Cause {
        Cause::new(self.which.as_str(), self.user.as_str())
    }
}

pub(crate) fn needs(wanted: &mut Wanted<'_>, wish: &ClaimWelcome) {
    for key in wish.perk_keys() {
        wanted.perk(&key);
    }
    gift::needs(wanted, &AccountKey::wallet(&wish.user), &wish.cause());
}

/// Gives them.
pub(crate) fn claim(
    state: &mut State,
    context: &Context<'_>,
    wish: &ClaimWelcome,
) -> Result<Grant, Refusal> {
    let now = context.now;
    let (allowance, source) = match wish.which {
        Welcome::Signup => (context.policy.signup, Source::Bonus),
        Welcome::Trial => (context.policy.trial, Source::Trial),
    };
    let what = wish.which.as_str().to_owned();
    if allowance.credits <= 0 {
        return Err(Refusal::NotOffered { what });
    }
    let keys = wish.perk_keys();
    if keys.iter().any(|key| state.perks.get(key).is_some()) {
        return Err(Refusal::AlreadyClaimed { what });
    }
    let amount = Amount::credits(allowance.credits);
    let gift = Gift {
        user: wish.user.clone(),
        amount,
        source,
        expires_at: Some(now.plus_seconds(allowance.seconds)),
        cause: wish.cause(),
        remark: Remark {
            note: what,
            ..Remark::default()
        },
    };
    grant::check_room(state, &gift.wallet())?;
    gift.check(state)?;
    let given = gift::give(state, now, gift)?;
    for (place, key) in keys.into_iter().enumerate() {
        let mut perk = Perk::new(key.clone(), PerkStatus::Given, wish.user.as_str(), now);
        if place == 0 {
            perk.amount = amount;
            perk.reference = given.id.to_string();
        }
        state.perks.insert(key, perk);
    }
    Ok(given)
}
