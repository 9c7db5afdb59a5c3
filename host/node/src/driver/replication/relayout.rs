//! `Relaying`: performs a relayout. Copies, verifies, commits the greater layout, announces it.
//!
//! The core decides what a file needs (`Need`), placement which nodes take the copies. The new holders commit
//! first, then those that stay, this node last. So at every moment, whichever node dies, the holders of the old
//! layout still hold their copies, and the greater layout names only nodes that have the content. A holder that is
//! no longer named releases its copy itself, once every holder of the greater layout confirms its own (`release`).

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use dataverse_core::floors::Heard;
use dataverse_core::holdings::{Holding, Role};
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::policy::{FileView, PlacementRequest};
use dataverse_core::record::Record;
use dataverse_core::relayout::{Need, move_away};
use dataverse_core::search::Peer;
use dataverse_overlay::transport::{Announcement, Refusal, TransportExt};
use dataverse_store::StoreError;
use dataverse_store::crash;
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::commit::Held;
use crate::driver::Driver;
use crate::driver::client::preparing::{PrepareSource, Preparing, Readied, Ready};
use crate::limits;

/// Why a relayout failed. The layout is unchanged, or a greater one that loses nothing.
#[derive(Debug, thiserror::Error)]
pub(in crate::driver) enum RelayoutError {
    /// The file is no longer held as it was when this was decided.
    #[error("the file changed meanwhile")]
    Changed,
    /// A node that was to take a copy knows of a greater version, and a holder has confirmed it.
    #[error("a newer version of the file exists")]
    Overtaken,
    /// Another relayout of the file is under way on this node.
    #[error("a relayout of the file is already under way")]
    UnderWay,
    /// Too few nodes took a copy.
    #[error("{took} of {wanted} nodes took a copy")]
    NoTaker {
        /// Copies to make.
        wanted: usize,
        /// Copies made.
        took: usize,
    },
    /// The layout could not be numbered, because the clock could not be persisted.
    #[error("the layout could not be numbered: {0}")]
    Unnumbered(#[from] StoreError),
}

/// Files with a relayout under way on this node, and why.
#[derive(Default, Clone)]
pub(in crate::driver) struct Relaying(Arc<Mutex<BTreeMap<Key, Why>>>);

/// Why a relayout is under way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    /// Re-replication, or this node is being drained.
    Needed,
    /// Another node asked to move the replica towards a reader.
    Moved,
    /// Another holder asked for it, because it can't hold its own replica.
    Relieves,
}

/// Marks one file as being relaid out until it is dropped.
struct RelayoutPermit {
    relaying: Relaying,
    key: Key,
}

/// Why a relayout can't start.
enum NoPermit {
    /// One of this file is under way.
    UnderWay,
    /// Too many are under way.
    Full,
}

impl Relaying {
    /// A permit for this file, unless `at_most` are under way for the same reason.
    fn enter(&self, key: &Key, why: Why, at_most: usize) -> Result<RelayoutPermit, NoPermit> {
        let mut turns = self.0.lock();
        if turns.contains_key(key) {
            return Err(NoPermit::UnderWay);
        }
        if turns.values().filter(|other| **other == why).count() >= at_most {
            return Err(NoPermit::Full);
        }
        turns.insert(key.clone(), why);
        Ok(RelayoutPermit {
            relaying: self.clone(),
            key: key.clone(),
        })
    }
}

impl Drop for RelayoutPermit {
    fn drop(&mut self) {
        self.relaying.0.lock().remove(&self.key);
    }
}

impl Driver {
    /// Does what a file needs, on the nodes that placement ranks, after waiting for `pace`. Returns the number of
    /// copies made.
    pub(in crate::driver) async fn relayout(
        &self,
        record: &Arc<Record>,
        need: &Need,
        pace: impl Future<Output = ()>,
    ) -> Result<usize, RelayoutError> {
        let takers = self.takers_of(record, need.keep.clone()).await;
        if need.keep.len() + takers.len() < need.holders_min {
            return Err(RelayoutError::NoTaker {
                wanted: need.wanted,
                took: 0,
            });
        }
        pace.await;
        let turn = self.relaying.enter(&record.key, Why::Needed, usize::MAX);
        let _turn = turn.map_err(|_| RelayoutError::UnderWay)?;
        self.relayout_onto(record, need, takers).await
    }

