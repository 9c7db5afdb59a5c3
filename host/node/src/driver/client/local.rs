//! Content from this node's own disk. It is verified on its way out when it was last verified longer ago than
//! `verify.every`, and always before it goes to another node.
//!
//! A bad copy is never served again: a replica moves to quarantine and is healed, a cached copy is dropped.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use dataverse_core::content::GroupTree;
use dataverse_core::holdings::{Holding, Role};
use dataverse_core::limits::GROUP_BYTES;
use dataverse_core::record::Record;
use dataverse_store::crash;
use dataverse_store::{Applied, Change, Content, StoreError};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

use crate::driver::Driver;

/// Streams content and verifies each group before passing it on.
struct Checking {
    driver: Arc<Driver>,
    record: Arc<Record>,
    content: Content,
    tree: Arc<GroupTree>,
    from: u64,
    at: u64,
    end: u64,
}

/// Why content could not be read.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    /// It is bad, or its file is gone though the index holds it.
    Bad,
    /// It may be good, but could not be read now.
    Unreadable,
    /// It is no longer held: nothing is wrong.
    NotHere,
}

impl Failure {
    /// `is_held`: whether it is held now, after the failure. `is_gone`: whether it is held and its file is
    /// missing.
    const fn of(error: &StoreError, is_held: bool, is_gone: bool) -> Self {
        match error {
            _ if !is_held => Self::NotHere,
            // The store is closed, or waits for its folder to come back; both are reported elsewhere.
            StoreError::Closed | StoreError::Unfit(_) => Self::NotHere,
            StoreError::Corrupt(_) => Self::Bad,
            StoreError::Absent(_) if is_gone => Self::Bad,
            // It was released and has arrived again.
            StoreError::Absent(_) => Self::NotHere,
            _ => Self::Unreadable,
        }
    }
}

impl Driver {
    /// The bytes `offset..offset + length` of a holding, verified if that is due.
    pub(in crate::driver) async fn stream_of(
        &self,
        holding: &Holding,
        offset: u64,
        length: u64,
    ) -> Result<BoxStream<'static, Result<Bytes, StoreError>>, StoreError> {
        let content = self.store.open(&holding.record).await?;
        let unchecked_ms = self.now().saturating_sub(holding.verified);
        if unchecked_ms <= self.settings.verify_every.as_millis() as u64 {
            return Ok(content.stream(offset, length));
        }
        self.checked_stream_of(holding, content, offset, length)
            .await
    }

    /// The same bytes, every group verified before it is passed on.
    pub(in crate::driver) async fn checked_stream_of(
        &self,
        holding: &Holding,
        content: Content,
        offset: u64,
        length: u64,
    ) -> Result<BoxStream<'static, Result<Bytes, StoreError>>, StoreError> {
        let checking = Checking {
            driver: self.shared(),
            record: Arc::clone(&holding.record),
            tree: content.tree().await?,
            content,
            from: offset,
            at: offset,
            end: offset + length,
        };
        Ok(stream::try_unfold(checking, Checking::step).boxed())
    }

    /// Handles content that could not be read from this disk: quarantines a bad replica and queues it for
    /// healing, or drops a bad cached copy. `opened` is the holding whose content was opened: a copy that was evicted,
    /// replaced, released or healed meanwhile is not a failure.
    pub(in crate::driver) async fn content_failed(&self, opened: &Holding, error: &StoreError) {
        let record = &opened.record;
        let is_gone = matches!(error, StoreError::Absent(_)) && self.is_gone(record).await;
        match Failure::of(error, self.still_holds(opened), is_gone) {
            Failure::Bad => {}
            Failure::Unreadable => {
                tracing::warn!(key = %record.key, %error, "a copy on this disk could not be read");
                return;
            }
            Failure::NotHere => {
                tracing::debug!(key = %record.key, %error, "a copy was removed from this disk before it was read");
                return;
            }
        }
        match self.store.apply(self.change_for_bad(record)).await {
            Ok(Applied::Done {
                before: Some(before),
            }) => self.note_bad(&before, error),
            // Another task did it first, or the copy was replaced.
            Ok(_) => {}
            Err(error @ (StoreError::Closed | StoreError::Unfit(_))) => {
                tracing::debug!(key = %record.key, %error, "a bad copy was not quarantined");
            }
            Err(error) => {
                tracing::error!(key = %record.key, %error, "a bad copy could not be quarantined");
            }
        }
    }

    /// Whether the content of this holding is still the one that is held. One that came since was verified later.
    fn still_holds(&self, opened: &Holding) -> bool {
        let node = self.state.node();
        let held = node.holding(&opened.record.key);
        held.is_some_and(|held| {
            held.record.is_same_write(&opened.record) && held.verified == opened.verified
        })
    }

    /// Whether the file of this content is gone although the content is still held. A copy that was released or
    /// replaced meanwhile does not count: it leaves the holdings before its file is deleted.
    async fn is_gone(&self, record: &Arc<Record>) -> bool {
        self.holds(record)
            && matches!(self.store.open(record).await, Err(StoreError::Absent(_)))
            && self.holds(record)
    }

    /// The same stream, except that a failure is handled before the reader sees it.
    pub(in crate::driver) fn noting_failure(
        &self,
        opened: Holding,
        content: BoxStream<'static, Result<Bytes, StoreError>>,
    ) -> BoxStream<'static, Result<Bytes, StoreError>> {
        let driver = self.shared();
        content
            .then(move |chunk| {
                let (driver, opened) = (Arc::clone(&driver), opened.clone());
                async move {
                    if let Err(error) = &chunk {
                        driver.content_failed(&opened, error).await;
                    }
                    chunk
                }
            })
            .boxed()
    }

    /// The change for a bad copy: a cached copy is dropped, a replica is quarantined and counts as missing from
    /// then on.
    fn change_for_bad(&self, record: &Record) -> Change {
        let held = self.state.node();
        let held = held.holding(&record.key);
        let (key, version) = (record.key.clone(), record.version);
        match held {
            Some(held) if held.role == Role::Cached && held.record.version == version => {
                Change::Drop {
                    key,
                    version,
                    only: Some(Role::Cached),
                }
            }
            _ => Change::Quarantine { key, version },
        }
    }

    fn note_bad(&self, bad: &Holding, error: &StoreError) {
        let record = &bad.record;
        self.scrubbing.found_bad();
        if bad.role == Role::Cached {
            tracing::warn!(key = %record.key, version = %record.version, %error, "dropped a bad cached copy");
            return;
        }
        crash::point("scrub.bad");
        self.metrics.quarantined();
        tracing::error!(key = %record.key, version = %record.version, %error, "a replica on this disk is bad; it was moved to quarantine and will be copied again from another node");
        self.state.backlog.heal(Arc::clone(record));
    }
}

