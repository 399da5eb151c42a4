//! What time it is: the one place that asks the machine.

use std::sync::atomic::{AtomicI64, Ordering};

use bursar_domain::time::Time;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Time;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clock"
    )]
    fn now(&self) -> Time {
        Time(jiff::Timestamp::now().as_microsecond())
    }
}

/// A clock that stands still until it is set.
#[derive(Debug, Default)]
pub struct FixedClock(AtomicI64);

impl FixedClock {
    /// A clock that shows `now`.
    pub const fn at(now: Time) -> Self {
        Self(AtomicI64::new(now.0))
    }

    /// Sets the clock.
    pub fn set(&self, now: Time) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::SeqCst))
    }
}
