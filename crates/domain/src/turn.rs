//! Whose turn it is to do what one of several nodes does for all: booking what has expired, looking for automatic top-ups,
//! reconciling.
//!
//! A lease with a number that grows with each holder. It only saves work: whatever is done in a turn may be done twice, because
//! all of it goes through commands that change nothing the second time. So a node that was stopped, and does not know yet that its
//! turn is over, does no harm.

use crate::mark;
use crate::planted::{self, Bug};
use crate::state::State;
use crate::time::Time;

/// How long a turn lasts unless it is taken again. So long nobody reconciles when a node has died.
pub const SECONDS: i64 = 15;

/// What is done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Takes the turn if nobody has it, or goes on with it.
    Take {
        /// The number of the turn that this node has, if it has one.
        held: Option<i64>,
    },
    /// Gives this turn back.
    End(i64),
}

/// The number of the turn that the node has now; none if it is another's.
pub(crate) fn step(state: &mut State, now: Time, step: Step) -> Option<i64> {
    let name = mark::TURN.to_owned();
    let known = state.marks.get(&name);
    let (newest, until) = known.and_then(|text| read(text)).unwrap_or((0, Time(0)));
    let turn = match step {
        Step::Take { held: Some(held) }
            if held == newest || planted::is(Bug::TurnWithoutNumber) =>
        {
            held
        }
        Step::Take { .. } if until <= now => newest + 1,
        Step::Take { .. } => return None,
        Step::End(held) => {
            if held == newest {
                state.marks.put(name, format!("{newest} 0"));
            }
            return None;
        }
    };
    let until = now.plus_seconds(SECONDS).0;
    state.marks.put(name, format!("{turn} {until}"));
    Some(turn)
}

fn read(text: &str) -> Option<(i64, Time)> {
    let (turn, until) = text.split_once(' ')?;
    Some((turn.parse().ok()?, Time(until.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_the_turn_until_it_ends_or_is_given_back() {
        let mut state = State::default();
        state.marks.load(mark::TURN.to_owned(), None);
        let mut at = |seconds, held| step(&mut state, Time::from_seconds(seconds), held);
        let take = |held| Step::Take { held };
        assert_eq!(at(0, take(None)), Some(1));
        assert_eq!(at(1, take(None)), None);
        assert_eq!(at(10, take(Some(1))), Some(1));
        // It lasts from the last time it was taken.
        assert_eq!(at(24, take(None)), None);
        assert_eq!(at(25, take(None)), Some(2));
        // Who slept does not get it back, and cannot end it.
        assert_eq!(at(26, take(Some(1))), None);
        assert_eq!(at(26, Step::End(1)), None);
        assert_eq!(at(27, take(None)), None);
        assert_eq!(at(28, Step::End(2)), None);
        assert_eq!(at(29, take(Some(1))), Some(3));
        // Late, and nobody else was there.
        assert_eq!(at(100, take(Some(3))), Some(3));
    }
}
