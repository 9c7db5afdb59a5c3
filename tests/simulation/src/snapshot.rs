//! The state of the world at one moment, as plain values that a checker judges and a test can manipulate.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dataverse_core::content::Digest;
use dataverse_core::holdings::{Holding, Role};
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::version::Version;
use dataverse_store::Usage;

use crate::history::History;

/// The result of reading one file at one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// The content arrived completely.
    Content {
        /// The version.
        version: Version,
        /// The digest in its record.
        promised: Digest,
        /// The digest of the bytes that arrived.
        came: Digest,
        /// Whether the reader was told that there may be something newer.
        stale: bool,
    },
    /// There is no such file.
    Missing,
    /// The read failed, for this reason.
    Failed(String),
}

/// A file on a disk.
#[derive(Debug, Clone)]
pub struct Held {
    /// The entry.
    pub holding: Holding,
    /// The digest of the stored bytes.
    pub content: Digest,
}

/// One node.
#[derive(Debug, Clone)]
pub struct NodeShot {
    /// Its id.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// What is on its disk.
    pub held: BTreeMap<Key, Held>,
    /// The nodes it is linked with.
    pub links: BTreeSet<NodeId>,
    /// The usage that it reports.
    pub usage: Usage,
    /// What its readers get.
    pub reads: BTreeMap<Key, Read>,
}

impl NodeShot {
    /// The record of a replica of this file.
    #[must_use]
    pub fn replica(&self, key: &Key) -> Option<&Record> {
        let held = self.held.get(key)?;
        (held.holding.role == Role::Replica).then_some(&*held.holding.record)
    }
}

/// The whole world.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The nodes that run.
    pub nodes: Vec<NodeShot>,
    /// The nodes that are lost for good.
    pub lost: BTreeSet<NodeId>,
    /// The greatest version of each file under which its deletion was durable on a node that is not lost.
    pub buried: BTreeMap<Key, Version>,
    /// The replicas that the lost nodes held when they were lost.
    pub lost_replicas: Vec<(NodeId, Arc<Record>)>,
    /// The member that lied.
    pub liar: Option<NodeId>,
    /// The same member, if it confirmed what it did not do. What it holds counts; what others were told of it does not.
    pub untrusted: Option<NodeId>,
}

impl Snapshot {
    /// Whether this is a node that runs: neither one that is lost nor one that a liar made up.
    #[must_use]
    pub fn runs(&self, id: &NodeId) -> bool {
        self.nodes.iter().any(|node| node.id == *id)
    }

    /// Whether this record names the untrusted node alone, or beside it only nodes that it made up. It may have stored
    /// it or not, now or only later, from a cached copy that another node has: nobody was promised anything.
    #[must_use]
    pub fn rests_on_untrusted(&self, record: &Record) -> bool {
        let exists = |id: &&NodeId| self.runs(id) || self.lost.contains(*id);
        let named = record.layout.holders.iter().filter(exists);
        self.untrusted
            .is_some_and(|untrusted| named.eq([&untrusted]))
    }

    /// Whether a copy that was acknowledged on this node need not exist.
    #[must_use]
    pub fn is_excused(&self, id: &NodeId) -> bool {
        self.lost.contains(id) || self.untrusted == Some(*id)
    }

    /// Whether a greater version of this record's file may have been stored only where nothing can be expected of it: on
    /// lost nodes, or by an untrusted one.
    #[must_use]
    pub fn is_overtaken(&self, history: &History, record: &Record) -> bool {
        let excused = self.lost.iter().copied().chain(self.untrusted).collect();
        let (key, lost) = (&record.key, &self.lost_replicas);
        history.may_be_overtaken_by_what_is_lost(key, record.digest, &excused, lost)
    }

    /// Whether any node has a copy of this version under a record that names the untrusted node alone. An honest node
    /// moved the only replica there, and keeps at most a cached copy.
    #[must_use]
    pub fn was_moved_to_untrusted(&self, key: &Key, version: Version) -> bool {
        let held = self.nodes.iter().filter_map(|node| node.held.get(key));
        let mut records = held.map(|held| &held.holding.record);
        records.any(|record| record.version == version && self.rests_on_untrusted(record))
    }

    /// The greatest record of this file that any node holds as a replica.
    #[must_use]
    pub fn greatest(&self, key: &Key) -> Option<&Record> {
        let replicas = self.nodes.iter().filter_map(|node| node.replica(key));
        replicas.max_by_key(|record| (record.version, record.layout.clone()))
    }
}
