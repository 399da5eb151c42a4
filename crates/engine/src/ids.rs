//! New ids: random, and in the order in which they were made.

use bursar_domain::id::IdSource;
use bursar_domain::mark::StampKey;
use bursar_domain::time::Time;

/// Ids from the operating system's random numbers. Two made in one millisecond still sort in the order of making, so that
/// a page by id is a page by time.
#[derive(Debug, Default)]
pub struct RandomIds {
    last: u128,
}

impl IdSource for RandomIds {
    #[expect(
        clippy::expect_used,
        reason = "without random numbers from the system no id and no key is safe"
    )]
    fn random80(&mut self) -> u128 {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the operating system gives random numbers");
        u128::from_le_bytes(bytes) >> 48
    }

    fn bits(&mut self, now: Time) -> u128 {
        let milliseconds = u128::try_from(now.milliseconds()).unwrap_or(0) & ((1 << 48) - 1);
        let fresh = (milliseconds << 80) | self.random80();
        let follows_in_same_millisecond = fresh >> 80 <= self.last >> 80;
        self.last = if follows_in_same_millisecond {
            self.last + 1
        } else {
            fresh
        };
        self.last
    }
}

/// A key nobody else has.
#[expect(
    clippy::expect_used,
    reason = "without random numbers from the system no id and no key is safe"
)]
pub(crate) fn stamp_key() -> StampKey {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the operating system gives random numbers");
    StampKey::new(bytes)
}
