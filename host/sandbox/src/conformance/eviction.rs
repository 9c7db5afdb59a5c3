//! Eviction: random histories of a cache, with everything that can happen to one.

use dataverse_core::cache::{Cache, CacheOutcome, CachedCopy, Victim};
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::policy::{Eviction, Fault};
use dataverse_core::version::{Millis, Stamp, Version};

use super::{Patience, Random, Report, unlike};

/// One history is run for each of these cache sizes in bytes.
const CAPACITIES: [u64; 4] = [0, 1000, 100_000, 1 << 40];
const STEPS: u64 = 1500;
const FILES: u64 = 400;

type Make<'a> = &'a mut dyn FnMut() -> Result<Box<dyn Eviction>, Fault>;

/// Lets two instances follow caches through random histories: reads, admissions of sizes from 0 to more than the
/// budget, newer versions, removals, requests for space, changing budgets, copies that the baseline admitted while
/// the policy was busy, and a new instance that takes over a full cache.
///
/// `make` creates instances with the same seed; it is called again after an instance failed.
pub fn eviction(make: &mut dyn FnMut() -> Result<Box<dyn Eviction>, Fault>) -> Report {
    eviction_while(make, &mut || true)
}

/// As [`eviction`], while `patience` returns true.
pub fn eviction_while(
    make: &mut dyn FnMut() -> Result<Box<dyn Eviction>, Fault>,
    patience: Patience<'_>,
) -> Report {
    let mut report = Report::default();
    for (seed, capacity) in (3..).zip(CAPACITIES) {
        let told = history(make, seed, capacity, &mut report, patience);
        if report.is_over(patience) {
            return report;
        }
        // Faults of the second instance need no report: either the first has them too, or the decisions differ.
        let mut of_again = Report::default();
        let again = history(make, seed, capacity, &mut of_again, patience);
        report.is_cut_short |= of_again.is_cut_short;
        if let Some((one, other)) = told.iter().zip(&again).find(|(one, other)| one != other) {
            report.note(&format!("a cache of {capacity} bytes"), unlike(one, other));
        }
    }
    report
}

/// The decision at one step.
type Decided = (u64, bool, Vec<Victim>);

fn history(
    make: Make<'_>,
    seed: u64,
    capacity: u64,
    report: &mut Report,
    patience: Patience<'_>,
) -> Vec<Decided> {
    let mut world = ModelCache {
        random: Random(seed),
        cache: Cache::new(capacity),
        capacity,
        policy: None,
        decided: Vec::new(),
    };
    for step in 0..STEPS {
        if report.is_over(patience) {
            break;
        }
        report.questions += 1;
        if let Err(fault) = world.step(make, step) {
            report.note(
                &format!("step {step} with a cache of {capacity} bytes"),
                fault,
            );
        }
    }
    world.decided
}

struct ModelCache {
    random: Random,
    cache: Cache,
    /// The initial budget, around which it varies.
    capacity: u64,
    policy: Option<Box<dyn Eviction>>,
    decided: Vec<Decided>,
}

impl ModelCache {
    fn step(&mut self, make: Make<'_>, step: u64) -> Result<(), Fault> {
        let now: Millis = 1_700_000_000_000 + step * 10;
        let copy = self.copy();
        match self.random.below(100) {
            0..45 => {
                self.cache.hit(&copy.key, now);
                Ok(())
            }
            45..85 => self.ask(make, step, |cache, policy| cache.admit(policy, copy, now)),
            85..90 => {
                if let Some(version) = self.cache.version_of(&copy.key) {
                    self.cache.remove(&copy.key, version);
                }
                Ok(())
            }
            90..93 => {
                let bytes = self.random.magnitude(self.cache.capacity());
                self.ask(make, step, |cache, policy| {
                    cache.make_room(policy, bytes, now)
                })
            }
            93..95 => {
                let half = self.capacity / 2;
                self.cache.set_capacity(half + self.random.below(half + 1));
                self.ask(make, step, |cache, policy| cache.make_room(policy, 0, now))
            }
            95..99 => {
                let _ = self.cache.admit(None, copy, now);
                Ok(())
            }
            _ => {
                self.cache.dismiss();
                self.policy = None;
                Ok(())
            }
        }
    }

