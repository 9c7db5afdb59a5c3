//! Random histories of a cache with an honest, faulty or lying policy, checked against a naive model: a plain list
//! in order of last use. The policy keeps the records that the contract allows it to keep and asserts that nothing
//! it is told contradicts them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::slots::SlotPlace;
use super::tests::{copy, version};
use super::*;
use crate::limits;
use crate::policy::{Admission, CacheEntry, Fault, Slot};

const FILES: u32 = 12;

/// How the policy answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    /// Names the least recently used copies, and enough of them.
    Honest,
    /// Names one slot at a time.
    Slow,
    Refuses,
    Traps,
    NamesNothing,
    NamesTwice,
    NamesNoCopy,
    NamesIncoming,
}

/// A least-recently-used policy behind the port, which can be told to misbehave.
struct Guest {
    /// Least recently used first.
    known: Vec<CacheEntry>,
    capacity: Option<u64>,
    incoming: Option<Slot>,
    mood: Mood,
}

impl Guest {
    fn new() -> Self {
        Self {
            known: Vec::new(),
            capacity: None,
            incoming: None,
            mood: Mood::Honest,
        }
    }

    fn position(&self, slot: Slot) -> Option<usize> {
        self.known.iter().position(|entry| entry.slot == slot)
    }

    fn coldest(&self, needed: u64) -> Vec<Slot> {
        let mut freed = 0;
        let enough = |entry: &&CacheEntry| {
            let short = freed < needed;
            freed += entry.size;
            short
        };
        self.known
            .iter()
            .take_while(enough)
            .map(|entry| entry.slot)
            .collect()
    }

    fn answer(&mut self, needed: u64) -> Result<Vec<Slot>, Fault> {
        let coldest = self.coldest(needed);
        let named = match self.mood {
            Mood::Honest | Mood::Refuses => coldest,
            Mood::Slow => self
                .known
                .iter()
                .filter(|entry| entry.size > 0 && needed > 0)
                .map(|entry| entry.slot)
                .take(1)
                .collect(),
            Mood::Traps => return Err(Fault::trap("trap")),
            Mood::NamesNothing => Vec::new(),
            Mood::NamesTwice => coldest.iter().chain(&coldest).copied().collect(),
            Mood::NamesNoCopy => {
                let unknown = (0..).find(|&slot| self.position(slot).is_none());
                coldest.into_iter().chain(unknown).collect()
            }
            Mood::NamesIncoming => self.incoming.into_iter().collect(),
        };
        // As far as the policy knows, the copies it names are gone.
        self.known.retain(|entry| !named.contains(&entry.slot));
        Ok(named)
    }
}

impl Eviction for Guest {
    fn set_capacity(&mut self, bytes: u64) -> Result<(), Fault> {
        self.capacity = Some(bytes);
        Ok(())
    }

    fn restore(&mut self, entries: &[CacheEntry]) -> Result<(), Fault> {
        assert!(self.capacity.is_some() && entries.len() <= limits::EVICTION_BATCH_MAX);
        for entry in entries {
            assert_eq!(
                self.position(entry.slot),
                None,
                "{entry:?} was restored twice"
            );
            self.known.push(*entry);
        }
        Ok(())
    }

    fn hit(&mut self, slots: &[Slot]) -> Result<(), Fault> {
        for &slot in slots {
            let at = self.position(slot).expect("a hit names a resident slot");
            let entry = self.known.remove(at);
            self.known.push(entry);
        }
        Ok(())
    }

    fn admit(&mut self, incoming: CacheEntry, needed: u64) -> Result<Admission, Fault> {
        assert_eq!(
            self.position(incoming.slot),
            None,
            "an incoming slot is not resident"
        );
        if self.mood == Mood::Refuses {
            return Ok(Admission::Refuse);
        }
        self.incoming = Some(incoming.slot);
        let named = self.answer(needed)?;
        if !named.contains(&incoming.slot) {
            self.known.push(incoming);
        }
        Ok(Admission::Admit(named))
    }

