//! Completes the refusals of the HTTP parser.
//!
//! hyper answers a malformed request on its own, before any handler of this server runs, with a status and an
//! empty body; its API offers no way to change that. So the socket inspects what is written while no request of
//! the connection is in progress: only the parser can have written that, and a complete problem is sent in its
//! place. A request is in progress as long as its [`UnderWay`] lives, which is dropped with the last byte of its
//! answer. What HTTP/2 writes never begins like an HTTP/1 response, so it passes.
//!
//! Closing on a client that is still sending would reset the connection and discard the answer. So what the client
//! sends is read and dropped for a short while, as after any other refusal.

use std::io::{self, IoSlice};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use axum::http::StatusCode;
use bytes::{Buf, Bytes};
use dataverse_overlay::connection_slots;
use parking_lot::{Mutex, MutexGuard};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::headers;
use super::problem::Problem;
use crate::limits::{HTTP_LINGER_BYTES_MAX, HTTP_LINGER_MS_MAX};

/// The number of bytes of a request that tell HEAD and TLS from the rest.
const START_BYTES: usize = 5;
/// The first byte of a TLS connection: a handshake record.
const TLS: u8 = 0x16;

/// The requests of one connection: how many have begun, and how many have been answered.
#[derive(Default)]
pub(super) struct Exchange {
    begun: AtomicU64,
    ended: AtomicU64,
    /// Keeps the connection counted as busy while the end of an answer is still in the server's buffer.
    unsent: Mutex<Option<connection_slots::UnderWay>>,
}

impl Exchange {
    fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    fn ended(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    fn unsent(&self) -> MutexGuard<'_, Option<connection_slots::UnderWay>> {
        self.unsent.lock()
    }
}

/// A request in progress, until the server has the last byte of its answer; ends when dropped.
pub(super) struct UnderWay {
    exchange: Arc<Exchange>,
    in_place: Option<connection_slots::UnderWay>,
}

