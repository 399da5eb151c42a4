//! What was measured, for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;

use crate::cli::bench::figures::{Figures, median, milliseconds};
use crate::cli::bench::load::Volley;
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
    /// Length of an event in bytes, on average over the kinds.
    pub(super) event_bytes: u64,
    /// One for each number of connections.
    pub(super) levels: Vec<Level>,
}

/// The measurements with one number of connections. The server begins with an empty database.
#[derive(Debug, Default, Serialize)]
pub(super) struct Level {
    /// Connections, each with one request under way.
    pub(super) connections: usize,
    /// Runs against the handler that does nothing.
    pub(super) nothing: Vec<Run>,
    /// Runs against the service, in turns with the former.
    pub(super) service: Vec<Run>,
    /// Events that were answered with 200, those before the first run included.
    pub(super) acknowledged: u64,
    /// Answers other than 200.
    pub(super) refused: u64,
    /// Events found in the database after the server was killed.
    pub(super) stored: u64,
    /// Of them, those that nobody had worked off.
    pub(super) pending: u64,
    /// Memory of the server at the end, in bytes.
    pub(super) resident: u64,
    /// Its memory at most, in bytes.
    pub(super) resident_peak: u64,
    /// Processor time of the server for an event, working it off included, in microseconds.
    pub(super) processor_us_per_event: u64,
    /// Processor time of the handler that does nothing for a request, in microseconds.
    pub(super) nothing_processor_us_per_event: u64,
    /// Size of the files for each event, in bytes.
    pub(super) stored_bytes_per_event: u64,
    /// Bytes written to the disk for each event.
    pub(super) written_bytes_per_event: u64,
}

/// One run.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Run {
    #[serde(flatten)]
    figures: Figures,
    /// Events that were stored and not yet worked off when the run ended.
    backlog: u64,
    /// How long it took until none was left, in milliseconds.
    worked_off_ms: u128,
}

impl Run {
    pub(super) fn new(volley: &Volley, backlog: u64, worked_off_ms: u128) -> Self {
        Self {
            figures: Figures::of(volley),
            backlog,
            worked_off_ms,
        }
    }
}

impl Report {
    /// Whether every answer was 200, and everything acknowledged was found on disk.
    pub(super) fn is_sound(&self) -> bool {
        self.levels
            .iter()
            .all(|level| level.refused == 0 && level.stored == level.acknowledged)
    }

    /// The tables.
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "{}\nSQLite {}, WAL, synchronous=FULL; events of {} bytes; runs of {} s in turns, medians of {}\n\n",
            self.machine,
            self.sqlite,
            self.event_bytes,
            self.seconds,
            self.levels.first().map_or(0, |level| level.service.len()),
        );
        text.push_str("connections   does nothing/s   p99 ms   stored/s   share   p50 ms   p99 ms   max ms   not 200\n");
        for level in &self.levels {
            let (nothing, service) = (&level.nothing, &level.service);
            let (most, ours) = (
                median_of(nothing, |run| run.figures.per_second),
                median_of(service, |run| run.figures.per_second),
            );
            let _ = writeln!(
                text,
                "{:>11} {:>16} {:>8} {:>10} {:>6}% {:>8} {:>8} {:>8} {:>9}",
                level.connections,
                most,
                milliseconds(median_of(nothing, |run| run.figures.p99_us)),
                ours,
                (ours * 100).checked_div(most).unwrap_or(0),
                milliseconds(median_of(service, |run| run.figures.p50_us)),
                milliseconds(median_of(service, |run| run.figures.p99_us)),
                milliseconds(
                    service
                        .iter()
                        .map(|run| run.figures.max_us)
                        .max()
                        .unwrap_or(0)
                ),
                level.refused,
            );
        }
        text.push_str("\nconnections   acknowledged   found after kill -9   backlog   worked off ms   CPU us/event (nothing)   RSS MB (peak)   bytes/event on disk (written)\n");
        for level in &self.levels {
            let _ = writeln!(
                text,
                "{:>11} {:>14} {:>21} {:>9} {:>15} {:>14} ({:>7}) {:>9} ({:>3}) {:>21} ({})",
                level.connections,
                level.acknowledged,
                level.stored,
                median_of(&level.service, |run| run.backlog),
                median_of(&level.service, |run| run.worked_off_ms),
                level.processor_us_per_event,
                level.nothing_processor_us_per_event,
                level.resident / 1_000_000,
                level.resident_peak / 1_000_000,
                level.stored_bytes_per_event,
                level.written_bytes_per_event,
            );
        }
        text
    }
}

fn median_of<T: Ord + Default>(runs: &[Run], figure: impl Fn(&Run) -> T) -> T {
    median(runs.iter().map(figure))
}
