//! One cache, many policies and capacities: what share of a trace's requests each of them misses.
//!
//! The cache is the node's own, [`dataverse_core::cache::Cache`]: policies are told and asked the same things in
//! the same order as on a node, by the same code. What a node does around it (replicas, search, transfers) is not
//! here: a miss is over at once, and whatever the policy admits is cached.
//!
//! ```text
//! Trace ── Survey (first pass: is it whole? how many objects? when is each asked for again?)
//!   └───── run    (second pass: chunks of requests, each put to all caches in parallel) ──► Row, Row, …
//! ```
//!
//! Two passes over the trace: nothing runs before all of it has been found to make sense. What is kept in memory
//! is what is known of each object (about 30 bytes) and, for the optimum, four bytes a request.

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

/// Why a study of one cache can't be made.
#[derive(Debug, thiserror::Error)]
pub enum SingleError {
    /// The trace, or the rest of it, can't be had.
    #[error(transparent)]
    Trace(#[from] crate::trace::TraceError),
    /// What was asked for makes no sense with this trace.
    #[error("{0}")]
    Plan(String),
    /// The system gives no threads.
    #[error("no threads to run caches on: {0}")]
    Threads(String),
}
