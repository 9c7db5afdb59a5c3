//! Content from other nodes, verified group by group before anyone sees it.
//!
//! The nearest holder is asked first. If it fails, stalls, drips or sends a wrong byte, the next one continues from the
//! first missing group. Unverified bytes never leave this module.
//!
//! The group tree and the first bytes must be there by a deadline. From then on the content must keep up a least rate
//! (`limit.upload_rate`): a holder that sends a byte now and then does not stall, and would keep a reader for ever.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use dataverse_core::content::GroupTree;
use dataverse_core::id::NodeId;
use dataverse_core::limits::GROUP_BYTES;
use dataverse_core::record::Record;
use dataverse_core::search::Peer;
use dataverse_overlay::transport::{CallError, FetchAsk, Fetched, Refusal};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::least_rate::LeastRate;
use crate::driver::Driver;
use crate::limits;
use crate::metrics::Direction;

/// No holder is left to ask.
#[derive(Debug, Clone, thiserror::Error)]
#[error("no node is left that can send {key}: {reason}")]
pub(in crate::driver) struct Exhausted {
    key: String,
    reason: String,
}

/// Groups of one version of a file, in order.
pub(in crate::driver) struct Groups {
    driver: Arc<Driver>,
    record: Arc<Record>,
    sources: VecDeque<Peer>,
    open: Option<OpenFetch>,
    next_group: u64,
    end_group: u64,
    last_error: String,
    failed: Vec<NodeId>,
}

struct OpenFetch {
    peer: Peer,
    tree: GroupTree,
    fetched: Fetched,
    rate: LeastRate,
    /// Bytes received beyond the last group.
    rest: BytesMut,
}

impl Groups {
    /// The groups that cover `offset..offset + length`, from the first of `sources` that can send them.
    pub(in crate::driver) fn new(
        driver: Arc<Driver>,
        record: Arc<Record>,
        sources: impl IntoIterator<Item = Peer>,
        offset: u64,
        length: u64,
    ) -> Self {
        Self {
            driver,
            sources: sources.into_iter().collect(),
            open: None,
            next_group: offset / GROUP_BYTES,
            end_group: (offset + length).min(record.size).div_ceil(GROUP_BYTES),
            record,
            last_error: "no node has it".to_owned(),
            failed: Vec::new(),
        }
    }

    /// The nodes that failed to send it.
    pub(in crate::driver) fn failed(&self) -> &[NodeId] {
        &self.failed
    }

    /// The next group, or `None` after the last.
    pub(in crate::driver) async fn next(&mut self) -> Option<Result<Bytes, Exhausted>> {
        while self.next_group < self.end_group {
            let Some(mut open) = self.open.take() else {
                if let Err(exhausted) = self.open_next().await {
                    return Some(Err(exhausted));
                }
                continue;
            };
            match self.read_group(&mut open).await {
                Ok(group) => {
                    self.next_group += 1;
                    self.driver.has_been_shown(&self.record);
                    self.open = Some(open);
                    return Some(Ok(group));
                }
                Err(error) => self.give_up(&open.peer, &error),
            }
        }
        None
    }

    async fn open_next(&mut self) -> Result<(), Exhausted> {
        let Some(peer) = self.sources.pop_front() else {
            return Err(Exhausted {
                key: self.record.key.to_string(),
                reason: self.last_error.clone(),
            });
        };
        let opened = timeout(self.patience(), self.open_at(peer.clone())).await;
        let late = || CallError::Deadline {
            address: peer.address.to_string(),
        };
        match opened.unwrap_or_else(|_| Err(late())) {
            Ok(open) => self.open = Some(open),
            Err(error) => self.give_up(&peer, &error),
        }
        Ok(())
    }

    /// How long a holder may take until the first bytes are there. The tree of a large file takes a while.
    fn patience(&self) -> Duration {
        let settings = &self.driver.settings;
        let groups = GroupTree::groups_in(self.record.size);
        let tree = Duration::from_secs(groups / limits::TREE_GROUPS_PER_SECOND_MIN);
        settings.call_deadline + settings.read_stall + tree
    }

    async fn open_at(&mut self, peer: Peer) -> Result<OpenFetch, CallError> {
        let offset = self.next_group * GROUP_BYTES;
        let ask = FetchAsk {
            key: self.record.key.clone(),
            version: self.record.version,
            offset,
            length: (self.end_group * GROUP_BYTES).min(self.record.size) - offset,
        };
        let message = self.driver.message(ask);
        let answer = self.driver.transport.fetch(&peer, message).await?;
        let fetched = self.driver.answer_of(&peer, answer)?;
        let tree = GroupTree::checked(&fetched.tree, self.record.digest, self.record.size);
        let tree = tree.map_err(|error| corrupt(error.to_string()))?;
        let settings = &self.driver.settings;
        let mut open = OpenFetch {
            peer,
            tree,
            fetched,
            rate: LeastRate::begin(settings.limit_upload_rate, settings.read_stall),
            rest: BytesMut::new(),
        };
        let first = open.next_chunk(&self.driver).await?;
        open.rest.extend_from_slice(&first);
        Ok(open)
    }

    async fn read_group(&mut self, open: &mut OpenFetch) -> Result<Bytes, CallError> {
        let begin = self.next_group * GROUP_BYTES;
        let wanted = (self.record.size - begin).min(GROUP_BYTES) as usize;
        open.rest.reserve(wanted.saturating_sub(open.rest.len()));
        while open.rest.len() < wanted {
            let chunk = open.next_chunk(&self.driver).await?;
            open.rest.extend_from_slice(&chunk);
        }
        let group = open.rest.split_to(wanted).freeze();
        if open
            .tree
            .verifies(self.record.digest, self.next_group, &group)
        {
            return Ok(group);
        }
        Err(corrupt(format!(
            "group {} does not match the digest",
            self.next_group
        )))
    }

    fn give_up(&mut self, peer: &Peer, error: &CallError) {
        let (key, node, group) = (&self.record.key, &peer.name, self.next_group);
        match error {
            // It has released the copy since it named it, or is at its limit.
            CallError::Refused(Refusal::Absent(_) | Refusal::Busy(_)) => {
                tracing::debug!(%key, %node, group, %error, "a holder has no copy to send any more; trying the next");
            }
            _ => {
                tracing::warn!(%key, %node, group, %error, "a holder could not send a copy; trying the next");
            }
        }
        self.failed.push(peer.id);
        self.last_error = format!("{}: {error}", peer.name);
    }
}

impl OpenFetch {
    async fn next_chunk(&mut self, driver: &Driver) -> Result<Bytes, CallError> {
        self.rate.go_on();
        let Some(chunk) = self.fetched.chunks.next().await else {
            return Err(CallError::Protocol {
                address: self.peer.address.to_string(),
                reason: "the content ended early".to_owned(),
            });
        };
        let chunk = chunk?;
        if !self.rate.arrived(chunk.len()) {
            return Err(CallError::Unreachable {
                address: self.peer.address.to_string(),
                reason: "it sends less than limit.upload_rate".to_owned(),
            });
        }
        let received = driver.metrics.peer_bytes(Direction::In);
        received.increment(chunk.len() as u64);
        Ok(chunk)
    }
}

fn corrupt(reason: String) -> CallError {
    CallError::Refused(Refusal::Corrupt(reason))
}
