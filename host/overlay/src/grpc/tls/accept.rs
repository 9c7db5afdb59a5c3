//! The side of a connection that is connected to: shakes hands, as a node or as a server for clients.
//!
//! The handshake is part of the first read, so it runs in the task of its connection, within the time that a connection
//! has for its preface, and holds up no other.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use dataverse_identity::credentials::{ALPN_NODES, Credentials, PeerCertificate, Role, in_words};
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Guarded, failed, worded};
use crate::clock::system_seconds;

/// The certificate of whoever connected; not set before the handshake is done, and never for clients.
pub(in crate::grpc) type Certified = Arc<OnceLock<PeerCertificate>>;

type Shaken = Guarded<TlsStream<TcpStream>>;

/// An incoming connection.
pub(in crate::grpc) enum Accepted {
    /// Without TLS.
    Plain(TcpStream),
    /// During the handshake.
    Shaking(Pin<Box<dyn Future<Output = io::Result<Shaken>> + Send>>),
    /// After it.
    Shaken(Box<Shaken>),
}

impl Accepted {
    /// A connection that shakes hands with these credentials when it is first read from. The certificate of the other
    /// end goes to `certified`.
    pub(in crate::grpc) fn secure(
        tcp: TcpStream,
        credentials: &Arc<Credentials>,
        certified: &Certified,
    ) -> Self {
        let credentials = Arc::clone(credentials);
        let certified = Arc::clone(certified);
        Self::Shaking(Box::pin(async move {
            let shaken = shake_hands(tcp, &credentials, &certified).await;
            shaken.map_err(worded).inspect_err(|error| {
                tracing::debug!(%error, "refused a connection in its TLS handshake");
            })
        }))
    }

    fn poll_shaken(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Self::Shaking(shaking) = self {
            let shaken = ready!(shaking.as_mut().poll(cx))?;
            *self = Self::Shaken(Box::new(shaken));
        }
        Poll::Ready(Ok(()))
    }
}

async fn shake_hands(
    tcp: TcpStream,
    credentials: &Arc<Credentials>,
    certified: &Certified,
) -> io::Result<Shaken> {
    let hello = LazyConfigAcceptor::new(Acceptor::default(), tcp).await?;
    let is_node = hello
        .client_hello()
        .alpn()
        .is_some_and(|mut protocols| protocols.any(|protocol| protocol == ALPN_NODES));
    let tls = credentials.tls();
    if !is_node {
        let stream = hello.into_stream(tls.clients).await?;
        return Ok(Guarded::new(stream, credentials, None));
    }
    let stream = hello.into_stream(tls.nodes).await?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let peer = credentials.identify(chain, Role::Client, system_seconds());
    let peer = peer.map_err(|error| failed(in_words(&error)))?;
    let guarded = Guarded::new(stream, credentials, Some(peer.clone()));
    // A connection shakes hands once.
    let _ = certified.set(peer);
    Ok(guarded)
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_shaken(cx))?;
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Shaken(stream) => Pin::new(&mut **stream).poll_read(cx, buf),
            Self::Shaking(_) => Poll::Pending,
        }
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_shaken(cx))?;
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Shaken(stream) => Pin::new(&mut **stream).poll_write(cx, buf),
            Self::Shaking(_) => Poll::Pending,
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_shaken(cx))?;
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Self::Shaken(stream) => Pin::new(&mut **stream).poll_write_vectored(cx, bufs),
            Self::Shaking(_) => Poll::Pending,
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(tcp) => tcp.is_write_vectored(),
            // Frames are gathered before they are encrypted.
            Self::Shaking(_) | Self::Shaken(_) => true,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Shaken(stream) => Pin::new(&mut **stream).poll_flush(cx),
            // Nothing was written yet.
            Self::Shaking(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Shaken(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
            Self::Shaking(_) => Poll::Ready(Ok(())),
        }
    }
}
