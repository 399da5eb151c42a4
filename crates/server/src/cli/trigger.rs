//! `bursar trigger`

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::credentials::Credentials;
use super::{data_folder, say};
use crate::http::EVENTS;

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
    let given = arguments.api_base.zip(arguments.api_key);
    let (base, key, dev) = if let Some((base, key)) = given {
        (base, key, None)
    } else {
        let dev = of_dev(&data_folder(arguments.data))?;
        let (base, key) = (dev.stripe_api_base.clone(), dev.stripe_secret_key.clone());
        (base, key, Some(dev))
    };
    let base = base.trim_end_matches('/').trim_end_matches("/v1");
    let answer = post(
        &format!("{base}/sandbox/trigger"),
        &key,
        &json!({ "event": arguments.event }),
    )
    .await?;
    let ids = answer["events"].as_array().cloned().unwrap_or_default();
    let mut events = Vec::with_capacity(ids.len());
    for id in ids.iter().filter_map(Value::as_str) {
        let event = get(&format!("{base}/v1/events/{id}"), &key).await?;
        let kind = event["type"].as_str().unwrap_or_default().to_owned();
        say(format_args!("{id} {kind}\n"));
        events.push((id.to_owned(), kind));
    }
    say(format_args!(
        "{} events of {} are on their way to every registered endpoint\n",
        events.len(),
        arguments.event
    ));
    if let Some(dev) = dev {
        tell_what_became(&dev, &events).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Says of each event that `bursar dev` takes what became of it there; waits for that a moment.
async fn tell_what_became(dev: &Credentials, events: &[(String, String)]) -> anyhow::Result<()> {
    let taken = |(_, kind): &&(String, String)| EVENTS.contains(&kind.as_str());
    let mut waiting: Vec<&str> = events.iter().filter(taken).map(|(id, _)| &**id).collect();
    for _ in 0..PATIENCE {
        let mut left = Vec::with_capacity(waiting.len());
        for id in waiting {
            let url = format!("{}/v1/payment.stripe/events?event_id={id}", dev.base_url);
            let found = &get(&url, &dev.admin_key).await?["items"][0];
            match found["status"].as_str() {
                None | Some("pending") => left.push(id),
                Some(status) => {
                    let kind = found["type"].as_str().unwrap_or_default();
                    let reason = found["reason"].as_str().map(|reason| format!(": {reason}"));
                    let reason = reason.unwrap_or_default();
                    say(format_args!("{kind} was {status} here{reason}\n"));
                }
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        waiting = left;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    say(format_args!(
        "{} have not arrived here yet\n",
        waiting.join(", ")
    ));
    Ok(())
}

/// How often it is looked whether an event has arrived, ten times a second.
const PATIENCE: u32 = 50;

/// Address and key of the sandbox that `bursar dev` runs on this data folder.
fn of_dev(data: &Path) -> anyhow::Result<Credentials> {
    Credentials::read(data)?.with_context(|| {
        format!(
            "no credentials.json in {}: start `bursar dev`, or give --api-base and --api-key",
            data.display()
        )
    })
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
