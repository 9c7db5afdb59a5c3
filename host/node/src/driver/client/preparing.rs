//! `Preparing`: sends one content to the nodes that will hold it, either an upload while it arrives or a replica
//! of this node that is being copied.
//!
//! Every replica reads the spool as it grows, at its own pace; the client never waits for the slowest. A node that
//! fails is replaced by the next in placement's order, which reads the content from the beginning. Dropping a
//! [`Preparing`] breaks its streams, and the receiving nodes discard what they have. Nothing is committed here.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use dataverse_core::content::Digest;
use dataverse_core::floors::Heard;
use dataverse_core::holdings::Holding;
use dataverse_core::key::Key;
use dataverse_core::search::Peer;
use dataverse_overlay::limits;
use dataverse_overlay::transport::{
    CallError, CommitAsk, PrepareAnswer, PrepareAsk, PrepareBroken, TransportExt,
};
use dataverse_store::Tail;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::driver::Driver;

/// A node on which the content is durable and awaits its commit.
#[derive(Debug, Clone)]
pub(in crate::driver) struct Ready {
    pub(in crate::driver) peer: Peer,
    /// The preparation's id; `None` for a record without content.
    pub(in crate::driver) preparation: Option<u128>,
    /// The greatest version of the file that the node has heard of.
    pub(in crate::driver) known: Option<Heard>,
}

/// The result of all preparations of a write.
#[derive(Debug, Default)]
pub(in crate::driver) struct Readied {
    /// The nodes that are ready, in the order in which they became ready.
    pub(in crate::driver) others: Vec<Ready>,
    /// Whether this node is one of them. It prepares nothing, because it has the content.
    pub(in crate::driver) own: bool,
}

/// Where the content comes from.
#[derive(Debug, Clone)]
pub(in crate::driver) enum PrepareSource {
    /// An upload, as it arrives.
    Spool(Tail),
    /// A holding of this node; every group is verified before it is sent.
    Held(Holding),
}

type PrepareOutcome = (Peer, u128, Result<PrepareAnswer, CallError>);

/// The preparations of one file's content on other nodes.
pub(in crate::driver) struct Preparing {
    driver: Arc<Driver>,
    key: Key,
    size: Option<u64>,
    source: PrepareSource,
    factor: usize,
    ranked: VecDeque<Peer>,
    running: JoinSet<PrepareOutcome>,
    readied: Readied,
}

impl Preparing {
    /// Starts with the first `factor` of `ranked`, best first; the rest are spares.
    pub(in crate::driver) fn begin(
        driver: Arc<Driver>,
        key: Key,
        size: Option<u64>,
        factor: usize,
        ranked: Vec<Peer>,
        source: PrepareSource,
    ) -> Self {
        let mut preparing = Self {
            driver,
            key,
            size,
            source,
            factor,
            ranked: ranked.into(),
            running: JoinSet::new(),
            readied: Readied::default(),
        };
        preparing.fill_up();
        preparing
    }

    /// Waits until enough nodes are ready, no node is left to try, or the deadline has passed.
    pub(in crate::driver) async fn finish(mut self, digest: Digest, deadline: Instant) -> Readied {
        while !self.running.is_empty() {
            let Ok(Some(joined)) =
                tokio::time::timeout_at(deadline, self.running.join_next()).await
            else {
                tracing::warn!(key = %self.key, "nodes did not store their replica before the deadline");
                break;
            };
            let (peer, preparation, outcome) = joined.expect("a preparation never panics");
            match outcome {
                Ok(answer) if answer.digest == digest => self.readied.others.push(Ready {
                    peer,
                    preparation: Some(preparation),
                    known: self.driver.believable_floor(answer.known),
                }),
                Ok(_) => {
                    tracing::warn!(key = %self.key, node = %peer.name, "a node received different bytes than were sent");
                    self.driver.abandon(peer, preparation);
                }
                Err(error) => {
                    tracing::warn!(key = %self.key, node = %peer.name, %error, "a node did not store its replica");
                }
            }
            self.fill_up();
        }
        self.readied
    }

    /// Starts preparations until enough are ready or running.
    fn fill_up(&mut self) {
        while self.under_way() < self.factor {
            let Some(peer) = self.ranked.pop_front() else {
                return;
            };
            if peer.id == self.driver.me.id {
                self.readied.own = true;
            } else {
                self.start(peer);
            }
        }
    }

    fn under_way(&self) -> usize {
        self.readied.others.len() + self.running.len() + usize::from(self.readied.own)
    }

    fn start(&mut self, peer: Peer) {
        let driver = Arc::clone(&self.driver);
        let preparation = self.driver.entropy.name();
        let ask = PrepareAsk {
            preparation,
            key: self.key.clone(),
            size: self.size,
        };
        let chunks = match &self.source {
            PrepareSource::Spool(tail) => chunks_of(tail.clone()),
            PrepareSource::Held(holding) => driver.chunks_held(holding.clone()),
        };
        self.running.spawn(async move {
            let answer = driver
                .transport
                .prepare(&peer, driver.message(ask), chunks)
                .await
                .and_then(|answer| driver.answer_of(&peer, answer));
            (peer, preparation, answer)
        });
    }
}

/// The spool from its beginning to its end, as it grows.
fn chunks_of(tail: Tail) -> BoxStream<'static, Result<Bytes, PrepareBroken>> {
    stream::try_unfold((tail, 0u64), |(tail, offset)| async move {
        match tail.read(offset, limits::CHUNK_BYTES).await {
            Ok(Some(bytes)) => {
                let next = offset + bytes.len() as u64;
                Ok(Some((bytes, (tail, next))))
            }
            Ok(None) => Ok(None),
            Err(_) => Err(PrepareBroken),
        }
    })
    .boxed()
}

impl Driver {
    /// The content of a holding from its beginning. A bad copy is quarantined and breaks the stream.
    fn chunks_held(&self, holding: Holding) -> BoxStream<'static, Result<Bytes, PrepareBroken>> {
        let driver = self.shared();
        let held = holding.clone();
        let opened = async move {
            let content = driver.store.open(&held.record).await?;
            let size = held.record.size;
            driver.checked_stream_of(&held, content, 0, size).await
        };
        let content = stream::once(opened).try_flatten().boxed();
        self.noting_failure(holding, content)
            .map_err(|_| PrepareBroken)
            .boxed()
    }

    /// Abandons all preparations.
    pub(in crate::driver) fn abandon_all(&self, readied: &Readied) {
        for ready in &readied.others {
            self.abandon_ready(ready);
        }
    }

    /// Abandons the preparation on one node.
    pub(in crate::driver) fn abandon_ready(&self, ready: &Ready) {
        if let Some(preparation) = ready.preparation {
            self.abandon(ready.peer.clone(), preparation);
        }
    }

    /// Tells a node, in the background, that a preparation will not be committed.
    pub(in crate::driver) fn abandon(&self, peer: Peer, preparation: u128) {
        let driver = self.shared();
        self.spawn(async move {
            let ask = driver.message(CommitAsk::Abandon { preparation });
            if let Err(error) = driver.transport.ask(&peer, ask).await {
                tracing::debug!(node = %peer.name, %error, "a preparation could not be abandoned; it will expire");
            }
        });
    }
}
