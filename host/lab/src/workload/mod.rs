//! Workloads: who asks for which file when, and how large files are.
//!
//! [`Spec`] is what an experiment says; [`Workload`] is that, checked and with its files read. Under a seed it yields
//! [`Request`]s in the order of their times. Each thing that is drawn (arrivals, readers, files, sizes, kinds) has a
//! stream of its own, so that all policies of an experiment meet the same requests, and changing one thing leaves the
//! others as they were.

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

/// What a request asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// The file's content.
    Read,
    /// That there be new content.
    Write,
    /// That there be none.
    Delete,
}

/// One request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// When, in microseconds since the beginning.
    pub at_us: u64,
    /// The node that is asked, as an index into the nodes.
    pub node: u32,
    /// The file, as an index: the catalogue's from 0, a trace's in the order in which they turn up.
    pub file: u32,
    /// Its bytes.
    pub size: u64,
    /// What is asked.
    pub op: Op,
}
