//! Reconciliation: how two nodes find the records in which they differ without sending each other everything they
//! hold.
//!
//! The *shared set* of two nodes is the replicas whose layout names both. It is summarised in [`BUCKETS`] sums of
//! hashes, bucketed by the first bits of the file id, and one root over those sums. Each change of the index
//! updates its sum, so comparing two nodes needs no scan. Where the roots differ, the sums are compared. Where
//! sums differ, the files are listed as [`DigestEntry`]s of 16 bytes, and only the records that differ are sent.
//! This is a Merkle tree of two levels, used for anti-entropy after Demers et al., "Epidemic algorithms for
//! replicated database maintenance" (1987), §1.3.
//!
//! Tombstones are not part of the sums: a stale copy is, and that makes the difference. So nodes may forget a
//! tombstone at different times without sending it to each other again and again.
//!
//! This module is state and arithmetic only. Which messages are exchanged and what to do about a difference is decided in
//! `host/replication/src/anti_entropy`.

mod message;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::id::{FileId, NodeId};
use crate::limits::RECONCILE_BUCKETS as BUCKETS;
use crate::limits::RECONCILE_RECORDS_MAX;
use crate::record::Record;

pub use message::{ReconcileAnswer, ReconcileAsk};

const BUCKET_BITS: u32 = BUCKETS.trailing_zeros();

/// A file and a hash of its record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct DigestEntry {
    /// The file.
    pub file: FileId,
    /// The upper half of the hash of its version and layout.
    pub fingerprint: u64,
}

impl DigestEntry {
    /// The digest entry of a record.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        let file = record.key.file_id();
        Self {
            file,
            fingerprint: half(fingerprint_of(file, record)),
        }
    }
}

fn half(fingerprint: u128) -> u64 {
    (fingerprint >> 64) as u64
}

/// Equal only for equal (file, version, layout counter, layout author).
fn fingerprint_of(file: FileId, record: &Record) -> u128 {
    let mut bytes = [0; 56];
    bytes[..8].copy_from_slice(&file.0.to_be_bytes());
    bytes[8..16].copy_from_slice(&record.version.stamp.0.to_be_bytes());
    bytes[16..32].copy_from_slice(record.version.writer.as_bytes());
    bytes[32..40].copy_from_slice(&record.layout.counter.to_be_bytes());
    bytes[40..].copy_from_slice(record.layout.author.as_bytes());
    first_half(blake3::hash(&bytes))
}

fn first_half(hash: blake3::Hash) -> u128 {
    let mut first = [0; 16];
    first.copy_from_slice(&hash.as_bytes()[..16]);
    u128::from_be_bytes(first)
}

/// The bucket of a file.
#[must_use]
pub const fn bucket_of(file: FileId) -> u16 {
    (file.0 >> (64 - BUCKET_BITS)) as u16
}

/// The lowest file id of a bucket.
#[must_use]
pub const fn first_of(bucket: u16) -> FileId {
    FileId((bucket as u64) << (64 - BUCKET_BITS))
}

#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
struct Bucket {
    sum: u128,
    files: u64,
}

/// The sums over one set of records. Adding and removing commute, so the order of changes does not matter.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub struct Summary {
    buckets: BTreeMap<u16, Bucket>,
}

impl Summary {
    /// Adds a file with this hash.
    fn add(&mut self, file: FileId, fingerprint: u128) {
        let bucket = self.buckets.entry(bucket_of(file)).or_default();
        bucket.sum = bucket.sum.wrapping_add(fingerprint);
        bucket.files += 1;
    }

    /// Removes a file that was added with this hash.
    fn take(&mut self, file: FileId, fingerprint: u128) {
        let at = bucket_of(file);
        let Some(bucket) = self.buckets.get_mut(&at) else {
            return;
        };
        bucket.sum = bucket.sum.wrapping_sub(fingerprint);
        bucket.files = bucket.files.saturating_sub(1);
        if bucket.files == 0 {
            self.buckets.remove(&at);
        }
    }

    /// One hash over the whole set: equal only for equal sets.
    #[must_use]
    pub fn root(&self) -> u128 {
        let mut hasher = blake3::Hasher::new();
        for (at, bucket) in &self.buckets {
            hasher.update(&at.to_be_bytes());
            hasher.update(&bucket.sum.to_be_bytes());
        }
        first_half(hasher.finalize())
    }

    /// The sum of every bucket.
    #[must_use]
    pub fn sums(&self) -> Vec<u128> {
        let mut sums = vec![0; BUCKETS];
        for (at, bucket) in &self.buckets {
            sums[usize::from(*at)] = bucket.sum;
        }
        sums
    }

