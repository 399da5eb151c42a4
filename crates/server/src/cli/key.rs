//! `bursar key`

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use bursar_domain::api_key::{ApiKey, Role};
use bursar_domain::command::Command;
use bursar_domain::id::{ApiKeyId, UserId};
use bursar_store::query::PageRequest;
use serde_json::{Value, json};

use super::{open, say, trigger};
use crate::api_key;
use crate::app::App;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
    /// The data folder of a service that is not running.
    #[arg(long, value_name = "FOLDER", global = true)]
    data: Option<String>,
    /// Ask a running service at this address instead.
    #[arg(long, value_name = "URL", global = true, requires = "admin_key")]
    server: Option<String>,
    /// An admin key of the running service.
    #[arg(long, value_name = "KEY", global = true)]
    admin_key: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make a key. It is shown once.
    Create {
        /// A key for administrators.
        #[arg(long, conflicts_with = "user", required_unless_present = "user")]
        admin: bool,
        /// A key for this user.
        #[arg(long, value_name = "USER_ID")]
        user: Option<String>,
        /// What to call it.
        #[arg(long, default_value = "")]
        label: String,
    },
    /// List all keys, without their secrets.
    List,
    /// Revoke a key by its id, at once and for good.
    Revoke {
        /// The id, key_….
        id: String,
    },
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    if let (Some(server), Some(key)) = (&arguments.server, &arguments.admin_key) {
        ask(server.trim_end_matches('/'), key, &arguments.action).await?;
    } else {
        let app = open(arguments.data.clone())?;
        let done = act(&app, &arguments.action).await;
        app.stop().await;
        done?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn act(app: &App, action: &Action) -> anyhow::Result<()> {
    match action {
        Action::Create { user, label, .. } => {
            let role = match user {
                None => Role::Admin,
                Some(user) => Role::User(UserId::parse(user).context("that is no user id")?),
            };
            let (secret, key) = api_key::issue(app.engine(), role, label.clone()).await?;
            show_new(key.id.as_str(), &secret);
        }
        Action::List => {
            let request = PageRequest {
                limit: 1000,
                cursor: None,
            };
            let keys = app
                .engine()
                .read(move |reader| reader.api_keys(&request))
                .await?;
            keys.items.iter().for_each(show);
        }
        Action::Revoke { id } => {
            let id = ApiKeyId::parse(id).context("that is no id of a key: they look like key_…")?;
            app.engine().submit(Command::RevokeKey(id)).await?;
            say(format_args!("revoked\n"));
        }
    }
    Ok(())
}

fn show_new(id: &str, secret: &str) {
    say(format_args!("{secret}\n"));
    eprintln!("bursar: this is key {id}; it is not shown again");
}

fn show(key: &ApiKey) {
    let whom = match &key.role {
        Role::Admin => "admin".to_owned(),
        Role::User(user) => format!("user {user}"),
    };
    let state = key
        .revoked_at
        .map_or("valid".to_owned(), |at| format!("revoked {at}"));
    say(format_args!(
        "{}  …{}  {whom}  {state}  made {}  {}\n",
        key.id, key.hint, key.created_at, key.label
    ));
}

/// The same over HTTP.
async fn ask(server: &str, admin_key: &str, action: &Action) -> anyhow::Result<()> {
    match action {
        Action::Create { user, label, .. } => {
            let body = match user {
                None => json!({ "role": "admin", "label": label }),
                Some(user) => json!({ "role": "user", "user_id": user, "label": label }),
            };
            let made = trigger::post(&format!("{server}/v1/keys/create"), admin_key, &body).await?;
            let (Some(id), Some(secret)) = (made["api_key_id"].as_str(), made["api_key"].as_str())
            else {
                bail!("the answer holds no key; is this a Bursar of the same version?");
            };
            show_new(id, secret);
        }
        Action::List => list(server, admin_key).await?,
        Action::Revoke { id } => {
            trigger::post(
                &format!("{server}/v1/keys/revoke"),
                admin_key,
                &json!({ "api_key_id": id }),
            )
            .await?;
            say(format_args!("revoked\n"));
        }
    }
    Ok(())
}

async fn list(server: &str, admin_key: &str) -> anyhow::Result<()> {
    let mut cursor = String::new();
    loop {
        let page = trigger::get(&format!("{server}/v1/keys?limit=100{cursor}"), admin_key).await?;
        let text = |key: &Value, name: &str| key[name].as_str().unwrap_or("-").to_owned();
        for key in page["items"].as_array().into_iter().flatten() {
            let columns = [
                "api_key_id",
                "hint",
                "role",
                "user_id",
                "revoked_at",
                "created_at",
                "label",
            ];
            say(format_args!(
                "{}\n",
                columns.map(|name| text(key, name)).join("  ")
            ));
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(()),
        }
    }
}
