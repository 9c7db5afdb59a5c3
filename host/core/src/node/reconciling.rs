//! What a node decides when it compares its holdings with another node's, and which of its own copies are
//! *unverified*.
//!
//! The comparison pages through the holdings, so that the lock is never held for all of them. An unverified copy
//! is neither offered nor counted until it is trusted again: see docs/decisions/0013.

use std::sync::Arc;

use crate::filter::Filter;
use crate::floors::Heard;
use crate::holdings::{Holding, Page, Role};
use crate::id::{FileId, NodeId};
use crate::key::Key;
use crate::node::Node;
use crate::reconcile::{BucketRange, Comparison, DigestEntry, Summary};
use crate::record::Record;
use crate::version::{Millis, Version};

/// How a record held by another node compares with this node's holdings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Weighed {
    /// The same record is held here.
    Same,
    /// It is greater than what this node holds, or, if it holds none, than everything it has heard of.
    Greater,
    /// This greater record is held here.
    Less(Arc<Record>),
    /// This node should hold it as a replica and does not.
    Lacking,
    /// It has no consequence: it is old, or the copy held here is unverified.
    Nothing,
}

/// A holding of this node with its digest entry.
pub type Listed = (DigestEntry, Arc<Record>);

impl Node {
    /// The digests of the replicas shared with this node.
    #[must_use]
    pub fn shared_with(&self, other: NodeId) -> Summary {
        self.shared.with(other).cloned().unwrap_or_default()
    }

    /// The root over the replicas shared with this node.
    #[must_use]
    pub fn shared_root(&self, other: NodeId) -> u128 {
        let shared = self.shared.with(other).map(Summary::root);
        shared.unwrap_or_else(|| Summary::default().root())
    }

    /// The nodes with which any replica is shared.
    pub fn sharing(&self) -> Vec<NodeId> {
        self.shared.nodes().collect()
    }

    /// How often the index has changed.
    #[must_use]
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    /// The number of files held, tombstones included.
    #[must_use]
    pub fn held(&self) -> usize {
        self.holdings.len()
    }

    /// Looks up the entries of a comparison, and compares the next page of its range. Returns where the next page
    /// starts; `None` at the end.
    ///
    /// Unverified copies are neither sent nor reported missing. Those that the other node holds in the same
    /// version and layout are added to `confirmed`.
    pub fn compare(
        &self,
        comparison: &mut Comparison,
        confirmed: &mut Vec<(Key, Version)>,
        after: Option<FileId>,
    ) -> Option<FileId> {
        for (file, fingerprint) in comparison.take_entries() {
            let unverified = self.unverified.contains(&file);
            let mut is_held = false;
            for holding in self.holdings.of_file(file) {
                is_held = true;
                let record = &holding.record;
                let same = DigestEntry::of(record).fingerprint == fingerprint;
                if unverified && same {
                    confirmed.push((record.key.clone(), record.version));
                } else if !unverified && !same {
                    comparison.tell(file, record);
                }
            }
            comparison.looked_up(file, is_held);
        }
        let range = comparison.range.clone()?;
        self.holdings.visit_range(&range, after, |file, holding| {
            let is_shared = self.shares(holding, comparison.asker);
            if is_shared && !comparison.has_met(file) {
                comparison.tell(file, &holding.record);
            }
        })
    }

    /// Lists the digest entries of what is shared with `other` in this range, in the next page of the holdings.
    pub fn list_shared(
        &self,
        other: NodeId,
        range: &BucketRange,
        listed: &mut Vec<Listed>,
        after: Option<FileId>,
    ) -> Option<FileId> {
        self.holdings.visit_range(range, after, |_, holding| {
            if self.shares(holding, other) {
                let record = &holding.record;
                listed.push((DigestEntry::of(record), Arc::clone(record)));
            }
        })
    }

    /// Lists the digest entries of what is held here and in `other`'s filter, though not shared with `other`, in
    /// the next page of the holdings.
    pub fn mark_met(
        &self,
        other: NodeId,
        filter: &Filter,
        listed: &mut Vec<Listed>,
        after: Option<FileId>,
    ) -> Option<FileId> {
        self.holdings.visit_files(after, |file, holding| {
            let record = &holding.record;
            let met = !record.deleted && filter.may_have(file) && !self.unverified.contains(&file);
            if met && !self.shares(holding, other) {
                listed.push((DigestEntry::of(record), Arc::clone(record)));
            }
        })
    }

    /// Adds the replicas and tombstones of the next page to a filter.
    pub fn filter(&self, filter: &mut Filter, after: Option<FileId>) -> Option<FileId> {
        self.holdings.visit_files(after, |file, holding| {
            if holding.role == Role::Replica || holding.record.deleted {
                filter.put(file);
            }
        })
    }

