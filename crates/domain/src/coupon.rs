//! Coupons: less to pay, or more for it. The discount is computed here, and the provider is told the result.
//!
//! A coupon is reserved when a payment is opened, and freed when that payment ends unpaid: an abandoned page ends by itself within
//! a day. So no more customers than it allows can be on their way to pay with it at the same time.

use serde::{Deserialize, Serialize};

use crate::amount::{Amount, Unit};
use crate::command::Context;
use crate::currency::{self, OwnLimits};
use crate::grant::{AMOUNT_MAX, within};
use crate::id::{PaymentId, UserId};
use crate::perk::{Perk, PerkKey, PerkKind, PerkStatus};
use crate::planted::{self, Bug};
use crate::refusal::Refusal;
use crate::state::{State, Wanted};
use crate::time::Time;
use crate::topup::Topup;

/// What a coupon does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Benefit {
    /// So many percent less to pay; 1 to 99.
    Percent(i64),
    /// So much less to pay.
    Amount(Amount),
    /// So many credits on top.
    Credits(i64),
}

/// The terms of a new coupon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CouponTerms {
    /// What a customer enters: see [`code`].
    pub code: String,
    /// What it does.
    pub benefit: Benefit,
    /// Only for purchases that cost so much without it, and so only in that currency.
    pub least_price: Option<Amount>,
    /// How many customers may use it; none: any number.
    pub uses_max: Option<i64>,
    /// Until when a payment with it can be opened.
    pub expires_at: Option<Time>,
    /// What the operator says about it.
    pub note: String,
}

/// A coupon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coupon {
    /// Its terms.
    pub terms: CouponTerms,
    /// How many have used it, or have it reserved.
    pub uses: i64,
    /// When it was disabled.
    pub disabled_at: Option<Time>,
    /// When it was made.
    pub created_at: Time,
}

/// The code as it is kept: upper case, 3 to 40 characters out of `A-Z 0-9 _ -`. None if it is no code.
pub fn code(text: &str) -> Option<String> {
    let code = text.trim().to_ascii_uppercase();
    let allowed =
        |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    ((3..=40).contains(&code.len()) && code.bytes().all(allowed)).then_some(code)
}

/// So many percent of a price, rounded down to what can be charged: the rest of the price is never less than its share.
pub fn percent_rounded_down(price: Amount, percent: i64) -> Amount {
    let exact = i128::from(price.minor) * i128::from(percent) / 100;
    let minor = i64::try_from(exact).unwrap_or(price.minor);
    currency::rounded_down_to_step(Amount::new(minor, price.unit))
}

/// What a coupon makes of a purchase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Effect {
    pub(crate) price: Amount,
    pub(crate) discount: i64,
    pub(crate) credits: i64,
}

impl Coupon {
    /// Whether it can be used now. That it is gone and that there never was one look the same to whoever guesses.
    fn check_usable(&self, now: Time) -> Result<(), Refusal> {
        let has_expired = self.terms.expires_at.is_some_and(|expiry| expiry <= now);
        if has_expired || self.disabled_at.is_some() {
            return Err(Refusal::CouponInvalid);
        }
        Ok(())
    }

    fn check_room(&self) -> Result<(), Refusal> {
        match self.terms.uses_max {
            Some(most) if self.uses >= most => Err(Refusal::CouponUsedUp),
            _ => Ok(()),
        }
    }

