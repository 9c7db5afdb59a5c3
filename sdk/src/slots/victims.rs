//! `Victims`: one verdict on what makes room.

use crate::{Slot, VERDICT_ENTRIES_MAX};

/// The slots that one verdict names, and what they free.
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
    /// None yet, and so many bytes to be freed.
    #[must_use]
    pub const fn new(needed: u64) -> Self {
        Self {
            needed,
            freed: 0,
            slots: Vec::new(),
        }
    }

    /// Names what `next` yields, a slot and its bytes each time, until enough is freed.
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

    /// Whether more must be named: too few bytes are freed, and the verdict has room.
    #[must_use]
    pub const fn short(&self) -> bool {
        self.freed < self.needed && self.slots.len() < VERDICT_ENTRIES_MAX
    }

    /// Names a slot, which the policy has forgotten.
    ///
    /// A verdict that frees nothing is a fault, so its last place is kept for a copy with bytes. An empty copy
    /// that would take it is passed over in silence: it stays cached, at no cost, and is no longer known.
    pub fn name(&mut self, slot: Slot, size: u64) {
        let last = self.slots.len() + 1 == VERDICT_ENTRIES_MAX;
        if size > 0 || self.freed > 0 || !last {
            if self.slots.is_empty() {
                // Most verdicts name one. With room for just that, nothing need be given back on the way out.
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
