//! Real nodes on real sockets in one process, that tell the story of the network.

use std::net::SocketAddr;
use std::path::PathBuf;

/// How the nodes of a demonstration are linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Shape {
    /// Each with the next.
    Line,
    /// A line whose ends are linked.
    Ring,
    /// Each with the first.
    Star,
    /// Each with those beside, above and below it.
    Grid,
    /// A connected graph with no further order.
    Random,
}

/// Where the nodes of a demonstration keep their data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a folder that is removed at the end.
    Temporary,
    /// In this folder, which stays.
    Folder(PathBuf),
    /// In memory.
    Ephemeral,
}

/// What to demonstrate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoOptions {
    /// How many nodes.
    pub nodes: usize,
    /// How they are linked.
    pub shape: Shape,
    /// Where the first node answers HTTP.
    pub http: SocketAddr,
    /// Where data is kept.
    pub place: Place,
    /// Leave after the story instead of staying up.
    pub exit: bool,
}

/// Tells the story; an error if any step did not hold.
///
/// # Errors
/// The first step that did not hold.
pub async fn run(options: DemoOptions) -> anyhow::Result<()> {
    anyhow::bail!("a demonstration with {} nodes can't run yet", options.nodes)
}
