//! One cache, many policies and capacities: which share of a trace's requests each of them misses.
//!
//! The cache is the node's own, [`dataverse_core::cache::Cache`]: the same code asks policies the same questions
//! in the same order as on a node. The rest of a node (replicas, search, transfers) is absent: a miss takes no
//! time, and everything that the policy admits is cached.
//!
//! ```text
//! Trace ── Survey (first pass: is it valid? how many objects? when is each requested again?)
//!   └───── run    (second pass: chunks of requests, each given to all caches in parallel) ──► Row, Row, …
//! ```
//!
//! Two passes over the trace: nothing runs before all of it has been validated. Memory holds what is known of each
//! object (about 30 bytes) and, for the optimum, four bytes per request.

mod access;
mod belady;
mod cache;
mod capacity;
pub mod che;
pub mod plot;

mod run;
mod survey;

#[cfg(test)]
mod tests;

pub use access::{Access, Accesses, Kind, OnResize, Unit};
pub use belady::{BELADY, Belady};
pub use cache::{Counts, Faults, Put, SingleCache};
pub use capacity::Capacity;
pub use run::{Contender, Figures, Plan, Row, WarmUp, run};
pub use survey::{Resized, Survey};

/// Why a study of one cache can't be run.
#[derive(Debug, thiserror::Error)]
pub enum SingleError {
    /// The trace, or the rest of it, can't be read.
    #[error(transparent)]
    Trace(#[from] crate::trace::TraceError),
    /// The plan makes no sense for this trace.
    #[error("{0}")]
    Plan(String),
    /// No threads could be started.
    #[error("no threads to run caches on: {0}")]
    Threads(String),
}
