//! Nodes that lie. Each is the real node, and what it sends is changed on the way out.
//!
//! `bytes` flips bits in content, `forging` announces records that do not exist, `hiding` says nothing of pending
//! writes. In the networks of [`LIARS_FROM`](crate::profile::LIARS_FROM) one member lies in every kind of message:
//! `liar` is that member, `outgoing` what it asks of others, [`Subject`] what it lies about, and each subject has a
//! file of its own. `inventions` are the records that it makes up.
//!
//! Some lies are left out, because no node could see through them (docs/decisions/0020): an order to commit; a
//! tombstone that the liar wrote, or that names it as a holder. Packets of the membership protocol are not lied in:
//! they are opaque here, and no file depends on them.

pub mod bytes;
mod clocks;
mod confirmations;
mod digests;
mod floors;
pub mod forging;
pub mod hiding;
mod holdings;
mod inventions;
pub mod liar;
mod neighbours;
pub mod outgoing;

use crate::chance::Chance;

/// What a member lies about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Which files it holds, in which role and version, which deletions, and whether a write is pending.
    Holdings,
    /// Which versions and deletions it has heard of.
    Floors,
    /// Its neighbours and their addresses.
    Neighbours,
    /// What comparisons say: roots, sums, entries, records, filters.
    Digests,
    /// The time on its clock.
    Clocks,
    /// That it stored something, or will do something, and did not.
    Confirmations,
}

impl Subject {
    const ALL: [Self; 6] = [
        Self::Holdings,
        Self::Floors,
        Self::Neighbours,
        Self::Digests,
        Self::Clocks,
        Self::Confirmations,
    ];

    /// At least one subject, often several.
    pub(crate) fn some(chance: &mut Chance) -> Vec<Self> {
        let first = *chance.pick(&Self::ALL);
        let mut joins = |it: &Self| *it == first || chance.permille(300);
        Self::ALL.into_iter().filter(|it| joins(it)).collect()
    }
}
