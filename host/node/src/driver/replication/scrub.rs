//! `Scrubbing`: reads all content on this disk and compares it with its digests, so that a bad copy is found while
//! other copies exist to heal it from.
//!
//! A pass starts when an operator asks for it or when the last one began longer ago than `scrub.every`. It runs at
//! `scrub.bytes_per_second` and continues after a restart: the store keeps when it began, and each holding when it
//! was last checked (see `core/scrub`). Good copies are recorded in batches, so that the index is not committed
//! once a file; a crash costs the records of the last moment. A file being checked when the node stops is checked
//! again from its beginning.
//!
//! A bad copy is quarantined here; `heal` replaces it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dataverse_core::content::ContentHasher;
use dataverse_core::holdings::{Holding, Page, Total};
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::version::{Millis, Version};
use dataverse_store::crash;
use dataverse_store::limits::STORE_READ_BYTES_MAX;
use dataverse_store::{Change, StoreError};
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::pace::Pace;
use crate::driver::Driver;
use crate::driver::client::api::ScrubStatus;
use crate::limits;

/// Longest pause between two checks whether a pass is due.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Good copies are recorded after this long at the latest, unless a single file takes longer.
const NOTE_EVERY: Duration = Duration::from_secs(2);

/// Progress of scrubbing.
#[derive(Default)]
pub(in crate::driver) struct Scrubbing {
    progress: Mutex<Progress>,
    pace: Pace,
    begun: Notify,
}

#[derive(Clone, Copy, Default)]
struct Progress {
    /// Checked and still to be checked, of the pass under way or the last one.
    done: Total,
    left: Total,
    /// Bad copies found (also by reads), and files that could not be read, since the node started.
    bad: u64,
    unreadable: u64,
    /// Content checked since the node started.
    checked: Total,
    /// Values of `bad`, `unreadable` and healed replicas when the pass began.
    before: (u64, u64, u64),
}

impl Scrubbing {
    /// A bad copy was found.
    pub(in crate::driver) fn found_bad(&self) {
        self.progress.lock().bad += 1;
    }

    fn checked(&self, record: &Record) {
        let mut progress = self.progress.lock();
        let one = |total: &mut Total| {
            total.files += 1;
            total.bytes += record.size;
        };
        one(&mut progress.done);
        one(&mut progress.checked);
        let left = &mut progress.left;
        left.files = left.files.saturating_sub(1);
        left.bytes = left.bytes.saturating_sub(record.size);
    }
}

/// Good copies of a pass that are not recorded yet.
struct Good {
    files: Vec<(Key, Version)>,
    noted: Instant,
}

impl Driver {
    /// Starts a pass over all content, unless one is under way. Returns whether it started one.
    ///
    /// # Errors
    /// [`StoreError`] when the start could not be made durable.
    pub async fn begin_scrub(&self) -> Result<bool, StoreError> {
        if self.lifetime.now().is_scrubbing() {
            return Ok(false);
        }
        let now = self.now();
        let begins = AtomicBool::new(false);
        self.change_life(|lifetime| {
            if !lifetime.is_scrubbing() {
                // After the last one ended, whatever the clock says.
                lifetime.scrub_began = now.max(lifetime.scrub_ended + 1);
                begins.store(true, Ordering::Relaxed);
            }
        })
        .await?;
        if !begins.into_inner() {
            // Another caller has just started one: that is the one under way.
            return Ok(false);
        }
        let (healed, all) = (self.state.backlog.healed(), self.all_content());
        {
            let mut progress = self.scrubbing.progress.lock();
            progress.before = (progress.bad, progress.unreadable, healed);
            (progress.done, progress.left) = (Total::default(), all);
        }
        self.scrubbing.begun.notify_one();
        Ok(true)
    }

