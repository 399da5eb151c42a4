//! Spending limits: how much a user, an API key or a label may spend in a day, a week, a month, or ever.
//!
//! A limit is asked in the same step as the charge, by the one writer, so that no burst gets past it. Days, weeks (from Monday)
//! and months are those of UTC. What holds reserve counts as spent until they end; what they then settle counts in the period
//! in which they end. A limit that is set while a hold is open counts what it settles, and all of it from its first extension on.

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde::{Deserialize, Serialize};

use crate::account::AccountKey;
use crate::amount::{Amount, Unit};
use crate::announcement::{self, Happening};
use crate::grant::{AMOUNT_MAX, within};
use crate::id::{LimitId, UserId};
use crate::planted::{self, Bug};
use crate::refusal::Refusal;
use crate::state::{State, Wanted};
use crate::time::Time;
use crate::word::words;

/// What kind of spender a limit is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectKind {
    /// A user.
    User,
    /// An API key of the product, under the product's own name for it.
    ApiKey,
    /// A team, a project, or whatever else the product groups by.
    Label,
}

/// When what was spent begins at zero again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// At midnight.
    Day,
    /// On Monday at midnight.
    Week,
    /// On the first of the month at midnight.
    Month,
    /// Never.
    Ever,
}

words!(SubjectKind: User = "user", ApiKey = "api_key", Label = "label");
words!(Period: Day = "day", Week = "week", Month = "month", Ever = "ever");

/// Whose spending is limited.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// What kind of spender.
    pub kind: SubjectKind,
    /// Which one.
    pub name: String,
}

/// So much in each period, and what was spent of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendingLimit {
    /// Its id.
    pub id: LimitId,
    /// Whose spending.
    pub subject: Subject,
    /// At most so much in a period, and of what; 0 allows nothing.
    pub most: Amount,
    /// The period.
    pub period: Period,
    /// When the period began in which something was spent last.
    pub began_at: Time,
    /// What was spent in it, in smallest steps.
    pub spent: i64,
    /// What open holds reserve, in smallest steps.
    pub reserved: i64,
    /// When it was set.
    pub created_at: Time,
    /// When it was last changed by an administrator.
    pub updated_at: Time,
}

impl Period {
    /// When the period began that `now` lies in. Outside the calendar's range (years -9999 to 9999) it never ends.
    pub fn began(self, now: Time) -> Time {
        self.bounds(now).map_or(Time(i64::MIN), |(began, _)| began)
    }

    /// When the period ends that `now` lies in; none if never.
    pub fn ends(self, now: Time) -> Option<Time> {
        self.bounds(now).map(|(_, ends)| ends)
    }

    fn bounds(self, now: Time) -> Option<(Time, Time)> {
        let date = Timestamp::from_microsecond(now.0)
            .ok()?
            .to_zoned(TimeZone::UTC)
            .date();
        let (first, length) = match self {
            Self::Day => (date, 1.day()),
            Self::Week => {
                let monday = date.weekday().since(Weekday::Monday);
                (date.checked_sub(i64::from(monday).days()).ok()?, 1.week())
            }
            Self::Month => (date.first_of_month(), 1.month()),
            Self::Ever => return None,
        };
        let midnight = |date: jiff::civil::Date| {
            let zoned = date.to_zoned(TimeZone::UTC).ok()?;
            Some(Time(zoned.timestamp().as_microsecond()))
        };
        Some((midnight(first)?, midnight(first.checked_add(length).ok()?)?))
    }
}

impl SpendingLimit {
    /// What counts against the limit now.
    pub fn used(&self, now: Time) -> i64 {
        let spent = if self.is_current(now) { self.spent } else { 0 };
        if planted::is(Bug::LimitForgetsHolds) {
            return spent;
        }
        spent.saturating_add(self.reserved)
    }

    /// A period that began before the one of the last spending counts as that one: clocks step back now and then.
    fn is_current(&self, now: Time) -> bool {
        self.period.began(now) <= self.began_at
    }

    fn spend(&mut self, amount: i64, now: Time) {
        if !self.is_current(now) {
            self.began_at = self.period.began(now);
            self.spent = 0;
        }
        self.spent = self.spent.saturating_add(amount);
    }
}

/// Asks for a limit, or another amount for one that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetLimit {
    /// Whose spending.
    pub subject: Subject,
    /// At most so much in a period, and of what.
    pub most: Amount,
    /// The period.
    pub period: Period,
}

/// Sets a limit. One of the same subject, unit and period gets the new amount and keeps what was spent.
pub(crate) fn set(state: &mut State, now: Time, wish: &SetLimit) -> Result<SpendingLimit, Refusal> {
    within("credits", wish.most.minor, 0, AMOUNT_MAX)?;
    let mut limits = state.limits.get(&wish.subject).cloned().unwrap_or_default();
    let same = |limit: &&mut SpendingLimit| {
        limit.period == wish.period && limit.most.unit == wish.most.unit
    };
    let set = if let Some(limit) = limits.iter_mut().find(same) {
        limit.most = wish.most;
        limit.updated_at = now;
        limit.clone()
    } else {
        let limit = SpendingLimit {
            id: LimitId::of(state.sequence.next_limit()),
            subject: wish.subject.clone(),
            most: wish.most,
            period: wish.period,
            began_at: wish.period.began(now),
            spent: 0,
            reserved: 0,
            created_at: now,
            updated_at: now,
        };
        limits.push(limit.clone());
        limit
    };
    state.limits.put(wish.subject.clone(), limits);
    // Who takes it away in the same batch has to find it.
    state.limit_subjects.set(set.id, wish.subject.clone());
    Ok(set)
}

