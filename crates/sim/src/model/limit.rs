//! How much may be spent in a time.

use bursar_domain::command::Reply;
use bursar_domain::id::{LimitId, UserId};
use bursar_domain::limit::{Period, SetLimit, Spender, Subject, SubjectKind};
use bursar_domain::refusal::Refusal;
use bursar_domain::time::Time;

use super::Model;
use super::expect::{Outcome, same};

/// A limit, and what counts against it.
#[derive(Debug, Clone)]
pub(crate) struct Limit {
    pub(crate) id: LimitId,
    subject: Subject,
    most: i64,
    period: Period,
    /// When the period began in which something was spent last.
    began: Time,
    spent: i64,
    reserved: i64,
}

impl Limit {
    fn used(&self, now: Time) -> i64 {
        // A clock that has jumped back is in the period that it came from.
        let is_over = self.period.began(now) > self.began;
        self.reserved + if is_over { 0 } else { self.spent }
    }
}

/// Whose limits count when this user spends for these.
pub(super) fn subjects(user: &UserId, spender: &Spender) -> Vec<Subject> {
    let named = |kind, name: &str| Subject {
        kind,
        name: name.to_owned(),
    };
    let key = spender.api_key.iter();
    let key = key.map(|key| named(SubjectKind::ApiKey, key));
    let labels = spender.labels.iter();
    let labels = labels.map(|label| named(SubjectKind::Label, label));
    let user = named(SubjectKind::User, user.as_str());
    std::iter::once(user).chain(key).chain(labels).collect()
}

impl Model {
    pub(super) fn set_limit(
        &mut self,
        wish: &SetLimit,
        outcome: &Outcome,
        now: Time,
    ) -> Result<(), String> {
        same(wish, &Ok(()), outcome)?;
        let Ok(Reply::Limit(given)) = outcome else {
            return Err(format!("a limit was answered {outcome:?}"));
        };
        let is_same = |it: &&mut Limit| it.subject == wish.subject && it.period == wish.period;
        if let Some(limit) = self.limits.iter_mut().find(is_same) {
            limit.most = wish.most.minor;
        } else {
            self.limits.push(Limit {
                id: given.id,
                subject: wish.subject.clone(),
                most: wish.most.minor,
                period: wish.period,
                began: wish.period.began(now),
                spent: 0,
                reserved: 0,
            });
        }
        let limit = self.limits.iter().find(|limit| limit.id == given.id);
        let is_right = |limit: &&Limit| {
            let known = (limit.most, limit.used(now), limit.reserved);
            known == (given.most.minor, given.used(now), given.reserved)
        };
        if limit.is_some_and(|limit| is_right(&limit)) {
            return Ok(());
        }
        Err(format!("{limit:?} was answered {given:?}"))
    }

    pub(super) fn remove_limit(&mut self, id: LimitId, outcome: &Outcome) -> Result<(), String> {
        let count = self.limits.len();
        self.limits.retain(|limit| limit.id != id);
        let expected = if self.limits.len() < count {
            Ok(())
        } else {
            Err(Refusal::LimitNotFound)
        };
        same(&"the end of a limit", &expected, outcome)
    }

    /// Whether all limits have room for what each would count.
    pub(super) fn limits_allow(
        &self,
        subjects: &[Subject],
        now: Time,
        adds: impl Fn(&Limit) -> i64,
    ) -> Result<(), Refusal> {
        for limit in self.limits_of(subjects) {
            let (used, given) = (limit.used(now), adds(limit));
            if used + given > limit.most {
                return Err(Refusal::SpendingLimitReached {
                    limit: limit.id,
                    subject: limit.subject.clone(),
                    period: limit.period,
                    most: limit.most,
                    used,
                    given,
                    resets_at: None,
                });
            }
        }
        Ok(())
    }

    /// How much all limits leave.
    pub(super) fn limits_leave(&self, subjects: &[Subject], now: Time) -> i64 {
        let left = self
            .limits_of(subjects)
            .map(|limit| limit.most - limit.used(now));
        left.min().unwrap_or(i64::MAX)
    }

    fn limits_of(&self, subjects: &[Subject]) -> impl Iterator<Item = &Limit> {
        let limits = self.limits.iter();
        limits.filter(|limit| subjects.contains(&limit.subject))
    }

    /// Counts what was spent and reserved; which limits did.
    pub(super) fn limits_count(
        &mut self,
        subjects: &[Subject],
        now: Time,
        used: impl Fn(&Limit) -> (i64, i64),
    ) -> Vec<LimitId> {
        let mut counted = Vec::new();
        for limit in &mut self.limits {
            if !subjects.contains(&limit.subject) {
                continue;
            }
            let (spent, reserved) = used(limit);
            let began = limit.period.began(now);
            if spent > 0 && began > limit.began {
                limit.began = began;
                limit.spent = 0;
            }
            limit.spent += spent;
            limit.reserved += reserved;
            counted.push(limit.id);
        }
        counted
    }
}
