//! Topologies: which nodes there are, how they are linked, and how fast each link is.
//!
//! [`Spec`] is what an experiment says; [`Network`] is that, checked and with its file read; [`Topology`] is the
//! graph under a seed. Random shapes draw another graph under each seed; all others are the same under any.

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