    /// The buckets whose sums differ from these.
    #[must_use]
    pub fn differing(&self, sums: &[u128]) -> Vec<u16> {
        let own = self.sums();
        let both = own.iter().zip(sums).enumerate();
        both.filter(|(_, (own, other))| own != other)
            .map(|(at, _)| at as u16)
            .collect()
    }

    /// The number of files in the set.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.buckets.values().map(|bucket| bucket.files).sum()
    }

    /// The number of files in one bucket.
    #[must_use]
    pub fn files_in(&self, bucket: u16) -> u64 {
        self.buckets.get(&bucket).map_or(0, |bucket| bucket.files)
    }
}

/// The shared sets of this node with each other node.
#[derive(Default, Debug)]
pub struct Shared {
    with: BTreeMap<NodeId, Summary>,
}

impl Shared {
    /// Adds a replica that is held from now on.
    pub fn add(&mut self, me: NodeId, record: &Record) {
        let file = record.key.file_id();
        let fingerprint = fingerprint_of(file, record);
        for other in others_of(me, record) {
            self.with.entry(other).or_default().add(file, fingerprint);
        }
    }

    /// Removes a replica that is no longer held.
    pub fn take(&mut self, me: NodeId, record: &Record) {
        let file = record.key.file_id();
        let fingerprint = fingerprint_of(file, record);
        for other in others_of(me, record) {
            let Some(summary) = self.with.get_mut(&other) else {
                continue;
            };
            summary.take(file, fingerprint);
            if summary.buckets.is_empty() {
                self.with.remove(&other);
            }
        }
    }

    /// The summary of what is shared with this node.
    #[must_use]
    pub fn with(&self, other: NodeId) -> Option<&Summary> {
        self.with.get(&other)
    }

    /// The nodes with which anything is shared.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.with.keys().copied()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.with.clear();
    }
}

fn others_of(me: NodeId, record: &Record) -> impl Iterator<Item = NodeId> {
    let names_me = record.layout.names(me);
    let holders = record.layout.holders.iter().copied();
    holders.filter(move |other| names_me && *other != me)
}

/// A part of a shared set: the files of some buckets whose ids are above one bound and up to another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BucketRange {
    /// The buckets.
    pub buckets: BTreeSet<u16>,
    /// Only files above this one.
    pub after: Option<FileId>,
    /// Only files up to this one.
    pub until: FileId,
}

impl BucketRange {
    /// Whether a file is in this range.
    #[must_use]
    pub fn has(&self, file: FileId) -> bool {
        Some(file) > self.after && file <= self.until && self.buckets.contains(&bucket_of(file))
    }
}

/// The result of a comparison.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Compared {
    /// Records that differ from their digest entries and, where a range was compared, those in it that had no
    /// entry.
    pub records: Vec<Arc<Record>>,
    /// Listed files that are not held here.
    pub unknown: Vec<FileId>,
    /// How far the range was compared; files above have yet to be.
    pub until: FileId,
}

/// A comparison in progress: another node's digest entries against this node's holdings, page by page.
#[derive(Debug)]
pub struct Comparison {
    pub(crate) asker: NodeId,
    pub(crate) range: Option<BucketRange>,
    /// The asker's entries, until they are looked up.
    entries: BTreeMap<FileId, u64>,
    /// Files of the entries that are held here.
    met: BTreeSet<FileId>,
    /// Files of the entries that are not.
    unknown: BTreeSet<FileId>,
    records: BTreeMap<FileId, Arc<Record>>,
    until: FileId,
}

impl Comparison {
    /// Compares `asker`'s digest entries: with a range, everything that it shares with this node in that range;
    /// without one, just some files.
    #[must_use]
    pub fn new(asker: NodeId, range: Option<BucketRange>, entries: Vec<DigestEntry>) -> Self {
        let until = range.as_ref().map_or(FileId(u64::MAX), |range| range.until);
        Self {
            asker,
            range,
            entries: entries
                .into_iter()
                .map(|entry| (entry.file, entry.fingerprint))
                .collect(),
            met: BTreeSet::new(),
            unknown: BTreeSet::new(),
            records: BTreeMap::new(),
            until,
        }
    }

