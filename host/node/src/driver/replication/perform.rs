//! Runs the protocols of `dataverse_replication`: performs their actions over the transport and the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::relayout::HolderState;
use dataverse_core::search::{FoundHit, Peer, Report};
use dataverse_core::version::Version;
use dataverse_replication::protocol::{
    Action, Committed, Copies, Event, Found, Protocol, Seen, Step,
};
use dataverse_store::crash;
use dataverse_store::{Prepared, StoreError};
use futures_util::future::join_all;

use super::commit::Held;
use crate::driver::Driver;
use crate::driver::client::api::WriteError;
use crate::driver::client::conditional::Pending;
use crate::driver::client::preparing::Ready;

/// What a protocol about one file has to work with.
pub(in crate::driver) struct Means<'a> {
    key: Key,
    /// Nodes that may take a copy, best first.
    pub(in crate::driver) takers: Vec<Peer>,
    /// Nodes with copies that a search found.
    found: Vec<Peer>,
    /// Nodes that are ready to commit.
    pub(in crate::driver) ready: BTreeMap<NodeId, Ready>,
    /// The content, if it is on this node's disk for a commit here.
    pub(in crate::driver) content: Option<Prepared>,
    /// Why this node could not store it.
    pub(in crate::driver) store_error: Option<StoreError>,
    /// The deletion whose versions are stamped.
    pub(in crate::driver) pending: Option<&'a Pending>,
}

impl Means<'_> {
    pub(in crate::driver) fn of(key: &Key) -> Self {
        Self {
            key: key.clone(),
            takers: Vec::new(),
            found: Vec::new(),
            ready: BTreeMap::new(),
            content: None,
            store_error: None,
            pending: None,
        }
    }
}

impl Driver {
    /// Runs a protocol to its end.
    pub(in crate::driver) async fn run<P: Protocol>(
        &self,
        mut protocol: P,
        means: &mut Means<'_>,
    ) -> P::Output {
        let mut event = Event::Done;
        loop {
            match protocol.step(event) {
                Step::Do(action) => event = self.perform(action, means).await,
                Step::End(output) => return output,
            }
        }
    }

    async fn perform(&self, action: Action, means: &mut Means<'_>) -> Event {
        match action {
            Action::Look => return Event::Seen(self.seen_of(&means.key)),
            Action::Ask(nodes) => {
                let key = &means.key;
                let asked = nodes.into_iter().map(|id| async move {
                    match self.peer_of(id) {
                        Some(peer) => (id, self.ask_version(peer, key).await),
                        None => (id, None),
                    }
                });
                return Event::Answers(join_all(asked).await);
            }
            Action::Search { above, but } => {
                let (report, passed_over) = self.search_past(&means.key, above, &but).await;
                return Event::Found(self.found_in(&report, above, passed_over));
            }
            Action::Copies(record) => return Event::Copies(self.copies_of(&record, means).await),
            Action::Fetch { record, from } => {
                let peer = |id: &NodeId| {
                    let found = means.found.iter().find(|peer| peer.id == *id).cloned();
                    found.or_else(|| self.peer_of(*id))
                };
                let sources = from.iter().filter_map(peer).collect();
                self.fetch_paced(&record, sources).await;
                return Event::Stored(self.holds(&record));
            }
            Action::Prepare { record, wanted } => {
                let takers = std::mem::take(&mut means.takers);
                let readied = self.copy_to(&record, wanted, takers).await;
                let heard = readied.iter().map(|ready| (ready.peer.id, ready.known));
                let prepared = Event::Prepared(heard.collect());
                let by_node = readied.into_iter().map(|ready| (ready.peer.id, ready));
                means.ready.extend(by_node);
                return prepared;
            }
            Action::Abandon(nodes) => {
                for ready in nodes.iter().filter_map(|id| means.ready.remove(id)) {
                    self.abandon_ready(&ready);
                }
            }
            Action::Verify(heard) => {
                self.hear(&means.key, heard);
                self.await_first_verification(&means.key).await;
                return Event::Seen(self.seen_of(&means.key));
            }
            Action::LayAnew { record, holders } => {
                let laid = self.laid_anew(&record, holders).await;
                return Event::Laid(laid.map_err(|error| {
                    let reason = error.to_string();
                    means.store_error = Some(error);
                    reason
                }));
            }
            Action::Commit { record, on } => {
                return Event::Committed(self.commit_all(&record, on, means).await);
            }
            Action::Offer { record, to } => {
                let offers = to.iter().filter_map(|id| self.peer_of(*id));
                let record = &record;
                join_all(offers.map(|peer| async move { self.offer(&peer, record).await })).await;
            }
            Action::Show { record, by } => {
                return Event::Shown(self.has_shown(self.peer_of(by), &record).await);
            }
            Action::Tell { record, to } => {
                let record = &record;
                let told = to
                    .into_iter()
                    .map(|id| async move { (id, self.tell(id, record).await) });
                return Event::Told(join_all(told).await);
            }
            Action::Hint { record, to } => to.iter().for_each(|id| self.hint(*id, &record)),
            Action::Announce(record) => self.announce(&record).await,
            Action::Learn(record) => self.learn(&record, 0, None).await,
            Action::TakeIn(record) => self.take_greater_soon(&record),
            Action::Confirm(heard) => self.state.node().confirm(&means.key, heard),
            Action::Forget(version) => self.state.node().disprove(&means.key, version),
            Action::Replace { record, is_certain } => {
                return Event::Stored(self.replace(&record, is_certain).await);
            }
            Action::Demote(record) => return Event::Stored(self.demote(&record).await),
            Action::Relieve(record) => self.relieve_if_full(&record).await,
            Action::GiveUp(record) => self.give_up(&record).await,
            Action::Spares { tombstone, wanted } => {
                return Event::Spares(self.spares_for(&tombstone, wanted));
            }
            Action::Stamp(above) => {
                let stamped = self.stamp_above(above, means).await;
                return Event::Stamped(stamped.map_err(|error| error.to_string()));
            }
            Action::Reach(point) => crash::point(point),
        }
        Event::Done
    }

