//! The connections of the HTTP server: how many there may be and when each ends.
//!
//! axum owns the tasks in which connections are served and waits for them without a deadline. So the
//! sockets themselves carry the bounds: one that moves no byte for too long fails, and all fail when the
//! server has waited long enough for them.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use dataverse_core::limits::{HTTP_CONNECTIONS_MAX, HTTP_IDLE_MS_MAX};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tracing::debug;

use super::refusal::{Exchange, Refusing};

const IDLE: Duration = Duration::from_millis(HTTP_IDLE_MS_MAX);

/// Accepts connections while there are not too many.
pub(super) struct Door {
    listener: TcpListener,
    room: Arc<Semaphore>,
    ended: CancellationToken,
}

impl Door {
    /// All connections fail once `ended` is cancelled.
    pub(super) fn new(listener: TcpListener, ended: CancellationToken) -> Self {
        Self {
            listener,
            room: Arc::new(Semaphore::new(HTTP_CONNECTIONS_MAX)),
            ended,
        }
    }
}

impl Listener for Door {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let room = Arc::clone(&self.room).acquire_owned().await;
        let room = room.expect("the semaphore is never closed");
        let (stream, address) = Listener::accept(&mut self.listener).await;
        // Small answers would otherwise wait for the acknowledgement of what was sent before.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "TCP_NODELAY could not be set");
        }
        let connection = Connection {
            stream: Refusing::new(stream),
            ended: Box::pin(self.ended.child_token().cancelled_owned()),
            idle: Box::pin(sleep(IDLE)),
            moved: Instant::now(),
            _room: room,
        };
        (connection, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// One connection with a client.
pub(super) struct Connection {
    stream: Refusing<TcpStream>,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    idle: Pin<Box<Sleep>>,
    moved: Instant,
    _room: OwnedSemaphorePermit,
}

impl Connection {
    /// The requests that come by it.
    pub(super) fn exchange(&self) -> Arc<Exchange> {
        self.stream.exchange()
    }

    /// Passes on what the socket answered; where it has to wait, looks whether waiting is over.
    fn watched<T>(
        &mut self,
        answer: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if answer.is_ready() {
            self.moved = Instant::now();
            return answer;
        }
        if self.ended.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        while self.idle.as_mut().poll(cx).is_ready() {
            let until = self.moved + IDLE;
            if until <= Instant::now() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.idle.as_mut().reset(until);
        }
        Poll::Pending
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let answer = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.watched(answer, cx)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let answer = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watched(answer, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let answer = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watched(answer, cx)
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
