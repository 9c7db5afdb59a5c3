//! What this node publishes about itself: its space, its load, its policies and its links.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use dataverse_core::id::NodeId;
use dataverse_core::policy::NodeView;
use dataverse_overlay::membership;
use parking_lot::Mutex;

use crate::driver::Driver;
use crate::driver::client::api::NodeStatus;

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

impl Driver {
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
            upkeep: self.state.backlog.counts().to_vec(),
            drain: self.drain_status(),
            scrub: self.scrub_status(),
        }
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

    /// Keeps the published status and the load up to date.
    pub(in crate::driver) async fn keep_status(self: Arc<Self>) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        while self.still_runs(look.tick()).await.is_some() {
            self.load.look();
            self.publish_status();
        }
    }

    pub(super) fn own_view(&self) -> NodeView {
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

    pub(super) fn neighbours(&self) -> Vec<NodeId> {
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
