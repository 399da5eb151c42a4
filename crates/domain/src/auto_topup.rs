//! Automatic top-ups: a saved card is charged without its owner when a wallet falls low.
//!
//! What must not happen is that a card is charged again and again: each attempt is a payment with a key of its own, there is never a
//! second one while one is open, caps say how many there may be in a period, and a breaker that is kept with the terms stops the
//! attempts. Every way to fail counts; what the bank will never pay stops at once, anything else after [`FAILURES_MAX`] in a row.
//! Only another card, or a payment by this one, closes the breaker again.

use serde::{Deserialize, Serialize};

use crate::account::AccountKey;
use crate::announcement::{self, Happening};
use crate::command::Context;
use crate::grant::{self, AMOUNT_MAX, within};
use crate::id::{PaymentId, UserId};
use crate::journal::Remark;
use crate::limit::Period;
use crate::payment::opening::{self, Way};
use crate::payment::{Flow, Payment, PaymentStatus};
use crate::planted::{self, Bug};
use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::state::{State, Wanted};
use crate::time::Time;
use crate::topup::{self, CreateTopup};
use crate::wallet;
use crate::word::words;

/// After so many failures in a row nothing is tried any more.
pub const FAILURES_MAX: i64 = 3;

/// The mark that says which announcement was the last to be looked at.
pub const MARK: &str = "auto_topup";

/// What a bank will never pay, however often it is asked (<https://docs.stripe.com/declines/codes>, read 2026-11), and what asking again
/// cannot mend: a card that is not there any more.
const NEVER: [&str; 17] = [
    "card_not_supported",
    "currency_not_supported",
    "do_not_try_again",
    "expired_card",
    "fraudulent",
    "incorrect_number",
    "invalid_account",
    "invalid_number",
    "lost_card",
    "merchant_blacklist",
    "pickup_card",
    "resource_missing",
    "restricted_card",
    "revocation_of_all_authorizations",
    "revocation_of_authorization",
    "stolen_card",
    "stop_payment_order",
];

/// Stripe's word for the same (<https://docs.stripe.com/declines/card>).
const NEVER_ADVICE: &str = "do_not_try_again";

/// How much is bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refill {
    /// So many credits.
    Credits(i64),
    /// As many as it takes to have so many available.
    Target(i64),
}

/// At most so much in a period; none: as much as it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cap {
    /// The period, in UTC.
    pub period: Period,
    /// How many top-ups.
    pub topups: Option<i64>,
    /// How many credits.
    pub credits: Option<i64>,
}

impl Default for Cap {
    /// Three top-ups a day: a product that spends by mistake does not empty an account at the bank.
    fn default() -> Self {
        Self {
            period: Period::Day,
            topups: Some(3),
            credits: None,
        }
    }
}

/// What a user wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Whether anything is to be done.
    pub enabled: bool,
    /// With less available, credits are bought.
    pub threshold: i64,
    /// How many.
    pub refill: Refill,
    /// At most so many.
    pub cap: Cap,
    /// The provider's id of the card that pays.
    pub card: String,
}

/// What was bought in the current period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// When the period began.
    pub began_at: Time,
    /// How many top-ups, those under way included.
    pub topups: i64,
    /// How many credits.
    pub credits: i64,
}

/// Why nothing is tried any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The bank will never pay.
    NeverRetry,
    /// It failed too often in a row.
    TooManyFailures,
}

words!(Stop: NeverRetry = "never_retry", TooManyFailures = "too_many_failures");

/// What keeps a card that does not pay from being charged again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Breaker {
    /// Failures in a row: since another card was set, or this one paid.
    pub failures: i64,
    /// Why nothing is tried any more.
    pub stopped: Option<Stop>,
    /// Whether the failure was announced.
    pub told: bool,
    /// The next attempt is not made before.
    pub retry_at: Option<Time>,
}

/// A user's automatic top-up. The row stays when he ends it: the breaker must not forget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutoTopup {
    /// Whose wallet, and whose card.
    pub user: UserId,
    /// In which mode the card was saved.
    pub livemode: bool,
    /// What he wants.
    pub terms: Terms,
    /// What was bought in the current period.
    pub used: Used,
    /// What failed.
    pub breaker: Breaker,
    /// The newest attempt.
    pub payment: Option<PaymentId>,
    /// When it was first set.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
}

impl AutoTopup {
    /// Whether attempts may be made, if not now, then later.
    pub const fn is_armed(&self) -> bool {
        self.terms.enabled && self.breaker.stopped.is_none()
    }

    fn used_at(&self, now: Time) -> Used {
        let began_at = self.terms.cap.period.began(now);
        // A clock that steps back does not begin an earlier period again.
        if began_at <= self.used.began_at {
            return self.used;
        }
        Used {
            began_at,
            topups: 0,
            credits: 0,
        }
    }

