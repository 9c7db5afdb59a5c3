//! `Holdings`: which files this node has, and whether as replicas or as cached copies.
//!
//! A mirror of the store's index, updated in the order of its commits, so that questions are answered without
//! touching the disk. A tombstone is a holding without content.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use crate::id::FileId;
use crate::key::Key;
use crate::limits::SCAN_KEYS_MAX;
use crate::reconcile::{BucketRange, bucket_of, first_of};
use crate::record::Record;
use crate::version::{Millis, Version};

/// In which role a node holds a file. Ordered: a replica is worth more than a cached copy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// An extra copy, evictable.
    Cached,
    /// A durable copy, named in the layout, never evicted.
    Replica,
}

impl Role {
    /// The role's name, as users see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cached => "cached",
            Self::Replica => "replica",
        }
    }
}

/// A node's own entry for a file that it has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holding {
    /// The file's record.
    pub record: Arc<Record>,
    /// In which role it is held.
    pub role: Role,
    /// When a cached copy was last known to be the newest version; 0 when it has not been confirmed since the node
    /// started.
    pub validated: Millis,
    /// When the content was last checked against the digest. For a tombstone, which has no content: the node's
    /// total running time in milliseconds, over all its runs, when the tombstone was stored; 0 when that was
    /// before this time was counted.
    pub verified: Millis,
}

/// A number of files and their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Total {
    /// The number of files.
    pub files: u64,
    /// The sum of their sizes.
    pub bytes: u64,
}

impl Total {
    fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }

    fn take(&mut self, bytes: u64) {
        self.files -= 1;
        self.bytes -= bytes;
    }
}

/// What was found in one page of the holdings.
#[derive(Debug)]
pub struct Page<T> {
    /// What was found, ordered by key.
    pub items: Vec<T>,
    /// Where the next page starts; `None` at the end.
    pub resume_after: Option<Key>,
}

/// Every holding of one node, by key.
#[derive(Default, Debug)]
pub struct Holdings {
    by_key: BTreeMap<Key, Holding>,
    /// The same files by id, to find a few of them, or those in a bucket, without looking at all.
    by_file: BTreeSet<(FileId, Key)>,
    replicas: Total,
    cached: Total,
}

impl Holdings {
    /// The holding of this file.
    #[must_use]
    pub fn find(&self, key: &Key) -> Option<&Holding> {
        self.by_key.get(key)
    }

    /// Inserts a holding; returns the one that it replaced.
    pub fn put(&mut self, holding: Holding) -> Option<Holding> {
        self.count(&holding, Total::add);
        // Remove first: a map keeps its old key on insert, so the old key's text would stay in memory beside the
        // new one's.
        let before = self.by_key.remove(&holding.record.key);
        let key = holding.record.key.clone();
        let place = (key.file_id(), key.clone());
        if before.is_some() {
            self.by_file.remove(&place);
        }
        self.by_file.insert(place);
        self.by_key.insert(key, holding);
        if let Some(before) = &before {
            self.count(before, Total::take);
        }
        before
    }

    /// Removes and returns the holding of this file.
    pub fn remove(&mut self, key: &Key) -> Option<Holding> {
        let before = self.by_key.remove(key);
        if let Some(before) = &before {
            self.by_file.remove(&(key.file_id(), key.clone()));
            self.count(before, Total::take);
        }
        before
    }

    /// The holdings of the files with this id: one, unless two keys share it.
    pub fn of_file(&self, file: FileId) -> impl Iterator<Item = &Holding> {
        self.files_from(file)
            .take_while(move |(found, _)| *found == file)
            .map(|(_, holding)| holding)
    }

    /// Visits the next holdings in the order of their file ids, starting after `after`, and at most [`SCAN_KEYS_MAX`]:
    /// call it again with what it returns. `None` at the end.
    pub fn visit_files(
        &self,
        after: Option<FileId>,
        each: impl FnMut(FileId, &Holding),
    ) -> Option<FileId> {
        let files = self.files_from(FileId::first_after(after)?);
        visit_page(files, each)
    }

    /// The same for the files in this range.
    pub fn visit_range(
        &self,
        range: &BucketRange,
        after: Option<FileId>,
        each: impl FnMut(FileId, &Holding),
    ) -> Option<FileId> {
        let first = FileId::first_after(range.after.max(after))?;
        let buckets = range.buckets.range(bucket_of(first)..);
        let files = buckets.flat_map(|bucket| {
            let files = self.files_from(first.max(first_of(*bucket)));
            files.take_while(|(file, _)| bucket_of(*file) == *bucket)
        });
        visit_page(files.take_while(|(file, _)| *file <= range.until), each)
    }

    /// The holdings from this file id on.
    fn files_from(&self, file: FileId) -> impl Iterator<Item = (FileId, &Holding)> {
        let from = self.by_file.range((file, Key::before_all())..);
        from.filter_map(|(file, key)| Some((*file, self.by_key.get(key)?)))
    }

    /// Records that this version was the newest at `now`. Does nothing when another version is held.
    pub fn validated(&mut self, key: &Key, version: Version, now: Millis) {
        if let Some(holding) = self.of_version(key, version) {
            holding.validated = now;
        }
    }

    /// Records that the content of this version matched its digest at `now`.
    pub fn verified(&mut self, key: &Key, version: Version, now: Millis) {
        if let Some(holding) = self.of_version(key, version) {
            holding.verified = now;
        }
    }

    /// Visits the next holdings in the order of their keys, starting after `after`, and at most [`SCAN_KEYS_MAX`]:
    /// call it again with what it returns, so that no lock is held for all of them. `None` at the end.
    pub fn visit(&self, after: Option<&Key>, mut each: impl FnMut(&Holding)) -> Option<Key> {
        self.visit_until("", after, |holding| {
            each(holding);
            ControlFlow::Continue(())
        })
    }

