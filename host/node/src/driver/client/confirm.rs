//! Confirms that a copy is the newest version, by asking the replicas of its layout.
//!
//! What the answers mean is decided by `dataverse_replication::reading`. Nothing here changes what is held.

use std::sync::Arc;

use dataverse_core::floors::Heard;
use dataverse_core::holdings::{Holding, Role};
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::relayout::HolderState;
use dataverse_core::search::{Answer, Peer, Question};
use dataverse_replication::reading::{Confirmation, Consistency, Word};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::driver::Driver;
use crate::driver::replication::perform::greatest_found;

impl Driver {
    /// Whether this replica may have been overwritten while the node was down: no other holder has confirmed it
    /// since the start, and there are others.
    pub(in crate::driver) fn slept_through(&self, holding: &Holding) -> bool {
        let others = holding.record.layout.holders.iter();
        holding.role == Role::Replica
            && holding.validated == 0
            && others.filter(|id| **id != self.me.id).count() > 0
    }

    /// Whether another holder that is not gone knows of a newer version than this replica's, and a node has it.
    pub(in crate::driver) async fn is_replaced(&self, record: &Arc<Record>) -> bool {
        let mut others = record.layout.holders.iter();
        if others.all(|id| *id == self.me.id || self.standing_of(*id) == HolderState::Gone) {
            return false;
        }
        let word = self.confirm(record, true, Consistency::Usual).await;
        matches!(word, Word::Newer(_)) && self.find_newer(record).await.is_some()
    }

    /// A version above this record's that this node knows itself to exist, or that a search finds. Takes in what is
    /// found. What nodes have only heard of does not count.
    pub(in crate::driver) async fn find_newer(&self, record: &Arc<Record>) -> Option<Heard> {
        let (key, version) = (&record.key, record.version);
        let confirmed = self.state.node().confirmed(key);
        if let Some(newer) = confirmed.filter(|known| known.version > version) {
            return Some(newer);
        }
        let report = self.search_above(key, version).await;
        let newer = greatest_found(&report, version)?;
        Box::pin(self.take_greater(newer, None)).await;
        Some(Heard::of(newer))
    }

    /// A node has shown content of this record, or there is none to show. From then on it is known to exist: a reader
    /// who got it from here never gets anything older from here.
    pub(in crate::driver) fn has_been_shown(&self, record: &Record) {
        self.state.node().confirm(&record.key, Heard::of(record));
    }

    /// Asks the replicas of a version whether it is still the newest. `is_replica` says that the copy itself is one.
    pub(in crate::driver) async fn confirm(
        &self,
        record: &Arc<Record>,
        is_replica: bool,
        consistency: Consistency,
    ) -> Word {
        let (key, version) = (&record.key, record.version);
        let record = Arc::clone(record);
        let mut confirmation = Confirmation::new(self.me.id, record, is_replica, consistency);
        let asked = confirmation.whom_to_ask().iter();
        let asked = asked.filter_map(|id| self.peer_of(*id));
        let mut asked: FuturesUnordered<_> =
            asked.map(|peer| self.ask_version(peer, key)).collect();
        let mut word = None;
        while word.is_none()
            && let Some(answer) = asked.next().await
        {
            word = answer.and_then(|answer| confirmation.answered(&answer));
        }
        let word = word.or_else(|| confirmation.word());
        match word {
            Some(Word::Newer(newer)) => self.hear(key, newer),
            Some(Word::Unknown) => {}
            Some(Word::Newest { .. }) | None => {
                self.state.node().validated(key, version, self.now());
            }
        }
        if let Some(word) = word {
            return word;
        }
        let report = self.search_above(key, version).await;
        confirmation.searched(report.floor, self.asked_in(&report))
    }

    pub(in crate::driver) async fn ask_version(&self, peer: Peer, key: &Key) -> Option<Answer> {
        let question = Question::Exact {
            key: key.clone(),
            floor: None,
            pending_before: None,
        };
        let answer = self.ask_probe(&peer, question, true).await;
        answer.ok().map(|(_, answer)| answer)
    }
}
