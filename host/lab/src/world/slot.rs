//! `LabSlot`: the policy slot of one kind at one simulated node.
//!
//! It does what the live driver's slot does, without its threads: the baseline answers after a fault, which is
//! noted; an instance that can't be asked again is replaced; a policy that fails too often is suspended for a
//! while. There is no probation, because a study wants to see what a bad policy does.

use dataverse_core::cache::{Cache, CacheOutcome, CachedCopy};
use dataverse_core::policy::{Conduct, Eviction, Fault, FaultKind, PolicyRecord};
use dataverse_core::version::Millis;
use dataverse_sandbox::Refusal;

use crate::library::{Chosen, Priced, PricedEviction, PricedPlacement, PricedRelocation};
use crate::metered::Metered;
use crate::seed::derive;

/// The decisions of a slot and their cost.
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

/// A kind of policy instance for a slot.
pub(super) trait SlotInstance: Priced {
    /// An instance of what was chosen; none if the baseline is to answer.
    fn of(chosen: &Chosen, seed: u64) -> Result<Option<Box<Self>>, Refusal>;
}

impl SlotInstance for dyn PricedPlacement {
    fn of(chosen: &Chosen, seed: u64) -> Result<Option<Box<Self>>, Refusal> {
        chosen.placement(seed).map(Some)
    }
}

impl SlotInstance for dyn PricedRelocation {
    fn of(chosen: &Chosen, seed: u64) -> Result<Option<Box<Self>>, Refusal> {
        chosen.relocation(seed).map(Some)
    }
}

impl SlotInstance for dyn PricedEviction {
    fn of(chosen: &Chosen, seed: u64) -> Result<Option<Box<Self>>, Refusal> {
        let guest = chosen.eviction(seed)?;
        Ok(guest.map(|guest| -> Box<Self> { Box::new(guest) }))
    }
}

/// A policy slot. The instance is created at the first question.
pub(super) struct LabSlot<J: ?Sized> {
    chosen: Chosen,
    seed: u64,
    made: u32,
    instance: Option<Box<J>>,
    record: PolicyRecord,
    pub(super) spent: Spent,
}

impl<J: ?Sized + SlotInstance> LabSlot<J> {
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

    /// Swaps the policy. The costs keep adding up.
    pub(super) fn swap(&mut self, chosen: Chosen, now: Millis) {
        self.chosen = chosen;
        self.instance = None;
        self.record = PolicyRecord::proven(now);
    }

    /// Takes the instance to ask now, if there is one.
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

    /// Puts an instance back after a question. Returns false and drops it if it must not be asked again.
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

    /// Asks a question that takes one call; `baseline` answers it if no instance can be asked.
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
    /// Whether to cache a copy, and what to evict for it.
    pub(super) fn admit(
        &mut self,
        cache: &mut Cache,
        copy: CachedCopy,
        now: Millis,
    ) -> CacheOutcome {
        self.converse(cache, now, |cache, policy| cache.admit(policy, copy, now))
    }

    /// What to evict to free `bytes` for something that is not cached.
    pub(super) fn make_room(&mut self, cache: &mut Cache, bytes: u64, now: Millis) -> CacheOutcome {
        self.converse(cache, now, |cache, policy| {
            cache.make_room(policy, bytes, now)
        })
    }

    /// Swaps the eviction policy; the new one is handed the state of the cache before the first question.
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
