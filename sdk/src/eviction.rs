//! Eviction: which cached copies make room.

use serde::de::DeserializeOwned;

use crate::{About, Millis};

/// Names one cached copy while it is cached; small and reused.
pub type Slot = u32;

/// One cached copy, or one that might become one.
///
/// Laid out as in the contract: lists of it are handed over as they lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Entry {
    /// Its slot.
    pub slot: Slot,
    /// The file's id.
    pub file: u64,
    /// Bytes; may be 0.
    pub size: u64,
    /// Hops it was fetched over: what a later miss would cost again.
    pub cost: u32,
    /// When.
    pub now: Millis,
}

/// What an eviction policy says of an incoming copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Cached from now on; these are dropped for it, coldest first.
    Admit(Vec<Slot>),
    /// Not worth caching. The slot is free at once.
    Refuse,
}

/// Decides which cached copies make room.
///
/// A slot is resident from the moment that [`admit`](EvictionPolicy::admit) says so;
/// [`removed`](EvictionPolicy::removed) follows if the fetch then fails. Victims are gone when they are
/// named. An answer names at most [`VERDICT_ENTRIES_MAX`](crate::VERDICT_ENTRIES_MAX) slots, each cached
/// now and named once, and when bytes are needed it frees some; when it frees too few,
/// [`make_room`](EvictionPolicy::make_room) follows. Anything else is a fault.
pub trait EvictionPolicy: Sized + 'static {
    /// What it can be told in `policies.toml`; [`NoConfig`](crate::NoConfig) when nothing.
    type Config: DeserializeOwned;

    /// How it introduces itself.
    fn about() -> About;

    /// A policy that knows nothing yet. `seed` is the only randomness it gets.
    ///
    /// # Errors
    /// What is wrong with the configuration, for the operator to read.
    fn new(config: Self::Config, seed: u64) -> Result<Self, String>;

    /// The byte budget, once before anything else and again whenever it changes.
    fn set_capacity(&mut self, bytes: u64);

    /// Cached without this policy's word, coldest first, in batches of at most 4096: what was there when it
    /// took over and, later, what the node admitted or kept in its stead while it was busy or at fault.
    fn restore(&mut self, entries: &[Entry]);

    /// Read again, in this order.
    fn hit(&mut self, slots: &[Slot]);

    /// May `incoming` be cached, and what goes to free `needed` bytes for it (0 when there is room)?
    fn admit(&mut self, incoming: Entry, needed: u64) -> Admission;

    /// What goes to free `needed` bytes for something else, coldest first; asked again while short.
    fn make_room(&mut self, needed: u64, now: Millis) -> Vec<Slot>;

    /// Gone for another reason: deleted, overwritten, fetch failed, made a replica.
    fn removed(&mut self, slots: &[Slot]);
}
