//! `bursar serve`

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use bursar_domain::api_key::Role;
use bursar_store::query::PageRequest;
use tokio::net::TcpListener;

use super::{SourceArguments, start_logging};
use crate::app::App;
use crate::config::Config;
use crate::http::WEBHOOK_PATH;
use crate::listener::{self, Bounds};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    sources: SourceArguments,
    /// Start without Stripe: balances work, buying is switched off.
    #[arg(long)]
    without_payments: bool,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let (config, _) = Config::load(&arguments.sources.sources())?;
    let missing = missing(&config, arguments.without_payments);
    if !missing.is_empty() {
        let list = missing.join("\n  - ");
        bail!(
            "cannot start, this is missing:\n  - {list}\n\
             `bursar config` shows what is set and where; `bursar doctor` checks everything; `bursar dev` needs nothing"
        );
    }
    start_logging(&config.log);
    let (listen, mut bounds) = (config.listen.clone(), config.edge.bounds());
    fit_to_files(&mut bounds);
    let app = App::start(config)?;
    let listener = TcpListener::bind(&listen)
        .await
        .with_context(|| format!("cannot listen on {listen}"))?;
    let address = listener.local_addr()?;
    warn_without_admin(&app).await?;
    eprintln!("bursar: serving on http://{address}");
    let stopping = app.clone();
    let stop = async move {
        listener::asked_to_stop().await;
        stopping.announce_stop();
    };
    listener::serve(listener, app.router(), bounds, stop).await;
    app.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// Files that are not connections: the database, its readers, calls to Stripe.
const OTHER_FILES: u32 = 128;

/// A connection is an open file. Where the system allows fewer, the last ones would take those of the database.
fn fit_to_files(bounds: &mut Bounds) {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let Some(most) = open_files(&limits).map(|files| files.saturating_sub(OTHER_FILES).max(16))
    else {
        return;
    };
    if bounds.connections_max > most {
        eprintln!(
            "bursar: at most {most} connections are taken, not {}: the system allows no more open files; raise the limit \
             (LimitNOFILE= in a unit of systemd, ulimit -n in a shell)",
            bounds.connections_max
        );
        bounds.connections_max = most;
    }
}

/// How many files this process may have open, if Linux says so and there is a bound.
fn open_files(limits: &str) -> Option<u32> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Without a base URL a checkout still knows its return address if both are set, or if the origins that may be asked for are
/// listed.
fn knows_where_to_return(config: &Config) -> bool {
    let stripe = &config.stripe;
    (stripe.success_url.is_some() && stripe.cancel_url.is_some())
        || !config.allowed_origins.is_empty()
}

/// Everything that keeps the service from its work, each with the way to set it.
fn missing(config: &Config, without_payments: bool) -> Vec<String> {
    let mut missing = Vec::new();
    let stripe = &config.stripe;
    match &config.base_url {
        None if knows_where_to_return(config) => {}
        None => missing.push(
            "the public address of this server: BURSAR_BASE_URL=https://billing.example.com (or base_url in bursar.toml)"
                .to_owned(),
        ),
        Some(base) if stripe.livemode() == Some(true) && !base.is_secure() && !base.is_loopback() => missing.push(
            format!("https: a live key is set, but BURSAR_BASE_URL is {}; put a TLS proxy in front", base.as_str()),
        ),
        Some(_) => {}
    }
    if without_payments {
        return missing;
    }
    if stripe.secret_key.is_none() {
        missing.push(
            "Stripe's API key: STRIPE_SECRET_KEY=sk_… from https://dashboard.stripe.com/apikeys (or STRIPE_SECRET_KEY_FILE)"
                .to_owned(),
        );
    }
    if stripe.webhook_secrets.is_empty() {
        let base = config
            .base_url
            .as_ref()
            .map_or("https://your.address", |base| base.as_str());
        missing.push(format!(
            "the signing secret of the webhook endpoint: STRIPE_WEBHOOK_SECRET=whsec_…; register {base}{WEBHOOK_PATH} at \
             https://dashboard.stripe.com/webhooks, which shows it"
        ));
    }
    missing
}

async fn warn_without_admin(app: &App) -> anyhow::Result<()> {
    let request = PageRequest {
        limit: 100,
        cursor: None,
    };
    let keys = app
        .engine()
        .read(move |reader| reader.api_keys(&request))
        .await?;
    let has_admin = keys
        .items
        .iter()
        .any(|key| key.role == Role::Admin && key.revoked_at.is_none());
    if !has_admin && keys.next.is_none() {
        eprintln!(
            "bursar: there is no admin key yet; stop the server and run: bursar key create --admin"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn wants_an_address(pairs: &[(&str, &str)]) -> bool {
        let sources = Sources::of_environment(pairs.iter().copied());
        let config = Config::load(&sources).unwrap().0;
        missing(&config, true)
            .iter()
            .any(|line| line.contains("BURSAR_BASE_URL"))
    }

    #[test]
    fn the_bound_on_open_files_is_read() {
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 524288               files \n";
        assert_eq!(open_files(limits), Some(1024));
        assert_eq!(
            open_files("Max open files            unlimited            unlimited            files"),
            None
        );
        assert_eq!(open_files(""), None);
    }

    #[test]
    fn starts_only_when_it_knows_where_customers_return_to() {
        let success = ("STRIPE_SUCCESS_URL", "https://app.example.com/thanks");
        let cancel = ("STRIPE_CANCEL_URL", "https://app.example.com/cart");
        assert!(wants_an_address(&[]));
        assert!(wants_an_address(&[success]));
        assert!(!wants_an_address(&[success, cancel]));
        assert!(!wants_an_address(&[(
            "BURSAR_BASE_URL",
            "https://pay.example.com"
        )]));
        assert!(!wants_an_address(&[(
            "BURSAR_ALLOWED_ORIGINS",
            "https://app.example.com"
        )]));
    }
}
