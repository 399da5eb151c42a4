//! Whose turn it is to do what one of several nodes does for all.

use bursar_domain::command::Reply;
use bursar_domain::time::Time;
use bursar_domain::turn::{SECONDS, Step};

use super::expect::Outcome;

/// The newest turn, and until when it lasts. Numbers only grow, and none is given to a second node.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Turn {
    pub(super) newest: i64,
    until: Time,
}

impl Turn {
    pub(super) fn take(&mut self, step: Step, outcome: &Outcome, now: Time) -> Result<(), String> {
        let before = *self;
        let has = match step {
            Step::Take { held } if held == Some(self.newest) || now >= self.until => {
                self.newest = held
                    .filter(|held| *held == self.newest)
                    .unwrap_or(self.newest + 1);
                self.until = now.plus_seconds(SECONDS);
                Some(self.newest)
            }
            Step::End(held) if held == self.newest => {
                self.until = Time::default();
                None
            }
            Step::Take { .. } | Step::End(_) => None,
        };
        if *outcome == Ok(Reply::Turn(has)) {
            return Ok(());
        }
        Err(format!(
            "{step:?} of {before:?} should be {has:?} and was answered {outcome:?}"
        ))
    }
}
