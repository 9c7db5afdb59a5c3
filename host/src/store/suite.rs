//! The behaviour of every store, tested on each of them.
use dataverse_core::content::Digest;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::{Layout, Record};
use dataverse_core::version::{Stamp, Version};

/// A record of this content.
pub(super) fn record(key: &str, stamp: u64, content: &[u8]) -> Record {
    Record {
        version: Version {
            stamp: Stamp(stamp),
            writer: NodeId::from(7),
        },
        layout: Layout {
            counter: 1,
            author: NodeId::from(7),
            holders: vec![NodeId::from(7)],
        },
        deleted: false,
        size: content.len() as u64,
        digest: Digest::of(content),
        content_type: "text/plain".into(),
        factor: 1,
        key: Key::parse(key).expect("it is a key"),
    }
}
