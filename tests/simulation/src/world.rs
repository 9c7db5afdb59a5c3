//! The world of a run: disks that outlive nodes, nodes that start and crash, clocks that jump, links that are cut.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use dataverse_core::content::Digest;
use dataverse_core::holdings::{Holding, Role};
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::limits;
use dataverse_core::record::Record;
use dataverse_core::search::Peer;
use dataverse_core::version::{Millis, Version};
use dataverse_node::driver::{Driver, Now, Parts, PolicySlots};
use dataverse_node::entropy::Entropy;
use dataverse_overlay::memory::MemoryNetwork;
use dataverse_overlay::transport::{Serve, Transport};
use dataverse_store::{CommitPace, MemoryDisk, Store};
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::chance::Chance;
use crate::findings::Findings;
use crate::log::Log;
use crate::lying::Subject;
use crate::lying::bytes::Lying;
use crate::lying::forging::Forging;
use crate::lying::hiding::Hiding;
use crate::lying::liar::{Liar, Lies};
use crate::lying::outgoing::LyingTransport;
use crate::profile::{Profile, settings};
use crate::watched::Watched;
use crate::weather::SeededWeather;

/// The time on the clocks at the start, in milliseconds.
const BEGINNING: Millis = 1_700_000_000_000;

/// A node's place in the world: what remains when the node is gone.
pub struct Site {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: NodeId,
    /// Where it listens.
    pub address: String,
    /// The node, while it runs.
    pub node: Option<Running>,
    /// The number of nodes that ran here so far.
    pub lives: u64,
    ahead_ms: Arc<AtomicI64>,
}

/// A running node.
#[derive(Clone)]
pub struct Running {
    /// The node.
    pub driver: Arc<Driver>,
    /// Its store.
    pub store: Arc<Watched>,
    /// Cancelled when it crashes: its clients lose their connections.
    pub died: CancellationToken,
    /// Which of the nodes that ran at its site it is.
    pub lifetime: u64,
}

/// The disks of all nodes: what is durable.
pub struct Disks {
    disks: Vec<(NodeId, Arc<MemoryDisk>)>,
    lost: Mutex<BTreeSet<NodeId>>,
    rotted: Mutex<BTreeMap<(NodeId, Key), Instant>>,
    /// The node that confirms what it does not do, if there is one: what it holds it holds, and what it says of that
    /// is no promise.
    untrusted: Option<NodeId>,
    mirror: Mutex<Mirror>,
}

/// What the nodes report to be on their disks, change by change.
#[derive(Default)]
struct Mirror {
    held: BTreeMap<(NodeId, Key), Holding>,
    /// The greatest record of each file that was at some moment durable on every node that it names. Since then
    /// each of them has it or something greater, or has released it for something greater.
    settled: BTreeMap<Key, Rank>,
    /// The same, ignoring the layout: every node that it names had that version.
    settled_versions: BTreeMap<Key, Version>,
    /// The replicas that lost nodes held when they were lost.
    lost_replicas: Vec<(NodeId, Arc<Record>)>,
    /// The deletions that were durable, by holder.
    buried: BTreeMap<(NodeId, Key), Version>,
}

/// Nodes that need not have what a record says.
struct Excused {
    lost: BTreeSet<NodeId>,
    /// Beside another holder that has it: this node is believed when it confirms what another node has as well. And
    /// where it can show that version, it is believed about the layout.
    untrusted: Option<NodeId>,
}

/// The order of the records of one file.
type Rank = (Version, u64, NodeId);

impl Disks {
    /// Empty disks of these nodes, on which everything is durable immediately.
    #[must_use]
    pub fn of(nodes: impl IntoIterator<Item = NodeId>) -> Self {
        let disks = nodes.into_iter().map(|node| (node, MemoryDisk::new()));
        Self {
            disks: disks.collect(),
            lost: Mutex::default(),
            rotted: Mutex::default(),
            untrusted: None,
            mirror: Mutex::default(),
        }
    }

    /// The same disks, of which this node's confirmations are no promises.
    #[must_use]
    pub fn with_untrusted(self, node: NodeId) -> Self {
        Self {
            untrusted: Some(node),
            ..self
        }
    }

    /// The node whose confirmations are no promises.
    #[must_use]
    pub const fn untrusted(&self) -> Option<NodeId> {
        self.untrusted
    }

