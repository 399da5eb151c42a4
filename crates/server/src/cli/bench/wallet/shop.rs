//! The service that is measured: a data folder with an admin key and full wallets, and the process that serves it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::book::Book;
use super::case::{BATCH_CONNECTIONS, Party, USUAL_CONNECTIONS};
use super::client::{Asking, Batching, Granting};
use super::proof::{Proof, acknowledged_is_on_disk};
use super::request::{Form, WALLETS};
use crate::app::make_private_folder;
use crate::cli::bench::child::{self, Server};
use crate::cli::bench::load::{self, Volley};
use crate::cli::bench::size_of_files;

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It is asked to, and tidies up.
    Asked,
    /// As by a power cut.
    Killed,
}

/// A data folder and the process that serves it.
#[derive(Debug)]
pub(super) struct Shop {
    data: PathBuf,
    server: Server,
    /// Its address, its key and what it has acknowledged.
    pub(super) party: Party,
}

impl Shop {
    /// Makes the folder, starts the service and fills the wallets.
    pub(super) async fn open(data: PathBuf, wallets: usize) -> anyhow::Result<Self> {
        make_private_folder(&data)?;
        let admin_key = admin_key(&data)?;
        let server = Server::serve(&data)?;
        let party = Party {
            address: server.address,
            process: server.id(),
            admin_key,
            book: Arc::new(Book::new(wallets)?),
        };
        fill_wallets(&party).await?;
        Ok(Self {
            data,
            server,
            party,
        })
    }

    /// Ends the process and starts another one; how long that took until it answered its first request.
    pub(super) async fn restart(self, end: End) -> anyhow::Result<(Self, Duration)> {
        let Self {
            data,
            server,
            mut party,
        } = self;
        match end {
            End::Asked => server.stop().await?,
            End::Killed => server.kill()?,
        }
        let begun = Instant::now();
        let server = Server::serve(&data)?;
        (party.address, party.process) = (server.address, server.id());
        let form = Form::get(&format!("{WALLETS}?limit=1"), &party.admin_key)?;
        let volley = load::send(party.address, [Asking(Some(form))], None).await?;
        let time = begun.elapsed();
        all_done(&volley, 1, "reading a wallet")?;
        let shop = Self {
            data,
            server,
            party,
        };
        Ok((shop, time))
    }

    /// Kills the process and compares what is on disk with what was acknowledged. Then the folder is removed.
    pub(super) async fn prove(self) -> anyhow::Result<Proof> {
        self.server.kill()?;
        let audit = child::run(&["audit"], &self.data)?;
        let server = Server::serve(&self.data)?;
        let balances =
            acknowledged_is_on_disk(server.address, &self.party.admin_key, &self.party.book)
                .await?;
        server.stop().await?;
        let proof = Proof {
            charges: self.party.book.charges(),
            audit_passed: audit.status.success(),
            audit: String::from_utf8_lossy(&audit.stdout).trim().to_owned(),
            balances,
            file_bytes: size_of_files(&self.data)?,
        };
        std::fs::remove_dir_all(&self.data)?;
        Ok(proof)
    }
}

/// Lets the program make its first admin key, as an operator does.
fn admin_key(data: &Path) -> anyhow::Result<String> {
    let made = child::run(&["key", "create", "--admin", "--label", "bench"], data)?;
    let key = String::from_utf8(made.stdout)?.trim().to_owned();
    if !made.status.success() || key.is_empty() {
        bail!(
            "no admin key was made: {}",
            String::from_utf8_lossy(&made.stderr).trim()
        );
    }
    Ok(key)
}

/// Gives credits to every wallet.
pub(super) async fn fill_wallets(party: &Party) -> anyhow::Result<()> {
    let next = Arc::new(AtomicU64::new(0));
    let clients = (0..USUAL_CONNECTIONS)
        .map(|_| Granting::new(&party.book, &party.admin_key, &next))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let volley = load::send(party.address, clients, None).await?;
    all_done(&volley, party.book.wallets() as u64, "filling the wallets")
}

/// Charges until this many charges are stored.
pub(super) async fn charge_up_to(party: &Party, charges: u64) -> anyhow::Result<()> {
    let missing = charges.saturating_sub(party.book.charges());
    let left = Arc::new(AtomicU64::new(missing));
    let clients = (0..BATCH_CONNECTIONS)
        .map(|_| Batching::new(&party.book, &party.admin_key, Some(Arc::clone(&left))))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let volley = load::send(party.address, clients, None).await?;
    all_done(&volley, missing, "charging")
}

/// Preparations have to succeed entirely: there is nothing to measure otherwise.
fn all_done(volley: &Volley, expected: u64, what: &str) -> anyhow::Result<()> {
    if volley.done == expected && volley.refused == 0 {
        return Ok(());
    }
    let refusal = volley.refusal.as_deref();
    Err(anyhow::anyhow!(
        "{} of {expected} done; the first refusal: {}",
        volley.done,
        refusal.unwrap_or("none")
    ))
    .with_context(|| format!("{what} did not succeed"))
}
