use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use dataverse_core::record::Record;
use proptest::prelude::*;

use super::*;
use crate::fixtures::{self, id, key, peer};

fn at(ms: u64) -> At {
    Duration::from_millis(ms)
}

fn record(name: &str, stamp: u64, holders: &[u128]) -> Arc<Record> {
    Arc::new(fixtures::record(name, stamp, 0, holders))
}

fn upkeep() -> Upkeep {
    Upkeep::new(id(1), 4)
}

fn here(_: NodeId) -> HolderState {
    HolderState::Here
}

fn names(upkeep: &mut Upkeep, now: At) -> Vec<(String, Job)> {
    let jobs = std::iter::from_fn(|| upkeep.next(now, here));
    jobs.map(|job| (job.id.key.to_string(), job)).collect()
}

fn just_names(upkeep: &mut Upkeep, now: At) -> Vec<String> {
    let jobs = names(upkeep, now).into_iter();
    jobs.map(|(name, _)| name).collect()
}

#[test]
fn what_is_counted_stands_where_it_is_looked_for() {
    for (place, kind) in Kind::ALL.into_iter().enumerate() {
        assert_eq!(kind as usize, place);
    }
    for (place, outcome) in Outcome::ALL.into_iter().enumerate() {
        assert_eq!(outcome as usize, place);
    }
    for (place, budget) in Budget::ALL.into_iter().enumerate() {
        assert_eq!(budget as usize, place);
    }
}

#[test]
fn new_ones_go_first_then_the_fewest_copies_then_the_smallest_whatever_the_kind() {
    let mut upkeep = upkeep();
    for (name, copies, size) in [("a/large", 1, 9), ("a/safe", 2, 1), ("a/small", 1, 1)] {
        let added = upkeep.add(
            Task::ReReplicate(record(name, 1, &[1])),
            Rank::of(copies, size),
            at(0),
        );
        assert_eq!(added, Added::Waiting);
    }
    let bad = record("a/bad", 1, &[1, 2]);
    let fetch = Task::Fetch {
        record: bad,
        from: None,
    };
    upkeep.add(fetch, Rank::of(0, 50), at(0));
    let jobs = names(&mut upkeep, at(0));
    let order: Vec<&str> = jobs.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(order, ["a/bad", "a/small", "a/large", "a/safe"]);
    for (_, job) in &jobs[..2] {
        upkeep.ended(job, Outcome::Again, at(0));
    }
    upkeep.add(
        Task::ReReplicate(record("a/new", 1, &[1])),
        Rank::of(3, 3),
        at(499),
    );
    assert_eq!(upkeep.next_due(), Some(at(499)));
    assert_eq!(just_names(&mut upkeep, at(500)), ["a/new", "a/bad"]);
    assert_eq!(upkeep.next_due(), None, "every slot is taken");
    let counts = upkeep.counts(Kind::ReReplicate);
    assert_eq!((counts.waiting, counts.active), (1, 3));
    assert_eq!(counts.outcomes, [0, 1, 0, 0, 0]);
}

#[test]
fn pauses_double_and_what_cannot_succeed_rests() {
    let mut upkeep = upkeep();
    upkeep.add(Task::Release(key("a/x"), None), Rank::default(), at(0));
    let mut now = at(0);
    for pause_ms in [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
        let job = upkeep.next(now, here).expect("it is due");
        upkeep.ended(&job, Outcome::Again, now);
        now += at(pause_ms - 1);
        assert!(upkeep.next(now, here).is_none(), "before {pause_ms} ms");
        now += at(1);
    }
    let job = upkeep.next(now, here).expect("it is due");
    upkeep.ended(&job, Outcome::Overtaken, now);
    assert_eq!(upkeep.next_due(), Some(now + REST));
    // That something has changed does not help it.
    upkeep.rank(&job.id, Rank::default(), Some(now));
    assert_eq!(upkeep.next_due(), Some(now + REST));
    let job = upkeep.next(now + REST, here).expect("it is due again");
    upkeep.ended(&job, Outcome::Done, now);
    assert_eq!(upkeep.count(Kind::Release), 0);
}

