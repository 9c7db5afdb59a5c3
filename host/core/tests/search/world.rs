//! A network of nodes, each with its own behaviour, and a driver that runs one search over it.
//!
//! Node 0 runs the search. The driver checks on the way that no node is asked twice, that no level is asked before
//! the previous one has settled, that the bounds on concurrent and total probes hold, and that the search ends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dataverse_core::content::Digest;
use dataverse_core::floors::Heard;
use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::limits;
use dataverse_core::record::{Layout, Record};
use dataverse_core::search::{Answer, Bounds, Deletion, Hit, Peer, Question, Report, Search};
use dataverse_core::version::{Millis, Stamp, Version};

pub(crate) const START: Millis = 1_000;

pub(crate) const BOUNDS: Bounds = Bounds {
    hops: 16,
    fanout: 32,
    probe_deadline_ms: 1_000,
    deadline_ms: 10_000,
    budget: 4_096,
    settle_ms: limits::SEARCH_SETTLE_MS,
};

/// What is visibly wrong with a node's answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lie {
    /// A hit for a file that was not asked for.
    WrongKey,
    /// A hit that is a tombstone.
    Deleted,
    /// A hit below the floor in the question, or below what the node says it has heard of.
    BelowFloor,
    /// Two hits for one file.
    Twice,
    /// More neighbours than any node may have.
    TooManyLinks,
    /// A neighbour whose address is too long.
    LongAddress,
}

/// How a node reacts to a probe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Temper {
    /// Answers after this many milliseconds.
    Honest(u64),
    /// Answers immediately, with a lie.
    Lying(Lie),
    /// Refuses connections after this many milliseconds.
    Dead(u64),
    /// Never answers.
    Silent,
}

#[derive(Clone, Debug)]
pub(crate) struct SimNode {
    pub(crate) temper: Temper,
    /// By file number: the version held, and in which role.
    pub(crate) files: BTreeMap<u64, (u64, Role)>,
    /// The highest version of file 0 heard of.
    pub(crate) known: Option<u64>,
    pub(crate) load: u32,
    /// By node number; may contain duplicates, the node itself and node 0.
    pub(crate) links: Vec<usize>,
}

impl SimNode {
    pub(crate) fn new(temper: Temper) -> Self {
        Self {
            temper,
            files: BTreeMap::new(),
            known: None,
            load: 0,
            links: Vec::new(),
        }
    }

    /// Whether its answers are reliable and in time.
    pub(crate) fn answers(&self, bounds: Bounds) -> bool {
        matches!(self.temper, Temper::Honest(ms) if ms <= bounds.probe_deadline_ms)
    }

    /// What it has heard of file 0, its own copy included.
    pub(crate) fn heard(&self) -> Option<u64> {
        self.files.get(&0).map(|(held, _)| *held).max(self.known)
    }

    /// The copy of file 0 that it would serve: not one that it knows to be outdated.
    pub(crate) fn serves(&self) -> Option<(u64, Role)> {
        self.files
            .get(&0)
            .copied()
            .filter(|(held, _)| Some(*held) == self.heard())
    }

    /// Its replica of file 0 that it does not serve to a node that asks with this floor.
    pub(crate) fn overtaken(&self, floor: Option<Version>) -> Option<u64> {
        let (held, role) = self.files.get(&0).copied()?;
        let highest = self.heard().map(version).max(floor);
        (role == Role::Replica && Some(version(held)) < highest).then_some(held)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct SearchGraph {
    pub(crate) nodes: Vec<SimNode>,
}

/// What happened, in addition to the report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Trace {
    pub(crate) report: Report,
    /// Node numbers in the order asked, with their levels and when.
    pub(crate) asked: Vec<(usize, u32, Millis)>,
    pub(crate) ended: Millis,
}

pub(crate) fn version(number: u64) -> Version {
    Version {
        stamp: Stamp(number),
        writer: NodeId::from(7),
    }
}

pub(crate) fn key(file: u64) -> Key {
    Key::parse(&format!("ada/{file}")).expect("it is a key")
}

pub(crate) fn exact(floor: Option<u64>) -> Question {
    Question::Exact {
        key: key(0),
        floor: floor.map(version),
        pending_before: None,
    }
}

/// Ids are scattered, so that their order reveals nothing about the graph.
pub(crate) fn id(node: usize) -> NodeId {
    NodeId::from(1 + (node as u128 * 37) % 1_009)
}

pub(crate) fn number(id: NodeId, nodes: usize) -> Option<usize> {
    (0..nodes).find(|node| self::id(*node) == id)
}

pub(crate) fn peer(node: usize) -> Peer {
    Peer {
        id: id(node),
        name: format!("n{node}").into(),
        address: format!("host{node}:7400").into(),
    }
}

pub(crate) fn hit(file: u64, number: u64, role: Role) -> Hit {
    Hit {
        record: Arc::new(Record {
            key: key(file),
            version: version(number),
            layout: Layout {
                counter: 0,
                author: id(0),
                holders: Vec::new(),
            },
            deleted: false,
            size: 1,
            digest: Digest::of(b"x"),
            content_type: "text/plain".into(),
            factor: 2,
        }),
        role,
        validated_age_ms: 0,
    }
}

impl SearchGraph {
    /// Honest nodes that answer after a millisecond, without links.
    pub(crate) fn of(nodes: usize) -> Self {
        Self {
            nodes: vec![SimNode::new(Temper::Honest(1)); nodes],
        }
    }