    /// How many credits are to be bought, if any.
    fn due(&self, policy: &Policy, now: Time, available: i64) -> Option<i64> {
        let may = self.is_armed()
            && self.livemode == policy.livemode
            && self.breaker.retry_at.is_none_or(|at| at <= now)
            && available < self.terms.threshold;
        if !may {
            return None;
        }
        let wanted = match self.terms.refill {
            Refill::Credits(credits) => credits,
            Refill::Target(target) => target.saturating_sub(available),
        };
        let credits = wanted
            .max(policy.topup_credits_min)
            .min(policy.topup_credits_max);
        let (used, cap) = (self.used_at(now), self.terms.cap);
        let fits = cap.topups.is_none_or(|most| used.topups < most)
            && cap
                .credits
                .is_none_or(|most| used.credits.saturating_add(credits) <= most);
        fits.then_some(credits)
    }
}

/// Sets what a user wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAutoTopup {
    /// Whose wallet.
    pub user: UserId,
    /// What he wants.
    pub terms: Terms,
}

/// Rows that [`set`], [`end`] and [`attempt`] may touch.
pub(crate) fn needs(wanted: &mut Wanted<'_>, user: &UserId) {
    grant::needs_wallet(wanted, &AccountKey::wallet(user));
    let row = wanted.auto_topup(user);
    if let Some(payment) = row.and_then(|row| row.payment.as_ref()) {
        wanted.payment(payment);
    }
}

fn check(policy: &Policy, terms: &Terms) -> Result<(), Refusal> {
    within("threshold", terms.threshold, 1, AMOUNT_MAX)?;
    match terms.refill {
        Refill::Credits(credits) => {
            let (least, most) = (policy.topup_credits_min, policy.topup_credits_max);
            within("credits", credits, least, most)?;
        }
        Refill::Target(target) => within("target", target, terms.threshold, AMOUNT_MAX)?,
    }
    within("topups_max", terms.cap.topups.unwrap_or(1), 1, AMOUNT_MAX)?;
    within("credits_max", terms.cap.credits.unwrap_or(1), 1, AMOUNT_MAX)
}

/// Sets what a user wants. Another card closes the breaker; the same one does not.
pub(crate) fn set(
    state: &mut State,
    context: &Context<'_>,
    wish: &SetAutoTopup,
) -> Result<AutoTopup, Refusal> {
    let (policy, now) = (context.policy, context.now);
    check(policy, &wish.terms)?;
    let before = state.auto_topups.get(&wish.user);
    let mut row = before.cloned().unwrap_or_else(|| AutoTopup {
        user: wish.user.clone(),
        livemode: policy.livemode,
        terms: wish.terms.clone(),
        used: Used {
            began_at: wish.terms.cap.period.began(now),
            topups: 0,
            credits: 0,
        },
        breaker: Breaker::default(),
        payment: None,
        created_at: now,
        updated_at: now,
    });
    if row.terms.card != wish.terms.card {
        row.breaker = Breaker::default();
    }
    if row.terms.cap.period != wish.terms.cap.period {
        // Counting goes on with what was counted; a longer period has begun earlier, a shorter one begins afresh in its time.
        row.used.began_at = wish.terms.cap.period.began(now);
    }
    row.terms = wish.terms.clone();
    row.livemode = policy.livemode;
    row.updated_at = now;
    put(state, now, row.clone());
    Ok(row)
}

/// Ends it. The row stays.
pub(crate) fn end(state: &mut State, now: Time, user: &UserId) -> Result<AutoTopup, Refusal> {
    let row = state.auto_topups.get(user);
    let mut row = row.ok_or(Refusal::AutoTopupNotFound)?.clone();
    if row.terms.enabled {
        row.terms.enabled = false;
        row.updated_at = now;
        put(state, now, row.clone());
    }
    Ok(row)
}

/// Writes the row, and lets the wallet know below what it is of interest.
fn put(state: &mut State, now: Time, row: AutoTopup) {
    let key = AccountKey::wallet(&row.user);
    let below = row.is_armed().then_some(row.terms.threshold);
    wallet::open(state, &key, now);
    let known = state.wallets.get(&key).map(|wallet| wallet.topup_below);
    if known != Some(below) {
        wallet::change(state, &key, |wallet| wallet.topup_below = below);
    }
    state.auto_topups.put(row.user.clone(), row);
}

/// What may be due, and how far the announcements have been looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AutoTopups {
    /// Whose wallets.
    pub users: Vec<UserId>,
    /// The number of the last announcement that was looked at; none if it was not for announcements.
    pub read_to: Option<i64>,
}

/// Makes the attempts that are due.
pub(crate) fn attempt_all(state: &mut State, context: &mut Context<'_>, all: &AutoTopups) {
    for user in &all.users {
        if let Err(refusal) = attempt(state, context, user)
            && let Some(row) = state.auto_topups.get(user)
        {
            // What the rules do not allow counts as an attempt too, or it would be tried for ever.
            let row = row.clone();
            fail(state, context, row, None, (refusal.code(), None));
        }
    }
    if let Some(read_to) = all.read_to {
        state.marks.put(MARK.to_owned(), read_to.to_string());
    }
}

