//! Confirms that a copy is the newest version, by asking the replicas of its layout.
//!
//! Decides when to ask, whom, and what the answers mean. It never changes what is held.

use std::sync::Arc;

use dataverse_core::floors::Heard;
use dataverse_core::holdings::{Holding, Role};
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::relayout::HolderState;
use dataverse_core::search::{Answer, FoundHit, Hit, Peer, Question, Report, SearchOutcome};
use dataverse_core::version::Millis;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::driver::Driver;
use crate::driver::client::api::Consistency;

/// The replicas' answer about a copy.
pub(in crate::driver) enum Word {
    /// It is the newest, as far as the replicas that answered know.
    Newest {
        /// Every replica answered.
        by_all: bool,
    },
    /// A node has heard of a newer version, or has it.
    Newer(Heard),
    /// No replica answered.
    Unknown,
}

impl Driver {
    /// Confirms a hit. A replica counts as current without asking, a cached copy only if it was confirmed within
    /// `read.revalidate_after`.
    pub(in crate::driver) async fn confirm_hit(
        &self,
        found: &FoundHit,
        consistency: Consistency,
    ) -> Word {
        let fresh_ms = self.settings.read_revalidate_after.as_millis() as u64;
        let replica = found.hit.role == Role::Replica;
        let fresh = replica || found.hit.validated_age_ms <= fresh_ms;
        if fresh && consistency == Consistency::Usual {
            return Word::Newest { by_all: false };
        }
        self.confirm(&found.hit.record, replica, consistency).await
    }

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
        let hits = report.hits.iter().map(|found| &found.hit.record);
        let greatest = hits.chain(&report.deletion).max();
        let newer = greatest.filter(|found| found.version > version)?;
        Box::pin(self.take_greater(newer, None)).await;
        Some(Heard::of(newer))
    }

    /// A node has shown content of this record, or there is none to show. From then on it is known to exist: a reader
    /// who got it from here never gets anything older from here.
    pub(in crate::driver) fn has_been_shown(&self, record: &Record) {
        self.state.node().confirm(&record.key, Heard::of(record));
    }

    /// Forgets what a search that every node answered has heard of, and that no node has.
    pub(in crate::driver) fn forget_hearsay(&self, report: &Report, key: &Key) {
        if let Some(floor) = report.floor {
            self.state.node().disprove(key, floor.version);
        }
    }

    /// When a hit was last known to be the newest version; a copy made from it is no fresher.
    pub(in crate::driver) fn validated_of(&self, found: &FoundHit, stale: bool) -> Millis {
        let fresh_ms = self.settings.read_revalidate_after.as_millis() as u64;
        let age_ms = found.hit.validated_age_ms;
        match stale {
            true => 0,
            // If it was older, a replica has just been asked.
            false if age_ms > fresh_ms => self.now(),
            false => self.now().saturating_sub(age_ms),
        }
    }

    /// Asks the replicas of a version whether it is still the newest: all of them for `Newest`, else until one
    /// confirms it. `replica` says that the copy itself is a replica: then any answer that knows of nothing newer
    /// confirms it, and none is needed if it is the only one.
    pub(in crate::driver) async fn confirm(
        &self,
        record: &Arc<Record>,
        replica: bool,
        consistency: Consistency,
    ) -> Word {
        let (key, version) = (&record.key, record.version);
        let others = record.layout.holders.iter();
        let others: Vec<_> = others.filter(|id| **id != self.me.id).collect();
        let mut asked: FuturesUnordered<_> = others
            .iter()
            .filter_map(|id| self.peer_of(**id))
            .map(|peer| self.ask_version(peer, key))
            .collect();
        let mut newest = replica && others.is_empty();
        let mut answers = 0;
        while let Some(answer) = asked.next().await {
            let Some(answer) = answer else { continue };
            answers += 1;
            if let Some(newer) = answer.known.filter(|known| known.version > version) {
                self.hear(key, newer);
                return Word::Newer(newer);
            }
            let confirms = |hit: &Hit| hit.role == Role::Replica && hit.record.version == version;
            newest |= replica || answer.hits.iter().any(confirms);
            if newest && consistency == Consistency::Usual {
                break;
            }
        }
        if !newest {
            return Word::Unknown;
        }
        self.state.node().validated(key, version, self.now());
        if consistency == Consistency::Usual {
            return Word::Newest { by_all: false };
        }
        // This layout may not name every replica, for example after a partition.
        let report = self.search_above(key, version).await;
        match report.floor.filter(|floor| floor.version > version) {
            Some(newer) => Word::Newer(newer),
            None => Word::Newest {
                by_all: answers == others.len() && report.outcome == SearchOutcome::NotFound,
            },
        }
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
