//! `EvictionGuest`: an eviction policy in the sandbox.
//!
//! This port is called most often. Its functions are resolved once, and a call allocates nothing but its answer.

use std::sync::Arc;

use dataverse_core::policy::{Admission, CacheEntry, Eviction, Fault, Slot};
use dataverse_core::version::Millis;
use wasmtime::component::TypedFunc;

use crate::contract::{self, Entry, Reused};
use crate::instance::{About, Cost, Instance};
use crate::refusal::Refusal;

type Tell<T> = TypedFunc<(Arc<Vec<T>>,), ()>;

/// One instance of an eviction policy.
pub struct EvictionGuest {
    instance: Instance,
    set_capacity: TypedFunc<(u64,), ()>,
    restore: Tell<Entry>,
    hit: Tell<Slot>,
    admit: TypedFunc<(Entry, u64), (contract::Admission,)>,
    make_room: TypedFunc<(u64, u64), (Vec<u32>,)>,
    removed: Tell<Slot>,
    entries: Reused<Vec<Entry>>,
    slots: Reused<Vec<Slot>>,
}

impl EvictionGuest {
    pub(crate) fn new(mut instance: Instance) -> Result<Self, Refusal> {
        let mut function = |name| instance.function(contract::EVICTION, name);
        let (set_capacity, restore) = (function("set-capacity")?, function("restore")?);
        let (hit, admit) = (function("hit")?, function("admit")?);
        let (make_room, removed) = (function("make-room")?, function("removed")?);
        Ok(Self {
            set_capacity: instance.typed(set_capacity, "set-capacity")?,
            restore: instance.typed(restore, "restore")?,
            hit: instance.typed(hit, "hit")?,
            admit: instance.typed(admit, "admit")?,
            make_room: instance.typed(make_room, "make-room")?,
            removed: instance.typed(removed, "removed")?,
            instance,
            entries: Reused::default(),
            slots: Reused::default(),
        })
    }

    /// The policy's description of itself.
    #[must_use]
    pub fn about(&self) -> &About {
        self.instance.about()
    }

    /// The cost of the last call.
    #[must_use]
    pub fn last_cost(&self) -> Cost {
        self.instance.last_cost()
    }

    /// The same instance without timing its calls, for callers that ask millions of questions and need only the
    /// fuel. The time limit still applies.
    #[must_use]
    pub fn untimed(mut self) -> Self {
        self.instance.stop_timing();
        self
    }
}

impl Eviction for EvictionGuest {
    fn set_capacity(&mut self, bytes: u64) -> Result<(), Fault> {
        let set_capacity = &self.set_capacity;
        self.instance
            .call(|store| set_capacity.call(store, (bytes,)))
    }

    fn restore(&mut self, entries: &[CacheEntry]) -> Result<(), Fault> {
        let entries = self.entries.overwrite(|kept| {
            kept.clear();
            kept.extend(entries.iter().map(Entry::from));
        });
        let restore = &self.restore;
        self.instance.call(|store| restore.call(store, (entries,)))
    }

    fn hit(&mut self, slots: &[Slot]) -> Result<(), Fault> {
        let slots = overwritten(&mut self.slots, slots);
        let hit = &self.hit;
        self.instance.call(|store| hit.call(store, (slots,)))
    }

    fn admit(&mut self, incoming: CacheEntry, needed: u64) -> Result<Admission, Fault> {
        let admit = &self.admit;
        let arguments = (Entry::from(&incoming), needed);
        let (admission,) = self.instance.call(|store| admit.call(store, arguments))?;
        match admission {
            contract::Admission::Admit(victims) => {
                self.instance.bounded(victims).map(Admission::Admit)
            }
            contract::Admission::Refuse => Ok(Admission::Refuse),
        }
    }

    fn make_room(&mut self, needed: u64, now: Millis) -> Result<Vec<Slot>, Fault> {
        let make_room = &self.make_room;
        let (victims,) = self
            .instance
            .call(|store| make_room.call(store, (needed, now)))?;
        self.instance.bounded(victims)
    }

    fn removed(&mut self, slots: &[Slot]) -> Result<(), Fault> {
        let slots = overwritten(&mut self.slots, slots);
        let removed = &self.removed;
        self.instance.call(|store| removed.call(store, (slots,)))
    }
}

fn overwritten(kept: &mut Reused<Vec<Slot>>, slots: &[Slot]) -> Arc<Vec<Slot>> {
    kept.overwrite(|kept| {
        kept.clear();
        kept.extend_from_slice(slots);
    })
}
