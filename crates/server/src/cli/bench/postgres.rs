//! `bursar bench postgres`: durable charges on a SQLite file, on a PostgreSQL server with one node and with two, and next to them a
//! plain implementation in SQL on the same server that locks a row for each request.
//!
//! Charges are submitted to the engine in this process, so the figures are those of the engine and the database, without HTTP. All of
//! it, the server and the load share this machine.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command as Process, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bursar_domain::amount::Unit;
use bursar_domain::charge::{Charge, Charged, Price};
use bursar_domain::command::{Adjust, AnswerKey, Command, Request, RequestHash};
use bursar_domain::id::UserId;
use bursar_domain::journal::Remark;
use bursar_domain::limit::Spender;
use bursar_domain::policy::Policy;
use bursar_engine::clock::SystemClock;
use bursar_engine::{Engine, EngineConfig};
use bursar_store::{Database, audit};
use serde::Serialize;

use super::figures::{median, milliseconds};
use super::{Folder, warn_of_debug_build, write_json};
use crate::cli::say;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// An empty database on a server that may be filled: postgres://…. Name a socket's folder with ?host= for the least overhead.
    #[arg(long, value_name = "URL", env = "DATABASE_URL")]
    url: String,
    /// Callers that each wait for their answer before they ask again.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// How long each run takes, in seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How many runs of each kind; their medians are shown.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// How many wallets are charged in the uniform case.
    #[arg(long, default_value_t = 10_000)]
    wallets: usize,
    /// Where the SQLite file is made.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Write every figure of every run to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What one run gave.
#[derive(Debug, Clone, Serialize)]
struct Run {
    what: &'static str,
    case: &'static str,
    per_second: u64,
    p50_us: u32,
    p99_us: u32,
}

