//! What was measured, for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;

use super::case::Row;
use super::goal::{Verdict, summary, wording};
use super::growth::Growth;
use super::proof::Proof;
use super::soak::{CONNECTIONS, Soak};
use super::start::Starts;
use crate::cli::bench::figures::{median, milliseconds, per_cent};
use crate::cli::bench::machine::Machine;

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The version of this program.
    pub(super) version: &'static str,
    /// The version of the database library.
    pub(super) sqlite: &'static str,
    /// Where.
    pub(super) machine: Machine,
    /// Length of a run in seconds.
    pub(super) seconds: u64,
    /// Runs of each measurement.
    pub(super) runs: u64,
    /// Wallets that are charged.
    pub(super) wallets: usize,
    /// The cases.
    pub(super) rows: Vec<Row>,
    /// Few and many charges stored.
    pub(super) growth: Option<Growth>,
    /// Starts of the process.
    pub(super) starts: Option<Starts>,
    /// Memory over a long time.
    pub(super) soak: Option<Soak>,
    /// What was found in each database after a kill.
    pub(super) proofs: Vec<Proof>,
}

impl Report {
    /// Every measurement against the handler that does nothing.
    fn all_rows(&self) -> impl Iterator<Item = &Row> {
        let of_growth = self
            .growth
            .iter()
            .flat_map(|growth| [&growth.before, &growth.after]);
        self.rows.iter().chain(of_growth)
    }

    /// Why the figures must not be trusted: an answer was not as it has to be, or what was acknowledged is not on disk.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for row in self.all_rows().filter(|row| row.refused > 0) {
            faults.push(format!(
                "{}, {} connections: {} were refused, the first with {}",
                row.what,
                row.connections,
                row.refused,
                row.refusal.as_deref().unwrap_or("no answer")
            ));
        }
        match &self.soak {
            Some(soak) if soak.refused > 0 => faults.push(format!(
                "{} charges were refused during the soak",
                soak.refused
            )),
            _ => {}
        }
        for proof in self.proofs.iter().filter(|proof| !proof.holds()) {
            faults.push(format!(
                "what was acknowledged is not what is on disk: {proof}"
            ));
        }
        faults
    }

    /// The tables.
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "{}\nSQLite {}; {} wallets; runs of {} s in turns, medians of {}\n",
            self.machine, self.sqlite, self.wallets, self.seconds, self.runs,
        );
        self.write_rates(&mut text);
        self.write_costs(&mut text);
        self.write_others(&mut text);
        for proof in &self.proofs {
            let _ = write!(text, "\n{proof}\n");
        }
        text
    }

    fn write_rates(&self, text: &mut String) {
        text.push_str("\nwhat                       connections   does nothing/s   charges/s   share   p50 ms   p99 ms   longest ms   reached   goal\n");
        for row in self.all_rows() {
            let (most, ours) = (
                row.median_of_nothing(|run| run.per_second),
                row.median(|run| run.per_second),
            );
            let _ = writeln!(
                text,
                "{:<26} {:>11} {:>16} {:>11} {:>6}% {:>8} {:>8} {:>12} {:>9}   {}",
                row.what,
                row.connections,
                most,
                ours,
                per_cent(ours, most),
                milliseconds(row.median(|run| run.p50_us)),
                milliseconds(row.median(|run| run.p99_us)),
                milliseconds(row.service.iter().map(|run| run.max_us).max().unwrap_or(0)),
                summary(&row.verdicts),
                wording(&row.verdicts),
            );
        }
    }

    fn write_costs(&self, text: &mut String) {
        text.push_str("\nwhat                       connections   acknowledged   refused   CPU ns each (nothing)   bytes an answer (nothing)\n");
        for row in self.all_rows() {
            let _ = writeln!(
                text,
                "{:<26} {:>11} {:>14} {:>9} {:>12} ({:>8}) {:>16} ({:>8})",
                row.what,
                row.connections,
                row.acknowledged,
                row.refused,
                row.service_processor_ns,
                row.nothing_processor_ns,
                row.service_answer_bytes,
                row.nothing_answer_bytes,
            );
        }
    }

    fn write_others(&self, text: &mut String) {
        if let Some(growth) = &self.growth {
            let figures = format!(
                "growth from {} to {} charges: {}% of the rate left, {} bytes on disk a charge",
                growth.few, growth.many, growth.rate_left, growth.bytes_per_charge
            );
            write_judged(text, &figures, &growth.verdicts);
        }
        if let Some(starts) = &self.starts {
            let figures = format!(
                "start with {} charges: first answer after {} ms (SIGTERM before), {} ms (SIGKILL before)",
                starts.charges,
                median(starts.after_stop_us.iter().copied()) / 1_000,
                median(starts.after_kill_us.iter().copied()) / 1_000,
            );
            write_judged(text, &figures, &starts.verdicts);
        }
        if let Some(soak) = &self.soak {
            let [first, middle, last, most] = soak.resident().map(|bytes| bytes / 1_000_000);
            let figures = format!(
                "memory in {} s with {CONNECTIONS} connections at {} charges/s: first {first} MB, median {middle} MB, last {last} MB, \
                 most {most} MB",
                soak.samples.last().map_or(0, |sample| sample.second),
                median(soak.samples.iter().map(|sample| sample.figures.per_second)),
            );
            write_judged(text, &figures, &soak.verdicts);
        }
    }
}

fn write_judged(text: &mut String, figures: &str, verdicts: &[Verdict]) {
    let _ = write!(text, "\n{figures}\n");
    for verdict in verdicts {
        let one = std::slice::from_ref(verdict);
        let _ = writeln!(text, "  {}: {}", wording(one), summary(one));
    }
}
