//! Referrals: a customer brings another, and both are rewarded for the other's first purchase that is large enough.
//!
//! The rewards are awards of the payment that earned them, so they go when its money goes ([`crate::reversal`]). A customer is
//! brought once: whatever becomes of that purchase, a later one does not reward again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::account::{AccountKey, AccountKind};
use crate::amount::{Amount, Unit};
use crate::attempt;
use crate::award::{self, Award, AwardKind};
use crate::command::Context;
use crate::gift::{self, Gift};
use crate::grant::{self, Source};
use crate::id::{self, PaymentId, UserId};
use crate::journal::{Cause, Remark};
use crate::payment::Payment;
use crate::perk::{Perk, PerkKey, PerkKind, PerkStatus};
use crate::planted::{self, Bug};
use crate::refusal::Refusal;
use crate::state::{State, Wanted};
use crate::time::Time;
use crate::word::words;

/// What the operator gives.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReferralTerms {
    /// For whoever brings a customer, in credits; 0: nothing.
    pub referrer_credits: i64,
    /// For the customer who was brought, in credits; 0: nothing.
    pub referred_credits: i64,
    /// The least price of the purchase, by currency. What is paid in another currency does not count.
    pub least_prices: BTreeMap<Unit, i64>,
}

/// Where the reward for a customer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReferralStatus {
    /// He has not bought enough yet.
    Pending,
    /// Given.
    Rewarded,
}

words!(ReferralStatus: Pending = "pending", Rewarded = "rewarded");

/// Whoever has a code, or was brought by one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// The code others are brought with, if it was ever asked for.
    pub code: Option<String>,
    /// The digest of the e-mail address, if it is known.
    pub identity: Option<String>,
    /// Who brought him, if somebody did.
    pub referrer: Option<UserId>,
    /// Where the reward for that stands.
    pub status: Option<ReferralStatus>,
    /// The payment that earned it.
    pub payment: Option<PaymentId>,
    /// When the row was made.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
}

/// A user asks for his code, or enters another's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// Who.
    pub user: UserId,
    /// The digest of his e-mail address in the form of [`crate::identity`], if it is known.
    pub identity: Option<String>,
    /// The code of whoever brought him; none: he asks for his own.
    pub code: Option<String>,
}

/// How many characters a code has.
pub const CODE_LENGTH: usize = 10;

/// The code as it is kept: lower case, without dashes and blanks.
pub fn normalized(text: &str) -> String {
    let kept = text.chars().filter(|c| !matches!(c, '-' | ' '));
    kept.map(|c| c.to_ascii_lowercase()).collect()
}

fn identity_key(identity: &str) -> PerkKey {
    PerkKey::new(PerkKind::ReferredIdentity, identity, "")
}

fn draft(user: &UserId, now: Time) -> Member {
    Member {
        user: user.clone(),
        code: None,
        identity: None,
        referrer: None,
        status: None,
        payment: None,
        created_at: now,
        updated_at: now,
    }
}

pub(crate) fn needs_to_join(wanted: &mut Wanted<'_>, wish: &Join) {
    wanted.member(&wish.user);
    let Some(code) = &wish.code else {
        return;
    };
    attempt::needs(wanted, &wish.user);
    wanted.buyer(&wish.user);
    if let Some(identity) = &wish.identity {
        wanted.perk(&identity_key(identity));
    }
    if let Some(referrer) = wanted.member_of_code(code).cloned() {
        wanted.member(&referrer);
        let wallet = AccountKey::wallet(&referrer);
        grant::needs_to_give(wanted, &wallet, AccountKind::Granted);
        grant::needs_to_expire(wanted, &wallet);
    }
}

/// A user's own code, made when he first asks.
pub(crate) fn join(
    state: &mut State,
    context: &mut Context<'_>,
    wish: &Join,
) -> Result<Member, Refusal> {
    let terms = &context.policy.referral;
    if terms.referrer_credits <= 0 && terms.referred_credits <= 0 {
        return Err(Refusal::NotOffered {
            what: "referral".into(),
        });
    }
    let before = state.members.get(&wish.user).cloned();
    let mut member = before
        .clone()
        .unwrap_or_else(|| draft(&wish.user, context.now));
    match &wish.code {
        Some(code) => {
            let referrer = check_claim(state, context.now, wish, (&member, code))?;
            member.referrer = Some(referrer);
            member.status = Some(ReferralStatus::Pending);
            if let Some(identity) = &wish.identity {
                let key = identity_key(identity);
                let perk = Perk::new(
                    key.clone(),
                    PerkStatus::Given,
                    wish.user.as_str(),
                    context.now,
                );
                state.perks.insert(key, perk);
            }
        }
        None if member.code.is_none() => {
            let code = id::short_code(context.ids.random80(), CODE_LENGTH);
            state.member_of_code.set(code.clone(), wish.user.clone());
            member.code = Some(code);
        }
        None => {}
    }
    if wish.identity.is_some() {
        member.identity.clone_from(&wish.identity);
    }
    if before.as_ref() != Some(&member) {
        member.updated_at = context.now;
        state.members.put(wish.user.clone(), member.clone());
    }
    Ok(member)
}