/// Opens a payment by the saved card, if one is due. Decided twice it does nothing the second time: there is an open one then.
pub(crate) fn attempt(
    state: &mut State,
    context: &mut Context<'_>,
    user: &UserId,
) -> Result<Option<PaymentId>, Refusal> {
    // Nobody is charged unasked by a database that is older than the world.
    if state.recovering {
        return Ok(None);
    }
    let Some(row) = state.auto_topups.get(user).cloned() else {
        return Ok(None);
    };
    let newest = row.payment.as_ref().and_then(|id| state.payments.get(id));
    let is_open = newest.is_some_and(|payment| payment.status.is_open());
    if is_open && !planted::is(Bug::ChargedWhileOpen) {
        return Ok(None);
    }
    let key = AccountKey::wallet(user);
    let wallet = state.wallets.get(&key);
    // Whose payments went back is not charged unasked.
    if wallet.is_some_and(|wallet| wallet.frozen) {
        return Ok(None);
    }
    let (now, available) = (context.now, wallet::available(state, &key, context.now));
    let Some(credits) = row.due(context.policy, now, available) else {
        return Ok(None);
    };
    let wish = CreateTopup {
        remark: Remark {
            note: "automatic top-up".to_owned(),
            ..Remark::default()
        },
        ..CreateTopup::plain(user.clone(), credits)
    };
    let topup = topup::create(state, context, &wish)?;
    let way = Way {
        flow: Flow::OffSession,
        save_card: false,
        card: Some(row.terms.card.clone()),
        pages: (String::new(), String::new()),
    };
    let payment = opening::open(state, context, (&topup.id, user), way)?;
    let mut counted = row.used_at(now);
    counted.topups += 1;
    counted.credits = counted.credits.saturating_add(credits);
    let row = AutoTopup {
        used: counted,
        payment: Some(payment.id.clone()),
        updated_at: now,
        ..row
    };
    put(state, now, row);
    Ok(Some(payment.id))
}

/// A payment by a saved card has moved on from where it stood as `before`.
pub(crate) fn hear(
    state: &mut State,
    context: &Context<'_>,
    before: &Payment,
    next: PaymentStatus,
) {
    let row = state.auto_topups.get(&before.user);
    let Some(mut row) = row.cloned() else { return };
    let is_this_card = before.card.as_ref() == Some(&row.terms.card);
    let is_ours = row.payment.as_ref() == Some(&before.id);
    let credits = state.topups.get(&before.topup).map_or(0, |it| it.credits);
    if next.is_paid() {
        if is_ours && !before.status.is_open() {
            // It was given back when it seemed to have failed.
            row.used.topups += 1;
            row.used.credits = row.used.credits.saturating_add(credits);
        }
        if is_this_card {
            row.breaker = Breaker::default();
        }
        put(state, context.now, row);
        return;
    }
    if !is_ours || next.is_open() || !before.status.is_open() {
        return;
    }
    row.used.topups = (row.used.topups - 1).max(0);
    row.used.credits = (row.used.credits - credits).max(0);
    if is_this_card {
        let payment = state.payments.get(&before.id);
        let failure = payment.and_then(|payment| payment.last_failure.clone());
        let code = failure.as_ref().map_or("", |failure| &failure.code);
        let advice = failure
            .as_ref()
            .and_then(|failure| failure.advice.as_deref());
        fail(state, context, row, Some(&before.id), (code, advice));
    } else {
        put(state, context.now, row);
    }
}

/// Counts a failure, and stops if it was one too many. Each is told once in a row of failures: that it fails, and that it was stopped.
fn fail(
    state: &mut State,
    context: &Context<'_>,
    mut row: AutoTopup,
    payment: Option<&PaymentId>,
    (code, advice): (&str, Option<&str>),
) {
    let (now, key) = (context.now, AccountKey::wallet(&row.user));
    let never = NEVER.contains(&code) || advice == Some(NEVER_ADVICE);
    let breaker = &mut row.breaker;
    breaker.failures += 1;
    breaker.retry_at = Some(now.plus_seconds(context.policy.auto_topup_retry_seconds));
    let was_told = std::mem::replace(&mut breaker.told, true);
    let stop = match breaker.stopped {
        Some(_) => None,
        None if never => Some(Stop::NeverRetry),
        None => (breaker.failures >= FAILURES_MAX).then_some(Stop::TooManyFailures),
    };
    breaker.stopped = breaker.stopped.or(stop);
    row.updated_at = now;
    put(state, now, row);
    if !was_told {
        let happening = Happening::AutoTopupFailed {
            payment: payment.cloned(),
            code: code.to_owned(),
        };
        announcement::announce(state, &key, now, happening);
    }
    if let Some(reason) = stop {
        let happening = Happening::AutoTopupStopped {
            reason,
            code: code.to_owned(),
        };
        announcement::announce(state, &key, now, happening);
    }
}

#[cfg(test)]
mod tests;
