//! The conformance suite of each kind, on every built-in policy, native and as WebAssembly.

use dataverse_core::policy::Kind;
use dataverse_sandbox::conformance::{self, Report};

use crate::{native, wasm};

const SEED: u64 = 11;

fn check(kind: Kind, question: impl Fn(&str) -> [Report; 2]) {
    let names = wasm::names(kind);
    assert!(names.len() >= 6, "{kind} has only {names:?}");
    for name in names {
        for (form, report) in ["native", "wasm"].into_iter().zip(question(name)) {
            assert!(report.passed(), "{form} {kind} {name}: {report:?}");
            assert_eq!(report.warned, 0, "{form} {kind} {name}: {report:?}");
        }
    }
}

#[test]
fn placement_policies_conform() {
    check(Kind::Placement, |name| {
        [
            conformance::placement(&mut || Ok(native::placement(name, SEED))),
            conformance::placement(&mut || Ok(wasm::placement(name, SEED))),
        ]
    });
}

#[test]
fn eviction_policies_conform() {
    check(Kind::Eviction, |name| {
        [
            conformance::eviction(&mut || Ok(native::eviction(name, SEED))),
            conformance::eviction(&mut || Ok(wasm::eviction(name, SEED))),
        ]
    });
}

#[test]
fn relocation_policies_conform() {
    check(Kind::Relocation, |name| {
        [
            conformance::relocation(&mut || Ok(native::relocation(name, SEED))),
            conformance::relocation(&mut || Ok(wasm::relocation(name, SEED))),
        ]
    });
}

#[test]
fn what_is_told_of_a_shipped_policy_is_what_it_says_of_itself() {
    for policy in dataverse_builtin::all() {
        let about = wasm::about(policy.kind, policy.name);
        assert_eq!(
            (about.version.as_str(), about.summary.as_str()),
            (policy.version, policy.summary),
            "{}",
            policy.name
        );
    }
}
