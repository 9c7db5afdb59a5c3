//! Makes space for what arrives: cached copies are evicted for replicas, and for better cached copies.
//!
//! The store counts bytes and refuses what does not fit; the core's cache and the eviction policy choose the
//! victims; this module connects the two. Replicas are never evicted. The policy is asked one question at a time,
//! so that it sees events in order. Its answer is carried out even if the caller no longer waits, because the
//! cache has already changed.

use std::sync::Arc;

use bytes::Bytes;
use dataverse_core::cache::{Cache, CachedCopy, Victim};
use dataverse_core::holdings::Role;
use dataverse_core::key::Key;
use dataverse_core::limits::GROUP_BYTES;
use dataverse_core::record::Record;
use dataverse_core::version::Version;
use dataverse_store::{Change, Prepared, Spool, StoreError};
use futures_util::future::join_all;
use tokio::sync::oneshot;

use crate::driver::Driver;
use crate::driver::client::api::WriteError;
use crate::limits;

/// Why a copy is offered to the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::driver) enum Occasion {
    /// A reader on this node wants it.
    Read,
    /// Anything else: the content is already here, or another node asked this one to cache it.
    Other,
}

/// An answer of the eviction policy on its way to the caller. The policy and the cache have already acted on it,
/// so an admission that nobody claims is undone.
struct Unclaimed {
    driver: Arc<Driver>,
    record: Arc<Record>,
    admitted: bool,
}

impl Unclaimed {
    fn claim(mut self) -> bool {
        std::mem::take(&mut self.admitted)
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if self.admitted {
            self.driver.not_cached(&self.record);
        }
    }
}

impl Driver {
    /// A spool for a replica whose size is known. Evicts cached copies to make space.
    pub(in crate::driver) async fn space_for_spool(
        &self,
        size: Option<u64>,
    ) -> Result<Spool, WriteError> {
        let mut rounds = 0;
        loop {
            let error = match self.store.spool(size) {
                Ok(spool) => return Ok(spool),
                Err(error) => error,
            };
            rounds += 1;
            self.give_way(error, size.unwrap_or(0), rounds).await?;
        }
    }

    /// A spool for content on its way from a client or another node, of this size if it is declared. Space is reserved,
    /// and cached copies are evicted, as the content arrives, because a declared size may be wrong. What does not fit
    /// even without any cached copy is refused at once.
    pub(in crate::driver) fn spool_for_upload(
        &self,
        size: Option<u64>,
    ) -> Result<Spool, WriteError> {
        let could_be_free = self.store.usage().free_for_replicas() + self.arriving();
        let short = size.unwrap_or(0).saturating_sub(could_be_free);
        if short > 0 {
            let error = WriteError::from(StoreError::NoSpace { short });
            tracing::warn!(%error, short, "a write was refused for lack of space");
            return Err(error);
        }
        Ok(self.store.spool(None)?)
    }