    /// What a node's disk holds of this file.
    #[must_use]
    pub fn holding(&self, node: NodeId, key: &Key) -> Option<Holding> {
        self.disk(node)?.holding(key)
    }

    /// A node's disk.
    #[must_use]
    pub fn disk(&self, node: NodeId) -> Option<&Arc<MemoryDisk>> {
        let disk = self.disks.iter().find(|(id, _)| *id == node);
        disk.map(|(_, disk)| disk)
    }

    /// The nodes that were lost for good.
    #[must_use]
    pub fn lost(&self) -> BTreeSet<NodeId> {
        let lost = self.lost.lock();
        lost.clone()
    }

    /// A node starts with these holdings.
    pub fn opened(&self, node: NodeId, holdings: &[Holding]) {
        let mut mirror = self.mirror();
        mirror.held.retain(|(of, _), _| *of != node);
        for holding in holdings {
            let name = (node, holding.record.key.clone());
            mirror.held.insert(name, holding.clone());
        }
    }

    /// A node's holding changed, durably. Returns what it was before.
    pub fn changed(&self, node: NodeId, key: &Key, after: Option<&Holding>) -> Option<Holding> {
        let excused = self.excused();
        let mut mirror = self.mirror();
        let name = (node, key.clone());
        let before = match after {
            Some(after) => mirror.held.insert(name, after.clone()),
            None => mirror.held.remove(&name),
        };
        if let Some(after) = after.filter(|after| after.record.deleted) {
            let buried = mirror.buried.entry((node, key.clone()));
            let buried = buried.or_insert(after.record.version);
            *buried = after.record.version.max(*buried);
        }
        mirror.note_settled(key, &excused);
        before
    }

    /// The greatest version of each file under which its deletion was durable on a node that is not lost.
    #[must_use]
    pub fn buried(&self) -> BTreeMap<Key, Version> {
        let lost = self.lost();
        let mut greatest = BTreeMap::new();
        for ((node, key), version) in &self.mirror().buried {
            if !lost.contains(node) {
                let known = greatest.entry(key.clone()).or_insert(*version);
                *known = (*version).max(*known);
            }
        }
        greatest
    }

    /// The nodes on whose disks this version of a file is, or a greater one, as a replica or a cached copy.
    #[must_use]
    pub fn holders_from(&self, key: &Key, version: Version) -> Vec<NodeId> {
        let mirror = self.mirror();
        let held = mirror.held.iter().filter(|((_, of), _)| of == key);
        let held = held.filter(|(_, held)| held.record.version >= version);
        held.map(|((node, _), _)| *node).collect()
    }

    /// The replicas that the lost nodes held when they were lost, each under its greatest layout.
    #[must_use]
    pub fn lost_replicas(&self) -> Vec<(NodeId, Arc<Record>)> {
        self.mirror().lost_replicas.clone()
    }

    fn note_replicas_on(&self, node: NodeId) {
        let mut mirror = self.mirror();
        let held = mirror.held.iter();
        let held = held.filter(|((of, _), held)| *of == node && held.role == Role::Replica);
        let lost: Vec<_> = held
            .map(|(_, held)| &held.record)
            .filter(|record| mirror.settled.get(&record.key) <= Some(&rank(record)))
            .map(|record| (node, Arc::clone(record)))
            .collect();
        mirror.lost_replicas.extend(lost);
    }

    /// A node refused this record because it has a greater one. If all nodes that it names have a greater one, it
    /// is as good as durable: a later write has replaced it.
    pub fn refused(&self, record: &Record) {
        let excused = self.excused();
        self.mirror().note_if_settled(record, &excused);
    }

    /// Whether a greater version than this record's was at some moment durable on every node that it names, or the
    /// same version under a greater layout, with that layout; or whether a greater deletion is remembered.
    #[must_use]
    pub fn is_superseded(&self, record: &Record) -> bool {
        // For a deletion, one node that remembers it is enough, because no bytes are needed.
        if self.buried().get(&record.key) > Some(&record.version) {
            return true;
        }
        let mirror = self.mirror();
        let version = mirror.settled_versions.get(&record.key);
        let settled = mirror.settled.get(&record.key);
        version.is_some_and(|version| *version > record.version)
            || settled.is_some_and(|settled| *settled > rank(record))
    }

