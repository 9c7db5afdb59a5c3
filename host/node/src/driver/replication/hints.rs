//! Layouts that nodes are owed: what a holder could not be told of when its replicas were laid anew.
//!
//! Two halves of a cut network may both lay a file anew, each without the other. Afterwards no layout names nodes of both, so
//! comparing what holders have in common does not show it. Each half remembers whom it left out, and tells
//! them when they are back; the greater of the two layouts wins. Kept in memory and bounded: what is
//! forgotten costs a copy too many until the file is written again, never one too few.

use std::collections::BTreeMap;

use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::relayout::HolderState;
use dataverse_core::version::Version;
use parking_lot::{Mutex, MutexGuard};

use crate::driver::Driver;
use crate::limits;

/// Files whose layout a node has yet to hear of, by node, and the version that was laid anew.
#[derive(Default)]
pub(in crate::driver) struct Hints(Mutex<BTreeMap<NodeId, BTreeMap<Key, Version>>>);

impl Hints {
    pub(in crate::driver) fn add(&self, node: NodeId, record: &Record) {
        if !self.is_full() {
            let mut hints = self.lock();
            let of_node = hints.entry(node).or_default();
            of_node.insert(record.key.clone(), record.version);
        }
    }

    fn is_full(&self) -> bool {
        let hints = self.lock();
        hints.values().map(BTreeMap::len).sum::<usize>() >= limits::HINTS_MAX
    }

    fn nodes(&self) -> Vec<NodeId> {
        self.lock().keys().copied().collect()
    }

    fn take(&self, node: NodeId) -> BTreeMap<Key, Version> {
        self.lock().remove(&node).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, BTreeMap<Key, Version>>> {
        self.0.lock()
    }
}

impl Driver {
    /// Tells the nodes that are back what they are owed.
    pub(in crate::driver) async fn deliver_hints(&self) {
        if self.hints.is_full() {
            self.forget_who_is_gone_longest();
        }
        for node in self.hints.nodes() {
            if self.standing_of(node) != HolderState::Here {
                continue;
            }
            for (key, version) in self.hints.take(node) {
                let held = self.state.node().holding(&key).cloned();
                let record = held.map(|holding| holding.record);
                // Of a version that came since, it is not known here whether it is durable.
                let Some(record) = record.filter(|record| record.version == version) else {
                    continue;
                };
                // A holder is to have it; any other may let go of what it has once all holders do.
                let has_heard = if record.layout.names(node) {
                    self.commit_at(node, &record).await.is_ok()
                } else {
                    self.is_settled(&record).await && self.tell(node, &record).await
                };
                if !has_heard {
                    self.hints.add(node, &record);
                }
            }
        }
    }

    /// Those that will never be back are not to take the room of those that will.
    fn forget_who_is_gone_longest(&self) {
        let longest = self.longest_gone(&self.hints.nodes());
        if let Some(node) = longest {
            let files = self.hints.take(node).len();
            tracing::debug!(node = %self.name_of(node), files, "what a node that is gone would have to hear is not remembered any more");
        }
    }
}
