//! What clients requested and observed: the checkers' only source for what should exist.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dataverse_core::content::Digest;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::version::Version;

/// A position in the order of all events of all clients.
pub type Moment = u64;

/// What a client observed about a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// It was acknowledged.
    Acknowledged {
        /// Under which version.
        version: Version,
        /// On which nodes.
        holders: Vec<NodeId>,
    },
    /// Its condition does not hold: it did not happen and will not.
    Refused,
    /// It failed, or there was no answer: it may have happened, now or later.
    Nothing,
}

/// A file that somebody tried to store.
#[derive(Debug, Clone)]
pub struct Put {
    /// Which file.
    pub key: Key,
    /// The digest of the content, which no other put has.
    pub digest: Digest,
    /// The size of the content.
    pub size: u64,
    /// The factor.
    pub factor: u32,
    /// The node that was asked.
    pub entry: NodeId,
    /// When it was asked.
    pub began: Moment,
    /// When the client got an answer, or gave up.
    pub ended: Option<Moment>,
    /// What the client observed.
    pub told: Observation,
}

impl Put {
    /// The version under which it was acknowledged.
    const fn version(&self) -> Option<Version> {
        match self.told {
            Observation::Acknowledged { version, .. } => Some(version),
            Observation::Refused | Observation::Nothing => None,
        }
    }

    /// Whether its version may be the greater one of the two. Of writes at the same time, either's may be.
    fn may_follow(&self, other: &Self) -> bool {
        match (self.version(), other.version()) {
            (Some(own), Some(others)) => own > others,
            _ => self.digest != other.digest && self.ended.is_none_or(|ended| ended > other.began),
        }
    }
}

/// A deletion that somebody tried.
#[derive(Debug, Clone)]
pub struct Deletion {
    /// Which file.
    pub key: Key,
    /// The node that was asked.
    pub entry: NodeId,
    /// When it was asked.
    pub began: Moment,
    /// When the client got an answer, or gave up.
    pub ended: Option<Moment>,
    /// Whether it was acknowledged.
    pub acknowledged: bool,
}

/// Everything that clients did.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Writes, by the number of their operation.
    pub puts: BTreeMap<u64, Put>,
    /// Deletions, by the number of their operation.
    pub deletions: BTreeMap<u64, Deletion>,
    moments: Moment,
}

impl History {
    /// The next moment.
    pub fn moment(&mut self) -> Moment {
        self.moments += 1;
        self.moments
    }

