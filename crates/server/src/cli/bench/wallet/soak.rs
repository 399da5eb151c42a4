//! What memory the service needs when it is charged for a long time.

use std::time::Duration;

use serde::Serialize;

use super::case::Party;
use super::client::{Charging, Choice};
use super::goal::Verdict;
use crate::cli::bench::child::Usage;
use crate::cli::bench::figures::{Figures, median};
use crate::cli::bench::load;

/// Connections that charge meanwhile.
pub(super) const CONNECTIONS: usize = 256;

/// Time from one sample to the next, in seconds.
pub(super) const STEP_SECONDS: u64 = 10;

/// Most memory, in bytes.
const RESIDENT_MAX: u64 = 100_000_000;

/// What the last sample may differ from the one after a fifth of the time, in hundredths.
const DRIFT_MAX: u64 = 10;

/// What the process held at one moment.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Sample {
    /// Seconds since the charges began.
    pub(super) second: u64,
    /// Memory in use, in bytes.
    pub(super) resident: u64,
    /// Charges since the sample before.
    #[serde(flatten)]
    pub(super) figures: Figures,
}

/// Samples, and what was refused meanwhile.
#[derive(Debug, Default, Serialize)]
pub(super) struct Soak {
    /// One for every step.
    pub(super) samples: Vec<Sample>,
    /// Most memory the process has held at any time, in bytes.
    pub(super) resident_peak: u64,
    /// Charges that were refused.
    pub(super) refused: u64,
    /// The goals, and whether they are reached.
    pub(super) verdicts: Vec<Verdict>,
}

impl Soak {
    /// Charges for so many steps over the same connections.
    pub(super) async fn measure(party: &Party, steps: u64, step: Duration) -> anyhow::Result<Self> {
        let clients = (0..CONNECTIONS)
            .map(|_| Charging::new(&party.book, &party.admin_key, Choice::Uniform))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let mut lines = load::connect(party.address, clients).await?;
        let mut soak = Self::default();
        for number in 1..=steps {
            let volley;
            (volley, lines) = load::send_on(lines, Some(step)).await?;
            let used = Usage::of(party.process);
            soak.refused += volley.refused;
            soak.resident_peak = used.resident_peak;
            soak.samples.push(Sample {
                second: number * step.as_secs(),
                resident: used.resident,
                figures: Figures::of(&volley),
            });
        }
        soak.judge();
        Ok(soak)
    }

    fn judge(&mut self) {
        let last = self.samples.last().map_or(0, |sample| sample.resident);
        let fifth = self.samples.len().div_ceil(5).saturating_sub(1);
        let early = self.samples.get(fifth).map_or(0, |sample| sample.resident);
        let is_flat = last.abs_diff(early).saturating_mul(100) <= early.saturating_mul(DRIFT_MAX);
        self.verdicts = vec![
            Verdict::new(
                format_args!("<= {} MB", RESIDENT_MAX / 1_000_000),
                Some(self.resident_peak <= RESIDENT_MAX),
            ),
            Verdict::new(
                format_args!("the last within {DRIFT_MAX}% of the one after a fifth of the time"),
                Some(is_flat),
            ),
        ];
    }

    /// Memory of the first, the middle and the last sample, and at most, in bytes.
    pub(super) fn resident(&self) -> [u64; 4] {
        let of = |sample: Option<&Sample>| sample.map_or(0, |sample| sample.resident);
        [
            of(self.samples.first()),
            median(self.samples.iter().map(|sample| sample.resident)),
            of(self.samples.last()),
            self.resident_peak,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(megabytes: &[u64], peak: u64) -> Vec<Option<bool>> {
        let sample = |resident: &u64| Sample {
            resident: resident * 1_000_000,
            ..Sample::default()
        };
        let mut soak = Soak {
            samples: megabytes.iter().map(sample).collect(),
            resident_peak: peak * 1_000_000,
            ..Soak::default()
        };
        soak.judge();
        soak.verdicts.iter().map(|one| one.reached).collect()
    }

    #[test]
    fn memory_is_flat_if_the_end_is_as_after_a_fifth() {
        // The second of ten samples is the one after a fifth.
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(
            reached(&[20, 50, 80, 50, 50, 50, 50, 50, 50, 55], 80),
            [yes, yes]
        );
        assert_eq!(
            reached(&[20, 50, 50, 50, 50, 50, 50, 50, 50, 56], 80),
            [yes, no]
        );
        assert_eq!(reached(&[90, 90, 90, 90, 90], 101), [no, yes]);
    }
}
