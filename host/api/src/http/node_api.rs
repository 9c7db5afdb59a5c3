//! The part of the driver's API that HTTP uses, as a trait.
//!
//! The driver implements it in production. Tests implement it with a few files in memory, so that the contract
//! (status codes, headers, bodies) is tested without disks or networks.

use std::sync::Arc;

use async_trait::async_trait;
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_node::driver::{
    Body, Busy, Condition, Consistency, DeleteError, DrainError, DrainStatus, Driver, LinkError,
    LinkView, NodeSeen, NodeStatus, Query, ReadError, ScrubStatus, SearchOptions, SearchReport,
    WriteError, WriteOptions, Written,
};
use dataverse_node::metrics::Metrics;
use dataverse_store::StoreError;
use futures_util::future::BoxFuture;

/// A file that was found. Its content is read only on request.
pub(crate) struct Opened {
    /// The file's record.
    pub(crate) record: Arc<Record>,
    /// The name of the node that the content comes from.
    pub(crate) source: String,
    /// Hops from this node to that one.
    pub(crate) hops: u32,
    /// It could not be confirmed that this is the newest version.
    pub(crate) stale: bool,
    /// Reads bytes `offset..offset + length`, which must lie within the file.
    pub(crate) content: Content,
}

/// Starts streaming a file's content from an offset, for a length.
pub(crate) type Content =
    Box<dyn FnOnce(u64, u64) -> BoxFuture<'static, Result<Body, ReadError>> + Send>;

/// See the methods of [`Driver`].
#[async_trait]
pub(crate) trait NodeApi: Send + Sync + 'static {
    async fn write(
        &self,
        key: &Key,
        options: WriteOptions,
        body: Body,
    ) -> Result<Written, WriteError>;
    async fn open(
        self: Arc<Self>,
        key: &Key,
        consistency: Consistency,
    ) -> Result<Opened, ReadError>;
    async fn delete(&self, key: &Key, condition: Condition) -> Result<(), DeleteError>;
    async fn search(&self, query: Query, options: SearchOptions) -> Result<SearchReport, Busy>;
    async fn link(&self, address: &str) -> Result<LinkView, LinkError>;
    async fn link_pair(&self, a: &str, b: &str) -> Result<(), LinkError>;
    async fn unlink(&self, node: &str) -> Result<(), LinkError>;
    fn links(&self) -> Vec<LinkView>;
    fn nodes(&self) -> Vec<NodeSeen>;
    fn status(&self) -> NodeStatus;
    async fn drain(&self) -> Result<DrainStatus, DrainError>;
    async fn undrain(&self) -> Result<DrainStatus, DrainError>;
    fn scrub_status(&self) -> ScrubStatus;
    async fn begin_scrub(&self) -> Result<bool, StoreError>;
    fn not_ready(&self) -> Option<String>;
    fn metrics(&self) -> &Metrics;
}

#[async_trait]
impl NodeApi for Driver {
    async fn write(
        &self,
        key: &Key,
        options: WriteOptions,
        body: Body,
    ) -> Result<Written, WriteError> {
        Self::write(self, key, options, body).await
    }

    async fn open(
        self: Arc<Self>,
        key: &Key,
        consistency: Consistency,
    ) -> Result<Opened, ReadError> {
        let located = self.locate(key, consistency).await?;
        Ok(Opened {
            record: Arc::clone(&located.record),
            source: located.source.clone(),
            hops: located.hops,
            stale: located.stale,
            content: Box::new(move |offset, length| {
                Box::pin(async move { self.body(located, offset, length).await })
            }),
        })
    }

    async fn delete(&self, key: &Key, condition: Condition) -> Result<(), DeleteError> {
        self.delete_if(key, condition).await
    }

    async fn search(&self, query: Query, options: SearchOptions) -> Result<SearchReport, Busy> {
        Self::search(self, query, options).await
    }

    async fn link(&self, address: &str) -> Result<LinkView, LinkError> {
        Self::link(self, address).await
    }

    async fn link_pair(&self, a: &str, b: &str) -> Result<(), LinkError> {
        Self::link_pair(self, a, b).await
    }

    async fn unlink(&self, node: &str) -> Result<(), LinkError> {
        Self::unlink(self, node).await
    }

    fn links(&self) -> Vec<LinkView> {
        Self::links(self)
    }

    fn nodes(&self) -> Vec<NodeSeen> {
        Self::nodes(self)
    }

    fn status(&self) -> NodeStatus {
        Self::status(self)
    }

    async fn drain(&self) -> Result<DrainStatus, DrainError> {
        Self::drain(self).await
    }

    async fn undrain(&self) -> Result<DrainStatus, DrainError> {
        Self::undrain(self).await
    }

    fn scrub_status(&self) -> ScrubStatus {
        Self::scrub_status(self)
    }

    async fn begin_scrub(&self) -> Result<bool, StoreError> {
        Self::begin_scrub(self).await
    }

    fn not_ready(&self) -> Option<String> {
        Self::not_ready(self)
    }

    fn metrics(&self) -> &Metrics {
        Self::metrics(self)
    }
}
