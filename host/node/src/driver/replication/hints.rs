//! `Hints` (hinted handoff): layouts that a node could not be told when its replicas moved, delivered when it is
//! back.
//!
//! Two halves of a partitioned network may both relayout a file, each without the other. Afterwards no layout
//! names nodes of both halves, so comparing what holders have in common does not reveal it. Each half therefore
//! remembers whom it left out and tells them when they are back; the greater of the two layouts wins.
//!
//! Kept in memory and bounded by [`limits::HINTS_MAX`]. A forgotten hint costs an extra copy until the file is
//! written again, never a missing one.

use std::collections::BTreeMap;

use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::relayout::HolderState;
use dataverse_core::version::Version;
use parking_lot::Mutex;

use crate::driver::Driver;
use crate::limits;

/// By node: the files whose layout it has yet to hear, and the version each layout is of.
#[derive(Default)]
pub(in crate::driver) struct Hints(Mutex<BTreeMap<NodeId, BTreeMap<Key, Version>>>);

impl Hints {
    pub(in crate::driver) fn add(&self, node: NodeId, record: &Record) {
        if !self.is_full() {
            let mut hints = self.0.lock();
            let of_node = hints.entry(node).or_default();
            of_node.insert(record.key.clone(), record.version);
        }
    }

    fn is_full(&self) -> bool {
        let hints = self.0.lock();
        hints.values().map(BTreeMap::len).sum::<usize>() >= limits::HINTS_MAX
    }

    fn nodes(&self) -> Vec<NodeId> {
        self.0.lock().keys().copied().collect()
    }

    fn take(&self, node: NodeId) -> BTreeMap<Key, Version> {
        self.0.lock().remove(&node).unwrap_or_default()
    }
}

impl Driver {
    /// Delivers the hints of nodes that are back.
    pub(in crate::driver) async fn deliver_hints(&self) {
        if self.hints.is_full() {
            self.drop_hints_of_longest_gone();
        }
        for node in self.hints.nodes() {
            if self.standing_of(node) != HolderState::Here {
                continue;
            }
            for (key, version) in self.hints.take(node) {
                let held = self.state.node().holding(&key).cloned();
                let record = held.map(|holding| holding.record);
                // Whether a later version is durable is not known here.
                let Some(record) = record.filter(|record| record.version == version) else {
                    continue;
                };
                // A node that the layout names commits it; any other may release its copy once all holders have
                // theirs.
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

    /// Forgets the hints of the node that has been gone longest, which may never return, to make space for others.
    fn drop_hints_of_longest_gone(&self) {
        let longest = self.longest_gone(&self.hints.nodes());
        if let Some(node) = longest {
            let files = self.hints.take(node).len();
            tracing::debug!(node = %self.name_of(node), files, "dropped the hints of the node that has been gone longest");
        }
    }
}
