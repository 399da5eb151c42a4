//! Whether a wallet gets slower, and how much disk it needs, when many charges are stored.

use serde::Serialize;

use super::case::{Case, Pace, Pair, Party, Row, USUAL_CONNECTIONS};
use super::goal::Verdict;
use super::proof::Proof;
use super::shop::charge_up_to;
use crate::cli::bench::figures::per_cent;

/// So many charges are stored when the first measurement begins.
pub(super) const FEW: u64 = 10_000;

/// What of the first rate has to be left, in hundredths.
const RATE_LEFT: u64 = 85;

/// What a charge may take on disk, in bytes.
const BYTES_MAX: u64 = 250;

/// The same measurement with few and with many charges stored.
#[derive(Debug, Serialize)]
pub(super) struct Growth {
    /// Charges stored when the measurement with few of them began.
    pub(super) few: u64,
    /// Charges stored when the measurement with many of them began.
    pub(super) many: u64,
    /// The measurement with few.
    pub(super) before: Row,
    /// The measurement with many.
    pub(super) after: Row,
    /// What of the first rate is left, in hundredths.
    pub(super) rate_left: u64,
    /// Size of all files divided by the charges.
    pub(super) bytes_per_charge: u64,
    /// The goals, and whether they are reached.
    pub(super) verdicts: Vec<Verdict>,
}

impl Growth {
    /// Measures, charges up to `many`, and measures again.
    pub(super) async fn measure(pair: Pair<'_>, pace: Pace, many: u64) -> anyhow::Result<Self> {
        let (few, before) = with_stored(pair, pace, FEW).await?;
        let (many, after) = with_stored(pair, pace, many).await?;
        let [at_first, at_last] = [&before, &after].map(|row| row.median(|run| run.per_second));
        Ok(Self {
            few,
            many,
            before,
            after,
            rate_left: per_cent(at_last, at_first),
            bytes_per_charge: 0,
            verdicts: Vec::new(),
        })
    }

    /// Takes the size of the files from what was found in the end.
    pub(super) fn judge(&mut self, proof: &Proof) {
        self.bytes_per_charge = proof.bytes_per_charge();
        self.verdicts = vec![
            Verdict::new(
                format_args!("rate left >= {RATE_LEFT}%"),
                Some(self.rate_left >= RATE_LEFT),
            ),
            Verdict::new(
                format_args!("<= {BYTES_MAX} bytes a charge"),
                Some(self.bytes_per_charge <= BYTES_MAX),
            ),
        ];
    }
}

async fn with_stored(pair: Pair<'_>, pace: Pace, charges: u64) -> anyhow::Result<(u64, Row)> {
    let service: &Party = pair.service;
    charge_up_to(service, charges).await?;
    let stored = service.book.charges();
    let mut row = Row::measure(pair, pace, Case::Uniform, USUAL_CONNECTIONS).await?;
    row.what = format!("charge, {stored} stored");
    // The goals of the case are for the measurement of the case.
    row.case = None;
    Ok((stored, row))
}
