//! What is given away: credits to begin with, redeem codes, coupons, and rewards for bringing somebody.

use std::collections::{BTreeMap, BTreeSet};

use bursar_domain::code::{CreateCodes, Redeem};
use bursar_domain::command::{BonusCommand, Reply};
use bursar_domain::coupon::{Benefit, CouponTerms};
use bursar_domain::id::{CodeId, PaymentId, UserId};
use bursar_domain::policy::Policy;
use bursar_domain::referral::Join;
use bursar_domain::refusal::Refusal;
use bursar_domain::time::Time;
use bursar_domain::welcome::{ClaimWelcome, Welcome};

use super::expect::{Outcome, same};
use super::{Model, Paying};

/// So many wrong codes in so many seconds, and one has to wait.
const WRONG_MAX: i64 = 10;
const WRONG_SECONDS: i64 = 3_600;

/// The least that can be charged, in cents.
const CHARGE_LEAST: i64 = 50;

/// A redeem code.
#[derive(Debug, Clone)]
struct Code {
    amount: i64,
    uses_max: usize,
    expires: Option<Time>,
    disabled: bool,
    users: BTreeSet<UserId>,
}

/// Whoever brings others, or was brought.
#[derive(Debug, Clone, Default)]
struct Joined {
    code: Option<String>,
    identity: Option<String>,
    referrer: Option<UserId>,
    rewarded: bool,
}

