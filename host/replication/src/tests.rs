//! Racing writers on a model network, in every order that a schedule of random steps gives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dataverse_core::content::Digest;
use dataverse_core::floors::Heard;
use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::{Layout, Record};
use dataverse_core::search::{Answer, Deletion, Hit, Peer};
use dataverse_core::version::{Stamp, Version};
use proptest::prelude::*;

use super::*;

fn key() -> Key {
    "ada/lock".parse().expect("it is a key")
}

fn peer(id: usize) -> Peer {
    Peer {
        id: NodeId::from(id as u128 + 1),
        name: format!("N{id}").into(),
        address: format!("n{id}:1").as_str().into(),
    }
}

/// The content `number`.
fn digest(number: u64) -> Digest {
    Digest::of(&number.to_le_bytes())
}

fn record(number: u64, version: Version, deleted: bool) -> Arc<Record> {
    Arc::new(Record {
        key: key(),
        version,
        layout: Layout {
            counter: 0,
            author: version.writer,
            holders: vec![version.writer],
        },
        deleted,
        size: 8,
        digest: digest(number),
        content_type: "text/plain".into(),
        factor: 1,
    })
}

/// A node of the model: linked with the one before and the one after it.
#[derive(Debug, Default)]
struct Site {
    clock: u64,
    pending: PendingWrites,
    held: Option<Arc<Record>>,
    known: Option<Heard>,
}

#[derive(Debug)]
struct World {
    sites: Vec<Site>,
    /// False: nobody takes note of pending writes, as a broken implementation would not.
    takes_tickets: bool,
}

impl World {
    fn new(nodes: usize, takes_tickets: bool) -> Self {
        let sites = (0..nodes).map(|_| Site::default()).collect();
        Self {
            sites,
            takes_tickets,
        }
    }

    fn answer(&self, at: usize, before: Option<Version>, own: Option<&Ticket>) -> Answer {
        let site = &self.sites[at];
        let neighbours = [
            at.checked_sub(1),
            (at + 1 < self.sites.len()).then_some(at + 1),
        ];
        let held = site.held.iter().filter(|held| !held.deleted);
        let held = held.filter(|held| site.known.is_none_or(|known| known.version <= held.version));
        Answer {
            hits: held
                .map(|held| Hit {
                    record: Arc::clone(held),
                    role: Role::Replica,
                    validated_age_ms: 0,
                })
                .collect(),
            hits_are_all: true,
            known: Heard::merged([site.known, site.held.as_deref().map(Heard::of)]),
            overtaken: None,
            deletion: Deletion::None,
            pending: before.is_some_and(|version| site.pending.any_before(&key(), version, own)),
            load: 0,
            neighbours: neighbours.into_iter().flatten().map(peer).collect(),
        }
    }

    fn stamp(&mut self, at: usize, ticket: Option<&Ticket>) -> Version {
        let site = &mut self.sites[at];
        site.clock += 1;
        let version = Version {
            stamp: Stamp(site.clock),
            writer: peer(at).id,
        };
        if let Some(ticket) = ticket {
            site.pending.stamped(ticket, version);
        }
        version
    }

    fn newest(&self) -> Option<Arc<Record>> {
        let held = self.sites.iter().filter_map(|site| site.held.clone());
        held.max().filter(|newest| !newest.deleted)
    }
}

/// What a writer does next.
enum Step {
    Begin,
    Stamp,
    Ask(Round),
    Commit(Vec<usize>, Arc<Record>),
    Done,
}

struct Writer {
    at: usize,
    /// Where its content goes.
    holders: Vec<usize>,
    number: u64,
    condition: Condition,
    write: ConditionalWrite,
    ticket: Option<Ticket>,
    version: Option<Version>,
    step: Step,
    /// Whether it succeeded.
    won: Option<bool>,
}

impl Writer {
    fn new(at: usize, holders: Vec<usize>, number: u64, condition: Condition) -> Self {
        Self {
            at,
            holders,
            number,
            write: ConditionalWrite::new(condition.clone(), None),
            condition,
            ticket: None,
            version: None,
            step: Step::Begin,
            won: None,
        }
    }

