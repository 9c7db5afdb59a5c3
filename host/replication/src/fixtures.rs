//! What the tests of this crate work with.

use std::sync::Arc;

use dataverse_core::content::Digest;
use dataverse_core::holdings::{Holding, Role};
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::{Layout, Record};
use dataverse_core::search::Peer;
use dataverse_core::version::{Stamp, Version};

pub(crate) fn id(number: u128) -> NodeId {
    NodeId::from(number)
}

pub(crate) fn key(name: &str) -> Key {
    Key::parse(name).expect("it is a key")
}

pub(crate) fn peer(number: u128) -> Peer {
    Peer {
        id: id(number),
        name: format!("node-{number}").into(),
        address: format!("node-{number}.test:1").into(),
    }
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

/// Held in this role, and neither validated nor verified yet.
pub(crate) fn holding(record: &Arc<Record>, role: Role) -> Holding {
    Holding {
        record: Arc::clone(record),
        role,
        validated: 0,
        verified: 0,
    }
}