    /// Writes to the spool of a replica. Evicts cached copies to make space.
    pub(in crate::driver) async fn spool_in(
        &self,
        spool: &mut Spool,
        bytes: Bytes,
    ) -> Result<(), WriteError> {
        let mut rounds = 0;
        loop {
            match spool.write(bytes.clone()).await {
                Ok(()) => return Ok(()),
                Err(error @ StoreError::NoSpace { .. }) => {
                    rounds += 1;
                    self.give_way(error, bytes.len() as u64, rounds).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Evicts cached copies after the store refused for lack of space, or returns the error.
    async fn give_way(
        &self,
        error: StoreError,
        size: u64,
        rounds: usize,
    ) -> Result<(), WriteError> {
        let short = match error {
            StoreError::NoSpace { short } => short,
            StoreError::DiskFull(_) => size.max(GROUP_BYTES),
            other => return Err(other.into()),
        };
        // If evicting everything would not free enough, refuse before evicting anything.
        let evictable = self.store.usage().cached + self.arriving();
        // At least a group, so that content that arrives in small pieces does not ask the policy for each.
        let needed = short.max(GROUP_BYTES.min(evictable));
        if short > evictable || rounds > limits::SPACE_ROUNDS_MAX || !self.evict(needed).await {
            let error = WriteError::from(error);
            tracing::warn!(%error, short, "a write was refused for lack of space");
            return Err(error);
        }
        Ok(())
    }

    /// Asks for victims of at least this many bytes and evicts them. False when nothing could be freed.
    pub(in crate::driver) async fn evict(&self, needed: u64) -> bool {
        // The budget shrinks by what is needed, so that the freed space is not given away again.
        let budget = self.cache_budget(0).saturating_sub(needed);
        self.state.cache().set_capacity(budget);
        let driver = self.shared();
        let evicting = self.spawn(async move {
            let now = driver.now();
            let outcome = driver
                .policy_slots
                .make_room(&driver.state, needed, now)
                .await;
            let freed = !outcome.victims.is_empty();
            driver.drop_victims(outcome.victims).await;
            freed
        });
        evicting.await.unwrap_or(false)
    }

    /// Decides whether to cache a copy of this file, fetched over this many hops, and makes space for it. `promised`
    /// are the bytes of it that already occupy space. A caller that gets `true` must commit the copy or call
    /// [`Driver::not_cached`]; a caller that stops waiting need not.
    pub(in crate::driver) async fn admit(
        &self,
        record: &Arc<Record>,
        hops: u32,
        promised: u64,
        occasion: Occasion,
    ) -> bool {
        self.release_older(record).await;
        let budget = self.cache_budget(promised);
        self.state.cache().set_capacity(budget);
        let copy = copy_of(record, hops);
        let (answer, waiting) = oneshot::channel();
        let mut unclaimed = Unclaimed {
            driver: self.shared(),
            record: Arc::clone(record),
            admitted: false,
        };
        self.spawn(async move {
            let driver = Arc::clone(&unclaimed.driver);
            let (policy_slots, now) = (&driver.policy_slots, driver.now());
            match occasion {
                Occasion::Read => {
                    policy_slots.cache_was_read(&*driver.state, |_| copy.clone(), now, false);
                }
                Occasion::Other => policy_slots.cache_was_offered(&*driver.state, &copy, now),
            }
            let outcome = policy_slots.admit(&driver.state, copy, now).await;
            unclaimed.admitted = outcome.admitted;
            driver.drop_victims(outcome.victims).await;
            // If the caller no longer waits, the answer is dropped, which undoes the admission.
            let _ = answer.send(unclaimed);
        });
        waiting.await.is_ok_and(Unclaimed::claim)
    }

    /// Counts a read of a cached copy.
    pub(in crate::driver) fn count_cached_read(&self, record: &Record) {
        let now = self.now();
        self.state.cache().hit(&record.key, now);
        let copy = |cache: &Cache| match cache.copy_of(&record.key) {
            Some(copy) if copy.version == record.version => copy.clone(),
            _ => copy_of(record, 1),
        };
        self.policy_slots
            .cache_was_read(&*self.state, copy, now, true);
    }

    /// Counts a reader that joined a transfer. If the transfer brings a cached copy, that is a hit: the content
    /// crosses the network once for all its readers.
    pub(in crate::driver) fn count_joined_read(&self, record: &Record, hops: u32, arrives: bool) {
        if record.layout.names(self.me.id) {
            // A replica is being healed, which does not concern the cache.
        } else if arrives {
            self.count_cached_read(record);
        } else {
            let copy = |_: &Cache| copy_of(record, hops);
            let now = self.now();
            self.policy_slots
                .cache_was_read(&*self.state, copy, now, false);
        }
    }

    /// Undoes the admission of a copy that was not stored.
    pub(in crate::driver) fn not_cached(&self, record: &Record) {
        self.state.cache().remove(&record.key, record.version);
    }

    /// Keeps content that is already on this disk as a cached copy, if the eviction policy admits it.
    pub(in crate::driver) async fn keep_cached(&self, record: &Arc<Record>, content: Prepared) {
        let size = content.size();
        if !self.admit(record, 1, size, Occasion::Other).await {
            return;
        }
        let now = self.now();
        let held = self.hold(record, Role::Cached, Some(content), now).await;
        if let Err(error) = &held {
            tracing::warn!(key = %record.key, %error, "a cached copy could not be stored");
        }
        if !held.is_ok_and(|held| held.is_here()) {
            self.not_cached(record);
        }
    }

    /// Drops an older cached copy before the cache is asked to admit this one.
    async fn release_older(&self, record: &Record) {
        let older = self.state.node().holding(&record.key).map(|holding| {
            let held = &holding.record;
            (held.version < record.version && holding.role == Role::Cached).then_some(held.version)
        });
        if let Some(version) = older.flatten() {
            self.drop_cached(record.key.clone(), version).await;
        }
    }

    /// Bytes that cached copies may use now: what they use (arriving copies included), plus what is free or
    /// `promised` to the copy in question.
    fn cache_budget(&self, promised: u64) -> u64 {
        let used = self.state.cache().used();
        let budget = used + self.store.usage().free() + promised;
        budget.min(self.settings.cache_capacity_bytes.unwrap_or(u64::MAX))
    }

    /// Bytes of cached copies still arriving.
    fn arriving(&self) -> u64 {
        let used = self.state.cache().used();
        used.saturating_sub(self.store.usage().cached)
    }

    /// Deletes the victims from the disk; they have already left the cache. A copy that is still arriving is stopped.
    async fn drop_victims(&self, victims: Vec<Victim>) {
        let drops = victims.into_iter().map(|victim| {
            self.metrics.evicted(victim.size);
            let (key, size) = (&victim.key, victim.size);
            tracing::debug!(%key, size, "evicting a cached copy");
            self.drop_cached(victim.key, victim.version)
        });
        join_all(drops).await;
    }

    async fn drop_cached(&self, key: Key, version: Version) {
        self.transfers.stop(&key, version).await;
        let change = Change::Drop {
            key: key.clone(),
            version,
            only: Some(Role::Cached),
        };
        if let Err(error) = self.store.apply(change).await {
            tracing::warn!(%key, %error, "a cached copy could not be dropped");
        }
    }
}

fn copy_of(record: &Record, hops: u32) -> CachedCopy {
    CachedCopy::of(record.key.clone(), record.version, record.size, hops)
}
