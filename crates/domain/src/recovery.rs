//! Recovery mode: the database is older than the world, because an old copy was restored.
//!
//! Until what happened since then is known again, nothing may be asked of the provider that moves money or promises something to
//! a customer. Events are taken in, wallets are spent from. It ends when reconciliation has found nothing left to do twice in a
//! row, or when an administrator says so.

use serde::{Deserialize, Serialize};

use crate::mark;
use crate::refusal::Refusal;
use crate::state::{State, Wanted};
use crate::time::Time;

/// So many reconciliations in a row must find nothing left to do.
pub const PASSES_NEEDED: u32 = 2;

/// Why the service is in recovery mode, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// What has to be looked at again: from this time on, in seconds since 1970.
    pub since: i64,
    /// How many reconciliations in a row have found nothing left to do.
    pub passes: u32,
    /// When the mode began.
    pub began_at: Time,
    /// Why.
    pub why: String,
}

impl Recovery {
    /// As it is remembered.
    pub fn written(&self) -> String {
        let (since, passes, began) = (self.since, self.passes, self.began_at.0);
        format!("{since} {passes} {began} {}", self.why)
    }

    /// What is remembered; none if the service is not in this mode.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, ' ');
        let mut next = || parts.next();
        Some(Self {
            since: next()?.parse().ok()?,
            passes: next()?.parse().ok()?,
            began_at: Time(next()?.parse().ok()?),
            why: next()?.to_owned(),
        })
    }
}

/// What changes the mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// An old copy was restored.
    Begin {
        /// What has to be looked at again: from this time on, in seconds since 1970.
        since: i64,
        /// Why.
        why: String,
    },
    /// The provider has a payment of ours with this number. If it is higher than any of ours, we are older than the world.
    Seen {
        /// The number.
        payment: i64,
        /// As in [`Step::Begin`].
        since: i64,
    },
    /// A reconciliation has come to its end.
    Passed {
        /// What it has looked at: from this time on, in seconds since 1970.
        from: i64,
        /// Whether it found nothing left to do.
        clean: bool,
    },
    /// An administrator ends it.
    End,
}

pub(crate) fn needs(wanted: &mut Wanted<'_>) {
    wanted.mark(&mark::RECOVERY.to_owned());
    wanted.mark(&mark::PAYMENTS_SEEN.to_owned());
}

fn number(state: &State, name: &str) -> i64 {
    let value = state.marks.get(&name.to_owned());
    value.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn current(state: &State) -> Option<Recovery> {
    let value = state.marks.get(&mark::RECOVERY.to_owned());
    value.and_then(|text| Recovery::parse(text))
}

fn put(state: &mut State, recovery: Option<&Recovery>) {
    let value = recovery.map_or_else(String::new, Recovery::written);
    state.recovering = recovery.is_some();
    state.marks.put(mark::RECOVERY.to_owned(), value);
}

/// Changes the mode; what it is then.
pub(crate) fn step(state: &mut State, now: Time, step: &Step) -> Option<Recovery> {
    let before = current(state);
    match step {
        Step::Begin { since, why } => begin(state, now, *since, why),
        Step::Seen { payment, since } => {
            let known = state.newest_payment.max(number(state, mark::PAYMENTS_SEEN));
            if *payment > known {
                let seen = payment.to_string();
                state.marks.put(mark::PAYMENTS_SEEN.to_owned(), seen);
                let why =
                    format!("Stripe has payment {payment} of ours, and the newest here is {known}");
                begin(state, now, *since, &why);
            }
        }
        Step::Passed { from, clean } => {
            if let Some(recovery) = before.filter(|recovery| *from <= recovery.since) {
                let passes = if *clean { recovery.passes + 1 } else { 0 };
                let recovery = Recovery { passes, ..recovery };
                put(state, Some(&recovery).filter(|_| passes < PASSES_NEEDED));
            }
        }
        Step::End if before.is_some() => put(state, None),
        Step::End => {}
    }
    current(state)
}

fn begin(state: &mut State, now: Time, since: i64, why: &str) {
    let before = current(state);
    let since = before.map_or(since, |before| before.since.min(since));
    let recovery = Recovery {
        since,
        passes: 0,
        began_at: now,
        why: why.to_owned(),
    };
    put(state, Some(&recovery));
}

/// Refuses what would ask the provider for money, or promise something to a customer.
pub(crate) fn refuse(state: &State) -> Result<(), Refusal> {
    if state.recovering {
        Err(Refusal::RecoveryMode)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> State {
        let mut state = State::default();
        for name in [mark::RECOVERY, mark::PAYMENTS_SEEN] {
            state.marks.load(name.to_owned(), None);
        }
        state
    }

    fn begun(state: &mut State) {
        let why = "a copy was restored".to_owned();
        step(state, Time(9), &Step::Begin { since: 100, why });
        assert!(refuse(state).is_err());
    }

    fn pass(state: &mut State, from: i64, clean: bool) -> Option<u32> {
        step(state, Time(9), &Step::Passed { from, clean }).map(|recovery| recovery.passes)
    }

    #[test]
    fn two_passes_in_a_row_over_all_of_it_end_the_mode() {
        let mut state = fresh();
        begun(&mut state);
        assert_eq!(pass(&mut state, 100, true), Some(1));
        assert_eq!(pass(&mut state, 100, false), Some(0));
        assert_eq!(pass(&mut state, 99, true), Some(1));
        // One that has not looked at all of it proves nothing.
        assert_eq!(pass(&mut state, 101, true), Some(1));
        assert_eq!(pass(&mut state, 101, false), Some(1));
        assert!(refuse(&state).is_err());
        assert_eq!(pass(&mut state, 100, true), None);
        assert!(refuse(&state).is_ok());
        assert_eq!(pass(&mut state, 100, true), None);
    }

    #[test]
    fn a_payment_that_only_the_provider_knows_begins_it_once() {
        let mut state = fresh();
        state.newest_payment = 5;
        let mut seen = |payment| {
            step(
                &mut state,
                Time(9),
                &Step::Seen {
                    payment,
                    since: 100,
                },
            )
            .is_some()
        };
        assert!(!seen(5));
        assert!(seen(7));
        assert_eq!(step(&mut state, Time(9), &Step::End), None);
        // What was lost for good must not bring it back for ever.
        let again = Step::Seen {
            payment: 7,
            since: 1,
        };
        assert_eq!(step(&mut state, Time(9), &again), None);
        let newer = Step::Seen {
            payment: 8,
            since: 1,
        };
        assert!(step(&mut state, Time(9), &newer).is_some());
    }

    #[test]
    fn it_begins_again_with_the_earlier_time() {
        let mut state = fresh();
        begun(&mut state);
        assert_eq!(pass(&mut state, 100, true), Some(1));
        let why = "again".to_owned();
        let later = Step::Begin { since: 200, why };
        let recovery = step(&mut state, Time(10), &later).unwrap();
        assert_eq!((recovery.since, recovery.passes), (100, 0));
        assert_eq!(Recovery::parse(&recovery.written()), Some(recovery));
        assert_eq!(Recovery::parse(""), None);
    }
}