    /// Whether a node's content of a file does not match its record.
    #[must_use]
    pub fn is_bad(&self, node: NodeId, key: &Key) -> bool {
        let Some(disk) = self.disk(node) else {
            return false;
        };
        let (held, content) = (disk.holding(key), disk.content(key));
        held.zip(content).is_some_and(|(held, content)| {
            !held.record.deleted && held.record.digest != Digest::of(&content)
        })
    }

    /// The newest version of each file that at least two nodes hold as a replica.
    #[must_use]
    pub fn held_twice(&self) -> BTreeMap<Key, Version> {
        let lost = self.lost();
        let mut newest: BTreeMap<Key, (Version, usize)> = BTreeMap::new();
        for (_, disk) in self.disks.iter().filter(|(node, _)| !lost.contains(node)) {
            let held = disk.holdings().into_iter();
            for held in held.filter(|held| held.role == Role::Replica) {
                let version = held.record.version;
                let known = newest.entry(held.record.key.clone());
                let (greatest, holders) = known.or_insert((version, 0));
                if version > *greatest {
                    (*greatest, *holders) = (version, 0);
                }
                *holders += usize::from(version == *greatest);
            }
        }
        let twice = newest.into_iter().filter(|(_, (_, holders))| *holders > 1);
        twice.map(|(key, (version, _))| (key, version)).collect()
    }

    /// Whether a bit of a node's content of a file was flipped within this time.
    #[must_use]
    pub fn has_rotted(&self, node: NodeId, key: &Key, within: Duration) -> bool {
        let rotted = self.rotted.lock();
        let at = rotted.get(&(node, key.clone()));
        at.is_some_and(|at| at.elapsed() <= within)
    }

    /// Whether any node has a bad copy.
    #[must_use]
    pub fn any_is_bad(&self) -> bool {
        self.disks.iter().any(|(node, disk)| {
            let held = disk.holdings();
            held.iter().any(|held| self.is_bad(*node, &held.record.key))
        })
    }

    fn excused(&self) -> Excused {
        Excused {
            lost: self.lost(),
            untrusted: self.untrusted,
        }
    }

    /// The replicas of a node that may rot: those whose layout names other nodes, all of which have a good copy.
    fn may_rot(&self, node: NodeId) -> Vec<Holding> {
        let lost = self.lost();
        let has_good = |other: &NodeId, held: &Holding| {
            let key = &held.record.key;
            let theirs = self.holding(*other, key);
            let same = theirs
                .is_some_and(|theirs| theirs.role == Role::Replica && theirs.record == held.record);
            same && !lost.contains(other) && !self.is_bad(*other, key)
        };
        let held = self.disk(node).map(|disk| disk.holdings());
        let mut held = held.unwrap_or_default();
        held.retain(|held| {
            let holders = &held.record.layout.holders;
            let mut others = holders.iter().filter(|other| **other != node);
            held.role == Role::Replica
                && held.record.size > 0
                && holders.len() > 1
                && holders.contains(&node)
                && others.all(|other| has_good(other, held))
        });
        held
    }

    fn mirror(&self) -> parking_lot::MutexGuard<'_, Mirror> {
        self.mirror.lock()
    }
}

impl Mirror {
    /// Something of this file became durable: updates what is durable on all its holders.
    fn note_settled(&mut self, key: &Key, excused: &Excused) {
        let held = self.held.iter().filter(|((_, of), _)| of == key);
        let records: Vec<Arc<Record>> = held
            .map(|(_, holding)| Arc::clone(&holding.record))
            .collect();
        for record in records {
            self.note_if_settled(&record, excused);
        }
    }

    fn note_if_settled(&mut self, record: &Record, excused: &Excused) {
        let all = |has: &dyn Fn(&NodeId, &Record) -> bool| {
            let has = |node: &NodeId| {
                let held = self.held.get(&(*node, record.key.clone()));
                held.is_some_and(|held| has(node, &held.record))
            };
            let holders = &record.layout.holders;
            let mut others = holders.iter().filter(|id| excused.untrusted != Some(**id));
            let vouched = others.any(has);
            let excuses = |id: &NodeId| {
                excused.lost.contains(id) || (vouched && excused.untrusted == Some(*id))
            };
            holders.iter().all(|id| excuses(id) || has(id))
        };
        let has_version = all(&|_, held| held.version >= record.version);
        let has_layout = all(&|node, held| match excused.untrusted == Some(*node) {
            true => held.version >= record.version,
            false => rank(held) >= rank(record),
        });
        let (key, rank) = (&record.key, rank(record));
        if has_version {
            let known = self.settled_versions.entry(key.clone());
            let known = known.or_insert(record.version);
            *known = record.version.max(*known);
        }
        if has_layout {
            let known = self.settled.entry(key.clone()).or_insert(rank);
            *known = rank.max(*known);
        }
    }
}

