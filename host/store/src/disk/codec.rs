//! The row formats of the index. The row types mirror the core's types, so those can change without changing what is
//! on the disk.
//!
//! This is format 2. A row is the first eight bytes of a BLAKE3 digest over its key and its bytes, followed by its
//! postcard encoding; so damage to the index is detected. [`limits::INLINE_BYTES_MAX`], which decides where a content
//! is kept, is part of the format. In every format the format number, the node's id and the network are stored under
//! the same names and read the same way, so that a folder can be refused before it is upgraded.
//!
//! A row's `verified` is when its content was last checked, in milliseconds since the Unix epoch. A tombstone has no
//! content: there it is how long the node had run when the tombstone was stored, in milliseconds.

use std::collections::HashSet;
use std::sync::Arc;

use dataverse_core::content::Digest;
use dataverse_core::holdings::{Holding, Role};
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::{Layout, Record};
use dataverse_core::version::{Stamp, Version};
use serde::{Deserialize, Serialize};

use super::super::{Lifetime, SavedLinks};
use super::layout::{BucketFolder, ContentId, ContentPlace};
use crate::limits;

/// A holding and the place of its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) holding: Holding,
    /// The bucket folder, if the content is in a file.
    pub(super) bucket: BucketFolder,
}

impl Entry {
    /// The id of the content and, if it is in a file, where it is.
    pub(super) fn place(&self) -> ContentPlace {
        ContentPlace {
            id: ContentId::of(&self.holding.record),
            bucket: self.bucket,
        }
    }

    /// Whether the content is in a file.
    pub(super) fn is_in_a_file(&self) -> bool {
        let record = &self.holding.record;
        !record.deleted && record.size > limits::INLINE_BYTES_MAX as u64
    }
}

/// The format that this release writes and reads.
pub(super) const FORMAT: u32 = 2;

const CHECK_BYTES: usize = 8;

#[derive(Serialize, Deserialize)]
struct HoldingRow<'a> {
    stamp: u64,
    writer: [u8; 16],
    layout_counter: u64,
    layout_author: [u8; 16],
    holders: Vec<[u8; 16]>,
    is_deleted: bool,
    size: u64,
    digest: [u8; 32],
    content_type: &'a str,
    factor: u32,
    is_replica: bool,
    verified: u64,
    bucket: u16,
}

#[derive(Serialize, Deserialize)]
struct LinksRow {
    links: Vec<([u8; 16], String, String)>,
    refused: Vec<[u8; 16]>,
}

#[derive(Serialize, Deserialize)]
struct LeftRow {
    left: Vec<([u8; 16], u64)>,
}

#[derive(Serialize, Deserialize)]
struct LifetimeRow {
    ran_ms: u64,
    together: u64,
    is_draining: bool,
    scrub_began: u64,
    scrub_ended: u64,
}

/// The row in format 1, where it is optional.
#[derive(Serialize, Deserialize)]
struct LifetimeRow1 {
    ran_ms: u64,
    together: u64,
    is_draining: bool,
    scrub_began: u64,
}

/// Bytes in the index are not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damaged;

/// Encodes the row of an entry.
pub(super) fn encode_entry(entry: &Entry) -> Vec<u8> {
    let holding = &entry.holding;
    let record = &holding.record;
    let row = HoldingRow {
        stamp: record.version.stamp.0,
        writer: *record.version.writer.as_bytes(),
        layout_counter: record.layout.counter,
        layout_author: *record.layout.author.as_bytes(),
        holders: record
            .layout
            .holders
            .iter()
            .map(|id| *id.as_bytes())
            .collect(),
        is_deleted: record.deleted,
        size: record.size,
        digest: record.digest.0,
        content_type: &record.content_type,
        factor: record.factor,
        is_replica: holding.role == Role::Replica,
        verified: holding.verified,
        bucket: entry.bucket.0,
    };
    seal(record.key.as_str(), &row)
}

/// Decodes rows; equal content types share one allocation.
#[derive(Default)]
pub(super) struct Decoder {
    content_types: HashSet<Arc<str>>,
}

/// Content types that are shared; records with others each keep their own.
const SHARED_TYPES_MAX: usize = 4096;

impl Decoder {
    /// The entry of `key`.
    pub(super) fn entry(&mut self, key: &str, bytes: &[u8]) -> Result<Entry, Damaged> {
        let row: HoldingRow<'_> = unseal(key, bytes)?;
        let record = Record {
            version: Version {
                stamp: Stamp(row.stamp),
                writer: NodeId::from_bytes(row.writer),
            },
            layout: Layout {
                counter: row.layout_counter,
                author: NodeId::from_bytes(row.layout_author),
                holders: row.holders.into_iter().map(NodeId::from_bytes).collect(),
            },
            deleted: row.is_deleted,
            size: row.size,
            digest: Digest(row.digest),
            content_type: self.share(row.content_type),
            factor: row.factor,
            key: Key::parse(key).map_err(|_| Damaged)?,
        };
        let role = if row.is_replica {
            Role::Replica
        } else {
            Role::Cached
        };
        Ok(Entry {
            holding: Holding {
                record: Arc::new(record),
                role,
                validated: 0,
                verified: row.verified,
            },
            bucket: BucketFolder(row.bucket),
        })
    }

    fn share(&mut self, content_type: &str) -> Arc<str> {
        if let Some(shared) = self.content_types.get(content_type) {
            return Arc::clone(shared);
        }
        let shared: Arc<str> = content_type.into();
        if self.content_types.len() < SHARED_TYPES_MAX {
            self.content_types.insert(Arc::clone(&shared));
        }
        shared
    }
}