    /// Compares a record held by another node with this node's holdings.
    #[must_use]
    pub fn weigh(&self, record: &Record) -> Weighed {
        let order = |record: &Record| {
            let layout = &record.layout;
            (record.version, layout.counter, layout.author)
        };
        let Some(held) = self.holdings.find(&record.key) else {
            return self.weigh_unheld(record);
        };
        let names_me = record.layout.names(self.id) && !record.deleted;
        match order(record).cmp(&order(&held.record)) {
            std::cmp::Ordering::Greater => Weighed::Greater,
            std::cmp::Ordering::Equal if names_me && held.role == Role::Cached => Weighed::Lacking,
            std::cmp::Ordering::Equal => Weighed::Same,
            std::cmp::Ordering::Less if self.is_unverified(&record.key) => Weighed::Nothing,
            std::cmp::Ordering::Less => Weighed::Less(Arc::clone(&held.record)),
        }
    }

    fn weigh_unheld(&self, record: &Record) -> Weighed {
        let file = record.key.file_id();
        let (heard, confirmed) = (self.floors.of(file), self.floors.confirmed(file));
        if confirmed.is_some_and(|floor| floor.version > record.version) {
            Weighed::Nothing
        } else if !record.deleted && record.layout.names(self.id) {
            Weighed::Lacking
        } else if heard.is_none_or(|heard| heard.and(Heard::of(record)) != heard) {
            Weighed::Greater
        } else {
            Weighed::Nothing
        }
    }

    /// Tombstones in the next page that were stored here at or before `put_by`, in running time of the node.
    #[must_use]
    pub fn tombstones_by(&self, put_by: Millis, after: Option<&Key>) -> Page<(Key, Version)> {
        self.holdings.page(after, |holding| {
            let record = &holding.record;
            let is_due = record.deleted && holding.verified <= put_by;
            is_due.then(|| (record.key.clone(), record.version))
        })
    }

    /// Marks every copy held now as unverified: the node was away for so long that others may have deleted files
    /// in the meantime and forgotten the deletions.
    pub fn distrust_everything(&mut self) {
        let copies = self.holdings.iter();
        let copies = copies.filter(|holding| !holding.record.deleted);
        self.unverified = copies.map(|holding| holding.record.key.file_id()).collect();
        self.shared.clear();
    }

    /// Whether the copy of this file is unverified.
    #[must_use]
    pub fn is_unverified(&self, key: &Key) -> bool {
        !self.unverified.is_empty() && self.unverified.contains(&key.file_id())
    }

    /// The number of unverified copies.
    #[must_use]
    pub fn unverified(&self) -> usize {
        self.unverified.len()
    }

    /// The unverified copies in the next page.
    #[must_use]
    pub fn unverified_page(&self, after: Option<&Key>) -> Page<Arc<Record>> {
        self.holdings.page(after, |holding| {
            let unverified = self.is_unverified(&holding.record.key);
            unverified.then(|| Arc::clone(&holding.record))
        })
    }

    /// Marks the copy of this version as verified: the version was found elsewhere, or no node knows of anything
    /// newer.
    pub fn trust(&mut self, key: &Key, version: Version) {
        let held = self.holdings.find(key);
        let Some(held) = held.filter(|held| held.record.version == version) else {
            return;
        };
        if self.unverified.remove(&key.file_id()) && is_summed(held) {
            self.shared.add(self.id, &held.record);
        }
    }

    /// Adds a holding to the digests.
    pub(super) fn sum_up(&mut self, holding: &Holding) {
        if is_summed(holding) {
            self.shared.add(self.id, &holding.record);
        }
    }

    /// Updates the digests and the set of unverified copies after a change of the index.
    pub(super) fn recount(&mut self, key: &Key, after: Option<&Holding>) {
        let file = key.file_id();
        let unverified = self.unverified.contains(&file);
        let before = self.holdings.find(key);
        if let Some(before) = before.filter(|before| is_summed(before) && !unverified) {
            self.shared.take(self.id, &before.record);
        }
        // A different record came from another node just now, so what happened while this node was away no longer
        // matters.
        let record = |holding: &Holding| Arc::clone(&holding.record);
        let same = before.map(record) == after.map(record);
        if !same {
            self.unverified.remove(&file);
        }
        if let Some(after) = after.filter(|_| !(unverified && same)) {
            self.sum_up(after);
        }
    }

    /// Whether a holding counts as shared with `other`.
    fn shares(&self, holding: &Holding, other: NodeId) -> bool {
        let record = &holding.record;
        is_summed(holding)
            && record.layout.names(self.id)
            && record.layout.names(other)
            && !self.is_unverified(&record.key)
    }
}

/// Only live replicas are counted: two nodes that forget a tombstone at different times do not differ.
fn is_summed(holding: &Holding) -> bool {
    holding.role == Role::Replica && !holding.record.deleted
}

#[cfg(test)]
mod tests;
