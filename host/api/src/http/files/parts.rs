//! The parts of an upload form as they stream in, with a bound on what is buffered to find them.
//!
//! The form parser buffers everything until it sees a boundary or the end of a part's head. So it is fed in small
//! pieces, one at a time, and the pieces that it takes without yielding anything are counted: the bytes before the
//! first part, in the head of a part or after the last part have a bound in size and in time. Content is yielded
//! piece by piece and has neither.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::extract::multipart::{Field as AxumField, Multipart, MultipartError};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use bytes::Bytes;
use dataverse_node::driver::BodyError;
use futures_util::{Stream, StreamExt};
use metrics::Counter;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::{Sleep, sleep};

use super::inflow::{Inflow, cause};
use crate::http::problem::Problem;
use crate::limits::{HTTP_FORM_GATHERED_BYTES_MAX, HTTP_FORM_PIECE_BYTES};

type Pieces = Arc<Mutex<Metered>>;

/// A form as it arrives.
pub(super) struct Form {
    parts: Multipart,
    pieces: Pieces,
}

/// A part of a form. Its content is a stream.
pub(super) struct Field<'a> {
    field: AxumField<'a>,
    pieces: Pieces,
}

impl Form {
    /// The form in the body of a request. The body fails when nothing arrives for `stall`.
    pub(super) async fn of(
        request: Request,
        stall: Duration,
        received: Counter,
    ) -> Result<Self, Problem> {
        let mut pieces = None;
        let request = request.map(|body| {
            let inflow = Inflow::new(body.into_data_stream(), stall, received);
            let metered = Arc::new(Mutex::new(Metered::new(inflow.boxed(), stall)));
            pieces = Some(Arc::clone(&metered));
            Body::from_stream(Shared(metered))
        });
        let parts = Multipart::from_request(request, &()).await?;
        let pieces = pieces.expect("the body was just mapped");
        Ok(Self { parts, pieces })
    }

    /// The next part. Skips what is left of the previous one.
    pub(super) async fn next_field(&mut self) -> Result<Option<Field<'_>>, MultipartError> {
        let field = self.parts.next_field().await?;
        metered(&self.pieces).given_back();
        Ok(field.map(|field| Field {
            field,
            pieces: Arc::clone(&self.pieces),
        }))
    }

    /// Reads past what follows the last part, so that the sender gets to read the answer.
    pub(super) async fn end(&mut self) -> Result<(), BodyError> {
        while let Some(piece) = poll_fn(|cx| metered(&self.pieces).poll_piece(cx)).await {
            piece?;
        }
        Ok(())
    }
}

impl Field<'_> {
    pub(super) fn name(&self) -> Option<&str> {
        self.field.name()
    }

    pub(super) fn file_name(&self) -> Option<&str> {
        self.field.file_name()
    }

    pub(super) fn content_type(&self) -> Option<&str> {
        self.field.content_type()
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.field.headers()
    }
}

impl Stream for Field<'_> {
    type Item = Result<Bytes, MultipartError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(self.field.poll_next_unpin(cx));
        metered(&self.pieces).given_back();
        Poll::Ready(next)
    }
}

fn metered(pieces: &Pieces) -> MutexGuard<'_, Metered> {
    pieces.lock()
}

/// The problem of a form that broke off or cannot be parsed.
pub(super) fn broken(error: &MultipartError) -> Problem {
    unreadable(cause(error))
}

/// The same, for what its body failed with.
pub(super) fn unreadable(error: BodyError) -> Problem {
    match error {
        BodyError::Client(reason) => {
            Problem::bad_request(format!("the form cannot be parsed: {reason}"))
        }
        other => other.into(),
    }
}

/// The pieces as the parser takes them.
struct Shared(Pieces);

impl Stream for Shared {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        metered(&self.0).poll_piece(cx)
    }
}

/// A body in small pieces, counted.
struct Metered {
    body: Option<dataverse_node::driver::Body>,
    rest: Bytes,
    /// Bytes taken since the parser last yielded something.
    gathered: usize,
    /// How long the parser may yield nothing.
    patience: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    /// A piece was just taken; the parser looks at it before it gets another one.
    is_resting: bool,
}

impl Metered {
    const fn new(body: dataverse_node::driver::Body, patience: Duration) -> Self {
        Self {
            body: Some(body),
            rest: Bytes::new(),
            gathered: 0,
            patience,
            waiting: None,
            is_resting: false,
        }
    }

