//! How long it takes from the start of the process to its first answer.

use std::time::Duration;

use serde::Serialize;

use super::case::{Party, USUAL_CONNECTIONS};
use super::client::{Charging, Choice};
use super::goal::Verdict;
use super::shop::{End, Shop, charge_up_to};
use crate::cli::bench::figures::median;
use crate::cli::bench::load;

/// At least so many charges are stored.
const STORED_MIN: u64 = 1_000_000;

/// How long a start may take, in microseconds.
const START_MAX_US: u64 = 200_000;

/// How long charges are sent before a kill, so that its log is not empty.
const LAST_CHARGES: Duration = Duration::from_secs(1);

/// Times from starting the process to the end of its first answer.
#[derive(Debug, Serialize)]
pub(super) struct Starts {
    /// Charges stored at the first start.
    pub(super) charges: u64,
    /// After the process before was asked to stop, in microseconds.
    pub(super) after_stop_us: Vec<u64>,
    /// After it was killed, in microseconds.
    pub(super) after_kill_us: Vec<u64>,
    /// The goals, and whether they are reached.
    pub(super) verdicts: Vec<Verdict>,
}

impl Starts {
    /// Charges until enough is stored, then ends and starts the service several times in both ways.
    pub(super) async fn measure(mut shop: Shop, runs: u64) -> anyhow::Result<(Self, Shop)> {
        charge_up_to(&shop.party, STORED_MIN).await?;
        let charges = shop.party.book.charges();
        let (mut after_stop_us, mut after_kill_us) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            let time;
            (shop, time) = shop.restart(End::Asked).await?;
            after_stop_us.push(micros(time));
            charge_for(&shop.party, LAST_CHARGES).await?;
            let time;
            (shop, time) = shop.restart(End::Killed).await?;
            after_kill_us.push(micros(time));
        }
        let verdicts = judge(&after_stop_us, &after_kill_us);
        let starts = Self {
            charges,
            after_stop_us,
            after_kill_us,
            verdicts,
        };
        Ok((starts, shop))
    }
}

fn judge(after_stop_us: &[u64], after_kill_us: &[u64]) -> Vec<Verdict> {
    let verdict = |times: &[u64], end: &str| {
        Verdict::new(
            format_args!("<= {} ms after {end}", START_MAX_US / 1_000),
            Some(median(times.iter().copied()) <= START_MAX_US),
        )
    };
    vec![
        verdict(after_stop_us, "SIGTERM"),
        verdict(after_kill_us, "SIGKILL"),
    ]
}

async fn charge_for(party: &Party, time: Duration) -> anyhow::Result<()> {
    let clients = (0..USUAL_CONNECTIONS)
        .map(|_| Charging::new(&party.book, &party.admin_key, Choice::Uniform))
        .collect::<anyhow::Result<Vec<_>>>()?;
    load::send(party.address, clients, Some(time)).await?;
    Ok(())
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_end_is_judged_by_its_median() {
        let verdicts = judge(&[900_000, 200_000, 1], &[200_001]);
        assert_eq!(
            verdicts.iter().map(|one| one.reached).collect::<Vec<_>>(),
            [Some(true), Some(false)]
        );
    }
}
