//! `lab`: compares policies on simulated networks and recorded traces. No node is needed.

mod chosen;
mod new;
mod output;
mod placement;
mod run;
mod run_progress;
mod search;
mod steps;
mod trace;

use clap::Subcommand;
use dataverse_lab::library::{BuiltIn, PolicyLibrary};
use dataverse_sandbox::{Sandbox, SandboxOptions};

use super::failure::Failure;
use super::screen::Screen;
use crate::limits::EXPERIMENT_JOBS_MAX;

/// Compare policies on simulated networks and recorded traces
#[derive(Debug, clap::Args)]
pub(super) struct Lab {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    New(new::New),
    Run(run::Run),
    Placement(placement::Placement),
    Trace(Box<trace::Trace>),
    Search(search::Search),
}

impl Lab {
    pub(super) fn wants_json(&self) -> bool {
        match &self.command {
            Command::New(_) => false,
            Command::Run(command) => command.json,
            Command::Placement(command) => command.json,
            Command::Trace(command) => command.json,
            Command::Search(command) => command.json,
        }
    }

    pub(super) async fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        match self.command {
            Command::New(command) => command.run(screen),
            Command::Run(command) => command.run(screen).await,
            Command::Placement(command) => command.run(screen),
            Command::Trace(command) => command.run(screen),
            Command::Search(command) => command.run(screen),
        }
    }
}

/// Parses a number of threads.
fn jobs(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|jobs| (1..=EXPERIMENT_JOBS_MAX).contains(jobs))
        .ok_or_else(|| format!("expected 1 to {EXPERIMENT_JOBS_MAX}"))
}

/// The policies that come with the program, and policy files.
fn policy_library() -> Result<PolicyLibrary, Failure> {
    let sandbox = Sandbox::new(SandboxOptions::default()).map_err(Failure::refused)?;
    let built_in = dataverse_builtin::all().into_iter().map(|it| BuiltIn {
        kind: it.kind,
        name: it.name,
        wasm: it.wasm,
    });
    Ok(PolicyLibrary::new(sandbox, built_in.collect()))
}