    /// Progress and results of scrubbing.
    pub fn scrub_status(&self) -> ScrubStatus {
        let (lifetime, progress) = (self.lifetime.now(), *self.scrubbing.progress.lock());
        let (missing, healed) = (
            self.state.backlog.missing_counts(),
            self.state.backlog.healed(),
        );
        let (bad_before, unreadable_before, healed_before) = progress.before;
        ScrubStatus {
            running: lifetime.is_scrubbing(),
            began: lifetime.scrub_began,
            ended: lifetime.scrub_ended,
            done: progress.done,
            total: Total {
                files: progress.done.files + progress.left.files,
                bytes: progress.done.bytes + progress.left.bytes,
            },
            bad: progress.bad - bad_before,
            unreadable: progress.unreadable - unreadable_before,
            healed: healed - healed_before,
            healing: missing.healing,
            waiting: missing.waiting,
            lost: missing.lost,
            lost_keys: missing.lost_keys,
            bytes_per_second: self.settings.scrub_bytes_per_second,
            checked_since_start: progress.checked,
            bad_since_start: progress.bad,
            healed_since_start: healed,
        }
    }

    /// Starts and runs passes for as long as the node runs.
    pub(in crate::driver) async fn keep_scrubbing(self: Arc<Self>) {
        if let Err(error) = self.note_new_store().await {
            tracing::warn!(%error, "the time of the next scrub could not be saved");
        }
        let every = self.settings.scrub_every;
        let look_every = (every / 4).clamp(Duration::from_millis(100), LOOK_EVERY);
        loop {
            let lifetime = self.lifetime.now();
            if lifetime.is_scrubbing() {
                if self.pass(lifetime.scrub_began).await.is_none() {
                    return;
                }
                continue;
            }
            let begun_or_time_to_look = async {
                tokio::select! {
                    biased;
                    () = self.scrubbing.begun.notified() => {}
                    () = tokio::time::sleep(look_every) => {}
                }
            };
            if self.still_runs(begun_or_time_to_look).await.is_none() {
                return;
            }
            let since = self.now().saturating_sub(self.lifetime.now().scrub_began);
            if since > every.as_millis() as u64
                && let Err(error) = self.begin_scrub().await
            {
                tracing::warn!(%error, "a scrub could not be started");
            }
        }
    }

    /// Content written to a new store is verified as it arrives, so the first pass is due as if one had just
    /// ended.
    async fn note_new_store(&self) -> Result<(), StoreError> {
        if self.all_content().files > 0 || self.lifetime.now().scrub_began != 0 {
            return Ok(());
        }
        let now = self.now();
        self.change_life(|lifetime| {
            if lifetime.scrub_began == 0 {
                (lifetime.scrub_began, lifetime.scrub_ended) = (now, now);
            }
        })
        .await
    }

    /// Checks everything last checked before the pass began. `None` once the node is stopping.
    async fn pass(&self, began: Millis) -> Option<()> {
        let left = self.count_unchecked(began).await;
        let all = self.all_content();
        {
            let mut progress = self.scrubbing.progress.lock();
            progress.done = Total {
                files: all.files.saturating_sub(left.files),
                bytes: all.bytes.saturating_sub(left.bytes),
            };
            progress.left = left;
        }
        tracing::info!(files = left.files, bytes = left.bytes, "scrub started");
        let mut good = Good {
            files: Vec::new(),
            noted: Instant::now(),
        };
        let mut after = None;
        loop {
            let page = self.unchecked(began, after.as_ref());
            for holding in &page.items {
                // While the data folder is missing, copies that can't be found are not bad.
                self.until_store_is_fit().await?;
                if let Some(file) = self.still_runs(self.scrub_one(holding)).await {
                    good.files.extend(file);
                } else {
                    self.note_good(&mut good, began).await;
                    return None;
                }
                if good.files.len() >= limits::SCRUB_NOTES_MAX || good.noted.elapsed() >= NOTE_EVERY
                {
                    self.note_good(&mut good, began).await;
                }
            }
            after = page.resume_after;
            if after.is_none() {
                break;
            }
        }
        self.note_good(&mut good, began).await;
        self.end_pass(began).await
    }