    /// Starts moving the replica of `from` (this node or another holder) to a node that has none. This node must
    /// hold a replica itself, because it sends the content.
    ///
    /// # Errors
    /// [`Refusal`], with the reason.
    pub(in crate::driver) fn move_soon(
        &self,
        key: Key,
        from: NodeId,
        to: Peer,
    ) -> Result<(), Refusal> {
        let holding = self.state.node().holding(&key).cloned();
        let replica = holding.filter(|holding| holding.role == Role::Replica);
        let Some(record) = replica.map(|holding| holding.record) else {
            return Err(Refusal::Absent(format!(
                "{key} is not held as a replica here"
            )));
        };
        let Some(need) = move_away(&record, from, to.id) else {
            return Ok(());
        };
        if !self.may_hold(to.id) {
            return Err(Refusal::Invalid(format!(
                "no replica can move to node {} now: it is not alive, or it is being drained",
                to.name
            )));
        }
        // Relieving another holder is no more urgent than re-replication, and shares its limit and rate.
        let (why, at_most) = match from == self.me.id {
            true => (Why::Moved, limits::MOVES_MAX),
            false => (Why::Relieves, self.settings.repair_concurrent as usize),
        };
        let turn = match self.relaying.enter(&key, why, at_most) {
            Ok(turn) => turn,
            Err(NoPermit::UnderWay) => return Ok(()),
            Err(NoPermit::Full) => {
                let full = "too many replicas are moving on this node".to_owned();
                return Err(Refusal::Busy(full));
            }
        };
        let driver = self.shared();
        self.spawn(async move {
            let _turn = turn;
            let moving = async {
                if why == Why::Relieves {
                    driver.pace_rereplication(record.size).await;
                }
                let takers = vec![to.clone()];
                driver.relayout_onto(&record, &need, takers).await
            };
            match driver.still_runs(moving).await {
                Some(Ok(_)) => {
                    let from = driver.name_of(from);
                    tracing::info!(%key, %from, to = %to.name, "moved a replica");
                }
                Some(Err(error)) => {
                    tracing::debug!(%key, to = %to.name, %error, "a replica was not moved");
                }
                None => {}
            }
        });
        Ok(())
    }

    /// The nodes that could take a copy, best first; none that the layout already names.
    pub(super) async fn takers_of(&self, record: &Record, keep: Vec<NodeId>) -> Vec<Peer> {
        let request = PlacementRequest {
            file: FileView::of(&record.key, record.size),
            factor: record.factor,
            now: self.now(),
        };
        let ranked = self.ranked_peers(request, record.size, keep).await;
        let is_new = |peer: &Peer| peer.id != self.me.id && !record.layout.names(peer.id);
        ranked.into_iter().filter(is_new).collect()
    }

    async fn relayout_onto(
        &self,
        record: &Arc<Record>,
        need: &Need,
        takers: Vec<Peer>,
    ) -> Result<usize, RelayoutError> {
        let holding = self.replica_of(record).ok_or(RelayoutError::Changed)?;
        let readied = self.copy_to(&holding, need.wanted, takers).await;
        let newer = readied.others.iter().map(|ready| ready.known);
        if let Some(newer) = Heard::merged(newer).filter(|known| known.version > record.version) {
            self.hear(&record.key, newer);
            // A taker may be wrong, so the holders of that version are asked.
            self.await_first_verification(&record.key).await;
            let confirmed = self.state.node().confirmed(&record.key);
            if confirmed.is_some_and(|known| known.version > record.version) {
                self.abandon_all(&readied);
                return Err(RelayoutError::Overtaken);
            }
        }
        let no_taker = |took: usize| RelayoutError::NoTaker {
            wanted: need.wanted,
            took,
        };
        let enough = |took: usize| need.keep.len() + took >= need.holders_min;
        if !enough(readied.others.len()) || self.replica_of(record).is_none() {
            let took = readied.others.len();
            self.abandon_all(&readied);
            return Err(no_taker(took));
        }
        crash::point("relayout.copied");
        let (laid, took) = self.commit_new_holders(record, need, &readied).await?;
        if !enough(took) {
            return Err(no_taker(took));
        }
        crash::point("relayout.committed");
        self.tell_holders(record, &laid, need).await;
        Ok(took)
    }

    /// The holding, if it is still a replica under exactly this record.
    fn replica_of(&self, record: &Record) -> Option<Holding> {
        let node = self.state.node();
        let holding = node.holding(&record.key)?;
        let same = holding.role == Role::Replica && *holding.record == *record;
        same.then(|| holding.clone())
    }

    /// Prepares the content on this many nodes: durable, but invisible. A tombstone has no content to copy.
    async fn copy_to(&self, holding: &Holding, wanted: usize, takers: Vec<Peer>) -> Readied {
        let record = &holding.record;
        if wanted == 0 || record.deleted {
            let ready = |peer| Ready {
                peer,
                preparation: None,
                known: None,
            };
            return Readied {
                others: takers.into_iter().take(wanted).map(ready).collect(),
                own: false,
            };
        }
        let preparing = Preparing::begin(
            self.shared(),
            record.key.clone(),
            Some(record.size),
            wanted,
            takers,
            PrepareSource::Held(holding.clone()),
        );
        let deadline = Instant::now() + Duration::from_millis(limits::RELAYOUT_MS_MAX);
        preparing.finish(record.digest, deadline).await
    }