#[test]
fn what_rests_for_one_version_does_not_for_the_next() {
    let mut upkeep = upkeep();
    let add = |upkeep: &mut Upkeep, stamp, now| {
        let task = Task::ReReplicate(record("a/x", stamp, &[1]));
        upkeep.add(task, Rank::of(1, 3), now)
    };
    add(&mut upkeep, 1, at(0));
    let job = upkeep.next(at(0), here).expect("it is due");
    upkeep.ended(&job, Outcome::Overtaken, at(0));
    assert_eq!(add(&mut upkeep, 1, at(1)), Added::Known);
    assert_eq!(upkeep.next_due(), Some(REST));
    assert_eq!(add(&mut upkeep, 2, at(1)), Added::Waiting);
    let job = upkeep.next(at(501), here).expect("it is due soon");
    assert_eq!(job.task, Task::ReReplicate(record("a/x", 2, &[1])));
}

#[test]
fn a_task_that_is_renewed_under_way_is_tried_again_and_one_that_is_settled_is_not() {
    let mut upkeep = upkeep();
    let release = |stamp| {
        let greater = record("a/x", stamp, &[2]);
        Task::Release(key("a/x"), Some(greater))
    };
    upkeep.add(Task::Release(key("a/x"), None), Rank::default(), at(0));
    let job = upkeep.next(at(0), here).expect("it is due");
    assert!(upkeep.is_untried(&job.id));
    assert_eq!(
        upkeep.add(release(5), Rank::default(), at(0)),
        Added::Waiting
    );
    assert_eq!(upkeep.add(release(4), Rank::default(), at(0)), Added::Known);
    assert!(upkeep.next(at(0), here).is_none(), "it is under way");
    upkeep.ended(&job, Outcome::Done, at(0));
    assert!(!upkeep.is_untried(&job.id));
    let job = upkeep.next(at(500), here).expect("it is due again");
    assert_eq!(job.task, release(5));
    upkeep.ended(&job, Outcome::Again, at(500));
    // It does not wait out a long pause, and is not tried at once either.
    upkeep.add(release(6), Rank::default(), at(501));
    assert!(upkeep.next(at(1_000), here).is_none());
    let job = upkeep.next(at(1_001), here).expect("it is due soon");
    upkeep.remove(&job.id);
    assert_eq!(upkeep.get(&job.id), None);
    assert_eq!(
        upkeep.add(release(6), Rank::default(), at(1_001)),
        Added::Waiting
    );
    assert!(
        upkeep.next(at(1_001), here).is_none(),
        "the old attempt goes on"
    );
    upkeep.ended(&job, Outcome::Again, at(1_002));
    let job = upkeep.next(at(9_999), here).expect("it begins anew");
    upkeep.remove(&job.id);
    upkeep.ended(&job, Outcome::Again, at(9_999));
    assert_eq!(upkeep.count(Kind::Release), 0);
}

#[test]
fn one_slow_node_holds_up_no_other() {
    let mut upkeep = upkeep();
    for number in 0..100 {
        let greater = record(&format!("a/{number}"), 5, &[1, 7]);
        let task = Task::Release(greater.key.clone(), Some(greater));
        upkeep.add(task, Rank::default(), at(0));
    }
    let slow = names(&mut upkeep, at(0));
    assert_eq!(
        slow.len(),
        QUESTIONS_AT_ONCE_MAX - QUESTIONS_AT_ONCE_MAX / 4
    );
    let greater = record("a/other", 5, &[2]);
    let task = Task::Release(greater.key.clone(), Some(greater));
    upkeep.add(task, Rank::default(), at(1));
    assert_eq!(just_names(&mut upkeep, at(1)), ["a/other"]);
    // And all the others have their turn as it answers.
    let mut under_way = slow;
    let mut done = 0;
    while let Some((_, job)) = under_way.pop() {
        upkeep.ended(&job, Outcome::Done, at(2));
        done += 1;
        under_way.extend(names(&mut upkeep, at(2)));
    }
    assert_eq!((done, upkeep.count(Kind::Release)), (100, 1));
}

