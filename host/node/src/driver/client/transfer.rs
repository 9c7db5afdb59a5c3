//! `Transfers`: copies on their way to this node's disk, one transfer per version, however many readers.
//!
//! A transfer is a task of its own: it asks for admission, opens a spool, fetches and commits. Readers tail its
//! spool, which holds verified groups only, and no reader that disconnects disturbs it. The copy is in the index
//! before the transfer leaves the table, so a reader always finds one or the other and the content crosses the
//! network once. Evicting a copy that is still arriving stops its transfer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dataverse_core::holdings::Role;
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::search::Peer;
use dataverse_core::version::{Millis, Version};
use dataverse_store::changing::Changing;
use dataverse_store::crash;
use dataverse_store::{Spool, StoreError, Tail};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::fetch::Groups;
use super::space::Occasion;
use crate::driver::Driver;
use crate::limits;
use crate::metrics::Copied;

/// How long a stopped transfer may take to release its spool.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

type Name = (Key, Version);

/// A copy to be stored on this node.
pub(in crate::driver) struct Wanted {
    pub(in crate::driver) record: Arc<Record>,
    /// Nodes that can send it, in the order to ask them.
    pub(in crate::driver) sources: Vec<Peer>,
    /// Hops to the first of them.
    pub(in crate::driver) hops: u32,
    /// When it was last known to be the newest version; 0 if unknown.
    pub(in crate::driver) validated: Millis,
    pub(in crate::driver) occasion: Occasion,
}

/// Progress of a transfer.
#[derive(Clone)]
enum Progress {
    Starting,
    Arriving(Tail),
    /// No copy is stored.
    Refused,
}

struct Transfer {
    record: Arc<Record>,
    progress: Changing<Progress>,
    stop: CancellationToken,
    ended: CancellationToken,
}

/// The transfers under way.
#[derive(Default)]
pub(in crate::driver) struct Transfers(Mutex<BTreeMap<Name, Arc<Transfer>>>);

impl Transfers {
    /// The transfer of this version, and whether it is new and has to be started; `None` at the limit of
    /// concurrent transfers, or while another content is on its way that a record gives this version.
    fn enter(&self, record: &Arc<Record>) -> Option<(Arc<Transfer>, bool)> {
        let name = (record.key.clone(), record.version);
        let mut transfers = self.0.lock();
        if let Some(transfer) = transfers.get(&name) {
            let is_same = transfer.record.is_same_write(record);
            return is_same.then(|| (Arc::clone(transfer), false));
        }
        if transfers.len() >= limits::TRANSFERS_MAX {
            return None;
        }
        let transfer = Arc::new(Transfer {
            record: Arc::clone(record),
            progress: Changing::new(Progress::Starting),
            stop: CancellationToken::new(),
            ended: CancellationToken::new(),
        });
        transfers.insert(name, Arc::clone(&transfer));
        Some((transfer, true))
    }

    fn find(&self, name: &Name) -> Option<Arc<Transfer>> {
        self.0.lock().get(name).cloned()
    }

    /// The spool of the transfer of this content, if one is under way.
    pub(in crate::driver) fn under_way(&self, record: &Record) -> Option<Tail> {
        let transfer = self.find(&(record.key.clone(), record.version))?;
        if !transfer.record.is_same_write(record) {
            return None;
        }
        match &*transfer.progress.now() {
            Progress::Arriving(tail) => Some(tail.clone()),
            Progress::Starting | Progress::Refused => None,
        }
    }

    /// Waits until no transfer of this version is under way.
    pub(in crate::driver) async fn ended(&self, record: &Record) {
        if let Some(transfer) = self.find(&(record.key.clone(), record.version)) {
            transfer.ended.cancelled().await;
        }
    }

    /// Stops the transfer of this version, if there is one, and waits until its spool is gone.
    pub(in crate::driver) async fn stop(&self, key: &Key, version: Version) {
        let Some(transfer) = self.find(&(key.clone(), version)) else {
            return;
        };
        transfer.stop.cancel();
        let ended = tokio::time::timeout(STOP_PATIENCE, transfer.ended.cancelled()).await;
        if ended.is_err() {
            tracing::warn!(%key, "a stopped transfer did not end in time");
        }
    }

    /// The only transfer under way.
    #[cfg(test)]
    pub(in crate::driver) fn only(&self) -> Name {
        let transfers = self.0.lock();
        assert_eq!(transfers.len(), 1, "one transfer is under way");
        transfers.keys().next().expect("there is one").clone()
    }

    /// Readers that wait for a transfer to begin.
    #[cfg(test)]
    pub(in crate::driver) fn readers(&self) -> usize {
        let transfers = self.0.lock();
        // Three references exist without readers: the table's, the task's, and the guard's that removes it from
        // the table.
        let readers = transfers.values().map(|it| Arc::strong_count(it) - 3);
        readers.sum()
    }
}

/// Removes a transfer from the table however its task ends.
struct TransferGuard {
    driver: Arc<Driver>,
    name: Name,
    transfer: Arc<Transfer>,
}

impl Drop for TransferGuard {
    fn drop(&mut self) {
        self.transfer.progress.change(|progress| {
            if matches!(progress, Progress::Starting) {
                *progress = Progress::Refused;
            }
        });
        self.driver.transfers.0.lock().remove(&self.name);
        self.transfer.ended.cancel();
    }
}

