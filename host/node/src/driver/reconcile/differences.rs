//! Acts on a difference between two nodes.
//!
//! The greater record wins, as everywhere. But that another node has it is no reason to give anything up: the holders
//! that it names are asked first (`replication/release`). What may still be in flight is left for the next round. A
//! missing replica is copied only after a search has found nothing newer: the node that lacks it may have dropped
//! it for that.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataverse_core::floors::Heard;
use dataverse_core::holdings::Role;
use dataverse_core::id::FileId;
use dataverse_core::node::Weighed;
use dataverse_core::reconcile::Compared;
use dataverse_core::record::Record;
use dataverse_core::search::Peer;
use dataverse_overlay::transport::{Announcement, TransportExt};
use dataverse_replication::protocol::{Word, word_of};
use dataverse_replication::upkeep::{Added, Rank, Task};
use futures_util::future::join_all;
use tokio::time::Instant;

use super::RoundOutcome;
use crate::driver::Driver;
use crate::metrics::MadeUp;

/// Copies that another node is asked to make in one round; it continues on its own once it knows of some.
const PUSHES_MAX: usize = 64;

/// Result of acting on one difference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Act {
    Done(MadeUp),
    Nothing,
    /// Too early to tell; the next round handles it.
    Later,
}

impl Driver {
    /// Acts on what differs from `listed`.
    pub(super) async fn act_on(
        &self,
        peer: &Peer,
        compared: Compared,
        listed: &BTreeMap<FileId, Arc<Record>>,
    ) -> RoundOutcome {
        let mut outcome = RoundOutcome {
            differed: !compared.records.is_empty() || !compared.unknown.is_empty(),
            ..RoundOutcome::default()
        };
        for record in &compared.records {
            let act = self.act_on_record(peer, record).await;
            self.count(&mut outcome, act);
        }
        let unknown = compared.unknown.iter().filter_map(|file| listed.get(file));
        let mut pushed = 0;
        for record in unknown {
            let act = match pushed < PUSHES_MAX {
                true => self.copy_there(peer, record),
                false => Act::Later,
            };
            pushed += usize::from(matches!(act, Act::Done(_)));
            self.count(&mut outcome, act);
        }
        outcome
    }

    fn count(&self, outcome: &mut RoundOutcome, act: Act) {
        match act {
            Act::Done(made_up) => {
                self.metrics.made_up(made_up);
                outcome.acted += 1;
            }
            Act::Later => outcome.left += 1,
            Act::Nothing => {}
        }
    }

    /// Acts on a record that another node holds and this node listed differently or not at all.
    async fn act_on_record(&self, peer: &Peer, record: &Arc<Record>) -> Act {
        if let Err(error) = self.check_stamp(record) {
            tracing::debug!(node = %peer.name, %error, "a record with an implausible stamp was ignored");
            return Act::Nothing;
        }
        let weighed = self.state.node().weigh(record);
        match weighed {
            Weighed::Same => {
                self.state.node().trust(&record.key, record.version);
                Act::Nothing
            }
            Weighed::Greater => self.take_greater_from(record, Some(peer)).await,
            Weighed::Less(own) => self.tell_greater(peer, &own, record).await,
            Weighed::Lacking => self.copy_here(record, Some(peer)),
            Weighed::Nothing => Act::Nothing,
        }
    }

    /// Takes in a record greater than what is held here.
    pub(in crate::driver) async fn take_greater(&self, record: &Arc<Record>, from: Option<&Peer>) {
        self.take_greater_from(record, from).await;
    }

