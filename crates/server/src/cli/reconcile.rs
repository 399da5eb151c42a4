//! `bursar reconcile`

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bursar_engine::reconcile::Options;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::{SourceArguments, say, start_logging, trigger};
use crate::app::App;
use crate::config::Config;

/// It could not be found out whether Stripe and the books agree.
const UNKNOWN: u8 = 2;

/// How often a running service is asked whether it is done.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    sources: SourceArguments,
    /// What was made at Stripe from this day or moment on (UTC); 35 days ago without it.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<i64>,
    /// What was made until then (UTC); two minutes ago without it.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to: Option<i64>,
    /// Repair what can be repaired without a person. Transactions are added, nothing is changed.
    #[arg(long)]
    repair: bool,
    /// At most so many repairs.
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    max_count: u64,
    /// At most so much money in all repairs, in minor units of each currency.
    #[arg(long, value_name = "AMOUNT")]
    max_amount: Option<i64>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// Ask a running service at this address. Without it the data folder is opened, which no service may be using.
    #[arg(long, value_name = "URL", requires = "admin_key")]
    server: Option<String>,
    /// An admin key of the running service.
    #[arg(long, value_name = "KEY")]
    admin_key: Option<String>,
}

/// `2026-11-26`, `2026-11-26T08:15:00Z`, as seconds since 1970.
pub(super) fn moment(text: &str) -> Result<i64, String> {
    // A time without its zone reads as its day; it is more likely to be meant as something else.
    let is_day = !text.contains('T');
    if is_day && let Ok(date) = text.parse::<Date>() {
        let midnight = date.to_zoned(TimeZone::UTC);
        return midnight
            .map(|zoned| zoned.timestamp().as_second())
            .map_err(|error| error.to_string());
    }
    let parsed = text.parse::<Timestamp>();
    parsed.map(Timestamp::as_second).map_err(|_| {
        "must be a day or a moment, such as 2026-11-26 or 2026-11-26T08:15:00Z".to_owned()
    })
}

pub(super) async fn run(arguments: Arguments) -> ExitCode {
    let outcome = match (&arguments.server, &arguments.admin_key) {
        (Some(server), Some(key)) => ask(server.trim_end_matches('/'), key, &arguments).await,
        _ => here(&arguments).await,
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bursar: {}", super::told(&error));
            ExitCode::from(UNKNOWN)
        }
    }
}

/// On the data folder of a service that is not running; whether Stripe and the books agree.
async fn here(arguments: &Arguments) -> anyhow::Result<bool> {
    let (mut config, _) = Config::load(&arguments.sources.sources())?;
    if config.stripe.secret_key.is_none() {
        bail!(
            "Stripe is not configured: set STRIPE_SECRET_KEY, or ask a running service with --server URL --admin-key KEY"
        );
    }
    start_logging(&config.log);
    // This run, and no other one beside it.
    config.reconcile.events_seconds = 0;
    let app =
        App::start(config).context("for a running service use --server URL --admin-key KEY")?;
    let mut options = Options::until(app.engine().now().seconds());
    options.span.from = arguments.from.unwrap_or(options.span.from);
    options.span.to = arguments.to.unwrap_or(options.span.to);
    options.repair = arguments.repair;
    options.count_max = arguments.max_count;
    options.amount_max = arguments.max_amount;
    let outcome = app.engine().reconcile(&options).await;
    app.stop().await;
    let report = outcome?;
    if arguments.json {
        say(format_args!("{}\n", serde_json::to_string_pretty(&report)?));
    } else {
        say(format_args!("{report}"));
    }
    Ok(report.agrees())
}

/// By a running service.
async fn ask(server: &str, key: &str, arguments: &Arguments) -> anyhow::Result<bool> {
    let url = format!("{server}/v1/payment.stripe/reconcile");
    let time = |seconds: Option<i64>| {
        seconds.map(|seconds| bursar_domain::time::Time::from_seconds(seconds).to_string())
    };
    let body = json!({
        "from": time(arguments.from),
        "to": time(arguments.to),
        "repair": arguments.repair,
        "max_count": arguments.max_count,
        "max_amount": arguments.max_amount,
    });
    trigger::post(&url, key, &body).await?;
    let answer = loop {
        tokio::time::sleep(PAUSE).await;
        let answer = trigger::get(&url, key).await?;
        if answer["status"] != "running" {
            break answer;
        }
    };
    if answer["status"] != "done" {
        bail!(
            "{}",
            answer["reason"]
                .as_str()
                .unwrap_or("the service was restarted in the meantime")
        );
    }
    if arguments.json {
        say(format_args!(
            "{}\n",
            serde_json::to_string_pretty(&answer["report"])?
        ));
    } else {
        say(format_args!(
            "{}",
            answer["text"].as_str().unwrap_or_default()
        ));
    }
    Ok(answer["agrees"] == Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use super::moment;

    #[test]
    fn a_moment_is_a_day_or_a_time() {
        assert_eq!(moment("2026-11-26"), Ok(1_795_651_200));
        assert_eq!(moment("2026-11-26T01:00:00Z"), Ok(1_795_654_800));
        for text in ["", "yesterday", "2026-13-01", "2026-11-26T01:00:00"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}
