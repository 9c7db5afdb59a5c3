//! The simulated network: nodes of the real core, driven in simulated time.
//!
//! It is the other driver of [`dataverse_core`]: what the live driver does over gRPC and on disk, this one does in
//! memory. A simulated node has the core's [`Node`](dataverse_core::node::Node), its cache, its read counters and
//! an instance of each policy. Reads, writes, eviction, relocation and relayouts follow the same steps as in a
//! live node.
//!
//! ```text
//! Scenario + seed ── topology, ids, policies ──► SimulatedNetwork ── files are placed ──► requests and events, by time ──► Measures
//! ```
//!
//! Not simulated: busy links, disks, gossip and its delays, lost messages, deadlines, and computing time. A
//! request is carried out atomically at its time; failures are noticed, and announcements reach every reachable
//! node, immediately.
//!
//! Memory: about 60 KiB per instance of a Wasm policy that was asked something, including what the sandbox keeps
//! for it; 36 bytes per pair of nodes of which one was searched from (bounded); and a few hundred bytes per copy.
//! A thousand nodes with three Wasm policies each, five thousand files and a hundred thousand reads take 430 MiB.

mod chosen_policies;
mod event;
mod finish;
mod happen;
mod histogram;
mod load;
mod perform;
mod policy_spec;
mod read;
mod routes;
mod run;
mod scenario;
mod search_plan;
mod search_plans;
mod simulation;
mod site;
mod slot;
mod spec;
mod tally;
mod upkeep;
mod write;

#[cfg(test)]
mod tests;

pub use chosen_policies::ChosenPolicies;
pub use event::{Event, EventSpec, Occurrence, What};
pub use policy_spec::PolicySpec;
pub use run::run;
pub use scenario::{RunError, Scenario};
pub use spec::{Nodes, Zones, ZonesFrom};

pub(crate) use routes::Routes;
pub(crate) use search_plan::SearchPlan;
pub(crate) use search_plans::SearchPlans;
