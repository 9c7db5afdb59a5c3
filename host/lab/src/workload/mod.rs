//! Workloads: which node requests which file when, and how large the files are.
//!
//! [`Spec`] is the experiment's description; [`Workload`] is the same, validated and with its files read. For a
//! seed it yields [`Request`]s in the order of their times. Each random quantity (arrivals, readers, files, sizes,
//! kinds) has its own random stream. All policies of an experiment therefore get the same requests, and changing
//! one quantity leaves the others as they were.
//!
//! `synthetic` generates requests, `replay` takes them from a trace, `sizes` and `law` hold the distributions.

mod law;
mod opened;
mod replay;
mod sizes;
mod spec;
mod synthetic;

pub use law::Law;
pub use opened::{Workload, WorkloadError};
pub use replay::Footprint;
pub use spec::{Arrivals, OnResizeWord, Popularity, Readers, ReadersKind, Sizes, Spec};

pub(crate) use opened::Requests;

/// The operation of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// Read the file.
    Read,
    /// Write new content.
    Write,
    /// Delete the file.
    Delete,
}

/// One request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// When, in microseconds since the start.
    pub at_us: u64,
    /// The node that receives the request, as an index into the nodes.
    pub node: u32,
    /// The file, as an index: from 0 in the catalogue; for a trace, in the order of first appearance.
    pub file: u32,
    /// Its bytes.
    pub size: u64,
    /// The operation.
    pub op: Op,
}
