//! Shadow of the relocation policy: does it want the same copies, and how many bytes would it move?
//!
//! Its verdicts are checked like those of the active policy. Questions that it answered with a fault are not
//! compared. Bytes are those that a policy wanted to move: a node may refuse a copy, which is not known for those
//! of a shadow.

use std::collections::BTreeSet;
use std::sync::Arc;

use dataverse_core::id::NodeId;
use dataverse_core::relocation;
use parking_lot::Mutex;

use super::{Observer, Questioner, Tally, counts, share};
use crate::driver::{Answered, AnyRelocation, RelocationCase, question};
use crate::policies::view::Comparison;

pub(super) struct Relocations {
    policy: Questioner<AnyRelocation>,
    counts: Arc<Mutex<RelocationCounts>>,
}

/// Counts and bytes that were to be moved.
#[derive(Default)]
pub(super) struct RelocationCounts {
    compared: u64,
    agreed: u64,
    bytes: u64,
    active_bytes: u64,
}

/// What a policy wants done after a read.
#[derive(PartialEq, Eq)]
struct Wanted {
    copy_to: BTreeSet<NodeId>,
    move_to: Option<NodeId>,
}

impl Wanted {
    fn new(copy_to: Vec<NodeId>, move_to: Option<NodeId>) -> Self {
        Self {
            copy_to: copy_to.into_iter().collect(),
            move_to,
        }
    }

    /// Bytes that cross the network for it. A copy that then becomes the replica is sent once.
    fn bytes(&self, size: u64) -> u64 {
        let moved = self.move_to.filter(|to| !self.copy_to.contains(to));
        let nodes = self.copy_to.len() as u64 + u64::from(moved.is_some());
        nodes.saturating_mul(size)
    }
}

impl Relocations {
    pub(super) fn new(policy: Questioner<AnyRelocation>) -> Self {
        Self {
            policy,
            counts: Arc::default(),
        }
    }
}

impl Observer for Relocations {
    type Case = RelocationCase;
    type Tally = RelocationCounts;

    fn close(&self) -> Box<dyn Fn() + Send + Sync> {
        self.policy.close()
    }

    fn tally(&self) -> Arc<Mutex<RelocationCounts>> {
        Arc::clone(&self.counts)
    }

    fn observe(&mut self, case: RelocationCase) {
        let size = case.file.size;
        let plan = self.policy.ask(|policy| {
            let plan = policy.map(|mut policy| {
                let (path, file) = (&case.path, case.file.clone());
                relocation::plan(&mut policy, file, case.reads, path, case.hit, case.now)
            });
            let fault = plan.as_ref().and_then(|plan| plan.fault.clone());
            let asked = || question::of_read(&case.file, case.reads, case.path.len());
            Answered {
                fault: fault.map(|fault| fault.at(asked())),
                value: plan.filter(|plan| plan.fault.is_none()),
            }
        });
        let Some(plan) = plan else {
            return;
        };
        let by_shadow = Wanted::new(plan.copy_to, plan.move_to);
        let by_active = Wanted::new(case.copy_to, case.move_to);
        let mut counts = counts(&self.counts);
        counts.compared += 1;
        counts.agreed += u64::from(by_shadow == by_active);
        counts.bytes = counts.bytes.saturating_add(by_shadow.bytes(size));
        counts.active_bytes = counts.active_bytes.saturating_add(by_active.bytes(size));
    }
}

impl Tally for RelocationCounts {
    fn comparison(&self) -> Comparison {
        Comparison::Relocation {
            agreement: share(self.agreed, self.compared),
            bytes: self.bytes,
            active_bytes: self.active_bytes,
        }
    }
}