impl UnderWay {
    pub(super) fn begin(exchange: &Arc<Exchange>, in_place: connection_slots::UnderWay) -> Self {
        exchange.begun.fetch_add(1, Ordering::Relaxed);
        Self {
            exchange: Arc::clone(exchange),
            in_place: Some(in_place),
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.exchange.ended.fetch_add(1, Ordering::Relaxed);
        // What the server has buffered must still be sent.
        let mut unsent = self.exchange.unsent();
        *unsent = unsent.take().or(self.in_place.take());
    }
}

/// A socket that completes the parser's refusals.
pub(super) struct Refusing<S> {
    stream: S,
    exchange: Arc<Exchange>,
    /// Requests whose answers have been flushed.
    settled: u64,
    /// The first bytes of the request being read, and the number of requests before it.
    start: (u64, Vec<u8>),
    /// A refusal that is still to be written.
    unsent_answer: Bytes,
    linger: Option<Linger>,
}

/// The state of dropping bytes that arrive after a refusal.
struct Linger {
    until: Pin<Box<Sleep>>,
    bytes: u64,
    is_shut: bool,
}

impl<S> Refusing<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            exchange: Arc::default(),
            settled: 0,
            start: (0, Vec::new()),
            unsent_answer: Bytes::new(),
            linger: None,
        }
    }

    /// The requests of this connection.
    pub(super) fn exchange(&self) -> Arc<Exchange> {
        Arc::clone(&self.exchange)
    }

    /// No request is in progress, and no answer is left to be written.
    fn is_quiet(&self) -> bool {
        let begun = self.exchange.begun();
        self.settled == begun && self.exchange.ended() == begun
    }

    fn note_start(&mut self, arrived: &[u8]) {
        let begun = self.exchange.begun();
        if self.start.0 != begun {
            self.start = (begun, Vec::new());
        }
        let missing = START_BYTES.saturating_sub(self.start.1.len());
        let arrived = &arrived[..arrived.len().min(missing)];
        self.start.1.extend_from_slice(arrived);
    }

    fn refuse(&mut self, status: StatusCode) {
        let start = match self.start.0 == self.exchange.begun() {
            true => &*self.start.1,
            false => &[],
        };
        tracing::debug!(%status, "refused a malformed request");
        self.unsent_answer = answer(status, start).into();
        self.linger = Some(Linger {
            until: Box::pin(sleep(Duration::from_millis(HTTP_LINGER_MS_MAX))),
            bytes: 0,
            is_shut: false,
        });
    }

    /// Whether these bytes are the parser's refusal; if so, queues a complete answer in their place.
    fn is_refusal(&mut self, bytes: &[u8]) -> bool {
        let status = self.is_quiet().then(|| status_of(bytes)).flatten();
        if let Some(status) = status {
            self.refuse(status);
        }
        status.is_some()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Refusing<S> {
    fn poll_unsent_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent_answer.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.unsent_answer))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unsent_answer.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads and drops some of what still arrives.
    fn poll_drop_some(&mut self, cx: &mut Context<'_>) -> Poll<ControlFlow<()>> {
        let Some(linger) = &mut self.linger else {
            return Poll::Ready(ControlFlow::Break(()));
        };
        if linger.bytes > HTTP_LINGER_BYTES_MAX || linger.until.as_mut().poll(cx).is_ready() {
            return Poll::Ready(ControlFlow::Break(()));
        }
        let mut dropped = [0; 8 << 10];
        let mut buffer = ReadBuf::new(&mut dropped);
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
        let bytes = buffer.filled().len() as u64;
        linger.bytes += bytes;
        Poll::Ready(match (read, bytes) {
            (Err(_), _) | (Ok(()), 0) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Refusing<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        if this.linger.is_none() && this.is_quiet() {
            this.note_start(&buffer.filled()[before..]);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Refusing<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_unsent_answer(cx))?;
        if this.is_refusal(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut this.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_unsent_answer(cx))?;
        let first = slices.iter().find(|slice| !slice.is_empty());
        if let Some(first) = first
            && this.is_refusal(first)
        {
            return Poll::Ready(Ok(first.len()));
        }
        Pin::new(&mut this.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_unsent_answer(cx))?;
        ready!(Pin::new(&mut this.stream).poll_flush(cx))?;
        // hyper flushes once it has handed over everything that it had.
        let begun = this.exchange.begun();
        if this.exchange.ended() == begun {
            this.settled = begun;
            this.exchange.unsent().take();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_unsent_answer(cx))?;
        match &mut this.linger {
            Some(linger) if linger.is_shut => {}
            other => {
                ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
                if let Some(linger) = other {
                    linger.is_shut = true;
                }
            }
        }
        while ready!(this.poll_drop_some(cx)).is_continue() {}
        Poll::Ready(Ok(()))
    }
}

/// The status in the head of a response.
fn status_of(head: &[u8]) -> Option<StatusCode> {
    let rest = head.strip_prefix(b"HTTP/1.")?;
    StatusCode::from_bytes(rest.get(2..5)?).ok()
}

/// The complete response to a request that began like this.
fn answer(status: StatusCode, start: &[u8]) -> Vec<u8> {
    let body = serde_json::to_vec(&Problem::new(status, detail(status, start)).into_body())
        .expect("a problem is plain JSON");
    let title = status.canonical_reason().unwrap_or("Error");
    let mut text = format!(
        "HTTP/1.1 {} {title}\r\nconnection: close\r\ncontent-type: application/problem+json\r\n\
         content-length: {}\r\ndate: {}\r\n",
        status.as_u16(),
        body.len(),
        httpdate::fmt_http_date(SystemTime::now()),
    );
    for (name, value) in headers::ALWAYS {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    let mut answer = text.into_bytes();
    // The response to HEAD has no body.
    if !start.starts_with(b"HEAD ") {
        answer.extend(body);
    }
    answer
}

fn detail(status: StatusCode, start: &[u8]) -> &'static str {
    match (status, start.first()) {
        (StatusCode::HTTP_VERSION_NOT_SUPPORTED, _) => "this port speaks HTTP/1.1 and HTTP/2",
        (_, Some(&TLS)) => {
            "this port speaks plain HTTP, but the client sent TLS; use http:// instead of https://"
        }
        (StatusCode::URI_TOO_LONG, _) => {
            "the path and the query of a request may have at most 65,534 bytes together"
        }
        (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, _) => {
            "the head of the request is too large: it has more than 100 headers, or too many bytes"
        }
        _ => {
            "this is not a valid HTTP/1.1 request: its first line or one of its headers is malformed"
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const BARE: &[u8] =
        b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

    fn pair() -> (Refusing<DuplexStream>, DuplexStream) {
        let (near, far) = duplex(64 << 10);
        (Refusing::new(near), far)
    }

    async fn slot() -> connection_slots::ConnectionSlot {
        let bounds = connection_slots::Bounds {
            connection_slots: 1,
            reserve: 0,
            spared: Duration::ZERO,
        };
        connection_slots::ConnectionSlots::new(bounds).take().await
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_keeps_its_place_until_it_is_sent() {
        let slot = slot().await;
        let (mut socket, _far) = pair();
        drop(UnderWay::begin(&socket.exchange(), slot.activity().begin()));
        assert!(slot.activity().is_busy(), "the answer is not flushed yet");
        socket.flush().await.expect("it is written");
        assert!(!slot.activity().is_busy());
    }

    async fn written(mut socket: Refusing<DuplexStream>, mut far: DuplexStream) -> String {
        socket.shutdown().await.expect("it can be closed");
        drop(socket);
        let mut text = String::new();
        far.read_to_string(&mut text).await.expect("UTF-8 text");
        text
    }

    #[tokio::test(start_paused = true)]
    async fn a_bare_refusal_becomes_a_whole_one() {
        let (mut socket, far) = pair();
        socket.write_all(BARE).await.expect("it is taken");
        socket.flush().await.expect("it is written");
        let text = written(socket, far).await;
        assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{text}");
        let (head, body) = text.split_once("\r\n\r\n").expect("there is a head");
        assert!(head.contains("content-type: application/problem+json"));
        assert!(head.contains(&format!("content-length: {}", body.len())));
        assert!(body.contains("\"status\":400"), "{body}");
    }

    #[tokio::test(start_paused = true)]
    async fn content_that_looks_like_a_refusal_is_not_touched() {
        let slot = slot().await;
        let (mut socket, far) = pair();
        let under_way = UnderWay::begin(&socket.exchange(), slot.activity().begin());
        socket.write_all(BARE).await.expect("it is taken");
        drop(under_way);
        // The answer is complete but not flushed, so this may still be its end.
        socket.write_all(BARE).await.expect("it is taken");
        let text = written(socket, far).await;
        assert_eq!(text.as_bytes(), [BARE, BARE].concat());
    }

    #[tokio::test(start_paused = true)]
    async fn the_refusal_of_a_head_request_has_no_body() {
        let (mut socket, mut far) = pair();
        far.write_all(b"HEAD / HTTP/1.1\r\nx\r\n\r\n")
            .await
            .expect("it fits");
        let mut read = [0; 64];
        let bytes = socket.read(&mut read).await.expect("it came");
        assert_eq!(bytes, 22);
        socket.write_all(BARE).await.expect("it is taken");
        let text = written(socket, far).await;
        assert!(text.ends_with("\r\n\r\n"), "{text}");
    }
}