    /// Makes one step.
    fn go_on(&mut self, world: &mut World) {
        self.step = match std::mem::replace(&mut self.step, Step::Done) {
            Step::Begin => {
                if world.takes_tickets {
                    self.ticket = Some(world.sites[self.at].pending.enter(&key()));
                }
                Step::Stamp
            }
            Step::Stamp => {
                let version = world.stamp(self.at, self.ticket.as_ref());
                self.version = Some(version);
                match self.condition {
                    Condition::Always => self.commit(version),
                    _ => self.ask(world),
                }
            }
            Step::Ask(round) => self.asked(world, round),
            Step::Commit(mut left, record) => match left.pop() {
                Some(to) => {
                    let site = &mut world.sites[to];
                    site.clock = site.clock.max(world_clock(&record));
                    site.held = site.held.take().max(Some(Arc::clone(&record)));
                    Step::Commit(left, record)
                }
                None => {
                    let site = &mut world.sites[self.at];
                    site.known = Heard::merged([site.known, Some(Heard::of(&record))]);
                    self.end(world, true)
                }
            },
            Step::Done => Step::Done,
        };
    }

    fn commit(&self, version: Version) -> Step {
        let record = record(self.number, version, false);
        Step::Commit(self.holders.clone(), record)
    }

    fn ask(&self, world: &World) -> Step {
        let answer = world.answer(self.at, self.version, self.ticket.as_ref());
        let likely = (0..world.sites.len()).map(peer).collect();
        Step::Ask(Round::new(peer(self.at).id, answer, likely, 2, 100))
    }

    fn asked(&mut self, world: &mut World, mut round: Round) -> Step {
        let version = self.version.expect("it was stamped before it asks");
        if let Some(to) = round.poll() {
            let at = (0..world.sites.len())
                .find(|at| peer(*at).id == to.id)
                .expect("only nodes of the world are asked");
            let asking = world.sites[self.at].clock;
            let site = &mut world.sites[at];
            site.clock = site.clock.max(asking);
            let answer = world.answer(at, Some(version), None);
            round.answered(to.id, 0, answer);
            return Step::Ask(round);
        }
        assert!(round.is_over(), "everyone who was asked has answered");
        match self.write.after(round.finish(), version) {
            Next::Commit(_) => self.commit(version),
            Next::Wait => self.ask(world),
            Next::Restamp(above) => {
                let site = &mut world.sites[self.at];
                site.clock = site.clock.max(above.0);
                Step::Stamp
            }
            Next::Refuse(_) => self.end(world, false),
            other => panic!("nothing fails: {other:?}"),
        }
    }

    fn end(&mut self, world: &mut World, won: bool) -> Step {
        if let Some(ticket) = self.ticket.take() {
            world.sites[self.at].pending.leave(&ticket);
        }
        self.won = Some(won);
        Step::Done
    }

    const fn is_done(&self) -> bool {
        self.won.is_some()
    }
}

const fn world_clock(record: &Record) -> u64 {
    record.version.stamp.0
}

/// Lets the writers make steps in this order, and then all in turn until each has ended.
fn race(world: &mut World, writers: &mut [Writer], schedule: &[usize]) {
    for next in schedule {
        let next = next % writers.len();
        writers[next].go_on(world);
    }
    for _ in 0..10_000 {
        if writers.iter().all(Writer::is_done) {
            return;
        }
        for writer in &mut *writers {
            writer.go_on(world);
        }
    }
    panic!("writers wait for each other forever");
}

fn creators(places: &[(usize, usize)], nodes: usize) -> Vec<Writer> {
    let numbered = places.iter().zip(1..);
    let writers = numbered.map(|((at, holder), number)| {
        let holders = vec![holder % nodes, (holder + 1) % nodes];
        Writer::new(at % nodes, holders, number, Condition::Absent)
    });
    writers.collect()
}

fn winners(writers: &[Writer]) -> usize {
    let won = writers.iter().filter(|writer| writer.won == Some(true));
    won.count()
}

