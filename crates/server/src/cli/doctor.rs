//! `bursar doctor`: each thing that has to be right, one line for each, and how to fix what is not.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use bursar_stripe::client::Client;
use bursar_stripe::object::{List, WebhookEndpoint};
use bursar_stripe::request;

use super::{SourceArguments, say, trigger};
use bursar_store::Database;

use crate::app::DATABASE;
use crate::config::{Config, Values};
use crate::http::{EVENTS, WEBHOOK_PATH};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    sources: SourceArguments,
    /// Check only what is on this machine; ask neither Stripe nor the public address.
    #[arg(long)]
    offline: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        })
    }
}

/// The lines of the report.
#[derive(Debug, Default)]
struct Report(Vec<(Verdict, &'static str, String)>);

impl Report {
    fn ok(&mut self, what: &'static str, said: impl Into<String>) {
        self.0.push((Verdict::Ok, what, said.into()));
    }

    fn warn(&mut self, what: &'static str, said: impl Into<String>) {
        self.0.push((Verdict::Warn, what, said.into()));
    }

    fn fail(&mut self, what: &'static str, said: impl Into<String>) {
        self.0.push((Verdict::Fail, what, said.into()));
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.0.iter().filter(|(one, ..)| *one == verdict).count()
    }
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut report = Report::default();
    let (values, problems) = Values::read(&arguments.sources.sources());
    match Config::check(&values, problems) {
        Err(problems) => {
            for problem in problems.0 {
                report.fail("configuration", problem);
            }
        }
        Ok(config) => {
            report.ok(
                "configuration",
                "every name is known, every value can be read",
            );
            check_settings(&config, &mut report);
            check_folder(&config.data, &mut report);
            check_database(&config.database, &mut report);
            check_recovery(&config.database, &mut report);
            if arguments.offline {
                report.warn("Stripe, address", "not asked (--offline)");
            } else {
                check_stripe(&config, &mut report).await;
                check_reachable(&config, &mut report).await;
            }
        }
    }
    report.ok(
        "SQLite",
        format!("{}, needs 3.51.3 or newer", bursar_store::sqlite::version()),
    );
    for (verdict, what, said) in &report.0 {
        say(format_args!("{verdict:<5} {what:<17} {said}\n"));
    }
    let (fails, warnings) = (report.count(Verdict::Fail), report.count(Verdict::Warn));
    say(format_args!("\n{fails} to fix, {warnings} to look at\n"));
    Ok(if fails == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn check_settings(config: &Config, report: &mut Report) {
    let live = config.stripe.livemode();
    match &config.base_url {
        None => report.fail(
            "base URL",
            "not set; set BURSAR_BASE_URL to the public address, https://…",
        ),
        Some(base) if base.is_secure() => report.ok("base URL", base.as_str()),
        Some(base) if base.is_loopback() && live != Some(true) => {
            report.warn(
                "base URL",
                format!(
                    "{} is this machine only: fine for trying, Stripe cannot reach it",
                    base.as_str()
                ),
            );
        }
        Some(base) => report.fail(
            "base URL",
            format!("{} is not https; put a TLS proxy in front", base.as_str()),
        ),
    }
    match live {
        None => report.fail(
            "secret key",
            "not set; set STRIPE_SECRET_KEY from https://dashboard.stripe.com/apikeys",
        ),
        Some(true) => report.ok("secret key", "set, live: real money"),
        Some(false) => report.ok("secret key", "set, test mode: no real money"),
    }
    match config.stripe.webhook_secrets.len() {
        0 => report.fail(
            "webhook secret",
            "not set; set STRIPE_WEBHOOK_SECRET to the signing secret Stripe shows with the endpoint",
        ),
        1 => report.ok("webhook secret", "set, well formed"),
        several => report.warn("webhook secret", format!("{several} are accepted; drop the old one when its rotation is over")),
    }
    match &config.jwt {
        Some(jwt) if jwt.issuer.is_none() || jwt.audience.is_none() => report.warn(
            "user tokens",
            "verified, but not bound to issuer and audience; set BURSAR_JWT_ISSUER and BURSAR_JWT_AUDIENCE",
        ),
        Some(_) => report.ok("user tokens", "verified, with issuer and audience"),
        None => report.warn("user tokens", "not configured: users need API keys; see BURSAR_JWT_… in `bursar config --default`"),
    }
}

/// Money and tokens are nobody else's business on this machine.
fn check_folder(data: &Path, report: &mut Report) {
    if !data.exists() {
        report.warn(
            "data folder",
            format!(
                "{} does not exist yet; it is made at the first start",
                data.display()
            ),
        );
        return;
    }
    let mut loose = Vec::new();
    for (path, most) in [
        (data.to_owned(), 0o700),
        (data.join(DATABASE), 0o600),
        (data.join("credentials.json"), 0o600),
    ] {
        if let Some(mode) = mode(&path).filter(|mode| mode & !most != 0) {
            loose.push(format!(
                "chmod {most:o} {} (it is {mode:o})",
                path.display()
            ));
        }
    }
    if loose.is_empty() {
        report.ok(
            "data folder",
            format!("{}, for its owner only", data.display()),
        );
    } else {
        report.fail(
            "data folder",
            format!("others can look into it: {}", loose.join("; ")),
        );
    }
}

/// An old copy that was restored asks Stripe for nothing until it knows what happened since.
fn check_recovery(database: &Database, report: &mut Report) {
    let Ok(mut reader) = database.reader() else {
        return;
    };
    if let Ok(Some(recovery)) = reader.recovery() {
        report.warn(
            "recovery mode",
            format!(
                "{}; {} of 2 reconciliations passed. It ends by itself, or with `bursar recovery end`",
                recovery.why, recovery.passes
            ),
        );
    }
}

/// Whether a server lets us in and takes writes.
fn check_database(database: &Database, report: &mut Report) {
    if database.file().is_some() {
        return;
    }
    match database.reader() {
        Ok(_) => report.ok(
            "database",
            format!("{database} lets us in, and takes writes"),
        ),
        Err(error) => report.fail("database", error.to_string()),
    }
}

#[cfg(unix)]
fn mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    Some(path.metadata().ok()?.permissions().mode() & 0o777)
}

#[cfg(not(unix))]
fn mode(_: &Path) -> Option<u32> {
    None
}

async fn check_stripe(config: &Config, report: &mut Report) {
    let client = match config.stripe.client() {
        Ok(Some(client)) => client,
        Ok(None) => return,
        Err(error) => return report.fail("Stripe", error.to_string()),
    };
    let listed: Result<List<WebhookEndpoint>, _> =
        client.call(&request::list_webhook_endpoints()).await;
    match listed {
        Err(error) => report.fail(
            "Stripe",
            format!(
                "{} does not answer as it should: {error}",
                client.base_url()
            ),
        ),
        Ok(endpoints) => {
            report.ok(
                "Stripe",
                format!(
                    "{} takes the key; requests ask for version {}",
                    client.base_url(),
                    bursar_stripe::VERSION
                ),
            );
            check_endpoint(config, &client, &endpoints.data, report);
        }
    }
}

fn check_endpoint(
    config: &Config,
    client: &Client,
    endpoints: &[WebhookEndpoint],
    report: &mut Report,
) {
    let Some(base) = &config.base_url else { return };
    let url = format!("{}{WEBHOOK_PATH}", base.as_str());
    let ours = endpoints.iter().find(|endpoint| {
        endpoint
            .url
            .as_ref()
            .is_some_and(|one| one.trim_end_matches('/') == url)
    });
    let Some(endpoint) = ours else {
        let place = if client.base_url() == bursar_stripe::client::BASE_URL {
            "https://dashboard.stripe.com/webhooks"
        } else {
            client.base_url()
        };
        return report.fail(
            "webhook endpoint",
            format!(
                "{url} is not registered; add it at {place} for: {}",
                EVENTS.join(", ")
            ),
        );
    };
    let missing: Vec<&str> = EVENTS
        .iter()
        .filter(|event| {
            !endpoint
                .enabled_events
                .iter()
                .any(|enabled| enabled == "*" || enabled == **event)
        })
        .copied()
        .collect();
    let disabled = endpoint
        .status
        .as_ref()
        .is_some_and(|status| status.to_string() == "disabled");
    if disabled {
        report.fail(
            "webhook endpoint",
            format!("{url} is switched off at Stripe; switch it on"),
        );
    } else if !missing.is_empty() {
        report.fail(
            "webhook endpoint",
            format!(
                "{url} does not get: {}; add these events",
                missing.join(", ")
            ),
        );
    } else {
        report.ok(
            "webhook endpoint",
            format!("{url} is registered for every event needed"),
        );
    }
    let mode = config.stripe.livemode();
    if endpoint.livemode.is_some() && endpoint.livemode != mode {
        report.fail("mode", "the endpoint is for the other mode than the secret key; register one for the key's mode");
    } else {
        report.ok("mode", "key and endpoint are for the same mode");
    }
    match &endpoint.api_version {
        Some(version) if version == bursar_stripe::VERSION => report.ok("API version", format!("{version}, as pinned")),
        Some(version) => report.warn(
            "API version",
            format!("the endpoint writes events of {version}, requests ask for {}; register it anew with that version", bursar_stripe::VERSION),
        ),
        None => report.warn(
            "API version",
            format!("the endpoint follows the account's own version; register it with {}", bursar_stripe::VERSION),
        ),
    }
}

/// An unsigned delivery has to come through and be refused by us, not by something in between.
async fn check_reachable(config: &Config, report: &mut Report) {
    let Some(base) = &config.base_url else { return };
    let url = format!("{}{WEBHOOK_PATH}", base.as_str());
    let Ok(client) = trigger::client() else {
        return report.fail("reachability", "no TLS on this machine");
    };
    match client.post(&url).body("{}").send().await {
        Err(_) => report.fail(
            "reachability",
            format!("{url} cannot be reached from here; is the server running, and the proxy?"),
        ),
        Ok(response) => {
            let status = response.status();
            let text = response.text().await.unwrap_or_default();
            if text.contains("\"signature_invalid\"") {
                report.ok(
                    "reachability",
                    format!("{url} answers, and believes only what is signed"),
                );
            } else if text.contains("\"webhook_secret_missing\"") {
                report.fail("reachability", "the running server has no webhook secret; set STRIPE_WEBHOOK_SECRET and restart it");
            } else {
                report.fail(
                    "reachability",
                    format!(
                        "{url} answers {status}, but not as Bursar does; look at the proxy's rules"
                    ),
                );
            }
        }
    }
}
