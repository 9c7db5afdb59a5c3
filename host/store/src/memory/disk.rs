//! `MemoryDisk`: the durable state behind a `MemoryStore`, and what a crash leaves of it.
//!
//! At most one store is alive on a disk at a time. Submitted work becomes durable in order, after the time that a
//! commit takes, and only then are the caller and the observer notified. A crash keeps a prefix of the waiting
//! work, of any length, as a journal does.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dataverse_core::content::GroupTree;
use dataverse_core::holdings::Holding;
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::secret::Secret;
use dataverse_core::version::Stamp;
use parking_lot::{Mutex, MutexGuard};

use super::{Audience, MemoryStore};
use crate::rope::Rope;
use crate::rules::{Fate, Verdict, decide};
use crate::{Applied, Change, Lifetime, Opened, SavedLinks, StoreError};

/// How long the next commit takes.
pub type CommitPace = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Work that is to become durable. Its second argument says whether the store that submitted it is still alive.
pub(super) type Job = Box<dyn FnOnce(&mut Kept, bool) + Send>;

/// The state that outlives a [`MemoryStore`].
pub struct MemoryDisk {
    state: Mutex<State>,
    pace: Option<CommitPace>,
}

#[derive(Default)]
struct State {
    kept: Kept,
    waiting: VecDeque<Job>,
    /// The number of the store that was opened last, and whether it is still alive.
    opened: u64,
    is_open: bool,
}

/// The durable state.
pub(super) struct Kept {
    held: BTreeMap<Key, Stored>,
    /// Replicas that were quarantined and not restored yet.
    missing: BTreeMap<Key, Arc<Record>>,
    pub(super) links: SavedLinks,
    pub(super) ceiling: Stamp,
    pub(super) lifetime: Lifetime,
    secret: Secret,
}

impl Default for Kept {
    /// A new disk: empty but for its secret.
    fn default() -> Self {
        Self {
            held: BTreeMap::new(),
            missing: BTreeMap::new(),
            links: SavedLinks::default(),
            ceiling: Stamp::default(),
            lifetime: Lifetime::default(),
            secret: crate::secret::draw(),
        }
    }
}

struct Stored {
    holding: Holding,
    rope: Rope,
    tree: Arc<GroupTree>,
}

