//! The members as this node sees them.
//!
//! Gossip fills a table of members; here it becomes the core's table, from which candidates, distances and names
//! are read. All of it is late by seconds, so a search never relies on it.

use std::collections::BTreeSet;
use std::sync::Arc;

use dataverse_core::id::NodeId;
use dataverse_core::members::{Edition, Liveness, MemberStatus, Members, Nearby};
use dataverse_core::record::Record;
use dataverse_core::search::Peer;
use dataverse_overlay::membership;
use dataverse_overlay::membership::MemberSeen;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::driver::Driver;
use crate::driver::client::api::NodeSeen;

/// The core's table of members, as last gossiped.
#[derive(Default)]
pub(in crate::driver) struct Seen {
    members: Mutex<Arc<Members>>,
    walked: Mutex<Walked>,
}

/// The members around this node. The walk over the links is made again only when it may lead elsewhere, since every
/// write and every re-replicated file asks for it.
#[derive(Default)]
struct Walked {
    members: Arc<Members>,
    links: Vec<NodeId>,
    nearby: Option<Arc<Nearby>>,
}

impl Seen {
    fn table(&self) -> Arc<Members> {
        Arc::clone(&self.members.lock())
    }

    fn replace(&self, members: Members) {
        *self.members.lock() = Arc::new(members);
    }

    /// The members within `radius` links of `me`, and the table in which they stand.
    pub(super) fn nearby(
        &self,
        me: NodeId,
        links: Vec<NodeId>,
        radius: u32,
    ) -> (Arc<Members>, Arc<Nearby>) {
        let members = self.table();
        let mut walked = self.walked.lock();
        let is_same = Arc::ptr_eq(&walked.members, &members) && walked.links == links;
        let nearby = match walked.nearby.clone().filter(|_| is_same) {
            Some(nearby) => nearby,
            None => Arc::new(members.nearby(me, &links, radius)),
        };
        *walked = Walked {
            members: Arc::clone(&members),
            links,
            nearby: Some(Arc::clone(&nearby)),
        };
        (members, nearby)
    }
}

impl Driver {
    /// Every member that this node knows of, including itself.
    pub fn nodes(&self) -> Vec<NodeSeen> {
        let table = self.seen.table();
        let hops = table.hops_from(self.me.id, &self.neighbours());
        let own = self.own_view();
        let itself = NodeSeen {
            name: self.me.name.to_string(),
            id: self.me.id,
            address: self.me.address.to_string(),
            http: self.http.clone(),
            zone: own.zone,
            hops: Some(0),
            capacity: own.capacity,
            free: own.free,
            load: own.load,
            state: Liveness::Alive.as_str(),
            silent_for: None,
        };
        let others = table.iter().map(|member| {
            let status = member.status.as_ref();
            NodeSeen {
                name: member.peer.name.to_string(),
                id: member.peer.id,
                address: member.peer.address.to_string(),
                http: status.map_or_else(String::new, |status| status.http.to_string()),
                zone: status.map_or_else(String::new, |status| status.zone.to_string()),
                hops: hops.get(&member.peer.id).copied(),
                capacity: status.map_or(0, |status| status.capacity),
                free: status.map_or(0, |status| status.free),
                load: status.map_or(0, |status| status.load),
                state: match member.state {
                    Liveness::Gone if self.has_left(member.peer.id) => "left",
                    state => state.as_str(),
                },
                silent_for: match member.state {
                    Liveness::Alive => None,
                    _ => self.silent_for(member.peer.id),
                },
            }
        });
        std::iter::once(itself).chain(others).collect()
    }

    /// The members, as last gossiped.
    pub(in crate::driver) fn seen_table(&self) -> Arc<Members> {
        self.seen.table()
    }

    /// Whether gossip sees this node alive.
    pub(in crate::driver) fn is_alive(&self, id: NodeId) -> bool {
        self.liveness().is_alive(id)
    }

    /// Whether any other member is alive, as far as gossip knows.
    pub(in crate::driver) fn is_with_others(&self) -> bool {
        let table = self.seen.table();
        table.iter().any(|member| member.state == Liveness::Alive)
    }

