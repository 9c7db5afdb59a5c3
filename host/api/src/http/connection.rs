//! One connection with a client: its socket, on which activity is observed, and the requests on it.
//!
//! A connection ends when it moves no byte for too long in the middle of a request, when the head of a request
//! takes too long, when it is idle for too long, when another connection needs its slot, or when the server stops.
//! It never ends because a request takes long to answer. Exempt from that are the few reserve connections, which are
//! accepted beyond `limit.connections` for health and metrics: their time is short in any case.

use std::convert::Infallible;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Version};
use axum::response::Response;
use dataverse_overlay::connection_slots::{ConnectionActivity, ConnectionSlot, Patience};
use dataverse_overlay::held::Held;
use dataverse_overlay::limits::{KEEPALIVE_MS, KEEPALIVE_TIMEOUT_MS};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tracing::{debug, trace};

use super::overload::Reserved;
use super::refusal::{Exchange, Refusing, UnderWay};
use crate::limits::{
    HTTP_CLOSE_MS_MAX, HTTP_HEAD_BYTES_MAX, HTTP_IDLE_MS_MAX, HTTP_KEEP_ALIVE_MS,
    HTTP_RESERVE_HEAD_MS_MAX, HTTP_RESERVE_MS_MAX,
};

const IDLE: Duration = Duration::from_millis(HTTP_IDLE_MS_MAX);
const KEEP_ALIVE: Duration = Duration::from_millis(HTTP_KEEP_ALIVE_MS);
const CLOSE: Duration = Duration::from_millis(HTTP_CLOSE_MS_MAX);
const RESERVE: Duration = Duration::from_millis(HTTP_RESERVE_MS_MAX);
const RESERVE_HEAD: Duration = Duration::from_millis(HTTP_RESERVE_HEAD_MS_MAX);

/// How connections are served.
#[derive(Clone)]
pub(super) struct Attendant {
    router: Router,
    builder: Builder<TokioExecutor>,
    patience: Patience,
    stopping: CancellationToken,
    ended: CancellationToken,
}

impl Attendant {
    /// Connections close gracefully once `stopping` is cancelled, and are cut off once `ended` is.
    pub(super) fn new(
        router: Router,
        head: Duration,
        stopping: CancellationToken,
        ended: CancellationToken,
    ) -> Self {
        Self {
            router,
            builder: builder(),
            patience: Patience {
                head,
                idle: KEEP_ALIVE,
            },
            stopping,
            ended,
        }
    }

    /// Serves a connection until it ends.
    pub(super) async fn attend(self, stream: TcpStream, slot: ConnectionSlot) {
        if !slot.is_reserved() {
            return self.serve(stream, &slot, self.patience).await;
        }
        let patience = Patience {
            head: self.patience.head.min(RESERVE_HEAD),
            idle: RESERVE_HEAD,
        };
        // Reserve slots are few: a client that does not take the answer in time is disconnected.
        if timeout(RESERVE, self.serve(stream, &slot, patience))
            .await
            .is_err()
        {
            debug!("a reserve connection took too long");
        }
    }

    async fn serve(&self, stream: TcpStream, slot: &ConnectionSlot, patience: Patience) {
        let activity = slot.activity();
        let socket = Socket::new(stream, Arc::clone(activity), &self.ended);
        let exchange = socket.exchange();
        let router = TowerToHyperService::new(self.router.clone());
        let is_reserved = slot.is_reserved();
        let service =
            service_fn(|request| answer(&router, activity, &exchange, is_reserved, request));
        let served = self.builder.serve_connection(TokioIo::new(socket), service);
        let mut served = pin!(served);
        tokio::select! {
            end = served.as_mut() => {
                if let Err(error) = end {
                    trace!(error, "a connection ended with an error");
                }
                return;
            }
            () = self.stopping.cancelled() => {}
            () = activity.told_to_leave() => debug!("closed an idle connection to make room"),
            () = activity.overdue(patience) => debug!("closed a connection that was idle or sent its head too slowly"),
        }
        served.as_mut().graceful_shutdown();
        // A request that has begun is answered; an idle connection is closed at once.
        tokio::select! {
            end = served => drop(end),
            () = activity.quiet_for(CLOSE) => {}
        }
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // The time limit on a head is enforced in this file for both protocols, before it is known which one is
    // spoken.
    builder
        .http1()
        .header_read_timeout(None)
        .max_buf_size(HTTP_HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(Duration::from_millis(KEEPALIVE_MS)))
        .keep_alive_timeout(Duration::from_millis(KEEPALIVE_TIMEOUT_MS));
    builder
}

fn answer(
    router: &TowerToHyperService<Router>,
    activity: &Arc<ConnectionActivity>,
    exchange: &Arc<Exchange>,
    is_reserved: bool,
    request: hyper::Request<Incoming>,
) -> impl Future<Output = Result<Response, Infallible>> + use<> {
    let under_way = UnderWay::begin(exchange, activity.begin());
    if request.version() >= Version::HTTP_2 {
        activity.speaks_in_frames();
    }
    let mut request: Request = request.map(Body::new);
    if is_reserved {
        request.extensions_mut().insert(Reserved);
    }
    let closes = is_reserved && request.version() < Version::HTTP_2;
    let answered = router.call(request);
    async move {
        let mut response = answered.await?;
        if closes {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        Ok(response.map(|body| Held::until_sent(body, under_way)))
    }
}

/// A client's socket.
struct Socket {
    stream: Refusing<TcpStream>,
    activity: Arc<ConnectionActivity>,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    idle: Pin<Box<Sleep>>,
    moved: Instant,
}

impl Socket {
    fn new(
        stream: TcpStream,
        activity: Arc<ConnectionActivity>,
        ended: &CancellationToken,
    ) -> Self {
        // Otherwise a small answer waits for the acknowledgement of what was sent before.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "TCP_NODELAY could not be set");
        }
        Self {
            stream: Refusing::new(stream),
            activity,
            ended: Box::pin(ended.child_token().cancelled_owned()),
            idle: Box::pin(sleep(IDLE)),
            moved: Instant::now(),
        }
    }

    /// The requests on this socket.
    fn exchange(&self) -> Arc<Exchange> {
        self.stream.exchange()
    }

    /// Passes on the result of an operation on the socket; while it is pending, checks whether its time is up.
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

    /// The same for a write.
    fn sent(
        &mut self,
        answer: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(1..)) = answer {
            self.activity.took();
        }
        self.watched(answer, cx)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let answer = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.activity.heard();
        }
        self.watched(answer, cx)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let answer = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.sent(answer, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let answer = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.sent(answer, cx)
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
