//! `EvictionGuest`: an eviction policy in the sandbox.
//!
//! The port that is called most: what can be resolved beforehand is, and a call allocates nothing but its
//! answer.

use dataverse_core::policy::{Admission, CacheEntry, Eviction, Fault, Slot};
use dataverse_core::version::Millis;
use wasmtime::component::{Func, TypedFunc};

use crate::contract::{self, Entry};
use crate::instance::{About, Cost, Instance};
use crate::program::Program;
use crate::refusal::Refusal;

/// One instance of an eviction policy.
pub struct EvictionGuest {
    instance: Instance,
    set_capacity: TypedFunc<(u64,), ()>,
    restore: Func,
    hit: Func,
    admit: TypedFunc<(Entry, u64), (contract::Admission,)>,
    make_room: TypedFunc<(u64, u64), (Vec<u32>,)>,
    removed: Func,
    /// The batch under way in the types of the contract; kept for its memory.
    batch: Vec<Entry>,
}

impl EvictionGuest {
    pub(crate) fn new(mut instance: Instance) -> Result<Self, Refusal> {
        let mut function = |name| instance.function(contract::EVICTION, name);
        let (set_capacity, restore) = (function("set-capacity")?, function("restore")?);
        let (hit, admit) = (function("hit")?, function("admit")?);
        let (make_room, removed) = (function("make-room")?, function("removed")?);
        instance.typed::<(&[Entry],), ()>(restore, "restore")?;
        instance.typed::<(&[u32],), ()>(hit, "hit")?;
        instance.typed::<(&[u32],), ()>(removed, "removed")?;
        Ok(Self {
            set_capacity: instance.typed(set_capacity, "set-capacity")?,
            admit: instance.typed(admit, "admit")?,
            make_room: instance.typed(make_room, "make-room")?,
            instance,
            restore,
            hit,
            removed,
            batch: Vec::new(),
        })
    }

    /// How the policy introduced itself.
    #[must_use]
    pub fn about(&self) -> &About {
        self.instance.about()
    }

    /// What the last call took.
    #[must_use]
    pub fn last_cost(&self) -> Cost {
        self.instance.last_cost()
    }

    /// What it is an instance of.
    #[must_use]
    pub fn program(&self) -> &Program {
        self.instance.program()
    }

    fn tell(&mut self, function: Func, slots: &[Slot]) -> Result<(), Fault> {
        self.instance.call(|store| {
            // Types that borrow can't be kept, so they are compared again; one list is soon compared.
            let function = function.typed::<(&[u32],), ()>(&*store)?;
            function.call(store, (slots,))
        })
    }
}

impl Eviction for EvictionGuest {
    fn set_capacity(&mut self, bytes: u64) -> Result<(), Fault> {
        let set_capacity = &self.set_capacity;
        self.instance
            .call(|store| set_capacity.call(store, (bytes,)))
    }

    fn restore(&mut self, entries: &[CacheEntry]) -> Result<(), Fault> {
        self.batch.clear();
        self.batch.extend(entries.iter().map(Entry::from));
        let (restore, batch) = (self.restore, self.batch.as_slice());
        self.instance.call(|store| {
            let restore = restore.typed::<(&[Entry],), ()>(&*store)?;
            restore.call(store, (batch,))
        })
    }

    fn hit(&mut self, slots: &[Slot]) -> Result<(), Fault> {
        self.tell(self.hit, slots)
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
        self.tell(self.removed, slots)
    }
}
