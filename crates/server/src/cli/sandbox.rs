//! `bursar sandbox`, and the sandbox inside `bursar dev`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use bursar_engine::clock::{Clock as _, SystemClock};
use bursar_sandbox::{Sandbox, SandboxConfig};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::credentials::Keepsake;
use super::{say, start_logging};
use crate::app::make_private_folder;
use crate::listener::{self, Bounds};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Listen on this address and port; port 0 picks a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8788")]
    listen: String,
    /// Keep the account, its key and its payments in this folder.
    #[arg(long, value_name = "FOLDER", default_value = "./bursar-sandbox")]
    data: PathBuf,
    /// The API version of the account, for requests and webhook endpoints that name none.
    #[arg(long, value_name = "VERSION", default_value = bursar_sandbox::DEFAULT_VERSION)]
    api_version: String,
    /// Print address and key as one line of JSON, for programs.
    #[arg(long)]
    print_json: bool,
}

/// A sandbox that serves and delivers until it is told to stop.
pub(super) struct Running {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    /// Opens the sandbox of this folder behind a listener.
    pub(super) fn start(
        listener: TcpListener,
        data: &Path,
        secret_key: &str,
    ) -> anyhow::Result<Self> {
        let config = SandboxConfig::new(address_of(listener.local_addr()?), secret_key);
        Self::start_with(listener, data, config)
    }

    fn start_with(
        listener: TcpListener,
        data: &Path,
        mut config: SandboxConfig,
    ) -> anyhow::Result<Self> {
        config.data_file = Some(data.join("sandbox.journal"));
        let sandbox = Sandbox::open(config)?;
        let (stop, stopped) = watch::channel(false);
        let wait = |mut stopped: watch::Receiver<bool>| async move {
            // An error means that whoever could say stop is gone.
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        let serving = listener::serve(
            listener,
            sandbox.router(),
            Bounds::default(),
            wait(stopped.clone()),
        );
        let delivering = async move {
            if let Err(error) = sandbox.run(wait(stopped)).await {
                tracing::error!(%error, "the sandbox cannot deliver events");
            }
        };
        let tasks = vec![tokio::spawn(serving), tokio::spawn(delivering)];
        Ok(Self { stop, tasks })
    }

    pub(super) async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            let _ = task.await;
        }
    }
}

/// The address a browser on this machine uses: one that listens everywhere is reached at the loopback address.
pub(super) fn address_of(mut address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            std::net::Ipv4Addr::LOCALHOST.into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    format!("http://{address}")
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    start_logging("info");
    make_private_folder(&arguments.data)?;
    let kept = Keepsake::open(&arguments.data, SystemClock.now().seconds())?;
    let listener = TcpListener::bind(&arguments.listen)
        .await
        .with_context(|| format!("cannot listen on {}", arguments.listen))?;
    let base = address_of(listener.local_addr()?);
    let mut config = SandboxConfig::new(&base, &kept.stripe_secret_key);
    config.default_version = arguments.api_version;
    let running = Running::start_with(listener, &arguments.data, config)?;
    if arguments.print_json {
        let line = serde_json::json!({ "stripe_api_base": base, "stripe_secret_key": kept.stripe_secret_key });
        say(format_args!("{line}\n"));
    } else {
        say(format_args!("Stripe sandbox on {base}\n"));
        say(format_args!(
            "  API key          {}\n",
            kept.stripe_secret_key
        ));
        say(format_args!("  control page     {base}/sandbox\n"));
    }
    listener::asked_to_stop().await;
    running.stop().await;
    Ok(ExitCode::SUCCESS)
}
