//! `bursar bench wallet`: credits spent, one at a time and many at once.

mod book;
mod case;
mod client;
mod goal;
mod growth;
mod proof;
mod report;
pub(super) mod request;
mod shop;
mod soak;
mod start;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use self::book::Book;
use self::case::{Case, Pace, Pair, Party, Row};
use self::growth::{FEW, Growth};
use self::report::Report;
use self::shop::{End, Shop};
use self::soak::{STEP_SECONDS, Soak};
use self::start::Starts;
use super::child::Server;
use super::machine::Machine;
use super::{Folder, warn_of_debug_build, write_json};
use crate::cli::say;

/// Sent before the first run of a measurement and not measured.
const WARM_UP: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// What to measure.
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_enum, default_values_t = [Case::Uniform, Case::Hot, Case::Batch, Case::Holds])]
    cases: Vec<Case>,
    /// Measure no case, only what the other options ask for.
    #[arg(long, conflicts_with = "cases")]
    no_cases: bool,
    /// Numbers of connections of the case `uniform`, one measurement for each.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_values_t = [1, 64, 256], value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: Vec<u16>,
    /// The length of a run.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Runs of each measurement; their median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=25))]
    runs: u64,
    /// Wallets that are filled and charged.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    wallets: u32,
    /// Measure with 10,000 charges stored and again with this many, in a database of its own.
    #[arg(long, value_name = "CHARGES", value_parser = clap::value_parser!(u64).range(FEW * 2..))]
    growth: Option<u64>,
    /// Measure how long a start takes with a million charges stored, or with as many as --growth stores if they are more.
    #[arg(long)]
    start: bool,
    /// Charge for so long with 256 connections and watch the memory.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(STEP_SECONDS * 5..=86_400))]
    soak: Option<u64>,
    /// Write all figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keep the databases in this folder meanwhile; its disk is measured.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

impl Arguments {
    fn cases(&self) -> &[Case] {
        if self.no_cases { &[] } else { &self.cases }
    }

    fn pace(&self) -> Pace {
        Pace {
            warm_up: WARM_UP,
            time: Duration::from_secs(self.seconds),
            runs: self.runs,
        }
    }
}

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    warn_of_debug_build("wallet");
    let folder = Folder::make(arguments.folder.as_deref())?;
    let report = measure(arguments, &folder).await?;
    say(format_args!("{}\n", report.text()));
    write_json(arguments.json.as_deref(), &report)?;
    let faults = report.faults();
    for fault in &faults {
        eprintln!("bursar: {fault}");
    }
    Ok(if faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn measure(arguments: &Arguments, folder: &Folder) -> anyhow::Result<Report> {
    let wallets = usize::try_from(arguments.wallets)?;
    let mut report = Report {
        version: env!("CARGO_PKG_VERSION"),
        sqlite: bursar_store::sqlite::version(),
        machine: Machine::look(&folder.0)?,
        seconds: arguments.seconds,
        runs: arguments.runs,
        wallets,
        rows: Vec::new(),
        growth: None,
        starts: None,
        soak: None,
        proofs: Vec::new(),
    };
    let nothing = Idle::start(folder, wallets)?;
    let starts_here = arguments.start && arguments.growth.is_none();
    if !arguments.cases().is_empty() || arguments.soak.is_some() || starts_here {
        measure_cases(arguments, folder, &nothing, &mut report).await?;
    }
    if let Some(charges) = arguments.growth {
        measure_growth(arguments, folder, &nothing, charges, &mut report).await?;
    }
    Ok(report)
}

/// The cases, then what is asked for beside them, in one database.
async fn measure_cases(
    arguments: &Arguments,
    folder: &Folder,
    nothing: &Idle,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut shop = Shop::open(folder.0.join("wallet"), report.wallets).await?;
    for case in arguments.cases() {
        for connections in case.connections(&arguments.connections) {
            progress(format_args!("{}, {connections} connections", case.title()));
            let pair = nothing.beside(&shop.party);
            let row = Row::measure(pair, arguments.pace(), *case, connections).await?;
            report.rows.push(row);
        }
    }
    case::judge(&mut report.rows);
    if let Some(seconds) = arguments.soak {
        progress(format_args!("memory, {seconds} s"));
        // What other cases have made it keep must not hide what this one does.
        (shop, _) = shop.restart(End::Asked).await?;
        let step = Duration::from_secs(STEP_SECONDS);
        let soak = Soak::measure(&shop.party, seconds / STEP_SECONDS, step).await?;
        report.soak = Some(soak);
    }
    if arguments.start && arguments.growth.is_none() {
        shop = measure_starts(arguments, shop, report).await?;
    }
    progress(format_args!("what is on disk"));
    report.proofs.push(shop.prove().await?);
    Ok(())
}

/// Few and many charges stored, in a database that begins empty.
async fn measure_growth(
    arguments: &Arguments,
    folder: &Folder,
    nothing: &Idle,
    charges: u64,
    report: &mut Report,
) -> anyhow::Result<()> {
    progress(format_args!("growth to {charges} charges"));
    let mut shop = Shop::open(folder.0.join("growth"), report.wallets).await?;
    let pair = nothing.beside(&shop.party);
    let mut growth = Growth::measure(pair, arguments.pace(), charges).await?;
    if arguments.start {
        shop = measure_starts(arguments, shop, report).await?;
    }
    progress(format_args!("what is on disk"));
    let proof = shop.prove().await?;
    growth.judge(&proof);
    report.proofs.push(proof);
    report.growth = Some(growth);
    Ok(())
}

async fn measure_starts(
    arguments: &Arguments,
    shop: Shop,
    report: &mut Report,
) -> anyhow::Result<Shop> {
    progress(format_args!("start"));
    let (starts, shop) = Starts::measure(shop, arguments.runs).await?;
    report.starts = Some(starts);
    Ok(shop)
}

/// The handler that does nothing, with a book nobody looks at. Its process ends with it.
struct Idle {
    _server: Server,
    party: Party,
}

impl Idle {
    fn start(folder: &Folder, wallets: usize) -> anyhow::Result<Self> {
        let server = Server::nothing(&folder.0)?;
        let party = Party {
            address: server.address,
            process: server.id(),
            // As long as a real one.
            admin_key: format!("bursar_admin_{}", "0".repeat(64)),
            book: Arc::new(Book::new(wallets)?),
        };
        Ok(Self {
            _server: server,
            party,
        })
    }

    fn beside<'a>(&'a self, service: &'a Party) -> Pair<'a> {
        Pair {
            nothing: &self.party,
            service,
        }
    }
}

fn progress(what: std::fmt::Arguments<'_>) {
    eprintln!("bursar: measuring: {what}");
}
