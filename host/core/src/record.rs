//! `Record`: the metadata of a file, and how two records of one file merge.
//!
//! Merging takes the greater of two: by version, then by layout. A maximum over a total order is commutative,
//! associative and idempotent. So records may arrive in any order, any number of times, and every node ends with
//! the same one.

use std::sync::Arc;

use crate::content::Digest;
use crate::id::NodeId;
use crate::key::Key;
use crate::version::Version;

/// Which nodes hold the replicas of a version, ordered by when the layout was made.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Layout {
    /// Zero at first, then a reading of the author's clock ([`Stamp`](crate::version::Stamp)) each time the
    /// replicas of a version change nodes. Always greater than the counter before.
    pub counter: u64,
    /// The node that made the layout. Breaks ties between two nodes that change the layout concurrently.
    pub author: NodeId,
    /// The nodes, distinct, in order of preference.
    pub holders: Vec<NodeId>,
}

impl Layout {
    /// Whether this node should hold a replica.
    #[must_use]
    pub fn names(&self, node: NodeId) -> bool {
        self.holders.contains(&node)
    }

    /// Whether it was made after the other one. An author gives each counter to one layout.
    #[must_use]
    pub fn follows(&self, other: &Self) -> bool {
        (self.counter, self.author) > (other.counter, other.author)
    }
}

/// The metadata of a file. Ordered so that the greater of two is the newer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Record {
    /// When and by which node it was written.
    pub version: Version,
    /// Where its replicas are.
    pub layout: Layout,
    /// Whether this version is a deletion (a *tombstone*).
    pub deleted: bool,
    /// Bytes.
    pub size: u64,
    /// The digest of the content; of no bytes for a tombstone.
    pub digest: Digest,
    /// As given by the writer.
    pub content_type: Arc<str>,
    /// Replicas wanted.
    pub factor: u32,
    /// The file.
    pub key: Key,
}

impl Record {
    /// The greater of two records of one file.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        debug_assert_eq!(
            self.key, other.key,
            "only records of the same file can be merged"
        );
        self.max(other)
    }

    /// Whether it gives the write of `held` a layout that follows. No relayout makes more replicas than are wanted, or
    /// than there were; what says so is made up.
    #[must_use]
    pub fn is_relayout_of(&self, held: &Self) -> bool {
        let replicas_max = held.layout.holders.len().max(held.factor as usize);
        self.is_same_write(held)
            && self.layout.follows(&held.layout)
            && (self.deleted || self.layout.holders.len() <= replicas_max)
    }

    /// Whether this size and this digest can be of the same content: no bytes have one digest, which no other content
    /// has. A tombstone has no bytes.
    #[must_use]
    pub fn is_coherent(&self) -> bool {
        let is_empty = self.digest == Digest::of(&[]);
        is_empty == (self.size == 0) && (is_empty || !self.deleted)
    }

    /// Whether both are records of one write: equal in all but the layout. A version is written once; a record of it that
    /// says otherwise is made up.
    #[must_use]
    pub fn is_same_write(&self, other: &Self) -> bool {
        let Self {
            key,
            version,
            layout: _,
            deleted,
            size,
            digest,
            content_type,
            factor,
        } = self;
        (key, version, deleted, size, digest, content_type, factor)
            == (
                &other.key,
                &other.version,
                &other.deleted,
                &other.size,
                &other.digest,
                &other.content_type,
                &other.factor,
            )
    }

    /// Whether the layout names fewer replicas than wanted.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        (self.layout.holders.len() as u64) < u64::from(self.factor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::version::Stamp;

    fn record() -> impl Strategy<Value = Record> {
        let layout = (0u64..3, 0u128..3, prop::collection::vec(0u128..4, 0..3));
        (0u64..3, 0u128..3, layout, any::<bool>(), 0u64..2).prop_map(
            |(stamp, writer, (counter, author, holders), deleted, size)| Record {
                key: Key::parse("ada/x").expect("it is a key"),
                version: Version {
                    stamp: Stamp(stamp),
                    writer: NodeId::from(writer),
                },
                layout: Layout {
                    counter,
                    author: NodeId::from(author),
                    holders: holders.into_iter().map(NodeId::from).collect(),
                },
                deleted,
                size,
                digest: Digest::of(&[]),
                content_type: "text/plain".into(),
                factor: 2,
            },
        )
    }

    proptest! {
        #[test]
        fn merging_is_commutative(a in record(), b in record()) {
            prop_assert_eq!(a.clone().merge(b.clone()), b.merge(a));
        }

        #[test]
        fn merging_is_associative(a in record(), b in record(), c in record()) {
            let left = a.clone().merge(b.clone()).merge(c.clone());
            prop_assert_eq!(left, a.merge(b.merge(c)));
        }

        #[test]
        fn merging_is_idempotent_and_keeps_the_newest(a in record(), b in record()) {
            prop_assert_eq!(a.clone().merge(a.clone()), a.clone());
            let merged = a.clone().merge(b.clone());
            prop_assert!(merged.version >= a.version && merged.version >= b.version);
            if a.version > b.version {
                prop_assert_eq!(merged, a);
            }
        }
    }
}
