//! A node that does not say which writes through it are pending.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use dataverse_core::search::Question;
use dataverse_overlay::transport::{
    Call, CallError, FetchAsk, Fetched, Message, PrepareAnswer, PrepareAsk, Refusal, Reply, Serve,
};
use futures_util::stream::BoxStream;

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
