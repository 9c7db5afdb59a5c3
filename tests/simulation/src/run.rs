//! One run: a seed determines a world, clients work in it while faults happen, everything is healed, and once it
//! is quiet the checkers judge it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Once};
use std::time::Duration;

use dataverse_core::content::Digest;
use dataverse_core::key::Key;
use dataverse_core::version::Version;
use dataverse_node::driver::{Condition, Consistency};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::chance::Chance;
use crate::check::linearizable::Anomaly;
use crate::check::{self, Expect, Readers};
use crate::client::{Clients, Door, Upload};
use crate::history::Observation;
use crate::log::{Log, Trace};
use crate::lying::Subject;
use crate::profile::{Profile, Sky};
use crate::snapshot::{Held, NodeShot, Snapshot};
use crate::world::{SimulatedCluster, Site};

/// The maximum offset of a clock: nodes whose clocks differ by more than eleven minutes refuse each other's stamps.
const AHEAD_MS_MAX: u64 = 4 * 60 * 1000;
/// How long nodes may take to know each other, at the start and after everything is healed.
const ACQUAINTED: Duration = Duration::from_secs(180);
/// How long nothing may happen before a quiet world is judged.
const QUIET: Duration = Duration::from_secs(180);

/// The result of a run.
#[derive(Debug)]
pub struct Report {
    /// The seed that reproduces it.
    pub seed: u64,
    /// Its parameters.
    pub profile: Profile,
    /// What is wrong.
    pub findings: Vec<String>,
    /// A hash of everything that happened.
    pub trace: Trace,
    /// Simulated time.
    pub simulated: Duration,
    /// The number of acknowledged writes and of all writes.
    pub acknowledged: (usize, usize),
    /// What kinds of contradictions are among what is wrong; only races look for them.
    pub anomalies: Vec<Anomaly>,
    /// Files whose history was too hard to judge.
    pub undecided: usize,
}

thread_local! {
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Runs a seed; prints every event if `prints` is true.
///
/// # Panics
/// When the runtime can't be created.
#[must_use]
pub fn run(seed: u64, prints: bool) -> Report {
    simulated(drive(seed, prints))
}

/// Runs in a thread of its own time.
pub(crate) fn simulated(run: impl Future<Output = Report>) -> Report {
    note_panics();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without sockets can be created");
    let mut report = runtime.block_on(run);
    drop(runtime);
    let panics = PANICS.with_borrow_mut(std::mem::take);
    let panicked = panics
        .into_iter()
        .map(|panic| format!("a task panicked: {panic}"));
    report.findings.extend(panicked);
    report
}

/// A panic in a task is silent; this turns each into a finding.
fn note_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.with_borrow_mut(|panics| panics.push(panic.to_string()));
            before(panic);
        }));
    });
    PANICS.with_borrow_mut(Vec::clear);
}

async fn drive(seed: u64, prints: bool) -> Report {
    let log = Arc::new(Log::new(prints));
    let began = Instant::now();
    let mut run = Run::begin(seed, Profile::of(seed), Arc::clone(&log)).await;
    run.go().await;
    run.check_while_lied_to().await;
    run.heal().await;
    let snapshot = run.take_snapshot().await;
    run.check_safe(&snapshot);
    let history = run.clients.history().clone();
    let expect = Expect::of(&run.profile);
    for wrong in check::all(&history, &snapshot, expect) {
        run.world.findings.add(&log, wrong);
    }
    let told = history.puts.values();
    let acknowledged = told.filter(|put| matches!(put.told, Observation::Acknowledged { .. }));
    Report {
        seed,
        findings: run.world.findings.all(),
        trace: log.trace(),
        simulated: began.elapsed(),
        acknowledged: (acknowledged.count(), history.puts.len()),
        profile: run.profile,
        anomalies: Vec::new(),
        undecided: 0,
    }
}

fn keys(count: usize) -> Vec<Key> {
    let name = |number: usize| format!("ada/file-{number}");
    let key = |name: String| Key::parse(&name).expect("it is a key");
    (0..count).map(name).map(key).collect()
}

pub(crate) struct Run {
    pub(crate) chance: Chance,
    pub(crate) keys: Vec<Key>,
    pub(crate) profile: Profile,
    pub(crate) world: SimulatedCluster,
    clients: Arc<Clients>,
    pub(crate) work: JoinSet<()>,
    operations: u64,
    /// What must not be lost any more, in at least these versions.
    safe: BTreeMap<Key, Version>,
}

