//! Reads, in the same steps as the live driver: the node's own copy; otherwise a search, one question to the
//! relocation policy, and the content over the path that the search took.

use std::sync::Arc;

use dataverse_core::holdings::{Holding, Role};
use dataverse_core::node::LocalRead;
use dataverse_core::record::Record;
use dataverse_core::relocation::PathNode;
use dataverse_core::search::Peer;
use dataverse_core::version::{Millis, Version};
use dataverse_replication::upkeep::{Rank, Task};

use super::simulation::SimulatedNetwork;
use super::tally::Answered;

/// A copy that a search found, confirmed as the newest if possible.
struct Nearest {
    node: u32,
    holding: Holding,
    hops: u32,
    /// When it was last known to be the newest version; 0 if never.
    validated: Millis,
    /// Microseconds since the start of the search.
    waited_us: u64,
}

impl SimulatedNetwork<'_> {
    /// A read at a node.
    pub(super) fn read(&mut self, node: u32, file: u32) {
        if !self.file(file).exists() {
            self.tally.counts.absent += 1;
            return;
        }
        let key = self.files[file as usize].key.clone();
        let (now, fresh_ms) = (self.now(), self.fresh_ms());
        match self.site(node).core.read(&key, now, fresh_ms) {
            LocalRead::Serve(holding) => self.answer_here(node, file, &holding, 0),
            LocalRead::Confirm(holding) => {
                let waited_us = self.confirm(node, &holding.record);
                if waited_us.is_some() {
                    let version = holding.record.version;
                    self.site(node).core.validated(&key, version, now);
                }
                // A copy that can't be confirmed is served as well, marked as stale.
                self.answer_here(node, file, &holding, waited_us.unwrap_or(0));
            }
            LocalRead::Search { floor } => match self.find(node, file, floor) {
                Some(nearest) => self.answer_from(node, file, nearest),
                None => {
                    let size = self.size_of(file);
                    self.tally.unavailable(node, file, size);
                }
            },
        }
    }

    /// How long a cached copy is served without asking a replica.
    fn fresh_ms(&self) -> u64 {
        libm::round(self.scenario.nodes.revalidate_after.value() * 1e3) as u64
    }

    pub(super) fn size_of(&self, file: u32) -> u64 {
        let record = self.files[file as usize].record.as_ref();
        record.map_or(0, |record| record.size)
    }

    /// Whether a newer version than this was acknowledged somewhere.
    fn is_outdated(&self, file: u32, record: &Record) -> bool {
        let newest = self.files[file as usize].record.as_ref();
        newest.is_some_and(|newest| newest.version > record.version)
    }

    /// Asks the replicas of a version whether it is the newest, and returns how long the fastest of them takes;
    /// none if none is reachable.
    fn confirm(&mut self, node: u32, record: &Record) -> Option<u64> {
        let search_plan = self.search_plan(node);
        let holders = record.layout.holders.iter().map(|id| self.by_id[id]);
        let in_reach =
            holders.filter(|&holder| holder != node && search_plan.hops(holder).is_some());
        let confirm = in_reach.filter(|&holder| {
            let held = self.sites[holder as usize].core.holding(&record.key);
            held.is_some_and(|it| it.role == Role::Replica && it.record.version == record.version)
        });
        confirm.map(|holder| 2 * search_plan.delay_us(holder)).min()
    }

    /// Serves a node's own copy.
    fn answer_here(&mut self, node: u32, file: u32, holding: &Holding, latency_us: u64) {
        let now = self.now();
        let site = self.site(node);
        site.load.count(now);
        let cached = holding.role == Role::Cached;
        if cached {
            site.cache.hit(&holding.record.key, now);
        }
        let replica_hops = self.hops_to_replica(node, &holding.record);
        self.tally.answered(Answered {
            node,
            file,
            size: holding.record.size,
            by: node,
            cached,
            outdated: self.is_outdated(file, &holding.record),
            hops: 0,
            replica_hops,
            latency_us,
        });
    }

    /// Links to the nearest reachable replica of a version.
    fn hops_to_replica(&mut self, node: u32, record: &Record) -> Option<u32> {
        let search_plan = self.search_plan(node);
        let holders = record.layout.holders.iter().map(|id| self.by_id[id]);
        let holds = |&holder: &u32| self.sites[holder as usize].holds(record);
        holders
            .filter(holds)
            .filter_map(|holder| search_plan.hops(holder))
            .min()
    }

    /// Searches the other nodes. Every probe counts as a request at the probed node.
    fn find(&mut self, node: u32, file: u32, floor: Option<Version>) -> Option<Nearest> {
        let now = self.now();
        let search_plan = self.search_plan(node);
        let known = &self.files[file as usize];
        // Versions below the floor don't count as answers; such copies exist only if the network was split.
        let is_answer = |&copy: &u32| {
            let held = self.sites[copy as usize].core.holding(&known.key);
            !self.was_apart || held.map(|held| held.record.version) >= floor
        };
        let holders = known.copies.iter().copied().filter(is_answer);
        let found = search_plan.search(holders, self.scenario.nodes.search_hops);
        self.tally.searched(found.probes, found.elapsed_us);
        for &asked in search_plan.asked(found.probes) {
            self.site(asked).load.count(now);
        }
        // At equal distance: a replica before a cached copy, then the least load, then the least id.
        let key = &self.files[file as usize].key;
        let hits = found.hits.iter().map(|&hit| {
            let site = &mut self.sites[hit as usize];
            let held = site.core.holding(key).expect("every noted copy is held");
            let role = held.role;
            (
                (std::cmp::Reverse(role), site.load.per_second(now), site.id),
                hit,
            )
        });
        let (_, hit) = hits.min()?;
        let holding = self.sites[hit as usize].core.holding(key)?.clone();
        let mut nearest = Nearest {
            node: hit,
            hops: found.hops,
            validated: now,
            waited_us: found.elapsed_us,
            holding,
        };
        self.confirm_hit(node, &mut nearest);
        Some(nearest)
    }

    /// A replica needs no confirmation, nor does a cached copy that was confirmed recently.
    fn confirm_hit(&mut self, node: u32, nearest: &mut Nearest) {
        let holding = &nearest.holding;
        if holding.role == Role::Replica {
            return;
        }
        nearest.validated = holding.validated;
        if self.now().saturating_sub(holding.validated) <= self.fresh_ms() {
            return;
        }
        let record = Arc::clone(&holding.record);
        nearest.validated = 0;
        if let Some(waited_us) = self.confirm(node, &record) {
            nearest.validated = self.now();
            nearest.waited_us += waited_us;
        }
    }

    /// Fetches a file from another node.
    fn answer_from(&mut self, node: u32, file: u32, nearest: Nearest) {
        let now = self.now();
        let record = Arc::clone(&nearest.holding.record);
        let search_plan = self.search_plan(node);
        let path = search_plan.path(nearest.node);
        let replica_hops = self.hops_to_replica(node, &record);
        self.site(node).load.count(now);
        let views = self.views_of(&path);
        let plan = self
            .site(node)
            .plan(&record, &views, nearest.holding.role, now);
        let own = self.sites[node as usize].id;
        for id in plan.copy_to.iter().filter(|id| **id != own) {
            let at = views.iter().position(|on_path| on_path.id == *id);
            let at = at.expect("a plan names only nodes of the path");
            self.pull(&path[at..], file, &record);
        }
        if plan.copy_to.contains(&own) {
            self.keep(node, file, &record, nearest.hops, nearest.validated);
        }
        let sent_us = self.fetch(&path, &record);
        if let Some(to) = plan.move_to {
            let to = self.by_id[&to];
            self.move_soon(&record, nearest.node, to);
        }
        self.tally.answered(Answered {
            node,
            file,
            size: record.size,
            by: nearest.node,
            cached: nearest.holding.role == Role::Cached,
            outdated: self.is_outdated(file, &record),
            hops: nearest.hops,
            replica_hops,
            latency_us: nearest.waited_us + search_plan.delay_us(nearest.node) + sent_us,
        });
    }

    /// Has a holder move its replica to a node that has none.
    fn move_soon(&mut self, record: &Arc<Record>, holder: u32, to: u32) {
        let from = self.sites[holder as usize].id;
        let site = &self.sites[to as usize];
        let to = Peer {
            id: site.id,
            name: site.name.as_str().into(),
            address: "".into(),
        };
        let rank = Rank::of(usize::MAX, record.size);
        let record = Arc::clone(record);
        self.add_task(holder, Task::Move { record, from, to }, rank);
    }

    fn views_of(&mut self, path: &[u32]) -> Vec<PathNode> {
        let now = self.now();
        let last = path.len() - 1;
        let view = |(at, &node): (usize, &u32)| {
            let site = &mut self.sites[node as usize];
            PathNode {
                id: site.id,
                view: site.view(at as u32, now),
                has_copy: at == last,
            }
        };
        path.iter().enumerate().map(view).collect()
    }

    /// The first node of a path caches a copy from the last one, if its eviction policy admits it.
    fn pull(&mut self, path: &[u32], file: u32, record: &Arc<Record>) {
        let (to, hops) = (path[0], path.len() as u32 - 1);
        if self.keep(to, file, record, hops, 0) {
            self.tally.counts.relocated_bytes += record.size;
            self.fetch(path, record);
        }
    }

    /// Sends content from the last node of a path to the first. Returns how long that takes, in microseconds.
    fn fetch(&mut self, path: &[u32], record: &Record) -> u64 {
        let now = self.now();
        let from = path[path.len() - 1];
        let site = self.site(from);
        site.load.count(now);
        if site
            .core
            .holding(&record.key)
            .is_some_and(|held| held.role == Role::Cached)
        {
            site.cache.hit(&record.key, now);
        }
        self.carry(path, record.size)
    }

    /// Keeps a copy that crossed `hops` links: as a replica if the layout names the node, otherwise as a cached
    /// copy if the eviction policy admits it. False if it is not kept.
    fn keep(
        &mut self,
        node: u32,
        file: u32,
        record: &Arc<Record>,
        hops: u32,
        validated: Millis,
    ) -> bool {
        let now = self.now();
        let site = self.site(node);
        if site.holds(record) {
            return false;
        }
        let (role, victims) = if record.layout.names(site.id) {
            match site.make_room(record.size, now) {
                Ok(victims) => (Some(Role::Replica), victims),
                Err(_) => (None, Vec::new()),
            }
        } else {
            let (admitted, victims) = site.admit(record, hops, 0, now);
            (admitted.then_some(Role::Cached), victims)
        };
        if let Some(role) = role {
            site.hold(record, role, validated, now);
        }
        self.note_victims(node, &victims);
        if role.is_some() {
            self.note_copy(file, node);
            self.tally.counts.copies += 1;
        }
        role.is_some()
    }
}