fn rank(record: &Record) -> Rank {
    (record.version, record.layout.counter, record.layout.author)
}

/// How long any node's clock may be ahead of the others'.
pub struct Clocks(Mutex<Option<Instant>>);

impl Clocks {
    /// Clocks that agree.
    fn agreed() -> Self {
        Self(Mutex::new(Some(Instant::now())))
    }

    /// Whether any clock may since have been ahead of one that showed the right time at this moment.
    #[must_use]
    pub fn may_be_ahead_since(&self, moment: Instant) -> bool {
        let until = self.0.lock();
        until.is_none_or(|until| moment < until)
    }

    /// A clock begins again above every stamp that it may have given out, which is in the future. The others follow
    /// when they hear of it.
    fn restarted(&self) {
        let mut until = self.0.lock();
        if let Some(until) = &mut *until {
            let counted = *until + Duration::from_millis(limits::CLOCK_COUNT_MS);
            let used = Instant::now() + Duration::from_millis(limits::CLOCK_CEILING_MS);
            *until = counted.max(used) + Duration::from_millis(1);
        }
    }

    /// A clock was set.
    fn set(&self) {
        *self.0.lock() = None;
    }
}

/// Everything that nodes live in.
pub struct SimulatedCluster {
    /// The network.
    pub network: MemoryNetwork,
    /// What it does to calls.
    pub weather: Arc<SeededWeather>,
    /// The sites, in order of their names.
    pub sites: Vec<Site>,
    /// Their disks.
    pub disks: Arc<Disks>,
    /// Their clocks.
    pub clocks: Arc<Clocks>,
    /// The log.
    pub log: Arc<Log>,
    /// What is wrong.
    pub findings: Arc<Findings>,
    profile: Profile,
    seed: u64,
    began: Instant,
    liar: usize,
    /// Whether the node that lies in its messages still does.
    lies_go_on: Arc<AtomicBool>,
}

/// The network holds its nodes, and they hold the network: without this, both would stay for ever.
impl Drop for SimulatedCluster {
    fn drop(&mut self) {
        for site in &self.sites {
            self.network.stop(&site.address);
        }
    }
}

impl SimulatedCluster {
    /// Nodes of one network that know nobody. Nothing happens in it yet.
    pub async fn new(seed: u64, profile: &Profile, log: Arc<Log>) -> Self {
        let mut chance = Chance::of(seed, "world");
        let sites: Vec<Site> = (0..profile.nodes)
            .map(|at| {
                let name = char::from(b'A' + at as u8).to_string();
                Site {
                    address: format!("{}.test:1", name.to_lowercase()),
                    name,
                    id: NodeId::from(chance.wide()),
                    node: None,
                    lives: 0,
                    ahead_ms: Arc::default(),
                }
            })
            .collect();
        let disk = |at: usize, site: &Site| (site.id, disk_of(seed, at, profile));
        let disks = sites.iter().enumerate().map(|(at, site)| disk(at, site));
        let disks = Disks {
            disks: disks.collect(),
            ..Disks::of([])
        };
        let slow = chance.pick(&sites).address.clone();
        let weather = SeededWeather::new(seed, profile, slow, Arc::clone(&log));
        let weather = Arc::new(weather);
        let network = MemoryNetwork::new(&settings().timings());
        network.make_weather(Arc::clone(&weather) as _);
        let liar = chance.below(sites.len() as u64) as usize;
        let disks = match profile.lies(Subject::Confirmations) {
            true => disks.with_untrusted(sites[liar].id),
            false => disks,
        };
        let mut world = Self {
            network,
            weather,
            disks: Arc::new(disks),
            clocks: Arc::new(Clocks::agreed()),
            liar,
            lies_go_on: Arc::default(),
            sites,
            findings: Arc::default(),
            profile: profile.clone(),
            seed,
            began: Instant::now(),
            log,
        };
        for at in 0..world.sites.len() {
            world.start(at).await;
        }
        world
    }

