//! Data structures for eviction policies, indexed by slot and bounded in memory.
//!
//! [`SlotMap`] holds a value per slot. [`Queues`] are first-in-first-out or least-recently-used orders over slots
//! in which every operation takes constant time. [`Ghosts`] remember evicted files, and [`Victims`] collects one
//! verdict. None of them depends on random state: the same calls give the same results on every machine.
//!
//! A guest has 64 MiB of memory. A million copies in [`Queues`] take 24 MiB, or 32 MiB with a file id each.

mod ghosts;
mod map;
mod queues;
mod victims;

pub use ghosts::{GHOSTS_MAX, Ghosts};
pub use map::SlotMap;
pub use queues::{Queued, Queues};
pub use victims::Victims;

/// This share of `bytes`, rounded down.
#[must_use]
pub fn share(bytes: u64, ratio: f64) -> u64 {
    (bytes as f64 * ratio) as u64
}
