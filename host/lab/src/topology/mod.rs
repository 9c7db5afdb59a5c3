//! Topologies: the nodes, their links, and how fast each link is.
//!
//! [`Spec`] is the experiment's description; [`Network`] is the same, validated and with its file read;
//! [`Topology`] is the graph for a seed. Random shapes yield a different graph for each seed, all others the same
//! for any.

mod edges;
mod graph;
mod graphml;
mod network;
mod random;
mod shapes;
mod spec;

pub use graph::{Link, Topology, Vertex};
pub use network::{Network, TopologyError};
pub use spec::{Shape, Spec, SpecError};