    async fn end_pass(&self, began: Millis) -> Option<()> {
        let ended = self.now().max(began);
        while let Err(error) = self
            .change_life(|lifetime| lifetime.scrub_ended = ended)
            .await
        {
            // Otherwise the pass would start again immediately.
            tracing::warn!(%error, "the end of a scrub could not be saved; trying again");
            self.still_runs(tokio::time::sleep(LOOK_EVERY)).await?;
        }
        let status = {
            self.scrubbing.progress.lock().left = Total::default();
            self.scrub_status()
        };
        tracing::info!(
            files = status.done.files,
            bytes = status.done.bytes,
            bad = status.bad,
            unreadable = status.unreadable,
            "scrub finished"
        );
        Some(())
    }

    fn all_content(&self) -> Total {
        let node = self.state.node();
        let (replicas, cached) = (node.replicas(), node.cached());
        Total {
            files: replicas.files + cached.files,
            bytes: replicas.bytes + cached.bytes,
        }
    }

    async fn count_unchecked(&self, began: Millis) -> Total {
        let mut left = Total::default();
        let mut after = None;
        loop {
            let page = self.unchecked(began, after.as_ref());
            left.files += page.items.len() as u64;
            let sizes = page.items.iter().map(|holding| holding.record.size);
            left.bytes += sizes.sum::<u64>();
            after = page.resume_after;
            if after.is_none() {
                return left;
            }
            tokio::task::yield_now().await;
        }
    }

    fn unchecked(&self, began: Millis, after: Option<&Key>) -> Page<Holding> {
        let now = self.now();
        self.state.node().unchecked(began, now, after)
    }

    /// Checks one content. Returns its key and version if it is good.
    async fn scrub_one(&self, holding: &Holding) -> Option<(Key, Version)> {
        let record = &holding.record;
        if !self.holds(record) {
            // It was released since the page was read.
            self.scrubbing.checked(record);
            return None;
        }
        let checked = self.check_content(record).await;
        self.scrubbing.checked(record);
        match checked {
            Ok(()) => return Some((record.key.clone(), record.version)),
            Err(error @ (StoreError::Corrupt(_) | StoreError::Absent(_))) => {
                self.content_failed(holding, &error).await;
            }
            // It was released while it was read.
            Err(_) if !self.holds(record) => {}
            Err(StoreError::Closed | StoreError::Unfit(_)) => {}
            Err(error) => {
                self.scrubbing.progress.lock().unreadable += 1;
                tracing::error!(key = %record.key, %error, "a copy on this disk could not be read; the disk may be failing");
            }
        }
        None
    }

    /// Reads a content at the configured rate and compares it with its digest.
    async fn check_content(&self, record: &Arc<Record>) -> Result<(), StoreError> {
        // Opening a file has a cost, too.
        self.take_turn(limits::SCRUB_FILE_BYTES_MIN).await;
        let content = self.store.open(record).await?;
        let mut hasher = ContentHasher::default();
        while hasher.size() < record.size {
            let bytes = content.read(hasher.size(), STORE_READ_BYTES_MAX).await?;
            if bytes.is_empty() {
                return Err(StoreError::Corrupt(record.key.clone()));
            }
            hasher.update(&bytes);
            self.take_turn(bytes.len() as u64).await;
        }
        if hasher.finish().0 == record.digest {
            Ok(())
        } else {
            Err(StoreError::Corrupt(record.key.clone()))
        }
    }

    async fn take_turn(&self, bytes: u64) {
        if let Some(bytes_per_second) = self.settings.scrub_bytes_per_second {
            self.scrubbing.pace.take(bytes, bytes_per_second).await;
        }
    }

    /// Records the good copies, all of them in a commit or two.
    async fn note_good(&self, good: &mut Good, began: Millis) {
        let notes_any = !good.files.is_empty();
        // After the pass began, whatever the clock says; else they would be checked again after a restart.
        let at = self.now().max(began + 1);
        let notes = good.files.drain(..).map(|(key, version)| {
            let change = Change::Verified { key, version, at };
            self.store.apply(change)
        });
        for noted in join_all(notes).await {
            if let Err(error) = noted {
                tracing::debug!(%error, "a verification could not be recorded");
            }
        }
        if notes_any {
            crash::point("scrub.noted");
        }
        good.noted = Instant::now();
    }
}
