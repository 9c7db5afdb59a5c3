//! `Victims`: collects the victims of one verdict.

use crate::{Slot, VERDICT_ENTRIES_MAX};

/// The slots that one verdict names, and the bytes that they free.
///
/// ```
/// let mut oldest_first = [(7, 60), (8, 60), (9, 60)].into_iter();
/// let victims = dataverse_sdk::slots::Victims::gather(100, || oldest_first.next());
/// assert_eq!(victims.into_slots(), [7, 8]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Victims {
    needed: u64,
    freed: u64,
    slots: Vec<Slot>,
}

impl Victims {
    /// No victims yet; `needed` bytes must be freed.
    #[must_use]
    pub const fn new(needed: u64) -> Self {
        Self {
            needed,
            freed: 0,
            slots: Vec::new(),
        }
    }

    /// Adds what `next` yields, a slot and its bytes each time, until enough is freed.
    #[must_use]
    pub fn gather(needed: u64, mut next: impl FnMut() -> Option<(Slot, u64)>) -> Self {
        let mut victims = Self::new(needed);
        while victims.short()
            && let Some((slot, size)) = next()
        {
            victims.name(slot, size);
        }
        victims
    }

    /// Whether more victims are needed and allowed: too few bytes are freed, and the verdict is not full.
    #[must_use]
    pub const fn short(&self) -> bool {
        self.freed < self.needed && self.slots.len() < VERDICT_ENTRIES_MAX
    }

    /// Adds a slot, which the policy must have forgotten already.
    ///
    /// A verdict that frees nothing is a fault, so its last place is reserved for a copy with bytes. An empty copy
    /// that would take that place is silently skipped: it stays cached, at no cost, and the policy no longer knows
    /// it.
    pub fn name(&mut self, slot: Slot, size: u64) {
        let last = self.slots.len() + 1 == VERDICT_ENTRIES_MAX;
        if size > 0 || self.freed > 0 || !last {
            if self.slots.is_empty() {
                // Most verdicts name one slot. With capacity for exactly one, the list need not be shrunk
                // afterwards.
                self.slots.reserve_exact(1);
            }
            self.slots.push(slot);
            self.freed = self.freed.saturating_add(size);
        }
    }

    /// The slots, in the order in which they were named.
    #[must_use]
    pub fn into_slots(self) -> Vec<Slot> {
        self.slots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_named_when_nothing_is_needed() {
        let victims = Victims::gather(0, || Some((1, 1)));
        assert!(victims.into_slots().is_empty());
    }

    #[test]
    fn a_verdict_has_an_end() {
        let mut slots = 0..;
        let victims = Victims::gather(u64::MAX, || Some((slots.next()?, 1)));
        assert_eq!(victims.into_slots().len(), VERDICT_ENTRIES_MAX);
    }

    #[test]
    fn empty_copies_never_take_every_place() {
        let mut copies = (0..10_000).map(|slot| (slot, u64::from(slot == 9_999)));
        let slots = Victims::gather(1, || copies.next()).into_slots();
        assert_eq!(slots.len(), VERDICT_ENTRIES_MAX);
        assert_eq!(slots.last(), Some(&9_999));
    }
}