impl Run {
    /// A world in which the nodes know each other and nothing goes wrong yet.
    pub(crate) async fn begin(seed: u64, profile: Profile, log: Arc<Log>) -> Self {
        log.note(format_args!("{profile:?}"));
        let world = SimulatedCluster::new(seed, &profile, Arc::clone(&log)).await;
        let clients = Clients::new(
            log,
            Arc::clone(&world.findings),
            Arc::clone(&world.disks),
            &profile,
            world.liar(),
        );
        let mut run = Self {
            chance: Chance::of(seed, "schedule"),
            keys: keys(profile.keys),
            profile,
            world,
            clients: Arc::new(clients),
            work: JoinSet::new(),
            operations: 0,
            safe: BTreeMap::new(),
        };
        run.link_up().await;
        run
    }

    /// Links the nodes to a connected graph, before the weather breaks.
    async fn link_up(&mut self) {
        for at in 1..self.world.sites.len() {
            let other = self.chance.below(at as u64) as usize;
            self.link(at, other).await;
        }
        for _ in 0..self.profile.more_links {
            let (a, b) = self.chance.two_below(self.world.sites.len());
            self.link(a, b).await;
        }
        let known = self
            .world
            .wait_for(ACQUAINTED, SimulatedCluster::is_acquainted)
            .await;
        if !known {
            let what = "the nodes did not come to know each other at the beginning";
            self.wrong(what.to_owned());
        }
    }

    async fn link(&self, a: usize, b: usize) -> bool {
        let address = &self.world.sites[b].address;
        match &self.world.sites[a].node {
            Some(node) => node.driver.link(address).await.is_ok(),
            None => false,
        }
    }

    async fn go(&mut self) {
        self.world.weather.break_out();
        self.world.let_lie(true);
        let lost_at = self.profile.steps / 2;
        let lost_again_at = self.profile.steps * 5 / 6;
        for step in 0..self.profile.steps {
            tokio::time::sleep(self.chance.millis(self.profile.pause_ms)).await;
            while self.work.try_join_next().is_some() {}
            // This node may have the only good copy while the other copies are not yet known to be bad.
            let may_lose = self.world.running().len() > 3 && !self.world.disks.any_is_bad();
            if step == lost_at && self.profile.loses_a_node && may_lose {
                let at = *self.chance.pick(&self.world.running());
                self.world.lose(at, &mut self.chance).await;
            }
            if step == lost_again_at && self.profile.loses_another {
                self.lose_another().await;
            }
            self.repair_some().await;
            self.step().await;
        }
        // All remaining work ends within its patience.
        while self.work.join_next().await.is_some() {}
    }

    /// Loses a second node, after there was time to re-replicate the files of the first: nothing may be lost that
    /// any other node has.
    async fn lose_another(&mut self) {
        while self.work.join_next().await.is_some() {}
        self.heal().await;
        let running = self.world.running();
        if running.len() <= 3 || self.world.disks.lost().is_empty() {
            self.world.weather.break_out();
            self.world.let_lie(true);
            return;
        }
        if self.world.disks.any_is_bad() {
            self.wrong("a bad copy was not found by those who looked for it".to_owned());
            return;
        }
        self.safe = self.world.disks.held_twice();
        let at = *self.chance.pick(&running);
        self.world.lose(at, &mut self.chance).await;
        self.world.weather.break_out();
        self.world.let_lie(true);
    }

    /// Checks that what was safe is not older than it was.
    fn check_safe(&self, snapshot: &Snapshot) {
        for (key, version) in &self.safe {
            let left = snapshot.greatest(key).map(|record| record.version);
            if left < Some(*version) {
                self.wrong(format!(
                    "{key} was on two nodes as {version} before one was lost, and what is left is {left:?}"
                ));
            }
        }
    }

    /// Repairs some of what is broken during the run.
    pub(crate) async fn repair_some(&mut self) {
        if self.chance.permille(200) {
            let (a, b) = self.pair();
            self.world.network.heal(&a, &b);
        }
        if self.chance.permille(300) {
            let at = self.chance.below(self.world.sites.len() as u64) as usize;
            self.world.network.wake(&self.world.sites[at].address);
        }
        let down = self.world.down();
        if !down.is_empty() && self.chance.permille(200) {
            let at = *self.chance.pick(&down);
            self.world.start(at).await;
        }
    }

