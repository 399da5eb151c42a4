//! `bursar bench reconcile`: a year of payments, compared with a sandbox that has them all.

mod year;

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bursar_domain::policy::Policy;
use bursar_engine::clock::FixedClock;
use bursar_engine::reconcile::Options;
use bursar_engine::{Engine, EngineConfig};
use bursar_store::query::Span;
use bursar_stripe::client::{Client, ClientConfig};
use bursar_stripe::secret_key::SecretKey;
use serde::{Deserialize, Serialize};

use super::machine::Machine;
use super::{Folder, size_of_files, warn_of_debug_build, write_json};
use crate::app::DATABASE;
use crate::cli::say;
use year::Year;

/// The key of the sandbox, which only this machine can reach.
const KEY: &str = "sk_test_bench_reconcile";

/// What Stripe allows in the background: a quarter of 20 calls a second.
const CALLS_PER_SECOND: u64 = 5;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Payments in the year.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    payments: u64,
    /// Write all figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keep the database in this folder meanwhile. It needs about 10 KB for each payment.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct OnlyArguments {
    #[arg(long)]
    database: PathBuf,
    #[arg(long)]
    base: String,
    #[arg(long)]
    from: i64,
    #[arg(long)]
    to: i64,
    #[arg(long)]
    repair: bool,
}

/// What one run has taken.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Run {
    millis: u64,
    calls: u64,
    /// The most memory the process has ever had, in KiB.
    peak_kib: u64,
    /// The same before it began.
    idle_kib: u64,
    found: u64,
    agrees: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    payments: u64,
    building_millis: u64,
    database_bytes: u64,
    /// Nothing differs.
    clean: Run,
    /// The same again, allowed to repair.
    repair: Run,
}

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    warn_of_debug_build("reconcile");
    let folder = Folder::make(arguments.folder.as_deref())?;
    let database = folder.0.join(DATABASE);
    let begun = Instant::now();
    let year = Year::make(&database, arguments.payments).await?;
    let building_millis = millis(begun.elapsed());
    let measure = |repair| only_run(&year, &database, repair);
    let report = Report {
        machine: Machine::look(&folder.0)?,
        payments: arguments.payments,
        building_millis,
        database_bytes: size_of_files(&folder.0)?,
        clean: measure(false).await?,
        repair: measure(true).await?,
    };
    show(&report);
    write_json(arguments.json.as_deref(), &report)?;
    if !report.clean.agrees || !report.repair.agrees {
        bail!("Stripe and the books differ after a year without a fault");
    }
    Ok(ExitCode::SUCCESS)
}

fn show(report: &Report) {
    say(format_args!("{}\n", report.machine));
    say(format_args!(
        "{} payments, made in {} s; {} MB on disk\n",
        report.payments,
        report.building_millis / 1_000,
        report.database_bytes / 1_000_000
    ));
    for (what, run) in [
        ("compared", &report.clean),
        ("with --repair", &report.repair),
    ] {
        say(format_args!(
            "{what}: {} s, {} calls ({} min at {CALLS_PER_SECOND} a second), {} MB at most ({} MB before), {} differences\n",
            run.millis / 1_000,
            run.calls,
            run.calls / CALLS_PER_SECOND / 60,
            run.peak_kib / 1_024,
            run.idle_kib / 1_024,
            run.found
        ));
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// In a process of its own, so that its memory is not the sandbox's.
async fn only_run(year: &Year, database: &Path, repair: bool) -> anyhow::Result<Run> {
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command.args(["bench", "reconcile-only", "--base", &year.base]);
    command.arg("--database").arg(database);
    command.args([
        "--from",
        &year.from.to_string(),
        "--to",
        &year.to().to_string(),
    ]);
    if repair {
        command.arg("--repair");
    }
    // The sandbox answers on other threads meanwhile.
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    if !output.status.success() {
        bail!(
            "the run failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    serde_json::from_slice(&output.stdout).context("the run has said nothing")
}

pub(super) async fn only(arguments: &OnlyArguments) -> anyhow::Result<ExitCode> {
    let span = Span {
        from: arguments.from,
        to: arguments.to,
    };
    let clock = FixedClock::at(bursar_domain::time::Time::from_seconds(span.to));
    let engine = Engine::start(EngineConfig {
        database: bursar_store::Database::File(arguments.database.clone()),
        policy: Policy::standard(),
        stripe: Some(client(&arguments.base)?),
        clock: Arc::new(clock),
    })?;
    let idle_kib = peak_kib();
    let options = Options {
        span,
        repair: arguments.repair,
        ..Options::until(span.to)
    };
    let begun = Instant::now();
    let report = engine.reconcile(&options).await?;
    let run = Run {
        millis: millis(begun.elapsed()),
        calls: report.looked.calls,
        peak_kib: peak_kib(),
        idle_kib,
        found: report.counts.values().map(|count| count.found).sum(),
        agrees: report.agrees(),
    };
    engine.shutdown().await;
    if !run.agrees {
        eprint!("{report}");
    }
    say(format_args!("{}\n", serde_json::to_string(&run)?));
    Ok(ExitCode::SUCCESS)
}

/// A client whose budget does not count here: the sandbox is to be asked as fast as it answers.
fn client(base: &str) -> anyhow::Result<Client> {
    let many = NonZeroU32::MAX.min(NonZeroU32::MIN.saturating_add(999_999));
    Ok(Client::new(&ClientConfig {
        base_url: base.to_owned(),
        calls_per_second: many,
        burst: many,
        timeout: Duration::from_mins(1),
        ..ClientConfig::new(SecretKey::new(KEY)?)
    })?)
}

/// As Linux counts it; 0 elsewhere.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}
