//! Incoming content: a request's body as the driver takes it, counted, and ended when it stalls.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use dataverse_node::driver::BodyError;
use futures_util::Stream;
use metrics::Counter;
use tokio::time::{Sleep, sleep};

/// A stream of chunks that ends with [`BodyError::Stalled`] when none arrives for too long. Only the time spent
/// waiting for a chunk counts: a slow store does not make an upload stall.
pub(crate) struct Inflow<S> {
    chunks: Option<S>,
    stall: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    received: Counter,
}

impl<S> Inflow<S> {
    pub(crate) const fn new(chunks: S, stall: Duration, received: Counter) -> Self {
        Self {
            chunks: Some(chunks),
            stall,
            waiting: None,
            received,
        }
    }
}

impl<S, E> Stream for Inflow<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Error + 'static,
{
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let stall = self.stall;
        let Some(chunks) = self.chunks.as_mut() else {
            return Poll::Ready(None);
        };
        match Pin::new(chunks).poll_next(cx) {
            Poll::Ready(Some(Ok(chunk))) => {
                self.waiting = None;
                self.received.increment(chunk.len() as u64);
                Poll::Ready(Some(Ok(chunk)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.chunks = None;
                Poll::Ready(Some(Err(cause(&error))))
            }
            Poll::Ready(None) => {
                self.chunks = None;
                Poll::Ready(None)
            }
            Poll::Pending => {
                let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(stall)));
                if waiting.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                self.chunks = None;
                let seconds = stall.as_secs();
                Poll::Ready(Some(Err(BodyError::Stalled { seconds })))
            }
        }
    }
}

/// Why a body broke off: the [`BodyError`] inside the error of a frame or form parser, else the client's fault.
pub(super) fn cause(error: &(dyn Error + 'static)) -> BodyError {
    let mut next = Some(error);
    let mut last = error;
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<BodyError>() {
            return found.clone();
        }
        last = error;
        next = error.source();
    }
    BodyError::Client(last.to_string())
}

#[cfg(test)]
mod tests {
    use std::io;

    use futures_util::{StreamExt, stream};

    use super::*;

    const STALL: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn an_upload_from_which_nothing_comes_is_ended() {
        let first = stream::iter([Ok::<_, io::Error>(Bytes::from_static(b"abc"))]);
        let silent = first.chain(stream::pending());
        let mut inflow = Inflow::new(silent, STALL, Counter::noop());
        assert_eq!(
            inflow.next().await.expect("one came").expect("it is right"),
            "abc"
        );
        let before = tokio::time::Instant::now();
        let end = inflow.next().await;
        assert!(
            matches!(end, Some(Err(BodyError::Stalled { seconds: 30 }))),
            "{end:?}"
        );
        assert_eq!(before.elapsed(), STALL);
        assert!(inflow.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nobody_waits_does_not_count() {
        let chunks = stream::repeat_with(|| Ok::<_, io::Error>(Bytes::from_static(b"x"))).take(3);
        let mut inflow = Inflow::new(chunks, STALL, Counter::noop());
        while let Some(chunk) = inflow.next().await {
            chunk.expect("it is right");
            tokio::time::advance(2 * STALL).await;
        }
    }

    #[tokio::test]
    async fn a_broken_upload_says_what_broke_it() {
        let chunks = stream::iter([Err::<Bytes, _>(io::Error::other("connection reset"))]);
        let mut inflow = Inflow::new(chunks, STALL, Counter::noop());
        let end = inflow
            .next()
            .await
            .expect("there is an end")
            .expect_err("it broke");
        assert_eq!(end.to_string(), "the upload ended early: connection reset");
    }

    #[test]
    fn a_stall_is_found_beneath_what_was_made_of_it() {
        let stalled = BodyError::Stalled { seconds: 5 };
        let wrapped = axum::Error::new(axum::Error::new(stalled));
        assert!(matches!(cause(&wrapped), BodyError::Stalled { seconds: 5 }));
    }
}
