//! The sandbox from outside: honest guests, evil guests, and files that are not guests.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "../guests/mod.rs"]
mod guests;

mod calls;
mod conformance;
mod evil;
mod files;
mod log;
mod same;

use std::sync::{Arc, LazyLock};

use dataverse_core::policy::{CacheEntry, Eviction, Fault, FileView, NodeView, PlacementRequest};
use dataverse_sandbox::{EvictionGuest, GuestLimits, Program, Sandbox, SandboxOptions, Setup};
use parking_lot::Mutex;

/// One sandbox for all tests, as in a process.
static SANDBOX: LazyLock<Arc<Sandbox>> =
    LazyLock::new(|| Sandbox::new(SandboxOptions::default()).unwrap());

/// Limits with enough time for a machine that is busy with other tests. A test about limits sets its own.
fn patient() -> Setup {
    Setup {
        name: "tested".to_owned(),
        seed: 7,
        limits: GuestLimits {
            wall_ms: 60_000,
            ..GuestLimits::default()
        },
        ..Setup::default()
    }
}

fn compile(bytes: &[u8]) -> Program {
    SANDBOX
        .compile(bytes)
        .unwrap_or_else(|refusal| panic!("{refusal}"))
}

/// An evil eviction guest that was created without a fault.
fn evil(name: &str, setup: &Setup) -> EvictionGuest {
    let program = compile(&guests::evil(name));
    program
        .eviction(setup)
        .unwrap_or_else(|refusal| panic!("{name}: {refusal}"))
}

/// A setup whose log lines end up in the list.
fn listening() -> (Setup, Arc<Mutex<Vec<String>>>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&lines);
    let setup = Setup {
        log: Some(Arc::new(move |level, line| {
            kept.lock().push(format!("{level:?} {line}"));
        })),
        ..patient()
    };
    (setup, lines)
}

fn entry(slot: u32, size: u64) -> CacheEntry {
    CacheEntry {
        slot,
        file: u64::from(slot) << 32,
        size,
        cost: 1,
        now: 5,
    }
}

fn request() -> PlacementRequest {
    PlacementRequest {
        file: file(),
        factor: 2,
        now: 5,
    }
}

fn file() -> FileView {
    FileView {
        id: 7,
        user: "ada".to_owned(),
        name: "notes.txt".to_owned(),
        size: 1000,
    }
}

fn nodes(count: u32) -> Vec<NodeView> {
    let node = |index: u32| NodeView {
        id: u64::from(index) << 40,
        zone: format!("zone-{}", index % 3),
        hops: index / 4,
        capacity: 1 << 30,
        free: 1 << 29,
        load: 3,
    };
    (0..count).map(node).collect()
}

/// A full cache of ten entries of ten bytes, known to the policy.
fn fill(guest: &mut EvictionGuest) -> Result<(), Fault> {
    guest.set_capacity(100)?;
    (0..10).try_for_each(|slot| guest.admit(entry(slot, 10), 0).map(drop))
}
