//! The side that connects: makes a connection to a node and checks that it is the one that is meant.
//!
//! All connections of one channel lead to one node: the one that the first call meant, or else the first that answered.
//! So whoever answers a call on the channel is known, whenever the connection was made. When another node answers at the
//! address, the channel is of no more use, and the pool makes a new one.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use dataverse_core::id::NodeId;
use dataverse_identity::credentials::{Credentials, Role, in_words};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::codegen::Service;
use tonic::codegen::http::Uri;

use super::{Guarded, failed, worded};
use crate::clock::system_seconds;

/// Stands where TLS wants the name of a host. Names of hosts are neither sent nor checked.
const NO_NAME: &str = "node.invalid";

/// The node at the other end of a channel.
#[derive(Debug, Default)]
pub(in crate::grpc) struct OtherEnd {
    node: OnceLock<NodeId>,
    is_another: AtomicBool,
}

impl OtherEnd {
    /// The other end must be this node, if one is named.
    pub(in crate::grpc) fn expecting(node: Option<NodeId>) -> Arc<Self> {
        let end = Self::default();
        if let Some(node) = node {
            let _ = end.node.set(node);
        }
        Arc::new(end)
    }

    /// Whether calls to this node can use the channel. An undecided channel is decided by that.
    pub(in crate::grpc) fn is_for(&self, node: Option<NodeId>) -> bool {
        let is_meant = node.is_none_or(|node| *self.node.get_or_init(|| node) == node);
        is_meant && !self.is_another.load(Ordering::Acquire)
    }

    /// The node, once it is known.
    pub(in crate::grpc) fn node(&self) -> Option<NodeId> {
        self.node.get().copied()
    }
}

/// Connects and shakes hands.
pub(crate) async fn dial(
    mut tcp: HttpConnector,
    to: Uri,
    config: Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let tcp = tcp.call(to).await.map_err(io::Error::other)?;
    let name = ServerName::try_from(NO_NAME).map_err(io::Error::other)?;
    let shaken = TlsConnector::from(config).connect(name, tcp.into_inner());
    shaken.await.map_err(worded)
}

/// Makes the connections of one channel.
#[derive(Clone)]
pub(in crate::grpc) struct SecureConnector {
    pub(in crate::grpc) tcp: HttpConnector,
    pub(in crate::grpc) credentials: Arc<Credentials>,
    pub(in crate::grpc) other_end: Arc<OtherEnd>,
}

impl SecureConnector {
    async fn connect(self, to: Uri) -> Result<TokioIo<Connected>, io::Error> {
        let stream = dial(self.tcp, to, self.credentials.tls().outgoing).await?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let peer = self
            .credentials
            .identify(chain, Role::Server, system_seconds());
        let peer = peer.map_err(|error| failed(in_words(&error)))?;
        let found = peer.said.node;
        let wanted = *self.other_end.node.get_or_init(|| found);
        if wanted != found {
            self.other_end.is_another.store(true, Ordering::Release);
            let name = &peer.said.name;
            return Err(failed(format!(
                "node {name} ({found}) listens there now, not node {wanted}"
            )));
        }
        Ok(TokioIo::new(Guarded::new(
            stream,
            &self.credentials,
            Some(peer),
        )))
    }
}

/// An outgoing connection.
type Connected = Guarded<TlsStream<TcpStream>>;

impl Service<Uri> for SecureConnector {
    type Response = TokioIo<Connected>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, io::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        Box::pin(self.clone().connect(to))
    }
}
