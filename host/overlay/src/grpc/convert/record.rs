//! Conversion of what messages are made of: senders, nodes, versions and records.

use std::sync::Arc;

use dataverse_core::floors::Heard;
use dataverse_core::id::NodeId;
use dataverse_core::limits::{FACTOR_MAX, FILE_BYTES_MAX, NAME_BYTES_MAX};
use dataverse_core::record::{Layout, Record};
use dataverse_core::search::Peer;
use dataverse_core::version::{Stamp, Version};

use super::fields::{
    Malformed, address, at_most, digest, key, list, name, node_id, required, text, wire_bytes,
};
use crate::grpc::proto;
use crate::limits;
use crate::transport::Sender;

impl From<&Peer> for proto::Peer {
    fn from(peer: &Peer) -> Self {
        Self {
            id: wire_bytes(peer.id.as_bytes()),
            name: peer.name.to_string(),
            address: peer.address.to_string(),
        }
    }
}

impl TryFrom<proto::Peer> for Peer {
    type Error = Malformed;

    fn try_from(peer: proto::Peer) -> Result<Self, Malformed> {
        Ok(Self {
            id: node_id("id", &peer.id)?,
            name: name("name", &peer.name)?,
            address: address("address", &peer.address)?,
        })
    }
}

impl From<&Sender> for proto::Sender {
    fn from(sender: &Sender) -> Self {
        Self {
            node: Some((&sender.node).into()),
            clock: sender.clock.0,
            network: sender.network.to_string(),
            protocol: sender.protocol,
            instance: sender.instance,
        }
    }
}

impl TryFrom<proto::Sender> for Sender {
    type Error = Malformed;

    fn try_from(sender: proto::Sender) -> Result<Self, Malformed> {
        Ok(Self {
            node: required("sender.node", sender.node)?.try_into()?,
            clock: Stamp(sender.clock),
            network: text("sender.network", &sender.network, NAME_BYTES_MAX)?,
            protocol: sender.protocol,
            instance: sender.instance,
        })
    }
}

/// The sender of a message.
pub(super) fn sender(value: Option<proto::Sender>) -> Result<Sender, Malformed> {
    required("sender", value)?.try_into()
}

impl From<Version> for proto::Version {
    fn from(version: Version) -> Self {
        Self {
            stamp: version.stamp.0,
            writer: wire_bytes(version.writer.as_bytes()),
        }
    }
}

impl TryFrom<proto::Version> for Version {
    type Error = Malformed;

    fn try_from(version: proto::Version) -> Result<Self, Malformed> {
        Ok(Self {
            stamp: Stamp(version.stamp),
            writer: node_id("version.writer", &version.writer)?,
        })
    }
}

/// What was heard of a file: the highest version and the highest deletion, if any.
pub(super) fn heard(
    known: Option<proto::Version>,
    buried: Option<proto::Version>,
) -> Result<Option<Heard>, Malformed> {
    let known: Option<Version> = known.map(TryInto::try_into).transpose()?;
    let buried: Option<Version> = buried.map(TryInto::try_into).transpose()?;
    if buried > known {
        return Err(Malformed::new("buried", "it is higher than `known`"));
    }
    Ok(known.map(|version| Heard { version, buried }))
}

impl From<&Layout> for proto::Layout {
    fn from(layout: &Layout) -> Self {
        let wire = |id: &NodeId| wire_bytes(id.as_bytes());
        Self {
            counter: layout.counter,
            author: wire(&layout.author),
            holders: layout.holders.iter().map(wire).collect(),
        }
    }
}

impl TryFrom<proto::Layout> for Layout {
    type Error = Malformed;

    fn try_from(layout: proto::Layout) -> Result<Self, Malformed> {
        const HOLDERS: &str = "layout.holders";
        let max = FACTOR_MAX as usize;
        let holders = list(HOLDERS, layout.holders, max, |id| node_id(HOLDERS, &id))?;
        let mut sorted = holders.clone();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Malformed::new(HOLDERS, "a node is named twice"));
        }
        Ok(Self {
            counter: layout.counter,
            author: node_id("layout.author", &layout.author)?,
            holders,
        })
    }
}

impl From<&Record> for proto::Record {
    fn from(record: &Record) -> Self {
        Self {
            key: record.key.as_str().to_owned(),
            version: Some(record.version.into()),
            layout: Some((&record.layout).into()),
            deleted: record.deleted,
            size: record.size,
            digest: wire_bytes(&record.digest.0),
            content_type: record.content_type.to_string(),
            factor: record.factor,
        }
    }
}

impl TryFrom<proto::Record> for Record {
    type Error = Malformed;

    fn try_from(record: proto::Record) -> Result<Self, Malformed> {
        let content_type_max = limits::CONTENT_TYPE_BYTES_MAX;
        let record = Self {
            key: key(&record.key)?,
            version: required("record.version", record.version)?.try_into()?,
            layout: required("record.layout", record.layout)?.try_into()?,
            deleted: record.deleted,
            size: at_most("record.size", record.size, FILE_BYTES_MAX)?,
            digest: digest("record.digest", &record.digest)?,
            content_type: text(
                "record.content_type",
                &record.content_type,
                content_type_max,
            )?,
            factor: at_most("record.factor", record.factor, FACTOR_MAX)?,
        };
        if !record.is_coherent() {
            let reason = format!("no content of {} bytes has it", record.size);
            return Err(Malformed::new("record.digest", reason));
        }
        Ok(record)
    }
}

/// The record of a message.
pub(super) fn record(value: Option<proto::Record>) -> Result<Arc<Record>, Malformed> {
    let record: Record = required("record", value)?.try_into()?;
    Ok(Arc::new(record))
}