    fn make_room(&mut self, needed: u64, _: Millis) -> Result<Vec<Slot>, Fault> {
        assert!(needed > 0, "a request for zero bytes is never made");
        self.answer(needed)
    }

    fn removed(&mut self, slots: &[Slot]) -> Result<(), Fault> {
        for &slot in slots {
            let at = self
                .position(slot)
                .expect("only a resident slot is removed");
            self.known.remove(at);
        }
        Ok(())
    }
}

/// Something that happens without the policy.
#[derive(Clone, Debug)]
enum Event {
    Hit(u32),
    Remove(u32),
    AdmitByBaseline(CachedCopy),
    MakeRoomByBaseline(u64),
    SetCapacity(u64),
}

#[derive(Clone, Debug)]
enum Op {
    Event(Event),
    /// The policy is asked; one event happens before each of its answers is settled.
    Admit(CachedCopy, Vec<Mood>, Vec<Event>),
    MakeRoom(u64, Vec<Mood>, Vec<Event>),
}

struct CacheModel {
    cache: Cache,
    guest: Guest,
    /// Least recently used first.
    model: Vec<CachedCopy>,
    now: Millis,
    /// The largest number of copies cached at the same time.
    peak: usize,
}

impl CacheModel {
    fn new() -> Self {
        let mut world = Self {
            cache: Cache::new(50),
            guest: Guest::new(),
            model: Vec::new(),
            now: 0,
            peak: 0,
        };
        world.hand_over();
        world
    }

    fn hand_over(&mut self) {
        self.guest = Guest::new();
        let handover = self.cache.hand_over();
        handover
            .put_to(&mut self.guest)
            .expect("an honest policy takes over without a fault");
    }

    fn find(&self, file: u32) -> Option<usize> {
        let key = copy(file, 0).key;
        self.model.iter().position(|cached| cached.key == key)
    }

    fn used(&self) -> u64 {
        self.model.iter().map(|cached| cached.size).sum()
    }

    fn event(&mut self, event: &Event) {
        self.now += 1;
        match event {
            Event::Hit(file) => {
                let at = self.find(*file);
                assert_eq!(self.cache.hit(&copy(*file, 0).key, self.now), at.is_some());
                if let Some(at) = at {
                    let used = self.model.remove(at);
                    self.model.push(used);
                }
            }
            Event::Remove(file) => {
                if let Some(at) = self.find(*file) {
                    let gone = self.model.remove(at);
                    assert!(self.cache.remove(&gone.key, gone.version));
                }
            }
            Event::AdmitByBaseline(copy) => {
                let expected = self.baseline_admits(copy);
                let outcome = self.cache.admit(None, copy.clone(), self.now);
                assert_eq!(outcome, expected);
            }
            Event::MakeRoomByBaseline(bytes) => {
                let mut expected = CacheOutcome::default();
                self.baseline_frees(0, *bytes, &mut expected);
                assert_eq!(self.cache.make_room(None, *bytes, self.now), expected);
            }
            Event::SetCapacity(bytes) => {
                self.cache.set_capacity(*bytes);
                let mut expected = CacheOutcome::default();
                self.baseline_frees(0, 0, &mut expected);
                assert_eq!(self.cache.make_room(None, 0, self.now), expected);
            }
        }
        self.check();
    }

    /// The baseline's expected answer, computed on the plain list.
    fn baseline_admits(&mut self, copy: &CachedCopy) -> CacheOutcome {
        let mut outcome = CacheOutcome::default();
        if let Some(at) = self.model.iter().position(|cached| cached.key == copy.key) {
            if self.model[at].version >= copy.version {
                outcome.admitted = self.model[at].version == copy.version;
                return outcome;
            }
            outcome.victims.push(self.model.remove(at).into());
        }
        if copy.size <= self.cache.capacity() {
            self.baseline_frees(copy.size, 0, &mut outcome);
            self.model.push(copy.clone());
            outcome.admitted = true;
        }
        outcome
    }

