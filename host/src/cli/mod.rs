//! The command line: one file a command, holding its parsing, its action and its output.
//!
//! Data goes to standard output, everything else to standard error. Commands other than `node`, `demo`, `lab`
//! and those that work on policies' files are clients of a running node's HTTP interface and know nothing
//! else of it.

mod answers;
mod client;
mod completions;
mod demo;
mod drain;
mod failure;
mod get;
mod lab;
mod link;
mod links;
mod logging;
mod ls;
mod man;
mod member;
mod node;
mod nodes;
mod part;
mod policy;
mod progress;
mod put;
mod rm;
mod screen;
mod search;
mod stat;
mod status;
mod unlink;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use client::Client;
use failure::{Exit, Failure};
use screen::Screen;

/// A peer-to-peer file store whose judgement can be swapped while it runs.
///
/// Exits with 0 when done, 1 when something was not found or refused, 2 when it was used wrongly, 3 when
/// a node could not be reached.
#[derive(Debug, Parser)]
#[command(name = "dataverse", version, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    logging: logging::Logging,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Node(Box<node::Node>),
    Demo(demo::Demo),
    Put(put::Put),
    Get(get::Get),
    Search(search::Search),
    Ls(ls::Ls),
    Stat(stat::Stat),
    Rm(rm::Rm),
    Link(link::Link),
    Unlink(unlink::Unlink),
    Links(links::Links),
    Nodes(nodes::Nodes),
    Status(status::Status),
    Drain(drain::Drain),
    Undrain(drain::Undrain),
    Policy(Box<policy::Policy>),
    Lab(Box<lab::Lab>),
    Completions(completions::Completions),
    Man(man::Man),
}

/// Which node to ask, and how to print what it says.
#[derive(Debug, clap::Args)]
struct Asking {
    /// The HTTP address of the node to ask
    #[arg(
        long,
        value_name = "URL",
        env = "DATAVERSE_NODE",
        default_value = "http://127.0.0.1:8080"
    )]
    node: String,
    /// Print what the node answers, as JSON
    #[arg(long)]
    json: bool,
}

impl Asking {
    fn client(&self) -> Result<Client, Failure> {
        Client::new(&self.node)
    }
}

impl Cli {
    /// Does what was asked for on this process's own standard output and error.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let is_node = matches!(self.command, Command::Node(_));
        self.logging.start(is_node);
        let many_threads = matches!(self.command, Command::Node(_) | Command::Demo(_));
        let mut screen = Screen::of_the_process();
        let runtime = match runtime(many_threads) {
            Ok(runtime) => runtime,
            Err(error) => {
                screen.note(&format!("error: can't start: {error}"));
                return Exit::Refused.into();
            }
        };
        let exit = runtime.block_on(self.perform(&mut screen));
        // Standard input may still be waited for on a thread that can't be stopped.
        runtime.shutdown_background();
        exit.into()
    }

    /// Does what was asked for: the one place in which failures become words and an exit code.
    async fn perform(self, screen: &mut Screen<'_>) -> Exit {
        let done = match self.command {
            Command::Node(command) => command.run(screen).await,
            Command::Demo(command) => command.run().await,
            Command::Put(command) => command.run(screen).await,
            Command::Get(command) => command.run(screen).await,
            Command::Search(command) => command.run(screen).await,
            Command::Ls(command) => command.run(screen).await,
            Command::Stat(command) => command.run(screen).await,
            Command::Rm(command) => command.run(screen).await,
            Command::Link(command) => command.run(screen).await,
            Command::Unlink(command) => command.run(screen).await,
            Command::Links(command) => command.run(screen).await,
            Command::Nodes(command) => command.run(screen).await,
            Command::Status(command) => command.run(screen).await,
            Command::Drain(command) => command.run(screen).await,
            Command::Undrain(command) => command.run(screen).await,
            Command::Policy(command) => command.run(screen).await,
            Command::Lab(command) => command.run(screen).await,
            Command::Completions(command) => command.run(screen),
            Command::Man(command) => command.run(screen),
        };
        match done.and_then(|()| screen.finish()) {
            Ok(()) => Exit::Done,
            Err(failure) => {
                failure.tell(screen);
                failure.exit()
            }
        }
    }
}

fn runtime(many_threads: bool) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = if many_threads {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    builder.enable_all().build()
}

#[cfg(test)]
mod tests;
