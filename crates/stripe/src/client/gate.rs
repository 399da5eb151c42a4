//! Where calls wait until the budget lets them out.

use super::budget::{Budget, Priority};
use std::sync::{Mutex, PoisonError};
use tokio::time::{Instant, sleep};

/// The budget with the clock, and a line for each priority.
#[derive(Debug)]
pub(super) struct Gate {
    start: Instant,
    budget: Mutex<Budget>,
    /// Calls of one priority go out in the order they came. Only the first of a line looks at the
    /// budget, so a long line in the background does not crowd out the other.
    ordinary: tokio::sync::Mutex<()>,
    background: tokio::sync::Mutex<()>,
}

impl Gate {
    pub(super) fn new(budget: Budget) -> Self {
        Self {
            start: Instant::now(),
            budget: Mutex::new(budget),
            ordinary: tokio::sync::Mutex::default(),
            background: tokio::sync::Mutex::default(),
        }
    }

    /// Waits for its turn. Whoever gives up while waiting has used nothing.
    pub(super) async fn pass(&self, priority: Priority) {
        let line = match priority {
            Priority::Ordinary => &self.ordinary,
            Priority::Background => &self.background,
        };
        let _turn = line.lock().await;
        while let Err(wait) = self.take(priority) {
            sleep(wait).await;
        }
    }

    fn take(&self, priority: Priority) -> Result<(), std::time::Duration> {
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        budget.take(self.start.elapsed(), priority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;
    use std::sync::Arc;
    use std::time::Duration;

    fn gate(per_second: u32, burst: u32) -> Arc<Gate> {
        let some = |number| NonZeroU32::new(number).unwrap();
        Arc::new(Gate::new(Budget::new(some(per_second), some(burst))))
    }

    #[tokio::test]
    async fn calls_wait_for_their_turn() {
        let gate = gate(100, 2);
        let start = Instant::now();
        for _ in 0..12 {
            gate.pass(Priority::Ordinary).await;
        }
        // Two at once, then ten at one in ten milliseconds.
        assert!(start.elapsed() >= Duration::from_millis(100));
    }

    #[tokio::test]
    async fn a_long_line_in_the_background_holds_up_nobody() {
        let gate = gate(20, 8);
        let behind: Vec<_> = (0..100)
            .map(|_| {
                let gate = Arc::clone(&gate);
                tokio::spawn(async move { gate.pass(Priority::Background).await })
            })
            .collect();
        sleep(Duration::from_millis(20)).await;
        for _ in 0..6 {
            gate.pass(Priority::Ordinary).await;
        }
        let out = behind.iter().filter(|call| call.is_finished()).count();
        assert!(out < 50, "{out} were let out in the meantime");
        for call in behind {
            call.abort();
        }
    }

    #[tokio::test]
    async fn who_gives_up_leaves_the_line() {
        let gate = gate(10, 1);
        gate.pass(Priority::Ordinary).await;
        for _ in 0..50 {
            let waiting = gate.pass(Priority::Ordinary);
            let _ = tokio::time::timeout(Duration::from_millis(1), waiting).await;
        }
        // Fifty places that were kept would be five seconds.
        let start = Instant::now();
        gate.pass(Priority::Ordinary).await;
        assert!(start.elapsed() < Duration::from_secs(2));
    }
}
