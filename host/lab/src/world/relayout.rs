//! Replicas that change nodes: re-replication after a failure, draining a node that leaves, and moves towards a
//! reader.
//!
//! All three follow the same steps: copy the content, make the next layout durable on its holders, announce it;
//! nodes that it no longer names release their replicas, as the core decides.

use std::sync::Arc;

use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::record::Record;
use dataverse_core::version::Stamp;

use super::simulation::SimulatedNetwork;

impl SimulatedNetwork<'_> {
    /// The holder's replica moves to a node that has none.
    pub(super) fn move_replica(&mut self, file: u32, from: u32, to: u32) {
        let Some(record) = self.replica_at(from, file) else {
            return;
        };
        let (from_id, to_id) = (self.sites[from as usize].id, self.sites[to as usize].id);
        // A layout counts only once all its holders have made it durable, so all must be up.
        let search_plan = self.search_plan(from);
        let is_there = |id: &NodeId| search_plan.hops(self.by_id[id]).is_some();
        if record.layout.names(to_id) || !record.layout.holders.iter().all(is_there) {
            return;
        }
        let now = self.now();
        if !self.sites[to as usize].holds(&record) {
            let Ok(victims) = self.site(to).make_room(record.size, now) else {
                return;
            };
            self.note_victims(to, &victims);
        }
        let holders = record.layout.holders.iter();
        let holders = holders
            .map(|&id| if id == from_id { to_id } else { id })
            .collect();
        self.tally.counts.moves += 1;
        self.tally.counts.relocated_bytes += self.relayout(file, from, &record, holders);
    }

    /// Re-replicates the files of a failed node: for each file, the first holder in the layout that is up does it.
    pub(super) fn repair(&mut self, gone: u32) {
        let gone_id = self.sites[gone as usize].id;
        for file in 0..self.files.len() as u32 {
            let known = &self.files[file as usize];
            let Some(record) = known.record.clone().filter(|_| known.exists()) else {
                continue;
            };
            if record.layout.names(gone_id) {
                let holders = record.layout.holders.iter().map(|id| self.by_id[id]);
                let first = holders.into_iter().find(|&holder| {
                    self.routes.is_alive(holder) && self.sites[holder as usize].holds(&record)
                });
                if let Some(first) = first {
                    self.spread(file, first, None);
                }
            }
        }
    }

    /// Moves a node's replicas to others before it leaves.
    pub(super) fn drain(&mut self, leaving: u32) {
        for file in 0..self.files.len() as u32 {
            self.spread(file, leaving, Some(leaving));
        }
    }

    /// Restores the factor of a file of which `author` holds a replica, on reachable nodes other than `without`.
    fn spread(&mut self, file: u32, author: u32, without: Option<u32>) {
        let Some(record) = self.replica_at(author, file) else {
            return;
        };
        let search_plan = self.search_plan(author);
        let stays = |id: &&NodeId| {
            let holder = self.by_id[*id];
            let is_there =
                search_plan.hops(holder).is_some() && self.sites[holder as usize].holds(&record);
            is_there && Some(holder) != without
        };
        let first: Vec<NodeId> = record
            .layout
            .holders
            .iter()
            .filter(stays)
            .copied()
            .collect();
        let ranked = self.place(author, file, record.size, &first, without);
        let holders = self.accepting(None, Some(&record), &ranked, record.size);
        let holders: Vec<NodeId> = holders
            .iter()
            .map(|&it| self.sites[it as usize].id)
            .collect();
        let gains = holders.iter().any(|id| !record.layout.names(*id));
        // If no node has space, the layout stays: a node that returns is still named in it.
        if gains || (without.is_some() && !holders.is_empty()) {
            self.tally.counts.repaired_bytes += self.relayout(file, author, &record, holders);
        }
    }

    /// The record of a replica that a node holds.
    fn replica_at(&self, node: u32, file: u32) -> Option<Arc<Record>> {
        let held = self.sites[node as usize]
            .core
            .holding(&self.files[file as usize].key)?;
        let is_replica = held.role == Role::Replica && !held.record.deleted;
        is_replica.then(|| Arc::clone(&held.record))
    }

    /// Copies, makes the next layout durable and announces it. Returns the number of copied bytes.
    fn relayout(
        &mut self,
        file: u32,
        author: u32,
        record: &Arc<Record>,
        holders: Vec<NodeId>,
    ) -> u64 {
        let now = self.now();
        let author_core = &self.sites[author as usize].core;
        // No node can die halfway here, so incrementing the counter is enough.
        let layout = author_core.next_layout(&record.layout, Stamp::default(), holders);
        let next = Arc::new(Record {
            layout,
            ..(**record).clone()
        });
        let mut copied = 0;
        for holder in next
            .layout
            .holders
            .iter()
            .map(|id| self.by_id[id])
            .collect::<Vec<_>>()
        {
            if !self.sites[holder as usize].holds(record) {
                let search_plan = self.search_plan(holder);
                let copies = self.files[file as usize].copies.iter().copied();
                let sources = copies.filter(|&it| self.sites[it as usize].holds(record));
                let near = sources
                    .filter_map(|it| Some((search_plan.hops(it)?, it)))
                    .min();
                let (_, source) = near.expect("the author holds a copy and is reachable");
                self.carry(&search_plan.path(source), record.size);
                copied += record.size;
            }
            self.site(holder).hold(&next, Role::Replica, now, now);
            self.note_copy(file, holder);
        }
        let newest = &mut self.files[file as usize].record;
        if newest.as_ref().is_none_or(|newest| **newest < *next) {
            *newest = Some(Arc::clone(&next));
        }
        self.announce(author, file, &next);
        copied
    }
}
