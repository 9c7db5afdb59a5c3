//! What a lying member asks of others: its clock, and its part of a comparison, are made up.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use dataverse_core::search::Peer;
use dataverse_overlay::transport::{
    Call, CallError, FetchAsk, Fetched, Message, PrepareAnswer, PrepareAsk, PrepareBroken, Reply,
    Target, Transport,
};
use futures_util::stream::BoxStream;

use super::liar::Lies;
use super::{Subject, clocks, digests};

/// A transport that changes what the node behind it asks.
pub struct LyingTransport {
    /// Carries the messages.
    pub inner: Arc<dyn Transport>,
    /// What is lied about.
    pub lies: Arc<Lies>,
}

impl LyingTransport {
    fn lies_about_the_time<T>(&self, message: Message<T>) -> Message<T> {
        let Message { sender, body } = message;
        let sender = self.lies.about(Subject::Clocks, sender, clocks::lie);
        Message { sender, body }
    }
}

#[async_trait]
impl Transport for LyingTransport {
    async fn call(&self, to: Target<'_>, call: Message<Call>) -> Result<Message<Reply>, CallError> {
        let call = self.lies_about_the_time(call);
        let call = call.map(|call| match call {
            Call::Reconcile(ask) => {
                Call::Reconcile(self.lies.about(Subject::Digests, ask, digests::ask))
            }
            other => other,
        });
        self.inner.call(to, call).await
    }

    async fn fetch(
        &self,
        to: &Peer,
        ask: Message<FetchAsk>,
    ) -> Result<Message<Fetched>, CallError> {
        self.inner.fetch(to, self.lies_about_the_time(ask)).await
    }

    async fn prepare(
        &self,
        to: &Peer,
        ask: Message<PrepareAsk>,
        chunks: BoxStream<'static, Result<Bytes, PrepareBroken>>,
    ) -> Result<Message<PrepareAnswer>, CallError> {
        let ask = self.lies_about_the_time(ask);
        self.inner.prepare(to, ask, chunks).await
    }
}
