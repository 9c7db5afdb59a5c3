//! `Site`: one simulated node: the core's node and cache, its policies, and its account of bytes.
//!
//! It performs on itself what the core and its policies decide, as the live driver does on its store;
//! `SimulatedNetwork` handles everything that involves other nodes. Methods return what left the cache, so that
//! the network knows which node has what.

use std::sync::Arc;

use dataverse_core::cache::{Cache, CachedCopy, Victim};
use dataverse_core::holdings::{Holding, Role};
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::limits;
use dataverse_core::node::Node;
use dataverse_core::placement::{self, Candidate};
use dataverse_core::policy::{FileView, NodeView, PlacementRequest, ReaderKeepsCopy, Rendezvous};
use dataverse_core::record::Record;
use dataverse_core::relocation::{self, PathNode, Reads, RelocationPlan};
use dataverse_core::version::{Millis, Stamp, Version};
use dataverse_replication::upkeep::Upkeep;

use super::chosen_policies::ChosenPolicies;
use super::load::Load;
use super::slot::LabSlot;
use crate::library::{PricedEviction, PricedPlacement, PricedRelocation};
use crate::seed::derive;

/// Tasks of upkeep that move contents at the same time, as many as by default in a live node.
const CONTENTS_AT_ONCE: usize = 4;

/// There is not enough space, whatever is evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

/// One simulated node.
pub(super) struct Site {
    pub(super) id: NodeId,
    pub(super) name: String,
    pub(super) zone: String,
    /// Bytes that it may use; unlimited if not configured.
    capacity: Option<u64>,
    /// The maximum number of bytes of cached copies.
    cache_max: u64,
    pub(super) core: Node,
    pub(super) cache: Cache,
    pub(super) placement: LabSlot<dyn PricedPlacement>,
    pub(super) eviction: LabSlot<dyn PricedEviction>,
    pub(super) relocation: LabSlot<dyn PricedRelocation>,
    pub(super) reads: Reads,
    pub(super) load: Load,
    pub(super) upkeep: Upkeep,
}

/// The capacity of a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) capacity: Option<u64>,
    pub(super) cache_max: u64,
}

impl Site {
    pub(super) fn new(
        id: NodeId,
        name: String,
        zone: String,
        room: Room,
        policies: &ChosenPolicies,
        seed: u64,
    ) -> Self {
        let seed_of = |kind| derive(seed, &["policy", &name, kind]);
        Self {
            id,
            placement: LabSlot::new(policies.placement.clone(), seed_of("placement")),
            eviction: LabSlot::new(policies.eviction.clone(), seed_of("eviction")),
            relocation: LabSlot::new(policies.relocation.clone(), seed_of("relocation")),
            name,
            zone,
            capacity: room.capacity,
            cache_max: room.cache_max,
            core: Node::new(id, Stamp::default(), Vec::new()),
            cache: Cache::new(0),
            reads: Reads::default(),
            load: Load::default(),
            upkeep: Upkeep::new(id, CONTENTS_AT_ONCE),
        }
    }

    /// How policies see it.
    pub(super) fn view(&mut self, hops: u32, now: Millis) -> NodeView {
        NodeView {
            id: self.id.short(),
            zone: self.zone.clone(),
            hops,
            capacity: self.capacity.unwrap_or(u64::MAX),
            free: self.free_for_replicas(),
            load: self.load.per_second(now),
        }
    }

    /// Bytes left for replicas, which may evict all cached copies.
    pub(super) fn free_for_replicas(&self) -> u64 {
        self.limit().saturating_sub(self.core.replicas().bytes)
    }

    /// A version above `known` and everything before it, stamped by this node.
    pub(super) fn version_above(&mut self, known: Option<Stamp>, now: Millis) -> Version {
        let clock = self.core.clock();
        // Simulated clocks agree, so no stamp is in the future.
        let observed = known.map_or(Ok(()), |stamp| clock.observe(stamp, now));
        observed.expect("no simulated node stamps in the future");
        if let Some(ceiling) = clock.ceiling_due(now) {
            clock.raise(ceiling);
        }
        Version {
            stamp: clock.tick(now).expect("the ceiling was raised"),
            writer: self.id,
        }
    }

    /// Asks the placement policy, or the baseline in its place.
    pub(super) fn rank(
        &mut self,
        request: &PlacementRequest,
        candidates: Vec<Candidate>,
        holders_first: &[NodeId],
    ) -> Vec<NodeId> {
        self.placement.ask(&mut Rendezvous, request.now, |policy| {
            let ranked = placement::rank(policy, request, candidates, holders_first);
            (ranked.order, ranked.fault)
        })
    }

