//! Records that nobody wrote. The liar sticks to one for a while, so that what it says in different messages fits
//! together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dataverse_core::content::Digest;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::{Layout, Record};
use dataverse_core::version::{Stamp, Version};
use dataverse_overlay::transport::Sender;

use crate::chance::Chance;

/// Far less than what clocks may differ by.
const SOON_MS: u64 = 1_000;
/// Nearly what clocks may differ by.
const LATE_MS: u64 = 9 * 60 * 1_000;
/// More than what clocks may differ by: a stamp that everybody must refuse.
const REFUSED_MS: u64 = 60 * 60 * 1_000;

/// The size of content that nobody has.
const MADE_UP_BYTES: u64 = 8;

/// What the liar has made up.
#[derive(Debug, Default)]
pub(super) struct Inventions {
    records: BTreeMap<Key, Arc<Record>>,
    /// The files that it knows to exist.
    keys: BTreeSet<Key>,
}

impl Inventions {
    /// What it says of this file to this node. `truth` is what it really holds.
    pub(super) fn of(
        &mut self,
        chance: &mut Chance,
        key: &Key,
        truth: Option<&Record>,
        liar: &Sender,
        asker: NodeId,
    ) -> Arc<Record> {
        if let Some(known) = self.records.get(key)
            && !chance.permille(50)
        {
            return Arc::clone(known);
        }
        let record = Arc::new(invent(chance, key, truth, liar, asker));
        self.records.insert(key.clone(), Arc::clone(&record));
        record
    }

    /// There is such a file.
    pub(super) fn note(&mut self, key: &Key) {
        if !self.keys.contains(key) {
            self.keys.insert(key.clone());
        }
    }

    /// What it says of any file that it knows.
    pub(super) fn any(
        &mut self,
        chance: &mut Chance,
        liar: &Sender,
        asker: NodeId,
    ) -> Option<Arc<Record>> {
        let keys: Vec<Key> = self.keys.iter().cloned().collect();
        if keys.is_empty() {
            return None;
        }
        let key = chance.pick(&keys);
        Some(self.of(chance, key, None, liar, asker))
    }
}

fn invent(
    chance: &mut Chance,
    key: &Key,
    truth: Option<&Record>,
    liar: &Sender,
    asker: NodeId,
) -> Record {
    let me = liar.node.id;
    let nobody = NodeId::from(chance.wide());
    let ahead_ms = *chance.pick(&[0, SOON_MS, LATE_MS, REFUSED_MS]);
    let stamp = Stamp(liar.clock.0 + (ahead_ms << 16) + chance.below(1_000));
    let named: &[&[NodeId]] = &[&[], &[me], &[asker], &[asker, me], &[nobody], &[nobody, me]];
    let layout = Layout {
        counter: stamp.0,
        author: *chance.pick(&[me, asker, nobody]),
        holders: chance.pick(named).to_vec(),
    };
    let version = Version {
        stamp,
        writer: *chance.pick(&[me, asker, nobody]),
    };
    let made_up = Digest::of(&chance.number().to_be_bytes());
    if let Some(truth) = truth.filter(|_| chance.permille(500)) {
        let truth = truth.clone();
        return match chance.below(4) {
            // A greater layout, or one that changes the write.
            0 => Record {
                layout,
                factor: *chance.pick(&[truth.factor, truth.factor, 1, 64]),
                content_type: Arc::from(*chance.pick(&[&*truth.content_type, "text/html"])),
                ..truth.clone()
            },
            // The same version of another content.
            1 => Record {
                digest: made_up,
                size: truth.size.max(MADE_UP_BYTES),
                ..truth
            },
            // The version before.
            2 => Record {
                version: Version {
                    stamp: Stamp(truth.version.stamp.0 - 1),
                    ..truth.version
                },
                digest: made_up,
                size: truth.size.max(MADE_UP_BYTES),
                ..truth
            },
            // The same content as a greater version, unless there is nothing to it that it would have to show.
            _ if truth.size == 0 => Record {
                version,
                layout,
                digest: made_up,
                size: MADE_UP_BYTES,
                ..truth
            },
            _ => Record {
                version,
                layout,
                ..truth
            },
        };
    }
    if chance.permille(400) {
        // A deletion is believed when its writer or one of its holders confirms it; so it is never the liar.
        let named: &[&[NodeId]] = &[&[], &[asker], &[nobody]];
        return Record {
            version: Version {
                writer: *chance.pick(&[asker, nobody]),
                ..version
            },
            layout: Layout {
                holders: chance.pick(named).to_vec(),
                ..layout
            },
            deleted: true,
            size: 0,
            digest: Digest::of(&[]),
            content_type: "text/plain".into(),
            factor: 2,
            key: key.clone(),
        };
    }
    Record {
        version,
        layout,
        deleted: false,
        size: MADE_UP_BYTES,
        digest: made_up,
        content_type: "text/plain".into(),
        factor: 2,
        key: key.clone(),
    }
}
