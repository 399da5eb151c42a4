//! `bursar audit`

use std::process::ExitCode;

use anyhow::Context as _;
use bursar_store::query::Reader;

use super::data_folder;
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
        println!("{difference}");
    }
    let (accounts, postings) = (report.accounts, report.postings);
    if report.differences.is_empty() {
        println!(
            "the books are right: {accounts} accounts, {postings} postings, every balance as the journal says"
        );
        Ok(ExitCode::SUCCESS)
    } else {
        println!(
            "differences: {}, in {accounts} accounts and {postings} postings",
            report.differences.len()
        );
        Ok(ExitCode::FAILURE)
    }
}
