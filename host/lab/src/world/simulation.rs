//! `SimulatedNetwork`: the nodes, the files, and what happens to them in simulated time.
//!
//! Requests are carried out one by one in the order of their times, each atomically: the effects of a transfer are
//! visible from the time of its request on, and its announcement has reached every reachable node. How long each
//! would have taken is computed separately, with links that are never busy. A search therefore never finds a copy
//! older than the newest reachable version; only a split network can serve an older one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dataverse_core::cache::Victim;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::version::Millis;
use rustc_hash::FxHashMap;

use super::routes::Routes;
use super::scenario::Scenario;
use super::search_plan::SearchPlan;
use super::search_plans::SearchPlans;
use super::site::{Room, Site};
use super::spec::{Zones, ZonesFrom};
use super::tally::Tally;
use super::upkeep::UnderWay;
use super::{RunError, What};
use crate::assignment::Dealt;
use crate::quantity::Amount;
use crate::seed::derive;
use crate::topology::Topology;

/// The clock's time at the start of a run, so that no time of a run is 0, which means never.
const EPOCH_MS: Millis = 24 * 60 * 60 * 1000;

/// A file of the simulated network.
pub(super) struct File {
    pub(super) key: Key,
    /// The last acknowledged record; none before the first write.
    pub(super) record: Option<Arc<Record>>,
    /// The nodes that hold its content, by number, whether they are up or not.
    pub(super) copies: Vec<u32>,
    /// The nodes that may hold a tombstone of it.
    pub(super) buried: Vec<u32>,
}

impl File {
    /// Whether it was written and not deleted.
    pub(super) fn exists(&self) -> bool {
        self.record.as_ref().is_some_and(|record| !record.deleted)
    }
}

/// The whole state of a run.
pub(super) struct SimulatedNetwork<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) topology: Topology,
    pub(super) routes: Routes,
    search_plans: SearchPlans,
    pub(super) sites: Vec<Site>,
    pub(super) by_id: Arc<FxHashMap<NodeId, u32>>,
    pub(super) files: Vec<File>,
    pub(super) by_file: FxHashMap<u64, u32>,
    pub(super) tally: Tally,
    pub(super) now_us: u64,
    /// Whether a node or a link was ever down, so that some copies may have missed the newest version.
    pub(super) was_apart: bool,
    /// Since when nodes are down, in microseconds.
    pub(super) down_since: Arc<BTreeMap<u32, u64>>,
    /// Nodes that leave once their replicas are elsewhere.
    pub(super) leaving: BTreeSet<u32>,
    /// When nodes look through their replicas.
    pub(super) scans: BTreeSet<u64>,
    /// When a node's next task is due.
    pub(super) wakes: BTreeSet<(u64, u32)>,
    /// Tasks under way, by their end and the order in which they began.
    pub(super) under_way: BTreeMap<(u64, u64), UnderWay>,
    pub(super) begun: u64,
    /// How long the transfers of the task take that is being carried out.
    pub(super) taken_us: u64,
}

impl<'a> SimulatedNetwork<'a> {
    /// The nodes of this topology, empty, and those that join later, which are not up yet. `catalogue_bytes` is
    /// the whole to which shares of capacity refer.
    pub(super) fn new(
        scenario: &'a Scenario,
        mut topology: Topology,
        catalogue_bytes: u64,
        seed: u64,
    ) -> Result<Self, RunError> {
        let present = topology.nodes.len();
        for event in &scenario.events {
            if let What::Join { node, .. } = &event.what {
                topology.nodes.push(crate::topology::Vertex {
                    name: node.clone(),
                    country: None,
                    position: None,
                });
            }
        }
        let sites: Vec<Site> = topology
            .nodes
            .iter()
            .enumerate()
            .map(|(number, place)| {
                let zone = match &scenario.nodes.zones {
                    Zones::Count(0 | 1) => String::new(),
                    Zones::Count(zones) => format!("z{}", number as u32 % zones),
                    Zones::Named(ZonesFrom::Country) => place.country.clone().unwrap_or_default(),
                };
                let id = id_of(&place.name, seed);
                let room = room(scenario, number as u32, catalogue_bytes);
                Site::new(id, place.name.clone(), zone, room, &scenario.policies, seed)
            })
            .collect();
        let mut order: Vec<u32> = (0..sites.len() as u32).collect();
        order.sort_unstable_by_key(|&site| sites[site as usize].id);
        let mut ranks = vec![0; sites.len()];
        for (rank, site) in order.into_iter().enumerate() {
            ranks[site as usize] = rank as u32;
        }
        Ok(Self {
            scenario,
            search_plans: SearchPlans::new(sites.len()),
            routes: Routes::new(topology.links.clone(), ranks, present),
            by_id: Arc::new(
                (0..)
                    .zip(&sites)
                    .map(|(number, site)| (site.id, number))
                    .collect(),
            ),
            topology,
            sites,
            files: Vec::new(),
            by_file: FxHashMap::default(),
            tally: Tally::new(scenario.requests),
            now_us: 0,
            was_apart: false,
            down_since: Arc::default(),
            leaving: BTreeSet::new(),
            scans: BTreeSet::new(),
            wakes: BTreeSet::new(),
            under_way: BTreeMap::new(),
            begun: 0,
            taken_us: 0,
        })
    }

