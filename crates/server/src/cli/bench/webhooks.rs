//! `bursar bench webhooks`: signed events, taken in and worked off.

mod event;
mod report;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use bursar_domain::event::EventStatus;
use bursar_engine::clock::{Clock as _, SystemClock};
use bursar_store::query::Reader;
use bursar_stripe::signature::Secret;
use http::{Request, StatusCode, header};
use http_body_util::Full;
use hyper::body::Bytes;

use self::event::Source;
use self::report::{Level, Report, Run};
use super::child::{Server, WEBHOOK_SECRET};
use super::load::{self, Client, Judgement};
use super::machine::Machine;
use super::{Folder, size_of_files, warn_of_debug_build, write_json};
use crate::app::{DATABASE, make_private_folder};
use crate::cli::say;
use crate::http::WEBHOOK_PATH;

/// Sent before the first run of a level and not measured.
const WARM_UP: Duration = Duration::from_millis(500);

/// How long the server may take to work off what it has stored.
const WORK_OFF_MAX: Duration = Duration::from_mins(1);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
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

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    warn_of_debug_build("webhooks");
    let folder = Folder::make(arguments.folder.as_deref())?;
    let source = Arc::new(Source::new(Secret::new(WEBHOOK_SECRET)?));
    let bytes: usize = (0..3).map(|_| source.next(0).body.len()).sum();
    let mut report = Report {
        version: env!("CARGO_PKG_VERSION"),
        sqlite: bursar_store::sqlite::version(),
        machine: Machine::look(&folder.0)?,
        seconds: arguments.seconds,
        event_bytes: bytes as u64 / 3,
        levels: Vec::new(),
    };
    let nothing = Server::nothing(&folder.0)?;
    for connections in &arguments.connections {
        let data = folder.0.join(format!("connections-{connections}"));
        let connections = usize::from(*connections);
        let level = level(arguments, connections, &data, &nothing, &source).await?;
        report.levels.push(level);
        std::fs::remove_dir_all(&data)?;
    }
    say(format_args!("{}\n", report.text()));
    write_json(arguments.json.as_deref(), &report)?;
    if report.is_sound() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("bursar: not every event was acknowledged with 200 and found on disk");
    Ok(ExitCode::FAILURE)
}

/// Measures with one number of connections, and looks what a killed server leaves behind.
async fn level(
    arguments: &Arguments,
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
    let send = async |server: &Server, time: Duration| {
        let clients = (0..connections).map(|_| Stripe(Arc::clone(source)));
        load::send(server.address, clients, Some(time)).await
    };
    let before = nothing.usage();
    let mut idle_answers = send(nothing, WARM_UP).await?.done;
    let warm_up = send(&service, WARM_UP).await?;
    (level.acknowledged, level.refused) = (warm_up.done, warm_up.refused);
    work_off(&mut reader).await?;
    let time = Duration::from_secs(arguments.seconds);
    for _ in 0..arguments.runs {
        let volley = send(nothing, time).await?;
        level.refused += volley.refused;
        idle_answers += volley.done;
        level.nothing.push(Run::new(&volley, 0, 0));
        let volley = send(&service, time).await?;
        let (backlog, worked_off_ms) = work_off(&mut reader).await?;
        level.acknowledged += volley.done;
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

/// Delivers one event after the other, each made and signed at that moment.
struct Stripe(Arc<Source>);

impl Client for Stripe {
    fn next(&mut self) -> anyhow::Result<Option<Request<Full<Bytes>>>> {
        let delivery = self.0.next(SystemClock.now().seconds());
        let request = Request::post(WEBHOOK_PATH)
            .header(header::USER_AGENT, "bursar bench")
            .header(header::ACCEPT, "*/*; q=0.5, application/xml")
            .header(header::CACHE_CONTROL, "no-cache")
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .header("stripe-signature", delivery.signature)
            .body(Full::new(Bytes::from(delivery.body)))?;
        Ok(Some(request))
    }

    fn judge(&mut self, status: StatusCode, _: &[u8]) -> Judgement {
        if status == StatusCode::OK {
            Judgement::done(1)
        } else {
            Judgement::refused(1)
        }
    }
}
