//! Writes and deletions, in the same steps as the live driver: placement ranks the nodes, the first ones with
//! space hold the replicas, the others are spares; then the record is announced to all reachable nodes.

use std::sync::Arc;

use dataverse_core::content::Digest;
use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::placement::Candidate;
use dataverse_core::policy::{FileView, PlacementRequest};
use dataverse_core::record::Record;
use dataverse_replication::protocol::{Tombstone, Write};

use super::perform::Means;
use super::simulation::SimulatedNetwork;
use super::site::NoRoom;

/// A file was not written: the node that was asked has no space for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Refused;

impl SimulatedNetwork<'_> {
    /// A write at a node, which also keeps a cached copy if it is not a holder and its eviction policy admits one.
    pub(super) fn write(&mut self, node: u32, file: u32, size: u64) {
        self.tally.counts.writes += 1;
        let now = self.now();
        self.site(node).load.count(now);
        match self.store(node, file, size) {
            Err(Refused) => self.tally.counts.writes_refused += 1,
            Ok(record) => {
                if record.is_degraded() {
                    self.tally.counts.writes_degraded += 1;
                }
                self.send_to_holders(node, &record);
                self.keep_spool(node, file, &record);
                self.announce(node, file, &record);
            }
        }
    }

    /// Places a file that existed before any request: nothing crosses a link and nothing is cached.
    pub(super) fn found(&mut self, node: u32, file: u32, size: u64) -> Result<(), Refused> {
        self.store(node, file, size).map(|_| ())
    }

    /// Places a new version and makes it durable.
    fn store(&mut self, node: u32, file: u32, size: u64) -> Result<Arc<Record>, Refused> {
        let now = self.now();
        let key = self.file(file).key.clone();
        // The node spools what it receives, whichever nodes keep it.
        let victims = self
            .site(node)
            .make_room(size, now)
            .map_err(|NoRoom| Refused)?;
        self.note_victims(node, &victims);
        let first = self.holders_known_at(node, file);
        let factor = self.scenario.nodes.factor;
        let ranked = self.place(node, file, size, &first);
        let mut holders = self.accepting(node, &ranked, size);
        if (holders.len() as u64) < u64::from(factor) && !holders.contains(&node) {
            holders.insert(0, node);
        }
        let known = self.files[file as usize]
            .record
            .as_ref()
            .map(|record| record.version.stamp);
        let version = self.site(node).version_above(known, now);
        let ids = holders
            .iter()
            .map(|&holder| self.sites[holder as usize].id)
            .collect();
        let record = Arc::new(Record {
            version,
            layout: self.sites[node as usize].core.first_layout(ids),
            deleted: false,
            size,
            // Content is not simulated; its digest is that of its key and version.
            digest: Digest::of(format!("{key} {version}").as_bytes()),
            content_type: "application/octet-stream".into(),
            factor,
            key,
        });
        let mut means = Means::of(node, file);
        means.ready = holders.into_iter().collect();
        let id = self.sites[node as usize].id;
        let written = self.run(Write::new(id, record, 1), &mut means);
        // Every holder is there and has space.
        let record = written.map_err(|_| Refused)?;
        self.is_written(file, &record);
        Ok(record)
    }

    /// Sends the content from the node that was asked to every other holder.
    fn send_to_holders(&mut self, node: u32, record: &Record) {
        let search_plan = self.search_plan(node);
        for id in &record.layout.holders {
            let holder = self.by_id[id];
            if holder != node {
                self.carry(&search_plan.path(holder), record.size);
            }
        }
    }

    /// The live holders of a file that the node holds itself; they rank first.
    fn holders_known_at(&mut self, node: u32, file: u32) -> Vec<NodeId> {
        let search_plan = self.search_plan(node);
        let held = self.sites[node as usize]
            .core
            .holding(&self.files[file as usize].key);
        let layout = held
            .filter(|held| !held.record.deleted)
            .map(|held| &held.record.layout);
        let holders = layout.map_or(&[][..], |layout| &layout.holders);
        let in_reach = |id: &&NodeId| search_plan.hops(self.by_id[*id]).is_some();
        holders.iter().filter(in_reach).copied().collect()
    }

    /// The nodes for a file, best first: the node's placement policy ranks those within reach that have space.
    pub(super) fn place(&mut self, node: u32, file: u32, size: u64, first: &[NodeId]) -> Vec<u32> {
        let now = self.now();
        let search_plan = self.search_plan(node);
        let within = search_plan.within(self.scenario.nodes.placement_radius);
        let candidates: Vec<Candidate> = within
            .filter(|(other, _)| !self.leaving.contains(other))
            .filter_map(|(other, hops)| {
                let site = &mut self.sites[other as usize];
                let fits = site.free_for_replicas() >= size;
                fits.then(|| Candidate {
                    id: site.id,
                    view: site.view(hops, now),
                })
            })
            .collect();
        let request = PlacementRequest {
            file: FileView::of(&self.files[file as usize].key, size),
            factor: self.scenario.nodes.factor,
            now,
        };
        let ranked = self.site(node).rank(&request, candidates, first);
        ranked.iter().map(|id| self.by_id[id]).collect()
    }

    /// The first of these nodes that can make space, as many as the factor. `ready` has already made space.
    fn accepting(&mut self, ready: u32, ranked: &[u32], size: u64) -> Vec<u32> {
        let now = self.now();
        let mut accepting = Vec::new();
        for &node in ranked {
            if accepting.len() == self.scenario.nodes.factor as usize {
                break;
            }
            if ready == node {
                accepting.push(node);
            } else if let Ok(victims) = self.site(node).make_room(size, now) {
                self.note_victims(node, &victims);
                accepting.push(node);
            }
        }
        accepting
    }

    /// Keeps what a node spooled as a cached copy, unless it is a replica or the eviction policy refuses it.
    fn keep_spool(&mut self, node: u32, file: u32, record: &Arc<Record>) {
        let now = self.now();
        let site = self.site(node);
        if record.layout.names(site.id) {
            return;
        }
        let (admitted, victims) = site.admit(record, 1, 0, now);
        if admitted {
            site.hold(record, Role::Cached, now, now);
        }
        self.note_victims(node, &victims);
        if admitted {
            self.note_copy(file, node);
        }
    }

    /// A deletion at a node: writes a tombstone on every reachable holder.
    pub(super) fn delete(&mut self, node: u32, file: u32) {
        let now = self.now();
        self.site(node).load.count(now);
        if !self.file(file).exists() {
            self.tally.counts.absent += 1;
            return;
        }
        let search_plan = self.search_plan(node);
        let copies = self.files[file as usize].copies.iter();
        let known = copies
            .copied()
            .filter(|&copy| search_plan.hops(copy).is_some())
            .min();
        let (Some(_), Some(record)) = (known, self.files[file as usize].record.clone()) else {
            return;
        };
        let id = self.sites[node as usize].id;
        let tombstone = Tombstone::new(id, record, None);
        let mut means = Means::of(node, file);
        // Where no holder is reachable, other nodes store it; this one at the least.
        self.run(tombstone, &mut means);
    }

    /// Announces a record to every reachable node that holds the file or a tombstone of it.
    pub(super) fn announce(&mut self, from: u32, file: u32, record: &Arc<Record>) {
        let search_plan = self.search_plan(from);
        let known = &mut self.files[file as usize];
        let is_reachable = |node: &u32| search_plan.hops(*node).is_some();
        let mut recipients: Vec<u32> = known.copies.iter().copied().filter(is_reachable).collect();
        if !record.deleted {
            recipients.extend(known.buried.extract_if(.., |node| is_reachable(node)));
        }
        for node in recipients {
            self.learn(node, file, record);
        }
    }
}
