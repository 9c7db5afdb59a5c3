//! `DiskStore`: content in plain files, small content and everything else in one index file.
//!
//! Life cycle: [`DiskStore::open`] locks the folder, loads the index (upgrading an older one) and removes or sets
//! aside what does not belong; [`Store::start`] hands over what was found; one thread, the *writer*, then applies
//! every change; [`Store::close`] lets it finish what was submitted and ends it. A process that dies at any moment
//! leaves a folder that opens again with everything that was acknowledged and nothing else.
//!
//! A write is made durable in this order: content and its group tree (while it is spooled), then its name in the
//! folder, then the index. A removal goes in the opposite order. Reads do not go through the writer: [`opening`]
//! runs them on other threads, against a snapshot of the index.
//!
//! Who owns what: [`identity`] the lock and the check whose folder it is; [`layout`] all paths; [`index`] the redb
//! file and [`codec`] its rows; [`upgrade`] older index formats; [`reconcile`] the comparison of index and files at
//! start; [`writer`] and [`batch`] all changes; [`watch`] the check that nobody changed the folder while the node
//! runs.

mod batch;
mod codec;
mod identity;
mod index;
mod layout;
mod opening;
mod reconcile;
#[cfg(test)]
mod tests;
mod upgrade;
#[cfg(test)]
mod upgrade_tests;
mod watch;
#[cfg(test)]
mod watch_tests;
mod writer;

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use async_trait::async_trait;
use dataverse_core::holdings::Holding;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::version::{Millis, Stamp, Version};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use self::batch::Ask;
pub use self::identity::OpenError;
use self::index::Index;
use self::layout::Layout;
use self::opening::Opening;
use self::watch::{Health, Watch, is_absence};
use self::writer::Writer;
use super::content::{ContentSource, in_background};
use super::files::{self, Unopened};
use super::rope::Rope;
use super::space::Space;
use super::spool::Incoming;
use super::{
    Applied, Change, Content, Lifetime, Observer, Opened, SavedLinks, Spool, Store, StoreError,
    Usage,
};
use crate::limits;

/// How to open a [`DiskStore`].
#[derive(Debug, Clone)]
pub struct DiskOptions {
    /// The data folder; created if it does not exist.
    pub folder: PathBuf,
    /// Bytes that content may use; `None` for all that the disk has.
    pub capacity: Option<u64>,
    /// The network that the node belongs to.
    pub network: String,
    /// The id that the node gets if the folder is new: random, drawn by the caller.
    pub node_if_new: NodeId,
    /// The wall clock, by which orphaned and quarantined content ages.
    pub now: Millis,
}

/// The node that owns the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The node's id.
    pub node: NodeId,
    /// The folder was new.
    pub is_new: bool,
}

/// A store on a disk.
pub struct DiskStore {
    layout: Layout,
    index: Arc<Index>,
    space: Arc<Space>,
    incoming: Arc<Incoming>,
    opening: Arc<Opening>,
    health: Arc<Health>,
    observer: Arc<OnceLock<Arc<dyn Observer>>>,
    opened: Mutex<Option<Opened>>,
    /// `None` once the store is closed.
    asks: Mutex<Option<mpsc::Sender<Ask>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl DiskStore {
    /// Opens the store in this folder. Blocks for as long as it takes.
    ///
    /// # Errors
    /// [`OpenError`]; then nothing in the folder was changed that a crash would not have changed as well.
    pub fn open(options: &DiskOptions) -> Result<(Arc<Self>, Identity), OpenError> {
        let layout = Layout::new(&options.folder);
        let failed = |error: std::io::Error| OpenError::failed(&layout, error);
        std::fs::create_dir_all(layout.root()).map_err(failed)?;
        let lock = identity::lock(&layout)?;
        let (index, loaded) = identity::open_index(&layout, options.node_if_new, &options.network)?;
        let secret = identity::secret_of(&layout, &index, loaded.secret)?;
        layout.make_folders().map_err(failed)?;
        let identity = Identity {
            node: loaded.owner.node,
            is_new: loaded.is_new,
        };
        let mut entries = loaded.entries;
        let missing = reconcile::reconcile(&layout, &mut entries, options.now).map_err(failed)?;
        // A file that was quarantined and then stored again is in the entries, not here.
        let missing: Vec<_> = missing
            .into_iter()
            .chain(loaded.missing)
            .map(|entry| entry.holding.record)
            .collect();
        if let Some(first) = missing.first() {
            tracing::warn!(
                files = missing.len(),
                first = %first.key,
                "files are missing: their content is bad or not in the data folder"
            );
        }
        let space = Space::new(options.capacity, Some(layout.root().to_owned()));
        let holdings: Vec<_> = entries.into_iter().map(|entry| entry.holding).collect();
        let count = |holding: &Holding| space.changed(None, Some(holding));
        holdings.iter().for_each(count);
        let incoming = Incoming::new(layout.incoming());
        let store = Self::run(
            layout,
            index,
            space,
            incoming,
            lock,
            Opened {
                holdings,
                ceiling: loaded.ceiling,
                secret,
                links: loaded.links,
                lifetime: loaded.lifetime,
                missing,
            },
        )?;
        Ok((store, identity))
    }

    fn run(
        layout: Layout,
        index: Index,
        space: Arc<Space>,
        incoming: Arc<Incoming>,
        lock: File,
        opened: Opened,
    ) -> Result<Arc<Self>, OpenError> {
        let (asks, queue) = mpsc::channel(limits::STORE_QUEUE_MAX);
        let index = Arc::new(index);
        let observer = Arc::new(OnceLock::new());
        let health = Arc::new(Health::default());
        let watch = Watch::begin(layout.clone(), Arc::clone(&health))
            .map_err(|error| OpenError::failed(&layout, error))?;
        let writer = Writer::new(
            layout.clone(),
            watch,
            Arc::clone(&index),
            Arc::clone(&space),
            Arc::clone(&observer),
            &opened.missing,
        );
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || {
                writer.run(queue);
                // The lock is released last: nothing writes to the folder any more.
                drop(lock);
            })
            .map_err(|error| OpenError::failed(&layout, error))?;
        Ok(Arc::new(Self {
            layout,
            index,
            space,
            incoming,
            opening: Arc::default(),
            health,
            observer,
            opened: Mutex::new(Some(opened)),
            asks: Mutex::new(Some(asks)),
            writer: Mutex::new(Some(thread)),
        }))
    }

