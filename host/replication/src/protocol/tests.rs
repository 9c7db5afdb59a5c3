//! Protocols that run at the same time on a few nodes, whose answers get lost: whatever was acknowledged stays.

use std::collections::BTreeMap;

use dataverse_core::content::Digest;
use dataverse_core::holdings::Role;
use dataverse_core::key::Key;
use dataverse_core::node::{Effect, Node};
use dataverse_core::record::Layout;
use dataverse_core::relayout::{HolderState, move_away, need};
use dataverse_core::search::Hit;
use dataverse_core::version::Stamp;
use proptest::prelude::*;

use super::*;
use crate::fixtures::{self, id};
use crate::upkeep::Outcome;

const NODES: u128 = 4;
const FACTOR: u32 = 2;

fn key() -> Key {
    fixtures::key("ada/x")
}

/// What may become of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Arrives,
    /// It never arrives.
    Lost,
    /// It arrives, and its answer is lost.
    Unanswered,
}

/// A protocol under way at a node.
enum Running {
    Write(Write),
    Tombstone(Tombstone),
    Relayout(Relayout),
    Release(Release),
}

/// What a protocol ended with.
enum Ended {
    Written(Written),
    Deleted(Deleted),
    Else,
}

struct Actor {
    node: NodeId,
    running: Running,
    event: Event,
    /// The version that a deletion has stamped last.
    stamped: Option<Version>,
    takers: Vec<NodeId>,
    ready: Vec<NodeId>,
}

struct World {
    nodes: BTreeMap<NodeId, Node>,
    clock: u64,
    /// The greatest version whose writer was told that it is durable.
    acknowledged: Option<Version>,
    /// The fates of the messages to come; after that, all arrive.
    fates: Vec<Fate>,
    /// The greatest record that was ever durable on each node.
    was_durable: BTreeMap<NodeId, Arc<Record>>,
    /// What was given up too early.
    wrong: Option<String>,
}

impl World {
    fn new(fates: Vec<Fate>) -> Self {
        let node = |number| {
            (
                id(number),
                Node::new(id(number), Stamp::default(), Vec::new()),
            )
        };
        Self {
            nodes: (1..=NODES).map(node).collect(),
            clock: 0,
            acknowledged: None,
            fates,
            was_durable: BTreeMap::new(),
            wrong: None,
        }
    }

    fn fate(&mut self, from: NodeId, to: NodeId) -> Fate {
        match from == to {
            true => Fate::Arrives,
            false => self.fates.pop().unwrap_or(Fate::Arrives),
        }
    }

    fn node(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(&id).expect("it is a node")
    }

    fn held(&self, id: NodeId) -> Option<&Holding> {
        self.nodes[&id].holding(&key())
    }

    fn stamp(&mut self, writer: NodeId) -> Version {
        self.clock += 1;
        let stamp = Stamp(self.clock);
        Version { stamp, writer }
    }

    fn hold(&mut self, at: NodeId, record: &Arc<Record>, role: Role) {
        let holding = Holding {
            record: Arc::clone(record),
            role,
            validated: 1,
            verified: 1,
        };
        self.node(at).changed(&key(), Some(&holding));
        if role == Role::Replica {
            let greatest = self
                .was_durable
                .entry(at)
                .or_insert_with(|| Arc::clone(record));
            *greatest = Arc::clone(record).max(Arc::clone(greatest));
        }
    }

    /// A replica is about to be given up for this record.
    fn judge(&mut self, at: NodeId, record: &Arc<Record>) {
        let held = self.held(at);
        let named = record.layout.holders.iter();
        let durable = named.filter(|id| {
            let greatest = self.was_durable.get(id);
            let is_layout = held.is_some_and(|held| held.record.version == record.version);
            greatest.is_some_and(|greatest| match is_layout {
                true => greatest >= record,
                false => greatest.version >= record.version,
            })
        });
        let durable = durable.count();
        let wanted = match held {
            Some(held) if held.record.version == record.version => record.layout.holders.len(),
            Some(held) if held.role == Role::Replica && !record.deleted => {
                record.layout.holders.len().min(FACTOR as usize)
            }
            _ => 1,
        };
        if durable < wanted {
            self.wrong = Some(format!("{at:?} gave up {held:?} for {record:?}"));
        }
    }

