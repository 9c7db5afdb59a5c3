//! The simulated network: nodes of the real core, driven in simulated time.

mod event;
mod scenario;
mod spec;
mod tour;
mod ways;

pub use event::{Event, EventSpec, Occurrence, PolicyWish, What};
pub use scenario::{Judges, RunError, Scenario, run};
pub use spec::{Nodes, Zones, ZonesFrom};