    fn baseline_frees(&mut self, incoming: u64, room: u64, outcome: &mut CacheOutcome) {
        let target = self.used().saturating_sub(room);
        while self.used() + incoming > self.cache.capacity() || self.used() > target {
            outcome.victims.push(self.model.remove(0).into());
        }
    }

    fn ask(
        &mut self,
        first: Step,
        incoming: Option<&CachedCopy>,
        moods: &[Mood],
        events: &[Event],
    ) {
        let mut moods = moods.iter().chain(std::iter::repeat(&Mood::Honest));
        let mut events = events.iter();
        let mut step = first;
        loop {
            for victim in &step.victims {
                let at = self
                    .model
                    .iter()
                    .position(|cached| cached.key == victim.key);
                let gone = self.model.remove(at.expect("a victim was cached"));
                assert_eq!(Victim::from(gone), *victim);
            }
            match step.next {
                Next::Done { admitted } => {
                    let cached = incoming
                        .is_some_and(|copy| self.cache.version_of(&copy.key) == Some(copy.version));
                    assert!(cached || !admitted, "an admitted copy is cached");
                    let new = incoming.filter(|copy| admitted && !self.model.contains(copy));
                    self.model.extend(new.cloned());
                    break;
                }
                Next::Ask(question) => {
                    self.guest.mood = *moods.next().expect("there is always another mood");
                    let verdict = question.put_to(&mut self.guest);
                    self.check_books(&question);
                    if let Some(event) = events.next() {
                        self.event(event);
                    }
                    step = self.cache.settle(question, verdict);
                    assert!(step.fault.is_none() || matches!(step.next, Next::Done { .. }));
                }
            }
        }
        self.check();
        if !self.cache.is_followed() {
            self.hand_over();
        }
    }

    fn perform(&mut self, op: &Op) {
        self.now += 1;
        match op {
            Op::Event(event) => self.event(event),
            Op::Admit(copy, moods, events) => {
                let step = self.cache.ask_admit(copy.clone(), self.now);
                self.ask(step, Some(copy), moods, events);
            }
            Op::MakeRoom(bytes, moods, events) => {
                let step = self.cache.ask_room(*bytes, self.now);
                self.ask(step, None, moods, events);
            }
        }
    }

    /// Every copy that the policy counts as resident is one that the cache counts as known to the policy, except
    /// for what this verdict changes.
    fn check_books(&self, question: &Question) {
        let incoming = question.incoming.as_ref().map(|incoming| incoming.slot);
        for entry in &self.guest.known {
            let is_known = self
                .cache
                .slots
                .cached_at(entry.slot)
                .is_some_and(|it| it.told);
            assert!(
                is_known || incoming == Some(entry.slot),
                "the cache does not know {entry:?}"
            );
        }
    }

    fn check(&mut self) {
        let cached: Vec<_> = self.cache.copies().map(|(copy, _)| copy.clone()).collect();
        assert_eq!(cached, self.model, "the order of last use is kept");
        assert_eq!(self.cache.used(), self.used());
        assert_eq!(self.cache.len(), self.model.len());
        assert!(self.cache.used() <= self.cache.capacity());
        self.peak = self.peak.max(self.model.len());
        // At any time the slots in use are those of cached copies, of copies that the open question reports as
        // gone, and of copies that left since: together no more than the peak. Two more are for the copy asked
        // about now and the one before, if it was not admitted after all.
        let (width, peak) = (self.cache.slots.width(), self.peak);
        assert!(
            width <= 3 * peak + 2,
            "slots are reused: {width} for {peak}"
        );
    }