    fn commit(&mut self, at: NodeId, record: &Arc<Record>, has_content: bool) -> Committed {
        let held = self.held(at);
        if let Some(held) = held.filter(|held| held.record > *record) {
            return Committed::Greater(Arc::clone(&held.record));
        }
        let same = held.is_some_and(|held| held.record.version == record.version);
        if !record.deleted && !has_content && !same {
            return Committed::Silent;
        }
        self.hold(at, record, Role::Replica);
        Committed::Here
    }

    fn seen(&self, at: NodeId) -> Seen {
        let node = &self.nodes[&at];
        let held = node.holding(&key()).cloned();
        let others = held.iter().flat_map(|held| &held.record.layout.holders);
        Seen {
            others_left: others.filter(|other| **other != at).count(),
            known: node.known(&key()),
            confirmed: node.confirmed(&key()),
            held,
        }
    }

    /// Performs an action of a protocol at this node.
    fn perform(&mut self, actor: &mut Actor, action: Action) -> Event {
        let me = actor.node;
        match action {
            Action::Look | Action::Verify(_) => return Event::Seen(self.seen(me)),
            Action::Ask(nodes) => {
                let answer = |world: &mut Self, id| {
                    let answer = world.nodes[&id].answer(&key(), None, 1, 0, Vec::new());
                    Some(answer).filter(|_| world.fate(me, id) == Fate::Arrives)
                };
                let answers = nodes.into_iter().map(|id| (id, answer(self, id)));
                return Event::Answers(answers.collect());
            }
            Action::Search { above, but } => {
                let records = self.nodes.values().filter_map(|node| node.holding(&key()));
                let above = records.filter(|held| held.record.version > above);
                let (past, found): (Vec<_>, Vec<_>) =
                    above.partition(|held| but.contains(&held.record));
                let found = Found {
                    record: found.iter().map(|held| Arc::clone(&held.record)).max(),
                    passed_over: !past.is_empty(),
                    heard: None,
                    asked: Asked::All,
                };
                return Event::Found(found);
            }
            Action::Prepare { wanted, .. } => {
                let takers = std::mem::take(&mut actor.takers).into_iter();
                actor.ready = takers
                    .filter(|taker| self.fate(me, *taker) == Fate::Arrives)
                    .take(wanted)
                    .collect();
                let known = |id: &NodeId| (*id, self.nodes[id].known(&key()));
                return Event::Prepared(actor.ready.iter().map(known).collect());
            }
            Action::LayAnew { record, holders } => {
                self.clock += 1;
                let at = Stamp(self.clock);
                let layout = self.nodes[&me].next_layout(&record.layout, at, holders);
                let laid = Record {
                    layout,
                    ..(*record).clone()
                };
                return Event::Laid(Ok(Arc::new(laid)));
            }
            Action::Commit { record, on } => {
                let committed = on.into_iter().map(|id| {
                    let has_content = actor.ready.contains(&id) || id == me;
                    let committed = match self.fate(me, id) {
                        Fate::Arrives => self.commit(id, &record, has_content),
                        Fate::Lost => Committed::Silent,
                        Fate::Unanswered => {
                            self.commit(id, &record, has_content);
                            Committed::Silent
                        }
                    };
                    (id, committed)
                });
                return Event::Committed(committed.collect());
            }
            Action::Show { record, by } => {
                let held = self.held(by);
                return Event::Shown(held.is_some_and(|it| it.record.version == record.version));
            }
            Action::Tell { record, to } => {
                let told = to.into_iter().map(|id| {
                    let heard = self.fate(me, id) == Fate::Arrives;
                    if heard {
                        let _ = self.node(id).learn(&record);
                    }
                    (id, heard)
                });
                return Event::Told(told.collect());
            }
            Action::Announce(record) => {
                let others: Vec<NodeId> = self.nodes.keys().copied().collect();
                for id in others {
                    if self.fate(me, id) != Fate::Lost {
                        let _ = self.node(id).learn(&record);
                    }
                }
            }
            Action::Learn(record) | Action::TakeIn(record) => {
                let _ = self.node(me).learn(&record);
            }
            Action::Confirm(heard) => self.node(me).confirm(&key(), heard),
            Action::Forget(version) => self.node(me).disprove(&key(), version),
            Action::Demote(record) => {
                let held = self.held(me);
                let is_less = held.is_some_and(|held| {
                    held.record.version == record.version && held.record.layout < record.layout
                });
                if is_less {
                    self.judge(me, &record);
                    self.hold(me, &record, Role::Cached);
                }
                return Event::Stored(is_less);
            }
            Action::Replace { record, is_certain } => {
                if is_certain {
                    self.node(me).confirm(&key(), Heard::of(&record));
                }
                let effect = self.nodes[&me].replacement(&record);
                if effect.is_some() {
                    self.judge(me, &record);
                }
                match &effect {
                    Some(Effect::Drop { .. }) => self.node(me).changed(&key(), None),
                    Some(Effect::Adopt { record, role }) => self.hold(me, record, *role),
                    _ => {}
                }
                return Event::Stored(effect.is_some());
            }
            Action::Spares { tombstone, wanted } => {
                let spares = self.nodes.keys().copied();
                let spares = spares.filter(|id| !tombstone.layout.names(*id));
                return Event::Spares(spares.take(wanted).collect());
            }
            Action::Stamp(_) => {
                let version = self.stamp(me);
                actor.stamped = Some(version);
                return Event::Stamped(Ok(version));
            }
            Action::Copies(_) | Action::Fetch { .. } | Action::Relieve(_) | Action::GiveUp(_) => {
                unreachable!("no replica is bad here")
            }
            Action::Abandon(_) | Action::Offer { .. } | Action::Hint { .. } | Action::Reach(_) => {}
        }
        Event::Done
    }