    /// The other members that are alive, as far as gossip knows.
    pub(in crate::driver) fn living_members(&self) -> Vec<Peer> {
        let table = self.seen.table();
        let alive = table
            .iter()
            .filter(|member| member.state == Liveness::Alive);
        alive.map(|member| member.peer.clone()).collect()
    }

    /// The peer with this id, if it is a member or a neighbour.
    pub(in crate::driver) fn peer_of(&self, id: NodeId) -> Option<Peer> {
        if id == self.me.id {
            return Some(self.me.clone());
        }
        self.member(id).or_else(|| self.links.peer(id))
    }

    /// Adds the holders of the layout that are not among the sources yet.
    pub(in crate::driver) fn add_holders(&self, sources: &mut Vec<Peer>, record: &Record) {
        let holders = record.layout.holders.iter();
        for peer in holders.filter_map(|id| self.peer_of(*id)) {
            let known = peer.id == self.me.id || sources.iter().any(|other| other.id == peer.id);
            if !known {
                sources.push(peer);
            }
        }
    }

    /// The peer with this id, if gossip knows it.
    pub(in crate::driver) fn member(&self, id: NodeId) -> Option<Peer> {
        let table = self.seen.table();
        table.find(id).map(|member| member.peer.clone())
    }

    pub(in crate::driver) fn name_of(&self, id: NodeId) -> String {
        let peer = self.peer_of(id);
        peer.map_or_else(|| id.default_name(), |peer| peer.name.to_string())
    }

    /// Follows changes of the membership: updates the table and downtimes, and checks the links of members that
    /// went or returned.
    pub(in crate::driver) async fn watch_members(self: Arc<Self>) {
        let mut changes = self.members.subscribe();
        let mut gone_before = BTreeSet::new();
        let mut trust = None;
        loop {
            if trust.is_none() {
                trust = self.credentials.get().map(|it| it.revision());
            }
            let mut members = Members::default();
            let mut gone = BTreeSet::new();
            let (revoked, seen) = self.revoked_and_other_members();
            for seen in &seen {
                let state = seen.state;
                if state == Liveness::Gone {
                    gone.insert(seen.peer.id);
                }
                members.see(seen.peer.clone(), state);
                if let Some(status) = &seen.status {
                    members.publish(seen.peer.id, status_of(status));
                }
            }
            let alive = |state| state == Liveness::Alive;
            let downtime = seen.iter().map(|seen| (seen.peer.id, alive(seen.state)));
            let publish = || self.seen.replace(members);
            let now = Instant::now();
            self.downtime.see(downtime, now, publish);
            self.downtime
                .give_up(&revoked, now, self.settings.repair_after);
            let one_came = gone_before.difference(&gone).next().is_some();
            self.state.backlog.members_changed(one_came);
            for id in gone.symmetric_difference(&gone_before) {
                self.check_soon(*id);
            }
            gone_before = gone;
            let changed = self.still_runs(async {
                tokio::select! {
                    changed = changes.changed() => changed.is_ok(),
                    changed = revision_of(&mut trust) => changed,
                }
            });
            if changed.await != Some(true) {
                return;
            }
        }
    }

    /// The members that were revoked in the network, and all others.
    fn revoked_and_other_members(&self) -> (Vec<NodeId>, Vec<MemberSeen>) {
        let seen = self.members.members();
        let (revoked, others): (Vec<_>, Vec<_>) = seen
            .iter()
            .cloned()
            .partition(|seen| self.is_revoked(seen.peer.id));
        let revoked = revoked.into_iter().map(|seen| seen.peer.id);
        (revoked.collect(), others)
    }
}

/// Waits for a change of what the node trusts; for ever if it has no identity.
async fn revision_of(trust: &mut Option<watch::Receiver<u64>>) -> bool {
    match trust {
        Some(revision) => revision.changed().await.is_ok(),
        None => std::future::pending().await,
    }
}

fn status_of(status: &membership::PublishedStatus) -> MemberStatus {
    MemberStatus {
        edition: Edition {
            started: status.started_ms,
            count: status.counter,
        },
        zone: status.zone.as_str().into(),
        http: status.http.as_str().into(),
        capacity: status.capacity,
        free: status.free,
        load: status.load,
        links: status.links.clone(),
        draining: status.draining,
    }
}
