//! A node that lies: the real one, with a bit flipped in some of the content it sends, and in some runs one that
//! announces versions, deletions and layouts that do not exist to whoever asks it for a file. It lies as long as the
//! weather is bad. (Otherwise a file that only this node has could never be read.) And one that does not say which
//! writes are pending.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use dataverse_core::content::Digest;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::{Layout, Record};
use dataverse_core::search::Question;
use dataverse_core::version::{Stamp, Version};
use dataverse_node::driver::Driver;
use dataverse_overlay::memory::MemoryTransport;
use dataverse_overlay::transport::{
    Announcement, Call, CallError, FetchAsk, Fetched, Message, PrepareAnswer, PrepareAsk, Refusal,
    Reply, Sender, Serve, TransportExt,
};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use parking_lot::Mutex;

use crate::chance::Chance;
use crate::weather::SeededWeather;

/// A node that sends a wrong byte in some fetches.
pub struct Lying {
    /// The node itself.
    pub node: Arc<Driver>,
    /// How many of 1000 fetches.
    pub lies: u64,
    /// Chooses which ones.
    pub chance: Mutex<Chance>,
    /// It lies until this clears up.
    pub weather: Arc<SeededWeather>,
    /// Makes up records; absent in most runs.
    pub forging: Option<Forging>,
}

/// Makes up records and announces them.
pub struct Forging {
    /// After how many of 1000 questions about a file.
    pub rate: u64,
    /// Chooses which ones, and what is made up.
    pub chance: Mutex<Chance>,
    /// Carries the announcements.
    pub transport: MemoryTransport,
}

impl Forging {
    /// A record greater than any that the node which asked has heard of. None of the nodes that it names has it.
    fn record(&self, asker: &Sender, liar: NodeId, key: &Key, found: Option<&Record>) -> Record {
        let mut chance = self.chance.lock();
        let made_up = Digest::of(&chance.number().to_be_bytes());
        let counter = asker.clock.0 + chance.below(1_000);
        let named: &[&[NodeId]] = &[&[], &[liar], &[asker.node.id], &[asker.node.id, liar]];
        let layout = Layout {
            counter,
            author: liar,
            holders: chance.pick(named).to_vec(),
        };
        let kind = chance.below(3);
        if let Some(found) = found.filter(|_| kind == 2) {
            return Record {
                layout,
                ..found.clone()
            };
        }
        let deleted = kind == 1;
        Record {
            version: Version {
                stamp: Stamp(counter),
                writer: liar,
            },
            layout,
            deleted,
            size: if deleted { 0 } else { 8 },
            digest: if deleted { Digest::of(&[]) } else { made_up },
            content_type: "text/plain".into(),
            factor: 2,
            key: key.clone(),
        }
    }
}

impl Lying {
    fn lies_now(&self) -> bool {
        let mut chance = self.chance.lock();
        chance.permille(self.lies) && !self.weather.is_clear()
    }
}

fn turned(bytes: Bytes) -> Bytes {
    let mut wrong = bytes.to_vec();
    if let Some(last) = wrong.last_mut() {
        *last ^= 0x10;
    }
    wrong.into()
}

#[async_trait]
impl Serve for Lying {
    async fn call(&self, call: Message<Call>) -> Result<Message<Reply>, Refusal> {
        let Call::Probe(Question::Exact { key, .. }) = &call.body else {
            return self.node.call(call).await;
        };
        let (asker, key) = (call.sender.clone(), key.clone());
        let answer = self.node.call(call).await?;
        if let Some(forging) = self.forging.as_ref()
            && !self.weather.is_clear()
            && forging.chance.lock().permille(forging.rate)
            && let Reply::Probe(found) = &answer.body
        {
            let found = found.hits.first().map(|hit| &*hit.record);
            let liar = answer.sender.node.id;
            let announcement = Announcement {
                record: Arc::new(forging.record(&asker, liar, &key, found)),
                hops_left: 8,
            };
            let message = Message {
                sender: answer.sender.clone(),
                body: announcement,
            };
            // Whether it arrives does not matter.
            let _ = forging.transport.ask(&asker.node, message).await;
        }
        Ok(answer)
    }

    async fn fetch(&self, ask: Message<FetchAsk>) -> Result<Message<Fetched>, Refusal> {
        let lies = self.lies_now();
        let Message { sender, body } = self.node.fetch(ask).await?;
        let chunks = match lies {
            true => body.chunks.map(|chunk| chunk.map(turned)).boxed(),
            false => body.chunks,
        };
        let body = Fetched { chunks, ..body };
        Ok(Message { sender, body })
    }

    async fn prepare(
        &self,
        ask: Message<PrepareAsk>,
        chunks: BoxStream<'static, Result<Bytes, CallError>>,
    ) -> Result<Message<PrepareAnswer>, Refusal> {
        self.node.prepare(ask, chunks).await
    }
}

/// A node that is not asked which writes through it are pending, so that it never says so.
pub struct Hiding(pub Arc<dyn Serve>);

#[async_trait]
impl Serve for Hiding {
    async fn call(&self, mut call: Message<Call>) -> Result<Message<Reply>, Refusal> {
        if let Call::Probe(Question::Exact { pending_before, .. }) = &mut call.body {
            *pending_before = None;
        }
        self.0.call(call).await
    }

    async fn fetch(&self, ask: Message<FetchAsk>) -> Result<Message<Fetched>, Refusal> {
        self.0.fetch(ask).await
    }

    async fn prepare(
        &self,
        ask: Message<PrepareAsk>,
        chunks: BoxStream<'static, Result<Bytes, CallError>>,
    ) -> Result<Message<PrepareAnswer>, Refusal> {
        self.0.prepare(ask, chunks).await
    }
}
