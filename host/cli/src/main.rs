//! The `dataverse` program.

use std::process::ExitCode;

/// Returns the memory that uploads used to the system, which the system's own allocator hardly does; see
/// docs/benchmarks.md for figures.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    if let Some(exit) = dataverse_node::policies::compiling::serve_if_asked() {
        return exit;
    }
    match dataverse::Cli::read() {
        Ok(cli) => cli.run(),
        Err(exit) => exit,
    }
}