    /// One step of a protocol. Returns its end.
    fn step(&mut self, actor: &mut Actor) -> Option<Ended> {
        fn one<P: Protocol>(protocol: &mut P, event: Event) -> Step<P::Output> {
            protocol.step(event)
        }
        let event = std::mem::replace(&mut actor.event, Event::Done);
        let action = match &mut actor.running {
            Running::Write(write) => match one(write, event) {
                Step::Do(action) => action,
                Step::End(written) => return Some(Ended::Written(written)),
            },
            Running::Tombstone(tombstone) => match one(tombstone, event) {
                Step::Do(action) => action,
                Step::End(deleted) => return Some(Ended::Deleted(deleted)),
            },
            Running::Relayout(relayout) => match one(relayout, event) {
                Step::Do(action) => action,
                Step::End(_) => return Some(Ended::Else),
            },
            Running::Release(release) => match one(release, event) {
                Step::Do(action) => action,
                Step::End(_) => return Some(Ended::Else),
            },
        };
        actor.event = self.perform(actor, action);
        None
    }

    /// Takes note of how a protocol ended.
    fn ended(&mut self, actor: &Actor, ended: Ended) {
        match ended {
            Ended::Written(Ok(record)) => {
                self.acknowledged = self.acknowledged.max(Some(record.version));
                let everyone: Vec<NodeId> = self.nodes.keys().copied().collect();
                for id in everyone {
                    if self.fate(actor.node, id) != Fate::Lost {
                        let _ = self.node(id).learn(&record);
                    }
                }
            }
            Ended::Deleted(Deleted::Done) => {
                self.acknowledged = self.acknowledged.max(actor.stamped);
            }
            Ended::Written(Err(_)) | Ended::Deleted(_) | Ended::Else => {}
        }
    }

