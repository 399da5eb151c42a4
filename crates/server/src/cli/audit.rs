//! `bursar audit`

use std::process::ExitCode;

use anyhow::Context as _;
use bursar_store::query::Reader;

use super::{data_folder, say};
use crate::app::DATABASE;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The data folder of the service; it may be running.
    #[arg(long, value_name = "FOLDER")]
    data: Option<String>,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let database = data_folder(arguments.data).join(DATABASE);
    let mut reader = Reader::open_sqlite(&database)
        .with_context(|| format!("there is no database to audit at {}", database.display()))?;
    let report = bursar_store::audit::run(&mut reader)?;
    for difference in &report.differences {
        say(format_args!("{difference}\n"));
    }
    let (accounts, postings) = (report.accounts, report.postings);
    if report.differences.is_empty() {
        say(format_args!(
            "the books are right: {accounts} accounts, {postings} postings, every balance as the journal says\n"
        ));
        Ok(ExitCode::SUCCESS)
    } else {
        say(format_args!(
            "differences: {}, in {accounts} accounts and {postings} postings\n",
            report.differences.len()
        ));
        Ok(ExitCode::FAILURE)
    }
}
