//! Tests of the test cache: with a correct policy, and with one that breaks each rule.

use std::collections::VecDeque;

use super::{Cache, Counts, Zipf, storm};
use crate::{About, Admission, Entry, EvictionPolicy, Millis, NoConfig, Slot};

/// Evicts the oldest copy.
#[derive(Default)]
struct Fifo(VecDeque<Entry>);

impl Fifo {
    fn oldest(&mut self, needed: u64) -> Vec<Slot> {
        let mut freed = 0;
        let enough = self.0.iter().position(|entry| {
            let fits = freed >= needed;
            freed += entry.size;
            fits
        });
        let count = enough.unwrap_or(self.0.len()).min(4096);
        self.0.drain(..count).map(|entry| entry.slot).collect()
    }
}

impl EvictionPolicy for Fifo {
    type Config = NoConfig;

    fn about() -> About {
        crate::about!("drops what came first")
    }

    fn new(_: NoConfig, _: u64) -> Result<Self, String> {
        Ok(Self::default())
    }

    fn set_capacity(&mut self, _: u64) {}

    fn restore(&mut self, entries: &[Entry]) {
        self.0.extend(entries);
    }

    fn hit(&mut self, _: &[Slot]) {}

    fn admit(&mut self, incoming: Entry, needed: u64) -> Admission {
        let victims = self.oldest(needed);
        self.0.push_back(incoming);
        Admission::Admit(victims)
    }

    fn make_room(&mut self, needed: u64, _: Millis) -> Vec<Slot> {
        self.oldest(needed)
    }

    fn removed(&mut self, slots: &[Slot]) {
        self.0.retain(|entry| !slots.contains(&entry.slot));
    }
}

/// Admits everything and names the next of its given answers each time.
struct Script(VecDeque<Admission>);

impl EvictionPolicy for Script {
    type Config = NoConfig;

    fn about() -> About {
        crate::about!("says what it was told to say")
    }

    fn new(_: NoConfig, _: u64) -> Result<Self, String> {
        Ok(Self(VecDeque::new()))
    }

    fn set_capacity(&mut self, _: u64) {}

    fn restore(&mut self, _: &[Entry]) {}

    fn hit(&mut self, _: &[Slot]) {}

    fn admit(&mut self, _: Entry, needed: u64) -> Admission {
        match needed {
            0 => Admission::Admit(Vec::new()),
            _ => self.0.pop_front().expect("another answer"),
        }
    }

    fn make_room(&mut self, _: u64, _: Millis) -> Vec<Slot> {
        match self.0.pop_front().expect("another answer") {
            Admission::Admit(victims) => victims,
            Admission::Refuse => panic!("there is nothing to refuse"),
        }
    }

    fn removed(&mut self, _: &[Slot]) {}
}

/// A cache of 30 bytes with copies of files 0, 1 and 2 in the slots of the same numbers, whose policy will give
/// these answers.
fn full<const N: usize>(answers: [&[Slot]; N]) -> Cache<Script> {
    let answers = answers.map(|slots| Admission::Admit(slots.to_vec()));
    let mut cache = Cache::new(Script(answers.into()), 30);
    assert_eq!(cache.replay([(0, 10), (1, 10), (2, 10)]).misses, 3);
    cache
}

#[test]
fn first_in_first_out_misses_what_libcachesim_says() {
    // libCacheSim's miss ratio for this trace; a tenth of its objects fits.
    let mut cache = Cache::new(Fifo::default(), 1000);
    let counts = cache.replay(Zipf::new(10_000, 7).take(1_000_000).map(|id| (id, 1)));
    assert_eq!(counts.requests, 1_000_000);
    assert_eq!(format!("{:.6}", counts.miss_ratio()), "0.369282");
}

#[test]
fn bytes_are_counted_beside_requests() {
    let mut cache = Cache::new(Fifo::default(), 100);
    let counts = cache.replay([(1, 60), (1, 60), (2, 60), (1, 60), (3, 101)]);
    let expected = Counts {
        requests: 5,
        misses: 4,
        bytes: 341,
        missed_bytes: 281,
    };
    assert_eq!(counts, expected);
    assert_eq!((cache.files(), cache.used()), (vec![1], 60));
}

#[test]
fn a_policy_that_keeps_to_the_rules_weathers_the_storm() {
    storm(Fifo::default(), Fifo::default(), 1);
}

#[test]
fn a_successor_is_told_of_everything_coldest_first() {
    let mut cache = Cache::new(Fifo::default(), 30);
    cache.replay([(1, 10), (2, 10), (3, 10), (1, 10)]);
    let mut cache = cache.hand_over(Fifo::default());
    cache.request(4, 10);
    assert_eq!(cache.files(), [3, 1, 4]);
}

#[test]
fn too_few_bytes_are_asked_for_again_and_slots_are_given_out_again() {
    let mut cache = full([&[1], &[0]]);
    cache.request(3, 20);
    assert_eq!(cache.files(), [2, 3]);
    assert_eq!((cache.used(), cache.width()), (30, 4));
    cache.remove(2);
    cache.request(4, 1);
    assert_eq!(cache.width(), 4);
}

#[test]
fn an_admitted_copy_may_be_dropped() {
    let mut cache = full([&[1], &[3]]);
    cache.request(3, 20);
    assert_eq!(cache.files(), [0, 2]);
}

#[test]
fn a_file_larger_than_the_cache_is_refused_unasked() {
    let mut cache = full([]);
    assert!(!cache.request(3, 31));
    assert_eq!(cache.files(), [0, 1, 2]);
}

#[test]
#[should_panic(expected = "slot 3 holds no cached copy")]
fn an_incoming_copy_is_no_victim_of_its_own_admission() {
    full([&[3]]).request(3, 10);
}

#[test]
#[should_panic(expected = "slot 7 holds no cached copy")]
fn a_slot_that_was_never_given_out_is_no_victim() {
    full([&[7]]).make_room(1);
}

#[test]
#[should_panic(expected = "slot 1 holds no cached copy")]
fn what_was_removed_is_no_victim() {
    let mut cache = full([&[1]]);
    assert!(cache.remove(1));
    cache.make_room(1);
}

#[test]
#[should_panic(expected = "slot 1 is named twice")]
fn a_victim_is_named_once() {
    full([&[1, 1]]).request(3, 10);
}

#[test]
#[should_panic(expected = "it frees none of the 10 bytes that are needed")]
fn a_round_frees_something() {
    full([&[]]).request(3, 10);
}

#[test]
#[should_panic(expected = "at most 4096 are allowed")]
fn an_answer_has_a_bound() {
    full([&[0; 4097]]).make_room(1);
}

#[test]
#[should_panic(expected = "asked 16 times")]
fn rounds_have_a_bound() {
    let mut cache = Cache::new(
        Script((0..20).map(|slot| Admission::Admit(vec![slot])).collect()),
        20,
    );
    cache.replay((0..20).map(|file| (file, 1)));
    cache.make_room(20);
}
