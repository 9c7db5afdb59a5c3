//! `Scenario`: everything that a run depends on, but its seed.

use std::sync::Arc;

use dataverse_sandbox::Refusal;

use super::{Event, Nodes};
use crate::measures::Measures;
use crate::quantity::Portion;
use crate::shelf::Chosen;
use crate::topology::{Network, TopologyError};
use crate::workload::{Workload, WorkloadError};
use crate::wrong::Wrong;

/// Who decides.
#[derive(Clone, Debug)]
pub struct Judges {
    /// Where the copies of a new file go.
    pub placement: Chosen,
    /// Which cached copies make room.
    pub eviction: Chosen,
    /// Whether data moves towards its readers.
    pub relocation: Chosen,
}

/// Everything that a run depends on, but its seed.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The network.
    pub network: Arc<Network>,
    /// The load.
    pub workload: Arc<Workload>,
    /// The nodes.
    pub nodes: Nodes,
    /// Who decides.
    pub judges: Judges,
    /// What happens, in any order.
    pub events: Vec<Event>,
    /// How many requests come; fewer when a trace ends before.
    pub requests: u64,
    /// Requests at the beginning that no measure counts.
    pub warm_up: Portion,
}

/// Why a run came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The network can't be made.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The load can't be made.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// The scenario asks for what can't be.
    #[error(transparent)]
    Wrong(#[from] Wrong),
    /// A policy did not start.
    #[error("{name}: {refusal}")]
    Policy {
        /// Its name.
        name: String,
        /// Why.
        refusal: Refusal,
    },
    /// Whoever watches the progress said so.
    #[error("the run was stopped")]
    Stopped,
}

impl Scenario {
    /// Refuses what can't be, before anything runs.
    ///
    /// # Errors
    /// The key that asks for it.
    pub fn check(&self) -> Result<(), Wrong> {
        match self.requests {
            0 => Err(Wrong::new(
                "run.requests",
                "a run of no requests tells nothing",
            )),
            _ => Ok(()),
        }
    }
}

/// Runs a scenario under a seed. The same two give the same measures, to the bit.
///
/// `progress` is told now and then how many requests have been carried out; if it says `false`, the run stops.
///
/// # Errors
/// [`RunError`].
pub fn run(
    scenario: &Scenario,
    seed: u64,
    progress: &(dyn Fn(u64) -> bool + Sync),
) -> Result<Measures, RunError> {
    scenario.check()?;
    let _ = (seed, progress);
    Err(Wrong::new("run", "nothing is simulated yet").into())
}
