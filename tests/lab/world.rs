//! The simulated network under WebAssembly policies, built-in ones and evil ones.

use std::path::Path;
use std::sync::Arc;

use dataverse_core::policy::Kind;
use dataverse_lab::library::{Chosen, PolicyLibrary};
use dataverse_lab::measures::Measures;
use dataverse_lab::quantity::Portion;
use dataverse_lab::topology::Network;
use dataverse_lab::workload::Workload;
use dataverse_lab::world::{ChosenPolicies, Event, EventSpec, Scenario, run};

use crate::{guests, policy_library};

const TOPOLOGY: &str = "kind = 'watts-strogatz'\nnodes = 24\nneighbours = 4\nrewire = 0.1";
const WORKLOAD: &str = "files = 300\nsize = 1000\nexponent = 0.8\nwrites = 0.02";

struct Trial {
    policy_library: PolicyLibrary,
    policies: ChosenPolicies,
    events: Vec<Event>,
}

impl Trial {
    fn of(placement: &str, eviction: &str, relocation: &str) -> Self {
        let policy_library = policy_library();
        let policies = ChosenPolicies {
            placement: choose(&policy_library, Kind::Placement, placement),
            eviction: choose(&policy_library, Kind::Eviction, eviction),
            relocation: choose(&policy_library, Kind::Relocation, relocation),
        };
        Self {
            policy_library,
            policies,
            events: Vec::new(),
        }
    }

    fn with(mut self, event: &str) -> Self {
        let spec: EventSpec = toml::from_str(event).expect("it can be read");
        let policy_library = &self.policy_library;
        let resolved = Event::resolve(0, &spec, &mut |kind, policy, config| {
            policy_library
                .choose(kind, policy, config)
                .map_err(|error| error.to_string())
        });
        self.events.push(resolved.expect("it is valid"));
        self
    }

    fn run(&self, seed: u64) -> Measures {
        let topology = toml::from_str(TOPOLOGY).expect("it can be read");
        let workload = toml::from_str(WORKLOAD).expect("it can be read");
        let nodes = "cache = '3%'\nfactor = 2\nzones = 3";
        let scenario = Scenario {
            network: Arc::new(Network::open(&topology, Path::new(".")).expect("it is valid")),
            workload: Arc::new(Workload::open(&workload, Path::new(".")).expect("it is valid")),
            nodes: toml::from_str(nodes).expect("it can be read"),
            policies: self.policies.clone(),
            events: self.events.clone(),
            requests: 4_000,
            warm_up: Portion::Share(0.25),
        };
        run(&scenario, seed, &|_| true).unwrap_or_else(|error| panic!("{error}"))
    }
}

fn choose(policy_library: &PolicyLibrary, kind: Kind, policy: &str) -> Chosen {
    policy_library
        .choose(kind, policy, "")
        .unwrap_or_else(|error| panic!("{error}"))
}

/// The path of a file with this evil guest.
fn evil(folder: &Path, name: &str) -> String {
    let path = folder.join(format!("{name}.wasm"));
    std::fs::write(&path, guests::evil(name)).expect("the disk has space");
    path.to_string_lossy().into_owned()
}

#[test]
fn shipped_policies_yield_the_same_to_the_bit_and_fail_at_nothing() {
    let all = dataverse_builtin::all();
    let relocations = all.iter().filter(|it| it.kind == Kind::Relocation);
    for relocation in relocations {
        let trial = Trial::of("rendezvous", "lru", relocation.name);
        let (one, other) = (trial.run(7), trial.run(7));
        assert_eq!(one, other, "{}", relocation.name);
        assert_eq!(one.numbers["faults"], 0.0, "{}", relocation.name);
        assert!(one.numbers["fuel_per_decision"] > 0.0);
    }
    for eviction in all.iter().filter(|it| it.kind == Kind::Eviction) {
        let measures = Trial::of("two-choices", eviction.name, "reader").run(3);
        assert_eq!(measures.numbers["faults"], 0.0, "{}", eviction.name);
        assert!(measures.numbers["hit_ratio"] > 0.0, "{}", eviction.name);
    }
}

#[test]
fn the_shipped_stand_in_of_the_baseline_decides_as_the_baseline_does() {
    let guest = Trial::of("rendezvous", "lru", "reader").run(5);
    let native = Trial::of("baseline", "baseline", "baseline").run(5);
    let without_fuel = |measures: Measures| {
        let mut numbers = measures.numbers;
        numbers.remove("fuel_per_decision");
        (numbers, measures.series, measures.network)
    };
    assert_eq!(without_fuel(guest), without_fuel(native));
}

#[test]
fn relocation_policies_do_what_they_are_called() {
    let numbers = |relocation| Trial::of("rendezvous", "lru", relocation).run(2).numbers;
    let (never, reader, path) = (numbers("never"), numbers("reader"), numbers("path"));
    assert_eq!((never["copies_made"], never["relocated_bytes"]), (0.0, 0.0));
    assert_eq!(reader["relocated_bytes"], 0.0);
    assert!(path["relocated_bytes"] > 0.0);
    assert!(reader["hit_ratio"] > never["hit_ratio"]);
    assert!(path["copies_made"] > reader["copies_made"]);
}

#[test]
fn faults_are_counted_and_answered_by_the_baseline() {
    let folder = tempfile::tempdir().expect("the disk has space");
    // Each instance works until it has been asked a hundred times.
    let trial = Trial::of("rendezvous", &evil(folder.path(), "trap-later"), "reader");
    let measures = trial.run(1);
    let faults = measures.numbers["faults"];
    assert!(
        faults > 0.0 && faults < measures.numbers["eviction_decisions"] / 2.0,
        "{faults}"
    );
    assert_eq!(measures.numbers["unavailable_ratio"], 0.0);
    assert!(measures.numbers["hit_ratio"] > 0.1);
    assert_eq!(measures, trial.run(1));
}

#[test]
fn a_policy_that_is_swapped_takes_over_the_cache_and_decides_from_then_on() {
    let swap = "at = '50%'\nkind = 'swap'\nrelocation = 'never'\neviction = 'fifo'";
    let swapped = Trial::of("rendezvous", "lru", "reader").with(swap).run(4);
    let kept = Trial::of("rendezvous", "lru", "reader").run(4);
    assert_eq!(swapped.numbers["faults"], 0.0);
    assert!(swapped.numbers["copies_made"] < kept.numbers["copies_made"]);
    assert!(
        swapped.numbers["cached_per_file"] > 0.0,
        "what was cached is still there"
    );
    let before = |measures: &Measures| measures.series["hit_ratio_over_time"].points[..24].to_vec();
    assert_eq!(before(&swapped), before(&kept));
}

#[test]
fn replicas_move_towards_their_readers() {
    let mut trial = Trial::of("rendezvous", "lru", "reader");
    let chosen = trial
        .policy_library
        .choose(Kind::Relocation, "follow-demand", r#"{"reads": 3}"#);
    trial.policies.relocation = chosen.unwrap_or_else(|error| panic!("{error}"));
    let measures = trial.run(6).numbers;
    assert!(measures["moves"] > 0.0, "{measures:?}");
    // The reader's copy came with the read and becomes the replica.
    assert_eq!(measures["relocated_bytes"], 0.0);
    assert_eq!(measures["replicas_per_file"], 2.0);
    assert_eq!(measures["unavailable_ratio"], 0.0);
}
