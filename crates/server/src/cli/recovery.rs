//! `bursar recovery`

use std::process::ExitCode;

use anyhow::Context as _;
use bursar_domain::recovery::{PASSES_NEEDED, Recovery, Step};
use bursar_domain::time::Time;
use serde_json::json;

use super::{database, open, say, trigger};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
    /// The data folder of the service.
    #[arg(long, value_name = "FOLDER", global = true)]
    data: Option<String>,
    /// Ask a running service at this address.
    #[arg(long, value_name = "URL", global = true, requires = "admin_key")]
    server: Option<String>,
    /// An admin key of the running service.
    #[arg(long, value_name = "KEY", global = true)]
    admin_key: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Whether the service is in recovery mode, and why. It may be running.
    Show,
    /// End the mode now: payments are opened and refunds are sent again.
    End,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match (&arguments.action, &arguments.server, &arguments.admin_key) {
        (Action::Show, ..) => show(arguments.data)?,
        (Action::End, Some(server), Some(key)) => {
            let server = server.trim_end_matches('/');
            let url = format!("{server}/v1/payment.stripe/recovery/end");
            trigger::post(&url, key, &json!({})).await?;
            say(format_args!("recovery mode has ended\n"));
        }
        (Action::End, ..) => end(arguments.data).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn show(data: Option<String>) -> anyhow::Result<()> {
    let mut reader = database(data)?
        .reader()
        .context("the database cannot be read")?;
    match reader.recovery()? {
        None => say(format_args!("not in recovery mode\n")),
        Some(recovery) => say(format_args!("{}\n", told(&recovery))),
    }
    Ok(())
}

fn told(recovery: &Recovery) -> String {
    format!(
        "in recovery mode since {}: {}\nwhat was made at Stripe from {} on is looked at again; {} of {PASSES_NEEDED} \
         reconciliations passed",
        recovery.began_at,
        recovery.why,
        Time::from_seconds(recovery.since),
        recovery.passes,
    )
}

async fn end(data: Option<String>) -> anyhow::Result<()> {
    let app = open(data)?;
    let ended = app.engine().step_recovery(Step::End).await;
    app.stop().await;
    ended?;
    say(format_args!("recovery mode has ended\n"));
    Ok(())
}
