//! The goals, and whether a measurement reaches them.

use std::fmt;

use serde::Serialize;

use crate::cli::bench::figures::{milliseconds, per_cent};

/// What is asked of a measurement. Each is compared exactly: nothing is rounded before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// At least so many hundredths of what the handler that does nothing reaches.
    Share(u64),
    /// At least so many a second.
    Rate(u64),
    /// At least so many hundredths of the charges a second with the same connections, spread over all wallets.
    OfUniform(u64),
    /// The middle latency, at most so many microseconds.
    P50(u32),
    /// The latency one of a hundred exceeds, at most so many microseconds.
    P99(u32),
}

/// What a goal is judged by: medians.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Measured {
    /// The handler that does nothing, a second.
    pub(super) nothing: u64,
    /// The service, a second.
    pub(super) service: u64,
    /// The service's middle latency in microseconds.
    pub(super) p50_us: u32,
    /// The latency one of a hundred exceeds.
    pub(super) p99_us: u32,
    /// Charges a second over all wallets with as many connections, if that was measured too.
    pub(super) uniform: Option<u64>,
}

impl Goal {
    /// Whether it is reached; none if what it compares with was not measured.
    pub(super) fn is_reached(self, measured: &Measured) -> Option<bool> {
        Some(match self {
            Self::Share(least) => per_cent(measured.service, measured.nothing) >= least,
            Self::Rate(least) => measured.service >= least,
            Self::OfUniform(least) => per_cent(measured.service, measured.uniform?) >= least,
            Self::P50(most) => measured.p50_us <= most,
            Self::P99(most) => measured.p99_us <= most,
        })
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share(least) => write!(f, "share >= {least}%"),
            Self::Rate(least) => write!(f, ">= {least}/s"),
            Self::OfUniform(least) => write!(f, ">= {least}% of all wallets"),
            Self::P50(most) => write!(f, "p50 <= {} ms", milliseconds(*most)),
            Self::P99(most) => write!(f, "p99 <= {} ms", milliseconds(*most)),
        }
    }
}

/// A goal and whether it is reached, as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Verdict {
    /// The goal in words.
    pub(super) goal: String,
    /// None if what it compares with was not measured.
    pub(super) reached: Option<bool>,
}

impl Verdict {
    pub(super) fn new(goal: impl fmt::Display, reached: Option<bool>) -> Self {
        Self {
            goal: goal.to_string(),
            reached,
        }
    }
}

/// The goals of one measurement on one line.
pub(super) fn wording(verdicts: &[Verdict]) -> String {
    if verdicts.is_empty() {
        return "-".to_owned();
    }
    let goals: Vec<&str> = verdicts.iter().map(|one| one.goal.as_str()).collect();
    goals.join(", ")
}

/// All of them together: `no` as soon as one is missed, `-` if one could not be judged or there is none.
pub(super) fn summary(verdicts: &[Verdict]) -> &'static str {
    let has = |wanted: Option<bool>| verdicts.iter().any(|one| one.reached == wanted);
    if has(Some(false)) {
        "no"
    } else if has(None) || verdicts.is_empty() {
        "-"
    } else {
        "yes"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_reached_exactly_at_its_limit() {
        let at = Measured {
            nothing: 40_000,
            service: 20_000,
            p50_us: 500,
            p99_us: 5_000,
            uniform: Some(25_000),
        };
        let goals = [
            Goal::Share(50),
            Goal::Rate(20_000),
            Goal::OfUniform(80),
            Goal::P50(500),
            Goal::P99(5_000),
        ];
        for goal in goals {
            assert_eq!(goal.is_reached(&at), Some(true), "{goal}");
        }
        let below = Measured {
            service: 19_999,
            p50_us: 501,
            p99_us: 5_001,
            ..at
        };
        for goal in goals {
            assert_eq!(goal.is_reached(&below), Some(false), "{goal}");
        }
    }

    #[test]
    fn what_cannot_be_compared_is_not_judged() {
        assert_eq!(Goal::OfUniform(80).is_reached(&Measured::default()), None);
    }

    #[test]
    fn one_missed_goal_is_enough() {
        let verdict = |reached| Verdict::new(Goal::Rate(1), reached);
        let cases = [
            (vec![], "-"),
            (vec![Some(true)], "yes"),
            (vec![Some(true), Some(true)], "yes"),
            (vec![Some(true), None], "-"),
            (vec![None, Some(false)], "no"),
            (vec![Some(true), Some(false)], "no"),
        ];
        for (reached, expected) in cases {
            let verdicts: Vec<_> = reached.into_iter().map(verdict).collect();
            assert_eq!(summary(&verdicts), expected);
        }
        let goals = [Goal::Share(50), Goal::P99(5_000)].map(|goal| Verdict::new(goal, None));
        assert_eq!(wording(&goals), "share >= 50%, p99 <= 5.00 ms");
    }
}
