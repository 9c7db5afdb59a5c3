//! Native code and WebAssembly of the same policy give the same answers to the same questions.
//!
//! Pairs go through the conformance suites, whose questions are many and varied; whenever the two disagree, the
//! answer is a fault that says so.

use std::fmt::Debug;

use dataverse_core::policy::{
    Admission, CacheEntry, Eviction, Fault, Kind, NodeView, Placement, PlacementRequest,
    Relocation, RelocationVerdict, RemoteRead, Rendezvous, Slot,
};
use dataverse_core::version::Millis;
use dataverse_sandbox::conformance;

use crate::{native, wasm};

const SEED: u64 = 5;

/// Two policies that must agree.
struct Twins<P: ?Sized>(Box<P>, Box<P>);

fn agreed<T: PartialEq + Debug>(
    one: Result<T, Fault>,
    other: Result<T, Fault>,
) -> Result<T, Fault> {
    if one == other {
        return one;
    }
    Err(Fault::trap(format!(
        "one says {one:?}, the other {other:?}"
    )))
}

impl Placement for Twins<dyn Placement> {
    fn place(&mut self, asked: &PlacementRequest, of: &[NodeView]) -> Result<Vec<u32>, Fault> {
        agreed(self.0.place(asked, of), self.1.place(asked, of))
    }
}

impl Relocation for Twins<dyn Relocation> {
    fn on_read(&mut self, read: &RemoteRead) -> Result<RelocationVerdict, Fault> {
        agreed(self.0.on_read(read), self.1.on_read(read))
    }
}

impl Eviction for Twins<dyn Eviction> {
    fn set_capacity(&mut self, bytes: u64) -> Result<(), Fault> {
        agreed(self.0.set_capacity(bytes), self.1.set_capacity(bytes))
    }

    fn restore(&mut self, entries: &[CacheEntry]) -> Result<(), Fault> {
        agreed(self.0.restore(entries), self.1.restore(entries))
    }

    fn hit(&mut self, slots: &[Slot]) -> Result<(), Fault> {
        agreed(self.0.hit(slots), self.1.hit(slots))
    }

    fn admit(&mut self, incoming: CacheEntry, needed: u64) -> Result<Admission, Fault> {
        agreed(
            self.0.admit(incoming, needed),
            self.1.admit(incoming, needed),
        )
    }

    fn make_room(&mut self, needed: u64, now: Millis) -> Result<Vec<Slot>, Fault> {
        agreed(self.0.make_room(needed, now), self.1.make_room(needed, now))
    }

    fn removed(&mut self, slots: &[Slot]) -> Result<(), Fault> {
        agreed(self.0.removed(slots), self.1.removed(slots))
    }
}

fn placement_twins(name: &str) -> Box<dyn Placement> {
    let (one, other) = (native::placement(name, SEED), wasm::placement(name, SEED));
    Box::new(Twins(one, other))
}

#[test]
fn placement_policies_answer_alike_in_both_forms() {
    for name in wasm::names(Kind::Placement) {
        let report = conformance::placement(&mut || Ok(placement_twins(name)));
        assert!(report.passed(), "{name}: {report:?}");
    }
}

#[test]
fn eviction_policies_answer_alike_in_both_forms() {
    for name in wasm::names(Kind::Eviction) {
        let report = conformance::eviction(&mut || {
            let twins = Twins(native::eviction(name, SEED), wasm::eviction(name, SEED));
            Ok(Box::new(twins))
        });
        assert!(report.passed(), "{name}: {report:?}");
    }
}

#[test]
fn relocation_policies_answer_alike_in_both_forms() {
    for name in wasm::names(Kind::Relocation) {
        let report = conformance::relocation(&mut || {
            let twins = Twins(native::relocation(name, SEED), wasm::relocation(name, SEED));
            Ok(Box::new(twins))
        });
        assert!(report.passed(), "{name}: {report:?}");
    }
}

#[test]
fn the_default_placement_is_the_baseline() {
    let report = conformance::placement(&mut || {
        let twins: Twins<dyn Placement> =
            Twins(Box::new(Rendezvous), wasm::placement("rendezvous", SEED));
        Ok(Box::new(twins))
    });
    assert!(report.passed(), "{report:?}");
}