    /// What it makes of a price.
    fn effect(&self, price: Amount, own: &OwnLimits) -> Result<Effect, Refusal> {
        let unfit = |why: String| Err(Refusal::CouponUnfit { why });
        let in_another = |unit: Unit| unit != price.unit;
        if let Some(least) = self.terms.least_price
            && (in_another(least.unit) || price.minor < least.minor)
        {
            return unfit(format!("it is for purchases of {least} or more"));
        }
        let discount = match self.terms.benefit {
            Benefit::Percent(percent) => percent_rounded_down(price, percent).minor,
            Benefit::Amount(amount) if in_another(amount.unit) => {
                let code = amount.unit.code();
                return unfit(format!("it is for purchases in {code:?}"));
            }
            Benefit::Amount(amount) => amount.minor,
            Benefit::Credits(credits) => {
                return Ok(Effect {
                    price,
                    discount: 0,
                    credits,
                });
            }
        };
        let reduced = Amount::new(price.minor.saturating_sub(discount), price.unit);
        if currency::check(own, reduced, "coupon").is_err() {
            let least = Amount::new(currency::limits(own, price.unit).least, price.unit);
            return unfit(format!("no less than {least} can be charged"));
        }
        Ok(Effect {
            price: reduced,
            discount,
            credits: 0,
        })
    }
}

/// Makes a coupon.
pub(crate) fn create(
    state: &mut State,
    context: &Context<'_>,
    terms: &CouponTerms,
) -> Result<Coupon, Refusal> {
    let misfit = |field: &str, rule: &str| Refusal::Misfit {
        field: field.to_owned(),
        rule: rule.to_owned(),
    };
    match terms.benefit {
        Benefit::Percent(percent) => within("percent_off", percent, 1, 99)?,
        Benefit::Amount(amount) => {
            within("amount_off_minor", amount.minor, 1, AMOUNT_MAX)?;
            if amount.minor % currency::step(amount.unit) != 0 {
                let rule = "must be an amount that can be charged in its currency";
                return Err(misfit("amount_off_minor", rule));
            }
        }
        Benefit::Credits(credits) => within("credits", credits, 1, AMOUNT_MAX)?,
    }
    if let Some(least) = terms.least_price {
        within("least_price_minor", least.minor, 1, AMOUNT_MAX)?;
        if matches!(terms.benefit, Benefit::Amount(amount) if amount.unit != least.unit) {
            return Err(misfit("currency", "must be the same for both amounts"));
        }
    }
    if let Some(most) = terms.uses_max {
        within("uses_max", most, 1, AMOUNT_MAX)?;
    }
    if terms.expires_at.is_some_and(|expiry| expiry <= context.now) {
        return Err(misfit("expires_at", "must be in the future"));
    }
    if code(&terms.code).as_ref() != Some(&terms.code) {
        let rule = "must have 3 to 40 characters out of A-Z 0-9 _ -";
        return Err(misfit("code", rule));
    }
    if state.coupons.get(&terms.code).is_some() {
        return Err(Refusal::CouponExists);
    }
    let coupon = Coupon {
        terms: terms.clone(),
        uses: 0,
        disabled_at: None,
        created_at: context.now,
    };
    state.coupons.insert(terms.code.clone(), coupon.clone());
    Ok(coupon)
}

/// From now on no payment can be opened with it. Disabling twice keeps the first time.
pub(crate) fn disable(state: &mut State, now: Time, code: &String) -> Result<Coupon, Refusal> {
    if state.coupons.get(code).is_none() {
        return Err(Refusal::CouponNotFound);
    }
    Ok(state.coupons.change(code, |coupon| {
        coupon.disabled_at.get_or_insert(now);
        coupon.clone()
    }))
}

fn perk_key(code: &str, user: &UserId) -> PerkKey {
    PerkKey::new(PerkKind::Coupon, code, user.as_str())
}

/// Asks for a coupon and what this user has of it. Gives the payment that has it reserved, if that is here.
pub(crate) fn needs(wanted: &mut Wanted<'_>, code: &str, user: &UserId) -> Option<PaymentId> {
    wanted.coupon(&code.to_owned());
    let perk = wanted.perk(&perk_key(code, user))?;
    match perk.status {
        PerkStatus::Reserved => PaymentId::parse(&perk.reference),
        PerkStatus::Given | PerkStatus::Freed => None,
    }
}

/// The payment that has this user's coupon reserved.
pub(crate) fn reserved_by(state: &State, code: &str, user: &UserId) -> Option<PaymentId> {
    let perk = state.perks.get(&perk_key(code, user))?;
    let is_reserved = perk.status == PerkStatus::Reserved;
    is_reserved
        .then(|| PaymentId::parse(&perk.reference))
        .flatten()
}

