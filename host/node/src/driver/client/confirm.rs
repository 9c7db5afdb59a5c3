//! Whether a copy is the newest version: what the replicas say of it, and when they are asked.

use std::sync::Arc;

use dataverse_core::floors::Heard;
use dataverse_core::holdings::{Holding, Role};
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::relayout::HolderState;
use dataverse_core::search::{Answer, FoundHit, Hit, Peer, Question, SearchOutcome};
use dataverse_core::version::Millis;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::driver::Driver;
use crate::driver::client::api::Consistency;

/// What the replicas say of a copy.
pub(in crate::driver) enum Word {
    /// It is the newest, as far as those say who could be asked.
    Newest {
        /// Every replica could be asked.
        by_all: bool,
    },
    /// There is a newer version.
    Newer(Heard),
    /// No replica answered.
    Unknown,
}

impl Driver {
    /// A replica speaks for itself; a cached copy found elsewhere as long as it was confirmed a moment ago.
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

    /// Whether this replica may have been overwritten while the node was not running: nobody has confirmed it
    /// since the start, and there are others who could.
    pub(in crate::driver) fn slept_through(&self, holding: &Holding) -> bool {
        let others = holding.record.layout.holders.iter();
        holding.role == Role::Replica
            && holding.validated == 0
            && others.filter(|id| **id != self.me.id).count() > 0
    }

    /// Whether another holder that is there knows of a newer version than this replica's.
    pub(in crate::driver) async fn is_replaced(&self, record: &Arc<Record>) -> bool {
        let mut others = record.layout.holders.iter();
        if others.all(|id| *id == self.me.id || self.standing_of(*id) == HolderState::Gone) {
            return false;
        }
        let word = self.confirm(record, true, Consistency::Usual).await;
        matches!(word, Word::Newer(_))
    }

    /// When a hit is known to have been the newest version: a copy of it is no fresher.
    pub(in crate::driver) fn validated_of(&self, found: &FoundHit, stale: bool) -> Millis {
        let fresh_ms = self.settings.read_revalidate_after.as_millis() as u64;
        let age_ms = found.hit.validated_age_ms;
        match stale {
            true => 0,
            // Older than that, a replica was asked just now.
            false if age_ms > fresh_ms => self.now(),
            false => self.now().saturating_sub(age_ms),
        }
    }

    /// Asks the replicas of a version whether it is still the newest: all of them if the newest is wanted, else
    /// until one says so. `replica` says that a replica has spoken already: any answer that knows of nothing
    /// newer confirms it then, and if nobody else holds one, none is needed.
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
                self.heard_of_newer(record, newer).await;
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
        // There may be replicas that this layout knows nothing of, after a cut for one.
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
        };
        let answer = self.transport.probe(&peer, self.message(question)).await;
        answer
            .and_then(|answer| self.answer_of(&peer, answer))
            .and_then(|answer| self.believable(answer))
            .ok()
    }
}
