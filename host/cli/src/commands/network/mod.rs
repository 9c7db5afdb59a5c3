//! `network`: makes the authority of a network, invites machines, and revokes nodes.
//!
//! These commands work on the folder of the authority and need no node. A node that runs with `--authority` takes up
//! within a second what they change.

mod create;
mod invite;
mod nodes;
mod revoke;
mod rotate;

use std::path::PathBuf;

use clap::Subcommand;
use dataverse_identity::authority_folder::AuthorityFolder;

use super::failure::Failure;
use super::screen::Screen;
use crate::config;

/// Create a network of several machines, invite machines and revoke nodes
#[derive(Debug, clap::Args)]
pub(super) struct Network {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(create::Create),
    Invite(invite::Invite),
    Nodes(nodes::Nodes),
    Revoke(revoke::Revoke),
    Rotate(rotate::Rotate),
}

/// Where the authority's key is.
#[derive(Debug, clap::Args)]
struct Place {
    /// The folder of the authority [env: DATAVERSE_AUTHORITY] [default: dataverse-authority next to the user's data folder]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Place {
    fn path(&self) -> Result<PathBuf, Failure> {
        let named = self.dir.clone();
        let named = named.or_else(|| super::variable("DATAVERSE_AUTHORITY").map(PathBuf::from));
        Ok(match named {
            Some(path) => path,
            None => config::authority_folder(&super::node::environment()?),
        })
    }

    fn authority(&self) -> Result<AuthorityFolder, Failure> {
        AuthorityFolder::open(&self.path()?).map_err(Failure::refused)
    }
}

impl Network {
    pub(super) fn wants_json(&self) -> bool {
        match &self.command {
            Command::Create(command) => command.place.json,
            Command::Invite(command) => command.place.json,
            Command::Nodes(command) => command.place.json,
            Command::Revoke(command) => command.place.json,
            Command::Rotate(command) => command.place.json,
        }
    }

    pub(super) fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        match self.command {
            Command::Create(command) => command.run(screen),
            Command::Invite(command) => command.run(screen),
            Command::Nodes(command) => command.run(screen),
            Command::Revoke(command) => command.run(screen),
            Command::Rotate(command) => command.run(screen),
        }
    }
}

/// A duration such as `1h`, in seconds.
fn seconds(text: &str) -> Result<u64, String> {
    use dataverse_node::settings::value::Value;
    let duration = std::time::Duration::read(text)?;
    match duration.as_secs() {
        0 => Err("expected at least a second".to_owned()),
        seconds => Ok(seconds),
    }
}