/// A reward, which goes when the money goes that earned it.
#[derive(Debug, Clone)]
struct Reward {
    user: UserId,
    payment: PaymentId,
    credits: i64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Bonuses {
    /// Who has had which welcome, by user and by address.
    welcomed: BTreeSet<(&'static str, String)>,
    codes: BTreeMap<String, Code>,
    ids: BTreeMap<CodeId, String>,
    coupons: BTreeMap<String, (CouponTerms, bool)>,
    wrong: BTreeMap<UserId, (i64, i64)>,
    members: BTreeMap<UserId, Joined>,
    brought: BTreeSet<String>,
    rewards: Vec<Reward>,
    /// What the operator gives.
    terms: Terms,
    pub(super) given: usize,
    pub(super) redeemed: usize,
    pub(super) rewarded: usize,
}

#[derive(Debug, Clone, Default)]
struct Terms {
    signup: i64,
    trial: i64,
    referrer: i64,
    referred: i64,
    /// The least price of a purchase that is rewarded, in cents.
    least: i64,
}

impl Bonuses {
    pub(super) fn of(policy: &Policy) -> Self {
        let referral = &policy.referral;
        Self {
            terms: Terms {
                signup: policy.signup.credits,
                trial: policy.trial.credits,
                referrer: referral.referrer_credits,
                referred: referral.referred_credits,
                least: referral.least_prices.values().sum(),
            },
            ..Self::default()
        }
    }

    fn wrong_so_far(&self, user: &UserId, now: Time) -> (i64, i64) {
        let known = self.wrong.get(user).copied();
        let known = known.filter(|(_, began)| now.seconds() < began + WRONG_SECONDS);
        known.unwrap_or((0, now.seconds()))
    }

    fn may_try(&self, user: &UserId, now: Time) -> Result<(), Refusal> {
        if self.wrong_so_far(user, now).0 < WRONG_MAX {
            return Ok(());
        }
        Err(Refusal::TooManyAttempts { seconds: 0 })
    }

    fn was_wrong(&mut self, user: &UserId, now: Time) {
        let (count, began) = self.wrong_so_far(user, now);
        self.wrong.insert(user.clone(), (count + 1, began));
    }
}

impl Model {
    pub(super) fn bonus(
        &mut self,
        asked: &BonusCommand,
        outcome: &Outcome,
        now: Time,
    ) -> Result<(), String> {
        let expected = match asked {
            BonusCommand::CreateCoupon(terms) => self.create_coupon(terms, now),
            BonusCommand::DisableCoupon(code) => {
                let known = self.bonuses.coupons.get_mut(code);
                known
                    .map(|(_, disabled)| *disabled = true)
                    .ok_or(Refusal::CouponNotFound)
            }
            BonusCommand::CreateCodes(wish) => self.create_codes(wish, now),
            BonusCommand::DisableCode(id) => {
                let hash = self.bonuses.ids.get(id);
                let known = hash.and_then(|hash| self.bonuses.codes.get_mut(hash));
                known
                    .map(|code| code.disabled = true)
                    .ok_or(Refusal::CodeNotFound)
            }
            BonusCommand::Redeem(wish) => self.redeem(wish, now),
            BonusCommand::ClaimWelcome(wish) => self.welcome(wish),
            BonusCommand::Join(wish) => self.join(wish, now),
        };
        same(asked, &expected, outcome)?;
        if let (BonusCommand::Join(wish), Ok(Reply::Member(member))) = (asked, outcome) {
            let known = self.bonuses.members.entry(wish.user.clone()).or_default();
            if known.code.is_some() && known.code != member.code {
                return Err(format!("{} has two codes", wish.user));
            }
            known.code.clone_from(&member.code);
        }
        Ok(())
    }

    fn welcome(&mut self, wish: &ClaimWelcome) -> Result<(), Refusal> {
        let (what, credits) = match wish.which {
            Welcome::Signup => ("signup", self.bonuses.terms.signup),
            Welcome::Trial => ("trial", self.bonuses.terms.trial),
        };
        let user = (what, format!("user {}", wish.user));
        let identity = wish.identity.iter().map(|it| (what, it.clone()));
        let keys: Vec<_> = std::iter::once(user).chain(identity).collect();
        if keys.iter().any(|key| self.bonuses.welcomed.contains(key)) {
            return Err(Refusal::AlreadyClaimed {
                what: what.to_owned(),
            });
        }
        self.bonuses.welcomed.extend(keys);
        self.bonuses.given += 1;
        self.give(&wish.user, credits);
        Ok(())
    }

    fn create_codes(&mut self, wish: &CreateCodes, now: Time) -> Result<(), Refusal> {
        let terms = &wish.terms;
        if terms.expires_at.is_some_and(|expiry| expiry <= now) {
            return Err(misfit());
        }
        for (hash, _) in &wish.secrets {
            let id = CodeId::of_hash(hash).filter(|id| !self.bonuses.ids.contains_key(id));
            self.bonuses
                .ids
                .insert(id.ok_or(Refusal::Unbalanced)?, hash.clone());
            let code = Code {
                amount: terms.amount.minor,
                uses_max: usize::try_from(terms.uses_max).unwrap_or(0),
                expires: terms.expires_at,
                disabled: false,
                users: BTreeSet::new(),
            };
            self.bonuses.codes.insert(hash.clone(), code);
        }
        Ok(())
    }

    fn redeem(&mut self, wish: &Redeem, now: Time) -> Result<(), Refusal> {
        self.bonuses.may_try(&wish.user, now)?;
        let is_good =
            |code: &&mut Code| !code.disabled && code.expires.is_none_or(|expires| now < expires);
        let code = self.bonuses.codes.get_mut(&wish.hash).filter(is_good);
        match code {
            Some(code) if code.users.contains(&wish.user) => Err(Refusal::CodeRedeemed),
            Some(code) if code.users.len() < code.uses_max => {
                code.users.insert(wish.user.clone());
                let amount = code.amount;
                self.bonuses.redeemed += 1;
                self.give(&wish.user, amount);
                Ok(())
            }
            _ => {
                self.bonuses.was_wrong(&wish.user, now);
                Err(Refusal::CodeInvalid)
            }
        }
    }

    fn join(&mut self, wish: &Join, now: Time) -> Result<(), Refusal> {
        if let Some(code) = &wish.code {
            let referrer = self.may_be_brought(wish, code, now)?;
            let member = self.bonuses.members.entry(wish.user.clone()).or_default();
            member.referrer = Some(referrer);
            self.bonuses.brought.extend(wish.identity.clone());
        }
        let member = self.bonuses.members.entry(wish.user.clone()).or_default();
        if wish.identity.is_some() {
            member.identity.clone_from(&wish.identity);
        }
        Ok(())
    }

    fn may_be_brought(&mut self, wish: &Join, code: &str, now: Time) -> Result<UserId, Refusal> {
        self.bonuses.may_try(&wish.user, now)?;
        let members = self.bonuses.members.iter();
        let found = members
            .filter(|(_, member)| member.code.as_deref() == Some(code))
            .map(|(user, member)| (user.clone(), member))
            .next();
        let Some((referrer, member)) = found else {
            self.bonuses.was_wrong(&wish.user, now);
            return Err(Refusal::ReferralInvalid);
        };
        let is_same_person = wish.identity.is_some() && member.identity == wish.identity;
        let is_mutual = member.referrer.as_ref() == Some(&wish.user);
        if referrer == wish.user || is_same_person || is_mutual {
            return Err(Refusal::SelfReferral);
        }
        let was_brought = self.bonuses.members.get(&wish.user);
        let was_brought = was_brought.is_some_and(|member| member.referrer.is_some());
        let identity = wish.identity.as_ref();
        if was_brought || identity.is_some_and(|it| self.bonuses.brought.contains(it)) {
            return Err(Refusal::AlreadyReferred);
        }
        let mut bought = self.topups.values();
        if bought.any(|it| it.user == wish.user && it.is_paid()) {
            return Err(Refusal::NotNew);
        }
        Ok(referrer)
    }

    /// A top-up was paid: both sides are rewarded, once.
    pub(super) fn reward(&mut self, user: &UserId, id: &PaymentId) {
        let amount = self.payments.get(id).map_or(0, |paying| paying.amount);
        let (to_referrer, to_buyer) = (self.bonuses.terms.referrer, self.bonuses.terms.referred);
        let least = self.bonuses.terms.least;
        let member = self.bonuses.members.get_mut(user);
        let member = member.filter(|member| !member.rewarded && amount >= least);
        let Some((member, brought_by)) =
            member.and_then(|member| member.referrer.clone().map(|by| (member, by)))
        else {
            return;
        };
        member.rewarded = true;
        self.bonuses.rewarded += 1;
        for (user, credits) in [(user.clone(), to_buyer), (brought_by, to_referrer)] {
            self.bonuses.rewards.push(Reward {
                user,
                payment: id.clone(),
                credits,
            });
        }
    }

    /// Who has got something for a payment.
    pub(super) fn users_of(&self, payment: &PaymentId) -> Vec<UserId> {
        let topup = self.payments.get(payment);
        let buyer = topup.and_then(|paying| self.topups.get(&paying.topup));
        let rewards = self.bonuses.rewards.iter();
        let rewarded = rewards.filter(|reward| reward.payment == *payment);
        let rewarded = rewarded.map(|reward| reward.user.clone());
        buyer
            .map(|bought| bought.user.clone())
            .into_iter()
            .chain(rewarded)
            .collect()
    }

    /// What is left of a user's rewards.
    pub(super) fn rewards(&self, user: &UserId) -> i64 {
        let rewards = self.bonuses.rewards.iter();
        let rewards = rewards.filter(|reward| reward.user == *user);
        let left = rewards.map(|reward| {
            let paying = self.payments.get(&reward.payment);
            reward.credits - paying.map_or(0, |paying| Paying::target(paying, reward.credits))
        });
        left.sum()
    }

    fn create_coupon(&mut self, terms: &CouponTerms, now: Time) -> Result<(), Refusal> {
        if terms.expires_at.is_some_and(|expiry| expiry <= now) {
            return Err(misfit());
        }
        if self.bonuses.coupons.contains_key(&terms.code) {
            return Err(Refusal::CouponExists);
        }
        let coupon = (terms.clone(), false);
        self.bonuses.coupons.insert(terms.code.clone(), coupon);
        Ok(())
    }

    /// What a coupon makes of a price: what is to be paid, and what comes on top. Whether it is reserved for others this ledger does
    /// not know; that nobody who has had it gets it again, it does.
    pub(super) fn with_coupon(
        &mut self,
        (code, user): (&str, &UserId),
        price: i64,
        now: Time,
    ) -> Result<(i64, i64), Refusal> {
        self.bonuses.may_try(user, now)?;
        let is_good =
            |it: &&(CouponTerms, bool)| !it.1 && it.0.expires_at.is_none_or(|expiry| now < expiry);
        let Some((terms, _)) = self.bonuses.coupons.get(code).filter(is_good) else {
            self.bonuses.was_wrong(user, now);
            return Err(Refusal::CouponInvalid);
        };
        let mut bought = self.topups.values().filter(|it| it.user == *user);
        if bought.any(|it| it.coupon.as_deref() == Some(code) && it.is_paid()) {
            return Err(Refusal::CouponUsed);
        }
        let discount = match terms.benefit {
            Benefit::Percent(percent) => price * percent / 100,
            Benefit::Amount(amount) => amount.minor,
            Benefit::Credits(credits) => return Ok((price, credits)),
        };
        if price - discount < CHARGE_LEAST {
            return Err(Refusal::CouponUnfit { why: String::new() });
        }
        Ok((price - discount, 0))
    }

    pub(crate) fn codes(&self) -> Vec<(CodeId, String)> {
        let ids = self.bonuses.ids.iter();
        ids.map(|(id, hash)| (id.clone(), hash.clone())).collect()
    }

    pub(crate) fn coupons(&self) -> Vec<String> {
        self.bonuses.coupons.keys().cloned().collect()
    }

    /// The codes by which users bring others.
    pub(crate) fn invitations(&self) -> Vec<String> {
        let members = self.bonuses.members.values();
        members.filter_map(|member| member.code.clone()).collect()
    }
}

fn misfit() -> Refusal {
    Refusal::Misfit {
        field: String::new(),
        rule: String::new(),
    }
}
