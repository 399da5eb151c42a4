//! Figures of runs, as they are written down.

use serde::Serialize;

use super::load::Volley;

/// What one run gave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Figures {
    /// What was counted, in a second.
    pub(super) per_second: u64,
    /// Time from sending to the end of the answer, in microseconds: the middle one.
    pub(super) p50_us: u32,
    /// The same, exceeded by one answer of a hundred.
    pub(super) p99_us: u32,
    /// The longest of the run.
    pub(super) max_us: u32,
}

impl Figures {
    pub(super) fn of(volley: &Volley) -> Self {
        Self {
            per_second: volley.per_second(),
            p50_us: volley.percentile(50),
            p99_us: volley.percentile(99),
            max_us: volley.percentile(100),
        }
    }
}

/// The middle one in order of size; of an even number of them, the larger one in the middle.
pub(super) fn median<T: Ord + Default>(figures: impl IntoIterator<Item = T>) -> T {
    let mut figures: Vec<T> = figures.into_iter().collect();
    figures.sort_unstable();
    let middle = figures.len() / 2;
    figures.into_iter().nth(middle).unwrap_or_default()
}

/// How many hundredths of `whole` a part is, rounded down: so a goal that is shown as reached is reached.
pub(super) fn per_cent(part: u64, whole: u64) -> u64 {
    let share = (u128::from(part) * 100)
        .checked_div(u128::from(whole))
        .unwrap_or(0);
    u64::try_from(share).unwrap_or(u64::MAX)
}

/// Microseconds as milliseconds.
pub(super) fn milliseconds(micros: u32) -> String {
    format!("{}.{:02}", micros / 1000, micros % 1000 / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_keep_two_decimals() {
        assert_eq!(milliseconds(12_345), "12.34");
        assert_eq!(milliseconds(70), "0.07");
    }

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median([9, 1, 5]), 5);
        assert_eq!(median([4, 1]), 4);
        assert_eq!(median::<u64>([]), 0);
    }

    #[test]
    fn a_share_is_rounded_down_and_never_divides_by_nothing() {
        assert_eq!(per_cent(4_999, 10_000), 49);
        assert_eq!(per_cent(5_000, 10_000), 50);
        assert_eq!(per_cent(3, 2), 150);
        assert_eq!(per_cent(3, 0), 0);
        assert_eq!(per_cent(u64::MAX, 1), u64::MAX);
    }
}