    fn begin(&mut self, kind: u8, node: NodeId, other: NodeId) -> Option<Actor> {
        let held = self.held(node).cloned();
        let replica = held.clone().filter(|held| held.role == Role::Replica);
        let live = replica.clone().filter(|held| !held.record.deleted);
        let mut takers = Vec::new();
        let mut ready = Vec::new();
        let running = match kind {
            0 | 1 => {
                let version = self.stamp(node);
                let holders = match kind {
                    0 => vec![node, other],
                    _ => (1..=NODES)
                        .map(id)
                        .filter(|id| *id != node)
                        .take(2)
                        .collect(),
                };
                ready.clone_from(&holders);
                Running::Write(Write::new(node, record(version, holders), 1))
            }
            2 => Running::Tombstone(Tombstone::new(node, live?.record, None)),
            3 | 4 => {
                let record = live?.record;
                takers = (1..=NODES)
                    .map(id)
                    .filter(|id| !record.layout.names(*id))
                    .collect();
                let gone = |id| match id == other {
                    true => HolderState::Gone,
                    false => HolderState::Here,
                };
                let to = *takers.first()?;
                let relayout = match kind {
                    3 => {
                        let need = need(&record, node, false, gone)?;
                        Relayout::new(node, record, need)
                    }
                    _ => {
                        let need = move_away(&record, node, to)?;
                        Relayout::moving(node, record, need, to)
                    }
                };
                Running::Relayout(relayout)
            }
            _ => {
                held?;
                let newest = self.nodes.values().filter_map(|node| node.holding(&key()));
                let newest = newest.map(|held| Arc::clone(&held.record)).max();
                Running::Release(Release::new(node, newest.filter(|_| kind == 5)))
            }
        };
        Some(Actor {
            node,
            running,
            event: Event::Done,
            stamped: None,
            takers,
            ready,
        })
    }

    /// Some node holds what was acknowledged, or something greater, and nothing was given up too early.
    fn check(&self) -> Result<(), TestCaseError> {
        prop_assert!(self.wrong.is_none(), "{:?}", self.wrong);
        let Some(acknowledged) = self.acknowledged else {
            return Ok(());
        };
        let holds =
            |held: &Holding| held.role == Role::Replica && held.record.version >= acknowledged;
        let nodes = self.nodes.values().filter_map(|node| node.holding(&key()));
        let copies = nodes.filter(|held| holds(held)).count();
        prop_assert!(copies > 0, "{acknowledged:?} is gone");
        Ok(())
    }
}

fn record(version: Version, mut holders: Vec<NodeId>) -> Arc<Record> {
    holders.dedup();
    Arc::new(Record {
        key: key(),
        version,
        layout: Layout {
            counter: 0,
            author: version.writer,
            holders,
        },
        deleted: false,
        size: 3,
        digest: Digest::of(&version.stamp.0.to_be_bytes()),
        content_type: "text/plain".into(),
        factor: FACTOR,
    })
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Arrives),
        1 => Just(Fate::Lost),
        1 => Just(Fate::Unanswered),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn what_was_acknowledged_stays_whatever_runs_at_the_same_time(
        fates in prop::collection::vec(fate(), 0..80),
        acts in prop::collection::vec((0..7u8, 1..=NODES, 1..=NODES, 0..4usize), 1..200),
    ) {
        let mut world = World::new(fates);
        let mut actors: Vec<Actor> = Vec::new();
        for (kind, node, other, which) in acts {
            if which == 0 && actors.len() < 4 {
                actors.extend(world.begin(kind, id(node), id(other)));
            } else if let Some(actor) = actors.get_mut(which.saturating_sub(1))
                && let Some(ended) = world.step(actor)
            {
                let actor = actors.remove(which.saturating_sub(1));
                world.ended(&actor, ended);
            }
            world.check()?;
        }
        // All go on to their end.
        for mut actor in actors {
            let ended = loop {
                if let Some(ended) = world.step(&mut actor) {
                    break ended;
                }
            };
            world.ended(&actor, ended);
            world.check()?;
        }
    }
}