#[test]
fn what_waits_for_nodes_is_not_moved_about_whenever_a_task_ends() {
    const FILES: u64 = 1_000;
    let mut upkeep = upkeep();
    for number in 0..FILES {
        // Most wait for the nodes 2 and 3, which are therefore busy all the time.
        let holders: &[u128] = match number % 8 {
            0 => &[2, 4],
            1 => &[3, 4],
            _ => &[2, 3],
        };
        let greater = record(&format!("a/{number}"), 2, holders);
        let task = Task::Release(greater.key.clone(), Some(greater));
        upkeep.add(task, Rank::default(), at(0));
    }
    let mut under_way = VecDeque::new();
    for _ in 0..FILES {
        under_way.extend(std::iter::from_fn(|| upkeep.next(at(0), here)));
        let ended = under_way.pop_front().expect("one is under way");
        upkeep.ended(&ended, Outcome::Done, at(0));
    }
    assert_eq!(upkeep.count(Kind::Release), 0);
    // Each has come to a gate or two.
    let moves = upkeep.numbers;
    assert!(moves < 4 * FILES, "{moves} moves");
}

#[test]
fn a_hint_waits_until_its_node_is_here_and_those_of_one_node_can_be_forgotten() {
    let mut upkeep = upkeep();
    let hint = |name: &str, to| Task::Hint {
        key: key(name),
        version: record(name, 5, &[]).version,
        to: id(to),
    };
    for (name, to) in [("a/x", 7), ("a/x", 8), ("a/y", 8), ("a/x", 2)] {
        upkeep.add(hint(name, to), Rank::default(), at(0));
    }
    let away = |node| match node == id(2) {
        true => HolderState::Here,
        false => HolderState::Away,
    };
    let job = upkeep.next(at(0), away).expect("one node is here");
    assert_eq!(job.task, hint("a/x", 2));
    assert!(upkeep.next(at(0), away).is_none());
    assert!(upkeep.hinted().eq([id(2), id(7), id(8)]));
    assert_eq!(upkeep.forget_hints(id(8)), 2);
    upkeep.ended(&job, Outcome::Done, at(0));
    upkeep.follow(at(1), away);
    assert!(upkeep.next(at(1), away).is_none(), "nobody is back");
    upkeep.follow(at(1), here);
    let job = upkeep.next(at(1), here).expect("it is back");
    assert_eq!(job.task, hint("a/x", 7));
    assert_eq!(upkeep.count(Kind::Hint), 1);
}

#[test]
fn a_record_that_could_not_be_verified_keeps_no_other_from_being_tried() {
    let mut upkeep = upkeep();
    let made_up = Task::Release(key("a/x"), Some(record("a/x", 9, &[7])));
    let real = Task::Release(key("a/x"), Some(record("a/x", 6, &[8])));
    let add = |upkeep: &mut Upkeep, task: &Task, second| {
        upkeep.add(task.clone(), Rank::default(), at(second))
    };
    assert_eq!(add(&mut upkeep, &made_up, 0), Added::Waiting);
    assert_eq!(
        add(&mut upkeep, &real, 0),
        Added::Known,
        "the greater one first"
    );
    let job = upkeep.next(at(0), here).expect("it is due");
    upkeep.ended(&job, Outcome::Again, at(0));
    assert_eq!(add(&mut upkeep, &made_up, 1), Added::Known);
    assert_eq!(add(&mut upkeep, &real, 1), Added::Waiting);
    let job = upkeep.next(at(10_000), here).expect("it is due");
    assert_eq!(job.task, real);
}

#[test]
fn what_a_node_has_heard_it_is_not_told_again() {
    let mut upkeep = upkeep();
    let version = |stamp| record("a/x", stamp, &[]).version;
    let hint = Task::Hint {
        key: key("a/x"),
        version: version(5),
        to: id(7),
    };
    upkeep.add(hint, Rank::last(), at(0));
    upkeep.has_heard(id(7), &key("a/x"), version(4));
    upkeep.has_heard(id(8), &key("a/x"), version(5));
    assert_eq!(upkeep.count(Kind::Hint), 1);
    upkeep.has_heard(id(7), &key("a/x"), version(5));
    assert_eq!((upkeep.count(Kind::Hint), upkeep.hinted().count()), (0, 0));
}

