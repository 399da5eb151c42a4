//! The time, as an argument: this is the only file of the crate that reads a real clock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A source of the present moment.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    fn millis(&self) -> i64;

    /// Seconds since 1970-01-01T00:00:00Z, rounded down; the unit of every time Stripe names.
    fn seconds(&self) -> i64 {
        self.millis().div_euclid(1000)
    }
}

/// The clock of the machine.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the crate's one reader of real time"
    )]
    fn millis(&self) -> i64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

/// A clock that stands still until it is told otherwise.
#[derive(Debug)]
pub struct FixedClock(AtomicI64);

impl FixedClock {
    /// A clock that shows `seconds` since 1970.
    pub fn at(seconds: i64) -> Self {
        Self(AtomicI64::new(seconds.saturating_mul(1000)))
    }

    /// Moves the clock by `seconds`, backwards if they are negative.
    pub fn advance(&self, seconds: i64) {
        self.0
            .fetch_add(seconds.saturating_mul(1000), Ordering::SeqCst);
    }
}

impl Clock for FixedClock {
    fn millis(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}
