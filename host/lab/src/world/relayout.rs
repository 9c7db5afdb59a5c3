//! Replicas that change nodes: repair after a failure, draining a node that leaves, and moves towards a reader.
//!
//! All three go the same way: the content is copied, the next layout is durable on its holders, the news goes round,
//! and whoever is no longer named lets its replica go, as the core says.

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
        // A layout counts once all its holders have made it durable, so all must be there.
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
        self.tally.counts.relocated_bytes += self.lay_anew(file, from, &record, holders);
    }

    /// Makes anew elsewhere what a node held that is gone: for each file the first holder in the layout that is there
    /// does it.
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

    /// Hands what a node holds to others, before it leaves.
    pub(super) fn drain(&mut self, leaving: u32) {
        for file in 0..self.files.len() as u32 {
            self.spread(file, leaving, Some(leaving));
        }
    }

    /// Brings a file that `author` holds a replica of back to its factor, on nodes in reach but `without` one.
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
        // Where nobody has room the layout stands: whoever returns is still named in it.
        if gains || (without.is_some() && !holders.is_empty()) {
            self.tally.counts.repaired_bytes += self.lay_anew(file, author, &record, holders);
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

    /// Copies, makes the next layout durable and tells of it. Returns the bytes that were copied.
    fn lay_anew(
        &mut self,
        file: u32,
        author: u32,
        record: &Arc<Record>,
        holders: Vec<NodeId>,
    ) -> u64 {
        let now = self.now();
        let author_core = &self.sites[author as usize].core;
        // Nobody dies in the middle of it here, so counting on is enough.
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
                let (_, source) = near.expect("the author holds it and is in reach");
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