    /// Commits the greater layout on the new holders. The layout returned names those that made it durable.
    async fn commit_new_holders(
        &self,
        record: &Arc<Record>,
        need: &Need,
        readied: &Readied,
    ) -> Result<(Arc<Record>, usize), RelayoutError> {
        let with = |new: &[NodeId]| need.keep.iter().chain(new).copied().collect::<Vec<_>>();
        let all: Vec<NodeId> = readied.others.iter().map(|ready| ready.peer.id).collect();
        let laid = self.laid_anew(record, with(&all)).await;
        let laid = laid.inspect_err(|_| self.abandon_all(readied))?;
        let commits = readied.others.iter().map(|ready| async {
            let held = self.commit_surely(ready, &laid).await;
            (&ready.peer, held)
        });
        let mut durable = Vec::new();
        for (peer, held) in join_all(commits).await {
            match held {
                Ok(Held::Here) => durable.push(peer.id),
                Ok(Held::Greater(greater)) => {
                    self.take_greater(&greater, Some(peer)).await;
                    return Err(RelayoutError::Changed);
                }
                Ok(Held::Not) => {}
                Err(error) => {
                    tracing::warn!(key = %record.key, node = %peer.name, %error, "a node prepared a replica but did not commit it");
                }
            }
        }
        if durable.len() == all.len() {
            return Ok((laid, durable.len()));
        }
        // A node whose commit failed may have taken the layout all the same. A greater layout says that its copy
        // does not count.
        let failed = all.iter().filter(|id| !durable.contains(id));
        let laid = match durable.is_empty() {
            true => self.laid_anew(&laid, record.layout.holders.clone()),
            false => self.laid_anew(&laid, with(&durable)),
        }
        .await?;
        failed.for_each(|id| self.hints.add(*id, &laid));
        match durable.is_empty() {
            true => self.spread_layout(&laid).await,
            false => {
                let again = durable.iter().map(|id| self.commit_at(*id, &laid));
                join_all(again).await;
            }
        }
        Ok((laid, durable.len()))
    }

    /// Commits the greater layout on the holders that stay, this node last, and announces it once all of them have
    /// it: a node with an older version drops it on that announcement. A holder that could not be told gets a
    /// hint, and keeps its copy until then.
    async fn tell_holders(&self, record: &Arc<Record>, laid: &Arc<Record>, need: &Need) {
        let others = need.keep.iter().filter(|id| **id != self.me.id);
        let commits = others.map(|id| async move {
            let held = self.commit_at(*id, laid).await;
            if let Err(error) = &held {
                tracing::debug!(key = %laid.key, node = %self.name_of(*id), error, "a holder could not be told of a newer layout; a hint is kept");
                self.hints.add(*id, laid);
            }
            held.is_ok()
        });
        let mut all_hold = join_all(commits).await.into_iter().all(|holds| holds);
        crash::point("relayout.told");
        if need.keep.contains(&self.me.id)
            && let Err(error) = self.commit_at(self.me.id, laid).await
        {
            tracing::warn!(key = %laid.key, error, "this node could not store the newer layout");
            all_hold = false;
        }
        crash::point("relayout.own");
        let left = record.layout.holders.iter();
        for id in left.filter(|id| **id != self.me.id && !laid.layout.names(**id)) {
            // A node with an older version drops it on this message, so don't send it before the file is where it
            // belongs.
            if !all_hold || !self.tell(*id, laid).await {
                self.hints.add(*id, laid);
            }
        }
        if all_hold {
            self.announce(laid).await;
        } else {
            self.learn(laid, 0, None).await;
        }
    }

    /// Announces a record to one node, which need not be a neighbour. Returns whether it heard.
    pub(in crate::driver) async fn tell(&self, id: NodeId, record: &Arc<Record>) -> bool {
        let Some(peer) = self.peer_of(id) else {
            return false;
        };
        let announcement = Announcement {
            record: Arc::clone(record),
            // On the other side of a healed partition, others hold the file under the lesser layout and have to
            // hear of it too.
            hops_left: self.settings.announce_hops,
        };
        let answer = self.transport.ask(&peer, self.message(announcement)).await;
        let heard = answer.and_then(|answer| self.answer_of(&peer, answer));
        if let Err(error) = &heard {
            tracing::debug!(key = %record.key, node = %peer.name, %error, "a node could not be told of a newer layout");
        }
        heard.is_ok()
    }
}
