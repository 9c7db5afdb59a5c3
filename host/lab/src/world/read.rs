//! Reads, in the same steps as the live driver (`dataverse_replication::reading`): the node's own copy; otherwise a
//! search, one question to the relocation policy, and the content over the path that the search took.

use std::sync::Arc;

use dataverse_core::holdings::{Holding, Role};
use dataverse_core::record::Record;
use dataverse_core::relocation::PathNode;
use dataverse_core::search::Peer;
use dataverse_core::version::{Millis, Version};
use dataverse_replication::protocol::Asked;
use dataverse_replication::reading::{
    Action, Confirmation, Consistency, Event, Local, Missed, Read, Reading, Step, Word,
};
use dataverse_replication::upkeep::{Rank, Task};

use super::simulation::SimulatedNetwork;
use super::tally::Answered;

/// A copy that a search found.
struct Nearest {
    node: u32,
    holding: Holding,
    hops: u32,
    /// Microseconds that the search took.
    elapsed_us: u64,
}

impl SimulatedNetwork<'_> {
    /// A read at a node.
    pub(super) fn read(&mut self, node: u32, file: u32) {
        if !self.file(file).exists() {
            self.tally.counts.absent += 1;
            return;
        }
        let mut read = Read::new(Consistency::Usual, self.fresh_ms());
        let (mut nearest, mut waited_us) = (None, 0);
        let mut event = Event::Done;
        let reading = loop {
            event = match read.step(event) {
                Step::End(reading) => break reading,
                Step::Do(Action::Look | Action::Verify(_)) => Event::Seen(self.look(node, file)),
                Step::Do(Action::Confirm { record, is_replica }) => {
                    let (word, took_us) = self.confirm(node, &record, is_replica);
                    waited_us += took_us;
                    Event::Confirmed(word)
                }
                Step::Do(Action::Search { floor }) => {
                    let found = self.find(node, file, floor);
                    waited_us += found.as_ref().map_or(0, |found| found.elapsed_us);
                    nearest = found;
                    nearest.as_ref().map_or_else(
                        || Event::Missed(self.missed(node, file)),
                        |found| self.event_of(&found.holding),
                    )
                }
                // What a simulated node says it has, it has.
                Step::Do(Action::Show(_)) => Event::Shown(true),
                Step::Do(Action::Forget(version)) => {
                    let key = &self.files[file as usize].key;
                    self.sites[node as usize].core.disprove(key, version);
                    Event::Done
                }
            };
        };
        match (reading, nearest) {
            // A copy that can't be confirmed is served as well, marked as stale.
            (Reading::Here { holding, .. }, _) => self.answer_here(node, file, &holding, waited_us),
            (
                Reading::Found {
                    validated_age_ms, ..
                },
                Some(nearest),
            ) => {
                let validated = validated_age_ms.map_or(0, |age_ms| self.now() - age_ms);
                self.answer_from(node, file, nearest, validated, waited_us);
            }
            (Reading::Overtaken, _) if let Some(own) = self.overtaken(node, file) => {
                self.answer_here(node, file, &own, waited_us);
            }
            _ => {
                let size = self.size_of(file);
                self.tally.unavailable(node, file, size);
            }
        }
    }

    /// A replica here that is older than what the node knows to exist.
    fn overtaken(&self, node: u32, file: u32) -> Option<Holding> {
        let key = &self.files[file as usize].key;
        self.sites[node as usize].core.overtaken(key, None).cloned()
    }

    /// What a search without a hit found: every node in reach was asked.
    fn missed(&self, node: u32, file: u32) -> Missed {
        let key = &self.files[file as usize].key;
        let core = &self.sites[node as usize].core;
        Missed {
            asked: Asked::RecentlyUp,
            overtaken: core.overtaken(key, None).is_some(),
            heard: core.known(key),
            confirmed: core.confirmed(key),
            ..Missed::default()
        }
    }

    fn look(&self, node: u32, file: u32) -> Local {
        let (now, fresh_ms) = (self.now(), self.fresh_ms());
        let key = &self.files[file as usize].key;
        Local {
            read: self.sites[node as usize].core.read(key, now, fresh_ms),
            slept_through: false,
            is_unverified: false,
            is_alone: false,
            knows_members: true,
        }
    }

    fn event_of(&self, holding: &Holding) -> Event {
        let age_ms = self.now().saturating_sub(holding.validated);
        Event::Found {
            record: Arc::clone(&holding.record),
            role: holding.role,
            validated_age_ms: match holding.role {
                Role::Replica => 0,
                Role::Cached => age_ms,
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

    /// Asks the replicas of a version whether it is the newest. Also returns how long that takes, in microseconds.
    fn confirm(&mut self, node: u32, record: &Arc<Record>, is_replica: bool) -> (Word, u64) {
        let now = self.now();
        let search_plan = self.search_plan(node);
        let own = self.sites[node as usize].id;
        let mut confirmation =
            Confirmation::new(own, Arc::clone(record), is_replica, Consistency::Usual);
        let asked = confirmation.whom_to_ask().iter().map(|id| self.by_id[id]);
        let in_reach = asked.filter(|&other| search_plan.hops(other).is_some());
        let mut in_reach: Vec<_> = in_reach
            .map(|other| (2 * search_plan.delay_us(other), other))
            .collect();
        in_reach.sort_unstable();
        let (mut word, mut took_us) = (None, 0);
        for (answers_us, other) in in_reach {
            let core = &self.sites[other as usize].core;
            let answer = core.answer(&record.key, None, now, 0, Vec::new());
            took_us = answers_us;
            word = confirmation.answered(&answer);
            if word.is_some() {
                break;
            }
        }
        let word = word.or_else(|| confirmation.word());
        let word = word.unwrap_or(Word::Unknown);
        match word {
            Word::Newest { .. } => {
                let core = &mut self.site(node).core;
                core.validated(&record.key, record.version, now);
            }
            Word::Newer(heard) => {
                if self.site(node).core.hear(&record.key, heard) {
                    let release = Task::Release(record.key.clone(), None);
                    self.add_task(node, release, Rank::default());
                }
            }
            Word::Unknown => {}
        }
        (word, took_us)
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

    /// Searches the other nodes for a copy that is not below the floor. Every probe counts as a request at the probed node.
    fn find(&mut self, node: u32, file: u32, floor: Option<Version>) -> Option<Nearest> {
        let now = self.now();
        let search_plan = self.search_plan(node);
        let known = &self.files[file as usize];
        let is_answer = |&copy: &u32| {
            let held = self.sites[copy as usize].core.holding(&known.key);
            floor.is_none() || held.map(|held| held.record.version) >= floor
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
        Some(Nearest {
            node: hit,
            hops: found.hops,
            elapsed_us: found.elapsed_us,
            holding,
        })
    }

    /// Fetches a file from another node.
    fn answer_from(
        &mut self,
        node: u32,
        file: u32,
        nearest: Nearest,
        validated: Millis,
        waited_us: u64,
    ) {
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
            self.keep(node, file, &record, nearest.hops, validated);
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
            latency_us: waited_us + search_plan.delay_us(nearest.node) + sent_us,
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
