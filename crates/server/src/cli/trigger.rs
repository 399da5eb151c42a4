//! `bursar trigger`

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::credentials::Credentials;
use super::{data_folder, say};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The event, such as checkout.session.completed or payment_intent.payment_failed.
    event: String,
    /// Where the sandbox is. Without it: as in credentials.json of the data folder.
    #[arg(long, value_name = "URL", requires = "api_key")]
    api_base: Option<String>,
    /// The sandbox's API key. Without it: as in credentials.json of the data folder.
    #[arg(long, value_name = "KEY", requires = "api_base")]
    api_key: Option<String>,
    /// The data folder of `bursar dev`.
    #[arg(long, value_name = "FOLDER")]
    data: Option<String>,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let (base, key) = match arguments.api_base.zip(arguments.api_key) {
        Some(given) => given,
        None => of_dev(&data_folder(arguments.data))?,
    };
    let base = base.trim_end_matches('/').trim_end_matches("/v1");
    let answer = post(
        &format!("{base}/sandbox/trigger"),
        &key,
        &json!({ "event": arguments.event }),
    )
    .await?;
    let events = answer["events"].as_array().cloned().unwrap_or_default();
    for event in events.iter().filter_map(Value::as_str) {
        say(format_args!("{event}\n"));
    }
    say(format_args!(
        "{} events of {} are on their way to every registered endpoint\n",
        events.len(),
        arguments.event
    ));
    Ok(ExitCode::SUCCESS)
}

/// Address and key of the sandbox that `bursar dev` runs on this data folder.
fn of_dev(data: &Path) -> anyhow::Result<(String, String)> {
    let found = Credentials::read(data)?.with_context(|| {
        format!(
            "no credentials.json in {}: start `bursar dev`, or give --api-base and --api-key",
            data.display()
        )
    })?;
    Ok((found.stripe_api_base, found.stripe_secret_key))
}

/// Posts JSON with a bearer key and gives the answer; an error of the other side becomes one of ours, with its words.
pub(super) async fn post(url: &str, key: &str, body: &Value) -> anyhow::Result<Value> {
    let request = client()?
        .post(url)
        .header("content-type", "application/json")
        .body(body.to_string());
    answer(request.bearer_auth(key), url).await
}

/// Gets JSON with a bearer key.
pub(super) async fn get(url: &str, key: &str) -> anyhow::Result<Value> {
    answer(client()?.get(url).bearer_auth(key), url).await
}

async fn answer(request: reqwest::RequestBuilder, url: &str) -> anyhow::Result<Value> {
    let response = request.send().await.map_err(reqwest::Error::without_url);
    let response = response.with_context(|| format!("{url} cannot be reached; is it running?"))?;
    let status = response.status();
    let text = response.text().await.map_err(reqwest::Error::without_url)?;
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    if !status.is_success() {
        let message = body["error"]["message"]
            .as_str()
            .unwrap_or("no reason given");
        bail!("{url} answered {status}: {message}");
    }
    Ok(body)
}

/// A client for this machine and, over TLS, for others.
pub(super) fn client() -> anyhow::Result<reqwest::Client> {
    // An error means that a provider is installed already, and it is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .timeout(Duration::from_secs(15))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    Ok(builder.build()?)
}
