//! `bursar dev`: everything on one machine, ready to try.
//!
//! The sandbox is a server of its own with a base URL of its own, and is set up over HTTP like a real Stripe account. What is
//! in the data folder is enough to go on after any end, also a sudden one.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use bursar_domain::api_key::Role;
use bursar_engine::clock::{Clock as _, SystemClock};
use bursar_stripe::client::Client;
use bursar_stripe::object::{List, Metadata, WebhookEndpoint};
use bursar_stripe::request::{self, WebhookEndpointParams};
use tokio::net::TcpListener;

use super::credentials::{Credentials, Endpoint, Keepsake};
use super::sandbox::{Running, address_of};
use super::{SourceArguments, say, start_logging};
use crate::api_key;
use crate::app::{App, Demo, make_private_folder};
use crate::config::{Config, Values};
use crate::http::{EVENTS, WEBHOOK_PATH, jwt};
use crate::listener;
use crate::secret::Secret;

/// The user whose wallet the page shows.
const USER: &str = "demo";

/// What the sandbox's own list calls our endpoint.
const DESCRIPTION: &str = "bursar dev";

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    sources: SourceArguments,
    /// Where the Stripe sandbox listens. Without it: the port after --listen, or a free one.
    #[arg(long, value_name = "ADDRESS:PORT")]
    sandbox_listen: Option<String>,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let (mut values, problems) = Values::read(&arguments.sources.sources());
    let asked = Config::check(&values, problems)?;
    start_logging(&quiet(&asked.log));
    make_private_folder(&asked.data)?;
    let data = asked.data.clone();
    let mut kept = Keepsake::open(&data, SystemClock.now().seconds())?;

    let listener = bind(&asked.listen, "--listen").await?;
    let address = listener.local_addr()?;
    let sandbox_listener = bind_sandbox(&arguments, address, &kept).await?;
    let sandbox_address = sandbox_listener.local_addr()?;
    let stripe_api_base = address_of(sandbox_address);
    kept.sandbox_port = Some(sandbox_address.port());
    // The folder's lock comes first: a second process must not touch what the first one keeps.
    let sandbox =
        Running::start(sandbox_listener, &data, &kept.stripe_secret_key).with_context(|| {
            format!(
                "another process seems to use the data folder {}",
                data.display()
            )
        })?;
    point_at_sandbox(&mut values, &kept, &stripe_api_base, address);
    let config = Config::check(&values, crate::config::Problems::default())?;
    let webhook_url = format!("{}{WEBHOOK_PATH}", address_of(address));
    let secret = register(&config, &data, &mut kept, webhook_url).await?;
    values.set("stripe.webhook_secret", secret.clone(), ORIGIN.to_owned());
    let config = Config::check(&values, crate::config::Problems::default())?;

    let user_token = jwt::mint(&kept.jwt_secret, USER, kept.token_expires)?;
    let demo = Demo {
        user_id: USER.to_owned(),
        user_token: Secret::new(&user_token),
    };
    let demo = address.ip().is_loopback().then_some(demo);
    let app = App::start_with(config, demo, Arc::new(SystemClock))?;
    let credentials = Credentials {
        base_url: base_url(&app, address),
        admin_key: admin_key(&app, &data).await?,
        user_id: USER.to_owned(),
        user_token,
        guest: "a guest sends no Authorization header; GET /v1/payment/methods is for guests"
            .to_owned(),
        stripe_api_base,
        stripe_secret_key: kept.stripe_secret_key,
        stripe_webhook_secret: secret,
    };
    let serving = tokio::spawn(listener::serve(
        listener,
        app.router(),
        app.config().edge.bounds(),
        {
            let app = app.clone();
            async move {
                listener::asked_to_stop().await;
                app.announce_stop();
            }
        },
    ));
    credentials.write(&data)?;
    say(format_args!("{}", guide(&credentials, &data)));
    serving.await?;
    app.stop().await;
    sandbox.stop().await;
    say(format_args!(
        "Stopped. The same command goes on where this left off.\n"
    ));
    Ok(ExitCode::SUCCESS)
}

