//! How often something may happen: a rate, and buckets that count against it.
//!
//! A bucket holds as many requests as the rate names and fills up evenly over its period. It is kept as one number, the moment at
//! which it is full again (the generic cell rate algorithm): nothing has to run in the background, and a bucket that is full again
//! can be forgotten.
//!
//! Our own, because there is a bound on memory here: the libraries for this keep every key until somebody sweeps.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Mutex, PoisonError};

use bursar_domain::time::Time;

/// Independent parts of the table, so that callers seldom wait for each other.
const SHARDS: usize = 64;

/// Most buckets of one part. All of them take about 4 MiB.
const SHARD_MAX: usize = 2_048;

const SECOND_MICROS: i64 = 1_000_000;

/// The most requests a rate names; what is more is no bound.
const REQUESTS_MAX: i64 = 1_000_000;

/// The longest period, in seconds.
const SECONDS_MAX: i64 = 3_600;

/// So many requests in so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    requests: i64,
    seconds: i64,
}

impl Rate {
    /// Reads `600/10s`; `0` is none, for no bound.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        if text == "0" {
            return Ok(None);
        }
        let parts = text.split_once('/');
        let parts = parts.and_then(|(requests, period)| {
            let seconds = period.trim().strip_suffix('s')?;
            Some((
                plain(requests.trim(), REQUESTS_MAX)?,
                plain(seconds, SECONDS_MAX)?,
            ))
        });
        match parts {
            Some((requests, seconds)) => Ok(Some(Self { requests, seconds })),
            None => Err(format!(
                "must be so many requests (1 to {REQUESTS_MAX}) in so many seconds (1 to {SECONDS_MAX}), such as 600/10s, or 0 for no \
                 bound"
            )),
        }
    }

    const fn period(self) -> i64 {
        self.seconds * SECOND_MICROS
    }

    /// Microseconds in which one request is regained.
    const fn interval(self) -> i64 {
        self.period() / self.requests
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {} seconds", self.requests, self.seconds)
    }
}

fn plain(text: &str, most: i64) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits)?;
    (1..=most).contains(&number).then_some(number)
}

/// The buckets of everybody, each under whatever names him.
#[derive(Debug)]
pub struct Buckets {
    shards: [Mutex<HashMap<u64, i64>>; SHARDS],
    hasher: RandomState,
}

impl Default for Buckets {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            // Random for each start: nobody outside can choose names that meet in one bucket.
            hasher: RandomState::new(),
        }
    }
}

impl Buckets {
    /// Takes one request out of the bucket under this name, or says after how many seconds there is one.
    pub fn take(&self, name: impl Hash, rate: Rate, now: Time) -> Result<(), u32> {
        let name = self.hasher.hash_one(name);
        let shard = &self.shards[usize::try_from(name % SHARDS as u64).unwrap_or_default()];
        let mut buckets = shard.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that has stepped back must not close a bucket for longer than its period.
        let latest = now.0.saturating_add(rate.period());
        let full_at = buckets
            .get(&name)
            .map_or(now.0, |it| (*it).clamp(now.0, latest));
        let full_then = full_at.saturating_add(rate.interval());
        if full_then > latest {
            let micros = full_then - latest;
            let seconds = (micros + SECOND_MICROS - 1) / SECOND_MICROS;
            buckets.insert(name, full_at);
            return Err(u32::try_from(seconds).unwrap_or(u32::MAX));
        }
        if buckets.len() >= SHARD_MAX && !buckets.contains_key(&name) {
            make_room(&mut buckets, now.0);
        }
        buckets.insert(name, full_then);
        Ok(())
    }

    /// How many buckets there are.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().unwrap().len())
            .sum()
    }
}

/// Forgets the buckets that are full again. If all of them are in use, forgets all: somebody has thousands of names, and a bound on
/// memory goes before a bound on him.
fn make_room(buckets: &mut HashMap<u64, i64>, now: i64) {
    buckets.retain(|_, full_at| *full_at > now);
    if buckets.len() >= SHARD_MAX {
        buckets.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str) -> Rate {
        Rate::parse(text).unwrap().unwrap()
    }

    const fn at(millis: i64) -> Time {
        Time(1_800_000_000_000_000 + millis * 1_000)
    }

    #[test]
    fn a_bucket_gives_what_it_holds_and_fills_up_evenly() {
        let (buckets, rate) = (Buckets::default(), rate("5/10s"));
        for _ in 0..5 {
            assert_eq!(buckets.take("anna", rate, at(0)), Ok(()));
        }
        assert_eq!(buckets.take("anna", rate, at(0)), Err(2));
        assert_eq!(buckets.take("bert", rate, at(0)), Ok(()));
        assert_eq!(buckets.take("anna", rate, at(1_001)), Err(1));
        assert_eq!(buckets.take("anna", rate, at(2_000)), Ok(()));
        assert_eq!(buckets.take("anna", rate, at(2_000)), Err(2));
        // A long pause gives no more than the bucket holds.
        let later = (0..6).map(|_| buckets.take("anna", rate, at(100_000)));
        assert_eq!(later.flatten().count(), 5);
    }

    #[test]
    fn over_any_time_no_more_passes_than_the_bucket_and_its_inflow() {
        let (buckets, rate) = (Buckets::default(), rate("30/10s"));
        let passed = (0..10_000).filter(|ms| buckets.take(1, rate, at(*ms)).is_ok());
        assert_eq!(passed.count(), 59);
    }

    #[test]
    fn a_clock_that_steps_back_locks_nobody_out() {
        let (buckets, rate) = (Buckets::default(), rate("1/60s"));
        assert_eq!(buckets.take(1, rate, at(0)), Ok(()));
        let an_hour_before = -3_600_000;
        assert_eq!(buckets.take(1, rate, at(an_hour_before)), Err(60));
        assert_eq!(buckets.take(1, rate, at(an_hour_before + 60_000)), Ok(()));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_idle_first() {
        let (buckets, rate) = (Buckets::default(), rate("2/10s"));
        let many = SHARDS * SHARD_MAX * 2;
        for number in 0..many {
            assert_eq!(buckets.take(number, rate, at(0)), Ok(()));
            assert!(number % 1000 != 0 || buckets.len() <= SHARDS * SHARD_MAX);
        }
        assert!(buckets.len() <= SHARDS * SHARD_MAX);
        for _ in 0..2 {
            assert_eq!(buckets.take("anna", rate, at(20_000)), Ok(()));
        }
        for number in many..many + SHARDS * SHARD_MAX / 2 {
            assert_eq!(buckets.take(number, rate, at(20_000)), Ok(()));
        }
        assert_eq!(buckets.take("anna", rate, at(20_000)), Err(5));
    }

    #[test]
    fn a_rate_is_read_strictly() {
        assert_eq!(Rate::parse("0"), Ok(None));
        assert_eq!(rate("600/10s").to_string(), "600 in 10 seconds");
        assert_eq!(rate("1000000/1s").interval(), 1);
        for text in [
            "",
            "-1",
            "5",
            "5/s",
            "5/10",
            "0/10s",
            "5/0s",
            "5/3601s",
            "1000001/1s",
            "5/1m",
            "+5/1s",
            "5/1s/1s",
        ] {
            assert!(Rate::parse(text).is_err(), "{text}");
        }
    }
}
