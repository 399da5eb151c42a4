//! The cases that are measured, each against the handler that does nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::book::Book;
use super::client::{Batching, Charging, Choice, Holding};
use super::goal::{Goal, Measured, Verdict};
use crate::cli::bench::child::Usage;
use crate::cli::bench::figures::{Figures, median};
use crate::cli::bench::load::{self, Client, Volley};

/// Connections of the cases that are compared with charges over all wallets.
pub(super) const USUAL_CONNECTIONS: usize = 64;

/// Connections that send batches.
pub(super) const BATCH_CONNECTIONS: usize = 4;

/// What is done to the wallets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(super) enum Case {
    /// One charge a request, spread evenly over all wallets.
    Uniform,
    /// One charge a request, all of one wallet.
    Hot,
    /// A thousand charges a request, spread evenly over all wallets.
    Batch,
    /// A hold, then its settlement; each request counts.
    Holds,
}

impl Case {
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Uniform => "charge, all wallets",
            Self::Hot => "charge, one wallet",
            Self::Batch => "charge, 1000 a request",
            Self::Holds => "hold and settle",
        }
    }

    /// With how many connections it is measured; `uniform` is what the operator chose.
    pub(super) fn connections(self, uniform: &[u16]) -> Vec<usize> {
        match self {
            Self::Uniform => uniform.iter().copied().map(usize::from).collect(),
            Self::Hot | Self::Holds => vec![USUAL_CONNECTIONS],
            Self::Batch => vec![BATCH_CONNECTIONS],
        }
    }

    const fn goals(self, connections: usize) -> &'static [Goal] {
        match (self, connections) {
            (Self::Uniform, 1) => &[Goal::P50(500)],
            (Self::Uniform, USUAL_CONNECTIONS) => &[Goal::Share(50), Goal::P99(5_000)],
            (Self::Uniform, 256) => &[Goal::P99(15_000)],
            (Self::Uniform, _) => &[],
            (Self::Hot, _) => &[Goal::OfUniform(80)],
            (Self::Batch, _) => &[Goal::Rate(100_000)],
            (Self::Holds, _) => &[Goal::OfUniform(60)],
        }
    }
}

/// One of the two servers, and what is known of its wallets.
#[derive(Debug)]
pub(super) struct Party {
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// The number of its process.
    pub(super) process: u32,
    /// Opens it.
    pub(super) admin_key: String,
    /// What it has acknowledged.
    pub(super) book: Arc<Book>,
}

/// The two servers that are compared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair<'a> {
    /// The handler that does nothing.
    pub(super) nothing: &'a Party,
    /// The service.
    pub(super) service: &'a Party,
}

impl Pair<'_> {
    fn usage(self) -> [Usage; 2] {
        [self.nothing, self.service].map(|party| Usage::of(party.process))
    }
}

/// How long and how often.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Sent before the first run and not measured.
    pub(super) warm_up: Duration,
    /// The length of a run.
    pub(super) time: Duration,
    /// Runs of each server.
    pub(super) runs: u64,
}

/// A measurement: runs of both servers, in turns.
#[derive(Debug, Default, Serialize)]
pub(super) struct Row {
    /// In words.
    pub(super) what: String,
    /// The case, unless the measurement belongs to something else.
    pub(super) case: Option<Case>,
    /// Connections, each with one request under way.
    pub(super) connections: usize,
    /// Runs against the handler that does nothing.
    pub(super) nothing: Vec<Figures>,
    /// Runs against the service, in turns with the former.
    pub(super) service: Vec<Figures>,
    /// What the service has done, the warm-up included.
    pub(super) acknowledged: u64,
    /// What either of them has refused.
    pub(super) refused: u64,
    /// The beginning of the first answer that refused something.
    pub(super) refusal: Option<String>,
    /// Length of an answer of the handler that does nothing, in bytes.
    pub(super) nothing_answer_bytes: u64,
    /// Length of an answer of the service, in bytes.
    pub(super) service_answer_bytes: u64,
    /// Processor time of the handler that does nothing for what is counted, in nanoseconds.
    pub(super) nothing_processor_ns: u64,
    /// Processor time of the service for what is counted, in nanoseconds.
    pub(super) service_processor_ns: u64,
    /// What the handler that does nothing has done, the warm-up included.
    #[serde(skip)]
    nothing_done: u64,
    /// The goals, and whether they are reached.
    pub(super) verdicts: Vec<Verdict>,
}

impl Row {
    /// Runs both servers in turns.
    pub(super) async fn measure(
        pair: Pair<'_>,
        pace: Pace,
        case: Case,
        connections: usize,
    ) -> anyhow::Result<Self> {
        let spread =
            |choice| move |party: &Party| Charging::new(&party.book, &party.admin_key, choice);
        let before = pair.usage();
        let mut row = match case {
            Case::Uniform => in_turns(pair, pace, connections, spread(Choice::Uniform)).await,
            Case::Hot => in_turns(pair, pace, connections, spread(Choice::Hot)).await,
            Case::Batch => {
                let batching = |party: &Party| Batching::new(&party.book, &party.admin_key, None);
                in_turns(pair, pace, connections, batching).await
            }
            Case::Holds => {
                let holding = |party: &Party| Holding::new(&party.book, &party.admin_key);
                in_turns(pair, pace, connections, holding).await
            }
        }?;
        case.title().clone_into(&mut row.what);
        row.case = Some(case);
        row.note_usage(before, pair.usage());
        Ok(row)
    }

    /// Notes what the processes have used meanwhile: first the one that does nothing.
    fn note_usage(&mut self, before: [Usage; 2], after: [Usage; 2]) {
        let each = |process: usize, done: u64| {
            after[process]
                .processor_micros
                .saturating_sub(before[process].processor_micros)
                .saturating_mul(1_000)
                / done.max(1)
        };
        self.nothing_processor_ns = each(0, self.nothing_done);
        self.service_processor_ns = each(1, self.acknowledged);
    }

