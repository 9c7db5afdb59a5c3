//! Content from this node's own disk, checked on its way out when it was last checked too long ago.

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

/// A pass over the groups of a content that checks each of them.
struct Checking {
    driver: Arc<Driver>,
    record: Arc<Record>,
    content: Content,
    tree: Arc<GroupTree>,
    from: u64,
    at: u64,
    end: u64,
}

/// What it means that a content could not be read.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    /// It is bad, or gone though it is held.
    Bad,
    /// It may be good, and could not be read now.
    Unreadable,
    /// It is not held any more: nothing is wrong.
    NotHere,
}

impl Failure {
    /// `is_held`: now, after it failed. `is_gone`: it is held and its file is not there.
    const fn of(error: &StoreError, is_held: bool, is_gone: bool) -> Self {
        match error {
            _ if !is_held => Self::NotHere,
            // The store ends, or waits for its folder to come back: that is told elsewhere.
            StoreError::Closed | StoreError::Unfit(_) => Self::NotHere,
            StoreError::Corrupt(_) => Self::Bad,
            StoreError::Absent(_) if is_gone => Self::Bad,
            // It was let go of and has come again.
            StoreError::Absent(_) => Self::NotHere,
            _ => Self::Unreadable,
        }
    }
}

impl Driver {
    /// The bytes `offset..offset + length` of a holding.
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

    /// The same, every group checked before it is passed on.
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

    /// A content could not be read from this disk: a bad one is put aside, so that nobody gets it, and a replica
    /// is made good from another. One that was evicted, replaced or let go of meanwhile is no failure.
    pub(in crate::driver) async fn content_failed(&self, record: &Arc<Record>, error: &StoreError) {
        let is_gone = matches!(error, StoreError::Absent(_)) && self.is_gone(record).await;
        match Failure::of(error, self.holds(record), is_gone) {
            Failure::Bad => {}
            Failure::Unreadable => {
                tracing::warn!(key = %record.key, %error, "a copy on this disk could not be read; others are asked");
                return;
            }
            Failure::NotHere => {
                tracing::debug!(key = %record.key, %error, "a copy left this disk before it was read; others are asked");
                return;
            }
        }
        match self.store.apply(self.putting_aside(record)).await {
            Ok(Applied::Done {
                before: Some(before),
            }) => self.was_put_aside(&before, error),
            // Somebody else did, or it was replaced.
            Ok(_) => {}
            Err(error @ (StoreError::Closed | StoreError::Unfit(_))) => {
                tracing::debug!(key = %record.key, %error, "a bad copy was not put aside");
            }
            Err(error) => {
                tracing::error!(key = %record.key, %error, "a bad copy could not be put aside");
            }
        }
    }

    /// Whether a content that could not be found is held all the same: then its file is gone. What was let go of
    /// or replaced meanwhile has left the holdings before its file went.
    async fn is_gone(&self, record: &Arc<Record>) -> bool {
        self.holds(record)
            && matches!(self.store.open(record).await, Err(StoreError::Absent(_)))
            && self.holds(record)
    }

    /// The same stream; should it fail, that is acted on before whoever reads it hears of it.
    pub(in crate::driver) fn noting_failure(
        &self,
        record: Arc<Record>,
        content: BoxStream<'static, Result<Bytes, StoreError>>,
    ) -> BoxStream<'static, Result<Bytes, StoreError>> {
        let driver = self.shared();
        content
            .then(move |chunk| {
                let (driver, record) = (Arc::clone(&driver), Arc::clone(&record));
                async move {
                    if let Err(error) = &chunk {
                        driver.content_failed(&record, error).await;
                    }
                    chunk
                }
            })
            .boxed()
    }

    /// An extra copy is dropped, a replica is kept aside and missed from then on.
    fn putting_aside(&self, record: &Record) -> Change {
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

    fn was_put_aside(&self, bad: &Holding, error: &StoreError) {
        let record = &bad.record;
        self.scrubbing.found_bad();
        if bad.role == Role::Cached {
            tracing::warn!(key = %record.key, version = %record.version, %error, "a bad cached copy was dropped");
            return;
        }
        crash::point("scrub.bad");
        self.metrics.quarantined();
        tracing::error!(key = %record.key, version = %record.version, %error, "a replica on this disk is bad; it was moved to quarantine and is made good from another");
        self.state.healing.add(Arc::clone(record));
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

    /// Notes that the whole content was found to be good.
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
            tracing::debug!(key = %self.record.key, %error, "a check was not noted");
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
        // It was let go of, and has come again before it was looked at.
        assert_eq!(Failure::of(&absent(), true, false), Failure::NotHere);
        assert_eq!(Failure::of(&absent(), true, true), Failure::Bad);
        assert_eq!(Failure::of(&corrupt(), true, false), Failure::Bad);
        assert_eq!(Failure::of(&failed(), true, false), Failure::Unreadable);
    }
}