    /// Asks a question. An instance that failed is not asked again.
    fn ask(
        &mut self,
        make: Make<'_>,
        step: u64,
        question: impl FnOnce(&mut Cache, Option<&mut dyn Eviction>) -> CacheOutcome,
    ) -> Result<(), Fault> {
        let mut policy = self.policy.take().map_or_else(make, Ok)?;
        let outcome = question(&mut self.cache, Some(&mut *policy));
        self.decided.push((step, outcome.admitted, outcome.victims));
        match outcome.fault {
            None => {
                self.policy = Some(policy);
                Ok(())
            }
            Some(fault) => {
                if fault.kind.ends_instance() {
                    self.cache.dismiss();
                } else {
                    self.policy = Some(policy);
                }
                Err(fault)
            }
        }
    }

    /// A copy of one of a few hundred files, low numbers most often, sometimes in a newer version.
    fn copy(&mut self) -> CachedCopy {
        let (one, other) = (self.random.below(FILES), self.random.below(FILES));
        let key = Key::parse(&format!("ada/{}", one.min(other))).expect("it is a key");
        let version = Version {
            stamp: Stamp(1 + self.random.magnitude(4)),
            writer: NodeId::from(1),
        };
        let size =
            self.random.magnitude(self.capacity + self.capacity / 8) / (1 + self.random.below(64));
        let cost = u32::try_from(1 + self.random.below(6)).unwrap_or(1);
        CachedCopy::of(key, version, size, cost)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use dataverse_core::policy::{Admission, CacheEntry, FaultKind, Slot};

    use super::*;

    #[derive(Clone, Copy, PartialEq)]
    enum Mood {
        Honest,
        Refuses,
        ForgetsRemovals,
        NamesNothing,
        FailsLate,
    }

    /// First in, first out.
    struct Fifo {
        queue: VecDeque<(Slot, u64)>,
        mood: Mood,
        asked: u32,
    }

    impl Fifo {
        fn in_mood(mood: Mood) -> Result<Box<dyn Eviction>, Fault> {
            Ok(Box::new(Self {
                queue: VecDeque::new(),
                mood,
                asked: 0,
            }))
        }

        fn victims(&mut self, needed: u64) -> Vec<Slot> {
            let (mut freed, mut victims) = (0, Vec::new());
            while freed < needed && self.mood != Mood::NamesNothing {
                let Some((slot, size)) = self.queue.pop_front() else {
                    break;
                };
                freed += size;
                victims.push(slot);
            }
            victims
        }
    }

    impl Eviction for Fifo {
        fn set_capacity(&mut self, _: u64) -> Result<(), Fault> {
            Ok(())
        }

        fn restore(&mut self, entries: &[CacheEntry]) -> Result<(), Fault> {
            self.queue
                .extend(entries.iter().map(|entry| (entry.slot, entry.size)));
            Ok(())
        }

        fn hit(&mut self, _: &[Slot]) -> Result<(), Fault> {
            Ok(())
        }

        fn admit(&mut self, incoming: CacheEntry, needed: u64) -> Result<Admission, Fault> {
            self.asked += 1;
            if self.mood == Mood::FailsLate && self.asked == 100 {
                return Err(Fault::trap("unreachable"));
            }
            if self.mood == Mood::Refuses {
                return Ok(Admission::Refuse);
            }
            let victims = self.victims(needed);
            self.queue.push_back((incoming.slot, incoming.size));
            Ok(Admission::Admit(victims))
        }

        fn make_room(&mut self, needed: u64, _: Millis) -> Result<Vec<Slot>, Fault> {
            Ok(self.victims(needed))
        }

        fn removed(&mut self, slots: &[Slot]) -> Result<(), Fault> {
            if self.mood != Mood::ForgetsRemovals {
                self.queue.retain(|(slot, _)| !slots.contains(slot));
            }
            Ok(())
        }
    }

    fn check(mood: Mood) -> Report {
        eviction(&mut || Fifo::in_mood(mood))
    }

    #[test]
    fn honest_policies_pass() {
        for mood in [Mood::Honest, Mood::Refuses] {
            let report = check(mood);
            assert!(report.passed(), "{report:?}");
            assert_eq!(report.questions, STEPS * 4);
        }
    }

    #[test]
    fn a_policy_that_forgets_what_was_removed_fails() {
        let report = check(Mood::ForgetsRemovals);
        assert_eq!(report.faults[0].kind, FaultKind::Verdict, "{report:?}");
    }

    #[test]
    fn a_policy_that_frees_nothing_fails() {
        let report = check(Mood::NamesNothing);
        assert!(report.faults[0].reason.contains("frees none"), "{report:?}");
    }

    #[test]
    fn a_policy_that_fails_late_fails() {
        let report = check(Mood::FailsLate);
        assert_eq!(report.faults[0].kind, FaultKind::Trap, "{report:?}");
    }
}
