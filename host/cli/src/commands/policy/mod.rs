//! `policy`: shows which policies decide on a node, and changes them while it runs.
//!
//! `check`, `new` and `build` work on files and need no node; the other commands ask one.

mod build;
mod change;
mod check;
mod everywhere;
mod install;
mod list;
mod new;
mod promote;
mod remove;
mod rollback;
mod shared;
mod r#use;

use clap::Subcommand;
use dataverse_core::policy::Kind;

use super::failure::Failure;
use super::screen::Screen;

/// List, write and change policies
#[derive(Debug, clap::Args)]
pub(super) struct Policy {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::List),
    Check(check::Check),
    Install(install::Install),
    Remove(remove::Remove),
    Use(r#use::Use),
    Promote(promote::Promote),
    Rollback(rollback::Rollback),
    New(new::New),
    Build(build::Build),
}

impl Policy {
    pub(super) fn wants_json(&self) -> bool {
        match &self.command {
            Command::List(command) => command.asking.json,
            Command::Check(command) => command.json,
            Command::Install(command) => command.reach.asking.json,
            Command::Remove(command) => command.asking.json,
            Command::Use(command) => command.reach.asking.json,
            Command::Promote(command) => command.reach.asking.json,
            Command::Rollback(command) => command.reach.asking.json,
            Command::New(_) | Command::Build(_) => false,
        }
    }

    pub(super) async fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        match self.command {
            Command::List(command) => command.run(screen).await,
            Command::Check(command) => command.run(screen),
            Command::Install(command) => command.run(screen).await,
            Command::Remove(command) => command.run(screen).await,
            Command::Use(command) => command.run(screen).await,
            Command::Promote(command) => command.run(screen).await,
            Command::Rollback(command) => command.run(screen).await,
            Command::New(command) => command.run(screen),
            Command::Build(command) => command.run(screen),
        }
    }
}

/// Parses a kind.
fn kind_of(word: &str) -> Result<Kind, dataverse_core::policy::UnknownKind> {
    word.parse()
}

/// Parses a configuration.
fn config_of(text: &str) -> Result<serde_json::Value, String> {
    let config: serde_json::Value =
        serde_json::from_str(text).map_err(|error| error.to_string())?;
    if config.is_object() {
        return Ok(config);
    }
    Err("a configuration must be a JSON object such as '{\"depth\": 2}'".to_owned())
}

/// The beginning of a digest, enough to tell files apart.
fn prefix(digest: &str) -> String {
    const SHOWN_DIGITS: usize = 12;
    match digest {
        "" => "-".to_owned(),
        digest => digest.chars().take(SHOWN_DIGITS).collect(),
    }
}
