//! Topologies: which nodes there are, how they are linked, and how fast each link is.

mod network;
mod spec;

pub use network::{Network, TopologyError};
pub use spec::{Shape, Spec};
