//! Eviction: which cached copies are evicted.

use serde::de::DeserializeOwned;

use crate::{About, Millis};

/// Identifies a cached copy while it is cached; small and reused.
pub type Slot = u32;

/// A cached copy, or one that might be cached.
// Laid out as in the contract, because lists of it are passed to a guest without conversion.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its slot.
    pub slot: Slot,
    /// The file's id.
    pub file: u64,
    /// Bytes; may be 0.
    pub size: u64,
    /// Hops over which it was fetched: the cost of a later miss.
    pub cost: u32,
    /// The time of the event.
    pub now: Millis,
}

/// An eviction policy's answer about an incoming copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Cache it, and evict these for it, in this order.
    Admit(Vec<Slot>),
    /// Do not cache it. Its slot is free immediately.
    Refuse,
}

/// Decides which cached copies are evicted.
///
/// A slot is resident as soon as [`admit`](EvictionPolicy::admit) admits its copy;
/// [`removed`](EvictionPolicy::removed) follows if the fetch then fails. Victims are gone as soon as they are
/// named. An answer names at most [`VERDICT_ENTRIES_MAX`](crate::VERDICT_ENTRIES_MAX) slots, each cached now and
/// named once. If bytes are needed, it must free some; if it frees too few,
/// [`make_room`](EvictionPolicy::make_room) follows. Anything else is a fault.
pub trait EvictionPolicy: Sized + 'static {
    /// Its configuration in `policies.toml`; [`NoConfig`](crate::NoConfig) for none.
    type Config: DeserializeOwned;

    /// Its description of itself.
    fn about() -> About;

    /// Creates a policy that knows nothing yet. `seed` is its only source of randomness.
    ///
    /// # Errors
    /// What is wrong with the configuration, as a message for the operator.
    fn new(config: Self::Config, seed: u64) -> Result<Self, String>;

    /// Sets the budget in bytes: once before any other call, and again whenever it changes.
    fn set_capacity(&mut self, bytes: u64);

    /// These copies were cached without a decision of this policy, least recently used first, in batches of at
    /// most 4096: copies that existed when it took over and, later, copies that the node admitted or kept while
    /// the policy was busy or at fault.
    fn restore(&mut self, entries: &[Entry]);

    /// These copies were read, in this order.
    fn hit(&mut self, slots: &[Slot]);

    /// May `incoming` be cached, and which copies are evicted to free `needed` bytes for it (0 when there is
    /// enough space)?
    fn admit(&mut self, incoming: Entry, needed: u64) -> Admission;

    /// Which copies are evicted to free `needed` bytes for something else, coldest first? Asked again while that
    /// is not enough.
    fn make_room(&mut self, needed: u64, now: Millis) -> Vec<Slot>;

    /// These copies are gone for another reason: deleted, overwritten, their fetch failed, or they became
    /// replicas.
    fn removed(&mut self, slots: &[Slot]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_lies_in_memory_as_the_contract_says() {
        // The canonical ABI: each field at the next multiple of its size, in the order of the record.
        let offsets = [
            std::mem::offset_of!(Entry, slot),
            std::mem::offset_of!(Entry, file),
            std::mem::offset_of!(Entry, size),
            std::mem::offset_of!(Entry, cost),
            std::mem::offset_of!(Entry, now),
        ];
        assert_eq!(offsets, [0, 8, 16, 24, 32]);
        assert_eq!(size_of::<Entry>(), 40);
    }
}
