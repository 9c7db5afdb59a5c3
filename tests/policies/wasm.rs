//! The built-in policies as guests, compiled once per test run.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use dataverse_core::policy::{Eviction, Kind, Placement, Relocation};
use dataverse_sandbox::{About, GuestLimits, Program, Sandbox, SandboxOptions, Setup};

/// Nothing here tests time, and machines are shared.
const WALL_MS: u64 = 60_000;

static PROGRAMS: LazyLock<BTreeMap<(Kind, &'static str), Program>> = LazyLock::new(|| {
    let sandbox: Arc<Sandbox> =
        Sandbox::new(SandboxOptions::default()).expect("an engine can be created");
    let compiled = dataverse_builtin::all().into_iter().map(|policy| {
        let program = sandbox.compile(policy.wasm);
        let program = program.unwrap_or_else(|error| panic!("{}: {error}", policy.name));
        assert_eq!(program.kind(), policy.kind, "{}", policy.name);
        ((policy.kind, policy.name), program)
    });
    compiled.collect()
});

/// Names of the built-in policies of a kind.
pub(crate) fn names(kind: Kind) -> Vec<&'static str> {
    let names = PROGRAMS.keys().filter(|(of, _)| *of == kind);
    names.map(|(_, name)| *name).collect()
}

pub(crate) fn placement(name: &str, seed: u64) -> Box<dyn Placement> {
    let (program, setup) = made(Kind::Placement, name, seed);
    Box::new(program.placement(&setup).expect("it can be created"))
}

pub(crate) fn eviction(name: &str, seed: u64) -> Box<dyn Eviction> {
    let (program, setup) = made(Kind::Eviction, name, seed);
    Box::new(program.eviction(&setup).expect("it can be created"))
}

pub(crate) fn relocation(name: &str, seed: u64) -> Box<dyn Relocation> {
    let (program, setup) = made(Kind::Relocation, name, seed);
    Box::new(program.relocation(&setup).expect("it can be created"))
}

/// How it describes itself.
pub(crate) fn about(kind: Kind, name: &str) -> About {
    let (program, setup) = made(kind, name, 1);
    program.canary(&setup).expect("it can be tried").about
}

fn made(kind: Kind, name: &str, seed: u64) -> (&'static Program, Setup) {
    let program = PROGRAMS
        .iter()
        .find(|((of, called), _)| (*of, *called) == (kind, name));
    let setup = Setup {
        name: name.to_owned(),
        seed,
        limits: GuestLimits {
            wall_ms: WALL_MS,
            ..GuestLimits::default()
        },
        ..Setup::default()
    };
    (program.expect("it is built in").1, setup)
}
