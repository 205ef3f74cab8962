//! The `gatehost` command.

use std::process::ExitCode;

use gatehost::cli::{self, Cli};

fn main() -> ExitCode {
    cli::run(Cli::from_surroundings())
}
