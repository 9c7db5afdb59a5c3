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
use std::time::Duration;

use dataverse_core::backoff::Backoff;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::relayout::HolderState;
use dataverse_core::version::Version;
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::driver::Driver;
use crate::limits;

/// Pauses after a node did not hear its hints.
const RETRY_MIN: Duration = Duration::from_secs(2);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// By node: the layouts that it has yet to hear.
#[derive(Default)]
pub(in crate::driver) struct Hints(Mutex<ByNode>);

#[derive(Default)]
struct ByNode {
    nodes: BTreeMap<NodeId, OfNode>,
    /// The hints of all nodes.
    count: usize,
}

/// The hints of one node.
struct OfNode {
    /// The files, and the version that each layout is of.
    files: BTreeMap<Key, Version>,
    /// After a failure, no call is made to the node before that.
    due: Instant,
    backoff: Backoff,
}

impl Default for OfNode {
    fn default() -> Self {
        Self {
            files: BTreeMap::new(),
            due: Instant::now(),
            backoff: Backoff::new(RETRY_MIN, RETRY_MAX),
        }
    }
}

/// Result of one attempt to deliver a hint.
enum Delivery {
    /// The node has heard, or need not any more.
    Done,
    /// The file is not where its layout says yet.
    Early,
    /// The node did not answer.
    Unanswered,
}

impl Hints {
    pub(in crate::driver) fn add(&self, node: NodeId, record: &Record) {
        let mut hints = self.0.lock();
        let hints = &mut *hints;
        if hints.count < limits::HINTS_MAX {
            let files = &mut hints.nodes.entry(node).or_default().files;
            let is_new = files.insert(record.key.clone(), record.version).is_none();
            hints.count += usize::from(is_new);
        }
    }

    fn is_full(&self) -> bool {
        self.0.lock().count >= limits::HINTS_MAX
    }

    fn nodes(&self) -> Vec<NodeId> {
        self.0.lock().nodes.keys().copied().collect()
    }

    /// The hints of a node, if it may be called now.
    fn due(&self, node: NodeId, now: Instant) -> Vec<(Key, Version)> {
        let hints = self.0.lock();
        let of_node = hints.nodes.get(&node).filter(|of_node| of_node.due <= now);
        let files = of_node.into_iter().flat_map(|of_node| &of_node.files);
        files
            .map(|(key, version)| (key.clone(), *version))
            .collect()
    }

    /// The node has heard of this layout, or need not any more. A hint of a later version stays.
    fn delivered(&self, node: NodeId, key: &Key, version: Version) {
        let mut hints = self.0.lock();
        let hints = &mut *hints;
        let Some(of_node) = hints.nodes.get_mut(&node) else {
            return;
        };
        if of_node.files.get(key) == Some(&version) {
            of_node.files.remove(key);
            hints.count -= 1;
        }
        of_node.backoff.reset();
        if of_node.files.is_empty() {
            hints.nodes.remove(&node);
        }
    }

    /// The node did not hear: it is left alone for a while.
    fn failed(&self, node: NodeId, now: Instant) {
        if let Some(of_node) = self.0.lock().nodes.get_mut(&node) {
            of_node.due = now + of_node.backoff.next_pause();
        }
    }

    /// Forgets the hints of a node, and returns how many there were.
    fn forget(&self, node: NodeId) -> usize {
        let mut hints = self.0.lock();
        let of_node = hints.nodes.remove(&node);
        let files = of_node.map_or(0, |of_node| of_node.files.len());
        hints.count -= files;
        files
    }
}

impl Driver {
    /// Delivers the hints of nodes that are back, each node's one after the other, and of several nodes at the same
    /// time.
    pub(in crate::driver) async fn deliver_hints(&self) {
        if self.hints.is_full() {
            self.drop_hints_of_longest_gone();
        }
        let nodes = self.hints.nodes().into_iter();
        let here = nodes.filter(|node| self.standing_of(*node) == HolderState::Here);
        stream::iter(here)
            .for_each_concurrent(limits::RELEASES_AT_ONCE_MAX, |node| {
                self.deliver_hints_of(node)
            })
            .await;
    }

    async fn deliver_hints_of(&self, node: NodeId) {
        for (key, version) in self.hints.due(node, Instant::now()) {
            match self.deliver_hint(node, &key, version).await {
                Delivery::Done => self.hints.delivered(node, &key, version),
                Delivery::Early => {}
                Delivery::Unanswered => return self.hints.failed(node, Instant::now()),
            }
        }
    }

    /// Tells a node of the layout of this version.
    async fn deliver_hint(&self, node: NodeId, key: &Key, version: Version) -> Delivery {
        let held = self.state.node().holding(key).cloned();
        let record = held.map(|holding| holding.record);
        // Whether a later version is durable is not known here.
        let Some(record) = record.filter(|record| record.version == version) else {
            return Delivery::Done;
        };
        // A node that the layout names commits it; any other may release its copy once all holders have theirs.
        let has_heard = match record.layout.names(node) {
            true => self.commit_at(node, &record).await.is_ok(),
            false if !self.is_settled(&record).await => return Delivery::Early,
            false => self.tell(node, &record).await,
        };
        match has_heard {
            true => Delivery::Done,
            false => Delivery::Unanswered,
        }
    }

    /// Forgets the hints of the node that has been gone longest, which may never return, to make space for others.
    fn drop_hints_of_longest_gone(&self) {
        let longest = self.longest_gone(&self.hints.nodes());
        if let Some(node) = longest {
            let files = self.hints.forget(node);
            tracing::debug!(node = %self.name_of(node), files, "dropped the hints of the node that has been gone longest");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::tests::{key, record};

    #[test]
    fn a_hint_stays_until_it_is_delivered_and_a_later_one_is_not_lost() {
        let (hints, now) = (Hints::default(), Instant::now() + Duration::from_secs(1));
        let (one, other) = (NodeId::from(1), NodeId::from(2));
        let (old, new) = (record("ada/x", 5), record("ada/x", 6));
        hints.add(one, &old);
        hints.add(other, &old);
        let due = hints.due(one, now);
        assert_eq!(due, [(key("ada/x"), old.version)]);
        // A later layout comes while the first is being delivered.
        hints.add(one, &new);
        hints.delivered(one, &old.key, old.version);
        assert_eq!(hints.due(one, now), [(key("ada/x"), new.version)]);
        // One node that does not answer is left alone, and only that one.
        hints.failed(one, now);
        assert!(hints.due(one, now).is_empty());
        assert_eq!(hints.due(one, now + RETRY_MIN).len(), 1);
        assert_eq!(hints.due(other, now).len(), 1);
        hints.delivered(other, &old.key, old.version);
        assert_eq!((hints.nodes(), hints.forget(one)), (vec![one], 1));
        assert_eq!(hints.0.lock().count, 0);
    }

    #[test]
    fn there_is_a_bound() {
        let hints = Hints::default();
        for at in 0..limits::HINTS_MAX + 5 {
            hints.add(
                NodeId::from(at as u128 % 7),
                &record(&format!("ada/{at}"), 5),
            );
        }
        assert!(hints.is_full());
        let counted: usize = hints
            .nodes()
            .into_iter()
            .map(|node| hints.forget(node))
            .sum();
        assert_eq!((counted, hints.is_full()), (limits::HINTS_MAX, false));
    }
}
