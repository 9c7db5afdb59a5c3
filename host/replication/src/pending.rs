//! Writes through this node that have not ended.

use std::collections::BTreeMap;

use dataverse_core::key::Key;
use dataverse_core::version::Version;

/// One write or deletion through this node, from before it is stamped until its outcome is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket {
    key: Key,
    number: u64,
}

impl Ticket {
    /// The file.
    #[must_use]
    pub const fn key(&self) -> &Key {
        &self.key
    }
}

/// The writes and deletions through this node whose outcome is not known yet. Each holds one
/// [`Ticket`]. Their number is bounded by the node, which admits so many requests and refuses writes while too many that
/// failed are not settled.
#[derive(Debug, Default)]
pub struct PendingWrites {
    /// The version of each, once it has one.
    by_file: BTreeMap<Key, BTreeMap<u64, Option<Version>>>,
    count: usize,
    taken: u64,
}

impl PendingWrites {
    /// Takes a ticket. To be called *before* the version is stamped: a node that asks in between is told to wait.
    pub fn enter(&mut self, key: &Key) -> Ticket {
        self.taken += 1;
        self.count += 1;
        let number = self.taken;
        self.by_file
            .entry(key.clone())
            .or_default()
            .insert(number, None);
        let key = key.clone();
        Ticket { key, number }
    }

    /// The write has this version now.
    pub fn stamped(&mut self, ticket: &Ticket, version: Version) {
        let tickets = self.by_file.get_mut(&ticket.key);
        if let Some(held) = tickets.and_then(|tickets| tickets.get_mut(&ticket.number)) {
            *held = Some(version);
        }
    }

    /// The outcome of the write is known: it is durable and this node has heard of it, or it will never be.
    pub fn leave(&mut self, ticket: &Ticket) {
        if let Some(tickets) = self.by_file.get_mut(&ticket.key) {
            self.count -= usize::from(tickets.remove(&ticket.number).is_some());
            if tickets.is_empty() {
                self.by_file.remove(&ticket.key);
            }
        }
    }

    /// Whether a write of this file, other than `own`, is pending with a lower version, or with none yet.
    #[must_use]
    pub fn any_before(&self, key: &Key, version: Version, own: Option<&Ticket>) -> bool {
        let Some(tickets) = self.by_file.get(key) else {
            return false;
        };
        tickets.iter().any(|(number, held)| {
            let is_own = own.is_some_and(|own| own.number == *number);
            !is_own && held.is_none_or(|held| held < version)
        })
    }

    /// The number of pending writes.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }
}
