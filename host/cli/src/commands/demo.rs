//! `demo`: runs several real nodes in one process and shows what the network does.

use std::net::SocketAddr;
use std::path::PathBuf;

use dataverse_core::address;

use super::failure::Failure;
use crate::config::is_local;
use crate::demo::{DemoOptions, DemoPlace, Shape};
use crate::limits;

/// Start a small network in this process and show what happens in it
///
/// Runs real nodes on real sockets: they link, store and find files, keep copies near their readers, swap
/// policies, and lose a node. Afterwards the network keeps running, so that you can try it out.
#[derive(Debug, clap::Args)]
pub(super) struct Demo {
    /// The number of nodes
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = nodes)]
    nodes: usize,
    /// How the nodes are linked
    #[arg(long, default_value = "line")]
    shape: Shape,
    /// The HTTP address of the first node; port 0 picks a free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = address::to_listen_on)]
    http: SocketAddr,
    /// Keep the nodes' data in this folder [default: a temporary folder]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Keep the nodes' data in memory
    #[arg(long, conflicts_with = "data")]
    ephemeral: bool,
    /// Give the nodes certificates of a network of their own, and encrypt what passes between them
    #[arg(long)]
    secure: bool,
    /// Exit after the last step, with 1 if any step failed
    #[arg(long)]
    exit: bool,
}

impl Demo {
    pub(super) async fn run(self) -> Result<(), Failure> {
        Ok(crate::demo::run(self.options()?).await?)
    }

    fn options(self) -> Result<DemoOptions, Failure> {
        // The demo has no `--insecure`: it is for this machine only.
        if !is_local(self.http.ip()) {
            return Err(Failure::Usage(format!(
                "--http {}: other machines can reach this address; the demo only listens on 127.0.0.1",
                self.http
            )));
        }
        let place = match (self.data, self.ephemeral) {
            (Some(folder), _) => DemoPlace::Folder(folder),
            (None, true) => DemoPlace::Ephemeral,
            (None, false) => DemoPlace::Temporary,
        };
        Ok(DemoOptions {
            nodes: self.nodes,
            shape: self.shape,
            http: self.http,
            place,
            secure: self.secure,
            exit: self.exit,
        })
    }
}

/// The demo needs at least two nodes.
fn nodes(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|nodes| (2..=limits::DEMO_NODES_MAX).contains(nodes))
        .ok_or_else(|| format!("expected 2 to {}", limits::DEMO_NODES_MAX))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::{Cli, Command};
    use super::*;

    fn options(arguments: &[&str]) -> Option<DemoOptions> {
        let arguments = ["dataverse", "demo"].iter().chain(arguments);
        match Cli::try_parse_from(arguments).ok()?.command {
            Command::Demo(demo) => demo.options().ok(),
            _ => None,
        }
    }

    #[test]
    fn the_contract_is_read() {
        let plain = options(&[]).expect("it is complete");
        assert_eq!(
            (plain.nodes, plain.shape, plain.exit),
            (4, Shape::Line, false)
        );
        assert_eq!((&plain.place, plain.secure), (&DemoPlace::Temporary, false));
        let full = [
            "--nodes",
            "9",
            "--shape",
            "grid",
            "--http",
            "127.0.0.1:0",
            "--ephemeral",
            "--secure",
            "--exit",
        ];
        let full = options(&full).expect("it is complete");
        assert_eq!((full.nodes, full.shape, full.exit), (9, Shape::Grid, true));
        assert_eq!((&full.place, full.secure), (&DemoPlace::Ephemeral, true));
    }

    #[test]
    fn what_makes_no_story_is_refused() {
        assert_eq!(options(&["--nodes", "1"]), None);
        assert_eq!(options(&["--nodes", "65"]), None);
        assert_eq!(options(&["--shape", "heart"]), None);
        assert_eq!(options(&["--data", "x", "--ephemeral"]), None);
        assert_eq!(options(&["--http", "0.0.0.0:80"]), None);
    }
}