    fn pair(&mut self) -> (String, String) {
        let (a, b) = self.chance.two_below(self.world.sites.len());
        let sites = &self.world.sites;
        (sites[a].address.clone(), sites[b].address.clone())
    }

    async fn step(&mut self) {
        if !self.fault().await {
            self.operate();
        }
    }

    /// Something goes wrong, or an operator does something, as often as the profile says. Returns whether it did.
    pub(crate) async fn fault(&mut self) -> bool {
        let profile = self.profile.clone();
        let mut lot = self.chance.below(1_000);
        let mut falls_on = |share: u64| {
            let falls = lot < share;
            lot = lot.wrapping_sub(share);
            falls
        };
        let site = self.chance.below(self.world.sites.len() as u64) as usize;
        if falls_on(profile.cuts) {
            let (a, b) = self.pair();
            self.world.log.note(format_args!("cut {a} {b}"));
            self.world.network.cut(&a, &b);
        } else if falls_on(profile.one_way) {
            let (a, b) = self.pair();
            self.world.log.note(format_args!("cut {a} > {b}"));
            self.world.network.cut_one_way(&a, &b);
        } else if falls_on(profile.silences) {
            let address = self.world.sites[site].address.clone();
            self.world.log.note(format_args!("{address} is silent"));
            self.world.network.silence(&address);
        } else if falls_on(profile.crashes) {
            match self.chance.permille(250) {
                true => self.world.stop(site).await,
                false => self.world.crash(site, &mut self.chance).await,
            }
        } else if falls_on(profile.jumps) {
            let ahead = self.chance.below(2 * AHEAD_MS_MAX + 1) as i64 - AHEAD_MS_MAX as i64;
            self.world.set_clock(site, ahead);
        } else if falls_on(profile.links) {
            self.relink(site);
        } else if falls_on(profile.rots) {
            self.world.rot(site, &mut self.chance);
        } else if falls_on(profile.drains) {
            self.drain(site);
        } else {
            return false;
        }
        true
    }

    /// An operator links a node with another, or cuts a link.
    fn relink(&mut self, at: usize) {
        let Some(node) = self.world.sites[at].node.clone() else {
            return;
        };
        let links = node.driver.links();
        if !links.is_empty() && self.chance.permille(500) {
            let other = self.chance.pick(&links).id.to_string();
            self.work.spawn(async move {
                // An error because the other end does not know yet is no failure.
                let _ = node.driver.unlink(&other).await;
            });
            return;
        }
        let other = self.chance.below(self.world.sites.len() as u64) as usize;
        let address = self.world.sites[other].address.clone();
        self.work.spawn(async move {
            // Linking with itself or with a node that is down is refused.
            let _ = node.driver.link(&address).await;
        });
    }

    /// An operator drains a node, or ends its drain.
    fn drain(&mut self, at: usize) {
        let Some(node) = self.world.sites[at].node.clone() else {
            return;
        };
        let log = Arc::clone(&self.world.log);
        self.work.spawn(async move {
            let name = node.driver.name();
            if node.driver.drain_status().draining {
                log.note(format_args!("{name} ends its drain"));
                // A node that has crashed meanwhile does not.
                let _ = node.driver.undrain().await;
            } else {
                let drains = node.driver.drain().await.is_ok();
                log.note(format_args!("{name} is drained: {drains}"));
            }
        });
    }

    /// A client does something at some node.
    fn operate(&mut self) {
        let running = self.world.running();
        if running.is_empty() {
            return;
        }
        let key = self.chance.pick(&self.keys.clone()).clone();
        let at = *self.chance.pick(&running);
        match self.chance.below(100) {
            0..45 => self.put(at, key),
            45..55 => {
                let other = *self.chance.pick(&running);
                self.put(at, key.clone());
                self.put(other, key);
            }
            55..70 => self.delete(at, key),
            _ => self.get(at, key),
        }
    }

    pub(crate) fn door(&self, at: usize) -> Option<Door> {
        let node = self.world.sites[at].node.as_ref()?;
        Some(Door {
            driver: Arc::clone(&node.driver),
            died: node.died.clone(),
            lifetime: node.lifetime,
        })
    }

