//! What the cache guarantees, one behaviour per test. Random histories are in `model`.

use super::*;
use crate::id::NodeId;
use crate::limits;
use crate::policy::{Admission, CacheEntry, Fault, FaultKind, Slot};
use crate::version::Stamp;

/// A copy of file `number` in its first version.
pub(super) fn copy(number: u32, size: u64) -> CachedCopy {
    let key = Key::parse(&format!("ada/{number}")).expect("it is a key");
    CachedCopy::of(key, version(1), size, 1)
}

pub(super) fn version(stamp: u64) -> Version {
    Version {
        stamp: Stamp(stamp),
        writer: NodeId::from(1),
    }
}

fn key(number: u32) -> Key {
    copy(number, 0).key
}

fn victims(numbers: &[u32]) -> Vec<Key> {
    numbers.iter().copied().map(key).collect()
}

fn keys(victims: &[Victim]) -> Vec<Key> {
    victims.iter().map(|victim| victim.key.clone()).collect()
}

/// A call to the policy.
#[derive(Debug, PartialEq, Eq)]
enum Call {
    Capacity(u64),
    Restore(Vec<Slot>),
    Hit(Vec<Slot>),
    Removed(Vec<Slot>),
    Admit(Slot, u64),
    MakeRoom(u64),
}

/// Records every call and answers from a list. When the list is empty it admits and names nothing.
#[derive(Default)]
struct Script {
    calls: Vec<Call>,
    answers: Vec<Result<Admission, Fault>>,
}

impl Script {
    fn answering(answers: impl IntoIterator<Item = Result<Admission, Fault>>) -> Self {
        let mut answers: Vec<_> = answers.into_iter().collect();
        answers.reverse();
        Self {
            calls: Vec::new(),
            answers,
        }
    }

    fn answer(&mut self) -> Result<Admission, Fault> {
        self.answers.pop().unwrap_or_else(|| named(&[]))
    }
}

impl Eviction for Script {
    fn set_capacity(&mut self, bytes: u64) -> Result<(), Fault> {
        self.calls.push(Call::Capacity(bytes));
        Ok(())
    }

    fn restore(&mut self, entries: &[CacheEntry]) -> Result<(), Fault> {
        let slots = entries.iter().map(|entry| entry.slot).collect();
        self.calls.push(Call::Restore(slots));
        Ok(())
    }

    fn hit(&mut self, slots: &[Slot]) -> Result<(), Fault> {
        self.calls.push(Call::Hit(slots.to_vec()));
        Ok(())
    }

    fn admit(&mut self, incoming: CacheEntry, needed: u64) -> Result<Admission, Fault> {
        self.calls.push(Call::Admit(incoming.slot, needed));
        self.answer()
    }

    fn make_room(&mut self, needed: u64, _: Millis) -> Result<Vec<Slot>, Fault> {
        self.calls.push(Call::MakeRoom(needed));
        match self.answer()? {
            Admission::Admit(slots) => Ok(slots),
            Admission::Refuse => panic!("a request for space cannot be refused"),
        }
    }

