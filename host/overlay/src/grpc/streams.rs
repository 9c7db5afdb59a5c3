//! Rules for streams of content on every transport: a break is never mistaken for an end, a stall ends a stream, pieces
//! are small.
//!
//! Nothing here buffers or spawns: a stream is polled only as its reader polls it. A time limit runs only against the
//! side whose turn it is, so that neither a slow reader nor a slow source is blamed for the other.

use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use dataverse_core::plural::plural;
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::watch;
use tokio::time::timeout;

use super::status::protocol;
use crate::limits;
use crate::transport::{CallError, PrepareBroken};

/// Content on its way between nodes.
pub(crate) type Chunks = BoxStream<'static, Result<Bytes, CallError>>;

/// The same bytes in pieces of at most [`limits::CHUNK_BYTES`], none of them empty.
pub fn in_pieces<E: Send + 'static>(
    chunks: BoxStream<'static, Result<Bytes, E>>,
) -> BoxStream<'static, Result<Bytes, E>> {
    chunks
        .flat_map(|chunk| {
            let (rest, error) = match chunk {
                Ok(bytes) => (bytes, None),
                Err(error) => (Bytes::new(), Some(Err(error))),
            };
            stream::iter(pieces(rest).map(Ok).chain(error))
        })
        .boxed()
}

/// The bytes in pieces of at most [`limits::CHUNK_BYTES`], none of them empty.
pub(crate) fn pieces(mut rest: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let len = rest.len().min(limits::CHUNK_BYTES);
        (len > 0).then(|| rest.split_to(len))
    })
}

/// The stream, ending in an error if it does not have exactly `expected` bytes. It passes on no more than those, and
/// reads nothing after an error.
pub(crate) fn exactly(chunks: Chunks, expected: u64, from: String) -> Chunks {
    let state = Some((chunks, expected, from));
    stream::unfold(state, |state| async move {
        let (mut chunks, left, from) = state?;
        match chunks.next().await {
            Some(Ok(bytes)) if bytes.len() as u64 <= left => {
                let left = left - bytes.len() as u64;
                Some((Ok(bytes), Some((chunks, left, from))))
            }
            Some(Ok(_)) => Some((Err(protocol(&from, "it sent more than it announced")), None)),
            Some(Err(error)) => Some((Err(error), None)),
            None if left > 0 => {
                let reason = format!("the content ended {} early", plural(left, "byte", "bytes"));
                Some((Err(protocol(&from, reason)), None))
            }
            None => None,
        }
    })
    .boxed()
}

/// The stream, ending in an error if its reader waits longer than `stall` for the next bytes.
pub(crate) fn unstalled(chunks: Chunks, stall: Duration, from: String) -> Chunks {
    stream::unfold(Some((chunks, from)), move |state| async move {
        let (mut chunks, from) = state?;
        match timeout(stall, chunks.next()).await {
            Ok(Some(Ok(bytes))) => Some((Ok(bytes), Some((chunks, from)))),
            Ok(Some(Err(error))) => Some((Err(error), None)),
            Ok(None) => None,
            Err(_) => Some((Err(CallError::Deadline { address: from }), None)),
        }
    })
    .boxed()
}

/// Whose turn it is in a stream of content that is being sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StreamTurn {
    /// The receiver has not read the next bytes yet.
    Receiver,
    /// The source has not delivered them yet.
    Source,
    /// The receiver has everything and must answer.
    Answer,
    /// The source gave up.
    Broken,
}

/// Watches a stream of content being sent.
pub(crate) struct Pace(watch::Receiver<StreamTurn>);

/// How long a receiver may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// To read the next bytes.
    pub(crate) stall: Duration,
    /// To answer once it has everything.
    pub(crate) answer: Duration,
}

/// The same stream, and a watch over how fast it is read.
pub(crate) fn paced(
    chunks: BoxStream<'static, Result<Bytes, PrepareBroken>>,
) -> (BoxStream<'static, Result<Bytes, PrepareBroken>>, Pace) {
    let (turn, pace) = watch::channel(StreamTurn::Receiver);
    let paced = stream::unfold(Some((chunks, turn)), |state| async move {
        let (mut chunks, turn) = state?;
        turn.send_replace(StreamTurn::Source);
        match chunks.next().await {
            Some(Ok(bytes)) => {
                turn.send_replace(StreamTurn::Receiver);
                Some((Ok(bytes), Some((chunks, turn))))
            }
            Some(Err(broken)) => {
                turn.send_replace(StreamTurn::Broken);
                Some((Err(broken), None))
            }
            None => {
                turn.send_replace(StreamTurn::Answer);
                None
            }
        }
    });
    (paced.boxed(), Pace(pace))
}

impl Pace {
    /// Ends when the receiver has been too slow.
    pub(crate) async fn too_slow(&mut self, patience: Patience) {
        loop {
            let limit = match *self.0.borrow_and_update() {
                StreamTurn::Source => None,
                StreamTurn::Receiver => Some(patience.stall),
                StreamTurn::Answer | StreamTurn::Broken => Some(patience.answer),
            };
            let changed = async {
                // The stream may be gone: the receiver can answer before it has everything.
                if self.0.changed().await.is_err() {
                    pending::<()>().await;
                }
            };
            match limit {
                None => changed.await,
                Some(limit) if timeout(limit, changed).await.is_ok() => {}
                Some(_) => return,
            }
        }
    }

    /// Whether the source gave up.
    pub(crate) fn is_broken(&self) -> bool {
        *self.0.borrow() == StreamTurn::Broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(sizes: &[usize]) -> Chunks {
        let chunks: Vec<_> = sizes
            .iter()
            .map(|size| Ok(Bytes::from(vec![7; *size])))
            .collect();
        stream::iter(chunks).boxed()
    }

    async fn check(sizes: &[usize], expected: u64, whole: bool) {
        let items: Vec<_> = exactly(chunks(sizes), expected, "b:1".to_owned())
            .collect()
            .await;
        let passed: usize = items.iter().flatten().map(Bytes::len).sum();
        assert!(passed as u64 <= expected, "{sizes:?}");
        assert_eq!(
            items.iter().all(Result::is_ok),
            whole,
            "{sizes:?} {expected}"
        );
    }

    #[tokio::test]
    async fn only_exactly_the_announced_bytes_are_an_end() {
        check(&[], 0, true).await;
        check(&[3, 4], 7, true).await;
        check(&[3, 4], 8, false).await;
        check(&[3, 4], 6, false).await;
        check(&[], 1, false).await;
        check(&[1], 0, false).await;
    }

    #[tokio::test]
    async fn pieces_are_small_and_never_empty() {
        let max = limits::CHUNK_BYTES;
        let items: Vec<_> = in_pieces(chunks(&[0, 2 * max + 1, 0, 5])).collect().await;
        let sizes: Vec<_> = items.iter().flatten().map(Bytes::len).collect();
        assert_eq!(sizes, [max, max, 1, 5]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_takes_its_time_is_not_blamed_on_the_receiver() {
        let patience = Patience {
            stall: Duration::from_secs(1),
            answer: Duration::from_secs(1),
        };
        let slow = stream::once(async {
            tokio::time::sleep(Duration::from_secs(50)).await;
            Ok(Bytes::from_static(b"x"))
        });
        let (mut paced, mut pace) = paced(slow.boxed());
        tokio::select! {
            item = paced.next() => assert_eq!(item, Some(Ok(Bytes::from_static(b"x")))),
            () = pace.too_slow(patience) => panic!("the source is slow, not the receiver"),
        }
        // Now nobody reads the stream.
        pace.too_slow(patience).await;
    }
}
