//! `MemoryStore`: a store that ends with its process. For tests, simulations and `demo --ephemeral`.
//!
//! It obeys the rules of every store, including the space limits, and writes nothing to the disk. Its contents are
//! in a [`MemoryDisk`], which outlives the store as a disk outlives a program and can lose what was not yet
//! durable. All work is done on the calling thread, so a run in simulated time is reproducible.

mod disk;

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use dataverse_core::holdings::Holding;
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::version::Stamp;

use self::disk::{Job, Kept};
use super::content::ContentSource;
use super::space::Space;
use super::{
    Applied, Change, Content, Lifetime, Observer, Opened, SavedLinks, Spool, Store, StoreError,
    Usage,
};

pub use self::disk::{CommitPace, MemoryDisk};

/// A store in memory.
pub struct MemoryStore {
    disk: Arc<MemoryDisk>,
    /// Which of the stores opened on that disk this is. Only the last one is alive.
    number: u64,
    audience: Arc<Audience>,
}

/// What must be notified of every change: the space account and the observer.
struct Audience {
    space: Arc<Space>,
    observer: OnceLock<Arc<dyn Observer>>,
}

impl Audience {
    fn notify(&self, key: &Key, before: Option<&Holding>, after: Option<&Holding>) {
        self.space.changed(before, after);
        if let Some(observer) = self.observer.get() {
            observer.changed(key, after);
        }
    }
}

impl MemoryStore {
    /// An empty store with this capacity in bytes.
    #[must_use]
    pub fn new(capacity: u64) -> Arc<Self> {
        MemoryDisk::new().open(capacity)
    }

    fn new_on(disk: Arc<MemoryDisk>, number: u64, capacity: u64, kept: &Kept) -> Arc<Self> {
        let space = Space::new(Some(capacity), None);
        for holding in kept.holdings() {
            space.changed(None, Some(holding));
        }
        Arc::new(Self {
            disk,
            number,
            audience: Arc::new(Audience {
                space,
                observer: OnceLock::new(),
            }),
        })
    }

    /// Flips a bit of a content, as bit rot would.
    ///
    /// # Panics
    /// When the file is not held, or has no content.
    #[cfg(feature = "testing")]
    pub fn rot(&self, key: &Key) {
        let held = self.disk.holding(key).expect("it is held");
        let turned = self.disk.rot(key, held.record.size / 2);
        assert!(turned, "there is a bit to flip");
    }

    /// Submits this work to the disk and waits until it is durable.
    async fn durably<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Kept, Option<&Audience>) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let audience = Arc::clone(&self.audience);
        let job: Job = Box::new(move |kept, lives| {
            let audience = lives.then_some(&*audience);
            let result = work(kept, audience);
            if lives {
                // The caller may have stopped waiting.
                let _ = answer.send(result);
            }
        });
        self.disk.hand_in(self.number, job)?;
        answered.await.map_err(|_| StoreError::Closed)
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn start(&self, observer: Arc<dyn Observer>) -> Opened {
        let first = self.audience.observer.set(observer).is_ok();
        assert!(first, "a store starts once");
        self.disk.found()
    }

    fn spool(&self, size: Option<u64>) -> Result<Spool, StoreError> {
        self.disk.check(self.number)?;
        let space = self.audience.space.reserve(size.unwrap_or(0))?;
        Ok(Spool::new(space, None))
    }

    async fn apply(&self, change: Change) -> Result<Applied, StoreError> {
        self.durably(|kept, audience| kept.apply(change, audience))
            .await?
    }

    async fn open(&self, record: &Record) -> Result<Content, StoreError> {
        self.disk.check(self.number)?;
        let (record, rope, tree) = self.disk.content_of(record)?;
        Ok(Content::with_tree(
            &record,
            ContentSource::Memory(rope),
            tree,
        ))
    }

    async fn save_links(&self, links: SavedLinks) -> Result<(), StoreError> {
        self.durably(|kept, _| kept.links = links).await
    }

    async fn save_ceiling(&self, ceiling: Stamp) -> Result<(), StoreError> {
        self.durably(move |kept, _| kept.ceiling = ceiling).await
    }

    async fn save_lifetime(&self, lifetime: Lifetime) -> Result<(), StoreError> {
        self.durably(move |kept, _| kept.lifetime = lifetime).await
    }

    fn usage(&self) -> Usage {
        self.audience.space.usage()
    }

    async fn close(&self) {
        self.disk.close(self.number);
    }
}
