//! What the tests of this crate work with.

use dataverse_core::content::Digest;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::{Layout, Record};
use dataverse_core::version::{Stamp, Version};

pub(crate) fn id(number: u128) -> NodeId {
    NodeId::from(number)
}

pub(crate) fn key(name: &str) -> Key {
    Key::parse(name).expect("it is a key")
}

/// A file of three bytes and factor 2 in a version of node 9.
pub(crate) fn record(name: &str, stamp: u64, counter: u64, holders: &[u128]) -> Record {
    Record {
        key: key(name),
        version: Version {
            stamp: Stamp(stamp),
            writer: id(9),
        },
        layout: Layout {
            counter,
            author: id(9),
            holders: holders.iter().copied().map(id).collect(),
        },
        deleted: false,
        size: 3,
        digest: Digest::of(b"abc"),
        content_type: "text/plain".into(),
        factor: 2,
    }
}