    fn queue(&self) -> Result<mpsc::Sender<Ask>, StoreError> {
        self.asks.lock().clone().ok_or(StoreError::Closed)
    }

    async fn ask<T>(
        &self,
        ask: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Ask,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let queue = self.queue()?;
        queue
            .send(ask(reply))
            .await
            .map_err(|_| StoreError::Closed)?;
        // The queue ends when no sender is left; waiting for the answer must not keep it open.
        drop(queue);
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

#[async_trait]
impl Store for DiskStore {
    fn start(&self, observer: Arc<dyn Observer>) -> Opened {
        assert!(self.observer.set(observer).is_ok(), "a store starts once");
        self.opened.lock().take().expect("a store starts once")
    }

    fn spool(&self, size: Option<u64>) -> Result<Spool, StoreError> {
        self.queue()?;
        self.health.check()?;
        let space = self.space.reserve(size.unwrap_or(0))?;
        Ok(Spool::new(space, Some(Arc::clone(&self.incoming))))
    }

    async fn apply(&self, change: Change) -> Result<Applied, StoreError> {
        self.ask(|reply| Ask::Change(change, reply)).await
    }

    async fn open(&self, record: &Record) -> Result<Content, StoreError> {
        self.queue()?;
        let (index, layout) = (Arc::clone(&self.index), self.layout.clone());
        let (key, version) = (record.key.clone(), record.version);
        self.opening
            .run(move || open_content(&index, &layout, &key, version))
            .await?
    }

    async fn save_links(&self, links: SavedLinks) -> Result<(), StoreError> {
        self.ask(|reply| Ask::Links(links, reply)).await
    }

    async fn save_ceiling(&self, ceiling: Stamp) -> Result<(), StoreError> {
        self.ask(|reply| Ask::Ceiling(ceiling, reply)).await
    }

    async fn save_lifetime(&self, lifetime: Lifetime) -> Result<(), StoreError> {
        self.ask(|reply| Ask::Lifetime(lifetime, reply)).await
    }

    fn usage(&self) -> Usage {
        self.space.usage()
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.ask(Ask::Check).await
    }

    fn unfit(&self) -> Option<Arc<str>> {
        self.health.unfit()
    }

    async fn close(&self) {
        drop(self.asks.lock().take());
        let writer = self.writer.lock().take();
        if let Some(writer) = writer
            && !matches!(in_background(move || writer.join()).await, Ok(Ok(())))
        {
            tracing::error!("the store's writer thread did not end cleanly");
        }
    }
}

fn open_content(
    index: &Index,
    layout: &Layout,
    key: &Key,
    version: Version,
) -> Result<Content, StoreError> {
    let absent = || StoreError::Absent(key.clone());
    let is_meant = |record: &Record| record.version == version && !record.deleted;
    let entry = index.holdings()?.find(key)?;
    let held = entry
        .filter(|entry| is_meant(&entry.holding.record))
        .ok_or_else(absent)?;
    let (place, record) = (held.place(), &held.holding.record);
    if !held.is_in_a_file() {
        let mut rope = Rope::default();
        rope.push(index.content(place.id)?.ok_or_else(absent)?);
        if rope.end() != record.size {
            return Err(StoreError::Corrupt(key.clone()));
        }
        return Ok(Content::new(record, ContentSource::Memory(rope)));
    }
    match files::open_to_read(&layout.content(place)) {
        Ok(file) => {
            let (file, tree) = (Arc::new(file), layout.tree(place));
            Ok(Content::new(record, ContentSource::File { file, tree }))
        }
        // A link, a FIFO or a folder in place of the content is as bad as wrong bytes.
        Err(Unopened::NotRegular(what)) => {
            tracing::warn!(%key, what, "found something other than a regular file in place of a content");
            Err(StoreError::Corrupt(key.clone()))
        }
        // The file is missing, or the entry was removed just now.
        Err(Unopened::Failed(error)) if is_absence(&error) => Err(absent()),
        Err(Unopened::Failed(error)) => {
            let doing = format_args!("opening the content of {key}");
            Err(StoreError::of_io(doing, &error))
        }
    }
}
