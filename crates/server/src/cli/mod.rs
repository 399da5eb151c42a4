//! The command line: one file for each command.

mod audit;
mod backup;
mod bench;
mod config;
mod copy;
mod credentials;
mod dev;
mod doctor;
mod export;
mod key;
mod reconcile;
mod recovery;
mod replay;
mod sandbox;
mod serve;
mod trigger;

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use bursar_store::Database;
use clap::{Args, Parser, Subcommand};

use crate::app::{App, DATABASE};
use crate::config::{Config, Sources, Values};
use crate::http::openapi;

/// Self-hosted billing between a product and Stripe: customers buy credits by card, and every credit is accounted for.
#[derive(Debug, Parser)]
#[command(name = "bursar", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start everything on this machine, with a Stripe sandbox and a demo user. Needs no configuration.
    Dev(dev::Arguments),
    /// Start the service for production. Refuses to start half configured.
    Serve(serve::Arguments),
    /// Show the configuration in effect and where each value came from. Secrets are masked.
    Config(config::Arguments),
    /// Check the configuration, the data folder, and what is set up at Stripe; say how to fix what is wrong.
    Doctor(doctor::Arguments),
    /// Recompute every balance from the journal. Exits with 1 if anything differs.
    Audit(audit::Arguments),
    /// Compare Stripe with the books: events, payments, refunds, disputes and money. Exits with 1 if they differ, with 2 if it could
    /// not be found out.
    Reconcile(reconcile::Arguments),
    /// Work stored events off again. Harmless: what they say is taken in once.
    Replay(replay::Arguments),
    /// Show or end the recovery mode that follows a restore.
    Recovery(recovery::Arguments),
    /// Write a consistent copy of the database while the service runs.
    Backup(backup::Arguments),
    /// Move the books from a SQLite file to a PostgreSQL server, and prove that they are the same there.
    Copy(copy::Arguments),
    /// Put a copy into an empty data folder, to be started in recovery mode.
    Restore(backup::RestoreArguments),
    /// Write the whole journal for hledger, Beancount, or as JSON lines.
    Export(export::Arguments),
    /// Print the OpenAPI document of the HTTP API.
    Openapi,
    /// Create, list and revoke API keys.
    Key(key::Arguments),
    /// Start only the Stripe sandbox.
    Sandbox(sandbox::Arguments),
    /// Let the sandbox cause an event, such as checkout.session.completed, as the Stripe CLI's command of this name does.
    Trigger(trigger::Arguments),
    /// Measure on this machine how fast Stripe's events are taken in, and how fast credits are spent.
    Bench(bench::Arguments),
}

/// Where settings come from, for the commands that read them.
#[derive(Debug, Args)]
struct SourceArguments {
    /// Read this file instead of ./bursar.toml.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Listen on this address and port; port 0 picks a free one.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Keep the database in this folder.
    #[arg(long, value_name = "FOLDER")]
    data: Option<String>,
    /// The public address of this server.
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
}

impl SourceArguments {
    fn sources(&self) -> Sources {
        let mut sources = Sources::of_process(self.config.clone());
        sources.flag("listen", "--listen", self.listen.clone());
        sources.flag("data", "--data", self.data.clone());
        sources.flag("base_url", "--base-url", self.base_url.clone());
        sources
    }
}

/// The data folder in effect, for commands that need nothing else.
fn data_folder(flag: Option<String>) -> PathBuf {
    let mut sources = Sources::of_process(None);
    sources.flag("data", "--data", flag);
    let (values, _) = Values::read(&sources);
    PathBuf::from(
        values
            .get("data")
            .map_or("./bursar-data", |found| &found.value),
    )
}

/// The database in effect, for commands that need nothing else. A data folder that is named means the file in it.
fn database(flag: Option<String>) -> anyhow::Result<Database> {
    let (values, _) = Values::read(&Sources::of_process(None));
    match values.get("database_url") {
        Some(url) if flag.is_none() && !url.value.is_empty() => {
            Database::parse(&url.value).context("DATABASE_URL")
        }
        _ => Ok(data_folder(flag).join(DATABASE).into()),
    }
}

/// Opens the data folder of a service that does not run, to change something in it. Stripe is not asked: calls that are owed are
/// for the service to make.
fn open(data: Option<String>) -> anyhow::Result<App> {
    let mut sources = Sources::of_process(None);
    sources.flag(
        "data",
        "--data",
        Some(data_folder(data).display().to_string()),
    );
    let (mut config, _) = Config::load(&sources)?;
    config.stripe.secret_key = None;
    App::start(config).context("for a running service use --server URL --admin-key KEY")
}

/// Writes to standard output. `println!` would panic when the reader has gone, as in `bursar audit | head -1`: the command
/// then ends with its own result all the same.
fn say(text: fmt::Arguments<'_>) {
    io::stdout().write_fmt(text).ok();
}

/// Runs the command the program was called with.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    match execute(arguments.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bursar: {}", told(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes on one line; a cause that is quoted already is not repeated.
fn told(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |mut said, cause| {
        let cause = cause.to_string();
        if !said.contains(&cause) {
            let comma = if said.is_empty() { "" } else { ": " };
            said.push_str(comma);
            said.push_str(&cause);
        }
        said
    })
}

fn execute(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Config(arguments) => return Ok(config::run(&arguments)),
        Command::Audit(arguments) => return audit::run(arguments),
        Command::Export(arguments) => return export::run(arguments),
        Command::Bench(arguments) => return bench::run(arguments),
        Command::Backup(arguments) => return backup::run(arguments),
        Command::Copy(arguments) => return copy::run(&arguments),
        Command::Openapi => {
            say(format_args!("{}", openapi::text()));
            return Ok(ExitCode::SUCCESS);
        }
        _ => {}
    }
    // The writer is a thread of its own and keeps a core busy when there is much to do; a worker more than there are cores left
    // only makes the system switch between them.
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.saturating_sub(1).max(1))
        .enable_all()
        .build()?;
    let code = runtime.block_on(async {
        match command {
            Command::Dev(arguments) => dev::run(arguments).await,
            Command::Serve(arguments) => serve::run(arguments).await,
            Command::Doctor(arguments) => doctor::run(arguments).await,
            Command::Key(arguments) => key::run(arguments).await,
            Command::Sandbox(arguments) => sandbox::run(arguments).await,
            Command::Trigger(arguments) => trigger::run(arguments).await,
            Command::Reconcile(arguments) => Ok(reconcile::run(arguments).await),
            Command::Replay(arguments) => replay::run(arguments).await,
            Command::Recovery(arguments) => recovery::run(arguments).await,
            Command::Restore(arguments) => backup::restore(arguments).await,
            Command::Config(_)
            | Command::Audit(_)
            | Command::Export(_)
            | Command::Bench(_)
            | Command::Backup(_)
            | Command::Copy(_)
            | Command::Openapi => Ok(ExitCode::SUCCESS),
        }
    });
    // What is still running on other threads has nothing left to finish.
    runtime.shutdown_background();
    code
}

/// Logs to standard error, as the filter says.
fn start_logging(filter: &str) {
    use tracing_subscriber::filter::Targets;
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::util::SubscriberInitExt as _;
    let targets: Targets = filter.parse().unwrap_or_default();
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    let _ = tracing_subscriber::registry()
        .with(lines)
        .with(targets)
        .try_init();
}
