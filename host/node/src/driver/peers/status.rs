//! What this node publishes about itself, and what it sees of others.
//!
//! Gossip fills a table of members; here it becomes the core's table, from which candidates, distances and names
//! are read. All of it is late by seconds, so a search never relies on it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use dataverse_core::id::NodeId;
use dataverse_core::members::{Edition, Liveness, MemberStatus, Members};
use dataverse_core::placement::Candidate;
use dataverse_core::policy::NodeView;
use dataverse_core::relocation::PathNode;
use dataverse_core::search::Peer;
use dataverse_overlay::membership;
use parking_lot::Mutex;

use crate::driver::Driver;
use crate::driver::client::api::{NodeSeen, NodeStatus};

/// How often a node checks whether its status has changed.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Requests per second, smoothed over a few seconds.
#[derive(Default)]
pub(in crate::driver) struct Load {
    since_look: AtomicU64,
    per_second: AtomicU32,
}

impl Load {
    pub(in crate::driver) fn count(&self) {
        self.since_look.fetch_add(1, Ordering::Relaxed);
    }

    pub(in crate::driver) fn per_second(&self) -> u32 {
        self.per_second.load(Ordering::Relaxed)
    }

    /// Called every [`LOOK_EVERY`]: a quarter of the new rate, three quarters of the old.
    fn look(&self) {
        let counted = self.since_look.swap(0, Ordering::Relaxed);
        let rate = counted * 1_000 / LOOK_EVERY.as_millis() as u64;
        let smoothed = (u64::from(self.per_second()) * 3 + rate) / 4;
        let smoothed = u32::try_from(smoothed).unwrap_or(u32::MAX);
        self.per_second.store(smoothed, Ordering::Relaxed);
    }
}

/// Names of the policies that decide, published so that others can see whether they run the same.
#[derive(Default)]
pub(in crate::driver) struct PolicyNames(Mutex<Vec<String>>);

impl PolicyNames {
    fn names(&self) -> Vec<String> {
        self.0.lock().clone()
    }
}

/// The core's table of members, as last gossiped.
#[derive(Default)]
pub(in crate::driver) struct Seen(Mutex<Arc<Members>>);

impl Seen {
    fn table(&self) -> Arc<Members> {
        Arc::clone(&self.0.lock())
    }

