//! The `dataverse` program.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    if let Some(exit) = dataverse::policies::compiling::serve_if_asked() {
        return exit;
    }
    dataverse::cli::Cli::parse().run()
}
