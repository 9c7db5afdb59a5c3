//! `Measured`: a guest whose calls are metered.

use dataverse_core::policy::{
    Admission, CacheEntry, Eviction, Fault, NodeView, Placement, PlacementRequest, Relocation,
    RelocationVerdict, RemoteRead, Slot,
};
use dataverse_core::version::Millis;
use dataverse_sandbox::{Cost, EvictionGuest, PlacementGuest, RelocationGuest};

/// Takes note of what calls cost.
pub(super) trait Meter: Send {
    /// The guest has decided.
    fn decided(&mut self, cost: Cost);

    /// The guest was told something (`hit`, `removed`, …), which is not a decision.
    fn told(&mut self, cost: Cost);
}

/// A guest whose calls are metered.
pub(super) struct Measured<G, M> {
    guest: G,
    pub(super) meter: M,
}

/// What guests of all kinds have in common.
pub(super) trait Guest {
    fn last_cost(&self) -> Cost;
}

impl<G, M> Measured<G, M> {
    pub(super) const fn new(guest: G, meter: M) -> Self {
        Self { guest, meter }
    }
}

impl<G: Guest, M: Meter> Measured<G, M> {
    fn decide<T>(&mut self, call: impl FnOnce(&mut G) -> T) -> T {
        let answer = call(&mut self.guest);
        self.meter.decided(self.guest.last_cost());
        answer
    }

    fn tell<T>(&mut self, call: impl FnOnce(&mut G) -> T) -> T {
        let answer = call(&mut self.guest);
        self.meter.told(self.guest.last_cost());
        answer
    }
}

impl Guest for PlacementGuest {
    fn last_cost(&self) -> Cost {
        self.last_cost()
    }
}

impl Guest for EvictionGuest {
    fn last_cost(&self) -> Cost {
        self.last_cost()
    }
}

impl Guest for RelocationGuest {
    fn last_cost(&self) -> Cost {
        self.last_cost()
    }
}

impl<M: Meter> Placement for Measured<PlacementGuest, M> {
    fn place(
        &mut self,
        request: &PlacementRequest,
        candidates: &[NodeView],
    ) -> Result<Vec<u32>, Fault> {
        self.decide(|guest| guest.place(request, candidates))
    }
}

impl<M: Meter> Eviction for Measured<EvictionGuest, M> {
    fn set_capacity(&mut self, bytes: u64) -> Result<(), Fault> {
        self.tell(|guest| guest.set_capacity(bytes))
    }

    fn restore(&mut self, entries: &[CacheEntry]) -> Result<(), Fault> {
        self.tell(|guest| guest.restore(entries))
    }

    fn hit(&mut self, slots: &[Slot]) -> Result<(), Fault> {
        self.tell(|guest| guest.hit(slots))
    }

    fn admit(&mut self, incoming: CacheEntry, needed: u64) -> Result<Admission, Fault> {
        self.decide(|guest| guest.admit(incoming, needed))
    }

    fn make_room(&mut self, needed: u64, now: Millis) -> Result<Vec<Slot>, Fault> {
        self.decide(|guest| guest.make_room(needed, now))
    }

    fn removed(&mut self, slots: &[Slot]) -> Result<(), Fault> {
        self.tell(|guest| guest.removed(slots))
    }
}

impl<M: Meter> Relocation for Measured<RelocationGuest, M> {
    fn on_read(&mut self, read: &RemoteRead) -> Result<RelocationVerdict, Fault> {
        self.decide(|guest| guest.on_read(read))
    }
}