#[test]
fn a_file_is_relaid_out_once_at_a_time_and_a_kind_has_a_bound() {
    let mut upkeep = upkeep();
    let moving = |name: &str| Task::Move {
        record: record(name, 5, &[1]),
        from: id(1),
        to: peer(2),
    };
    // A move that waits does not keep the file from being re-replicated.
    upkeep.add(moving("a/x"), Rank::of(9, 0), at(0));
    let task = Task::ReReplicate(record("a/x", 5, &[1]));
    assert_eq!(upkeep.add(task, Rank::of(1, 3), at(0)), Added::Waiting);
    let jobs = names(&mut upkeep, at(0));
    assert_eq!(jobs.len(), 1, "one at a time");
    assert_eq!(jobs[0].1.id.kind, Kind::ReReplicate);
    upkeep.ended(&jobs[0].1, Outcome::Done, at(1));
    let job = upkeep.next(at(500), here).expect("now the other one");
    assert_eq!(job.id.kind, Kind::Move);
    for number in 1..MOVES_MAX {
        let added = upkeep.add(moving(&format!("b/{number}")), Rank::default(), at(0));
        assert_eq!(added, Added::Waiting);
    }
    assert_eq!(
        upkeep.add(moving("b/more"), Rank::default(), at(0)),
        Added::Full
    );
    assert_eq!(
        upkeep.add(moving("a/x"), Rank::default(), at(0)),
        Added::Known
    );
}

/// A hint under way keeps its slot although its node has gone again, and then none of the others is forgotten.
#[test]
fn what_waits_for_a_node_that_comes_and_goes_is_not_forgotten() {
    let mut upkeep = upkeep();
    for number in 0..100 {
        let key = key(&format!("a/{number}"));
        let version = record("a/x", 5, &[]).version;
        let hint = Task::Hint {
            key,
            version,
            to: id(7),
        };
        upkeep.add(hint, Rank::last(), at(0));
    }
    let gone = |_| HolderState::Gone;
    let begun = names(&mut upkeep, at(0));
    assert_eq!(begun.len(), 1, "one after the other");
    upkeep.ended(&begun[0].1, Outcome::Again, at(1));
    assert!(upkeep.next(at(1), gone).is_none());
    let again = names(&mut upkeep, at(600));
    assert_eq!(again.len(), 1);
    assert_eq!(upkeep.forget_hints(id(7)), 100);
    for (_, job) in &again {
        upkeep.ended(job, Outcome::Again, at(700));
    }
    assert_eq!((upkeep.count(Kind::Hint), upkeep.hinted().count()), (0, 0));
}

/// One attempt tells that it does not answer; the other hints don't try in vain.
#[test]
fn a_node_that_does_not_hear_is_left_alone_for_a_while() {
    let mut upkeep = upkeep();
    for number in 0..100 {
        let version = record("a/x", 5, &[]).version;
        for to in [7, 8] {
            let key = key(&format!("a/{number}"));
            let to = id(to);
            upkeep.add(Task::Hint { key, version, to }, Rank::last(), at(0));
        }
    }
    let mut now = at(0);
    for pause_ms in [500, 1_000, 2_000] {
        let jobs = names(&mut upkeep, now);
        for (_, job) in &jobs {
            let outcome = match job.id.to == Some(id(7)) {
                true => Outcome::Unanswered,
                false => Outcome::Done,
            };
            upkeep.ended(job, outcome, now);
        }
        assert!(jobs.iter().any(|(_, job)| job.id.to == Some(id(7))));
        // The other one goes on.
        let others = names(&mut upkeep, now + at(pause_ms - 1));
        assert!(others.iter().all(|(_, job)| job.id.to == Some(id(8))));
        assert!(!others.is_empty());
        for (_, job) in &others {
            upkeep.ended(job, Outcome::Done, now);
        }
        now += at(pause_ms);
        assert!(upkeep.next_due() <= Some(now));
    }
    assert_eq!(upkeep.counts(Kind::Hint).outcomes[2], 3);
    // When it is gone by then, nothing is due.
    let gone = |_| HolderState::Gone;
    while let Some(job) = upkeep.next(now, here) {
        upkeep.ended(&job, Outcome::Unanswered, now);
    }
    now += REST;
    assert!(upkeep.next(now, gone).is_none());
    assert_eq!(upkeep.next_due(), None);
}

