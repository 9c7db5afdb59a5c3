//! Connections as they come in: how many, how long one may be silent at first, and how they all end.
//!
//! HTTP/2 has keepalive once both sides have greeted; before that, and when the node stops, it is up to
//! the rules here. A connection counts until its last task has let go of it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use dataverse_core::limits;
use futures_util::stream::{self, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// Bytes with which an HTTP/2 client greets.
const GREETING_BYTES: usize = 24;
/// How long to wait when the system has no more sockets to give.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// The connections that arrive at `listener`, at most [`limits::CONNECTIONS_MAX`] at once. Each is ended
/// when it hasn't greeted after `greeting`, and when `closing` is cancelled.
pub(super) fn incoming(
    listener: TcpListener,
    greeting: Duration,
    closing: CancellationToken,
) -> impl Stream<Item = io::Result<Connection>> {
    let places = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX));
    stream::unfold((listener, places), move |(listener, places)| {
        let closing = closing.clone();
        async move {
            let place = Arc::clone(&places).acquire_owned().await.ok()?;
            let tcp = accept(&listener).await;
            let connection = Connection {
                tcp,
                closing: Box::pin(closing.cancelled_owned()),
                greeting: Some((Box::pin(tokio::time::sleep(greeting)), GREETING_BYTES)),
                _place: place,
            };
            Some((Ok(connection), (listener, places)))
        }
    })
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((tcp, _)) => {
                // An answer of a few bytes would otherwise wait for the next one.
                if let Err(error) = tcp.set_nodelay(true) {
                    tracing::debug!(%error, "small answers may be slow");
                }
                return tcp;
            }
            Err(error) => {
                tracing::warn!(%error, "no connection could be accepted");
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    }
}

/// A connection under the rules of this module.
pub(super) struct Connection {
    tcp: TcpStream,
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
    /// When the greeting has to be complete, and how much of it is still to come.
    greeting: Option<(Pin<Box<Sleep>>, usize)>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    fn check_open(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.closing.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }

    /// Counts what arrived, or ends a connection that should have greeted by now.
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
        let read = Pin::new(&mut self.tcp).poll_read(cx, buf);
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
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_open(cx)?;
        Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.tcp.connect_info()
    }
}
