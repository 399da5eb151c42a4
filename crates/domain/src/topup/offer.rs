//! What a wish comes to: credits, extras and price, with a coupon if there is one.

use super::{CreateTopup, TopupStatus, Wish, close};
use crate::amount::{Amount, CreditPrice, Unit};
use crate::attempt;
use crate::checkout;
use crate::command::Context;
use crate::coupon::{self, Effect};
use crate::currency;
use crate::grant::{AMOUNT_MAX, within};
use crate::id::UserId;
use crate::journal::Remark;
use crate::payment::PaymentStatus;
use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::state::{State, Wanted};
use crate::time::Time;

/// What is sold, and what for.
pub(super) struct Offer {
    pub(super) credits: i64,
    pub(super) bonus: i64,
    pub(super) package: Option<String>,
    pub(super) coupon: Option<String>,
    /// What the coupon has taken off.
    pub(super) discount: i64,
    /// What is to be paid.
    pub(super) price: Amount,
}

/// What is sold by a wish, with its coupon if it has one. Whoever has the coupon reserved for another top-up gives that one up.
pub(super) fn with_coupon(
    state: &mut State,
    context: &Context<'_>,
    wish: &CreateTopup,
) -> Result<Offer, Refusal> {
    let plain = offer(context.policy, wish)?;
    let Some(code) = wish.coupon.as_deref().map(kept_code) else {
        return Ok(plain);
    };
    let effect = try_coupon(state, context, (&code, &wish.user), plain.price)?;
    let bonus = plain.bonus.saturating_add(effect.credits);
    within("bonus", bonus, 0, AMOUNT_MAX)?;
    take_over(state, context.now, &code, &wish.user);
    Ok(Offer {
        bonus,
        coupon: Some(code),
        discount: effect.discount,
        price: effect.price,
        ..plain
    })
}

fn offer(policy: &Policy, wish: &CreateTopup) -> Result<Offer, Refusal> {
    let not_offered = |currency: Unit| Refusal::CurrencyNotOffered {
        currency: currency.code().to_owned(),
    };
    match &wish.wish {
        Wish::Credits(credits) => {
            let (least, most) = (policy.topup_credits_min, policy.topup_credits_max);
            within("credits", *credits, least, most)?;
            let currency = wish.currency.unwrap_or(policy.credit_price.currency);
            let price = policy
                .price_in(currency)
                .ok_or_else(|| not_offered(currency))?;
            let exact = price.cost_rounded_up(*credits);
            let price = exact.and_then(currency::rounded_up_to_step);
            let price = price.map_err(|_| Refusal::PriceOutOfRange { currency })?;
            currency::check(&policy.charge_limits, price, "credits")?;
            Ok(Offer {
                credits: *credits,
                bonus: 0,
                package: None,
                coupon: None,
                discount: 0,
                price,
            })
        }
        Wish::Money { paid, price } => bought_by(policy, *paid, price),
        Wish::Package(id) => {
            let package = policy.package(id);
            let package = package.ok_or_else(|| Refusal::PackageNotFound { id: id.clone() })?;
            let price = match wish.currency {
                Some(currency) => package
                    .price_in(currency)
                    .ok_or_else(|| not_offered(currency))?,
                // A package has a price.
                None => *package
                    .prices
                    .first()
                    .ok_or_else(|| Refusal::PackageNotFound { id: id.clone() })?,
            };
            currency::check(&policy.charge_limits, price, "package_id")?;
            Ok(Offer {
                credits: package.credits,
                bonus: package.bonus,
                package: Some(package.id.clone()),
                coupon: None,
                discount: 0,
                price,
            })
        }
    }
}

/// What an amount of money buys: whole credits, no fewer and no more than a top-up may have.
fn bought_by(policy: &Policy, paid: Amount, price: &CreditPrice) -> Result<Offer, Refusal> {
    if paid.unit != price.currency {
        let currency = paid.unit.code().to_owned();
        return Err(Refusal::CurrencyNotOffered { currency });
    }
    let cost = |credits| price.cost_rounded_up(credits);
    let chargeable = currency::limits(&policy.charge_limits, paid.unit);
    let least = cost(policy.topup_credits_min).map_or(i64::MAX, |amount| amount.minor);
    let most = cost(policy.topup_credits_max).map_or(i64::MAX, |amount| amount.minor);
    let limits = currency::ChargeLimits {
        least: least.max(chargeable.least),
        most: most.min(chargeable.most),
    };
    let limits = currency::OwnLimits::from([(paid.unit, limits)]);
    currency::check(&limits, paid, "amount")?;
    let credits = price.credits_for(paid).ok_or_else(|| Refusal::Misfit {
        field: "amount".to_owned(),
        rule: format!(
            "must pay for whole credits, which cost {} for {}",
            Amount::new(price.numerator, price.currency),
            Amount::credits(price.denominator)
        ),
    })?;
    Ok(Offer {
        credits,
        bonus: 0,
        package: None,
        coupon: None,
        discount: 0,
        price: paid,
    })
}

/// The code by which a coupon is looked up; what is no code is looked up as it is, and not found.
fn kept_code(text: &str) -> String {
    coupon::code(text).unwrap_or_else(|| text.to_owned())
}

/// Rows that [`create`] may touch.
pub(crate) fn needs_to_create(wanted: &mut Wanted<'_>, wish: &CreateTopup) {
    let Some(code) = wish.coupon.as_deref().map(kept_code) else {
        return;
    };
    attempt::needs(wanted, &wish.user);
    let holder = coupon::needs(wanted, &code, &wish.user);
    if let Some(payment) = holder.and_then(|holder| wanted.payment(&holder)) {
        checkout::needs_to_close_checkout(wanted, &payment.topup.clone());
    }
}

/// A coupon that is not there counts as a wrong code.
fn try_coupon(
    state: &mut State,
    context: &Context<'_>,
    (code, user): (&str, &UserId),
    price: Amount,
) -> Result<Effect, Refusal> {
    attempt::check(state, context.now, user)?;
    let effect = coupon::apply(state, context, (code, user), price);
    if effect == Err(Refusal::CouponInvalid) {
        attempt::failed(state, context.now, user);
    }
    effect
}

/// The user has the coupon reserved for another top-up: that one is given up, and its page closed. Until that is done, the new one
/// cannot be paid.
fn take_over(state: &mut State, now: Time, code: &str, user: &UserId) {
    let holder = coupon::reserved_by(state, code, user);
    let Some(payment) = holder.and_then(|holder| state.payments.get(&holder)) else {
        return;
    };
    if payment.status != PaymentStatus::Pending {
        return;
    }
    let other = payment.topup.clone();
    let remark = Remark {
        note: "another top-up has its coupon".to_owned(),
        ..Remark::default()
    };
    close(state, now, &other, TopupStatus::Canceled, Some(&remark));
    checkout::close_checkout(state, now, &other);
}