    fn given_back(&mut self) {
        self.gathered = 0;
        self.waiting = None;
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if std::mem::take(&mut self.is_resting) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        while self.rest.is_empty() {
            let Some(body) = self.body.as_mut() else {
                return Poll::Ready(None);
            };
            match body.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(chunk))) => self.rest = chunk,
                Poll::Ready(end) => {
                    self.body = None;
                    return Poll::Ready(end);
                }
                Poll::Pending => return self.wait(cx),
            }
        }
        let length = self.rest.len().min(HTTP_FORM_PIECE_BYTES);
        let piece = self.rest.split_to(length);
        self.gathered += length;
        if self.gathered > HTTP_FORM_GATHERED_BYTES_MAX {
            return self.refuse(BodyError::Client(format!(
                "more than {HTTP_FORM_GATHERED_BYTES_MAX} bytes precede its first part, are in the head of a part or follow its last part"
            )));
        }
        self.is_resting = true;
        Poll::Ready(Some(Ok(piece)))
    }

    /// Waits for the next bytes, within the time limits.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let patience = self.patience;
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(waiting.as_mut().poll(cx));
        let seconds = patience.as_secs();
        self.refuse(BodyError::Stalled { seconds })
    }

    fn refuse(&mut self, error: BodyError) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.body = None;
        self.rest = Bytes::new();
        Poll::Ready(Some(Err(error)))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header::CONTENT_TYPE;
    use futures_util::stream;

    use super::*;

    const STALL: Duration = Duration::from_secs(30);

    async fn form(chunks: impl Stream<Item = Bytes> + Send + 'static) -> Form {
        let body = Body::from_stream(chunks.map(Ok::<_, std::io::Error>));
        let request = Request::builder().header(CONTENT_TYPE, "multipart/form-data; boundary=XX");
        let request = request.body(body).expect("a valid request");
        let form = Form::of(request, STALL, Counter::noop()).await;
        form.map_err(|problem| problem.status)
            .expect("a valid form")
    }

    /// `begin`, then the same bytes forever.
    fn endless(begin: &'static str) -> impl Stream<Item = Bytes> + Send + 'static {
        let more = stream::repeat(Bytes::from_static(&[b'x'; 100_000]));
        stream::iter([Bytes::from_static(begin.as_bytes())]).chain(more)
    }

    /// The bytes of all parts, or why they can't be read.
    async fn read(mut form: Form) -> Result<usize, String> {
        let mut bytes = 0;
        while let Some(mut field) = form.next_field().await.map_err(|it| it.body_text())? {
            while let Some(chunk) = field.next().await {
                bytes += chunk.map_err(|it| it.body_text())?.len();
            }
        }
        form.end().await.map_err(|it| it.to_string())?;
        Ok(bytes)
    }

    const PART: &str = "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n";

    #[tokio::test]
    async fn what_never_becomes_a_part_is_not_gathered() {
        let head = format!("{PART}X: ");
        let end = format!("{PART}\r\nhello\r\n--XX--");
        for begin in ["", "--X", "--XX", "--XX\r\n", &head, &end] {
            let begin = begin.to_owned().leak();
            let read = read(form(endless(begin)).await).await;
            assert!(read.is_err(), "{begin}");
        }
    }

    #[tokio::test]
    async fn heads_within_the_bound_and_content_of_any_length_pass() {
        let filler = "x".repeat(HTTP_FORM_GATHERED_BYTES_MAX / 3);
        let content = "y\r\n--X".repeat(300_000);
        let text = format!("{filler}\r\n{PART}X: {filler}\r\n\r\n{content}\r\n--XX--\r\n{filler}");
        for size in [1, 7, 4096, 100_000, text.len()] {
            let chunks: Vec<_> = text
                .as_bytes()
                .chunks(size.max(text.len() / 100_000))
                .collect();
            let chunks: Vec<_> = chunks.into_iter().map(Bytes::copy_from_slice).collect();
            let read = read(form(stream::iter(chunks)).await).await;
            assert_eq!(read, Ok(content.len()), "in chunks of {size}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_drips_is_not_waited_for() {
        let drops = stream::unfold((), |()| async {
            tokio::time::sleep(STALL / 3).await;
            Some((Bytes::from_static(b"x"), ()))
        });
        let began = tokio::time::Instant::now();
        assert!(read(form(drops.boxed()).await).await.is_err());
        assert!(began.elapsed() <= 2 * STALL, "{:?}", began.elapsed());
    }
}
