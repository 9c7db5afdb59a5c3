//! The command line: one file per command, with its arguments, its action and its output.
//!
//! `Cli` parses the arguments and runs the command; `Screen` owns the output streams; `Failure` becomes an
//! error message and an exit code in one place. Data goes to standard output, everything else to standard error.
//! `node`, `demo`, `lab`, `network` and the `policy` commands that work on files run on their own; all others are clients of
//! a running node's HTTP API and know nothing else about it.

mod answers;
mod client;
mod completions;
mod demo;
mod destination;
mod drain;
mod failure;
mod get;
mod interruption;
mod lab;
mod link;
mod links;
mod logging;
mod ls;
mod man;
mod member;
mod network;
mod node;
mod nodes;
mod offered;
mod outcome;
mod part;
mod policy;
mod progress;
pub(crate) mod proxy;
mod put;
mod rm;
mod screen;
mod scrub;
mod search;
mod source;
mod stat;
mod status;
mod unlink;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use client::Client;
use failure::{Exit, Failure};
use screen::Screen;

/// A peer-to-peer file store whose policies can be swapped while it runs.
///
/// Exit codes: 0 done; 1 not found, refused or failed; 2 wrong usage; 3 a node could not be reached; 130
/// interrupted. With --json, every outcome is JSON on standard output; that of a failure has an `error`.
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
    Scrub(scrub::Scrub),
    Network(network::Network),
    Policy(Box<policy::Policy>),
    Lab(Box<lab::Lab>),
    Completions(completions::Completions),
    Man(man::Man),
}

/// Which node to ask, and how to print its answer.
#[derive(Debug, clap::Args)]
struct Asking {
    /// The HTTP address of the node to ask [env: DATAVERSE_NODE] [default: http://127.0.0.1:8080]
    #[arg(long, value_name = "URL")]
    node: Option<String>,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

impl Asking {
    fn client(&self) -> Result<Client, Failure> {
        let node = self.node.clone();
        let node = node.or_else(|| variable("DATAVERSE_NODE"));
        Client::new(node.as_deref().unwrap_or("http://127.0.0.1:8080"))
    }
}

/// A variable of the environment; an empty one counts as unset.
fn variable(name: &str) -> Option<String> {
    let text = std::env::var_os(name)?;
    let text = text.to_string_lossy().into_owned();
    Some(text).filter(|text| !text.is_empty())
}

impl Cli {
    /// Parses the arguments of this process. Prints help, the version and usage errors; a usage error is also
    /// printed as JSON on standard output if JSON was requested.
    ///
    /// # Errors
    /// The exit code, if there is nothing left to do.
    pub fn read() -> Result<Self, ExitCode> {
        Self::try_parse().map_err(|error| {
            // A closed output is not a failure.
            let _unheard = error.print();
            if !error.use_stderr() {
                return Exit::Done.into();
            }
            let mut options = std::env::args_os().take_while(|argument| argument != "--");
            if options.any(|argument| argument == "--json") {
                let mut screen = Screen::of_the_process();
                screen.failed_as_json(&Failure::Usage(mistake(&error)));
                let _unheard = screen.finish();
            }
            Exit::Usage.into()
        })
    }

    /// Runs the command with this process's standard output and error.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let is_node = matches!(self.command, Command::Node(_));
        let mut screen = Screen::of_the_process();
        if let Err(reason) = self.logging.start(is_node) {
            screen.note(&format!("error: {reason}"));
            return Exit::Usage.into();
        }
        let many_threads = matches!(self.command, Command::Node(_) | Command::Demo(_));
        let runtime = match runtime(many_threads) {
            Ok(runtime) => runtime,
            Err(error) => {
                screen.note(&format!("error: can't start: {error}"));
                return Exit::Refused.into();
            }
        };
        let exit = runtime.block_on(self.perform(&mut screen));
        // A thread may still be blocked reading standard input, and can't be stopped.
        runtime.shutdown_background();
        exit.into()
    }

    /// Runs the command; the one place where a failure becomes a message and an exit code.
    async fn perform(self, screen: &mut Screen<'_>) -> Exit {
        let wants_json = self.command.wants_json();
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
            Command::Scrub(command) => command.run(screen).await,
            Command::Network(command) => command.run(screen),
            Command::Policy(command) => command.run(screen).await,
            Command::Lab(command) => command.run(screen).await,
            Command::Completions(command) => command.run(screen),
            Command::Man(command) => command.run(screen),
        };
        match done.and_then(|()| screen.finish()) {
            Ok(()) => Exit::Done,
            Err(failure) => {
                screen.failed(&failure);
                if wants_json {
                    screen.failed_as_json(&failure);
                }
                failure.exit()
            }
        }
    }
}

impl Command {
    fn wants_json(&self) -> bool {
        match self {
            Self::Node(command) => command.json,
            Self::Put(command) => command.asking.json,
            Self::Get(command) => command.asking.json,
            Self::Search(command) => command.asking.json,
            Self::Ls(command) => command.asking.json,
            Self::Stat(command) => command.asking.json,
            Self::Rm(command) => command.asking.json,
            Self::Link(command) => command.asking.json,
            Self::Unlink(command) => command.asking.json,
            Self::Links(command) => command.asking.json,
            Self::Nodes(command) => command.asking.json,
            Self::Status(command) => command.asking.json,
            Self::Drain(command) => command.asking.json,
            Self::Undrain(command) => command.asking.json,
            Self::Scrub(command) => command.asking.json,
            Self::Network(command) => command.wants_json(),
            Self::Policy(command) => command.wants_json(),
            Self::Lab(command) => command.wants_json(),
            Self::Demo(_) | Self::Completions(_) | Self::Man(_) => false,
        }
    }
}

/// What is wrong with the arguments, without the hints and the usage that clap adds.
fn mistake(error: &clap::Error) -> String {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "no command is given; --help lists the commands".to_owned();
    }
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let first = text.split("\n\n").next().unwrap_or(text);
    first.trim_end().to_owned()
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
