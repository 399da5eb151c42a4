//! `bursar bench`: how fast events are taken in, credits are spent and a year is reconciled, with everything on as in production.
//!
//! Server, load and disk share this machine. A second server, whose handler does nothing, is driven in turns with the real
//! one by the same load: it says what the machine and the HTTP stack give at most.

mod child;
mod figures;
mod load;
mod machine;
mod nothing;
mod postgres;
mod reconcile;
mod wallet;
mod webhooks;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde::Serialize;

use crate::app::make_private_folder;
use crate::listener;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Send signed events to a server of its own, and report events per second, latencies, and what is on disk.
    Webhooks(webhooks::Arguments),
    /// Spend credits at a server of its own, and report charges per second, latencies, and whether the books are right.
    Wallet(wallet::Arguments),
    /// Compare a year of payments at a sandbox with the books, and report how long it takes, with how many calls and how much memory.
    Reconcile(reconcile::Arguments),
    /// The part of that which is measured, in a process of its own.
    #[command(hide = true)]
    ReconcileOnly(reconcile::OnlyArguments),
    /// Spend credits on a SQLite file and on a PostgreSQL server with one and two nodes, next to a row lock for each request.
    Postgres(postgres::Arguments),
    /// Serve the handler that does nothing.
    #[command(hide = true)]
    Nothing,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.what {
        What::Webhooks(webhooks) => on_one_thread(webhooks::run(&webhooks)),
        What::Wallet(wallet) => on_one_thread(wallet::run(&wallet)),
        What::Reconcile(year) => on_threads(reconcile::run(&year)),
        What::ReconcileOnly(only) => on_threads(reconcile::only(&only)),
        What::Postgres(postgres) => on_one_thread(postgres::run(&postgres)),
        What::Nothing => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()?;
            runtime.block_on(nothing::serve())
        }
    }
}

/// One thread for the load: it gets by with that, and the server keeps the other cores.
fn on_one_thread(
    bench: impl Future<Output = anyhow::Result<ExitCode>>,
) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        tokio::select! {
            code = bench => code,
            () = listener::asked_to_stop() => bail!("stopped"),
        }
    })
}

fn on_threads(bench: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        tokio::select! {
            code = bench => code,
            () = listener::asked_to_stop() => bail!("stopped"),
        }
    })
}

fn warn_of_debug_build(what: &str) {
    if cfg!(debug_assertions) {
        eprintln!(
            "bursar: this is a debug build; the figures mean nothing (cargo run --release -- bench {what})"
        );
    }
}

/// Writes all figures to a file, if one was named.
fn write_json(file: Option<&Path>, report: &impl Serialize) -> anyhow::Result<()> {
    let Some(file) = file else {
        return Ok(());
    };
    std::fs::write(file, serde_json::to_string_pretty(report)?)
        .with_context(|| format!("{} cannot be written", file.display()))
}

fn size_of_files(folder: &Path) -> std::io::Result<u64> {
    std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.metadata()?.len()))
        .sum()
}

/// A folder that is gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn make(parent: Option<&Path>) -> anyhow::Result<Self> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
        let path =
            std::path::absolute(parent)?.join(format!("bursar-bench-{}", std::process::id()));
        make_private_folder(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
