//! Announces versions, deletions and layouts that do not exist to whoever asks about a file.

use dataverse_core::content::Digest;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::{Layout, Record};
use dataverse_core::version::{Stamp, Version};
use dataverse_overlay::memory::MemoryTransport;
use dataverse_overlay::transport::Sender;
use parking_lot::Mutex;

use crate::chance::Chance;

/// Makes up records and announces them.
pub struct Forging {
    /// After how many of 1000 questions about a file.
    pub rate: u64,
    /// Chooses which ones, and what is made up.
    pub chance: Mutex<Chance>,
    /// Carries the announcements.
    pub transport: MemoryTransport,
}

impl Forging {
    /// A record greater than any that the node which asked has heard of. None of the nodes that it names has it.
    pub(super) fn record(
        &self,
        asker: &Sender,
        liar: NodeId,
        key: &Key,
        found: Option<&Record>,
    ) -> Record {
        let mut chance = self.chance.lock();
        let made_up = Digest::of(&chance.number().to_be_bytes());
        let counter = asker.clock.0 + chance.below(1_000);
        let named: &[&[NodeId]] = &[&[], &[liar], &[asker.node.id], &[asker.node.id, liar]];
        let layout = Layout {
            counter,
            author: liar,
            holders: chance.pick(named).to_vec(),
        };
        let kind = chance.below(3);
        if let Some(found) = found.filter(|_| kind == 2) {
            return Record {
                layout,
                ..found.clone()
            };
        }
        let deleted = kind == 1;
        Record {
            version: Version {
                stamp: Stamp(counter),
                writer: liar,
            },
            layout,
            deleted,
            size: if deleted { 0 } else { 8 },
            digest: if deleted { Digest::of(&[]) } else { made_up },
            content_type: "text/plain".into(),
            factor: 2,
            key: key.clone(),
        }
    }
}
