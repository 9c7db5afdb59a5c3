//! `MemoryStore`: a store that ends with its process. For tests and `demo --ephemeral`.
//!
//! It keeps the rules of every store, room included, and writes nothing anywhere.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use async_trait::async_trait;
use dataverse_core::holdings::{Holding, Role};
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::version::Stamp;

use super::content::Source;
use super::room::Room;
use super::rope::Rope;
use super::rules::{Fate, Verdict, decide};
use super::{
    Applied, Change, Content, Life, Observer, Opened, SavedLinks, Spool, Store, StoreError, Usage,
    locked,
};

/// A store in memory.
pub struct MemoryStore {
    room: Arc<Room>,
    observer: OnceLock<Arc<dyn Observer>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: BTreeMap<Key, (Holding, Rope)>,
    /// Replicas that were put into quarantine and not made good yet.
    missing: BTreeMap<Key, Arc<Record>>,
    is_closed: bool,
}

impl MemoryStore {
    /// An empty store with this capacity in bytes.
    #[must_use]
    pub fn new(capacity: u64) -> Arc<Self> {
        Arc::new(Self {
            room: Room::new(Some(capacity), None),
            observer: OnceLock::new(),
            state: Mutex::default(),
        })
    }

    /// Flips a bit of a content, as a disk might.
    #[cfg(test)]
    pub(crate) fn rot(&self, key: &Key) {
        let mut state = locked(&self.state);
        let (held, rope) = state.held.get_mut(key).expect("it is held");
        let mut bytes = rope.from(0).concat();
        bytes[held.record.size as usize / 2] ^= 1;
        *rope = Rope::default();
        rope.push(bytes.into());
    }

    fn check_open(&self) -> Result<(), StoreError> {
        if locked(&self.state).is_closed {
            return Err(StoreError::Closed);
        }
        Ok(())
    }

    fn tell(&self, key: &Key, before: Option<&Holding>, after: Option<&Holding>) {
        self.room.changed(before, after);
        if let Some(observer) = self.observer.get() {
            observer.changed(key, after);
        }
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn start(&self, observer: Arc<dyn Observer>) -> Opened {
        assert!(self.observer.set(observer).is_ok(), "a store starts once");
        Opened::default()
    }

    fn spool(&self, size: Option<u64>) -> Result<Spool, StoreError> {
        self.check_open()?;
        Ok(Spool::new(self.room.reserve(size.unwrap_or(0))?, None))
    }

    async fn apply(&self, change: Change) -> Result<Applied, StoreError> {
        // The observer is told under the lock: it hears of changes in the order in which they were made.
        let mut state = locked(&self.state);
        if state.is_closed {
            return Err(StoreError::Closed);
        }
        let key = change.key().clone();
        match (state.missing.get(&key), &change) {
            (Some(lost), Change::Put { record, .. }) if record.version < lost.version => {
                return Ok(Applied::Superseded(Arc::clone(lost)));
            }
            (Some(lost), Change::Drop { version, .. }) if *version >= lost.version => {
                state.missing.remove(&key);
            }
            _ => {}
        }
        let present = state.held.get(&key).map(|(held, _)| held);
        match decide(present, &change)? {
            Verdict::Nothing => Ok(Applied::Nothing),
            Verdict::Superseded(record) => Ok(Applied::Superseded(record)),
            Verdict::Remove { quarantine } => {
                let before = state.held.remove(&key).map(|(held, _)| held);
                let bad = before.as_ref();
                if let Some(bad) = bad.filter(|held| quarantine && held.role == Role::Replica) {
                    let record = Arc::clone(&bad.record);
                    state.missing.insert(key.clone(), record);
                }
                self.tell(&key, before.as_ref(), None);
                Ok(Applied::Done { before })
            }
            Verdict::Hold { after, content } => {
                state.missing.remove(&key);
                let before = state.held.remove(&key);
                let rope = match (content, change, &before) {
                    (Fate::Kept, _, Some((_, rope))) => rope.clone(),
                    (Fate::Replaced, Change::Put { content, .. }, _) if !after.record.deleted => {
                        content.map(|content| content.rope()).unwrap_or_default()
                    }
                    _ => Rope::default(),
                };
                let before = before.map(|(held, _)| held);
                self.tell(&key, before.as_ref(), Some(&after));
                let kept = Holding {
                    validated: 0,
                    ..after
                };
                state.held.insert(key, (kept, rope));
                Ok(Applied::Done { before })
            }
        }
    }

    async fn open(&self, record: &Record) -> Result<Content, StoreError> {
        let state = locked(&self.state);
        let held = state.held.get(&record.key).filter(|(held, _)| {
            held.record.version == record.version && !held.record.deleted && !state.is_closed
        });
        let (held, rope) = held.ok_or_else(|| StoreError::Absent(record.key.clone()))?;
        Ok(Content::new(&held.record, Source::Memory(rope.clone())))
    }

    async fn save_links(&self, _links: SavedLinks) -> Result<(), StoreError> {
        self.check_open()
    }

    async fn save_ceiling(&self, _ceiling: Stamp) -> Result<(), StoreError> {
        self.check_open()
    }

    async fn save_life(&self, _life: Life) -> Result<(), StoreError> {
        self.check_open()
    }

    fn usage(&self) -> Usage {
        self.room.usage()
    }

    async fn close(&self) {
        locked(&self.state).is_closed = true;
    }
}
