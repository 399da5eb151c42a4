//! `bursar config`

use std::process::ExitCode;

use super::{SourceArguments, say};
use crate::config::{self, Config, DEFAULTS, Values};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    sources: SourceArguments,
    /// Print the commented file of all settings with their defaults, to start a bursar.toml from.
    #[arg(long)]
    default: bool,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    if arguments.default {
        say(format_args!("{DEFAULTS}"));
        return ExitCode::SUCCESS;
    }
    let (values, problems) = Values::read(&arguments.sources.sources());
    say(format_args!("{}", config::table(&values)));
    match Config::check(&values, problems) {
        Ok(_) => ExitCode::SUCCESS,
        Err(problems) => {
            eprintln!("bursar: {problems}");
            ExitCode::FAILURE
        }
    }
}