    fn put(&mut self, at: usize, key: Key) {
        let Some(door) = self.door(at) else { return };
        let chance = &mut self.chance;
        self.operations += 1;
        let condition = match chance.below(20) {
            0 => Condition::Absent,
            1 => Condition::Present,
            2 => Condition::Matches(vec![Digest::of(b"no content has this")]),
            _ => Condition::Always,
        };
        let size = match chance.below(20) {
            0 => 0,
            1 => chance.between(1 << 20, 3 << 20),
            2..8 => chance.between(16, 16 << 10),
            _ => chance.between(16 << 10, 300 << 10),
        };
        let upload = Upload {
            number: self.operations,
            key,
            size,
            factor: chance.between(1, 3) as u32,
            condition,
            pause: match chance.permille(200) {
                true => chance.millis(300),
                false => Duration::ZERO,
            },
            patience: match chance.permille(50) {
                true => chance.millis(1_000),
                false => Duration::MAX,
            },
        };
        let clients = Arc::clone(&self.clients);
        self.work
            .spawn(async move { clients.put(door, upload).await });
    }

    fn delete(&mut self, at: usize, key: Key) {
        let Some(door) = self.door(at) else { return };
        self.operations += 1;
        let (clients, number) = (Arc::clone(&self.clients), self.operations);
        self.work
            .spawn(async move { clients.delete(door, number, key).await });
    }

    fn get(&mut self, at: usize, key: Key) {
        let Some(door) = self.door(at) else { return };
        let consistency =
            *self
                .chance
                .pick(&[Consistency::Usual, Consistency::Usual, Consistency::Newest]);
        let clients = Arc::clone(&self.clients);
        self.work.spawn(async move {
            clients.get(door, key, consistency).await;
        });
    }

    /// Everything is healed and gets time to settle.
    async fn heal(&mut self) {
        self.world.let_lie(false);
        self.make_whole().await;
        self.look_after_disks().await;
        tokio::time::sleep(QUIET).await;
    }

    /// The weather clears up, what is broken is repaired, nodes that are down come back, and the network becomes
    /// whole.
    pub(crate) async fn make_whole(&mut self) {
        self.repair_all().await;
        let whole = |world: &SimulatedCluster| world.is_acquainted() && world.is_linked();
        if !self.world.wait_for(ACQUAINTED, whole).await {
            let what = self.why_not_whole();
            self.wrong(what);
        }
    }

    /// Nothing is broken any more, and every node runs.
    async fn repair_all(&mut self) {
        self.world.log.note("everything is healed");
        self.world.weather.clear_up();
        let addresses: Vec<String> = self
            .world
            .sites
            .iter()
            .map(|site| site.address.clone())
            .collect();
        for a in &addresses {
            self.world.network.wake(a);
            for b in &addresses {
                self.world.network.heal(a, b);
            }
        }
        for at in self.world.down() {
            self.world.start(at).await;
        }
        self.forget_the_lost().await;
        let running = self.world.running();
        for pair in running.windows(2) {
            self.link(pair[0], pair[1]).await;
        }
    }

    /// One member goes on lying while nothing else is wrong: what the others hold is read at each of them.
    async fn check_while_lied_to(&mut self) {
        let Some(liar) = self.world.liar() else {
            return;
        };
        self.repair_all().await;
        let honest = self.world.running();
        let is_honest = |at: &usize| self.world.sites[*at].id != liar;
        let honest: Vec<usize> = honest.into_iter().filter(is_honest).collect();
        for pair in honest.windows(2) {
            self.link(pair[0], pair[1]).await;
        }
        self.look_after_disks().await;
        tokio::time::sleep(ACQUAINTED + QUIET).await;
        let before = self.snapshot_of_disks();
        let snapshot = self.take_snapshot().await;
        let readers = match self.profile.lies(Subject::Holdings) {
            true => Readers::AtReplicas,
            false => Readers::All,
        };
        let history = self.clients.history().clone();
        for wrong in check::while_lied_to(&history, &before, &snapshot, liar, readers) {
            self.wrong(wrong);
        }
    }