    /// The same for keys with this prefix, and not further than `each` wants: `None` then, too.
    pub fn visit_until(
        &self,
        prefix: &str,
        after: Option<&Key>,
        mut each: impl FnMut(&Holding) -> ControlFlow<()>,
    ) -> Option<Key> {
        let from = after.map_or(Bound::Included(prefix), |key| Bound::Excluded(key.as_str()));
        let next = self.by_key.range::<str, _>((from, Bound::Unbounded));
        let next = next.take_while(|(key, _)| key.as_str().starts_with(prefix));
        for (count, (key, holding)) in next.enumerate() {
            if each(holding).is_break() {
                return None;
            }
            if count + 1 >= SCAN_KEYS_MAX {
                return Some(key.clone());
            }
        }
        None
    }

    /// What `pick` makes of the next holdings: see [`Holdings::visit`].
    pub fn page<T>(
        &self,
        after: Option<&Key>,
        mut pick: impl FnMut(&Holding) -> Option<T>,
    ) -> Page<T> {
        let mut items = Vec::new();
        let resume_after = self.visit(after, |holding| items.extend(pick(holding)));
        Page {
            items,
            resume_after,
        }
    }

    /// Every holding, ordered by key.
    pub fn iter(&self) -> impl Iterator<Item = &Holding> {
        self.by_key.values()
    }

    /// The number of holdings, tombstones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Replicas, without tombstones.
    #[must_use]
    pub const fn replicas(&self) -> Total {
        self.replicas
    }

    /// Cached copies.
    #[must_use]
    pub const fn cached(&self) -> Total {
        self.cached
    }

    fn of_version(&mut self, key: &Key, version: Version) -> Option<&mut Holding> {
        self.by_key
            .get_mut(key)
            .filter(|holding| holding.record.version == version)
    }

    fn count(&mut self, holding: &Holding, change: fn(&mut Total, u64)) {
        if holding.record.deleted {
            return;
        }
        let total = match holding.role {
            Role::Replica => &mut self.replicas,
            Role::Cached => &mut self.cached,
        };
        change(total, holding.record.size);
    }
}

/// Visits one page of files, which are ordered by id. Files that share an id are on one page.
fn visit_page<'a>(
    files: impl Iterator<Item = (FileId, &'a Holding)>,
    mut each: impl FnMut(FileId, &Holding),
) -> Option<FileId> {
    let mut files = files.peekable();
    let mut count = 0;
    while let Some((file, holding)) = files.next() {
        each(file, holding);
        count += 1;
        let next = files.peek().map(|(next, _)| *next);
        if count >= SCAN_KEYS_MAX && next.is_some_and(|next| next != file) {
            return Some(file);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Digest;
    use crate::id::NodeId;
    use crate::record::Layout;
    use crate::version::Stamp;

    fn holding(number: usize) -> Holding {
        let writer = NodeId::from(1);
        let record = Record {
            key: Key::parse(&format!("ada/{number}")).expect("it is a key"),
            version: Version {
                stamp: Stamp(5),
                writer,
            },
            layout: Layout {
                counter: 0,
                author: writer,
                holders: vec![writer],
            },
            deleted: false,
            size: 1,
            digest: Digest::of(b"x"),
            content_type: "text/plain".into(),
            factor: 1,
        };
        Holding {
            record: Arc::new(record),
            role: Role::Replica,
            validated: 0,
            verified: 0,
        }
    }

    /// The ids of all pages.
    fn all(
        mut page: impl FnMut(Option<FileId>, &mut Vec<FileId>) -> Option<FileId>,
    ) -> Vec<FileId> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let before = found.len();
            after = page(after, &mut found);
            assert!(found.len() - before <= SCAN_KEYS_MAX);
            if after.is_none() {
                return found;
            }
        }
    }

    #[test]
    fn files_are_found_by_id_and_by_bucket_and_go_with_their_holding() {
        let mut holdings = Holdings::default();
        let count = 2 * SCAN_KEYS_MAX + 9;
        for number in 0..count {
            holdings.put(holding(number));
        }
        // A second time changes nothing.
        holdings.put(holding(7));
        for number in 0..9 {
            holdings.remove(&holding(number).record.key);
        }
        let ids = (9..count).map(|number| holding(number).record.key.file_id());
        let ids: BTreeSet<FileId> = ids.collect();
        let ordered: Vec<FileId> = ids.iter().copied().collect();
        let visited = all(|after, found| holdings.visit_files(after, |file, _| found.push(file)));
        assert_eq!(visited, ordered);
        let gone = holding(8).record.key.file_id();
        assert_eq!(holdings.of_file(gone).count(), 0);
        let found = holdings
            .of_file(ordered[3])
            .map(|it| it.record.key.file_id());
        assert_eq!(found.collect::<Vec<_>>(), [ordered[3]]);

        for (buckets, after, until) in [
            ((0..1024).collect(), None, FileId(u64::MAX)),
            (
                (0..1024).step_by(3).collect(),
                Some(ordered[2000]),
                ordered[7000],
            ),
            (
                BTreeSet::from([bucket_of(ordered[5])]),
                None,
                FileId(u64::MAX),
            ),
            (BTreeSet::new(), None, FileId(u64::MAX)),
            (
                (0..1024).collect(),
                Some(FileId(u64::MAX)),
                FileId(u64::MAX),
            ),
        ] {
            let range = BucketRange {
                buckets,
                after,
                until,
            };
            let expected: Vec<FileId> = ordered
                .iter()
                .copied()
                .filter(|it| range.has(*it))
                .collect();
            let visited =
                all(|after, found| holdings.visit_range(&range, after, |file, _| found.push(file)));
            assert_eq!(visited, expected);
        }
    }
}
