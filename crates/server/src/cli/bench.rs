//! `bursar bench`: how fast events are taken in, with everything on as in production.
//!
//! Server, load and disk share this machine. A second server, whose handler does nothing, is driven in turns with the real
//! one by the same load: it says what the machine and the HTTP stack give at most.

mod child;
mod event;
mod load;
mod machine;
mod report;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bursar_domain::event::EventStatus;
use bursar_store::query::Reader;
use bursar_stripe::signature::Secret;
use http::{HeaderMap, header};
use tokio::net::TcpListener;

use self::child::Server;
use self::event::Source;
use self::machine::Machine;
use self::report::{Level, Report, Run};
use super::say;
use crate::app::{DATABASE, make_private_folder};
use crate::http::WEBHOOK_PATH;
use crate::http::error::ApiError;
use crate::http::extract::read_body;
use crate::listener;

/// Signs and verifies the events of the benchmark. It opens nothing.
const WEBHOOK_SECRET: &str = "whsec_bench4Wq7Tz1Lk9Xr3Vn6Pd2Mf8Hs5";

/// A key of no account: the service asks for one before it takes payments.
const SECRET_KEY: &str = "sk_test_bench4Wq7Tz1Lk9Xr3Vn6Pd2Mf8Hs5";

/// Sent before the first run of a level and not measured.
const WARM_UP: Duration = Duration::from_millis(500);

/// How long the server may take to work off what it has stored.
const WORK_OFF_MAX: Duration = Duration::from_mins(1);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Send signed events to a server of its own, and report events per second, latencies, and what is on disk.
    Webhooks(Webhooks),
    /// Serve the handler that does nothing.
    #[command(hide = true)]
    Nothing,
}

#[derive(Debug, clap::Args)]
struct Webhooks {
    /// Numbers of connections, one measurement for each.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_values_t = [1, 16, 64], value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: Vec<u16>,
    /// The length of a run.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Runs of each measurement; their median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=25))]
    runs: u64,
    /// Write all figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keep the databases in this folder meanwhile; its disk is measured. It needs about 2 GB.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.what {
        What::Webhooks(webhooks) => {
            // One thread for the load: it gets by with that, and the server keeps the other cores.
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                tokio::select! {
                    code = bench(&webhooks) => code,
                    () = listener::asked_to_stop() => bail!("stopped"),
                }
            })
        }
        What::Nothing => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()?;
            runtime.block_on(serve_nothing())
        }
    }
}

async fn bench(webhooks: &Webhooks) -> anyhow::Result<ExitCode> {
    if cfg!(debug_assertions) {
        eprintln!(
            "bursar: this is a debug build; the figures mean nothing (cargo run --release -- bench webhooks)"
        );
    }
    let folder = Folder::make(webhooks.folder.as_deref())?;
    let source = Arc::new(Source::new(Secret::new(WEBHOOK_SECRET)?));
    let bytes: usize = (0..3).map(|_| source.next(0).body.len()).sum();
    let mut report = Report {
        version: env!("CARGO_PKG_VERSION"),
        sqlite: bursar_store::sqlite::version(),
        machine: Machine::look(&folder.0)?,
        seconds: webhooks.seconds,
        event_bytes: bytes as u64 / 3,
        levels: Vec::new(),
    };
    let nothing = Server::nothing(&folder.0)?;
    for connections in &webhooks.connections {
        let data = folder.0.join(format!("connections-{connections}"));
        let level = level(
            webhooks,
            usize::from(*connections),
            &data,
            &nothing,
            &source,
        )
        .await?;
        report.levels.push(level);
        std::fs::remove_dir_all(&data)?;
    }
    say(format_args!("{}\n", report.text()));
    if let Some(file) = &webhooks.json {
        std::fs::write(file, serde_json::to_string_pretty(&report)?)
            .with_context(|| format!("{} cannot be written", file.display()))?;
    }
    if report.is_sound() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("bursar: not every event was acknowledged with 200 and found on disk");
    Ok(ExitCode::FAILURE)
}

