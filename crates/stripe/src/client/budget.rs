//! How many calls may go out, as pure arithmetic: the time is an argument.
//!
//! Stripe allows an account so many calls a second, whoever makes them. Work in the background must
//! not use up what customers wait for, so it is bounded to a quarter of the whole.

use std::num::NonZeroU32;
use std::time::Duration;

/// Which share of the budget a call may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Priority {
    /// Somebody waits for it: all of it.
    Ordinary,
    /// Nobody waits for it: one part in [`BACKGROUND_PART`].
    Background,
}

/// Background calls get the whole divided by this.
const BACKGROUND_PART: u32 = 4;

/// A bucket of tokens, full at first, that fills up at a steady rate.
///
/// Instead of counting tokens it remembers when it will be full again, which is exact in whole
/// nanoseconds. Times are counted from any one moment.
#[derive(Debug)]
struct Bucket {
    /// The time in which one token comes.
    interval: Duration,
    /// The time in which all tokens but one come.
    depth: Duration,
    full_at: Duration,
}

impl Bucket {
    fn new(interval: Duration, burst: u32) -> Self {
        let depth = interval.saturating_mul(burst.saturating_sub(1));
        Self {
            interval,
            depth,
            full_at: Duration::ZERO,
        }
    }

    /// How long until there is a token; zero if there is one.
    fn wait(&self, now: Duration) -> Duration {
        self.full_at.saturating_sub(self.depth).saturating_sub(now)
    }

    fn take(&mut self, now: Duration) {
        self.full_at = self.full_at.max(now).saturating_add(self.interval);
    }
}

/// The budget of one client and all its clones.
#[derive(Debug)]
pub(super) struct Budget {
    whole: Bucket,
    background: Bucket,
}

impl Budget {
    /// `per_second` calls a second, and `burst` at once after a rest.
    pub(super) fn new(per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        // Rounded up, so that the rate is never higher than asked for.
        let nanos = 1_000_000_000_u64.div_ceil(per_second.get().into());
        let interval = Duration::from_nanos(nanos);
        let part = interval.saturating_mul(BACKGROUND_PART);
        Self {
            whole: Bucket::new(interval, burst.get()),
            background: Bucket::new(part, (burst.get() / BACKGROUND_PART).max(1)),
        }
    }

    /// Takes what one call needs, or says how long to wait before asking again.
    pub(super) fn take(&mut self, now: Duration, priority: Priority) -> Result<(), Duration> {
        let wait = match priority {
            Priority::Ordinary => self.whole.wait(now),
            Priority::Background => self.whole.wait(now).max(self.background.wait(now)),
        };
        if !wait.is_zero() {
            return Err(wait);
        }
        self.whole.take(now);
        if priority == Priority::Background {
            self.background.take(now);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn budget(per_second: u32, burst: u32) -> Budget {
        let some = |number| NonZeroU32::new(number).unwrap();
        Budget::new(some(per_second), some(burst))
    }

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// How many calls get through at one moment.
    fn drain(budget: &mut Budget, now: Duration, priority: Priority) -> usize {
        (0..10_000)
            .take_while(|_| budget.take(now, priority).is_ok())
            .count()
    }

    #[test]
    fn a_burst_and_then_a_steady_rate() {
        let mut budget = budget(20, 20);
        assert_eq!(drain(&mut budget, at(0), Priority::Ordinary), 20);
        assert_eq!(budget.take(at(0), Priority::Ordinary), Err(at(50)));
        assert_eq!(budget.take(at(49), Priority::Ordinary), Err(at(1)));
        assert_eq!(drain(&mut budget, at(50), Priority::Ordinary), 1);
        assert_eq!(drain(&mut budget, at(550), Priority::Ordinary), 10);
        assert_eq!(drain(&mut budget, at(100_000), Priority::Ordinary), 20);
    }

    #[test]
    fn the_background_gets_a_quarter_and_leaves_the_rest() {
        let mut budget = budget(20, 20);
        assert_eq!(drain(&mut budget, at(0), Priority::Background), 5);
        assert_eq!(budget.take(at(0), Priority::Background), Err(at(200)));
        assert_eq!(drain(&mut budget, at(0), Priority::Ordinary), 15);
        assert_eq!(budget.take(at(0), Priority::Background), Err(at(200)));
        assert_eq!(drain(&mut budget, at(200), Priority::Background), 1);
        assert_eq!(drain(&mut budget, at(200), Priority::Ordinary), 3);
    }

    #[test]
    fn the_background_does_not_go_beyond_the_whole() {
        let mut budget = budget(20, 20);
        assert_eq!(drain(&mut budget, at(0), Priority::Ordinary), 20);
        assert_eq!(budget.take(at(0), Priority::Background), Err(at(50)));
        assert_eq!(drain(&mut budget, at(50), Priority::Background), 1);
    }

    #[test]
    fn the_smallest_budget_lets_one_through_at_a_time() {
        let mut budget = budget(1, 1);
        assert_eq!(drain(&mut budget, at(0), Priority::Background), 1);
        assert_eq!(budget.take(at(0), Priority::Ordinary), Err(at(1000)));
        assert_eq!(budget.take(at(1000), Priority::Background), Err(at(3000)));
        assert_eq!(drain(&mut budget, at(1000), Priority::Ordinary), 1);
        let mut wide = self::budget(u32::MAX, u32::MAX);
        assert_eq!(wide.take(at(0), Priority::Background), Ok(()));
    }

    proptest! {
        /// In any stretch of time no more goes out than the burst and what came in meanwhile, and
        /// who waits as long as told gets through.
        #[test]
        fn no_stretch_of_time_sees_more_than_allowed(
            per_second in 1_u32..200,
            burst in 1_u32..50,
            steps in prop::collection::vec((0_u64..2_000, any::<bool>()), 1..200),
        ) {
            let mut budget = budget(per_second, burst);
            let mut now = 0;
            let mut sent: Vec<(u64, bool)> = Vec::new();
            for (pause, background) in steps {
                now += pause;
                let priority = if background { Priority::Background } else { Priority::Ordinary };
                match budget.take(at(now), priority) {
                    Ok(()) => sent.push((now, background)),
                    Err(wait) => {
                        prop_assert!(!wait.is_zero());
                        now += u64::try_from(wait.as_millis()).unwrap() + 1;
                        prop_assert_eq!(budget.take(at(now), priority), Ok(()));
                        sent.push((now, background));
                    }
                }
            }
            // In thousandths of a call, so that nothing is rounded.
            let allowed = |millis: u64, burst: u32, part: u64| {
                u64::from(burst) * 1000 + millis * u64::from(per_second) / part + 1
            };
            let part = u64::from(BACKGROUND_PART);
            for (first, (start, _)) in sent.iter().enumerate() {
                let (mut all, mut behind) = (0, 0);
                for (time, background) in &sent[first..] {
                    all += 1000;
                    behind += if *background { 1000 } else { 0 };
                    let stretch = time - start;
                    prop_assert!(all <= allowed(stretch, burst, 1));
                    let share = (burst / BACKGROUND_PART).max(1);
                    prop_assert!(behind <= allowed(stretch, share, part));
                }
            }
        }
    }
}
