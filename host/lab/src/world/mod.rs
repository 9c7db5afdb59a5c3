//! The simulated network: nodes of the real core, driven in simulated time.
//!
//! The other driver of [`dataverse_core`]: what the live driver does over gRPC and on disk, this one does in memory.
//! A simulated node has the core's [`Node`](dataverse_core::node::Node), its cache, its count of reads and an instance
//! of each policy; reads, writes, eviction, relocation and the re-laying of replicas go as they do live.
//!
//! ```text
//! Scenario + seed ── topology, ids, policies ──► SimulatedNetwork ── files are placed ──► requests and events, by time ──► Measures
//! ```
//!
//! What is not simulated: links that are busy, disks, gossip and its delays, lost messages, deadlines, and time to
//! think. A request is carried out as a whole at its time; failures are noticed at once; news reaches everybody in
//! reach at once.
//!
//! Memory: about 60 KiB for each instance of a Wasm policy that was asked something and what the sandbox keeps beside
//! it, 36 bytes for each pair of nodes of which one was searched from (within a bound), and a few hundred bytes a copy.
//! A thousand nodes with three Wasm policies each, five thousand files and a hundred thousand reads: 430 MiB.

mod event;
mod finish;
mod happen;
mod histogram;
mod load;
mod read;
mod relayout;
mod routes;
mod scenario;
mod search_plan;
mod simulation;
mod site;
mod slot;
mod spec;
mod spec_of_policy;
mod tally;
mod write;

#[cfg(test)]
mod tests;

pub use event::{Event, EventSpec, Occurrence, What};
pub use scenario::{ChosenPolicies, RunError, Scenario, run};
pub use spec::{Nodes, Zones, ZonesFrom};
pub use spec_of_policy::PolicyWish;

pub(crate) use routes::Routes;
pub(crate) use search_plan::SearchPlan;