/// Takes a limit away. Holds that it counted forget it.
pub(crate) fn remove(state: &mut State, id: LimitId) -> Result<SpendingLimit, Refusal> {
    let subject = state.limit_subjects.get(&id).cloned();
    let subject = subject.ok_or(Refusal::LimitNotFound)?;
    let mut limits = state.limits.get(&subject).cloned().unwrap_or_default();
    let place = limits.iter().position(|limit| limit.id == id);
    let removed = limits.remove(place.ok_or(Refusal::LimitNotFound)?);
    state.limits.put(subject, limits);
    state.removed_limits.push(id);
    Ok(removed)
}

pub(crate) fn needs_to_remove(wanted: &mut Wanted<'_>, id: LimitId) {
    if let Some(subject) = wanted.limit_subject(&id) {
        wanted.limits(subject);
    }
}

/// Who spends: the user, and the key and the labels that the product names.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Spender {
    /// The product's name for the API key that was used.
    pub api_key: Option<String>,
    /// Teams, projects and the like.
    pub labels: Vec<String>,
}

impl Spender {
    /// With labels in order and each once: a label that is given twice counts once, and whoever keeps them in a set asks the same,
    /// however they come out of it.
    pub fn of(api_key: Option<String>, mut labels: Vec<String>) -> Self {
        labels.sort();
        labels.dedup();
        Self { api_key, labels }
    }

    /// Everybody whose limits count, each once.
    pub(crate) fn subjects(&self, user: &UserId) -> Vec<Subject> {
        let subject = |kind, name: &str| Subject {
            kind,
            name: name.to_owned(),
        };
        let user = subject(SubjectKind::User, user.as_str());
        let key = self
            .api_key
            .iter()
            .map(|key| subject(SubjectKind::ApiKey, key));
        let labels = self
            .labels()
            .map(|label| subject(SubjectKind::Label, label));
        std::iter::once(user).chain(key).chain(labels).collect()
    }

    /// As kept with the transaction: `key:k-7 label:team-red`.
    pub(crate) fn tags(&self) -> Vec<String> {
        let key = self.api_key.iter().map(|key| format!("key:{key}"));
        let labels = self.labels().map(|label| format!("label:{label}"));
        key.chain(labels).collect()
    }

    /// A label named twice is one label.
    fn labels(&self) -> impl Iterator<Item = &String> {
        let labels = self.labels.iter().enumerate();
        labels.filter_map(|(place, label)| (!self.labels[..place].contains(label)).then_some(label))
    }
}

/// Whether all limits leave room for what would count on each; says no with the first that does not.
pub(crate) fn check(
    state: &State,
    subjects: &[Subject],
    unit: Unit,
    now: Time,
    adds: impl Fn(&SpendingLimit) -> i64,
) -> Result<(), Refusal> {
    if !state.may_have_limits() {
        return Ok(());
    }
    let limits = subjects
        .iter()
        .filter_map(|subject| state.limits.get(subject))
        .flatten();
    for limit in limits.filter(|limit| limit.most.unit == unit) {
        let (used, given) = (limit.used(now), adds(limit));
        if used.saturating_add(given) > limit.most.minor {
            return Err(Refusal::SpendingLimitReached {
                limit: limit.id,
                subject: limit.subject.clone(),
                period: limit.period,
                most: limit.most.minor,
                used,
                given,
                resets_at: limit.period.ends(now),
            });
        }
    }
    Ok(())
}

/// How much all limits leave room for.
pub(crate) fn room(state: &State, subjects: &[Subject], unit: Unit, now: Time) -> i64 {
    if !state.may_have_limits() {
        return i64::MAX;
    }
    let limits = subjects
        .iter()
        .filter_map(|subject| state.limits.get(subject))
        .flatten();
    limits
        .filter(|limit| limit.most.unit == unit)
        .map(|limit| limit.most.minor.saturating_sub(limit.used(now)))
        .min()
        .unwrap_or(i64::MAX)
}

/// What happens to a limit, in smallest steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Use {
    /// So much was spent.
    pub(crate) spent: i64,
    /// So much is reserved; given back when negative.
    pub(crate) reserved: i64,
}

impl Use {
    pub(crate) const fn spent(spent: i64) -> Self {
        Self { spent, reserved: 0 }
    }

    pub(crate) const fn reserved(reserved: i64) -> Self {
        Self { spent: 0, reserved }
    }
}

/// Counts on each limit of the wallet's unit what `used` says; which limits there are.
pub(crate) fn count(
    state: &mut State,
    subjects: &[Subject],
    wallet: &AccountKey,
    now: Time,
    used: impl Fn(&SpendingLimit) -> Use,
) -> Vec<LimitId> {
    let mut counted = Vec::new();
    for subject in subjects {
        let concerns = |limit: &SpendingLimit| limit.most.unit == wallet.unit;
        let limits = state.limits.get(subject);
        if !limits.is_some_and(|limits| limits.iter().any(concerns)) {
            continue;
        }
        let mut reached = Vec::new();
        state.limits.change(subject, |limits| {
            for limit in limits.iter_mut().filter(|limit| concerns(limit)) {
                let (before, what) = (limit.used(now), used(limit));
                if what.spent > 0 {
                    limit.spend(what.spent, now);
                }
                limit.reserved = limit.reserved.saturating_add(what.reserved);
                counted.push(limit.id);
                let spent = limit.used(now);
                if before < limit.most.minor && spent >= limit.most.minor {
                    let limit = limit.id;
                    reached.push(Happening::LimitReached { limit, spent });
                }
            }
        });
        for happening in reached {
            announcement::announce(state, wallet, now, happening);
        }
    }
    counted
}

#[cfg(test)]
mod tests;
