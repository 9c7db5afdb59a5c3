//! `Scenario`: everything that a run depends on except its seed.

use std::sync::Arc;

use dataverse_core::limits::FACTOR_MAX;

use super::chosen_policies::ChosenPolicies;
use super::{Event, Nodes, What, Zones, ZonesFrom};
use crate::assignment::Dealt;
use crate::limits;
use crate::quantity::Portion;
use crate::topology::{Network, Topology, TopologyError};
use crate::workload::{Workload, WorkloadError};
use crate::wrong::Wrong;

/// Everything that a run depends on except its seed.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The network.
    pub network: Arc<Network>,
    /// The workload.
    pub workload: Arc<Workload>,
    /// The nodes.
    pub nodes: Nodes,
    /// The policies.
    pub policies: ChosenPolicies,
    /// The events, in any order.
    pub events: Vec<Event>,
    /// The number of requests; fewer if a trace ends earlier.
    pub requests: u64,
    /// Requests at the start that no measure counts.
    pub warm_up: Portion,
}

/// Why a run has no results.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The network can't be generated.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The requests can't be generated.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// The scenario is impossible.
    #[error(transparent)]
    Wrong(#[from] Wrong),
    /// The progress callback stopped the run.
    #[error("the run was stopped")]
    Stopped,
}

impl Scenario {
    /// Refuses an impossible scenario before anything runs.
    ///
    /// # Errors
    /// The key with an impossible value.
    pub fn check(&self) -> Result<(), Wrong> {
        let run = |key: &str, reason: String| Err(Wrong::new(format!("run.{key}"), reason));
        if !(1..=limits::LAB_REQUESTS_MAX).contains(&self.requests) {
            let max = limits::LAB_REQUESTS_MAX;
            return run("requests", format!("a run has 1 to {max} requests"));
        }
        if self.warm_up.of(self.requests) >= self.requests {
            return run(
                "warm_up",
                "the warm-up leaves no request to count".to_owned(),
            );
        }
        self.check_nodes()?;
        let drawn = self.network.topology(0);
        let topology = drawn.map_err(|error| Wrong::new("topology.kind", error.to_string()))?;
        if self.nodes.zones == Zones::Named(ZonesFrom::Country)
            && topology.nodes.iter().all(|node| node.country.is_none())
        {
            let reason = "the topology gives no node's country; set a number of zones";
            return Err(Wrong::new("nodes.zones", reason));
        }
        self.readers_in(&topology)?;
        self.check_events(&topology)
    }

    /// The nodes of the readers that the workload names; none if it names none.
    pub(super) fn readers_in(&self, topology: &Topology) -> Result<Option<Vec<u32>>, Wrong> {
        let Some(names) = self.workload.named_readers() else {
            return Ok(None);
        };
        let find = |name: &String| {
            let reason = format!("there is no node `{name}`");
            topology
                .find(name)
                .ok_or_else(|| Wrong::new("workload.readers", reason))
        };
        names.iter().map(find).collect::<Result<_, _>>().map(Some)
    }

    /// Checks that events name only nodes that exist or will join.
    fn check_events(&self, topology: &Topology) -> Result<(), Wrong> {
        if self.events.len() > limits::LAB_EVENTS_MAX {
            let max = limits::LAB_EVENTS_MAX;
            return Err(Wrong::new(
                "event",
                format!("at most {max} events can be simulated"),
            ));
        }
        let joining = self.events.iter().filter_map(|event| match &event.what {
            What::Join { node, .. } => Some(node.as_str()),
            _ => None,
        });
        let joining: Vec<&str> = joining.collect();
        let is_known = |name: &str| topology.find(name).is_some() || joining.contains(&name);
        for (number, event) in self.events.iter().enumerate() {
            let wrong = |key: &str, reason: String| {
                Err(Wrong::new(format!("event.{number}.{key}"), reason))
            };
            let (key, names): (&str, Vec<&String>) = match &event.what {
                What::Join { node, links } => {
                    let namesakes = joining.iter().filter(|it| **it == node.as_str()).count();
                    if topology.find(node).is_some() || namesakes > 1 {
                        return wrong("node", format!("there is already a node `{node}`"));
                    }
                    (
                        "links",
                        links.iter().filter(|other| *other != node).collect(),
                    )
                }
                What::Leave(node) | What::Fail(node) | What::Return(node) => ("node", vec![node]),
                What::Cut(a, b) | What::Link(a, b) => {
                    if a == b {
                        return wrong("link", "a node can't be linked with itself".to_owned());
                    }
                    ("link", vec![a, b])
                }
                What::Swap(_) => continue,
            };
            if let Some(name) = names.into_iter().find(|name| !is_known(name)) {
                return wrong(key, format!("there is no node `{name}`"));
            }
            if let What::Cut(a, b) = &event.what
                && !self.may_be_linked(topology, a, b)
            {
                return wrong(key, format!("there is no link between {a} and {b} to cut"));
            }
        }
        Ok(())
    }

    /// Refuses impossible settings of the nodes.
    fn check_nodes(&self) -> Result<(), Wrong> {
        let nodes = &self.nodes;
        let wrong = |key: &str, reason: String| Err(Wrong::new(format!("nodes.{key}"), reason));
        if !(1..=FACTOR_MAX).contains(&nodes.factor) {
            return wrong(
                "factor",
                format!("a factor must be between 1 and {}", FACTOR_MAX),
            );
        }
        let capacities = nodes.capacity.iter().flat_map(Dealt::values);
        if capacities
            .into_iter()
            .any(|amount| amount.of(u64::MAX) == 0)
        {
            return wrong(
                "capacity",
                "a node without space can hold nothing".to_owned(),
            );
        }
        Ok(())
    }
}

impl Scenario {
    /// Whether two nodes are linked at some time: by the topology (unknown for a random one until it is generated)
    /// or by an event.
    fn may_be_linked(&self, topology: &Topology, a: &str, b: &str) -> bool {
        let made = self.events.iter().any(|event| match &event.what {
            What::Join { node, links } => {
                (node == a && links.iter().any(|it| it == b))
                    || (node == b && links.iter().any(|it| it == a))
            }
            What::Link(one, other) => (one == a && other == b) || (one == b && other == a),
            _ => false,
        });
        made || self.network.is_random() || topology.are_linked(a, b)
    }
}
