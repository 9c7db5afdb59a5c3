//! Incoming connections: how many there may be, how long one may stay silent at first, and how all of them end.
//!
//! HTTP/2 has keepalive once both sides have sent their preface. Before that, and when the node stops, the rules here
//! apply. A connection counts until its last task has dropped it. When all slots are taken, the connection that has
//! been without a call for longest closes in favour of a new one, so silent connections shut no node out.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use dataverse_identity::credentials::{Credentials, PeerCertificate};
use futures_util::stream::{self, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use super::tls::accept::{Accepted, Certified};
use crate::connection_slots::{Bounds, ConnectionActivity, ConnectionSlot, ConnectionSlots};
use crate::descriptors;
use crate::limits;

/// Bytes of the preface with which an HTTP/2 client begins.
const GREETING_BYTES: usize = 24;
/// How long to wait when the system has no more sockets to give.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// How many connections a node accepts from other nodes and from clients that use gRPC.
pub(crate) fn bounds() -> Bounds {
    Bounds {
        connection_slots: descriptors::connections(limits::CONNECTIONS_MAX),
        reserve: 0,
        spared: Duration::from_millis(limits::CONNECTION_SPARED_MS),
    }
}

/// The connections that arrive at `listener`, within `bounds`. A connection is closed when its preface is not complete
/// after `greeting`, when a new connection needs its slot, and when `closing` is cancelled. With credentials, it begins
/// with a TLS handshake.
pub(crate) fn incoming(
    listener: TcpListener,
    bounds: Bounds,
    greeting: Duration,
    closing: CancellationToken,
    credentials: Option<Arc<Credentials>>,
) -> impl Stream<Item = io::Result<Connection>> {
    let connection_slots = ConnectionSlots::new(bounds);
    stream::unfold(
        (listener, connection_slots),
        move |(listener, connection_slots)| {
            let closing = closing.clone();
            let credentials = credentials.clone();
            async move {
                let tcp = accept(&listener, &connection_slots).await;
                let slot = connection_slots.take().await;
                let leave = slot.activity().leave_token();
                let certified = credentials.as_ref().map(|_| Certified::default());
                let stream = match (&credentials, &certified) {
                    (Some(credentials), Some(certified)) => {
                        Accepted::secure(tcp, credentials, certified)
                    }
                    _ => Accepted::Plain(tcp),
                };
                let connection = Connection {
                    stream,
                    certified,
                    closing: Box::pin(closing.cancelled_owned()),
                    leaving: Box::pin(leave.cancelled_owned()),
                    greeting: Some((Box::pin(tokio::time::sleep(greeting)), GREETING_BYTES)),
                    slot,
                };
                Some((Ok(connection), (listener, connection_slots)))
            }
        },
    )
}

async fn accept(listener: &TcpListener, connection_slots: &ConnectionSlots) -> TcpStream {
    let mut is_failing = false;
    loop {
        match listener.accept().await {
            Ok((tcp, _)) => {
                // Otherwise a small answer would wait for the acknowledgement of the one before.
                if let Err(error) = tcp.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY could not be set; small answers may be slow");
                }
                return tcp;
            }
            Err(error) => {
                let made_room = connection_slots.give_up_one();
                if !is_failing {
                    tracing::warn!(%error, made_room, "could not accept a gRPC connection");
                }
                is_failing = true;
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    }
}

/// A connection that follows the rules of this module.
pub(crate) struct Connection {
    stream: Accepted,
    /// The certificate of the other end; None without TLS.
    certified: Option<Certified>,
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
    leaving: Pin<Box<WaitForCancellationFutureOwned>>,
    /// When the preface must be complete, and how many bytes of it are still missing.
    greeting: Option<(Pin<Box<Sleep>>, usize)>,
    slot: ConnectionSlot,
}

impl Connection {
    fn check_open(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let is_closed = self.closing.as_mut().poll(cx).is_ready();
        if is_closed || self.leaving.as_mut().poll(cx).is_ready() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }

    /// Counts what arrived; fails when the preface should be complete by now.
    fn check_greeting(&mut self, arrived: usize, cx: &mut Context<'_>) -> io::Result<()> {
        let Some((deadline, missing)) = &mut self.greeting else {
            return Ok(());
        };
        *missing = missing.saturating_sub(arrived);
        if *missing == 0 {
            self.greeting = None;
            return Ok(());
        }
        match deadline.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_open(cx)?;
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.check_greeting(buf.filled().len() - before, cx)?;
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check_open(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_open(cx)?;
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

/// The connection over which a call came, for the call's handler.
#[derive(Clone)]
pub(crate) struct Over {
    pub(crate) activity: Arc<ConnectionActivity>,
    certified: Option<Certified>,
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller<'a> {
    /// Nobody knows: there is no TLS.
    Unknown,
    /// A client, without a certificate.
    Client,
    /// A node of this network.
    Node(&'a PeerCertificate),
}

impl Over {
    pub(crate) fn caller(&self) -> Caller<'_> {
        match &self.certified {
            None => Caller::Unknown,
            Some(certified) => certified.get().map_or(Caller::Client, Caller::Node),
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Over;

    fn connect_info(&self) -> Self::ConnectInfo {
        Over {
            activity: Arc::clone(self.slot.activity()),
            certified: self.certified.clone(),
        }
    }
}