    /// The file of this index, created if unknown.
    pub(super) fn file(&mut self, index: u32) -> &mut File {
        while self.files.len() <= index as usize {
            let number = self.files.len() as u32;
            let key = Key::parse(&format!("lab/{number}")).expect("it is a key");
            self.by_file.insert(key.file_id().0, number);
            self.files.push(File {
                key,
                record: None,
                copies: Vec::new(),
                buried: Vec::new(),
            });
        }
        &mut self.files[index as usize]
    }

    /// The time on the nodes' clocks.
    pub(super) const fn now(&self) -> Millis {
        EPOCH_MS + self.now_us / 1_000
    }

    pub(super) fn site(&mut self, node: u32) -> &mut Site {
        &mut self.sites[node as usize]
    }

    pub(super) fn search_plan(&mut self, from: u32) -> Arc<SearchPlan> {
        self.search_plans.of(&self.routes, from)
    }

    /// The node of this name.
    pub(super) fn named(&self, name: &str) -> Option<u32> {
        self.topology.find(name)
    }

    /// Notes that a node holds content of a file.
    pub(super) fn note_copy(&mut self, file: u32, node: u32) {
        let copies = &mut self.files[file as usize].copies;
        if let Err(at) = copies.binary_search(&node) {
            copies.insert(at, node);
        }
    }

    /// Notes that a node no longer holds content of a file.
    pub(super) fn note_gone(&mut self, file: u32, node: u32) {
        let copies = &mut self.files[file as usize].copies;
        if let Ok(at) = copies.binary_search(&node) {
            copies.remove(at);
        }
    }

    /// Notes the copies that have left a node's cache.
    pub(super) fn note_victims(&mut self, node: u32, victims: &[Victim]) {
        self.tally.counts.evictions += victims.len() as u64;
        for victim in victims {
            let file = self.by_file[&victim.key.file_id().0];
            self.note_gone(file, node);
        }
    }

    /// Sends content over a path and returns how long it takes, in microseconds: the delay of every link, plus the
    /// transfer time of the slowest one.
    pub(super) fn carry(&mut self, path: &[u32], bytes: u64) -> u64 {
        let (mut delay_us, mut slowest) = (0, u64::MAX);
        for ends in path.windows(2) {
            let number = self.routes.link_between(ends[0], ends[1]);
            let link = self.routes.links()[number as usize];
            delay_us += link.latency_us;
            slowest = slowest.min(link.bits_per_second);
            self.tally.carried(number, bytes);
        }
        let sent_us = match slowest {
            u64::MAX => 0,
            slowest => u128::from(bytes) * 8_000_000 / u128::from(slowest.max(1)),
        };
        delay_us + sent_us as u64
    }
}

/// The capacity of this node.
fn room(scenario: &Scenario, node: u32, catalogue_bytes: u64) -> Room {
    let of = |dealt: &Option<Dealt<Amount>>| {
        let dealt = dealt.as_ref()?;
        Some(dealt.of(node).of(catalogue_bytes))
    };
    let capacity = of(&scenario.nodes.capacity);
    let cache_max = match (of(&scenario.nodes.cache), capacity) {
        (Some(bytes), _) => bytes,
        (None, Some(_)) => u64::MAX,
        (None, None) => catalogue_bytes / 100,
    };
    Room {
        capacity,
        cache_max,
    }
}

/// The id of a node: the same in every run with the same seed.
fn id_of(name: &str, seed: u64) -> NodeId {
    let half = |which| u128::from(derive(seed, &["node", name, which]));
    NodeId::from(half("first") << 64 | half("second"))
}