#[test]
fn verifying_many_copies_holds_up_no_release() {
    let mut upkeep = upkeep();
    for number in 0..100 {
        let task = Task::Verify(record(&format!("a/{number}"), 5, &[1, 7]));
        upkeep.add(task, Rank::last(), at(0));
    }
    let verifying = names(&mut upkeep, at(0));
    assert_eq!(verifying.len(), VERIFICATIONS_AT_ONCE_MAX);
    upkeep.add(Task::Release(key("b/x"), None), Rank::default(), at(1));
    assert_eq!(just_names(&mut upkeep, at(1)), ["b/x"]);
    upkeep.ended(&verifying[0].1, Outcome::Done, at(2));
    assert_eq!(just_names(&mut upkeep, at(2)).len(), 1);
}

#[test]
fn a_kind_that_is_paused_does_not_begin_and_what_has_changed_begins_anew() {
    let mut upkeep = upkeep();
    let add = |upkeep: &mut Upkeep, name: &str, copies| {
        let task = Task::ReReplicate(record(name, 1, &[1]));
        upkeep.add(task, Rank::of(copies, 3), at(0));
    };
    add(&mut upkeep, "a/x", 1);
    let job = upkeep.next(at(0), here).expect("it is due");
    upkeep.ended(&job, Outcome::Again, at(0));
    upkeep.pause(Kind::ReReplicate, true);
    add(&mut upkeep, "a/new", 2);
    assert!(upkeep.next(at(9_999), here).is_none());
    upkeep.rank(&job.id, Rank::of(1, 3), Some(at(9_999)));
    upkeep.pause(Kind::ReReplicate, false);
    // It failed before, and is still the more urgent one.
    assert_eq!(just_names(&mut upkeep, at(9_999)), ["a/x", "a/new"]);
}

#[test]
fn what_is_lost_is_tried_again_soon_at_first_and_when_a_node_comes() {
    let mut upkeep = upkeep();
    upkeep.add(Task::Heal(record("a/x", 1, &[1])), Rank::default(), at(0));
    let mut now = at(0);
    for pause_ms in [500, 1_000, 2_000, 4_000, 8_000, 16_000] {
        let job = upkeep.next(now, here).expect("it is due");
        upkeep.ended(&job, Outcome::Lost, now);
        now += at(pause_ms);
    }
    let job = upkeep.next(now, here).expect("it is due");
    upkeep.ended(&job, Outcome::Lost, now);
    assert_eq!(upkeep.next_due(), Some(now + REST));
    assert_eq!(upkeep.with_last(Kind::Heal, Some(Outcome::Lost)).len(), 1);
    upkeep.retry_lost(now);
    assert!(upkeep.next(now, here).is_some());
}

#[derive(Debug, Clone)]
enum Act {
    Add(u8, u8, u64, u128),
    Next,
    End(usize, Outcome),
    Remove(u8),
    Wait(u64),
    Turn(u128),
}

fn act() -> impl Strategy<Value = Act> {
    let outcome = prop::sample::select(Outcome::ALL.to_vec());
    let file = prop_oneof![0..4u8, 0..40u8];
    prop_oneof![
        6 => (file, 0..7u8, 0..4u64, 2..5u128).prop_map(|(f, k, s, n)| Act::Add(f, k, s, n)),
        6 => Just(Act::Next),
        3 => (0..8usize, outcome).prop_map(|(which, outcome)| Act::End(which, outcome)),
        1 => (0..6u8).prop_map(Act::Remove),
        2 => (0..3_000u64).prop_map(Act::Wait),
        1 => (2..5u128).prop_map(Act::Turn),
    ]
}