    fn replace(&self, members: Members) {
        *self.0.lock() = Arc::new(members);
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

    /// This node's status.
    pub fn status(&self) -> NodeStatus {
        let usage = self.store.usage();
        let (replicas, cached) = {
            let node = self.state.node();
            (node.replicas(), node.cached())
        };
        NodeStatus {
            name: self.me.name.to_string(),
            id: self.me.id,
            network: self.network.to_string(),
            uptime_s: self.started.elapsed().as_secs(),
            capacity: usage.capacity,
            free: usage.free_for_replicas(),
            replicas,
            cached,
            links: self.links.peers().len(),
            silent: self.silent(),
            problems: self.problems(),
            repair: self.repair_status(),
            drain: self.drain_status(),
            scrub: self.scrub_status(),
        }
    }

    /// Nodes that could take a replica of this size, possibly including this one.
    pub(in crate::driver) fn candidates(&self, size: u64) -> Vec<Candidate> {
        let me = Candidate {
            id: self.me.id,
            view: self.own_view(),
        };
        let radius = self.settings.placement_radius;
        let table = self.seen.table();
        let mut candidates = table.candidates(&me, &self.neighbours(), radius, size);
        if self.lifetime.now().draining {
            candidates.retain(|candidate| candidate.id != self.me.id);
        }
        candidates
    }

    /// The members, as last gossiped.
    pub(in crate::driver) fn seen_table(&self) -> Arc<Members> {
        self.seen.table()
    }

    /// Whether gossip sees this node alive.
    pub(in crate::driver) fn is_alive(&self, id: NodeId) -> bool {
        let table = self.seen.table();
        id == self.me.id || (table.find(id)).is_some_and(|member| member.state == Liveness::Alive)
    }

    /// Whether a replica may be placed on this node: it is alive and not being drained.
    pub(in crate::driver) fn may_hold(&self, id: NodeId) -> bool {
        if id == self.me.id {
            return !self.lifetime.now().draining;
        }
        let table = self.seen.table();
        let draining = |status: &MemberStatus| status.draining;
        table.find(id).is_some_and(|member| {
            member.state == Liveness::Alive && !member.status.as_ref().is_some_and(draining)
        })
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

    /// The peer with this id, if gossip knows it.
    pub(in crate::driver) fn member(&self, id: NodeId) -> Option<Peer> {
        let table = self.seen.table();
        table.find(id).map(|member| member.peer.clone())
    }

    pub(in crate::driver) fn name_of(&self, id: NodeId) -> String {
        let peer = self.peer_of(id);
        peer.map_or_else(|| id.default_name(), |peer| peer.name.to_string())
    }

    /// What a relocation policy sees of the nodes on the path to a holder.
    pub(in crate::driver) fn views_of(&self, path: &[Peer]) -> Vec<PathNode> {
        let table = self.seen.table();
        let last = path.len().saturating_sub(1);
        let node = |(at, peer): (usize, &Peer)| {
            let status = table
                .find(peer.id)
                .and_then(|member| member.status.as_ref());
            let view = match status {
                _ if peer.id == self.me.id => self.own_view(),
                Some(status) => view_of(peer.id, status),
                None => NodeView {
                    id: peer.id.short(),
                    zone: String::new(),
                    hops: 0,
                    capacity: 0,
                    free: 0,
                    load: 0,
                },
            };
            PathNode {
                id: peer.id,
                view: NodeView {
                    hops: at as u32,
                    ..view
                },
                has_copy: at == last,
            }
        };
        path.iter().enumerate().map(node).collect()
    }

    /// Sets the names of the policies that decide, for the published status.
    pub fn name_policies(&self, names: Vec<String>) {
        *self.policies.0.lock() = names;
    }

    /// Publishes this node's status. Gossip sends it only if it has changed.
    pub(in crate::driver) fn publish_status(&self) {
        let own = self.own_view();
        self.members.publish(membership::PublishedStatus {
            zone: own.zone,
            http: self.http.clone(),
            capacity: own.capacity,
            free: coarse(own.free, own.capacity),
            load: own.load,
            links: self.neighbours(),
            policies: self.policies.names(),
            draining: self.lifetime.now().draining,
            started_ms: 0,
            counter: 0,
        });
    }

    /// Keeps the published status and the load up to date, and drops preparations that have expired.
    pub(in crate::driver) async fn keep_status(self: Arc<Self>) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        while self.still_runs(look.tick()).await.is_some() {
            self.load.look();
            self.publish_status();
            self.preparations.expire(tokio::time::Instant::now());
        }
    }

    /// Follows changes of the membership: updates the table and downtimes, and checks the links of members that
    /// went or returned.
    pub(in crate::driver) async fn watch_members(self: Arc<Self>) {
        let mut changes = self.members.subscribe();
        let mut gone_before = BTreeSet::new();
        loop {
            let mut members = Members::default();
            let mut gone = BTreeSet::new();
            for seen in self.members.members().iter() {
                let state = seen.state;
                if state == Liveness::Gone {
                    gone.insert(seen.peer.id);
                }
                members.see(seen.peer.clone(), state);
                if let Some(status) = &seen.status {
                    members.publish(seen.peer.id, status_of(status));
                }
            }
            let seen = self.members.members();
            let alive = |state| state == Liveness::Alive;
            let downtime = seen.iter().map(|seen| (seen.peer.id, alive(seen.state)));
            self.downtime.see(downtime, tokio::time::Instant::now());
            self.seen.replace(members);
            for id in gone.symmetric_difference(&gone_before) {
                self.check_soon(*id);
            }
            gone_before = gone;
            match self.still_runs(changes.changed()).await {
                Some(Ok(())) => {}
                Some(Err(_)) | None => return,
            }
        }
    }

    fn own_view(&self) -> NodeView {
        let usage = self.store.usage();
        NodeView {
            id: self.me.id.short(),
            zone: self.zone.clone(),
            hops: 0,
            capacity: usage.capacity,
            // A node that refuses writes advertises no space.
            free: match self.unfit() {
                Some(_) => 0,
                None => usage.free_for_replicas(),
            },
            load: self.load.per_second(),
        }
    }

    fn neighbours(&self) -> Vec<NodeId> {
        self.links
            .staying_peers()
            .iter()
            .map(|peer| peer.id)
            .collect()
    }
}

/// Free bytes, rounded down to 1/128 of the capacity, so that not every write changes the status.
fn coarse(free: u64, capacity: u64) -> u64 {
    let step = (capacity / 128).max(1);
    free / step * step
}

fn view_of(id: NodeId, status: &MemberStatus) -> NodeView {
    NodeView {
        id: id.short(),
        zone: status.zone.to_string(),
        hops: 0,
        capacity: status.capacity,
        free: status.free,
        load: status.load,
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
