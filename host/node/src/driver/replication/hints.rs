//! Hinted handoff: layouts that a node could not be told when its replicas moved, delivered when it is back.
//!
//! Two halves of a partitioned network may both relayout a file, each without the other. Afterwards no layout
//! names nodes of both halves, so comparing what holders have in common does not reveal it. Each half therefore
//! remembers whom it left out and tells them when they are back; the greater of the two layouts wins.
//!
//! A forgotten hint costs an extra copy until the file is written again, never a missing one.

use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::version::Version;
use dataverse_replication::upkeep::{Outcome, Task};

use crate::driver::Driver;

impl Driver {
    /// Remembers that a node has to hear of this layout. If there are too many hints, those are dropped of the node
    /// that has been gone longest, which may never return.
    pub(in crate::driver) fn hint(&self, to: NodeId, record: &Record) {
        let hint = Task::Hint {
            key: record.key.clone(),
            version: record.version,
            to,
        };
        let liveness = self.liveness();
        let longest_gone = |hinted: &[NodeId]| liveness.longest_gone(hinted);
        if let Some((node, files)) = self.state.backlog.hint(hint, longest_gone) {
            tracing::debug!(node = %self.name_of(node), files, "dropped the hints of the node that has been gone longest");
        }
    }

    /// Tells a node of the layout of this version.
    pub(super) async fn deliver_hint(&self, key: &Key, version: Version, to: NodeId) -> Outcome {
        let held = self.state.node().holding(key).cloned();
        let record = held.map(|holding| holding.record);
        // Whether a later version is durable is not known here.
        let Some(record) = record.filter(|record| record.version == version) else {
            return Outcome::Done;
        };
        // A node that the layout names commits it; any other may release its copy once all holders have theirs.
        let has_heard = match record.layout.names(to) {
            true => self.commit_at(to, &record).await.is_ok(),
            // The file is not where its layout says yet.
            false if !self.is_settled(&record).await => return Outcome::Again,
            false => self.tell(to, &record).await,
        };
        match has_heard {
            true => Outcome::Done,
            false => Outcome::Unanswered,
        }
    }
}