/// Who is meant by a code, if this user may be brought by him.
fn check_claim(
    state: &mut State,
    now: Time,
    wish: &Join,
    (member, code): (&Member, &String),
) -> Result<UserId, Refusal> {
    attempt::check(state, now, &wish.user)?;
    let referrer = state.member_of_code.get(code);
    let Some(referrer) = referrer.and_then(|user| state.members.get(user)).cloned() else {
        attempt::failed(state, now, &wish.user);
        return Err(Refusal::ReferralInvalid);
    };
    let is_same_person = wish.identity.is_some() && referrer.identity == wish.identity;
    let is_mutual = referrer.referrer.as_ref() == Some(&wish.user);
    if referrer.user == wish.user || is_same_person || is_mutual {
        return Err(Refusal::SelfReferral);
    }
    let identity = wish.identity.as_deref().map(identity_key);
    let is_known = identity.is_some_and(|key| state.perks.get(&key).is_some());
    if member.referrer.is_some() || is_known {
        return Err(Refusal::AlreadyReferred);
    }
    if state.buyers.get(&wish.user).is_some() {
        return Err(Refusal::NotNew);
    }
    Ok(referrer.user)
}

fn cause(kind: AwardKind, payment: &PaymentId) -> Cause {
    Cause::new(kind.as_str(), payment.as_str())
}

const SIDES: [AwardKind; 2] = [AwardKind::Referred, AwardKind::Referrer];

fn side(member: &Member, kind: AwardKind) -> Option<&UserId> {
    match kind {
        AwardKind::Referrer => member.referrer.as_ref(),
        _ => Some(&member.user),
    }
}

/// Rows that [`reward`] may touch. Whoever was brought by nobody may be by another command of the same batch, which asks for what
/// that needs ([`needs_to_join`]).
pub(crate) fn needs_to_reward(wanted: &mut Wanted<'_>, payment: &Payment) {
    let member = wanted.member(&payment.user);
    if member.is_some_and(|member| member.status == Some(ReferralStatus::Rewarded)) {
        return;
    }
    let referrer = member.and_then(|member| member.referrer.clone());
    for kind in SIDES {
        let cause = cause(kind, &payment.id);
        let user = match kind {
            AwardKind::Referrer => referrer.as_ref(),
            _ => Some(&payment.user),
        };
        match user {
            Some(user) => gift::needs(wanted, &AccountKey::wallet(user), &cause),
            None => wanted.cause(&cause),
        }
    }
}

/// The money of a payment has come: rewards both sides, if it is the first purchase that is large enough. That must not stand in the
/// way of the payment: where the books have no room for a reward, it stays pending.
pub(crate) fn reward(
    state: &mut State,
    context: &Context<'_>,
    payment: &Payment,
) -> Result<(), Refusal> {
    let terms = &context.policy.referral;
    let least = terms.least_prices.get(&payment.amount.unit);
    let is_enough = least.is_some_and(|least| payment.amount.minor >= *least);
    let member = state.members.get(&payment.user);
    let pending = member.filter(|member| member.status == Some(ReferralStatus::Pending));
    let Some(member) = pending.filter(|_| is_enough).cloned() else {
        return Ok(());
    };
    let mut gifts = Vec::new();
    for kind in SIDES {
        let credits = match kind {
            AwardKind::Referrer => terms.referrer_credits,
            _ => terms.referred_credits,
        };
        if let Some(user) = side(&member, kind).filter(|_| credits > 0) {
            let gift = Gift {
                user: user.clone(),
                amount: Amount::credits(credits),
                source: Source::Bonus,
                expires_at: None,
                cause: cause(kind, &payment.id),
                remark: Remark {
                    note: kind.as_str().to_owned(),
                    ..Remark::default()
                },
            };
            if gift.check(state).is_err() {
                return Ok(());
            }
            gifts.push((kind, gift));
        }
    }
    for (kind, gift) in gifts {
        let (wallet, granted) = (gift.wallet(), gift.amount.minor);
        let given = gift::give(state, context.now, gift)?;
        let award = Award {
            payment: payment.id.clone(),
            kind,
            wallet,
            from: AccountKind::Granted,
            granted,
            taken: 0,
            absorbed: 0,
            grants: vec![given.id],
        };
        if !planted::is(Bug::RewardStays) {
            award::note(state, award);
        }
    }
    let now = context.now;
    state.members.change(&payment.user, |member| {
        member.status = Some(ReferralStatus::Rewarded);
        member.payment = Some(payment.id.clone());
        member.updated_at = now;
    });
    Ok(())
}