/// Measures with one number of connections, and looks what a killed server leaves behind.
async fn level(
    webhooks: &Webhooks,
    connections: usize,
    data: &Path,
    nothing: &Server,
    source: &Arc<Source>,
) -> anyhow::Result<Level> {
    make_private_folder(data)?;
    let service = Server::serve(data)?;
    let mut reader = Reader::open_sqlite(&data.join(DATABASE))?;
    let mut level = Level {
        connections,
        ..Level::default()
    };
    let before = nothing.usage();
    let mut idle_answers = load::send(nothing.address, connections, WARM_UP, source)
        .await?
        .acknowledged();
    let warm_up = load::send(service.address, connections, WARM_UP, source).await?;
    (level.acknowledged, level.refused) = (warm_up.acknowledged(), warm_up.refused);
    work_off(&mut reader).await?;
    let time = Duration::from_secs(webhooks.seconds);
    for _ in 0..webhooks.runs {
        let volley = load::send(nothing.address, connections, time, source).await?;
        level.refused += volley.refused;
        idle_answers += volley.acknowledged();
        level.nothing.push(Run::new(&volley, 0, 0));
        let volley = load::send(service.address, connections, time, source).await?;
        let (backlog, worked_off_ms) = work_off(&mut reader).await?;
        level.acknowledged += volley.acknowledged();
        level.refused += volley.refused;
        level
            .service
            .push(Run::new(&volley, backlog, worked_off_ms));
    }
    let (usage, files) = (service.usage(), size_of_files(data)?);
    service.kill()?;
    let mut reader = Reader::open_sqlite(&data.join(DATABASE))?;
    level.stored = reader.event_count(None)?;
    level.pending = reader.event_count(Some(EventStatus::Pending))?;
    let events = level.acknowledged.max(1);
    (level.resident, level.resident_peak) = (usage.resident, usage.resident_peak);
    level.processor_us_per_event = usage.processor_micros / events;
    let idle_micros = nothing.usage().processor_micros - before.processor_micros;
    level.nothing_processor_us_per_event = idle_micros / idle_answers.max(1);
    level.stored_bytes_per_event = files / events;
    level.written_bytes_per_event = usage.written / events;
    Ok(level)
}

/// Waits until nothing is pending; how many events were, and for how many milliseconds.
async fn work_off(reader: &mut Reader) -> anyhow::Result<(u64, u128)> {
    let begun = Instant::now();
    let backlog = reader.event_count(Some(EventStatus::Pending))?;
    let mut left = backlog;
    while left > 0 {
        if begun.elapsed() > WORK_OFF_MAX {
            bail!("{left} events were not worked off within {WORK_OFF_MAX:?}");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        left = reader.event_count(Some(EventStatus::Pending))?;
    }
    Ok((backlog, begun.elapsed().as_millis()))
}

fn size_of_files(folder: &Path) -> std::io::Result<u64> {
    std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.metadata()?.len()))
        .sum()
}

/// A folder that is gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn make(parent: Option<&Path>) -> anyhow::Result<Self> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
        let path =
            std::path::absolute(parent)?.join(format!("bursar-bench-{}", std::process::id()));
        make_private_folder(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Reads the body and answers as the real handler does.
async fn nothing(headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    read_body(&headers, body, 1 << 20).await?;
    let json = header::HeaderValue::from_static("application/json");
    Ok(([(header::CONTENT_TYPE, json)], r#"{"received":true}"#).into_response())
}

async fn serve_nothing() -> anyhow::Result<ExitCode> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("bursar: serving on http://{}", listener.local_addr()?);
    let router = Router::new().route(WEBHOOK_PATH, post(nothing));
    listener::serve(listener, router, listener::asked_to_stop()).await;
    Ok(ExitCode::SUCCESS)
}