    fn removed(&mut self, slots: &[Slot]) -> Result<(), Fault> {
        self.calls.push(Call::Removed(slots.to_vec()));
        Ok(())
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a script answers with results")]
fn named(slots: &[Slot]) -> Result<Admission, Fault> {
    Ok(Admission::Admit(slots.to_vec()))
}

fn trap() -> Result<Admission, Fault> {
    Err(Fault::trap("out of fuel"))
}

/// A full cache of 30 bytes with files 0, 1 and 2 in the slots of the same numbers, file 0 least recently used.
fn full() -> Cache {
    let mut cache = Cache::new(30);
    for number in 0..3 {
        let outcome = cache.admit(None, copy(number, 10), 0);
        assert!(outcome.admitted);
    }
    cache
}

fn asked(step: Step) -> Question {
    match step.next {
        Next::Ask(question) => question,
        Next::Done { .. } => panic!("the policy must be asked"),
    }
}

/// Admits file 3 to a full cache and compares the outcome.
fn check(
    answers: impl IntoIterator<Item = Result<Admission, Fault>>,
    (admitted, gone, is_fault): (bool, &[u32], bool),
) -> (Cache, Script) {
    let (mut cache, mut script) = (full(), Script::answering(answers));
    let outcome = cache.admit(Some(&mut script), copy(3, 10), 1);
    assert_eq!(outcome.admitted, admitted);
    assert_eq!(keys(&outcome.victims), victims(gone));
    assert_eq!(outcome.fault.is_some(), is_fault, "{:?}", outcome.fault);
    assert!(cache.used() <= cache.capacity());
    (cache, script)
}

#[test]
fn the_baseline_drops_the_coldest() {
    let mut cache = full();
    cache.hit(&key(0), 1);
    let outcome = cache.admit(None, copy(3, 15), 2);
    assert!(outcome.admitted);
    assert_eq!(keys(&outcome.victims), victims(&[1, 2]));
    let order: Vec<_> = cache
        .copies()
        .map(|(copy, at)| (copy.key.clone(), at))
        .collect();
    assert_eq!(order, [(key(0), 1), (key(3), 2)]);
}

#[test]
fn a_valid_verdict_is_obeyed() {
    let (_, script) = check([named(&[1])], (true, &[1], false));
    let expected = [
        Call::Capacity(30),
        Call::Restore(vec![0, 1, 2]),
        Call::Admit(3, 10),
    ];
    assert_eq!(script.calls, expected);
    check([Ok(Admission::Refuse)], (false, &[], false));
    check([named(&[2, 0])], (true, &[2, 0], false));
}

#[test]
fn a_policy_that_frees_too_little_is_asked_again() {
    let (mut cache, mut script) = (full(), Script::answering([named(&[2]), named(&[0])]));
    let outcome = cache.admit(Some(&mut script), copy(3, 15), 1);
    assert_eq!(keys(&outcome.victims), victims(&[2, 0]));
    assert_eq!((outcome.admitted, outcome.fault), (true, None));
    assert_eq!(script.calls[2..], [Call::Admit(3, 15), Call::MakeRoom(5)]);
}

#[test]
fn a_policy_may_drop_what_it_admitted() {
    let (mut cache, mut script) = (full(), Script::answering([named(&[2]), named(&[3])]));
    let outcome = cache.admit(Some(&mut script), copy(3, 15), 1);
    assert_eq!(keys(&outcome.victims), victims(&[2]));
    assert_eq!((outcome.admitted, outcome.fault), (false, None));
}

#[test]
fn after_so_many_rounds_the_baseline_frees_the_rest() {
    let rounds = limits::EVICTION_ROUNDS_MAX;
    let mut cache = Cache::new(100);
    for number in 0..100 {
        assert!(cache.adopt(copy(number, 1), 0));
    }
    let mut hottest_first = Script::answering((0..100).map(|number| named(&[99 - number])));
    let outcome = cache.make_room(Some(&mut hottest_first), 50, 1);
    assert_eq!(outcome.fault, None);
    let gone = (100 - rounds..100).rev().chain(0..50 - rounds);
    assert_eq!(keys(&outcome.victims), gone.map(key).collect::<Vec<_>>());
}

#[test]
fn invalid_verdicts_are_faults_and_the_coldest_goes() {
    for slots in [&[7][..], &[1, 1], &[], &[1, 3], &[Slot::MAX]] {
        check([named(slots)], (true, &[0], true));
    }
    let many: Vec<Slot> = (0..=limits::VERDICT_ENTRIES_MAX as Slot).collect();
    check([named(&many)], (true, &[0], true));
}

#[test]
fn a_slot_named_twice_is_found_among_many() {
    let verdict = |last: Slot| named(&(0..99).chain([last]).collect::<Vec<_>>());
    for (last, is_fault) in [(99, false), (7, true)] {
        let mut cache = Cache::new(100);
        for number in 0..100 {
            assert!(cache.adopt(copy(number, 1), 0));
        }
        let mut script = Script::answering([verdict(last)]);
        let outcome = cache.make_room(Some(&mut script), 99, 1);
        assert_eq!(outcome.fault.is_some(), is_fault, "{:?}", outcome.fault);
    }
}

#[test]
fn copies_may_go_by_numbers() {
    let copy = |id: u64| CachedCopy::of(id, version(1), 10, 1);
    let mut cache = Cache::new(30);
    for id in [5, u64::MAX, 0] {
        assert!(cache.admit(None, copy(id), 0).admitted);
    }
    assert!(cache.hit(&5, 1) && !cache.hit(&6, 1));
    let mut script = Script::answering([named(&[2, 0])]);
    let outcome = cache.admit(Some(&mut script), copy(7), 2);
    let gone: Vec<u64> = outcome.victims.iter().map(|victim| victim.key).collect();
    assert_eq!((outcome.admitted, gone), (true, vec![0, 5]));
    assert_eq!(cache.copy_of(&7).map(|copy| copy.file.0), Some(7));
}

#[test]
fn a_later_round_that_frees_nothing_is_a_fault() {
    let (mut cache, mut script) = (full(), Script::answering([named(&[2]), named(&[])]));
    let outcome = cache.admit(Some(&mut script), copy(3, 15), 1);
    assert_eq!(keys(&outcome.victims), victims(&[2, 0]));
    assert!(outcome.admitted && outcome.fault.is_some());
}

#[test]
fn what_the_baseline_did_after_an_invalid_verdict_is_told_to_the_policy() {
    // The policy counts copies 1 and 2 as gone, but copy 0 was evicted.
    let (mut cache, mut script) = check([named(&[1, 2, 2])], (true, &[0], true));
    script.calls.clear();
    script.answers = vec![Ok(Admission::Refuse)];
    let outcome = cache.admit(Some(&mut script), copy(4, 10), 2);
    assert_eq!(outcome, CacheOutcome::default());
    let expected = [
        Call::Restore(vec![1, 2]),
        Call::Removed(vec![0]),
        Call::Admit(4, 10),
    ];
    assert_eq!(script.calls, expected);
}

#[test]
fn a_policy_that_failed_follows_no_more_and_the_next_is_told_everything() {
    let (mut cache, _) = check([trap()], (true, &[0], true));
    assert!(!cache.is_followed());
    let mut next = Script::answering([Ok(Admission::Refuse)]);
    let outcome = cache.admit(Some(&mut next), copy(4, 10), 2);
    assert_eq!(outcome, CacheOutcome::default());
    let restored: Vec<_> = cache.copies().map(|(copy, _)| copy.key.clone()).collect();
    assert_eq!(restored, victims(&[1, 2, 3]));
    assert!(matches!(&next.calls[1], Call::Restore(slots) if slots.len() == 3));
}

#[test]
fn a_policy_that_fails_while_it_takes_over_is_not_asked() {
    struct Fails;
    impl Eviction for Fails {
        fn set_capacity(&mut self, _: u64) -> Result<(), Fault> {
            Err(Fault::trap("no memory"))
        }
        fn restore(&mut self, _: &[CacheEntry]) -> Result<(), Fault> {
            panic!("it has failed")
        }
        fn hit(&mut self, _: &[Slot]) -> Result<(), Fault> {
            panic!("it has failed")
        }
        fn admit(&mut self, _: CacheEntry, _: u64) -> Result<Admission, Fault> {
            panic!("it has failed")
        }
        fn make_room(&mut self, _: u64, _: Millis) -> Result<Vec<Slot>, Fault> {
            panic!("it has failed")
        }
        fn removed(&mut self, _: &[Slot]) -> Result<(), Fault> {
            panic!("it has failed")
        }
    }
    let mut cache = full();
    let outcome = cache.admit(Some(&mut Fails), copy(3, 10), 1);
    assert_eq!(keys(&outcome.victims), victims(&[0]));
    assert!(outcome.admitted && outcome.fault.is_some() && !cache.is_followed());
}

#[test]
fn what_happened_is_told_in_order_before_the_question() {
    let (mut cache, mut script) = (full(), Script::default());
    cache
        .hand_over()
        .put_to(&mut script)
        .expect("it can't fail");
    cache.set_capacity(25);
    cache.hit(&key(1), 1);
    cache.hit(&key(0), 1);
    assert!(cache.remove(&key(0), version(1)));
    cache.hit(&key(1), 1);
    // While the policy is busy, the baseline admits a copy.
    assert!(cache.admit(None, copy(5, 1), 1).admitted);
    cache.hit(&key(5), 2);
    script.calls.clear();
    assert!(cache.admit(Some(&mut script), copy(6, 2), 2).admitted);
    let expected = [
        Call::Capacity(25),
        Call::Hit(vec![1, 0]),
        Call::Removed(vec![0]),
        Call::Hit(vec![1]),
        Call::Restore(vec![3]),
        Call::Hit(vec![3]),
        // Slot 0 is reused only after the policy was told that its copy is gone.
        Call::Admit(4, 0),
    ];
    assert_eq!(script.calls, expected);
    assert!(cache.admit(Some(&mut script), copy(7, 1), 2).admitted);
    assert_eq!(script.calls.last(), Some(&Call::Admit(0, 0)));
}

#[test]
fn a_copy_that_came_and_went_unseen_is_never_told_of() {
    let (mut cache, mut script) = (full(), Script::default());
    cache
        .hand_over()
        .put_to(&mut script)
        .expect("it can't fail");
    cache.set_capacity(40);
    assert!(cache.admit(None, copy(5, 1), 1).admitted);
    cache.hit(&key(5), 2);
    assert!(cache.remove(&key(5), version(1)));
    script.calls.clear();
    assert!(cache.admit(Some(&mut script), copy(6, 1), 2).admitted);
    assert_eq!(script.calls, [Call::Capacity(40), Call::Admit(3, 0)]);
}

#[test]
fn the_oldest_reads_are_forgotten_and_no_removal_is() {
    let (mut cache, mut script) = (full(), Script::default());
    cache
        .hand_over()
        .put_to(&mut script)
        .expect("it can't fail");
    script.calls.clear();
    cache.hit(&key(0), 1);
    cache.remove(&key(0), version(1));
    for _ in 0..limits::EVICTION_EVENTS_MAX {
        cache.hit(&key(1), 1);
    }
    assert!(cache.admit(Some(&mut script), copy(3, 10), 2).admitted);
    assert_eq!(script.calls[0], Call::Removed(vec![0]));
    let batches = &script.calls[1..script.calls.len() - 1];
    assert_eq!(
        batches.len(),
        limits::EVICTION_EVENTS_MAX / limits::EVICTION_BATCH_MAX
    );
    let whole = Call::Hit(vec![1; limits::EVICTION_BATCH_MAX]);
    assert!(batches.iter().all(|batch| *batch == whole));
}

#[test]
fn the_log_stays_small_while_the_policy_is_busy() {
    let (mut cache, mut script) = (full(), Script::default());
    cache
        .hand_over()
        .put_to(&mut script)
        .expect("it can't fail");
    for number in 0..100_000 {
        assert!(cache.admit(None, copy(number, 10), 1).admitted);
        cache.hit(&key(number), 1);
    }
    let (hits, turns) = cache.log.lengths();
    assert_eq!(hits, limits::EVICTION_EVENTS_MAX);
    assert!(turns <= 2 * cache.slots.width() + 64, "{turns}");
    assert!(cache.slots.width() <= 6, "{}", cache.slots.width());
}

#[test]
fn a_new_policy_is_told_of_everything_coldest_first_in_batches() {
    let mut cache = Cache::new(10_000);
    for number in 0..10_000 {
        assert!(cache.adopt(copy(number, 1), number.into()));
    }
    cache.hit(&key(0), 10_000);
    let mut script = Script::default();
    cache
        .hand_over()
        .put_to(&mut script)
        .expect("it can't fail");
    let batches: Vec<_> = script.calls[1..]
        .iter()
        .map(|call| match call {
            Call::Restore(slots) => slots.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        batches.iter().map(Vec::len).collect::<Vec<_>>(),
        [4096, 4096, 1808]
    );
    assert_eq!(batches.concat(), (1..10_000).chain([0]).collect::<Vec<_>>());
}

#[test]
fn a_copy_larger_than_the_budget_is_refused_unasked() {
    let (mut cache, mut script) = (full(), Script::default());
    let outcome = cache.admit(Some(&mut script), copy(3, 31), 1);
    assert_eq!(outcome, CacheOutcome::default());
    assert_eq!(
        script.calls.len(),
        2,
        "only the handover: {:?}",
        script.calls
    );
}

#[test]
fn an_older_version_leaves_for_a_newer_one_and_not_the_other_way() {
    let mut cache = full();
    let newer = CachedCopy {
        version: version(2),
        ..copy(1, 10)
    };
    let outcome = cache.admit(None, newer.clone(), 1);
    assert_eq!(
        (outcome.admitted, keys(&outcome.victims)),
        (true, victims(&[1]))
    );
    assert_eq!(outcome.victims[0].version, version(1));
    assert_eq!(cache.admit(None, copy(1, 10), 1), CacheOutcome::default());
    assert!(cache.admit(None, newer, 1).admitted);
    assert_eq!(
        (cache.version_of(&key(1)), cache.len()),
        (Some(version(2)), 3)
    );
    assert!(!cache.remove(&key(1), version(1)));
}

#[test]
fn a_victim_that_was_removed_meanwhile_is_no_fault_and_is_not_told() {
    let (mut cache, mut script) = (full(), Script::answering([named(&[1])]));
    cache
        .hand_over()
        .put_to(&mut script)
        .expect("it can't fail");
    let question = asked(cache.ask_admit(copy(3, 10), 1));
    assert!(cache.remove(&key(1), version(1)));
    let verdict = question.put_to(&mut script);
    let step = cache.settle(question, verdict);
    assert_eq!((step.victims, step.fault), (vec![], None));
    assert!(matches!(step.next, Next::Done { admitted: true }));
    script.calls.clear();
    script.answers = vec![Ok(Admission::Refuse)];
    assert_eq!(
        cache.admit(Some(&mut script), copy(4, 10), 2),
        CacheOutcome::default()
    );
    // Slot 1 is free again without a report that it was removed.
    assert_eq!(script.calls, [Call::Admit(1, 10)]);
}

#[test]
fn a_policy_can_not_name_a_copy_that_it_was_never_told_of() {
    // Slot 4 is taken while the policy thinks; the policy guesses the number.
    let (mut cache, mut script) = (full(), Script::answering([named(&[4])]));
    cache
        .hand_over()
        .put_to(&mut script)
        .expect("it can't fail");
    let question = asked(cache.ask_admit(copy(3, 10), 1));
    assert!(cache.admit(None, copy(5, 10), 1).admitted);
    let verdict = question.put_to(&mut script);
    let step = cache.settle(question, verdict);
    assert!(
        step.fault
            .is_some_and(|fault| fault.kind == FaultKind::Verdict)
    );
    assert_eq!(keys(&step.victims), victims(&[1]));
}

#[test]
fn a_copy_removed_while_it_is_asked_about_is_not_admitted() {
    let (mut cache, mut script) = (full(), Script::answering([named(&[1])]));
    cache
        .hand_over()
        .put_to(&mut script)
        .expect("it can't fail");
    let question = asked(cache.ask_admit(copy(3, 10), 1));
    assert!(!cache.remove(&key(3), version(1)), "it is not cached yet");
    let verdict = question.put_to(&mut script);
    let step = cache.settle(question, verdict);
    assert!(matches!(step.next, Next::Done { admitted: false }));
    assert_eq!(cache.version_of(&key(3)), None);
    script.calls.clear();
    assert!(cache.admit(Some(&mut script), copy(4, 10), 2).admitted);
    assert_eq!(script.calls, [Call::Removed(vec![3]), Call::Admit(1, 0)]);
}

#[test]
fn a_question_whose_policy_was_dismissed_is_answered_by_the_baseline() {
    let (mut cache, mut script) = (full(), Script::answering([named(&[2])]));
    cache
        .hand_over()
        .put_to(&mut script)
        .expect("it can't fail");
    let question = asked(cache.ask_admit(copy(3, 10), 1));
    let verdict = question.put_to(&mut script);
    cache.dismiss();
    let step = cache.settle(question, verdict);
    assert_eq!(keys(&step.victims), victims(&[0]));
    assert!(matches!(step.next, Next::Done { admitted: true }));
}

#[test]
fn a_question_that_is_never_settled_costs_the_policy_its_place() {
    let (mut cache, mut script) = (full(), Script::default());
    cache
        .hand_over()
        .put_to(&mut script)
        .expect("it can't fail");
    drop(asked(cache.ask_admit(copy(3, 10), 1)));
    let step = cache.ask_admit(copy(4, 10), 1);
    assert!(matches!(step.next, Next::Done { admitted: true }));
    assert!(!cache.is_followed());
    assert_eq!(cache.slots.width(), 4, "the slot of copy 3 is reused");
}

#[test]
fn a_smaller_budget_is_met_when_room_is_made() {
    let mut cache = full();
    cache.set_capacity(15);
    assert_eq!(cache.used(), 30);
    let outcome = cache.make_room(None, 0, 1);
    assert_eq!(keys(&outcome.victims), victims(&[0, 1]));
    let outcome = cache.make_room(None, 1_000, 1);
    assert_eq!(
        (keys(&outcome.victims), cache.is_empty()),
        (victims(&[2]), true)
    );
}

#[test]
fn empty_files_are_cached_too() {
    let mut cache = Cache::new(0);
    assert!(cache.admit(None, copy(0, 0), 0).admitted);
    assert_eq!((cache.len(), cache.used()), (1, 0));
    assert_eq!(cache.make_room(None, 10, 0), CacheOutcome::default());
}
