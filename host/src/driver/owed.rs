//! Layouts that nodes are owed: what a holder could not be told of when its replicas were laid anew.
//!
//! Two halves of a cut network may both lay a file anew, each without the other. Afterwards no layout names nodes of both, so
//! comparing what holders have in common does not show it. Each half remembers whom it left out, and tells
//! them when they are back; the greater of the two layouts wins. Kept in memory and bounded: what is
//! forgotten costs a copy too many until the file is written again, never one too few.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::limits;
use dataverse_core::relayout::Standing;

use super::Driver;

/// Files whose layout a node has yet to hear of, by node.
#[derive(Default)]
pub(super) struct Owed(Mutex<BTreeMap<NodeId, BTreeSet<Key>>>);

impl Owed {
    pub(super) fn add(&self, node: NodeId, key: &Key) {
        let mut owed = self.lock();
        if owed.values().map(BTreeSet::len).sum::<usize>() < limits::LAYOUTS_OWED_MAX {
            owed.entry(node).or_default().insert(key.clone());
        }
    }

    fn nodes(&self) -> Vec<NodeId> {
        self.lock().keys().copied().collect()
    }

    fn take(&self, node: NodeId) -> BTreeSet<Key> {
        self.lock().remove(&node).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, BTreeSet<Key>>> {
        self.0
            .lock()
            .expect("no one panics while holding what is owed")
    }
}

impl Driver {
    /// Tells the nodes that are back what they are owed.
    pub(super) async fn pay_what_is_owed(&self) {
        for node in self.owed.nodes() {
            if self.standing_of(node) != Standing::Here {
                continue;
            }
            for key in self.owed.take(node) {
                let held = self.state.node().holding(&key).cloned();
                let Some(holding) = held else { continue };
                if !self.tell(node, &holding.record).await {
                    self.owed.add(node, &key);
                }
            }
        }
    }
}