    /// Once everything has been delivered, both sides count the same copies as cached.
    fn check_agreement(&mut self) {
        let step = self.cache.ask_admit(copy(FILES, 0), self.now);
        self.ask(step, None, &[Mood::Refuses], &[]);
        let known: BTreeMap<Slot, u64> = self
            .guest
            .known
            .iter()
            .map(|entry| (entry.slot, entry.file))
            .collect();
        let cached: BTreeMap<Slot, u64> = self
            .cache
            .slots
            .coldest_first()
            .map(|(slot, it)| (slot, it.copy.file.0))
            .collect();
        assert_eq!(known, cached);
        let leaving = (0..self.cache.slots.width() as Slot).filter(|&slot| {
            matches!(
                self.cache.slots.place(slot),
                Some(SlotPlace::Leaving { .. })
            )
        });
        assert_eq!(leaving.count(), 0);
    }
}

/// One version of a file has one size; file 0 is empty.
fn any_copy() -> impl Strategy<Value = CachedCopy> {
    (0..FILES, 1u64..4).prop_map(|(file, stamp)| CachedCopy {
        version: version(stamp),
        ..copy(file, u64::from(file) * (7 + stamp) % 31)
    })
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..FILES).prop_map(Event::Hit),
        2 => (0..FILES).prop_map(Event::Remove),
        2 => any_copy().prop_map(Event::AdmitByBaseline),
        1 => (0u64..40).prop_map(Event::MakeRoomByBaseline),
        1 => (20u64..80).prop_map(Event::SetCapacity),
    ]
}

fn moods() -> impl Strategy<Value = Vec<Mood>> {
    let mood = prop_oneof![
        4 => Just(Mood::Honest),
        4 => Just(Mood::Slow),
        1 => Just(Mood::Refuses),
        1 => Just(Mood::Traps),
        1 => Just(Mood::NamesNothing),
        1 => Just(Mood::NamesTwice),
        1 => Just(Mood::NamesNoCopy),
        1 => Just(Mood::NamesIncoming),
    ];
    prop::collection::vec(mood, 1..4)
}

fn op() -> impl Strategy<Value = Op> {
    let events = || prop::collection::vec(event(), 0..3);
    prop_oneof![
        3 => event().prop_map(Op::Event),
        4 => (any_copy(), moods(), events()).prop_map(|(copy, moods, events)| Op::Admit(copy, moods, events)),
        1 => (0u64..40, moods(), events()).prop_map(|(bytes, moods, events)| Op::MakeRoom(bytes, moods, events)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn whatever_a_policy_says_the_books_agree(ops in prop::collection::vec(op(), 1..80)) {
        let mut world = CacheModel::new();
        for op in &ops {
            world.perform(op);
        }
        world.check_agreement();
    }

    #[test]
    fn an_honest_policy_behind_the_port_evicts_the_very_same_as_the_baseline(
        steps in prop::collection::vec((any_copy(), event()), 1..80)
    ) {
        let (mut alone, mut asking) = (Cache::new(50), Cache::new(50));
        let mut guest = Guest::new();
        for (now, (copy, event)) in (0..).zip(&steps) {
            match event {
                Event::Hit(file) => {
                    let key = super::tests::copy(*file, 0).key;
                    prop_assert_eq!(alone.hit(&key, now), asking.hit(&key, now));
                }
                Event::Remove(file) => {
                    let key = super::tests::copy(*file, 0).key;
                    if let Some(version) = alone.version_of(&key) {
                        prop_assert_eq!(alone.remove(&key, version), asking.remove(&key, version));
                    }
                }
                Event::SetCapacity(bytes) => {
                    alone.set_capacity(*bytes);
                    asking.set_capacity(*bytes);
                    let freed = asking.make_room(Some(&mut guest), 0, now);
                    prop_assert_eq!(alone.make_room(None, 0, now), freed);
                }
                Event::MakeRoomByBaseline(bytes) => {
                    let freed = asking.make_room(Some(&mut guest), *bytes, now);
                    prop_assert_eq!(alone.make_room(None, *bytes, now), freed);
                }
                Event::AdmitByBaseline(_) => {}
            }
            let outcome = asking.admit(Some(&mut guest), copy.clone(), now);
            prop_assert_eq!(alone.admit(None, copy.clone(), now), outcome);
            prop_assert!(alone.copies().eq(asking.copies()));
        }
    }
}
