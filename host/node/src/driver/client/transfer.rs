//! Copies on their way to this node's disk: one transfer a version, however many readers.
//!
//! A transfer is a task of its own: it asks for admission, opens a spool, fetches and commits, and no reader
//! who goes away disturbs it. Readers tail its spool, which holds verified groups only. When it has ended the
//! copy is in the index before the transfer leaves the table, so a reader always finds one or the other, and
//! the content crosses the network once. A copy that has to make room again is stopped on its way.

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
use parking_lot::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

use super::fetch::Groups;
use super::space::Occasion;
use crate::driver::Driver;
use crate::limits;
use crate::metrics::Copied;

/// How long a stopped transfer may take to let go of its spool.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

type Name = (Key, Version);

/// A copy that is to be kept here.
pub(in crate::driver) struct Wanted {
    pub(in crate::driver) record: Arc<Record>,
    /// Who can send it, in the order in which they are to be asked.
    pub(in crate::driver) sources: Vec<Peer>,
    /// Links to the first of them.
    pub(in crate::driver) hops: u32,
    /// When it was last known to be the newest version; 0 when that is not known.
    pub(in crate::driver) validated: Millis,
    pub(in crate::driver) occasion: Occasion,
}

/// How far a transfer is.
#[derive(Clone)]
enum Progress {
    Starting,
    Arriving(Tail),
    /// No copy is kept.
    Refused,
}

struct Transfer {
    progress: Changing<Progress>,
    stop: CancellationToken,
    ended: CancellationToken,
}

/// The transfers under way.
#[derive(Default)]
pub(in crate::driver) struct Transfers(Mutex<BTreeMap<Name, Arc<Transfer>>>);

impl Transfers {
    /// The transfer of this version and whether it is to be begun; `None` when there are too many.
    fn enter(&self, name: &Name) -> Option<(Arc<Transfer>, bool)> {
        let mut transfers = self.lock();
        if let Some(transfer) = transfers.get(name) {
            return Some((Arc::clone(transfer), false));
        }
        if transfers.len() >= limits::TRANSFERS_MAX {
            return None;
        }
        let transfer = Arc::new(Transfer {
            progress: Changing::new(Progress::Starting),
            stop: CancellationToken::new(),
            ended: CancellationToken::new(),
        });
        transfers.insert(name.clone(), Arc::clone(&transfer));
        Some((transfer, true))
    }

    fn find(&self, name: &Name) -> Option<Arc<Transfer>> {
        self.lock().get(name).cloned()
    }

    /// The spool of the transfer of this version, if it is under way.
    pub(in crate::driver) fn under_way(&self, record: &Record) -> Option<Tail> {
        let name = (record.key.clone(), record.version);
        match &*self.find(&name)?.progress.now() {
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
            tracing::warn!(%key, "a transfer that was stopped did not end");
        }
    }

    /// The only transfer under way.
    #[cfg(test)]
    pub(in crate::driver) fn only(&self) -> Name {
        let transfers = self.lock();
        assert_eq!(transfers.len(), 1, "one transfer is under way");
        transfers.keys().next().expect("there is one").clone()
    }

    /// Readers who wait for transfers to begin.
    #[cfg(test)]
    pub(in crate::driver) fn readers(&self) -> usize {
        let transfers = self.lock();
        // Three hold on to it whoever reads: the table, its task, and what takes it out of the table.
        let readers = transfers.values().map(|it| Arc::strong_count(it) - 3);
        readers.sum()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Name, Arc<Transfer>>> {
        self.0.lock()
    }
}

/// Takes a transfer out of the table however its task ends.
struct Leaving {
    driver: Arc<Driver>,
    name: Name,
    transfer: Arc<Transfer>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.transfer.progress.change(|progress| {
            if matches!(progress, Progress::Starting) {
                *progress = Progress::Refused;
            }
        });
        self.driver.transfers.lock().remove(&self.name);
        self.transfer.ended.cancel();
    }
}

impl Driver {
    /// Keeps a copy, if the eviction policy wants it, and returns the spool that it arrives in. A transfer
    /// under way is joined. `None`: no copy is on its way.
    pub(in crate::driver) async fn keep_copy(&self, wanted: Wanted) -> Option<Tail> {
        let name = (wanted.record.key.clone(), wanted.record.version);
        let (transfer, is_new) = self.transfers.enter(&name)?;
        let joins = (!is_new && wanted.occasion == Occasion::Read)
            .then(|| (Arc::clone(&wanted.record), wanted.hops));
        if is_new {
            let leaving = Leaving {
                driver: self.shared(),
                name,
                transfer: Arc::clone(&transfer),
            };
            self.spawn(async move {
                let driver = Arc::clone(&leaving.driver);
                let transfer = Arc::clone(&leaving.transfer);
                tokio::select! {
                    biased;
                    () = transfer.stop.cancelled() => driver.not_cached(&wanted.record),
                    () = driver.stopping.cancelled() => driver.not_cached(&wanted.record),
                    () = driver.run_transfer(&wanted, &transfer) => {}
                }
                drop(leaving);
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
            // A cached copy is only tried for, and an overtaken version is not wanted any more.
            Err(error) if role == Role::Cached || self.is_overtaken(record) => {
                tracing::debug!(key = %record.key, %error, "a copy did not come about");
                self.not_cached(record);
            }
            Err(error) => {
                tracing::warn!(key = %record.key, %error, "a copy did not come about");
                self.not_cached(record);
            }
        }
    }

    /// A replica that the layout names and that is not here (any more) is made good as a replica; every
    /// other copy is a cached one, if the eviction policy wants it.
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
            tracing::debug!(key = %record.key, %error, "no room for a cached copy");
            self.not_cached(record);
        }
        spool.ok().map(|spool| (spool, Role::Cached))
    }

    /// Fetches the content and commits it. False: somebody else's newer version is there.
    async fn receive(&self, wanted: &Wanted, mut spool: Spool, role: Role) -> anyhow::Result<bool> {
        let record = &wanted.record;
        let sources = wanted.sources.clone();
        let mut groups = Groups::new(self.shared(), Arc::clone(record), sources, 0, record.size);
        while let Some(group) = groups.next().await {
            spool.write(group?).await?;
        }
        let content = spool.seal().await?;
        crash::point("transfer.received");
        let made_room = role == Role::Cached
            && self.state.cache().version_of(&record.key) != Some(record.version);
        if made_room {
            return Ok(false);
        }
        let held = self
            .hold(record, role, Some(content), wanted.validated)
            .await?;
        Ok(held.is_here())
    }

    /// Whether a greater version of the file was heard of.
    fn is_overtaken(&self, record: &Record) -> bool {
        let known = self.state.node().known(&record.key);
        known.is_some_and(|known| known.version > record.version)
    }

    /// Whether this very version is held here.
    pub(in crate::driver) fn holds(&self, record: &Record) -> bool {
        let node = self.state.node();
        let held = node.holding(&record.key);
        held.is_some_and(|holding| holding.record.version == record.version)
    }
}
