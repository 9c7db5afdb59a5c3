//! Copies on their way to this node's disk: one transfer a version, however many readers.
//!
//! A transfer runs at its own pace. Readers tail its spool, which holds verified groups only. When it has
//! ended the copy is in the index before the transfer leaves the table, so a reader always finds one or
//! the other, and the content crosses the network once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use dataverse_core::holdings::Role;
use dataverse_core::key::Key;
use dataverse_core::limits;
use dataverse_core::record::Record;
use dataverse_core::search::Peer;
use dataverse_core::version::Version;
use tokio::sync::OnceCell;

use super::Driver;
use super::fetch::Groups;
use crate::metrics::Copied;
use crate::store::{Spool, Tail};

type Name = (Key, Version);
type Starting = Arc<OnceCell<Option<Tail>>>;

/// The transfers under way.
#[derive(Default)]
pub(super) struct Transfers(Mutex<BTreeMap<Name, Starting>>);

impl Transfers {
    /// The transfer of this version, begun or about to begin; `None` when there are too many.
    fn enter(&self, name: &Name) -> Option<Starting> {
        let mut transfers = self.lock();
        if let Some(starting) = transfers.get(name) {
            return Some(Arc::clone(starting));
        }
        if transfers.len() >= limits::TRANSFERS_MAX {
            return None;
        }
        let starting = Starting::default();
        transfers.insert(name.clone(), Arc::clone(&starting));
        Some(starting)
    }

    /// The spool of the transfer of this version, if it is under way.
    pub(super) fn under_way(&self, record: &Record) -> Option<Tail> {
        let name = (record.key.clone(), record.version);
        let transfers = self.lock();
        transfers.get(&name)?.get()?.clone()
    }

    fn leave(&self, name: &Name) {
        self.lock().remove(name);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Name, Starting>> {
        self.0
            .lock()
            .expect("no one panics while holding the transfers")
    }
}

impl Driver {
    /// Keeps a cached copy, if the eviction policy wants it, and returns the spool that it arrives in. A
    /// transfer under way is joined. `None`: no copy is kept.
    pub(super) async fn keep_copy(
        &self,
        record: &Arc<Record>,
        sources: Vec<Peer>,
        hops: u32,
    ) -> Option<Tail> {
        let name = (record.key.clone(), record.version);
        let starting = self.transfers.enter(&name)?;
        let tail = starting
            .get_or_init(|| self.begin_transfer(record, sources, hops))
            .await
            .clone();
        if tail.is_none() {
            self.transfers.leave(&name);
        }
        tail
    }

    async fn begin_transfer(
        &self,
        record: &Arc<Record>,
        sources: Vec<Peer>,
        hops: u32,
    ) -> Option<Tail> {
        if self.holds(record) || !self.admit(record, hops).await {
            return None;
        }
        let spool = match self.store.spool(Some(record.size)) {
            Ok(spool) => spool,
            Err(error) => {
                tracing::debug!(key = %record.key, %error, "no room for a cached copy");
                self.not_cached(record);
                return None;
            }
        };
        let tail = spool.tail();
        let driver = self.shared();
        let record = Arc::clone(record);
        self.spawn(async move {
            let groups = Groups::new(
                Arc::clone(&driver),
                Arc::clone(&record),
                sources,
                0,
                record.size,
            );
            driver.run_transfer(&record, spool, groups).await;
            driver
                .transfers
                .leave(&(record.key.clone(), record.version));
        });
        Some(tail)
    }

    async fn run_transfer(&self, record: &Arc<Record>, mut spool: Spool, mut groups: Groups) {
        let arrived: anyhow::Result<()> = async {
            while let Some(group) = groups.next().await {
                spool.write(group?).await?;
            }
            let content = spool.seal().await?;
            self.hold(record, Role::Cached, Some(content)).await?;
            Ok(())
        }
        .await;
        match arrived {
            Ok(()) => self.metrics.copied(Copied::Cached),
            Err(error) => {
                tracing::warn!(key = %record.key, %error, "a cached copy did not come about");
                self.not_cached(record);
            }
        }
    }

    /// Whether this very version is held here.
    pub(super) fn holds(&self, record: &Record) -> bool {
        let node = self.state.node();
        let held = node.holding(&record.key);
        held.is_some_and(|holding| holding.record.version == record.version)
    }
}
