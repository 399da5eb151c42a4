//! The program `bursar`.

use std::process::ExitCode;

/// The system's allocator took a tenth of the time of an event, most of it for bodies of a few kilobytes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    bursar::cli::run()
}