    /// An operator ends all drains and has every node scrub its disk.
    pub(crate) async fn look_after_disks(&self) {
        for at in self.world.running() {
            let Some(node) = &self.world.sites[at].node else {
                continue;
            };
            let name = node.driver.name();
            if let Err(error) = node.driver.undrain().await {
                self.wrong(format!("{name} does not take replicas again: {error}"));
            }
            if let Err(error) = node.driver.begin_scrub().await {
                self.wrong(format!("{name} does not check what it has: {error}"));
            }
        }
    }

    fn why_not_whole(&self) -> String {
        let mut why = "the network did not become whole again:".to_owned();
        for site in &self.world.sites {
            let Some(node) = &site.node else { continue };
            let seen = node.driver.nodes();
            let seen = seen
                .iter()
                .map(|node| format!("{} {} {:?}", node.name, node.state, node.hops));
            let links = node.driver.links();
            let links = links
                .iter()
                .map(|link| format!("{}{}", link.name, if link.up { "" } else { " (down)" }));
            why.push_str(&format!(
                "\n      {} sees [{}], is linked with [{}]",
                site.name,
                seen.collect::<Vec<_>>().join(", "),
                links.collect::<Vec<_>>().join(", ")
            ));
        }
        why
    }

    /// An operator cuts the links with nodes that will not come back.
    async fn forget_the_lost(&self) {
        let lost = self.world.disks.lost();
        for at in self.world.running() {
            let Some(node) = &self.world.sites[at].node else {
                continue;
            };
            for link in node.driver.links() {
                if lost.contains(&link.id) {
                    let cut = node.driver.unlink(&link.id.to_string()).await;
                    if let Err(error) = cut {
                        self.wrong(format!("a link with a lost node was not cut: {error}"));
                    }
                }
            }
        }
    }

    async fn take_snapshot(&self) -> Snapshot {
        let mut reads = Vec::new();
        for door in (0..self.world.sites.len()).filter_map(|at| self.door(at)) {
            let mut of_node = BTreeMap::new();
            for key in &self.keys {
                let read = self
                    .clients
                    .get(door.clone(), key.clone(), Consistency::Usual)
                    .await;
                of_node.insert(key.clone(), read);
            }
            reads.push(of_node);
        }
        // Copies that these reads made are still in transit.
        tokio::time::sleep(Duration::from_secs(15)).await;
        let mut snapshot = self.snapshot_of_disks();
        for (shot, reads) in snapshot.nodes.iter_mut().zip(reads) {
            shot.reads = reads;
        }
        snapshot
    }

    /// The same before anybody has read anything.
    fn snapshot_of_disks(&self) -> Snapshot {
        let shot = |site: &Site| {
            let node = site.node.as_ref()?;
            let disk = self.world.disks.disk(site.id);
            let holdings = disk.iter().flat_map(|disk| disk.holdings());
            let held = holdings.map(|holding| {
                let key = holding.record.key.clone();
                let content = disk.as_ref().and_then(|disk| disk.content(&key));
                let content = Digest::of(&content.unwrap_or_default());
                (key, Held { holding, content })
            });
            Some(NodeShot {
                id: site.id,
                name: site.name.clone(),
                held: held.collect(),
                links: node.driver.links().iter().map(|link| link.id).collect(),
                usage: dataverse_store::Store::usage(&*node.store),
                reads: BTreeMap::new(),
            })
        };
        Snapshot {
            nodes: self.world.sites.iter().filter_map(shot).collect(),
            lost: self.world.disks.lost(),
            buried: self.world.disks.buried(),
            lost_replicas: self.world.disks.lost_replicas(),
            liar: self.world.liar(),
            untrusted: self.world.disks.untrusted(),
        }
    }

    pub(crate) fn wrong(&self, what: String) {
        self.world.findings.add(&self.world.log, what);
    }
}

impl Expect {
    /// What can be expected of such a run.
    fn of(profile: &Profile) -> Self {
        match profile.sky {
            Sky::Calm => Self::EVERYTHING,
            Sky::Rough => Self {
                clocks_agree: profile.jumps == 0 && profile.crashes == 0,
                ..Self::AFTER_FAULTS
            },
        }
        .lied_to(profile)
    }

    /// A lie may put clocks ahead, and a deletion that only a liar confirmed never was.
    fn lied_to(self, profile: &Profile) -> Self {
        Self {
            clocks_agree: self.clocks_agree && !profile.shifts_clocks(),
            ..self
        }
    }
}