proptest! {
    /// Whatever happens: no task is under way twice, shares and slots hold, and in the end everything is done.
    #[test]
    fn nothing_is_done_twice_at_once_and_nothing_is_forgotten(acts in prop::collection::vec(act(), 0..400)) {
        let mut upkeep = upkeep();
        let mut now = at(0);
        let mut jobs: Vec<Job> = Vec::new();
        let mut away: BTreeSet<NodeId> = BTreeSet::new();
        let take = |upkeep: &mut Upkeep, jobs: &mut Vec<Job>, away: &BTreeSet<NodeId>, now| {
            let state_of = |node| match away.contains(&node) {
                true => HolderState::Away,
                false => HolderState::Here,
            };
            upkeep.follow(now, state_of);
            let job = upkeep.next(now, state_of);
            if let Some(job) = &job {
                let relays = |id: &TaskId| matches!(id.kind, Kind::ReReplicate | Kind::Move);
                let twice = jobs.iter().any(|other| {
                    let same = relays(&other.id) && relays(&job.id) && other.id.key == job.id.key;
                    same || other.id == job.id
                });
                assert!(!twice, "{:?} is under way twice", job.id);
                assert!(job.id.to.is_none_or(|to| !away.contains(&to)));
            }
            let found = job.is_some();
            jobs.extend(job);
            found
        };
        for act in acts {
            match act {
                Act::Add(file, kind, stamp, node) => {
                    let record = record(&format!("a/{file}"), stamp, &[1, node]);
                    let key = record.key.clone();
                    let task = match kind {
                        0 => Task::ReReplicate(record),
                        1 => Task::Heal(record),
                        2 => Task::Fetch { record, from: Some(peer(node)) },
                        3 => Task::Release(key, Some(record)),
                        4 => Task::Verify(record),
                        5 => Task::Move { record, from: id(1), to: peer(node) },
                        _ => Task::Hint { key, version: record.version, to: id(node) },
                    };
                    upkeep.add(task, Rank::of(kind.into(), stamp), now);
                }
                Act::Next => {
                    take(&mut upkeep, &mut jobs, &away, now);
                }
                Act::End(which, outcome) if which < jobs.len() => {
                    let job = jobs.remove(which);
                    upkeep.ended(&job, outcome, now);
                }
                Act::End(..) => {}
                Act::Remove(file) => upkeep.remove(&TaskId::of(Kind::Heal, &key(&format!("a/{file}")))),
                Act::Wait(ms) => now += at(ms),
                Act::Turn(node) => {
                    if !away.remove(&id(node)) {
                        away.insert(id(node));
                    }
                }
            }
            let of = |budget| jobs.iter().filter(move |job: &&Job| Budget::of(job.id.kind) == budget);
            prop_assert!(of(Budget::Contents).count() <= 4 && of(Budget::Healing).count() <= 2);
            prop_assert!(of(Budget::Questions).count() <= QUESTIONS_AT_ONCE_MAX);
            for node in 2..5 {
                let waits = |job: &&Job| job.task.waits_for().contains(&id(node));
                prop_assert!(of(Budget::Contents).filter(waits).count() <= 3);
                prop_assert!(of(Budget::Questions).filter(waits).count() <= 12);
            }
            for kind in Kind::ALL {
                let counts = upkeep.counts(kind);
                prop_assert_eq!(counts.active, jobs.iter().filter(|job| job.id.kind == kind).count());
                let outcomes = [None].into_iter().chain(Outcome::ALL.map(Some));
                let all = outcomes.map(|last| upkeep.with_last(kind, last).len()).sum::<usize>();
                prop_assert_eq!(all, upkeep.count(kind));
            }
        }
        away.clear();
        for _ in 0..2_000 {
            for job in std::mem::take(&mut jobs) {
                upkeep.ended(&job, Outcome::Done, now);
            }
            now += REST;
            while take(&mut upkeep, &mut jobs, &away, now) {}
            if jobs.is_empty() {
                break;
            }
        }
        for kind in Kind::ALL {
            prop_assert_eq!(upkeep.count(kind), 0, "{:?}", kind);
            prop_assert!(upkeep.parked.is_empty() && upkeep.hints.is_empty());
        }
    }
}
