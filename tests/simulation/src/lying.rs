//! A node that sends wrong bytes: the real one, with a bit turned in some of what it is fetched for, for as long as
//! the weather is bad. A file that only it has could not be had from it otherwise.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use dataverse_core::search::{Answer, Question};
use dataverse_node::driver::Driver;
use dataverse_overlay::transport::{
    Announcement, CallError, CommitAnswer, CommitAsk, FetchAsk, Fetched, IntroduceAsk, LinkAnswer,
    LinkAsk, Message, MoveAsk, PrepareAnswer, PrepareAsk, PullAsk, ReconcileAnswer, ReconcileAsk,
    Refusal, Serve,
};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use parking_lot::Mutex;

use crate::chance::Chance;
use crate::weather::SeededWeather;

/// A node of which some fetches come with a wrong byte.
pub struct Lying {
    /// The node itself.
    pub node: Arc<Driver>,
    /// What of 1000 fetches.
    pub lies: u64,
    /// Which ones.
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
    async fn link(&self, ask: Message<LinkAsk>) -> Result<Message<LinkAnswer>, Refusal> {
        Serve::link(&*self.node, ask).await
    }

    async fn introduce(&self, ask: Message<IntroduceAsk>) -> Result<Message<()>, Refusal> {
        self.node.introduce(ask).await
    }

    async fn unlink(&self, ask: Message<()>) -> Result<Message<()>, Refusal> {
        Serve::unlink(&*self.node, ask).await
    }

    async fn probe(&self, ask: Message<Question>) -> Result<Message<Answer>, Refusal> {
        self.node.probe(ask).await
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

    async fn commit(&self, ask: Message<CommitAsk>) -> Result<Message<CommitAnswer>, Refusal> {
        self.node.commit(ask).await
    }

    async fn pull(&self, ask: Message<PullAsk>) -> Result<Message<()>, Refusal> {
        self.node.pull(ask).await
    }

    async fn move_replica(&self, ask: Message<MoveAsk>) -> Result<Message<()>, Refusal> {
        self.node.move_replica(ask).await
    }

    async fn reconcile(
        &self,
        ask: Message<ReconcileAsk>,
    ) -> Result<Message<ReconcileAnswer>, Refusal> {
        self.node.reconcile(ask).await
    }

    async fn announce(&self, ask: Message<Announcement>) -> Result<Message<()>, Refusal> {
        self.node.announce(ask).await
    }

    async fn gossip(&self, ask: Message<Bytes>) -> Result<Message<()>, Refusal> {
        self.node.gossip(ask).await
    }
}
