//! What follows from a difference between two nodes.
//!
//! The greater record wins, as everywhere. But a greater version is no reason to let a replica go before it is durable
//! on every holder that it names, and what may still be on its way is left for the next round. A replica that is lacking
//! is made good only after a search has found nothing newer: whoever lacks it may have let it go for that.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataverse_core::floors::Heard;
use dataverse_core::holdings::Role;
use dataverse_core::id::FileId;
use dataverse_core::key::Key;
use dataverse_core::node::Weighed;
use dataverse_core::reconcile::Compared;
use dataverse_core::record::Record;
use dataverse_core::search::Peer;
use dataverse_overlay::transport::{Announcement, PullAsk};
use futures_util::future::join_all;
use tokio::time::Instant;

use super::RoundOutcome;
use crate::driver::Driver;
use crate::driver::client::space::Occasion;
use crate::driver::client::transfer::Wanted;
use crate::limits;
use crate::metrics::MadeUp;

/// Copies that another node is asked to make good in one round: it goes on by itself once it knows of some.
const PUSHES_MAX: usize = 64;

/// What became of one difference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Act {
    Done(MadeUp),
    Nothing,
    /// It is too early to tell; the next round sees to it.
    Later,
}

impl Driver {
    /// Acts on what was found to differ from `listed`.
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
                true => self.make_good_there(peer, record),
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

    /// A record that another node holds, and that was not marked just so.
    async fn act_on_record(&self, peer: &Peer, record: &Arc<Record>) -> Act {
        if let Err(error) = self.check_stamp(record) {
            tracing::debug!(node = %peer.name, %error, "a record was not believed");
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
            Weighed::Lacking => self.make_good_here(record, Some(peer)),
            Weighed::Nothing => Act::Nothing,
        }
    }

    /// Takes in a record that is greater than what is held here.
    pub(in crate::driver) async fn take_greater(&self, record: &Arc<Record>, from: Option<&Peer>) {
        self.take_greater_from(record, from).await;
    }

    async fn take_greater_from(&self, record: &Arc<Record>, from: Option<&Peer>) -> Act {
        let held = self.state.node().holding(&record.key).cloned();
        let held = held.map(|held| (held.record.version, held.role));
        let written_anew = held.is_some_and(|(version, _)| version < record.version);
        let replica = held.is_some_and(|(_, role)| role == Role::Replica);
        if written_anew {
            // From here on the old version is not served, whatever becomes of it.
            self.state.node().hear(&record.key, Heard::of(record));
        }
        if written_anew && self.may_be_under_way(record) {
            return Act::Later;
        }
        if written_anew && record.deleted && replica {
            // The deletion takes the place of the replica, and so is remembered here.
            let now = self.now();
            if let Err(error) = self.hold(record, Role::Replica, None, now).await {
                tracing::warn!(key = %record.key, %error, "a deletion could not be taken over");
                return Act::Later;
            }
        } else if written_anew && record.layout.names(self.me.id) && !record.deleted {
            return self.make_good_here(record, from);
        } else if written_anew && replica && !record.deleted && !self.is_settled(record).await {
            return Act::Later;
        }
        // Others will have missed a write that was missed here; what was laid anew concerns its holders only.
        let hops_left = match written_anew {
            true => self.settings.announce_hops,
            false => 0,
        };
        self.learn(record, hops_left, from.map(|peer| peer.id))
            .await;
        Act::Done(MadeUp::Learned)
    }

    /// Tells another node of a record that is greater than what it holds.
    async fn tell_greater(&self, peer: &Peer, own: &Arc<Record>, theirs: &Record) -> Act {
        let written_anew = own.version > theirs.version;
        if written_anew && self.may_be_under_way(own) {
            return Act::Later;
        }
        if own.deleted && !theirs.deleted {
            return match self.commit_at(peer.id, own).await {
                Ok(_) => Act::Done(MadeUp::Told),
                Err(error) => {
                    tracing::debug!(node = %peer.name, key = %own.key, error, "a deletion was not taken over");
                    Act::Later
                }
            };
        }
        if written_anew && own.layout.names(peer.id) && !own.deleted {
            return self.make_good_there(peer, own);
        }
        if written_anew && !own.deleted && !self.is_settled(own).await {
            return Act::Later;
        }
        let news = Announcement {
            record: Arc::clone(own),
            hops_left: 0,
        };
        let answer = self.transport.announce(peer, self.message(news)).await;
        match answer.and_then(|answer| self.answer_of(peer, answer)) {
            Ok(()) => Act::Done(MadeUp::Told),
            Err(_) => Act::Later,
        }
    }

