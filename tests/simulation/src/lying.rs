//! A node that sends wrong bytes: the real one, with a bit flipped in some of the content it sends, as long as the
//! weather is bad. (Otherwise a file that only this node has could never be read.) And one that does not say which
//! writes are pending.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use dataverse_core::search::Question;
use dataverse_node::driver::Driver;
use dataverse_overlay::transport::{
    Call, CallError, FetchAsk, Fetched, Message, PrepareAnswer, PrepareAsk, Refusal, Reply, Serve,
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
        self.node.call(call).await
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