    /// The sites at which a node runs.
    #[must_use]
    pub fn running(&self) -> Vec<usize> {
        let at = 0..self.sites.len();
        at.filter(|at| self.sites[*at].node.is_some()).collect()
    }

    /// The sites at which none runs but could.
    #[must_use]
    pub fn down(&self) -> Vec<usize> {
        let lost = self.disks.lost();
        let is_down = |at: &usize| {
            let site = &self.sites[*at];
            site.node.is_none() && !lost.contains(&site.id)
        };
        (0..self.sites.len()).filter(is_down).collect()
    }

    /// Starts a node at this site with the contents of its disk.
    pub async fn start(&mut self, at: usize) {
        let lifetime = self.sites[at].lives;
        let site = &self.sites[at];
        self.log.note(format_args!("{} starts", site.name));
        if lifetime > 0 {
            self.clocks.restarted();
        }
        let (began, ahead) = (self.began, Arc::clone(&site.ahead_ms));
        let now: Now = Arc::new(move || {
            let passed = began.elapsed().as_millis() as u64;
            (BEGINNING + passed).saturating_add_signed(ahead.load(Ordering::Relaxed))
        });
        let disk = self.disks.disk(site.id).expect("every site has a disk");
        let store = Arc::new(Watched {
            node: site.id,
            name: site.name.clone(),
            inner: disk.open(self.profile.capacity),
            disks: Arc::clone(&self.disks),
            log: Arc::clone(&self.log),
            findings: Arc::clone(&self.findings),
            putting_aside: Arc::default(),
        });
        let mut chance = Chance::of(self.seed, &format!("node {} {lifetime}", site.name));
        let lying = self.lies_of(at);
        let transport: Arc<dyn Transport> = Arc::new(self.network.transport(&site.address));
        let transport = match &lying {
            Some(lies) => Arc::new(LyingTransport {
                inner: transport,
                lies: Arc::clone(lies),
            }),
            None => transport,
        };
        let driver = Driver::start(Parts {
            me: Peer {
                id: site.id,
                name: site.name.as_str().into(),
                address: site.address.as_str().into(),
            },
            http: "127.0.0.1:1".to_owned(),
            network: "test".into(),
            zone: String::new(),
            factor: 2,
            settings: settings(),
            store: Arc::clone(&store) as Arc<dyn Store>,
            transport,
            policy_slots: Arc::new(PolicySlots::default()),
            recorder: None,
            now,
            entropy: Entropy::seeded(chance.number()),
        })
        .await
        .expect("a store in memory starts");
        let Profile { lies, forges, .. } = self.profile;
        let serves: Arc<dyn Serve> = match at == self.liar && (lies > 0 || forges > 0) {
            true => Arc::new(Lying {
                node: Arc::clone(&driver),
                lies,
                forging: (forges > 0).then(|| Forging {
                    rate: forges,
                    chance: Mutex::new(Chance::of(chance.number(), "forged")),
                    transport: self.network.transport(&site.address),
                }),
                chance: Mutex::new(chance),
                weather: Arc::clone(&self.weather),
            }),
            false => Arc::clone(&driver) as Arc<dyn Serve>,
        };
        let serves: Arc<dyn Serve> = match lying {
            Some(lies) => Arc::new(Liar { serves, lies }),
            None => serves,
        };
        let serves: Arc<dyn Serve> = match self.profile.hides_pending_writes {
            true => Arc::new(Hiding(serves)),
            false => serves,
        };
        self.network.listen(&site.address, serves);
        let site = &mut self.sites[at];
        site.lives += 1;
        site.node = Some(Running {
            driver,
            store,
            died: CancellationToken::new(),
            lifetime,
        });
    }

    /// What the node at this site lies about in its messages, if it does.
    fn lies_of(&self, at: usize) -> Option<Arc<Lies>> {
        let about = &self.profile.lies_about;
        let site = &self.sites[at];
        (at == self.liar && !about.is_empty()).then(|| {
            let chance = Chance::of(self.seed, &format!("lies {}", site.lives));
            let goes_on = Arc::clone(&self.lies_go_on);
            Arc::new(Lies::new(about, self.profile.untruths, chance, goes_on))
        })
    }

    /// From now on the node that lies in its messages does so, or does no longer.
    pub fn let_lie(&self, lies: bool) {
        if !self.profile.lies_about.is_empty() {
            let name = &self.sites[self.liar].name;
            self.log.note(format_args!("{name} lies: {lies}"));
        }
        self.lies_go_on.store(lies, Ordering::Relaxed);
    }