    pub(crate) fn line(nodes: usize) -> Self {
        let mut world = Self::of(nodes);
        for node in 1..nodes {
            world.link(node - 1, node);
        }
        world
    }

    pub(crate) fn link(&mut self, a: usize, b: usize) {
        self.nodes[a].links.push(b);
        self.nodes[b].links.push(a);
    }

    pub(crate) fn temper(mut self, node: usize, temper: Temper) -> Self {
        self.nodes[node].temper = temper;
        self
    }

    pub(crate) fn file(mut self, node: usize, number: u64, role: Role) -> Self {
        self.nodes[node].files.insert(0, (number, role));
        self
    }

    pub(crate) fn knows(mut self, node: usize, number: u64) -> Self {
        self.nodes[node].known = Some(number);
        self
    }

    /// What a truthful node answers.
    pub(crate) fn truth(&self, node: usize, question: &Question) -> Answer {
        let sim = &self.nodes[node];
        let (hits, hits_are_all, known) = match question {
            Question::Exact { floor, .. } => {
                let hit = sim.serves().map(|(held, role)| hit(0, held, role));
                let fits = |hit: &Hit| Some(hit.record.version) >= *floor;
                (
                    hit.into_iter().filter(fits).collect(),
                    true,
                    sim.heard().map(|number| Heard::alive(version(number))),
                )
            }
            Question::Pattern { pattern, limit } => {
                let hits = sim.files.iter();
                let hits = hits.map(|(file, (held, role))| hit(*file, *held, *role));
                let hits = hits.filter(|hit| pattern.matches(&hit.record.key));
                let mut hits: Vec<_> = hits.collect();
                let are_all = hits.len() <= *limit as usize;
                hits.truncate(*limit as usize);
                (hits, are_all, None)
            }
        };
        Answer {
            hits,
            hits_are_all,
            known,
            overtaken: match question {
                Question::Exact { floor, .. } => {
                    let held = sim.overtaken(*floor);
                    held.map(|held| hit(0, held, Role::Replica))
                }
                Question::Pattern { .. } => None,
            },
            pending: false,
            deletion: Deletion::None,
            load: sim.load,
            neighbours: sim.links.iter().map(|node| peer(*node)).collect(),
        }
    }

    fn lie(&self, node: usize, question: &Question, lie: Lie) -> Answer {
        let mut answer = self.truth(node, question);
        match lie {
            Lie::WrongKey => answer.hits = vec![hit(999_999, 9, Role::Replica)],
            Lie::Deleted => {
                let mut tombstone = hit(0, 9, Role::Replica);
                Arc::make_mut(&mut tombstone.record).deleted = true;
                answer.hits = vec![tombstone];
            }
            Lie::BelowFloor => {
                answer.known = Heard::merged([answer.known, Some(Heard::alive(version(1)))]);
                answer.hits = vec![hit(0, 0, Role::Replica)];
            }
            Lie::Twice => answer.hits = vec![hit(0, 9, Role::Replica); 2],
            Lie::TooManyLinks => {
                let padding = std::iter::repeat_n(peer(node), limits::LINKS_MAX + 1);
                answer.neighbours.extend(padding);
            }
            Lie::LongAddress => answer.neighbours.push(Peer {
                id: NodeId::from(5_000),
                name: "n".into(),
                address: "x".repeat(limits::ADDRESS_BYTES_MAX + 1).into(),
            }),
        }
        answer
    }

