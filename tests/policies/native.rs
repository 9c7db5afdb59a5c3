//! The built-in policies as native code, behind the traits that nodes use.

use dataverse_core::policy::{
    Admission, CacheEntry, Eviction, Fault, FileView, NodeView, Placement, PlacementRequest,
    Relocation, RelocationVerdict, RemoteRead, Slot,
};
use dataverse_core::version::Millis;
use dataverse_sdk::{EvictionPolicy, PlacementPolicy, RelocationPolicy, parse_config};

/// Adapts an author's policy to a trait of the host.
struct Native<P>(P);

/// Every built-in placement policy, by name.
pub(crate) fn placement(name: &str, seed: u64) -> Box<dyn Placement> {
    fn made<P: PlacementPolicy + Send>(seed: u64) -> Box<dyn Placement> {
        let config = parse_config("{}").expect("an empty configuration is valid");
        Box::new(Native(P::new(config, seed).expect("it is accepted")))
    }
    match name {
        "rendezvous" => made::<placement_rendezvous::Rendezvous>(seed),
        "near" => made::<placement_near::Near>(seed),
        "random" => made::<placement_random::RandomNodes>(seed),
        "ring" => made::<placement_ring::Ring>(seed),
        "two-choices" => made::<placement_two_choices::TwoChoices>(seed),
        "copyset" => made::<placement_copyset::Copyset>(seed),
        other => panic!("no placement policy {other}"),
    }
}

/// Every built-in eviction policy, by name.
pub(crate) fn eviction(name: &str, seed: u64) -> Box<dyn Eviction> {
    fn made<P: EvictionPolicy + Send>(seed: u64) -> Box<dyn Eviction> {
        let config = parse_config("{}").expect("an empty configuration is valid");
        Box::new(Native(P::new(config, seed).expect("it is accepted")))
    }
    match name {
        "fifo" => made::<eviction_fifo::Fifo>(seed),
        "lru" => made::<eviction_lru::Lru>(seed),
        "lfu" => made::<eviction_lfu::Lfu>(seed),
        "sieve" => made::<eviction_sieve::Sieve>(seed),
        "s3-fifo" => made::<eviction_s3_fifo::S3Fifo>(seed),
        "arc" => made::<eviction_arc::Arc>(seed),
        "two-q" => made::<eviction_two_q::TwoQ>(seed),
        "gdsf" => made::<eviction_gdsf::Gdsf>(seed),
        "w-tinylfu" => made::<eviction_w_tinylfu::WTinyLfu>(seed),
        "random" => made::<eviction_random::AnyCopy>(seed),
        other => panic!("no eviction policy {other}"),
    }
}

/// Every built-in relocation policy, by name.
pub(crate) fn relocation(name: &str, seed: u64) -> Box<dyn Relocation> {
    fn made<P: RelocationPolicy + Send>(seed: u64) -> Box<dyn Relocation> {
        let config = parse_config("{}").expect("an empty configuration is valid");
        Box::new(Native(P::new(config, seed).expect("it is accepted")))
    }
    match name {
        "reader" => made::<relocation_reader::Reader>(seed),
        "never" => made::<relocation_never::Never>(seed),
        "path" => made::<relocation_path::Path>(seed),
        "leave-copy-down" => made::<relocation_leave_copy_down::LeaveCopyDown>(seed),
        "prob-cache" => made::<relocation_prob_cache::ProbCache>(seed),
        "follow-demand" => made::<relocation_follow_demand::FollowDemand>(seed),
        other => panic!("no relocation policy {other}"),
    }
}

impl<P: PlacementPolicy + Send> Placement for Native<P> {
    fn place(
        &mut self,
        request: &PlacementRequest,
        candidates: &[NodeView],
    ) -> Result<Vec<u32>, Fault> {
        let request = dataverse_sdk::Request {
            file: file(&request.file),
            factor: request.factor,
            now: request.now,
        };
        let candidates: Vec<_> = candidates.iter().map(node).collect();
        Ok(self.0.place(&request, &candidates))
    }
}

impl<P: EvictionPolicy + Send> Eviction for Native<P> {
    fn set_capacity(&mut self, bytes: u64) -> Result<(), Fault> {
        self.0.set_capacity(bytes);
        Ok(())
    }

    fn restore(&mut self, entries: &[CacheEntry]) -> Result<(), Fault> {
        let entries: Vec<_> = entries.iter().map(entry).collect();
        self.0.restore(&entries);
        Ok(())
    }

    fn hit(&mut self, slots: &[Slot]) -> Result<(), Fault> {
        self.0.hit(slots);
        Ok(())
    }

    fn admit(&mut self, incoming: CacheEntry, needed: u64) -> Result<Admission, Fault> {
        Ok(match self.0.admit(entry(&incoming), needed) {
            dataverse_sdk::Admission::Admit(victims) => Admission::Admit(victims),
            dataverse_sdk::Admission::Refuse => Admission::Refuse,
        })
    }

    fn make_room(&mut self, needed: u64, now: Millis) -> Result<Vec<Slot>, Fault> {
        Ok(self.0.make_room(needed, now))
    }

    fn removed(&mut self, slots: &[Slot]) -> Result<(), Fault> {
        self.0.removed(slots);
        Ok(())
    }
}

impl<P: RelocationPolicy + Send> Relocation for Native<P> {
    fn on_read(&mut self, read: &RemoteRead) -> Result<RelocationVerdict, Fault> {
        let verdict = self.0.on_read(&dataverse_sdk::Read {
            file: file(&read.file),
            reads: read.reads,
            path: read.path.iter().map(node).collect(),
            now: read.now,
        });
        Ok(RelocationVerdict {
            copy_to: verdict.copy_to,
            move_to: verdict.move_to,
        })
    }
}

fn file(view: &FileView) -> dataverse_sdk::File {
    dataverse_sdk::File {
        id: view.id,
        user: view.user.clone(),
        name: view.name.clone(),
        size: view.size,
    }
}

fn node(view: &NodeView) -> dataverse_sdk::Node {
    dataverse_sdk::Node {
        id: view.id,
        zone: view.zone.clone(),
        hops: view.hops,
        capacity: view.capacity,
        free: view.free,
        load: view.load,
    }
}

fn entry(entry: &CacheEntry) -> dataverse_sdk::Entry {
    dataverse_sdk::Entry {
        slot: entry.slot,
        file: entry.file,
        size: entry.size,
        cost: entry.cost,
        now: entry.now,
    }
}
