//! `Metered`: wraps an eviction policy during one decision, which may take several calls, and adds up their fuel.

use dataverse_core::policy::{Admission, CacheEntry, Eviction, Fault, Slot};
use dataverse_core::version::Millis;

use crate::library::PricedEviction;

pub(crate) struct Metered<'a, J: ?Sized> {
    policy: &'a mut J,
    fuel: u64,
}

impl<'a, J: ?Sized + PricedEviction> Metered<'a, J> {
    pub(crate) fn new(policy: &'a mut J) -> Self {
        Self { policy, fuel: 0 }
    }

    /// Fuel of all calls so far.
    pub(crate) fn fuel(&self) -> u64 {
        self.fuel
    }

    fn call<T>(&mut self, call: impl FnOnce(&mut J) -> Result<T, Fault>) -> Result<T, Fault> {
        let answer = call(self.policy);
        self.fuel += self.policy.last_fuel();
        answer
    }
}

impl<J: ?Sized + PricedEviction> Eviction for Metered<'_, J> {
    fn set_capacity(&mut self, bytes: u64) -> Result<(), Fault> {
        self.call(|policy| policy.set_capacity(bytes))
    }

    fn restore(&mut self, entries: &[CacheEntry]) -> Result<(), Fault> {
        self.call(|policy| policy.restore(entries))
    }

    fn hit(&mut self, slots: &[Slot]) -> Result<(), Fault> {
        self.call(|policy| policy.hit(slots))
    }

    fn admit(&mut self, incoming: CacheEntry, needed: u64) -> Result<Admission, Fault> {
        self.call(|policy| policy.admit(incoming, needed))
    }

    fn make_room(&mut self, needed: u64, now: Millis) -> Result<Vec<Slot>, Fault> {
        self.call(|policy| policy.make_room(needed, now))
    }

    fn removed(&mut self, slots: &[Slot]) -> Result<(), Fault> {
        self.call(|policy| policy.removed(slots))
    }
}