    fn seen_of(&self, key: &Key) -> Seen {
        let node = self.state.node();
        let held = node.holding(key).cloned();
        let (known, confirmed) = (node.known(key), node.confirmed(key));
        drop(node);
        let holders = held.iter().flat_map(|held| &held.record.layout.holders);
        let liveness = self.liveness();
        let left = holders.filter(|id| **id != self.me.id);
        let left = left.filter(|id| liveness.state_of(**id) != HolderState::Gone);
        Seen {
            others_left: left.count(),
            held,
            known,
            confirmed,
        }
    }

    fn found_in(&self, report: &Report, above: Version, passed_over: bool) -> Found {
        Found {
            record: greatest_found(report, above).cloned(),
            passed_over,
            heard: report.floor.map(|heard| heard.version),
            asked: self.asked_in(report),
        }
    }

    async fn copies_of(&self, record: &Record, means: &mut Means<'_>) -> Copies {
        let floor = Some(record.version);
        let report = self
            .search_elsewhere(&record.key, floor, &BTreeSet::new())
            .await;
        let asked = self.asked_in(&report);
        // What nodes have only heard of hides no copy, neither from them nor from this one.
        let lesser = report.below.into_iter().chain(report.overtaken);
        let found: Vec<FoundHit> = report.hits.into_iter().chain(lesser).collect();
        let found = found.into_iter();
        let found: Vec<_> = found.filter(|found| !found.hit.is_unverified()).collect();
        let copy = |found: &FoundHit| (found.peer.id, Arc::clone(&found.hit.record));
        // Whoever has the deletion: those that it names are asked about it.
        let deletion = report.deletion.map(|deletion| (self.me.id, deletion));
        let copies = found.iter().map(copy).chain(deletion).collect();
        means.found = found.into_iter().map(|found| found.peer).collect();
        Copies { copies, asked }
    }

    /// Commits a record on these nodes: with what is prepared on them, or without any content.
    async fn commit_all(
        &self,
        record: &Arc<Record>,
        on: Vec<NodeId>,
        means: &mut Means<'_>,
    ) -> Vec<(NodeId, Committed)> {
        let mut own = None;
        let others = on.into_iter().filter_map(|id| {
            let ready = means.ready.remove(&id);
            if id == self.me.id {
                own = Some(means.content.take());
                return None;
            }
            Some(async move { (id, self.commit_other(id, ready, record).await) })
        });
        let others: Vec<_> = others.collect();
        let commit_own = async {
            match own {
                Some(content) => Some(self.hold(record, Role::Replica, content, self.now()).await),
                None => None,
            }
        };
        let (own, others) = tokio::join!(commit_own, join_all(others));
        let own = own.map(|held| {
            let committed = match held {
                Ok(held) => held.into(),
                Err(error) => {
                    tracing::error!(key = %record.key, %error, "this node could not store a record");
                    means.store_error = Some(error);
                    Committed::Silent
                }
            };
            (self.me.id, committed)
        });
        own.into_iter().chain(others).collect()
    }

    async fn commit_other(
        &self,
        id: NodeId,
        ready: Option<Ready>,
        record: &Arc<Record>,
    ) -> Committed {
        let held = match &ready {
            Some(ready) => self
                .commit_surely(ready, record)
                .await
                .map_err(|error| error.to_string()),
            None => self.commit_at(id, record).await,
        };
        match held {
            Ok(held) => held.into(),
            Err(error) => {
                let node = self.name_of(id);
                // With content that is ready there, or a deletion, it matters to whoever asked for it.
                match ready.is_some() || record.deleted {
                    true => {
                        tracing::warn!(key = %record.key, node, error, "a node did not confirm a commit");
                    }
                    false => {
                        tracing::debug!(key = %record.key, node, error, "a node did not confirm a layout");
                    }
                }
                Committed::Silent
            }
        }
    }

    async fn stamp_above(&self, above: Version, means: &Means<'_>) -> Result<Version, WriteError> {
        let own = self.state.node().known(&means.key);
        self.surpass(above.stamp)?;
        let version = self.version_above(&means.key, own).await?;
        if let Some(pending) = means.pending {
            pending.stamped(version);
        }
        Ok(version)
    }
}

/// The greatest record above a version that a search has found. A version that no node has may be heard of from many; it
/// must not hide a lesser one that a node serves.
pub(in crate::driver) fn greatest_found(report: &Report, above: Version) -> Option<&Arc<Record>> {
    let copies = report.hits.iter().chain(&report.below);
    let copies = copies.map(|found| &found.hit.record);
    let greatest = copies.chain(&report.deletion).max();
    greatest.filter(|record| record.version > above)
}

impl From<Held> for Committed {
    fn from(held: Held) -> Self {
        match held {
            Held::Here => Self::Here,
            Held::Greater(greater) => Self::Greater(greater),
            Held::Not => Self::Not,
        }
    }
}
