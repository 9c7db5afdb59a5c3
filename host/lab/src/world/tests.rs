//! Whole runs: checked by hand, repeated, and inspected from inside.

mod by_hand;
mod events;
mod invariants;

use std::path::Path;
use std::sync::Arc;

use dataverse_core::policy::Kind;
use dataverse_sandbox::{Sandbox, SandboxOptions};

use super::run::Run;
use super::*;
use crate::library::{BASELINE, Chosen, PolicyLibrary};
use crate::measures::Measures;
use crate::quantity::Portion;
use crate::topology::Network;
use crate::workload::{Op, Request, Workload};

/// An experiment's description, without its policies.
#[derive(serde::Deserialize)]
struct Written {
    topology: crate::topology::Spec,
    #[serde(default)]
    workload: crate::workload::Spec,
    #[serde(default)]
    nodes: Nodes,
    #[serde(default)]
    event: Vec<EventSpec>,
    requests: u64,
    warm_up: Option<Portion>,
}

fn policy_library() -> PolicyLibrary {
    let sandbox = Sandbox::new(SandboxOptions::default()).expect("the machine runs Wasm");
    PolicyLibrary::new(sandbox, Vec::new())
}

fn baseline(kind: Kind) -> Chosen {
    let chosen = policy_library().choose(kind, BASELINE, "");
    chosen.expect("every kind has a baseline")
}

fn scenario(text: &str) -> Scenario {
    scenario_in(Path::new("."), text)
}

/// The scenario of this text, whose files are in this folder.
fn scenario_in(folder: &Path, text: &str) -> Scenario {
    let written: Written = toml::from_str(text).unwrap_or_else(|error| panic!("{error}"));
    let policy_library = policy_library();
    let mut choose = |kind, policy: &str, config: &str| {
        policy_library
            .choose(kind, policy, config)
            .map_err(|error| error.to_string())
    };
    let events = written.event.iter().enumerate();
    let events = events.map(|(index, spec)| Event::resolve(index, spec, &mut choose));
    Scenario {
        network: Arc::new(Network::open(&written.topology, folder).expect("it is a network")),
        workload: Arc::new(Workload::open(&written.workload, folder).expect("it is a load")),
        nodes: written.nodes,
        policies: ChosenPolicies {
            placement: baseline(Kind::Placement),
            eviction: baseline(Kind::Eviction),
            relocation: baseline(Kind::Relocation),
        },
        events: events
            .collect::<Result<_, _>>()
            .unwrap_or_else(|wrong| panic!("{wrong}")),
        requests: written.requests,
        warm_up: written.warm_up.unwrap_or(Portion::Count(0)),
    }
}

fn ran(text: &str, seed: u64) -> Measures {
    ran_in(Path::new("."), text, seed)
}

fn ran_in(folder: &Path, text: &str, seed: u64) -> Measures {
    run(&scenario_in(folder, text), seed, &|_| true).unwrap_or_else(|error| panic!("{error}"))
}