impl Driver {
    /// Stores a copy, if the eviction policy admits it, and returns the spool it arrives in. Joins a transfer
    /// under way. `None`: no copy is on its way.
    pub(in crate::driver) async fn keep_copy(&self, wanted: Wanted) -> Option<Tail> {
        let (transfer, is_new) = self.transfers.enter(&wanted.record)?;
        let joins = (!is_new && wanted.occasion == Occasion::Read)
            .then(|| (Arc::clone(&wanted.record), wanted.hops));
        if is_new {
            let guard = TransferGuard {
                driver: self.shared(),
                name: (wanted.record.key.clone(), wanted.record.version),
                transfer: Arc::clone(&transfer),
            };
            self.spawn(async move {
                let driver = Arc::clone(&guard.driver);
                let transfer = Arc::clone(&guard.transfer);
                tokio::select! {
                    biased;
                    () = transfer.stop.cancelled() => driver.not_cached(&wanted.record),
                    () = driver.stopping.cancelled() => driver.not_cached(&wanted.record),
                    () = driver.run_transfer(&wanted, &transfer) => {}
                }
                drop(guard);
            });
        }
        let begun = |progress: &Progress| match progress {
            Progress::Starting => None,
            Progress::Arriving(tail) => Some(Some(tail.clone())),
            Progress::Refused => Some(None),
        };
        let tail = transfer.progress.until(begun).await;
        if let Some((record, hops)) = joins {
            self.count_joined_read(&record, hops, tail.is_some());
        }
        tail
    }

    async fn run_transfer(&self, wanted: &Wanted, transfer: &Transfer) {
        let record = &wanted.record;
        let Some((spool, role)) = self.space_for_copy(wanted).await else {
            return;
        };
        let arriving = Progress::Arriving(spool.tail());
        transfer.progress.change(|progress| *progress = arriving);
        match self.receive(wanted, spool, role).await {
            Ok(true) if role == Role::Cached => self.metrics.copied(Copied::Cached),
            Ok(true) => {}
            Ok(false) => self.not_cached(record),
            // A cached copy is best effort, and an overtaken version is no longer wanted.
            Err(error) if role == Role::Cached || self.is_overtaken(record) => {
                tracing::debug!(key = %record.key, %error, "a copy was not stored");
                self.not_cached(record);
            }
            Err(error) => {
                tracing::warn!(key = %record.key, %error, "a copy was not stored");
                self.not_cached(record);
            }
        }
    }

    /// A spool for the copy, and its role. A copy that the layout names is stored as a replica; any other is a
    /// cached copy and needs the eviction policy's admission. `None` if it is already held or can't be stored.
    async fn space_for_copy(&self, wanted: &Wanted) -> Option<(Spool, Role)> {
        let record = &wanted.record;
        if self.holds(record) {
            return None;
        }
        if record.layout.names(self.me.id) {
            let spool = self.space_for_spool(Some(record.size)).await;
            return spool.ok().map(|spool| (spool, Role::Replica));
        }
        if !self.admit(record, wanted.hops, 0, wanted.occasion).await {
            return None;
        }
        let mut spool = self.store.spool(Some(record.size));
        if let Err(StoreError::NoSpace { short }) = &spool
            && self.evict(*short).await
        {
            spool = self.store.spool(Some(record.size));
        }
        if let Err(error) = &spool {
            tracing::debug!(key = %record.key, %error, "no space for a cached copy");
            self.not_cached(record);
        }
        spool.ok().map(|spool| (spool, Role::Cached))
    }

    /// Fetches the content and commits it. False: a newer version took its place, or it was evicted while it
    /// arrived.
    async fn receive(&self, wanted: &Wanted, mut spool: Spool, role: Role) -> anyhow::Result<bool> {
        let record = &wanted.record;
        let sources = wanted.sources.clone();
        let mut groups = Groups::new(self.shared(), Arc::clone(record), sources, 0, record.size);
        while let Some(group) = groups.next().await {
            spool.write(group?).await?;
        }
        let content = spool.seal().await?;
        crash::point("transfer.received");
        let was_evicted = role == Role::Cached
            && self.state.cache().version_of(&record.key) != Some(record.version);
        if was_evicted {
            return Ok(false);
        }
        let held = self
            .hold(record, role, Some(content), wanted.validated)
            .await?;
        Ok(held.is_here())
    }

    /// Whether this node has heard of a greater version of the file.
    fn is_overtaken(&self, record: &Record) -> bool {
        let known = self.state.node().known(&record.key);
        known.is_some_and(|known| known.version > record.version)
    }

    /// Whether this version is held here.
    pub(in crate::driver) fn holds(&self, record: &Record) -> bool {
        let node = self.state.node();
        let held = node.holding(&record.key);
        held.is_some_and(|holding| holding.record.is_same_write(record))
    }
}

#[cfg(test)]
mod tests {
    use dataverse_core::content::Digest;
    use dataverse_core::id::NodeId;
    use dataverse_core::record::Layout;
    use dataverse_core::version::Stamp;

    use super::*;

    #[test]
    fn a_transfer_is_joined_only_for_the_content_that_it_brings() {
        let writer = NodeId::from(1);
        let record = |content: &str| {
            Arc::new(Record {
                key: Key::parse("ada/x").expect("it is a key"),
                version: Version {
                    stamp: Stamp::at(1),
                    writer,
                },
                layout: Layout {
                    counter: 0,
                    author: writer,
                    holders: vec![writer],
                },
                deleted: false,
                size: content.len() as u64,
                digest: Digest::of(content.as_bytes()),
                content_type: "text/plain".into(),
                factor: 1,
            })
        };
        let transfers = Transfers::default();
        let enter = |content| transfers.enter(&record(content)).map(|(_, is_new)| is_new);
        assert_eq!(enter("as written"), Some(true));
        assert_eq!(enter("as written"), Some(false));
        // Of the same version, as a liar would have it.
        assert_eq!(enter("as made up"), None);
    }
}
