//! Conformance suites: what every policy of a kind must answer correctly. There is one suite per port, for native
//! policies and guests alike.
//!
//! The suites ask through the core's own code, so they judge verdicts exactly as a node does: indices in range and
//! distinct, slots that are cached now and named once, victims that free something. They demand an answer from
//! every policy, and the same answer from two instances with the same history. Whether answers are *good* is a
//! question for the lab.
//!
//! Questions are drawn from a fixed seed, so a suite asks the same questions in every run. They keep to the
//! contract: a policy need not answer what a node never asks.

use dataverse_core::id::FileId;
use dataverse_core::limits::FILE_BYTES_MAX;
use dataverse_core::policy::{Fault, FileView, NodeView};

use crate::limits;

mod eviction;
mod placement;
mod relocation;

pub use eviction::{eviction, eviction_while};
pub use placement::{placement, placement_while};
pub use relocation::{relocation, relocation_while};

/// The result of a suite.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a report may hold faults"]
pub struct Report {
    /// Questions asked, each to two instances.
    pub questions: u64,
    /// Questions that ended in a fault. A suite stops early when there are too many.
    pub faulted: u64,
    /// The first faults, with the question in their reason.
    pub faults: Vec<Fault>,
    /// Answers that a node accepts although they are probably a mistake.
    pub warned: u64,
    /// The first of those, with the question.
    pub warnings: Vec<String>,
    /// Whether it ran out of time before all questions were asked.
    pub is_cut_short: bool,
}

/// Asked before each question: whether the suite should go on.
pub type Patience<'a> = &'a mut dyn FnMut() -> bool;

impl Report {
    /// Whether there was no fault.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.faulted == 0
    }

    fn note(&mut self, question: &str, fault: Fault) {
        self.faulted += 1;
        if self.faults.len() < limits::CONFORMANCE_FAULTS_MAX {
            let reason = format!("{} ({question})", fault.reason);
            self.faults.push(Fault::new(fault.kind, reason));
        }
    }

    fn warn(&mut self, question: &str, what: &str) {
        self.warned += 1;
        if self.warnings.len() < limits::CONFORMANCE_FAULTS_MAX {
            self.warnings.push(format!("{what} ({question})"));
        }
    }

    /// Whether no more questions should be asked.
    fn is_over(&mut self, patience: Patience<'_>) -> bool {
        let is_hopeless = self.faulted >= limits::CONFORMANCE_FAULTS_MAX as u64;
        if !is_hopeless && !patience() {
            self.is_cut_short = true;
        }
        is_hopeless || self.is_cut_short
    }
}

/// splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which must not be 0.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A number of any magnitude up to `most`: small ones as often as large ones, 0 included.
    fn magnitude(&mut self, most: u64) -> u64 {
        let bits = self.below(65);
        let drawn = self
            .next()
            .checked_shr(u32::try_from(bits).unwrap_or(0))
            .unwrap_or(0);
        drawn.min(most)
    }

    fn file(&mut self) -> FileView {
        let number = self.below(1000);
        let (user, name) = (format!("user-{}", number % 7), format!("año/{number}.txt"));
        FileView {
            id: FileId::of(&format!("{user}/{name}")).0,
            user,
            name,
            size: self.magnitude(FILE_BYTES_MAX),
        }
    }

    /// A node with an id that none of the others has, in one of `zones` failure domains or in none.
    fn node(&mut self, others: &[u64], zones: u64, hops: u32) -> NodeView {
        let zone = self.below(zones + 1);
        let capacity = self.magnitude(1 << 50);
        let mut id = self.next();
        while others.contains(&id) {
            id = self.next();
        }
        NodeView {
            id,
            zone: if zone == 0 {
                String::new()
            } else {
                format!("zone-{zone}")
            },
            hops,
            capacity,
            free: self.magnitude(capacity),
            load: u32::try_from(self.magnitude(100_000)).unwrap_or(0),
        }
    }
}

/// The fault of two instances that answer differently.
fn unlike(one: &impl std::fmt::Debug, other: &impl std::fmt::Debug) -> Fault {
    Fault::verdict(format!(
        "two instances with the same seed and past answer differently: {one:?} and {other:?}"
    ))
}