    /// Whether there is nothing to compare.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.range.is_none() && self.entries.is_empty()
    }

    /// Takes the entries to look up.
    pub(crate) fn take_entries(&mut self) -> BTreeMap<FileId, u64> {
        std::mem::take(&mut self.entries)
    }

    /// Records whether the file of an entry is held here.
    pub(crate) fn looked_up(&mut self, file: FileId, is_held: bool) {
        let files = match is_held {
            true => &mut self.met,
            false => &mut self.unknown,
        };
        files.insert(file);
    }

    /// Whether there was an entry of this file, which is held here.
    pub(crate) fn has_met(&self, file: FileId) -> bool {
        self.met.contains(&file)
    }

    /// Adds a record to the answer. If there are too many, those with the lowest file ids are kept.
    pub(crate) fn tell(&mut self, file: FileId, record: &Arc<Record>) {
        if file > self.until {
            return;
        }
        self.records.insert(file, Arc::clone(record));
        if self.records.len() > RECONCILE_RECORDS_MAX {
            self.records.pop_last();
            let last = self.records.last_key_value();
            self.until = last.map_or(self.until, |(last, _)| *last);
        }
    }

    /// The result, after all pages were compared.
    #[must_use]
    pub fn finish(self) -> Compared {
        let until = self.until;
        let unknown = self.unknown.into_iter().filter(|file| *file <= until);
        Compared {
            records: self.records.into_values().collect(),
            unknown: unknown.collect(),
            until,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::content::Digest;
    use crate::key::Key;
    use crate::record::Layout;
    use crate::version::{Stamp, Version};

    fn record(number: u32, stamp: u64) -> Record {
        Record {
            version: Version {
                stamp: Stamp(stamp),
                writer: NodeId::from(9),
            },
            layout: Layout {
                counter: 0,
                author: NodeId::from(9),
                holders: [1, 2, 3].map(NodeId::from).to_vec(),
            },
            deleted: false,
            size: 3,
            digest: Digest::of(b"abc"),
            content_type: "text/plain".into(),
            factor: 3,
            key: Key::parse(&format!("ada/{number}")).expect("it is a key"),
        }
    }

    fn add(summary: &mut Summary, record: &Record) {
        let file = record.key.file_id();
        summary.add(file, fingerprint_of(file, record));
    }

    fn take(summary: &mut Summary, record: &Record) {
        let file = record.key.file_id();
        summary.take(file, fingerprint_of(file, record));
    }

    #[test]
    fn a_sum_that_came_and_went_leaves_nothing() {
        let mut summary = Summary::default();
        for number in 0..100 {
            add(&mut summary, &record(number, 1));
        }
        assert_eq!(summary.files(), 100);
        for number in (0..100).rev() {
            take(&mut summary, &record(number, 1));
        }
        assert_eq!(summary, Summary::default());
        assert_eq!(summary.root(), Summary::default().root());
    }

    #[test]
    fn what_differs_is_found_in_its_bucket() {
        let (mut one, mut other) = (Summary::default(), Summary::default());
        for number in 0..5_000 {
            add(&mut one, &record(number, 1));
            add(&mut other, &record(number, 1 + u64::from(number == 77)));
        }
        assert_ne!(one.root(), other.root());
        let bucket = bucket_of(record(77, 1).key.file_id());
        assert_eq!(one.differing(&other.sums()), [bucket]);
        assert_eq!(other.differing(&one.sums()), [bucket]);
    }

    #[test]
    fn a_node_shares_what_names_it_and_another() {
        let mut shared = Shared::default();
        shared.add(NodeId::from(1), &record(0, 1));
        shared.add(NodeId::from(8), &record(1, 1));
        let nodes: Vec<_> = shared.nodes().collect();
        assert_eq!(nodes, [2, 3].map(NodeId::from));
        shared.take(NodeId::from(1), &record(0, 1));
        assert_eq!(shared.nodes().count(), 0);
    }

    #[test]
    fn a_comparison_tells_as_many_records_as_fit_and_says_how_far_it_came() {
        let all = BucketRange {
            buckets: (0..BUCKETS as u16).collect(),
            after: None,
            until: FileId(u64::MAX),
        };
        let mut comparison = Comparison::new(NodeId::from(2), Some(all), Vec::new());
        let count = RECONCILE_RECORDS_MAX as u32 + 10;
        for number in 0..count {
            let record = Arc::new(record(number, 1));
            comparison.tell(record.key.file_id(), &record);
        }
        let compared = comparison.finish();
        assert_eq!(compared.records.len(), RECONCILE_RECORDS_MAX);
        let above = (0..count).filter(|number| record(*number, 1).key.file_id() > compared.until);
        assert_eq!(above.count(), 10);
    }

    proptest! {
        #[test]
        fn equal_sets_have_equal_roots_in_whatever_order_they_came(
            mut numbers in prop::collection::btree_set(0u32..1_000, 0..100)
                .prop_map(|set| set.into_iter().collect::<Vec<_>>()),
            extra in 1_000u32..2_000,
        ) {
            let sum = |numbers: &[u32]| {
                let mut summary = Summary::default();
                numbers.iter().for_each(|number| add(&mut summary, &record(*number, 1)));
                summary
            };
            let one = sum(&numbers);
            numbers.reverse();
            let other = sum(&numbers);
            prop_assert_eq!(one.root(), other.root());
            numbers.push(extra);
            prop_assert_ne!(one.root(), sum(&numbers).root());
        }
    }
}