/// Where values set by this command come from, for `bursar config` and for messages.
const ORIGIN: &str = "bursar dev";

/// People read this terminal: unless they ask for more, only what needs attention.
fn quiet(filter: &str) -> String {
    if filter == "info" {
        "warn".to_owned()
    } else {
        filter.to_owned()
    }
}

async fn bind(listen: &str, option: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}; choose another port with {option}"))
}

/// The port that was asked for; else the one after the service's, the one of last time, any free one.
async fn bind_sandbox(
    arguments: &Arguments,
    service: SocketAddr,
    kept: &Keepsake,
) -> anyhow::Result<TcpListener> {
    if let Some(listen) = &arguments.sandbox_listen {
        return bind(listen, "--sandbox-listen").await;
    }
    let asked_for_any = arguments
        .sources
        .listen
        .as_deref()
        .is_some_and(|listen| listen.ends_with(":0"));
    let next = service.port().checked_add(1).filter(|_| !asked_for_any);
    for port in [next, kept.sandbox_port].into_iter().flatten() {
        if let Ok(listener) = TcpListener::bind((service.ip(), port)).await {
            return Ok(listener);
        }
    }
    Ok(TcpListener::bind((service.ip(), 0)).await?)
}

/// Replaces what the configuration says about Stripe and tokens: this command never reaches a real account.
fn point_at_sandbox(
    values: &mut Values,
    kept: &Keepsake,
    stripe_api_base: &str,
    address: SocketAddr,
) {
    let mut set = |key, value: &str| values.set(key, value.to_owned(), ORIGIN.to_owned());
    set("stripe.secret_key", &kept.stripe_secret_key);
    set("stripe.api_base_url", stripe_api_base);
    set("jwt.hs256_secret", &kept.jwt_secret);
    for key in [
        "stripe.webhook_secret",
        "jwt.public_key_file",
        "jwt.jwks_file",
        "jwt.issuer",
        "jwt.audience",
    ] {
        values.0.remove(key);
    }
    if values.get("base_url").is_none() {
        values.set("base_url", address_of(address), ORIGIN.to_owned());
    }
}

fn base_url(app: &App, address: SocketAddr) -> String {
    app.config()
        .base_url
        .as_ref()
        .map_or_else(|| address_of(address), |base| base.as_str().to_owned())
}

/// Sees to it that the sandbox delivers to us, and gives the signing secret.
async fn register(
    config: &Config,
    data: &Path,
    kept: &mut Keepsake,
    url: String,
) -> anyhow::Result<String> {
    let Some(client) = config.stripe.client()? else {
        bail!("the sandbox has no key")
    };
    let listed: List<WebhookEndpoint> = client.call(&request::list_webhook_endpoints()).await?;
    let (ours, strays): (Vec<_>, Vec<_>) = listed
        .data
        .into_iter()
        .filter(|endpoint| {
            endpoint
                .metadata
                .get(MARK)
                .is_some_and(|mark| mark == DESCRIPTION)
        })
        .partition(|endpoint| {
            kept.endpoint
                .as_ref()
                .is_some_and(|known| known.id == endpoint.id)
        });
    for stray in strays {
        // Made just before a sudden end: its secret is lost, so its deliveries could not be believed.
        switch_off(&client, &stray).await?;
    }
    let params = WebhookEndpointParams {
        url: Some(url),
        enabled_events: EVENTS.iter().map(ToString::to_string).collect(),
        api_version: Some(bursar_stripe::VERSION.to_owned()),
        description: Some(DESCRIPTION.to_owned()),
        metadata: Metadata([(MARK.to_owned(), DESCRIPTION.to_owned())].into()),
        disabled: None,
    };
    let key = api_key::random_hex()?;
    if let (Some(known), Some(_)) = (&kept.endpoint, ours.first()) {
        client
            .send(&request::update_webhook_endpoint(&known.id, &params, key))
            .await?;
        kept.write(data)?;
        return Ok(known.secret.clone());
    }
    let made: WebhookEndpoint = client
        .call(&request::create_webhook_endpoint(&params, key))
        .await?;
    let secret = made
        .secret
        .context("the sandbox gave no signing secret")?
        .expose()
        .to_owned();
    kept.endpoint = Some(Endpoint {
        id: made.id,
        secret: secret.clone(),
    });
    kept.write(data)?;
    Ok(secret)
}