prop_compose! {
    fn a_race()(
        nodes in 1usize..6,
        places in prop::collection::vec((0usize..6, 0usize..6), 2..6),
        clocks in prop::collection::vec(0u64..50, 6),
        schedule in prop::collection::vec(0usize..6, 0..200),
    ) -> (World, Vec<(usize, usize)>, Vec<usize>) {
        let mut world = World::new(nodes, true);
        for (site, clock) in world.sites.iter_mut().zip(clocks) {
            site.clock = clock;
        }
        (world, places, schedule)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn of_those_who_create_a_file_exactly_one_wins((mut world, places, schedule) in a_race()) {
        let mut writers = creators(&places, world.sites.len());
        race(&mut world, &mut writers, &schedule);
        prop_assert_eq!(winners(&writers), 1);
        let won = writers.iter().find(|writer| writer.won == Some(true)).expect("one has");
        prop_assert_eq!(world.newest().map(|it| it.digest), Some(digest(won.number)));
    }

    #[test]
    fn no_increment_is_lost((mut world, places, schedule) in a_race()) {
        let nodes = world.sites.len();
        // Each writer reads the counter and adds 1, as often as it is refused.
        let begin = Version { stamp: Stamp(1), writer: peer(0).id };
        world.sites[0].held = Some(record(0, begin, false));
        let numbers: BTreeMap<Digest, u64> = (0..100).map(|number| (digest(number), number)).collect();
        let read = |world: &World| {
            let newest = world.newest().expect("the counter exists");
            numbers[&newest.digest]
        };
        let adds = |world: &World, (at, holder): (usize, usize)| {
            let now = read(world);
            let condition = Condition::Matches(vec![digest(now)]);
            Writer::new(at % nodes, vec![holder % nodes], now + 1, condition)
        };
        let mut writers: Vec<Writer> = places.iter().map(|place| adds(&world, *place)).collect();
        let mut added = 0;
        let mut schedule = schedule.into_iter();
        for turn in 0..20_000 {
            let at = schedule.next().unwrap_or(turn) % writers.len();
            writers[at].go_on(&mut world);
            if !writers[at].is_done() {
                continue;
            }
            added += usize::from(writers[at].won == Some(true));
            if writers[at].won == Some(true) {
                writers.remove(at);
            } else {
                writers[at] = adds(&world, places[at % places.len()]);
            }
            if writers.is_empty() {
                break;
            }
        }
        prop_assert_eq!(added, places.len());
        prop_assert_eq!(read(&world), added as u64);
    }

    #[test]
    fn a_creation_that_succeeds_comes_before_every_unconditional_write(
        (mut world, places, schedule) in a_race(), always in 1usize..4
    ) {
        let mut writers = creators(&places, world.sites.len());
        for writer in writers.iter_mut().take(always) {
            writer.condition = Condition::Always;
        }
        race(&mut world, &mut writers, &schedule);
        let of = |condition: Condition| {
            let some = writers.iter().filter(move |writer| writer.condition == condition);
            some.filter(|writer| writer.won == Some(true)).filter_map(|writer| writer.version)
        };
        let created: Vec<Version> = of(Condition::Absent).collect();
        prop_assert!(created.len() <= 1);
        for created in created {
            prop_assert!(of(Condition::Always).all(|written| written > created));
        }
    }
}

#[test]
fn without_tickets_two_win() {
    // Two nodes, a writer at each; each asks the other before either commits.
    let mut world = World::new(2, false);
    let mut writers = creators(&[(0, 0), (1, 1)], 2);
    let steps: Vec<usize> = [0, 1].repeat(8);
    race(&mut world, &mut writers, &steps);
    assert_eq!(winners(&writers), 2, "the tests above can fail");
}

fn answer_with(neighbours: Vec<Peer>) -> Answer {
    Answer {
        neighbours,
        ..Answer::default()
    }
}

fn version(stamp: u64) -> Version {
    Version {
        stamp: Stamp(stamp),
        writer: peer(0).id,
    }
}

fn hit(stamp: u64, role: Role) -> Hit {
    Hit {
        record: record(stamp, version(stamp), false),
        role,
        validated_age_ms: 0,
    }
}

#[test]
fn members_that_no_link_reaches_do_not_count() {
    let mut round = Round::new(
        peer(0).id,
        answer_with(vec![peer(1)]),
        vec![peer(2)],
        8,
        100,
    );
    assert_eq!(round.poll(), Some(peer(1)));
    assert_eq!(round.poll(), Some(peer(2)));
    let elsewhere = Answer {
        hits: vec![hit(5, Role::Replica)],
        pending: true,
        ..Answer::default()
    };
    round.answered(peer(2).id, 0, elsewhere.clone());
    assert!(!round.is_over());
    round.answered(peer(1).id, 0, answer_with(vec![peer(0)]));
    assert!(round.is_over());
    let found = round.finish();
    assert_eq!((found.current, found.pending), (Ok(None), false));

    // The same answers, and a link that reaches the member after it answered.
    let mut round = Round::new(
        peer(0).id,
        answer_with(vec![peer(1)]),
        vec![peer(2)],
        8,
        100,
    );
    while round.poll().is_some() {}
    round.answered(peer(2).id, 0, elsewhere);
    round.answered(peer(1).id, 0, answer_with(vec![peer(2)]));
    let found = round.finish();
    let current = found.current.expect("all have answered");
    assert_eq!(current.map(|record| record.version), Some(version(5)));
    assert!(found.pending);
}

#[test]
fn who_does_not_answer_decides_nothing() {
    let mut round = Round::new(peer(0).id, answer_with(vec![peer(1)]), Vec::new(), 8, 100);
    let asked = round.poll().expect("there is a neighbour");
    round.failed(&asked);
    assert!(round.is_over());
    let found = round.finish();
    assert_eq!(found.current, Err(Undecided::Silent(vec!["N1".into()])));

    let neighbours = vec![peer(1), peer(2)];
    let mut round = Round::new(peer(0).id, answer_with(neighbours), Vec::new(), 8, 1);
    let asked = round.poll().expect("there is a neighbour");
    assert_eq!(round.poll(), None);
    round.answered(asked.id, 0, Answer::default());
    assert!(round.is_over());
    assert_eq!(round.finish().current, Err(Undecided::TooManyNodes));
}

#[test]
fn what_is_known_of_the_present_version_decides() {
    let current_with = |hits: Vec<Hit>, known: Option<Heard>, deletion: Deletion| {
        let own = Answer {
            hits,
            known,
            deletion,
            ..Answer::default()
        };
        Round::new(peer(0).id, own, Vec::new(), 1, 1)
            .finish()
            .current
    };
    let current = |hits, known| current_with(hits, known, Deletion::None);
    let unverified = Hit {
        validated_age_ms: dataverse_core::limits::UNVERIFIED_AGE_MS,
        ..hit(7, Role::Cached)
    };
    let five = || hit(5, Role::Replica);
    let found = Ok(Some(Arc::clone(&five().record)));
    assert_eq!(current(Vec::new(), None), Ok(None));
    assert_eq!(current(vec![five(), hit(4, Role::Cached)], None), found);
    assert_eq!(current(vec![five()], Some(Heard::alive(version(5)))), found);
    // A deletion that nobody holds does not make a file absent that somebody serves.
    let buried = Some(Heard::deletion(version(6)));
    let missing = Err(Undecided::Missing(version(6)));
    assert_eq!(current(vec![five()], buried), missing);
    assert_eq!(current(vec![hit(5, Role::Cached)], buried), Ok(None));
    let tombstone = |stamp| Deletion::Held(record(0, version(stamp), true));
    assert_eq!(current_with(vec![five()], buried, tombstone(5)), missing);
    assert_eq!(current_with(vec![five()], buried, tombstone(6)), Ok(None));
    // A node of an earlier release does not say what it holds.
    assert_eq!(
        current_with(vec![five()], buried, Deletion::Unsaid),
        Ok(None)
    );
    let newer = Some(Heard::alive(version(6)));
    assert_eq!(
        current(vec![five()], newer),
        Err(Undecided::Missing(version(6)))
    );
    let cached = vec![five(), hit(6, Role::Cached)];
    assert_eq!(current(cached, None), Err(Undecided::NoReplica));
    let away = vec![five(), unverified.clone()];
    assert_eq!(current(away, None), Err(Undecided::Unverified));
    assert_eq!(
        current(vec![hit(8, Role::Replica), unverified], None).map(|it| it.is_some()),
        Ok(true)
    );
}

#[test]
fn a_version_must_be_above_what_was_found_and_above_earlier_runs() {
    let mut write = ConditionalWrite::new(Condition::Present, None);
    let found = |stamp: u64, run: u64| Surveyed {
        current: Ok(Some(record(1, version(stamp), false))),
        pending: false,
        above: Stamp(stamp.max(run)),
        reached: BTreeSet::new(),
    };
    assert_eq!(
        write.after(found(5, 0), version(5)),
        Next::Restamp(Stamp(5))
    );
    assert_eq!(
        write.after(found(5, 8), version(6)),
        Next::Restamp(Stamp(8))
    );
    assert!(matches!(
        write.after(found(5, 0), version(6)),
        Next::Commit(Some(_))
    ));
    let digests = || Condition::Matches(vec![digest(7)]);
    for (condition, before, same) in [
        (Condition::Absent, Some(version(5)), true),
        (Condition::Absent, Some(version(4)), false),
        (Condition::Absent, None, false),
        (digests(), Some(version(5)), false),
    ] {
        let mut write = ConditionalWrite::new(condition, before);
        let next = write.after(found(5, 0), version(6));
        assert_eq!(matches!(next, Next::Unchanged(_)), same);
        assert_eq!(matches!(next, Next::Refuse(_)), !same);
    }
    let mut other = ConditionalWrite::new(Condition::Absent, None);
    let gone = |stamp| Surveyed {
        current: Err(Undecided::Missing(version(stamp))),
        ..found(5, 0)
    };
    let next = [gone(5), gone(6), gone(6)].map(|round| other.after(round, version(7)));
    let lost = Next::Undecided(Undecided::Missing(version(6)));
    assert_eq!(next, [Next::Wait, Next::Wait, lost]);
    let waits = Surveyed {
        pending: true,
        ..found(5, 0)
    };
    assert_eq!(other.after(waits, version(6)), Next::Wait);
}
