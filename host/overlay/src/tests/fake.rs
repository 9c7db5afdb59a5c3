//! A node whose behaviour is chosen by the key that it is asked about.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use dataverse_core::content::{ContentHasher, Digest};
use dataverse_core::filter::Filter;
use dataverse_core::floors::Heard;
use dataverse_core::holdings::Role;
use dataverse_core::id::{FileId, NodeId};
use dataverse_core::key::Key;
use dataverse_core::limits::{GROUP_BYTES, RECONCILE_BUCKETS};
use dataverse_core::reconcile::Compared;
use dataverse_core::record::{Layout, Record};
use dataverse_core::search::{Answer, Deletion, Hit, Peer, Question};
use dataverse_core::version::{Stamp, Version};
use futures_util::stream::{self, BoxStream, StreamExt};
use parking_lot::Mutex;

use crate::grpc::convert::{fetched_bytes, group_tree_bytes};
use crate::transport::{
    Call, CallError, CommitAnswer, CommitAsk, FetchAsk, Fetched, LinkAnswer, Message,
    PrepareAnswer, PrepareAsk, ReconcileAnswer, ReconcileAsk, Refusal, Reply, Sender, Serve,
    TrustAnswer,
};

/// See the module.
pub(super) struct Fake {
    here: Peer,
    /// Everything that it received, printed.
    heard: Mutex<Vec<String>>,
    /// Bytes of content that were read from it.
    pub(super) produced: Arc<AtomicU64>,
    /// How the content of preparations ended.
    pub(super) prepared: Mutex<Vec<Result<u64, CallError>>>,
    /// Calls that were dropped before they ended, and streams that were dropped.
    pub(super) dropped: Arc<AtomicUsize>,
}

/// Counts when it is dropped.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

pub(super) fn key(text: &str) -> Key {
    Key::parse(text).expect("it is a key")
}

pub(super) fn version() -> Version {
    Version {
        stamp: Stamp(9),
        writer: NodeId::from(3),
    }
}

pub(super) fn heard_of() -> Heard {
    Heard::deletion(version())
}

pub(super) fn record(text: &str, size: u64) -> Arc<Record> {
    Arc::new(Record {
        key: key(text),
        version: version(),
        layout: Layout {
            counter: 1,
            author: NodeId::from(3),
            holders: vec![NodeId::from(3), NodeId::from(0xb)],
        },
        deleted: false,
        size,
        // A record whose size and digest can't belong together is refused.
        digest: match size {
            0 => Digest::of(&[]),
            _ => Digest::of(text.as_bytes()),
        },
        content_type: "text/plain".into(),
        factor: 2,
    })
}

/// The refusal for a key `refuse/kind`. For `silent/…` the node does not answer at all.
fn refusal(key: &Key) -> Option<Refusal> {
    let text = format!("no: {key} (ähm)");
    Some(match key.as_str() {
        "refuse/invalid" => Refusal::Invalid(text),
        "refuse/absent" => Refusal::Absent(text),
        "refuse/no-room" => Refusal::NoSpace(text),
        "refuse/busy" => Refusal::Busy(text),
        "refuse/corrupt" => Refusal::Corrupt(text),
        "refuse/failed" => Refusal::Failed(text),
        _ => return None,
    })
}

impl Fake {
    pub(super) fn new(here: Peer) -> Self {
        Self {
            here,
            heard: Mutex::default(),
            produced: Arc::default(),
            prepared: Mutex::default(),
            dropped: Arc::default(),
        }
    }

    /// Everything that it received since the last call.
    pub(super) fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.heard.lock())
    }

    fn hear<T: std::fmt::Debug>(&self, message: &Message<T>) {
        let text = format!("{message:?}");
        self.heard.lock().push(text);
    }

    pub(super) fn sender(&self) -> Sender {
        Sender {
            node: self.here.clone(),
            clock: Stamp::at(7),
            network: "test".into(),
            protocol: 1,
            instance: 3,
        }
    }

    fn say<T>(&self, body: T) -> Result<Message<T>, Refusal> {
        let sender = self.sender();
        Ok(Message { sender, body })
    }

    async fn think(&self, key: &Key) -> Result<(), Refusal> {
        if key.user() == "silent" {
            let _dropped = Dropped(Arc::clone(&self.dropped));
            pending::<()>().await;
        }
        refusal(key).map_or(Ok(()), Err)
    }

    /// `size` bytes, in chunks of a group, produced as they are read. `broken/…` breaks after one chunk, and `short/…`
    /// ends after it.
    fn content(&self, key: &Key, size: u64) -> BoxStream<'static, Result<Bytes, CallError>> {
        let produced = Arc::clone(&self.produced);
        let dropped = Dropped(Arc::clone(&self.dropped));
        let group = Bytes::from(vec![7; GROUP_BYTES as usize]);
        let user = key.user().to_owned();
        stream::unfold(0, move |at| {
            let _held = &dropped;
            let len = (size - at).min(GROUP_BYTES);
            let item = match (user.as_str(), at) {
                ("broken", 1..) => Some(Err(CallError::Refused(Refusal::Corrupt("bad".into())))),
                ("short", 1..) => None,
                _ if len == 0 => None,
                _ => {
                    produced.fetch_add(len, Ordering::SeqCst);
                    Some(Ok(group.slice(..len as usize)))
                }
            };
            async move { item.map(|item| (item, at + len)) }
        })
        .boxed()
    }
}

