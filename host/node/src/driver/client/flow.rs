//! `Flow`: one reader's stream of content, from this node's disk, from a copy that is still arriving, or from
//! other nodes. When a source fails, the next one continues at the same byte; the reader sees one stream.
//!
//! What a `Flow` passes on was verified by its source: by `transfer` and `fetch` always, by `local` when that is due.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use dataverse_core::holdings::Holding;
use dataverse_core::id::NodeId;
use dataverse_core::limits::GROUP_BYTES;
use dataverse_core::record::Record;
use dataverse_core::search::Peer;
use dataverse_overlay::limits::CHUNK_BYTES;
use dataverse_store::{StoreError, Tail};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

use super::fetch::Groups;
use crate::driver::Driver;
use crate::driver::client::api::{Body, BodyError, ReadError};
use crate::limits;

/// Searches for another source before the stream fails.
const SEARCHES_MAX: u32 = 2;

enum FlowSource {
    Disk(BoxStream<'static, Result<Bytes, StoreError>>),
    Arriving(Tail),
    Nodes(Box<Groups>),
    /// Not known yet; a search follows.
    Unknown,
}

pub(in crate::driver) struct Flow {
    driver: Arc<Driver>,
    record: Arc<Record>,
    /// Nodes known to have the content, asked when the present source fails.
    spare: Vec<Peer>,
    source: FlowSource,
    /// Why this node's own copy could not be opened, until the error is returned once.
    here: Option<BodyError>,
    at: u64,
    end: u64,
    searches: u32,
    /// Nodes that failed to send it.
    failed: BTreeSet<NodeId>,
    /// A search found a newer version.
    superseded: bool,
}

impl Flow {
    /// From this node's own store.
    pub(in crate::driver) async fn here(
        driver: Arc<Driver>,
        holding: Holding,
        at: u64,
        end: u64,
    ) -> Self {
        let record = Arc::clone(&holding.record);
        let opened = driver.stream_of(&holding, at, end - at).await;
        let (source, failed) = match opened {
            Ok(stream) => {
                let stream = driver.noting_failure(holding, stream);
                (FlowSource::Disk(stream), None)
            }
            Err(error) => {
                driver.content_failed(&holding, &error).await;
                let failed = BodyError::Failed(error.to_string());
                (FlowSource::Unknown, Some(failed))
            }
        };
        let flow = Self::new(driver, record, Vec::new(), source, at, end);
        Self {
            here: failed,
            ..flow
        }
    }

    /// From other nodes, or from the copy that is arriving here if it is close enough to `at`.
    pub(in crate::driver) fn elsewhere(
        driver: Arc<Driver>,
        record: Arc<Record>,
        sources: Vec<Peer>,
        tail: Option<Tail>,
        at: u64,
        end: u64,
    ) -> Self {
        // A reader of the end of a long file does not wait for all of it to arrive.
        let near = tail.filter(|tail| at <= tail.available() + limits::TAIL_AHEAD_BYTES_MAX);
        let source = match near {
            Some(tail) => FlowSource::Arriving(tail),
            None => FlowSource::Nodes(Box::new(Groups::new(
                Arc::clone(&driver),
                Arc::clone(&record),
                sources.clone(),
                at,
                end - at,
            ))),
        };
        Self::new(driver, record, sources, source, at, end)
    }

    fn new(
        driver: Arc<Driver>,
        record: Arc<Record>,
        spare: Vec<Peer>,
        source: FlowSource,
        at: u64,
        end: u64,
    ) -> Self {
        Self {
            driver,
            record,
            spare,
            source,
            here: None,
            at,
            end,
            searches: 0,
            failed: BTreeSet::new(),
            superseded: false,
        }
    }

