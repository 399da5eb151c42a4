//! `bursar copy`

use std::process::ExitCode;

use anyhow::Context as _;
use bursar_store::{Database, transfer};

use super::say;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Where the books are: sqlite://PATH. Nobody may be using the file; it stays as it is.
    #[arg(long, value_name = "URL")]
    from: String,
    /// Where they go: postgres://…, a database without books.
    #[arg(long, value_name = "URL")]
    to: String,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let from = Database::parse(&arguments.from).context("--from")?;
    let to = Database::parse(&arguments.to).context("--to")?;
    let moved = transfer::run(&from, &to)?;
    say(format_args!(
        "{} rows are at {to} now\nbooks   {}\njournal {}\nboth digests are the same on both sides\n",
        moved.rows, moved.books, moved.journal
    ));
    Ok(ExitCode::SUCCESS)
}