    /// The keys that anybody wrote or deleted.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        let written = self.puts.values().map(|put| &put.key);
        let deleted = self.deletions.values().map(|deletion| &deletion.key);
        let mut keys: Vec<Key> = written.chain(deleted).cloned().collect();
        keys.sort();
        keys.dedup();
        keys
    }

    /// The put of this file that had this content.
    #[must_use]
    pub fn put_of(&self, key: &Key, digest: Digest) -> Option<&Put> {
        let mut puts = self.puts.values();
        puts.find(|put| put.key == *key && put.digest == digest)
    }

    /// The greatest acknowledged version of this file, and the nodes that hold it. An acknowledgement by this node
    /// alone does not count.
    #[must_use]
    pub fn acknowledged(
        &self,
        key: &Key,
        untrusted: Option<NodeId>,
    ) -> Option<(Version, &[NodeId])> {
        let puts = self.puts.values().filter(|put| put.key == *key);
        let acknowledged = puts.filter_map(|put| match &put.told {
            Observation::Acknowledged { version, holders } => Some((*version, &holders[..])),
            Observation::Refused | Observation::Nothing => None,
        });
        let counts =
            |(_, holders): &(Version, &[NodeId])| holders.iter().any(|id| Some(*id) != untrusted);
        let acknowledged = acknowledged.filter(counts);
        acknowledged.max_by_key(|(version, _)| *version)
    }

    /// The write that was acknowledged as this version.
    #[must_use]
    pub fn put_as(&self, key: &Key, version: Version) -> Option<&Put> {
        let mut puts = self.puts.values().filter(|put| put.key == *key);
        puts.find(|put| put.version() == Some(version))
    }

    /// Whether this version was acknowledged on just these nodes.
    #[must_use]
    pub fn was_acknowledged_on(&self, key: &Key, version: Version, nodes: &[NodeId]) -> bool {
        let put = self.put_as(key, version);
        put.is_some_and(|put| match &put.told {
            Observation::Acknowledged { holders, .. } => holders == nodes,
            Observation::Refused | Observation::Nothing => false,
        })
    }

    /// Whether an acknowledged deletion may have come after the write that was acknowledged as this version: the
    /// write had not ended when the deletion began.
    #[must_use]
    pub fn may_be_deleted_since(&self, key: &Key, version: Version) -> bool {
        let put = self.put_as(key, version);
        let mut deletions = self.deletions.values();
        put.is_some_and(|put| {
            deletions.any(|deletion| {
                let since = deletion.ended.is_some_and(|ended| ended > put.began);
                deletion.key == *key && deletion.acknowledged && since
            })
        })
    }

    /// Whether a write after the one with this content may have been stored on lost nodes only: other nodes may
    /// have heard of it, and then don't copy anything older.
    #[must_use]
    pub fn may_be_overtaken_by_what_is_lost(
        &self,
        key: &Key,
        digest: Digest,
        lost: &BTreeSet<NodeId>,
        lost_replicas: &[(NodeId, Arc<Record>)],
    ) -> bool {
        let Some(put) = self.put_of(key, digest) else {
            return false;
        };
        self.puts.values().any(|later| {
            let is_lost = match &later.told {
                Observation::Acknowledged { holders, .. } => {
                    holders.iter().all(|id| lost.contains(id))
                }
                Observation::Nothing => {
                    let mut were = lost_replicas.iter();
                    were.any(|(_, record)| record.key == *key && record.digest == later.digest)
                }
                Observation::Refused => false,
            };
            later.key == *key && later.may_follow(put) && is_lost
        })
    }

    /// Whether the last deletion through the node that stamped this one was acknowledged.
    #[must_use]
    pub fn was_acknowledged_deleted(&self, tombstone: &Record) -> bool {
        let through = self.deletions.values();
        let through =
            through.filter(|it| it.key == tombstone.key && it.entry == tombstone.version.writer);
        let last = through.max_by_key(|it| it.began);
        last.is_some_and(|it| it.acknowledged)
    }

    /// Whether a write through this node was acknowledged on the untrusted one alone, or a deletion through it was
    /// acknowledged, which the untrusted one may alone have confirmed. Then this node knows of something that nobody
    /// has.
    #[must_use]
    pub fn may_rest_on(&self, untrusted: NodeId, key: &Key, entry: NodeId) -> bool {
        let mut deletions = self.deletions.values();
        let mut puts = self.puts.values();
        deletions.any(|it| it.key == *key && it.entry == entry && it.acknowledged)
            || puts.any(|it| {
                let alone = match &it.told {
                    Observation::Acknowledged { holders, .. } => holders[..] == [untrusted],
                    Observation::Refused | Observation::Nothing => false,
                };
                it.key == *key && it.entry == entry && alone
            })
    }

    /// Whether anybody tried to delete this file.
    #[must_use]
    pub fn was_deleted(&self, key: &Key) -> bool {
        let mut deletions = self.deletions.values();
        deletions.any(|deletion| deletion.key == *key)
    }

    /// Whether the last operation on this file was an acknowledged deletion: every write had ended when it began,
    /// and none began after. Of a write that nobody waited for, nothing is known.
    #[must_use]
    pub fn ends_deleted(&self, key: &Key) -> bool {
        let mut puts = self.puts.values().filter(|put| put.key == *key);
        let Some(deleted) = self.deleted_at(key) else {
            return false;
        };
        puts.all(|put| match put.told {
            Observation::Acknowledged { .. } => put.ended.is_some_and(|ended| ended < deleted),
            Observation::Refused => true,
            Observation::Nothing => false,
        })
    }

    /// When the last acknowledged deletion of this file began.
    fn deleted_at(&self, key: &Key) -> Option<Moment> {
        let deletions = self.deletions.values();
        let done = deletions.filter(|deletion| deletion.key == *key && deletion.acknowledged);
        done.map(|deletion| deletion.began).max()
    }
}