const LINKS: &str = "links";

/// Encodes the links.
pub(super) fn encode_links(links: &SavedLinks) -> Vec<u8> {
    let row = LinksRow {
        links: links
            .links
            .iter()
            .map(|(id, name, address)| (*id.as_bytes(), name.clone(), address.clone()))
            .collect(),
        refused: links.refused.iter().map(|id| *id.as_bytes()).collect(),
    };
    seal(LINKS, &row)
}

/// Decodes the links.
pub(super) fn decode_links(bytes: &[u8]) -> Result<SavedLinks, Damaged> {
    let row: LinksRow = unseal(LINKS, bytes)?;
    let link = |(id, name, address)| (NodeId::from_bytes(id), name, address);
    Ok(SavedLinks {
        links: row.links.into_iter().map(link).collect(),
        refused: row.refused.into_iter().map(NodeId::from_bytes).collect(),
        left: Vec::new(),
    })
}

const LEFT: &str = "left";

/// Encodes the nodes that announced that they leave.
pub(super) fn encode_left(left: &[(NodeId, u64)]) -> Vec<u8> {
    let left = left.iter();
    let row = LeftRow {
        left: left.map(|(id, run)| (*id.as_bytes(), *run)).collect(),
    };
    seal(LEFT, &row)
}

/// Decodes the nodes that announced that they leave.
pub(super) fn decode_left(bytes: &[u8]) -> Result<Vec<(NodeId, u64)>, Damaged> {
    let row: LeftRow = unseal(LEFT, bytes)?;
    let left = row.left.into_iter();
    Ok(left
        .map(|(id, run)| (NodeId::from_bytes(id), run))
        .collect())
}

const LIFETIME: &str = "life";

/// Encodes the small facts about the node.
pub(super) fn encode_life(lifetime: Lifetime) -> Vec<u8> {
    let row = LifetimeRow {
        ran_ms: lifetime.ran_ms,
        together: lifetime.together,
        is_draining: lifetime.draining,
        scrub_began: lifetime.scrub_began,
        scrub_ended: lifetime.scrub_ended,
    };
    seal(LIFETIME, &row)
}

/// Decodes the small facts about the node.
pub(super) fn decode_life(bytes: &[u8]) -> Result<Lifetime, Damaged> {
    let row: LifetimeRow = unseal(LIFETIME, bytes)?;
    Ok(Lifetime {
        ran_ms: row.ran_ms,
        together: row.together,
        draining: row.is_draining,
        scrub_began: row.scrub_began,
        scrub_ended: row.scrub_ended,
    })
}

/// Decodes the small facts about the node from format 1.
pub(super) fn decode_life_1(bytes: &[u8]) -> Result<Lifetime, Damaged> {
    let row: LifetimeRow1 = unseal(LIFETIME, bytes)?;
    Ok(Lifetime {
        ran_ms: row.ran_ms,
        together: row.together,
        draining: row.is_draining,
        scrub_began: row.scrub_began,
        scrub_ended: 0,
    })
}

fn seal<T: Serialize>(key: &str, row: &T) -> Vec<u8> {
    let bytes = postcard::to_extend(row, vec![0; CHECK_BYTES])
        .expect("rows hold nothing that postcard can't write");
    let check = check(key, &bytes[CHECK_BYTES..]);
    let mut bytes = bytes;
    bytes[..CHECK_BYTES].copy_from_slice(&check);
    bytes
}

fn unseal<'a, T: Deserialize<'a>>(key: &str, bytes: &'a [u8]) -> Result<T, Damaged> {
    let (found, row) = bytes.split_at_checked(CHECK_BYTES).ok_or(Damaged)?;
    if found != check(key, row) {
        return Err(Damaged);
    }
    postcard::from_bytes(row).map_err(|_| Damaged)
}

fn check(key: &str, row: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(key.as_bytes()).update(&[0]).update(row);
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&hasher.finalize().as_bytes()[..CHECK_BYTES]);
    check
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::record;

    fn entry() -> Entry {
        let mut record = record("ada/x", 7, b"content");
        record.layout.holders = vec![NodeId::from(1), NodeId::from(2)];
        Entry {
            holding: Holding {
                record: Arc::new(record),
                role: Role::Replica,
                validated: 0,
                verified: 99,
            },
            bucket: BucketFolder(0xabcd),
        }
    }

    #[test]
    fn an_entry_reads_back() {
        let row = encode_entry(&entry());
        let again = Decoder::default().entry("ada/x", &row);
        assert_eq!(again, Ok(entry()));
    }

    #[test]
    fn a_flipped_bit_anywhere_is_noticed() {
        let row = encode_entry(&entry());
        for at in 0..row.len() {
            let mut wrong = row.clone();
            wrong[at] ^= 4;
            assert_eq!(Decoder::default().entry("ada/x", &wrong), Err(Damaged));
        }
        assert_eq!(Decoder::default().entry("ada/y", &row), Err(Damaged));
        assert_eq!(Decoder::default().entry("ada/x", &row[..5]), Err(Damaged));
    }

    #[test]
    fn links_read_back() {
        let links = SavedLinks {
            links: vec![(NodeId::from(1), "a".into(), "127.0.0.1:1".into())],
            refused: vec![NodeId::from(2)],
            left: Vec::new(),
        };
        assert_eq!(decode_links(&encode_links(&links)), Ok(links));
        let left = vec![(NodeId::from(3), 7)];
        assert_eq!(decode_left(&encode_left(&left)), Ok(left));
    }
}