impl MemoryDisk {
    /// An empty disk on which everything is durable immediately.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            pace: None,
        })
    }

    /// An empty disk whose commits take this long. Its stores must be used within a tokio runtime.
    #[must_use]
    pub fn paced(pace: CommitPace) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            pace: Some(pace),
        })
    }

    /// Opens a store with this capacity in bytes on the disk. A store opened earlier is no longer alive.
    #[must_use]
    pub fn open(self: &Arc<Self>, capacity: u64) -> Arc<MemoryStore> {
        let mut state = self.state();
        state.waiting.clear();
        state.opened += 1;
        state.is_open = true;
        MemoryStore::new_on(Arc::clone(self), state.opened, capacity, &state.kept)
    }

    /// Simulates a crash of the machine: the store is no longer alive. `kept` gets the number of changes that wait to
    /// become durable and returns how many of the first ones become durable nevertheless.
    pub fn crash(&self, kept: impl FnOnce(usize) -> usize) {
        let mut state = self.state();
        state.is_open = false;
        let survive = kept(state.waiting.len());
        let State {
            kept: disk,
            waiting,
            ..
        } = &mut *state;
        for job in std::mem::take(waiting).into_iter().take(survive) {
            job(disk, false);
        }
    }

    /// Removes everything, as if this were another disk. No store may be alive on it.
    pub fn wipe(&self) {
        let mut state = self.state();
        assert!(!state.is_open, "a disk in use is not wiped");
        state.kept = Kept::default();
        state.waiting.clear();
    }

    /// Copies the secret of another disk, as a copied data folder has it. Call it before a store is opened.
    #[cfg(feature = "testing")]
    pub fn share_secret_of(&self, other: &Self) {
        let secret = other.state().kept.secret.clone();
        self.state().kept.secret = secret;
    }

    /// Every durable holding, in order of the key.
    #[must_use]
    pub fn holdings(&self) -> Vec<Holding> {
        self.state().kept.holdings().cloned().collect()
    }

    /// The durable holding of this file.
    #[must_use]
    pub fn holding(&self, key: &Key) -> Option<Holding> {
        let state = self.state();
        let stored = state.kept.held.get(key);
        stored.map(|stored| stored.holding.clone())
    }

    /// The stored content of this file.
    #[must_use]
    pub fn content(&self, key: &Key) -> Option<Bytes> {
        let state = self.state();
        let stored = state.kept.held.get(key)?;
        Some(stored.rope.from(0).concat().into())
    }

    /// Flips one bit of the stored content of this file. False when there is no such bit.
    pub fn rot(&self, key: &Key, offset: u64) -> bool {
        let mut state = self.state();
        let Some(stored) = state.kept.held.get_mut(key) else {
            return false;
        };
        let mut content = stored.rope.from(0).concat();
        let Some(byte) = usize::try_from(offset)
            .ok()
            .and_then(|at| content.get_mut(at))
        else {
            return false;
        };
        *byte ^= 1;
        stored.rope = Rope::default();
        stored.rope.push(content.into());
        true
    }

    pub(super) fn check(&self, store: u64) -> Result<(), StoreError> {
        self.state().check(store)
    }

    pub(super) fn found(&self) -> Opened {
        let state = self.state();
        let kept = &state.kept;
        Opened {
            holdings: kept.holdings().cloned().collect(),
            ceiling: kept.ceiling,
            secret: kept.secret.clone(),
            links: kept.links.clone(),
            lifetime: kept.lifetime,
            missing: kept.missing.values().cloned().collect(),
        }
    }

    pub(super) fn content_of(
        &self,
        record: &Record,
    ) -> Result<(Record, Rope, Arc<GroupTree>), StoreError> {
        let state = self.state();
        let stored = state.kept.held.get(&record.key).filter(|stored| {
            let held = &stored.holding.record;
            held.version == record.version && !held.deleted
        });
        let stored = stored.ok_or_else(|| StoreError::Absent(record.key.clone()))?;
        let held = Record::clone(&stored.holding.record);
        Ok((held, stored.rope.clone(), Arc::clone(&stored.tree)))
    }

    pub(super) fn hand_in(self: &Arc<Self>, store: u64, job: Job) -> Result<(), StoreError> {
        let mut state = self.state();
        state.check(store)?;
        let Some(pace) = &self.pace else {
            job(&mut state.kept, true);
            return Ok(());
        };
        state.waiting.push_back(job);
        // Work that arrives while a commit is under way becomes part of it.
        if state.waiting.len() == 1 {
            let (disk, takes) = (Arc::clone(self), pace());
            tokio::spawn(async move {
                tokio::time::sleep(takes).await;
                disk.commit(store);
            });
        }
        Ok(())
    }

    pub(super) fn close(&self, store: u64) {
        self.commit(store);
        let mut state = self.state();
        state.is_open &= state.opened != store;
    }

    /// Makes the waiting work durable.
    fn commit(&self, store: u64) {
        let mut state = self.state();
        if state.check(store).is_err() {
            return;
        }
        let State { kept, waiting, .. } = &mut *state;
        for job in waiting.drain(..) {
            job(kept, true);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    fn check(&self, store: u64) -> Result<(), StoreError> {
        if self.is_open && self.opened == store {
            return Ok(());
        }
        Err(StoreError::Closed)
    }
}

impl Kept {
    pub(super) fn holdings(&self) -> impl Iterator<Item = &Holding> {
        self.held.values().map(|stored| &stored.holding)
    }

    /// Applies a change. The audience is notified under the disk's lock, so it sees the changes in the order in
    /// which they were made.
    pub(super) fn apply(
        &mut self,
        change: Change,
        audience: Option<&Audience>,
    ) -> Result<Applied, StoreError> {
        let notify = |key: &Key, before: Option<&Holding>, after: Option<&Holding>| {
            if let Some(audience) = audience {
                audience.notify(key, before, after);
            }
        };
        let key = change.key().clone();
        match (self.missing.get(&key), &change) {
            (Some(lost), Change::Put { record, .. }) if record.version < lost.version => {
                return Ok(Applied::Superseded(Arc::clone(lost)));
            }
            (Some(lost), Change::Drop { version, .. }) if *version >= lost.version => {
                self.missing.remove(&key);
            }
            _ => {}
        }
        let present = self.held.get(&key).map(|stored| &stored.holding);
        match decide(present, &change)? {
            Verdict::Nothing => Ok(Applied::Nothing),
            Verdict::Superseded(record) => Ok(Applied::Superseded(record)),
            Verdict::Remove { misses, .. } => {
                let before = self.held.remove(&key).map(|stored| stored.holding);
                let bad = before.as_ref();
                if let Some(bad) = bad.filter(|_| misses) {
                    let record = Arc::clone(&bad.record);
                    self.missing.insert(key.clone(), record);
                }
                notify(&key, before.as_ref(), None);
                Ok(Applied::Done { before })
            }
            Verdict::Hold { after, content } => {
                self.missing.remove(&key);
                let before = self.held.remove(&key);
                let (rope, tree) = match (content, change, &before) {
                    (Fate::Kept, _, Some(stored)) => {
                        (stored.rope.clone(), Arc::clone(&stored.tree))
                    }
                    (
                        Fate::Replaced,
                        Change::Put {
                            content: Some(content),
                            ..
                        },
                        _,
                    ) if !after.record.deleted => (content.rope(), content.tree()),
                    _ => Default::default(),
                };
                let before = before.map(|stored| stored.holding);
                notify(&key, before.as_ref(), Some(&after));
                let holding = Holding {
                    validated: 0,
                    ..after
                };
                let stored = Stored {
                    holding,
                    rope,
                    tree,
                };
                self.held.insert(key, stored);
                Ok(Applied::Done { before })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use dataverse_core::holdings::Role;

    use super::*;
    use crate::Store;
    use crate::suite::{Bench, put, record};

    const CAPACITY: u64 = 1 << 20;
    const TAKES: Duration = Duration::from_millis(5);

    #[tokio::test]
    async fn what_is_durable_outlives_its_store() {
        let disk = MemoryDisk::new();
        let first = Bench::of(disk.open(CAPACITY), None);
        let x = record("ada/x", 1, b"content");
        first.put(&x, Role::Replica, b"content").await;
        let ceiling = first.store.save_ceiling(Stamp(9)).await;
        ceiling.expect("the store is alive");
        disk.crash(|waiting| waiting);

        assert!(matches!(
            first.store.save_ceiling(Stamp(10)).await,
            Err(StoreError::Closed)
        ));
        let second = Bench::of(disk.open(CAPACITY), None);
        assert_eq!(second.opened.ceiling, Stamp(9));
        assert_eq!(second.store.usage().replicas, 7);
        assert_eq!(second.read(&x).await.expect("it is held"), b"content");
    }

    #[tokio::test(start_paused = true)]
    async fn a_crash_leaves_the_first_of_what_was_under_way_and_tells_nobody() {
        let names = ["ada/a", "ada/b", "ada/c"];
        for survive in 0..=names.len() {
            let disk = MemoryDisk::paced(Arc::new(|| TAKES));
            let bench = Bench::of(disk.open(CAPACITY), None);
            let mut waiting = Vec::new();
            for name in names {
                let content = Some(bench.prepare(b"x").await);
                let change = put(&record(name, 1, b"x"), Role::Replica, content);
                let store = Arc::clone(&bench.store);
                waiting.push(tokio::spawn(async move { store.apply(change).await }));
            }
            tokio::time::sleep(TAKES / 2).await;
            disk.crash(|waiting| {
                assert_eq!(waiting, names.len());
                survive
            });
            for one in waiting {
                let answer = one.await.expect("nobody panics");
                assert!(matches!(answer, Err(StoreError::Closed)), "{answer:?}");
            }
            assert_eq!(bench.mirror.files(), 0);
            let left = disk.holdings();
            let left = left.iter().map(|holding| holding.record.key.as_str());
            assert_eq!(left.collect::<Vec<_>>(), names[..survive]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_takes_its_time_and_closing_waits_for_none() {
        let disk = MemoryDisk::paced(Arc::new(|| TAKES));
        let store = disk.open(CAPACITY);
        let before = tokio::time::Instant::now();
        store.save_ceiling(Stamp(1)).await.expect("it is saved");
        assert_eq!(before.elapsed(), TAKES);
        let saving = Arc::clone(&store);
        let saving = tokio::spawn(async move { saving.save_ceiling(Stamp(2)).await });
        tokio::task::yield_now().await;
        store.close().await;
        saving
            .await
            .expect("nobody panics")
            .expect("what was submitted before is durable");
    }
}