    async fn take_greater_from(&self, record: &Arc<Record>, from: Option<&Peer>) -> Act {
        let held = self.state.node().holding(&record.key).cloned();
        let is_newer_version = held.is_some_and(|held| held.record.version < record.version);
        if is_newer_version {
            // The old version is not served any more as soon as a holder confirms this one.
            self.state.node().hear(&record.key, Heard::of(record));
            self.release_soon(record);
        }
        if is_newer_version && self.may_be_in_flight(record) {
            return Act::Later;
        }
        if is_newer_version && record.layout.names(self.me.id) && !record.deleted {
            return self.copy_here(record, from);
        }
        // Others may have missed the same write, so it is announced; a newer layout concerns its holders only.
        let hops_left = match is_newer_version {
            true => self.settings.announce_hops,
            false => 0,
        };
        self.learn(record, hops_left, from.map(|peer| peer.id))
            .await;
        Act::Done(MadeUp::Learned)
    }

    /// Tells another node of a record greater than the one it holds.
    async fn tell_greater(&self, peer: &Peer, own: &Arc<Record>, theirs: &Record) -> Act {
        let is_newer_version = own.version > theirs.version;
        if is_newer_version && self.may_be_in_flight(own) {
            return Act::Later;
        }
        if own.deleted && !theirs.deleted {
            return match self.commit_at(peer.id, own).await {
                Ok(_) => Act::Done(MadeUp::Told),
                Err(error) => {
                    tracing::debug!(node = %peer.name, key = %own.key, error, "another node did not store a missed deletion");
                    Act::Later
                }
            };
        }
        if is_newer_version && own.layout.names(peer.id) && !own.deleted {
            return self.copy_there(peer, own);
        }
        if is_newer_version && !own.deleted && !self.is_settled(own).await {
            return Act::Later;
        }
        let announcement = Announcement {
            record: Arc::clone(own),
            hops_left: 0,
        };
        let answer = self.transport.ask(peer, self.message(announcement)).await;
        match answer.and_then(|answer| self.answer_of(peer, answer)) {
            Ok(()) => Act::Done(MadeUp::Told),
            Err(_) => Act::Later,
        }
    }

    /// Whether the version's write may not have reached all its holders yet.
    fn may_be_in_flight(&self, record: &Record) -> bool {
        let in_flight = &self.reconciling.in_flight;
        in_flight.may_be_in_flight(record, self.now(), Instant::now())
    }

    /// Whether every other holder named by the record has it, or something greater.
    pub(in crate::driver) async fn is_settled(&self, record: &Arc<Record>) -> bool {
        let holders = record.layout.holders.iter().copied();
        let holders = holders.filter(|id| *id != self.me.id);
        let holds = holders.map(|id| async move {
            let Some(peer) = self.peer_of(id) else {
                return false;
            };
            let Some(answer) = self.ask_version(peer, &record.key).await else {
                return false;
            };
            word_of(&answer, record) == Word::Has
        });
        join_all(holds).await.into_iter().all(|holds| holds)
    }

    /// Copies a missing replica to this node, in the background.
    fn copy_here(&self, record: &Arc<Record>, from: Option<&Peer>) -> Act {
        if self.may_be_in_flight(record) {
            return Act::Later;
        }
        self.copy_soon(Task::Fetch {
            record: Arc::clone(record),
            from: from.cloned(),
        })
    }

    /// Has another node copy a replica that it lacks.
    fn copy_there(&self, peer: &Peer, record: &Arc<Record>) -> Act {
        let held = self.state.node().holding(&record.key).cloned();
        let wanted = held.is_some_and(|held| {
            held.role == Role::Replica
                && held.record.version == record.version
                && held.record.layout.names(peer.id)
                && !held.record.deleted
        });
        if !wanted {
            return Act::Nothing;
        }
        if self.may_be_in_flight(record) {
            return Act::Later;
        }
        self.copy_soon(Task::Send {
            record: Arc::clone(record),
            to: peer.clone(),
        })
    }

    fn copy_soon(&self, task: Task) -> Act {
        let (Task::Fetch { record, .. } | Task::Send { record, .. }) = &task else {
            return Act::Nothing;
        };
        let others = record.layout.holders.len().saturating_sub(1);
        let rank = Rank::of(others, record.size);
        match self.state.backlog.add(task, rank) {
            Added::Waiting => Act::Done(MadeUp::Copied),
            Added::Known | Added::Full => Act::Later,
        }
    }
}