/// Marks our endpoint among others in the sandbox.
const MARK: &str = "made_by";

async fn switch_off(client: &Client, endpoint: &WebhookEndpoint) -> anyhow::Result<()> {
    let params = WebhookEndpointParams {
        disabled: Some(true),
        ..WebhookEndpointParams::default()
    };
    client
        .send(&request::update_webhook_endpoint(
            &endpoint.id,
            &params,
            api_key::random_hex()?,
        ))
        .await?;
    Ok(())
}

/// The key written down last time, if it still opens; a new one else.
async fn admin_key(app: &App, data: &Path) -> anyhow::Result<String> {
    if let Some(before) = Credentials::read(data).ok().flatten() {
        let hash = api_key::digest(&before.admin_key);
        let found = app
            .engine()
            .read(move |reader| reader.api_key_by_hash(&hash))
            .await?;
        if found.is_some_and(|key| key.role == Role::Admin && key.revoked_at.is_none()) {
            return Ok(before.admin_key);
        }
    }
    let (secret, _) = api_key::issue(app.engine(), Role::Admin, "bursar dev".to_owned()).await?;
    Ok(secret)
}

/// What to open and what to try. Each line works as it stands, pasted into a shell.
fn guide(credentials: &Credentials, data: &Path) -> String {
    let Credentials {
        base_url,
        admin_key,
        user_token,
        stripe_api_base,
        stripe_secret_key,
        ..
    } = credentials;
    let file = data.join(Credentials::FILE);
    let file = file.display();
    let program = std::env::current_exe().unwrap_or_else(|_| "bursar".into());
    let json = "-H 'Content-Type: application/json'";
    let user = format!("-H 'Authorization: Bearer {user_token}'");
    let admin = format!("-H 'Authorization: Bearer {admin_key}'");
    let stripe = format!("-H 'Authorization: Bearer {stripe_secret_key}'");
    let pick = |name: &str| format!("sed -n 's/.*\"{name}\":\"\\([^\"]*\\)\".*/\\1/p'");
    let (topup, session) = (pick("topup_id"), pick("stripe_checkout_session_id"));
    format!(
        "Bursar is running.

  Open   {base_url}/                 buy credits as the user {USER}; pay with card 4242 4242 4242 4242
         {stripe_api_base}/sandbox          the Stripe sandbox: its clock, deliveries, faults
  Keys   {file}

Try, line by line:

# 1. How can one pay?
curl -s {base_url}/v1/payment/methods

# 2. What is in the wallet?
curl -s {base_url}/v1/balance/me {user}

# 3. Wish for 500 credits
TOPUP=$(curl -s {base_url}/v1/balance/topups/create {user} {json} -d '{{\"amount\":500,\"note\":\"recharge\"}}' | {topup}); echo $TOPUP

# 4. Open the checkout; `checkout_url` is the page to pay on
SESSION=$(curl -s {base_url}/v1/payment.stripe/checkout/create {user} {json} -d \"{{\\\"topup_id\\\":\\\"$TOPUP\\\"}}\" | {session}); echo $SESSION

# 5. Pay, as a customer with card 4242 4242 4242 4242 does on that page
curl -s {stripe_api_base}/v1/payment_pages/$SESSION/confirm {stripe} -d payment_method=pm_card_visa -d expected_amount=500 > /dev/null; sleep 1

# 6. The credits are there
curl -s {base_url}/v1/balance/me {user}

# 7. What Stripe sent, and what became of it
curl -s {base_url}/v1/payment.stripe/events {admin}

# 8. Any event of Stripe's, from another terminal
{program} trigger checkout.session.completed --data {data}

Ctrl-C stops.
",
        data = data.display(),
        program = program.display(),
    )
}