    /// Whether a version is so young that its write may not have reached all of its holders yet.
    fn may_be_under_way(&self, record: &Record) -> bool {
        let in_flight = &self.reconciling.in_flight;
        in_flight.may_be_in_flight(record, self.now(), Instant::now())
    }

    /// Whether every other holder that a record names has it, or something greater.
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
            let deleted = answer.known.and_then(|known| known.buried);
            let mut held = answer.hits.iter().chain(&answer.overtaken);
            held.any(|hit| hit.role == Role::Replica && hit.record.version >= record.version)
                || deleted >= Some(record.version)
        });
        join_all(holds).await.into_iter().all(|holds| holds)
    }

    /// Makes a replica that is lacking here good, in the background.
    fn make_good_here(&self, record: &Arc<Record>, from: Option<&Peer>) -> Act {
        if self.may_be_under_way(record) {
            return Act::Later;
        }
        let driver = self.shared();
        let (record, from) = (Arc::clone(record), from.cloned());
        let making = record.key.clone();
        self.make_good(making, async move {
            let mut sources = Vec::from_iter(from);
            driver.add_holders(&mut sources, &record);
            if driver.is_newest(&record).await {
                driver.pull_replica(record, sources).await;
            }
        })
    }

    /// Has another node make good a replica that it lacks.
    fn make_good_there(&self, peer: &Peer, record: &Arc<Record>) -> Act {
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
        if self.may_be_under_way(record) {
            return Act::Later;
        }
        let driver = self.shared();
        let (record, peer) = (Arc::clone(record), peer.clone());
        let making = record.key.clone();
        self.make_good(making, async move {
            if !driver.is_newest(&record).await {
                return;
            }
            let ask = PullAsk {
                record: Arc::clone(&record),
                from: driver.me.clone(),
                hops: 1,
            };
            let answer = driver.transport.pull(&peer, driver.message(ask)).await;
            if let Err(error) = answer.and_then(|answer| driver.answer_of(&peer, answer)) {
                tracing::debug!(node = %peer.name, key = %record.key, %error, "a lacking replica was not taken");
            }
        })
    }

    /// Makes one copy good after the other, a few at once, each file once.
    fn make_good(&self, key: Key, work: impl Future<Output = ()> + Send + 'static) -> Act {
        {
            let mut making = self.reconciling.making();
            if making.len() >= limits::RECONCILE_COPIES_MAX || !making.insert(key.clone()) {
                return Act::Later;
            }
        }
        let driver = self.shared();
        let turns = Arc::clone(&self.reconciling.making_turns);
        self.spawn(async move {
            let made = async {
                let turn = turns.acquire().await;
                work.await;
                drop(turn);
            };
            driver.still_runs(made).await;
            driver.reconciling.making().remove(&key);
        });
        Act::Done(MadeUp::Copied)
    }

    /// Whether a search finds nothing newer. What it finds is learned.
    async fn is_newest(&self, record: &Arc<Record>) -> bool {
        let report = self.search_above(&record.key, record.version).await;
        let newer = report.hits.iter().map(|found| &found.hit.record);
        if let Some(newer) = newer.max().cloned() {
            Box::pin(self.take_greater(&newer, None)).await;
        }
        report
            .floor
            .is_none_or(|floor| floor.version <= record.version)
    }

    async fn pull_replica(&self, record: Arc<Record>, sources: Vec<Peer>) {
        let held = self.state.node().holding(&record.key).cloned();
        if held.is_some_and(|held| held.record.version == record.version) {
            // The content is here already, as a cached copy.
            if let Err(error) = self.hold(&record, Role::Replica, None, self.now()).await {
                tracing::warn!(key = %record.key, %error, "a cached copy was not made a replica");
            }
            return;
        }
        let wanted = Wanted {
            validated: self.now(),
            record: Arc::clone(&record),
            sources,
            hops: 1,
            occasion: Occasion::Other,
        };
        self.keep_copy(wanted).await;
        self.transfers.ended(&record).await;
    }
}