    /// Runs one search to its end. `meddle` adds answers from nodes that were never asked and repeats others.
    pub(crate) fn run(&self, question: Question, bounds: Bounds, meddle: bool) -> Trace {
        let local = self.truth(0, &question);
        let mut search = Search::new(question, peer(0), local, bounds, START);
        let mut driver = Driver {
            world: self,
            bounds,
            outstanding: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            asked: Vec::new(),
        };
        let mut now = START;
        for _ in 0..20 * self.nodes.len() + 100 {
            driver.send(&mut search, now);
            if let Some(report) = search.report() {
                assert_eq!(search.wake_at(), None, "a search that ended does not wake");
                return Trace {
                    report: report.clone(),
                    asked: driver.asked,
                    ended: now,
                };
            }
            let wake = search.wake_at().expect("a search in progress wakes");
            let arrival = driver.arrivals.first_key_value().map(|((at, _), _)| *at);
            now = now.max(arrival.map_or(wake, |at| at.min(wake)));
            driver.deliver(&mut search, now, meddle);
        }
        panic!("the search does not end");
    }
}

/// Plays the live node: sends probes, reports outcomes, and checks that the search keeps its bounds.
struct Driver<'a> {
    world: &'a SearchGraph,
    bounds: Bounds,
    /// Level and deadline of each probe in flight.
    outstanding: BTreeMap<usize, (u32, Millis)>,
    /// What arrives when; `None` is a failure.
    arrivals: BTreeMap<(Millis, usize), Option<Answer>>,
    asked: Vec<(usize, u32, Millis)>,
}

impl Driver<'_> {
    fn send(&mut self, search: &mut Search, now: Millis) {
        let probes = search.poll(now);
        self.outstanding.retain(|_, (_, deadline)| *deadline > now);
        for probe in probes {
            let node = number(probe.peer.id, self.world.nodes.len()).expect("it is in the graph");
            assert_eq!(probe.peer, peer(node));
            assert_ne!(node, 0, "a node does not probe itself");
            let before = self.asked.iter().any(|(asked, _, _)| *asked == node);
            assert!(!before, "n{node} is asked twice");
            let nearer = self
                .outstanding
                .values()
                .find(|(level, _)| *level < probe.level);
            assert_eq!(nearer, None, "a nearer level has not settled");
            assert!(probe.level <= self.bounds.hops);
            assert!(probe.deadline <= START + self.bounds.deadline_ms);
            self.outstanding.insert(node, (probe.level, probe.deadline));
            self.asked.push((node, probe.level, now));
            let (after, what) = match self.world.nodes[node].temper {
                Temper::Honest(after) => (after, Some(self.world.truth(node, &probe.question))),
                Temper::Lying(lie) => (1, Some(self.world.lie(node, &probe.question, lie))),
                Temper::Dead(after) => (after, None),
                Temper::Silent => continue,
            };
            self.arrivals.insert((now + after, node), what);
        }
        assert!(self.outstanding.len() <= self.bounds.fanout.max(1) as usize);
        assert!(self.asked.len() <= self.bounds.budget as usize);
    }

    fn deliver(&mut self, search: &mut Search, now: Millis, meddle: bool) {
        let due: Vec<_> = self
            .arrivals
            .keys()
            .take_while(|(at, _)| *at <= now)
            .copied()
            .collect();
        for at in due {
            let node = at.1;
            self.outstanding.remove(&node);
            match self.arrivals.remove(&at).expect("it is due") {
                Some(answer) => {
                    search.answered(id(node), answer.clone(), now);
                    if meddle {
                        // Repeated, in another node's name, and from a node that was never asked.
                        let false_answer = self.world.lie(node, &exact(None), Lie::WrongKey);
                        search.answered(id(node), false_answer.clone(), now);
                        search.answered(id(0), answer, now);
                        search.answered(NodeId::from(77_777), false_answer, now);
                        search.failed(id(node), now);
                    }
                }
                None => search.failed(id(node), now),
            }
        }
    }
}

/// Nodes by number with their distance from node 0: plain breadth-first search over the links of the nodes that
/// `passes` accepts.
pub(crate) fn distances(
    world: &SearchGraph,
    passes: impl Fn(usize) -> bool,
) -> BTreeMap<usize, u32> {
    let mut distances = BTreeMap::from([(0, 0)]);
    let mut ring = BTreeSet::from([0]);
    for level in 1.. {
        let named: BTreeSet<usize> = ring
            .iter()
            .filter(|node| **node == 0 || passes(**node))
            .flat_map(|node| world.nodes[*node].links.iter().copied())
            .filter(|node| !distances.contains_key(node))
            .collect();
        if named.is_empty() {
            break;
        }
        distances.extend(named.iter().map(|node| (*node, level)));
        ring = named;
    }
    distances
}