/// A layout that names nobody, or nobody who has the content, hides no version that exists.
#[test]
fn a_record_that_is_nowhere_hides_none_that_exists() {
    let mut world = World::new(Vec::new());
    let (old, new) = (world.stamp(id(1)), world.stamp(id(2)));
    let old = record(old, vec![id(1)]);
    let new = record(new, vec![id(2)]);
    world.hold(id(1), &old, Role::Replica);
    world.hold(id(2), &new, Role::Replica);
    for holders in [Vec::new(), vec![id(3)]] {
        let layout = Layout {
            counter: 9,
            author: id(2),
            holders,
        };
        let forged = Arc::new(Record {
            layout,
            ..(*new).clone()
        });
        world.hold(id(4), &forged, Role::Cached);
        let _ = world.node(id(1)).learn(&forged);
        let mut actor = Actor {
            node: id(1),
            running: Running::Release(Release::new(id(1), Some(forged))),
            event: Event::Done,
            stamped: None,
            takers: Vec::new(),
            ready: Vec::new(),
        };
        while world.step(&mut actor).is_none() {}
        assert_eq!(world.held(id(1)), None, "it was replaced");
        world.hold(id(1), &old, Role::Replica);
    }
}

#[test]
fn a_copy_of_what_no_holder_has_is_not_forgotten() {
    let mut world = World::new(Vec::new());
    let (old, new) = (world.stamp(id(1)), world.stamp(id(2)));
    let (old, new) = (record(old, vec![id(1)]), record(new, vec![id(2)]));
    world.hold(id(1), &old, Role::Replica);
    world.hold(id(4), &new, Role::Cached);
    let _ = world.node(id(1)).learn(&new);
    let mut release = Release::new(id(1), Some(new));
    let mut event = Event::Done;
    let mut actor = world.begin(6, id(1), id(1)).expect("it holds something");
    let outcome = loop {
        match release.step(event) {
            Step::Do(action) => event = world.perform(&mut actor, action),
            Step::End(outcome) => break outcome,
        }
    };
    assert_eq!(outcome, Outcome::Again);
    assert!(world.held(id(1)).is_some());
}

/// What a node with a replica of version 5 does about a record once the node that it names has answered that it holds
/// this one.
fn asked(announced: &Arc<Record>, held: &Arc<Record>) -> Step<Outcome> {
    let mut release = Release::new(id(1), Some(Arc::clone(announced)));
    let mut steps = [
        Event::Done,
        Event::Seen(Seen {
            held: Some(Holding {
                record: Arc::new(fixtures::record("ada/x", 5, 0, &[1, 2])),
                role: Role::Replica,
                validated: 0,
                verified: 0,
            }),
            others_left: 1,
            ..Seen::default()
        }),
        Event::Answers(vec![(
            id(3),
            Some(Answer {
                hits: vec![Hit {
                    record: Arc::clone(held),
                    role: Role::Replica,
                    validated_age_ms: 0,
                }],
                ..Answer::default()
            }),
        )]),
    ]
    .map(|event| release.step(event));
    std::mem::replace(&mut steps[2], Step::End(Outcome::Done))
}

#[test]
fn a_layout_that_no_holder_has_is_not_what_is_judged() {
    let held = Arc::new(fixtures::record("ada/x", 6, 0, &[3, 4]));
    let show = |by| {
        Step::Do(Action::Show {
            record: Arc::clone(&held),
            by: id(by),
        })
    };
    assert_eq!(
        asked(&held, &held),
        show(3),
        "it serves the old one no more"
    );
    // A layout that names node 3 alone would cost the old replica, and one that names this node would keep it for ever.
    for made_up in [&[3][..], &[1, 3]] {
        let made_up = Arc::new(fixtures::record("ada/x", 6, 9, made_up));
        assert_eq!(
            asked(&made_up, &held),
            Step::Do(Action::Look),
            "{made_up:?}"
        );
    }
}