impl Checking {
    async fn step(mut self) -> Result<Option<(Bytes, Self)>, StoreError> {
        if self.at >= self.end {
            return Ok(None);
        }
        let index = self.at / GROUP_BYTES;
        let begin = index * GROUP_BYTES;
        let size = (self.record.size - begin).min(GROUP_BYTES);
        let mut group = self.read_whole(begin, size).await?;
        if !self.tree.verifies(self.record.digest, index, &group) {
            return Err(StoreError::Corrupt(self.record.key.clone()));
        }
        let skip = (self.at - begin) as usize;
        let keep = (self.end - begin).min(size) as usize;
        let bytes = group.split_to(keep).split_off(skip);
        self.at = begin + keep as u64;
        if self.at >= self.end {
            self.passed().await;
        }
        Ok(Some((bytes, self)))
    }

    async fn read_whole(&self, begin: u64, size: u64) -> Result<Bytes, StoreError> {
        let mut parts = self.content.stream(begin, size);
        let mut group = BytesMut::with_capacity(size as usize);
        while let Some(part) = parts.next().await {
            group.extend_from_slice(&part?);
        }
        Ok(group.freeze())
    }

    /// Records that the whole content was verified.
    async fn passed(&self) {
        if self.from != 0 || self.end != self.record.size {
            return;
        }
        let change = Change::Verified {
            key: self.record.key.clone(),
            version: self.record.version,
            at: self.driver.now(),
        };
        if let Err(error) = self.driver.store.apply(change).await {
            tracing::debug!(key = %self.record.key, %error, "a verification could not be recorded");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::tests::key;

    #[test]
    fn a_copy_that_is_not_held_any_more_is_no_failure() {
        let absent = || StoreError::Absent(key("ada/x"));
        let corrupt = || StoreError::Corrupt(key("ada/x"));
        let failed = || StoreError::Failed {
            doing: "reading".to_owned(),
            reason: "input/output error".to_owned(),
        };
        for error in [absent(), corrupt(), failed(), StoreError::Closed] {
            assert_eq!(Failure::of(&error, false, false), Failure::NotHere);
        }
        // It was released and arrived again before it was looked at.
        assert_eq!(Failure::of(&absent(), true, false), Failure::NotHere);
        assert_eq!(Failure::of(&absent(), true, true), Failure::Bad);
        assert_eq!(Failure::of(&corrupt(), true, false), Failure::Bad);
        assert_eq!(Failure::of(&failed(), true, false), Failure::Unreadable);
    }
}
