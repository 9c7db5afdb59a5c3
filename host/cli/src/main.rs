//! The `dataverse` program.

use std::process::ExitCode;

/// Gives memory back that uploads have used, which the system's own allocator hardly does: docs/benchmarks.md has
/// the figures.
#[cfg(not(target_env = "msvc"))]
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