/// What a coupon makes of a purchase, if this user may use it. Nothing is reserved yet.
pub(crate) fn apply(
    state: &State,
    context: &Context<'_>,
    (code, user): (&str, &UserId),
    price: Amount,
) -> Result<Effect, Refusal> {
    let coupon = state.coupons.get(&code.to_owned());
    let coupon = coupon.ok_or(Refusal::CouponInvalid)?;
    coupon.check_usable(context.now)?;
    let perk = state.perks.get(&perk_key(code, user));
    match perk.map(|perk| perk.status) {
        Some(PerkStatus::Given) if !planted::is(Bug::CouponAgain) => {
            return Err(Refusal::CouponUsed);
        }
        Some(PerkStatus::Reserved) => {}
        Some(PerkStatus::Given | PerkStatus::Freed) | None => coupon.check_room()?,
    }
    coupon.effect(price, &context.policy.charge_limits)
}

/// Whether the coupon of a top-up, if it has one, can be reserved for a payment of it.
pub(crate) fn check_reservable(state: &State, now: Time, topup: &Topup) -> Result<(), Refusal> {
    let Some(code) = &topup.coupon else {
        return Ok(());
    };
    let coupon = state.coupons.get(code).ok_or(Refusal::CouponInvalid)?;
    coupon.check_usable(now)?;
    let perk = state.perks.get(&perk_key(code, &topup.user));
    match perk.map(|perk| perk.status) {
        Some(PerkStatus::Given) => Err(Refusal::CouponUsed),
        Some(PerkStatus::Freed) | None => coupon.check_room(),
        Some(PerkStatus::Reserved) => {
            let payment = reserved_by(state, code, &topup.user);
            let payment = payment.and_then(|id| state.payments.get(&id));
            match payment {
                Some(payment) if payment.topup != topup.id => Err(Refusal::CouponHeld),
                _ => Ok(()),
            }
        }
    }
}

/// Reserves the coupon of a top-up for a payment of it. [`check_reservable`] has been asked.
pub(crate) fn reserve(state: &mut State, now: Time, topup: &Topup, payment: &PaymentId) {
    let Some(code) = &topup.coupon else {
        return;
    };
    let key = perk_key(code, &topup.user);
    let before = state.perks.get(&key).map(|perk| perk.status);
    if before != Some(PerkStatus::Reserved) {
        state.coupons.change(code, |coupon| coupon.uses += 1);
    }
    put(state, now, key, (PerkStatus::Reserved, payment.as_str()));
}

/// A payment has ended unpaid: what it had reserved is free again.
pub(crate) fn free(state: &mut State, now: Time, topup: &Topup, payment: &PaymentId) {
    let Some(code) = &topup.coupon else {
        return;
    };
    if reserved_by(state, code, &topup.user).as_ref() != Some(payment) {
        return;
    }
    state.coupons.change(code, |coupon| coupon.uses -= 1);
    let key = perk_key(code, &topup.user);
    put(state, now, key, (PerkStatus::Freed, payment.as_str()));
}

/// A top-up was paid with its coupon. One that was not reserved counts all the same: the money has come.
pub(crate) fn use_up(state: &mut State, now: Time, topup: &Topup) {
    let Some(code) = &topup.coupon else {
        return;
    };
    let key = perk_key(code, &topup.user);
    let before = state.perks.get(&key).map(|perk| perk.status);
    if matches!(before, None | Some(PerkStatus::Freed)) && state.coupons.get(code).is_some() {
        state.coupons.change(code, |coupon| coupon.uses += 1);
    }
    put(state, now, key, (PerkStatus::Given, topup.id.as_str()));
}

fn put(state: &mut State, now: Time, key: PerkKey, (status, reference): (PerkStatus, &str)) {
    let perk = Perk::new(key.clone(), status, reference, now);
    state.perks.put(key, perk);
}
