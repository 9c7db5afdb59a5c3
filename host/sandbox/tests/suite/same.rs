//! The same component, configuration, seed and questions give the same answers and use the same fuel, in every
//! engine.

use std::sync::Arc;

use dataverse_core::policy::{Eviction, Kind, Placement};
use dataverse_sandbox::{Program, Sandbox, SandboxOptions};

use super::{SANDBOX, entry, fill, guests, nodes, patient, request};

/// Answers, each with the fuel that it used.
type Told = Vec<(Vec<u32>, u64)>;

fn placed(program: &Program) -> Told {
    let mut guest = program.placement(&patient()).unwrap();
    let count = |asked: u32| 1 + asked % 16;
    (0..200)
        .map(|asked| {
            let order = guest.place(&request(), &nodes(count(asked))).unwrap();
            (order, guest.last_cost().fuel)
        })
        .collect()
}

fn evicted(program: &Program) -> Told {
    let mut guest = program.eviction(&patient()).unwrap();
    fill(&mut guest).unwrap();
    (10..200)
        .map(|slot| {
            let victims = guest.make_room(u64::from(slot % 30), 0).unwrap();
            let fuel = guest.last_cost().fuel;
            guest.admit(entry(slot, 10), 0).unwrap();
            (victims, fuel)
        })
        .collect()
}

fn check(bytes: &[u8], told: fn(&Program) -> Told) {
    let compile = |sandbox: &Arc<Sandbox>| sandbox.compile(bytes).unwrap();
    let first = told(&compile(&SANDBOX));
    assert_eq!(first, told(&compile(&SANDBOX)));
    let another = Sandbox::new(SandboxOptions::default()).unwrap();
    assert_eq!(first, told(&compile(&another)));
    assert!(first.iter().all(|(_, fuel)| *fuel > 0));
}

#[test]
fn answers_and_fuel_are_the_same_in_every_run() {
    check(&guests::evil("answers-differently"), placed);
    check(&guests::honest(Kind::Placement), placed);
    check(&guests::honest(Kind::Eviction), evicted);
}