    /// The node that lies in its messages, if there is one.
    #[must_use]
    pub fn liar(&self) -> Option<NodeId> {
        let lies = !self.profile.lies_about.is_empty();
        lies.then(|| self.sites[self.liar].id)
    }

    /// Crashes the machine at this site. How much remains of a write in progress is random.
    pub async fn crash(&mut self, at: usize, chance: &mut Chance) {
        let site = &mut self.sites[at];
        let Some(node) = site.node.take() else { return };
        self.log.note(format_args!("{} crashes", site.name));
        self.network.stop(&site.address);
        let disk = self.disks.disk(site.id).expect("every site has a disk");
        disk.crash(|waiting| chance.below(waiting as u64 + 1) as usize);
        node.died.cancel();
        node.driver.crash().await;
    }

    /// Stops the node at this site cleanly.
    pub async fn stop(&mut self, at: usize) {
        let Some(node) = self.sites[at].node.take() else {
            return;
        };
        self.log
            .note(format_args!("{} is stopped", self.sites[at].name));
        node.driver.stop().await;
        node.died.cancel();
        self.network.stop(&self.sites[at].address);
    }

    /// Destroys the machine at this site with its disk.
    pub async fn lose(&mut self, at: usize, chance: &mut Chance) {
        self.crash(at, chance).await;
        let site = &self.sites[at];
        self.log.note(format_args!("{} is lost", site.name));
        self.disks.note_replicas_on(site.id);
        if let Some(disk) = self.disks.disk(site.id) {
            disk.wipe();
        }
        self.disks.opened(site.id, &[]);
        let mut lost = self.disks.lost.lock();
        lost.insert(site.id);
    }

    /// Flips a bit of a replica on the disk at this site, if others have the replica.
    pub fn rot(&self, at: usize, chance: &mut Chance) {
        let site = &self.sites[at];
        let may_rot = self.disks.may_rot(site.id);
        if may_rot.is_empty() {
            return;
        }
        let record = &chance.pick(&may_rot).record;
        let offset = chance.below(record.size);
        let disk = self.disks.disk(site.id).expect("every site has a disk");
        let turned = disk.rot(&record.key, offset);
        self.disks
            .rotted
            .lock()
            .insert((site.id, record.key.clone()), Instant::now());
        self.log
            .note(format_args!("{} rots {} {turned}", site.name, record.key));
    }

    /// Sets a node's wall clock forward or back.
    pub fn set_clock(&self, at: usize, ahead_ms: i64) {
        let site = &self.sites[at];
        self.log
            .note(format_args!("{} clock {ahead_ms:+} ms", site.name));
        site.ahead_ms.store(ahead_ms, Ordering::Relaxed);
        self.clocks.set();
    }

    /// Waits until the condition holds, at most this long. Simulated time passes meanwhile.
    pub async fn wait_for(&self, at_most: Duration, mut holds: impl FnMut(&Self) -> bool) -> bool {
        let deadline = Instant::now() + at_most;
        while !holds(self) {
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        true
    }

    /// Whether every running node sees every other as alive, and no node that is down.
    #[must_use]
    pub fn is_acquainted(&self) -> bool {
        let running = self.running();
        let knows_all = |at: &usize| {
            let seen = self.sites[*at]
                .node
                .as_ref()
                .map(|node| node.driver.nodes());
            let seen = seen.unwrap_or_default();
            let alive = seen.iter().filter(|node| node.state == "alive");
            let known = alive.filter(|node| node.capacity > 0 && node.hops.is_some());
            known.count() == running.len()
        };
        running.iter().all(knows_all)
    }

    /// Whether every link of every running node is up.
    #[must_use]
    pub fn is_linked(&self) -> bool {
        let nodes = self.sites.iter().filter_map(|site| site.node.as_ref());
        let mut links = nodes.flat_map(|node| node.driver.links());
        links.all(|link| link.up)
    }
}

fn disk_of(seed: u64, at: usize, profile: &Profile) -> Arc<MemoryDisk> {
    let chance = Mutex::new(Chance::of(seed, &format!("disk {at}")));
    let commit_ms = profile.commit_ms;
    let pace: CommitPace = Arc::new(move || {
        let mut chance = chance.lock();
        chance.millis(commit_ms)
    });
    MemoryDisk::paced(pace)
}