    /// The stream. The first piece is read before this returns, so that a failure to start becomes an error
    /// response and not a broken transfer.
    pub(in crate::driver) async fn into_body(mut self) -> Result<Body, ReadError> {
        if self.at == self.end {
            self.driver.has_been_shown(&self.record);
            return Ok(stream::empty().boxed());
        }
        let first = match self.next().await {
            Ok(first) => first,
            Err(_) if self.superseded => {
                let key = self.record.key.clone();
                return Err(ReadError::Superseded { key });
            }
            Err(BodyError::Failed(reason)) => return Err(ReadError::Failed(reason)),
            Err(error) => return Err(ReadError::Source(error.to_string())),
        };
        let rest = stream::try_unfold(self, |mut flow| async move {
            if flow.at == flow.end {
                return Ok(None);
            }
            let bytes = flow.next().await?;
            Ok(Some((bytes, flow)))
        });
        Ok(stream::once(async move { Ok(first) }).chain(rest).boxed())
    }

    /// The next piece, from whichever source can send it.
    async fn next(&mut self) -> Result<Bytes, BodyError> {
        loop {
            let failed = match self.pull().await {
                Ok(bytes) => {
                    self.at += bytes.len() as u64;
                    return Ok(bytes);
                }
                Err(reason) => reason,
            };
            tracing::debug!(key = %self.record.key, at = self.at, reason = %failed, "a source of content failed; trying the next");
            self.change_source(failed).await?;
        }
    }

    async fn pull(&mut self) -> Result<Bytes, BodyError> {
        let ended = || BodyError::Source("the content ended early".to_owned());
        let left = self.end - self.at;
        let bytes = match &mut self.source {
            FlowSource::Disk(stream) => match stream.next().await.ok_or_else(ended)? {
                Ok(bytes) => bytes,
                Err(error) => return Err(BodyError::Failed(error.to_string())),
            },
            FlowSource::Arriving(tail) => {
                let max = CHUNK_BYTES.min(usize::try_from(left).unwrap_or(usize::MAX));
                let read = tail.read(self.at, max).await;
                read.map_err(|error| BodyError::Failed(error.to_string()))?
                    .ok_or_else(ended)?
            }
            FlowSource::Nodes(groups) => {
                let group = groups.next().await.ok_or_else(ended)?;
                let group = group.map_err(|error| BodyError::Source(error.to_string()))?;
                // The first group may start before the range, the last may end after it.
                let skip = self.at % GROUP_BYTES;
                let mut group = group.slice(skip as usize..);
                group.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                group
            }
            FlowSource::Unknown => {
                return Err(self.here.take().unwrap_or_else(|| {
                    BodyError::Source(format!("no reachable node sends {}", self.record.key))
                }));
            }
        };
        Ok(bytes)
    }

    /// Switches to the nodes that are known to have it, then to those that a search finds.
    async fn change_source(&mut self, failed: BodyError) -> Result<(), BodyError> {
        if let FlowSource::Nodes(groups) = &self.source {
            self.failed.extend(groups.failed());
        }
        let mut sources = std::mem::take(&mut self.spare);
        if self.searches == 0 {
            self.driver.add_holders(&mut sources, &self.record);
        }
        sources.retain(|peer| !self.failed.contains(&peer.id));
        if sources.is_empty() {
            if self.searches == SEARCHES_MAX {
                return Err(failed);
            }
            self.searches += 1;
            sources = self.search_again().await;
        }
        if sources.is_empty() {
            return Err(failed);
        }
        self.source = FlowSource::Nodes(Box::new(Groups::new(
            Arc::clone(&self.driver),
            Arc::clone(&self.record),
            sources,
            self.at,
            self.end - self.at,
        )));
        Ok(())
    }

    async fn search_again(&mut self) -> Vec<Peer> {
        let record = &self.record;
        let report = self
            .driver
            .search_elsewhere(&record.key, Some(record.version), &self.failed)
            .await;
        self.superseded |= report
            .floor
            .is_some_and(|floor| floor.version > record.version);
        let same = report
            .hits
            .iter()
            .filter(|found| found.hit.record.is_same_write(record));
        same.map(|found| found.peer.clone()).collect()
    }
}
