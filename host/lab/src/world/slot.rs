//! `LabSlot`: the place of whoever decides one kind of question at one simulated node.
//!
//! It does what the live driver's seat does, without its threads: a fault is answered by the baseline and noted; an
//! instance that can't be asked again is replaced; a policy that fails too often is suspended for a while. There is no
//! probation, since a study wants to see what a bad policy does.

use dataverse_core::cache::{Cache, CacheOutcome, CachedCopy};
use dataverse_core::policy::{Conduct, Eviction, Fault, FaultKind, PolicyRecord};
use dataverse_core::version::Millis;
use dataverse_sandbox::Refusal;

use crate::library::{Chosen, Priced, PricedEviction, PricedPlacement, PricedRelocation};
use crate::metered::Metered;
use crate::seed::derive;

/// What those who sat in a seat were asked and what it cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spent {
    pub(super) decisions: u64,
    pub(super) faults: u64,
    pub(super) fuel: u64,
}

impl Spent {
    pub(super) fn add(&mut self, other: Self) {
        self.decisions += other.decisions;
        self.faults += other.faults;
        self.fuel += other.fuel;
    }
}

/// A kind of instance that sits in a seat.
pub(super) trait Sits: Priced {
    /// An instance of what was chosen; none when the baseline is to answer.
    fn of(chosen: &Chosen, seed: u64) -> Result<Option<Box<Self>>, Refusal>;
}

impl Sits for dyn PricedPlacement {
    fn of(chosen: &Chosen, seed: u64) -> Result<Option<Box<Self>>, Refusal> {
        chosen.placement(seed).map(Some)
    }
}

impl Sits for dyn PricedRelocation {
    fn of(chosen: &Chosen, seed: u64) -> Result<Option<Box<Self>>, Refusal> {
        chosen.relocation(seed).map(Some)
    }
}

impl Sits for dyn PricedEviction {
    fn of(chosen: &Chosen, seed: u64) -> Result<Option<Box<Self>>, Refusal> {
        let guest = chosen.eviction(seed)?;
        Ok(guest.map(|guest| -> Box<Self> { Box::new(guest) }))
    }
}

/// The place of whoever decides. An instance is made when it is first asked.
pub(super) struct LabSlot<J: ?Sized> {
    chosen: Chosen,
    seed: u64,
    made: u32,
    instance: Option<Box<J>>,
    record: PolicyRecord,
    pub(super) spent: Spent,
}

impl<J: ?Sized + Sits> LabSlot<J> {
    pub(super) fn new(chosen: Chosen, seed: u64) -> Self {
        Self {
            chosen,
            seed,
            made: 0,
            instance: None,
            record: PolicyRecord::proven(0),
            spent: Spent::default(),
        }
    }

    /// Lets someone else decide from now on. The costs go on being added up.
    pub(super) fn swap(&mut self, chosen: Chosen, now: Millis) {
        self.chosen = chosen;
        self.instance = None;
        self.record = PolicyRecord::proven(now);
    }

    /// Takes the instance that is to be asked now, if there is one.
    fn take(&mut self, now: Millis) -> Option<Box<J>> {
        self.spent.decisions += 1;
        if self.record.conduct(now) == Conduct::Suspended {
            return None;
        }
        if let Some(instance) = self.instance.take() {
            return Some(instance);
        }
        self.made += 1;
        match J::of(&self.chosen, derive(self.seed, &[&self.made.to_string()])) {
            Ok(instance) => instance,
            Err(_) => {
                self.spent.faults += 1;
                self.record.note(Some(FaultKind::Trap), now);
                None
            }
        }
    }

    /// Puts an instance back after it was asked, unless it is not to be asked again. False then.
    fn put_back(
        &mut self,
        instance: Box<J>,
        fuel: u64,
        fault: Option<&Fault>,
        now: Millis,
    ) -> bool {
        self.spent.fuel += fuel;
        self.spent.faults += u64::from(fault.is_some());
        let trouble = self.record.note(fault.map(|fault| fault.kind), now);
        let has_ended = fault.is_some_and(|fault| fault.kind.ends_instance());
        let stays = trouble.is_none() && !has_ended;
        if stays {
            self.instance = Some(instance);
        }
        stays
    }

    /// Puts a question that takes one call, to `baseline` when no instance can be asked.
    pub(super) fn ask<T>(
        &mut self,
        baseline: &mut J,
        now: Millis,
        question: impl FnOnce(&mut J) -> (T, Option<Fault>),
    ) -> T {
        let Some(mut instance) = self.take(now) else {
            return question(baseline).0;
        };
        let (answer, fault) = question(&mut instance);
        let fuel = instance.last_fuel();
        self.put_back(instance, fuel, fault.as_ref(), now);
        answer
    }
}

impl LabSlot<dyn PricedEviction> {
    /// Whether a copy is cached from now on, and what goes for it.
    pub(super) fn admit(
        &mut self,
        cache: &mut Cache,
        copy: CachedCopy,
        now: Millis,
    ) -> CacheOutcome {
        self.converse(cache, now, |cache, policy| cache.admit(policy, copy, now))
    }

    /// What goes to free so many bytes for something that is not cached.
    pub(super) fn make_room(&mut self, cache: &mut Cache, bytes: u64, now: Millis) -> CacheOutcome {
        self.converse(cache, now, |cache, policy| {
            cache.make_room(policy, bytes, now)
        })
    }

    /// Lets someone else evict from now on; whoever does is handed the cache over before the first question.
    pub(super) fn swap_at(&mut self, cache: &mut Cache, chosen: Chosen, now: Millis) {
        self.swap(chosen, now);
        cache.dismiss();
    }

    fn converse(
        &mut self,
        cache: &mut Cache,
        now: Millis,
        question: impl FnOnce(&mut Cache, Option<&mut dyn Eviction>) -> CacheOutcome,
    ) -> CacheOutcome {
        let Some(mut instance) = self.take(now) else {
            return question(cache, None);
        };
        let mut metered = Metered::new(&mut *instance);
        let outcome = question(cache, Some(&mut metered));
        let fuel = metered.fuel();
        if !self.put_back(instance, fuel, outcome.fault.as_ref(), now) {
            cache.dismiss();
        }
        outcome
    }
}
