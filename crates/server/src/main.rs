//! The program `bursar`.

use std::process::ExitCode;

fn main() -> ExitCode {
    bursar::cli::run()
}