const PLAIN: &str = "plain SQL, a row lock a request";
const CASES: [(&str, bool); 2] = [("uniform", false), ("one hot wallet", true)];

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    warn_of_debug_build("postgres");
    let folder = Folder::make(arguments.folder.as_deref())?;
    let server = Database::parse(&arguments.url)?;
    // DATABASE_URL may be set for a service that is in earnest.
    if server.is_used()? {
        bail!("{server} has books already: name an empty database, a new one for each measurement");
    }
    let file = Database::from(folder.0.join("bursar.db"));
    plain::make(arguments)?;
    let mut runs = Vec::new();
    let file = [start(&file)?];
    let nodes = [start(&server)?, start(&server)?];
    for (first, fresh) in [(&file[0], "SQLite"), (&nodes[0], "PostgreSQL")] {
        fill(first, arguments.wallets)
            .await
            .with_context(|| format!("{fresh} cannot be filled"))?;
    }
    for number in 0..arguments.runs {
        for (case, is_hot) in CASES {
            for (what, engines) in [
                ("SQLite", &file[..]),
                ("PostgreSQL, one node", &nodes[..1]),
                ("PostgreSQL, two nodes", &nodes[..]),
            ] {
                let mut run = charges(arguments, engines, is_hot, number).await?;
                (run.what, run.case) = (what, case);
                runs.push(run);
            }
            let mut run = plain::measure(arguments, is_hot)?;
            run.case = case;
            runs.push(run);
        }
    }
    for engine in file.iter().chain(&nodes) {
        engine.shutdown().await;
    }
    let report = audit::run(&mut server.reader()?)?;
    say(format_args!("{}", table(&runs)));
    write_json(arguments.json.as_deref(), &runs)?;
    if !report.differences.is_empty() {
        bail!(
            "the books on the server are wrong: {:?}",
            report.differences
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn start(database: &Database) -> anyhow::Result<Engine> {
    Ok(Engine::start(EngineConfig {
        database: database.clone(),
        policy: Policy::standard(),
        stripe: None,
        clock: Arc::new(SystemClock),
    })?)
}

fn user(number: usize) -> anyhow::Result<UserId> {
    UserId::parse(&format!("bench-{number}")).context("a user id")
}

async fn fill(engine: &Engine, wallets: usize) -> anyhow::Result<()> {
    let mut waiting = tokio::task::JoinSet::new();
    for number in 0..wallets {
        let (engine, user) = (engine.clone(), user(number)?);
        waiting.spawn(async move {
            let adjust = Adjust {
                user,
                credits: 100_000_000,
                remark: Remark::default(),
            };
            engine.submit(Command::Adjust(adjust)).await
        });
        if waiting.len() >= 512 {
            waiting.join_next().await.transpose()?.transpose()?;
        }
    }
    while let Some(done) = waiting.join_next().await {
        done??;
    }
    Ok(())
}

/// Charges from all connections, spread over the engines, until the time is over.
async fn charges(
    arguments: &Arguments,
    engines: &[Engine],
    is_hot: bool,
    number: usize,
) -> anyhow::Result<Run> {
    let (begun, length) = (Instant::now(), Duration::from_secs(arguments.seconds));
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..arguments.connections {
        let engine = engines[caller % engines.len()].clone();
        let (wallets, nodes) = (arguments.wallets, engines.len());
        let mut random = 0x9e37_79b9_7f4a_7c15_u64 ^ ((caller as u64 + 1) << 20) ^ number as u64;
        callers.spawn(async move {
            let mut times: Vec<u32> = Vec::new();
            while begun.elapsed() < length {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let who = usize::try_from(random).unwrap_or(0) % wallets;
                let key = format!("{is_hot}-{nodes}-{number}-{caller}-{}", times.len());
                let request = charge(user(if is_hot { 0 } else { who })?, key);
                let asked = Instant::now();
                engine
                    .ask::<Charged>(request.command, request.idempotency)
                    .await?;
                times.push(u32::try_from(asked.elapsed().as_micros()).unwrap_or(u32::MAX));
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(done) = callers.join_next().await {
        times.extend(done??);
    }
    let millis = begun.elapsed().as_millis().max(1);
    times.sort_unstable();
    let at = |hundredths: usize| {
        times
            .get(times.len() * hundredths / 100)
            .copied()
            .unwrap_or(0)
    };
    Ok(Run {
        what: "",
        case: "",
        per_second: u64::try_from(times.len() as u128 * 1_000 / millis)?,
        p50_us: at(50),
        p99_us: at(99),
    })
}

fn charge(user: UserId, key: String) -> Request {
    let charge = Charge {
        user,
        unit: Unit::CREDIT,
        price: Price::Exactly(1),
        allow_debt: false,
        spender: Spender::default(),
        remark: Remark::default(),
    };
    let key = AnswerKey {
        principal: "bench".to_owned(),
        route: "charge".to_owned(),
        key,
    };
    Request {
        command: Command::Charge(charge),
        idempotency: Some((key, RequestHash([1; 16]))),
    }
}

fn table(runs: &[Run]) -> String {
    let mut text =
        String::from("| what | case | charges a second | p50 | p99 |\n|---|---|---|---|---|\n");
    for (case, _) in CASES {
        for what in [
            "SQLite",
            "PostgreSQL, one node",
            "PostgreSQL, two nodes",
            PLAIN,
        ] {
            let of = || {
                runs.iter()
                    .filter(|run| run.what == what && run.case == case)
            };
            // Writing to a text does not fail.
            let _ = writeln!(
                text,
                "| {what} | {case} | {} | {} ms | {} ms |",
                median(of().map(|run| run.per_second)),
                milliseconds(median(of().map(|run| run.p50_us))),
                milliseconds(median(of().map(|run| run.p99_us))),
            );
        }
    }
    text
}

/// The same in SQL, as it is usually written: lock the wallet, look, write, commit. Driven by PostgreSQL's own pgbench.
mod plain {
    use anyhow::Context as _;

    use super::{Arguments, PLAIN, Process, Run, bail};

    /// The tables, in a schema of their own.
    const TABLES: &str = "DROP SCHEMA IF EXISTS plain CASCADE; CREATE SCHEMA plain; \
        CREATE TABLE plain.wallet (id bigint PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0)); \
        CREATE TABLE plain.entry (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, wallet bigint NOT NULL, \
        amount bigint NOT NULL, balance bigint NOT NULL, at timestamptz NOT NULL DEFAULT now()); \
        CREATE INDEX ON plain.entry (wallet, id); \
        CREATE TABLE plain.answer (key text PRIMARY KEY, entry bigint NOT NULL);";

    fn script(is_hot: bool, wallets: usize) -> String {
        let who = if is_hot {
            "\\set who 1".to_owned()
        } else {
            format!("\\set who random(1, {wallets})")
        };
        format!(
            "{who}\n\\set a random(1, 1000000000000)\n\\set b random(1, 1000000000000)\nBEGIN;\n\
             SELECT entry FROM plain.answer WHERE key = :a || '-' || :b;\n\
             SELECT balance FROM plain.wallet WHERE id = :who FOR UPDATE;\n\
             UPDATE plain.wallet SET balance = balance - 1 WHERE id = :who RETURNING balance AS left \\gset\n\
             INSERT INTO plain.entry (wallet, amount, balance) VALUES (:who, -1, :left) RETURNING id AS entry \\gset\n\
             INSERT INTO plain.answer (key, entry) VALUES (:a || '-' || :b, :entry);\nCOMMIT;\n"
        )
    }

    fn output(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let done = Process::new(program).args(arguments).output();
        let done = done.with_context(|| {
            format!("{program} cannot be started: install PostgreSQL's client programs")
        })?;
        if !done.status.success() {
            bail!("{program}: {}", String::from_utf8_lossy(&done.stderr));
        }
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    }

    pub(super) fn make(arguments: &Arguments) -> anyhow::Result<()> {
        let wallets = arguments.wallets;
        let fill = format!(
            "{TABLES} INSERT INTO plain.wallet SELECT n, 1000000000 FROM generate_series(1, {wallets}) n;"
        );
        output(
            "psql",
            &[
                "-qX",
                "-v",
                "ON_ERROR_STOP=1",
                "-d",
                &arguments.url,
                "-c",
                &fill,
            ],
        )
        .map(drop)
    }

    pub(super) fn measure(arguments: &Arguments, is_hot: bool) -> anyhow::Result<Run> {
        let elsewhere = std::env::temp_dir().join("bursar-plain");
        let folder = super::Folder::make(Some(&elsewhere))?;
        let file = folder.0.join("charge.sql");
        std::fs::write(&file, script(is_hot, arguments.wallets))?;
        let prefix = folder.0.join("times");
        let (file, prefix) = (file.display().to_string(), prefix.display().to_string());
        let clients = arguments.connections.to_string();
        let seconds = arguments.seconds.to_string();
        let log = format!("--log-prefix={prefix}");
        output(
            "pgbench",
            &[
                "-n",
                "-M",
                "prepared",
                "-c",
                &clients,
                "-j",
                "1",
                "-T",
                &seconds,
                "-f",
                &file,
                "-l",
                &log,
                &arguments.url,
            ],
        )?;
        let mut times: Vec<u32> = Vec::new();
        for entry in std::fs::read_dir(&folder.0)? {
            let path = entry?.path();
            if path.display().to_string().starts_with(&prefix) {
                // Columns: client, transaction, microseconds, …
                let lines = std::fs::read_to_string(path)?;
                times.extend(
                    lines
                        .lines()
                        .filter_map(|line| line.split(' ').nth(2)?.parse::<u32>().ok()),
                );
            }
        }
        times.sort_unstable();
        let at = |hundredths: usize| {
            times
                .get(times.len() * hundredths / 100)
                .copied()
                .unwrap_or(0)
        };
        Ok(Run {
            what: PLAIN,
            case: "",
            per_second: u64::try_from(times.len())? / arguments.seconds.max(1),
            p50_us: at(50),
            p99_us: at(99),
        })
    }
}