#[async_trait]
impl Serve for Fake {
    async fn call(&self, call: Message<Call>) -> Result<Message<Reply>, Refusal> {
        self.hear(&call);
        self.say(match call.body {
            Call::Link(ask) if ask.explicit => Reply::Link(LinkAnswer::Linked),
            Call::Link(_) => Reply::Link(LinkAnswer::Cut),
            Call::Introduce(_) => Reply::Introduce(()),
            Call::Unlink(_) => Reply::Unlink(()),
            Call::Probe(Question::Exact { key, .. }) => {
                self.think(&key).await?;
                Reply::Probe(answer(&key, &self.here))
            }
            Call::Probe(Question::Pattern { .. }) => Reply::Probe(Answer::default()),
            Call::Commit(CommitAsk::Commit { record: sent, .. }) if sent.key.user() == "older" => {
                Reply::Commit(CommitAnswer::Superseded(record("older/x", 77)))
            }
            Call::Commit(_) => Reply::Commit(CommitAnswer::Done),
            Call::Pull(_) => Reply::Pull(()),
            Call::Move(_) => Reply::Move(()),
            Call::Reconcile(ask) => Reply::Reconcile(reconciled(&ask)),
            Call::Announce(_) => Reply::Announce(()),
            Call::Trust(ask) => Reply::Trust(TrustAnswer {
                digest: [7; 32],
                statements: ask.statements,
            }),
            Call::Gossip(_) => Reply::Gossip(()),
        })
    }

    async fn fetch(&self, ask: Message<FetchAsk>) -> Result<Message<Fetched>, Refusal> {
        self.hear(&ask);
        let FetchAsk {
            key,
            offset,
            length,
            ..
        } = ask.body;
        self.think(&key).await?;
        let size = key
            .name()
            .parse()
            .expect("the name of a file to fetch is its size");
        let tree = (0..group_tree_bytes(size)).map(|at| at as u8).collect();
        self.say(Fetched {
            record: record(key.as_str(), size),
            tree,
            chunks: self.content(&key, fetched_bytes(size, offset, length)),
        })
    }

    async fn prepare(
        &self,
        ask: Message<PrepareAsk>,
        mut chunks: BoxStream<'static, Result<Bytes, CallError>>,
    ) -> Result<Message<PrepareAnswer>, Refusal> {
        self.hear(&ask);
        self.think(&ask.body.key).await?;
        let mut hasher = ContentHasher::default();
        while let Some(chunk) = chunks.next().await {
            match chunk {
                Ok(bytes) => hasher.update(&bytes),
                Err(error) => {
                    self.prepared.lock().push(Err(error));
                    return Err(Refusal::Failed("it broke".to_owned()));
                }
            }
        }
        let size = hasher.size();
        self.prepared.lock().push(Ok(size));
        let (digest, _) = hasher.finish();
        let known = Some(heard_of());
        self.say(PrepareAnswer {
            digest,
            size,
            known,
        })
    }
}

/// The node's answer to a comparison.
pub(super) fn reconciled(ask: &ReconcileAsk) -> ReconcileAnswer {
    match ask {
        ReconcileAsk::Root(7) | ReconcileAsk::Filter { known: 7 } => ReconcileAnswer::Agreed,
        ReconcileAsk::Root(_) => {
            let sums = (0..RECONCILE_BUCKETS).map(|at| u128::MAX - at as u128);
            ReconcileAnswer::Sums(sums.collect())
        }
        ReconcileAsk::Filter { .. } => {
            let mut filter = Filter::with_room_for(1000);
            filter.put(FileId(9));
            ReconcileAnswer::Filter(filter)
        }
        ReconcileAsk::Compare { entries, .. } => ReconcileAnswer::Compared(Compared {
            records: vec![record("ada/x", 5), record("ada/y", 6)],
            unknown: entries.iter().map(|entry| entry.file).collect(),
            until: FileId(u64::MAX - 1),
        }),
    }
}

/// The node's answer to a probe for this key.
pub(super) fn answer(key: &Key, neighbour: &Peer) -> Answer {
    Answer {
        hits: vec![Hit {
            record: record(key.as_str(), 5),
            role: Role::Cached,
            validated_age_ms: 12,
        }],
        hits_are_all: true,
        known: Some(heard_of()),
        overtaken: None,
        pending: false,
        deletion: Deletion::None,
        load: 3,
        neighbours: vec![neighbour.clone()],
    }
}