    /// Asks the relocation policy, or the baseline in its place, about a read of this file over this path.
    pub(super) fn plan(
        &mut self,
        record: &Record,
        path: &[PathNode],
        hit: Role,
        now: Millis,
    ) -> RelocationPlan {
        let reads = self.reads.count(record.key.file_id(), now);
        let file = FileView::of(&record.key, record.size);
        self.relocation.ask(&mut ReaderKeepsCopy, now, |policy| {
            let mut plan = relocation::plan(policy, file, reads, path, hit, now);
            let fault = plan.fault.take();
            (plan, fault)
        })
    }

    /// Whether to cache a copy that crossed `hops` links. `promised` bytes of it are already counted elsewhere.
    /// Also returns what left the cache.
    pub(super) fn admit(
        &mut self,
        record: &Record,
        hops: u32,
        promised: u64,
        now: Millis,
    ) -> (bool, Vec<Victim>) {
        let mut gone = self.drop_older(record);
        self.cache.set_capacity(self.budget(promised));
        let copy = CachedCopy::of(record.key.clone(), record.version, record.size, hops);
        let outcome = self.eviction.admit(&mut self.cache, copy, now);
        self.drop_all(&outcome.victims);
        gone.extend(outcome.victims);
        (outcome.admitted, gone)
    }

    /// Evicts cached copies to make space for a replica of this many bytes.
    pub(super) fn make_room(&mut self, bytes: u64, now: Millis) -> Result<Vec<Victim>, NoRoom> {
        let (replicas, cached) = (self.core.replicas().bytes, self.core.cached().bytes);
        let used = replicas.saturating_add(cached);
        let short = used.saturating_add(bytes).saturating_sub(self.limit());
        if short == 0 {
            return Ok(Vec::new());
        }
        // If even dropping everything would not free enough, it is refused before anything is dropped.
        if short > cached {
            return Err(NoRoom);
        }
        // The budget shrinks by the needed bytes, so that the space is not given away again.
        self.cache
            .set_capacity(self.budget(0).saturating_sub(short));
        let outcome = self.eviction.make_room(&mut self.cache, short, now);
        self.drop_all(&outcome.victims);
        Ok(outcome.victims)
    }

    /// Holds this, in place of what it held of the file.
    pub(super) fn hold(
        &mut self,
        record: &Arc<Record>,
        role: Role,
        validated: Millis,
        now: Millis,
    ) {
        if role == Role::Replica
            && let Some(cached) = self.cache.version_of(&record.key)
        {
            self.cache.remove(&record.key, cached);
        }
        let holding = Holding {
            record: Arc::clone(record),
            role,
            validated,
            verified: now,
        };
        self.core.changed(&record.key, Some(&holding));
    }

    /// Drops what it holds of this file.
    pub(super) fn drop_copy(&mut self, key: &Key) {
        if let Some(cached) = self.cache.version_of(key) {
            self.cache.remove(key, cached);
        }
        self.core.changed(key, None);
    }

    /// Whether it holds exactly this version.
    pub(super) fn holds(&self, record: &Record) -> bool {
        let held = self.core.holding(&record.key);
        held.is_some_and(|holding| holding.record.version == record.version)
    }

    /// Drops an older cached copy before the policy is asked to admit the new one.
    fn drop_older(&mut self, record: &Record) -> Vec<Victim> {
        let held = self.core.holding(&record.key);
        let older = held.filter(|holding| {
            holding.role == Role::Cached && holding.record.version < record.version
        });
        let Some(victim) = older.map(|holding| Victim {
            key: record.key.clone(),
            version: holding.record.version,
            size: holding.record.size,
        }) else {
            return Vec::new();
        };
        self.drop_copy(&record.key);
        vec![victim]
    }

    fn drop_all(&mut self, victims: &[Victim]) {
        for victim in victims {
            self.core.changed(&victim.key, None);
        }
    }

    /// Bytes that may be used: one hundredth of the capacity is reserved, as in a live node.
    fn limit(&self) -> u64 {
        let capacity = self.capacity.unwrap_or(u64::MAX);
        capacity - capacity / limits::STORE_RESERVE_DIVISOR
    }

    /// Bytes that cached copies may use now.
    fn budget(&self, promised: u64) -> u64 {
        let free = self
            .free_for_replicas()
            .saturating_sub(self.core.cached().bytes);
        let budget = self
            .cache
            .used()
            .saturating_add(free)
            .saturating_add(promised);
        budget.min(self.cache_max)
    }

    /// A sentence about a contradiction in its accounts, if there is one.
    #[cfg(test)]
    pub(super) fn contradiction(&self) -> Option<String> {
        let (replicas, cached) = (self.core.replicas().bytes, self.core.cached().bytes);
        if cached != self.cache.used() {
            return Some(format!(
                "{cached} bytes are cached and {} counted",
                self.cache.used()
            ));
        }
        if replicas + cached > self.limit() {
            return Some(format!(
                "{} bytes are used of {}",
                replicas + cached,
                self.limit()
            ));
        }
        (cached > self.cache_max)
            .then(|| format!("{cached} bytes are cached of {}", self.cache_max))
    }
}