    /// Compares with the goals of the case. `uniform` is what charges over all wallets reach with as many connections.
    pub(super) fn judge(&mut self, uniform: Option<u64>) {
        let Some(case) = self.case else {
            return;
        };
        let measured = Measured {
            nothing: self.median_of_nothing(|run| run.per_second),
            service: self.median(|run| run.per_second),
            p50_us: self.median(|run| run.p50_us),
            p99_us: self.median(|run| run.p99_us),
            uniform,
        };
        let verdict = |goal: &Goal| Verdict::new(goal, goal.is_reached(&measured));
        self.verdicts = case.goals(self.connections).iter().map(verdict).collect();
    }

    /// The median of the service's runs.
    pub(super) fn median<T: Ord + Default>(&self, figure: impl Fn(&Figures) -> T) -> T {
        median(self.service.iter().map(figure))
    }

    /// The median of the other one's.
    pub(super) fn median_of_nothing<T: Ord + Default>(&self, figure: impl Fn(&Figures) -> T) -> T {
        median(self.nothing.iter().map(figure))
    }

    fn refuse(&mut self, volley: &mut Volley) {
        self.refused += volley.refused;
        self.refusal = self.refusal.take().or(volley.refusal.take());
    }
}

/// Judges rows, each with what it is compared with.
pub(super) fn judge(rows: &mut [Row]) {
    let uniform: Vec<(usize, u64)> = rows
        .iter()
        .filter(|row| row.case == Some(Case::Uniform))
        .map(|row| (row.connections, row.median(|run| run.per_second)))
        .collect();
    for row in rows {
        let same = uniform
            .iter()
            .find(|(connections, _)| *connections == row.connections);
        row.judge(same.map(|(_, rate)| *rate));
    }
}

async fn in_turns<C: Client>(
    pair: Pair<'_>,
    pace: Pace,
    connections: usize,
    client: impl Fn(&Party) -> anyhow::Result<C>,
) -> anyhow::Result<Row> {
    let send = async |party: &Party, time: Duration| {
        let clients = (0..connections)
            .map(|_| client(party))
            .collect::<anyhow::Result<Vec<C>>>()?;
        load::send(party.address, clients, Some(time)).await
    };
    let mut row = Row {
        connections,
        ..Row::default()
    };
    let (mut idle_bytes, mut idle_answers, mut bytes, mut answers) = (0, 0, 0, 0);
    for party in [pair.nothing, pair.service] {
        let mut volley = send(party, pace.warm_up).await?;
        if std::ptr::eq(party, pair.service) {
            row.acknowledged += volley.done;
        } else {
            row.nothing_done += volley.done;
        }
        row.refuse(&mut volley);
    }
    for _ in 0..pace.runs {
        let mut volley = send(pair.nothing, pace.time).await?;
        row.nothing.push(Figures::of(&volley));
        row.nothing_done += volley.done;
        idle_bytes += volley.answer_bytes;
        idle_answers += volley.latencies.len() as u64;
        row.refuse(&mut volley);
        let mut volley = send(pair.service, pace.time).await?;
        row.service.push(Figures::of(&volley));
        row.acknowledged += volley.done;
        bytes += volley.answer_bytes;
        answers += volley.latencies.len() as u64;
        row.refuse(&mut volley);
    }
    row.nothing_answer_bytes = idle_bytes / idle_answers.max(1);
    row.service_answer_bytes = bytes / answers.max(1);
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(case: Case, connections: usize, nothing: u64, service: u64) -> Row {
        let run = |per_second| Figures {
            per_second,
            p50_us: 400,
            p99_us: 6_000,
            max_us: 9_000,
        };
        Row {
            case: Some(case),
            connections,
            nothing: vec![run(nothing)],
            service: vec![run(service)],
            ..Row::default()
        }
    }

    #[test]
    fn cases_are_judged_by_charges_over_all_wallets_with_as_many_connections() {
        let mut rows = [
            row(Case::Hot, 64, 40_000, 16_000),
            row(Case::Uniform, 64, 40_000, 20_000),
            row(Case::Uniform, 1, 5_000, 99_000),
            row(Case::Holds, 64, 40_000, 11_999),
            row(Case::Batch, 4, 300, 100_000),
            row(Case::Uniform, 7, 300, 100),
        ];
        judge(&mut rows);
        let reached: Vec<Vec<Option<bool>>> = rows
            .iter()
            .map(|row| row.verdicts.iter().map(|one| one.reached).collect())
            .collect();
        let expected = [
            vec![Some(true)],
            vec![Some(true), Some(false)],
            vec![Some(true)],
            vec![Some(false)],
            vec![Some(true)],
            vec![],
        ];
        assert_eq!(reached, expected);
    }

    #[test]
    fn without_the_measurement_it_compares_with_a_case_is_not_judged() {
        let mut rows = [
            row(Case::Uniform, 16, 1, 1),
            row(Case::Hot, 64, 40_000, 16_000),
        ];
        judge(&mut rows);
        assert_eq!(rows[1].verdicts[0].reached, None);
    }

    #[test]
    fn processor_time_is_divided_by_what_was_done_meanwhile() {
        let usage = |processor_micros| Usage {
            processor_micros,
            ..Usage::default()
        };
        let mut row = row(Case::Hot, 64, 1, 1);
        row.acknowledged = 1_000;
        row.note_usage([usage(5), usage(10_000)], [usage(5), usage(40_000)]);
        assert_eq!(
            (row.nothing_processor_ns, row.service_processor_ns),
            (0, 30_000)
        );
    }
}
