//! A node that lies: the real one, with a bit flipped in some of the content it sends, and in some runs one that
//! announces records that do not exist. It lies as long as the weather is bad. (Otherwise a file that only this node
//! has could never be read.)

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use dataverse_core::search::Question;
use dataverse_node::driver::Driver;
use dataverse_overlay::transport::{
    Announcement, Call, CallError, FetchAsk, Fetched, Message, PrepareAnswer, PrepareAsk, Refusal,
    Reply, Serve, TransportExt,
};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use parking_lot::Mutex;

use super::forging::Forging;
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
