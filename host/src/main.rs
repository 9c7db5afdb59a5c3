//! The `dataverse` program.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    dataverse::cli::Cli::parse().run()
}
