//! `bursar backup` and `bursar restore`

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use bursar_domain::policy::Policy;
use bursar_domain::recovery::Step;
use bursar_domain::time::Time;
use bursar_engine::clock::SystemClock;
use bursar_engine::{Engine, EngineConfig};
use bursar_store::copy;
use bursar_store::query::Reader;

use super::{data_folder, say};
use crate::app::{DATABASE, make_private_folder};

/// What happened shortly before the copy may not be in it as a whole: a session that was open, a payment under way.
const BEFORE_SECONDS: i64 = 2 * 86_400;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Write the copy to this file, which must not exist.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// The data folder of the service; it may be running.
    #[arg(long, value_name = "FOLDER")]
    data: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct RestoreArguments {
    /// The copy that `bursar backup` wrote.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The data folder; it must hold no database.
    #[arg(long, value_name = "FOLDER")]
    data: Option<String>,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let database = data_folder(arguments.data).join(DATABASE);
    let mut reader = open(&database)?;
    copy::write(&mut reader, &arguments.to)?;
    let mut written = open(&arguments.to)?;
    let newest = Time::from_seconds(written.newest_moment()?);
    say(format_args!(
        "{} holds everything up to {newest}\n",
        arguments.to.display()
    ));
    Ok(ExitCode::SUCCESS)
}

fn open(database: &Path) -> anyhow::Result<Reader> {
    Reader::open_sqlite(database)
        .with_context(|| format!("there is no database at {}", database.display()))
}

pub(super) async fn restore(arguments: RestoreArguments) -> anyhow::Result<ExitCode> {
    // Before anything is written: is this a database of ours at all?
    open(&arguments.from)?.newest_moment().with_context(|| {
        format!(
            "{} is no copy of a database of Bursar's",
            arguments.from.display()
        )
    })?;
    let folder = data_folder(arguments.data);
    make_private_folder(&folder)?;
    let database = folder.join(DATABASE);
    if database.exists() {
        bail!(
            "{} is there already: a copy is restored into an empty folder",
            database.display()
        );
    }
    put(&arguments.from, &database)?;
    let engine = Engine::start(EngineConfig {
        database: database.clone().into(),
        policy: Policy::standard(),
        stripe: None,
        clock: Arc::new(SystemClock),
    })?;
    let begun = begin(&engine).await;
    engine.shutdown().await;
    if begun.is_err() {
        fs::remove_file(&database).ok();
    }
    let since = begun?;
    say(format_args!(
        "{} is restored, and its books are right\n\
         it starts in recovery mode: what was made at Stripe from {since} on is looked at again\n",
        database.display()
    ));
    Ok(ExitCode::SUCCESS)
}

/// The mode first, so that whatever becomes of this program, nothing is asked of Stripe by an old copy.
async fn begin(engine: &Engine) -> anyhow::Result<Time> {
    let newest = engine.read(Reader::newest_moment).await?;
    let since = newest.saturating_sub(BEFORE_SECONDS).max(0);
    let why = format!(
        "a copy that ends at {} was restored",
        Time::from_seconds(newest)
    );
    engine.step_recovery(Step::Begin { since, why }).await?;
    let report = engine.read(bursar_store::audit::run).await?;
    if !report.differences.is_empty() {
        bail!("the books of the copy are not right: look at it with `bursar audit`");
    }
    Ok(Time::from_seconds(since))
}

/// A file only its owner can read, complete before it has its name.
fn put(from: &Path, to: &Path) -> anyhow::Result<()> {
    let unfinished = to.with_extension("restoring");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&unfinished)?;
    std::io::copy(&mut fs::File::open(from)?, &mut file)?;
    file.sync_all()?;
    fs::rename(&unfinished, to)?;
    Ok(())
}
