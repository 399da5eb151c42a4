//! `bursar replay`

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use bursar_store::query::{EventFilter, PageRequest, Span};
use serde_json::json;

use super::reconcile::moment;
use super::{SourceArguments, say, trigger};
use crate::app::App;
use crate::config::Config;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    sources: SourceArguments,
    /// The id of an event, evt_….
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    event: Option<String>,
    /// All events that arrived from this day or moment on (UTC).
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<i64>,
    /// All that arrived until then (UTC).
    #[arg(long, value_name = "TIME", value_parser = moment, requires = "from")]
    to: Option<i64>,
    /// Ask a running service at this address. Without it the data folder is opened, which no service may be using.
    #[arg(long, value_name = "URL", requires = "admin_key")]
    server: Option<String>,
    /// An admin key of the running service.
    #[arg(long, value_name = "KEY")]
    admin_key: Option<String>,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let count = match (&arguments.server, &arguments.admin_key) {
        (Some(server), Some(key)) => ask(server.trim_end_matches('/'), key, &arguments).await?,
        _ => here(&arguments).await?,
    };
    if count == 0 {
        bail!("there is no such event");
    }
    say(format_args!("{count} events are worked off again\n"));
    Ok(ExitCode::SUCCESS)
}

async fn here(arguments: &Arguments) -> anyhow::Result<i64> {
    let (mut config, _) = Config::load(&arguments.sources.sources())?;
    config.reconcile.events_seconds = 0;
    let app =
        App::start(config).context("for a running service use --server URL --admin-key KEY")?;
    let done = replay(&app, arguments).await;
    // They are worked off before the end, or after the next start.
    let waited = app.engine().wait_for_inbox().await;
    app.stop().await;
    waited?;
    done
}

async fn replay(app: &App, arguments: &Arguments) -> anyhow::Result<i64> {
    let engine = app.engine();
    if let Some(from) = arguments.from {
        let to = arguments.to.unwrap_or_else(|| engine.now().seconds());
        return Ok(engine.replay_span(Span { from, to }).await?);
    }
    let filter = EventFilter {
        id: arguments.event.clone(),
        ..EventFilter::default()
    };
    let request = PageRequest {
        limit: 1,
        cursor: None,
    };
    let events = engine
        .read(move |reader| reader.events(&filter, &request))
        .await?;
    let numbers = events.items.iter().map(|event| event.number).collect();
    Ok(engine.replay(numbers).await?)
}

async fn ask(server: &str, key: &str, arguments: &Arguments) -> anyhow::Result<i64> {
    let time = |seconds: Option<i64>| {
        seconds.map(|seconds| bursar_domain::time::Time::from_seconds(seconds).to_string())
    };
    let body = json!({
        "event_id": arguments.event,
        "from": time(arguments.from),
        "to": time(arguments.to),
    });
    let url = format!("{server}/v1/payment.stripe/events/replay");
    let answer = trigger::post(&url, key, &body).await?;
    answer["replayed"]
        .as_i64()
        .context("the answer holds no number; is this a Bursar of the same version?")
}
