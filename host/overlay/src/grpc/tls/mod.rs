//! TLS on connections between nodes: who is at the other end, and for how long that is accepted.
//!
//! `accept` is the side that is connected to, `connect` the side that connects. Both end with the certificate of the node
//! at the other end, if it is one. A connection with a node closes when its certificate is not accepted any more: when the
//! node is revoked, its authority is rotated out, or the certificate expires. Whom to accept is decided by
//! [`Credentials`], never here.

pub(super) mod accept;
pub(crate) mod connect;

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use dataverse_identity::credentials::{Credentials, PeerCertificate, in_words};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clock::system_seconds;
use crate::limits;

/// Why a connection with another node failed, in words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFailure(pub(super) String);

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsFailure {}

/// The failure in this error, if it is about certificates.
pub(super) fn failure_in(error: &io::Error) -> Option<&TlsFailure> {
    error.get_ref()?.downcast_ref()
}

fn failed(words: impl Into<String>) -> io::Error {
    io::Error::other(TlsFailure(words.into()))
}

/// The error in words, if it is one of TLS.
fn worded(error: io::Error) -> io::Error {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref());
    match tls {
        Some(tls) => failed(in_words(tls)),
        None => error,
    }
}

/// A connection with a node, for as long as its certificate is accepted.
pub(super) struct Guarded<S> {
    stream: S,
    /// Ends when the certificate is not accepted any more. None for clients, which have no certificate.
    unaccepted: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<S> Guarded<S> {
    fn new(stream: S, credentials: &Arc<Credentials>, peer: Option<PeerCertificate>) -> Self {
        let guard = |peer| Box::pin(unaccepted(Arc::clone(credentials), peer)) as _;
        Self {
            stream,
            unaccepted: peer.map(guard),
        }
    }

    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let guard = self.unaccepted.as_mut();
        match guard.map(|guard| guard.as_mut().poll(cx)) {
            Some(Poll::Ready(())) => {
                self.unaccepted = None;
                Err(failed(
                    "the certificate of the node there is not accepted any more",
                ))
            }
            Some(Poll::Pending) | None => Ok(()),
        }
    }
}

async fn unaccepted(credentials: Arc<Credentials>, peer: PeerCertificate) {
    let mut revision = credentials.revision();
    while credentials.accepts(&peer, system_seconds()) {
        // Dates pass without a change of the revision.
        let while_valid = Duration::from_millis(limits::CERTIFICATE_CHECK_MS);
        let changed = tokio::time::timeout(while_valid, revision.changed()).await;
        if let Ok(Err(_)) = changed {
            tokio::time::sleep(while_valid).await;
        }
    }
    tracing::info!(node = %peer.said.name, id = %peer.said.node, "closing a connection: the certificate of its node is not accepted any more");
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream)
            .poll_read(cx, buf)
            .map_err(worded)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
