//! Wallets of another unit than credits, where each grant is kept by itself: it begins, it ends, and a rest may pass on.
//!
//! Nothing is bought, owed or reserved in them, so that what is left of which grant stays simple enough to be believed.

use std::collections::BTreeMap;

use bursar_domain::command::Reply;
use bursar_domain::grant::{CreateGrant, GrantEnd, RollOver};
use bursar_domain::id::{GrantId, UserId};
use bursar_domain::refusal::Refusal;
use bursar_domain::time::Time;

use super::Model;
use super::expect::{Outcome, same};

/// A grant.
#[derive(Debug, Clone)]
struct Lot {
    /// None for what has passed on: nobody was told of it.
    id: Option<GrantId>,
    priority: i64,
    starts: Option<Time>,
    expires: Option<Time>,
    roll: Option<RollOver>,
    left: i64,
}

impl Lot {
    fn has_expired(&self, now: Time) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    fn has_begun(&self, now: Time) -> bool {
        self.starts.is_none_or(|starts| starts <= now)
    }

    /// What has passed on of it, once it has expired.
    fn rest(&self, now: Time) -> Option<Self> {
        let roll = self.roll?;
        let until = self.expires?.plus_seconds(roll.seconds);
        (until > now).then(|| Self {
            id: None,
            starts: None,
            expires: Some(until),
            roll: None,
            left: roll.cap.min(self.left),
            ..self.clone()
        })
    }

    /// Sorts as they are spent. What has passed on is younger than what it came from.
    fn order(&self) -> (i64, Time, i64) {
        let expires = self.expires.unwrap_or(Time(i64::MAX));
        let age = self.id.map_or(i64::MAX, GrantId::number);
        (self.priority, expires, age)
    }
}

/// All grants of all users.
#[derive(Debug, Clone, Default)]
pub(super) struct Lots {
    of: BTreeMap<UserId, Vec<Lot>>,
    ended: BTreeMap<GrantId, GrantEnd>,
    pub(super) expired: usize,
    pub(super) passed_on: usize,
}

impl Lots {
    /// Books what has expired.
    fn close(&mut self, user: &UserId, now: Time) {
        let lots = self.of.entry(user.clone()).or_default();
        let expired: Vec<Lot> = lots.extract_if(.., |lot| lot.has_expired(now)).collect();
        for lot in expired {
            self.expired += 1;
            let rest = lot.rest(now);
            self.passed_on += usize::from(rest.is_some());
            lots.extend(rest);
            self.ended.extend(lot.id.map(|id| (id, GrantEnd::Expired)));
        }
        lots.sort_by_key(Lot::order);
    }

    /// Takes an amount in the order of spending; what each has paid.
    fn take(&mut self, user: &UserId, amount: i64, now: Time) -> Vec<i64> {
        let (mut paid, mut missing) = (Vec::new(), amount);
        let lots = self.of.entry(user.clone()).or_default();
        for lot in lots.iter_mut().filter(|lot| lot.has_begun(now)) {
            let part = lot.left.min(missing);
            if part > 0 {
                lot.left -= part;
                missing -= part;
                paid.push(part);
            }
        }
        for lot in lots.extract_if(.., |lot| lot.left == 0) {
            self.ended.extend(lot.id.map(|id| (id, GrantEnd::Spent)));
        }
        paid
    }
}

impl Model {
    /// What a user has in these wallets: all of it, and what can be spent.
    pub(crate) fn euros(&self, user: &UserId, now: Time) -> (i64, i64) {
        let lots = self.lots.of.get(user).map_or(&[][..], Vec::as_slice);
        let usable = lots.iter().map(|lot| {
            if lot.has_expired(now) {
                lot.rest(now).map_or(0, |rest| rest.left)
            } else if lot.has_begun(now) {
                lot.left
            } else {
                0
            }
        });
        (lots.iter().map(|lot| lot.left).sum(), usable.sum())
    }

    /// The grants of these wallets that were made, oldest first.
    pub(crate) fn lots(&self) -> Vec<GrantId> {
        let live = self.lots.of.values().flatten().filter_map(|lot| lot.id);
        let mut all: Vec<GrantId> = live.chain(self.lots.ended.keys().copied()).collect();
        all.sort_unstable();
        all
    }

    pub(super) fn create_lot(
        &mut self,
        terms: &CreateGrant,
        outcome: &Outcome,
        now: Time,
    ) -> Result<(), String> {
        let is_late = terms.expires_at.is_some_and(|expiry| expiry <= now);
        let misfit = Refusal::Misfit {
            field: String::new(),
            rule: String::new(),
        };
        let expected = if is_late { Err(misfit) } else { Ok(()) };
        same(terms, &expected, outcome)?;
        if let Ok(Reply::Grant(grant)) = outcome {
            self.add_lot(grant.id, terms, now);
        }
        Ok(())
    }

    /// Whether so much of these wallets can be spent.
    pub(super) fn lots_cover(&self, user: &UserId, amount: i64, now: Time) -> Result<(), Refusal> {
        let (_, available) = self.euros(user, now);
        let missing = amount - available;
        if missing > 0 {
            return Err(Refusal::InsufficientCredits { available, missing });
        }
        Ok(())
    }

    /// Takes an amount that is there; what each grant has paid.
    pub(super) fn take_lots(&mut self, user: &UserId, amount: i64, now: Time) -> Vec<i64> {
        self.lots.close(user, now);
        self.lots.take(user, amount, now)
    }

    /// Adds what was given; what has expired is booked before.
    pub(super) fn add_lot(&mut self, id: GrantId, terms: &CreateGrant, now: Time) {
        self.lots.close(&terms.user, now);
        let lot = Lot {
            id: Some(id),
            priority: terms.priority,
            starts: terms.starts_at,
            expires: terms.expires_at,
            roll: terms.roll_over,
            left: terms.amount.minor,
        };
        let lots = self.lots.of.entry(terms.user.clone()).or_default();
        lots.push(lot);
        lots.sort_by_key(Lot::order);
    }

    pub(super) fn void_lot(
        &mut self,
        id: GrantId,
        outcome: &Outcome,
        now: Time,
    ) -> Result<(), String> {
        let lots = self.lots.of.iter();
        let found = lots
            .flat_map(|(user, lots)| lots.iter().map(move |lot| (user, lot)))
            .find(|(_, lot)| lot.id == Some(id));
        let found = found.map(|(user, lot)| (user.clone(), lot.has_expired(now)));
        let expected = match (&found, self.lots.ended.get(&id)) {
            (Some((_, false)), _) | (None, Some(GrantEnd::Voided)) => Ok(()),
            (Some((_, true)), _) => Err(Refusal::GrantEnded {
                end: GrantEnd::Expired,
            }),
            (None, Some(end)) => Err(Refusal::GrantEnded { end: *end }),
            (None, None) => Err(Refusal::GrantNotFound),
        };
        same(&"to take a grant back", &expected, outcome)?;
        if let Some((user, false)) = found {
            self.lots.close(&user, now);
            let lots = self.lots.of.entry(user).or_default();
            lots.retain(|lot| lot.id != Some(id));
            self.lots.ended.insert(id, GrantEnd::Voided);
        }
        Ok(())
    }

    pub(super) fn close_lots(&mut self, user: &UserId, now: Time) {
        self.lots.close(user, now);
    }
}
