//! Decodes an upload: its header, the options in it, and the content that follows.

use std::time::Duration;

use bytes::Bytes;
use dataverse_core::content::Digest;
use dataverse_core::plural::plural;
use dataverse_node::driver::{Body, BodyError, Condition, WriteOptions};
use dataverse_overlay::limits::{CHUNK_BYTES_MAX, CONTENT_TYPE_BYTES_MAX};
use futures_util::stream::{self, StreamExt};
use tokio::time::timeout;
use tonic::{Status, Streaming};

use crate::grpc::proto;
use crate::grpc::proto::upload_request::Part;
use crate::limits;

type Parts = Streaming<proto::UploadRequest>;

/// The header, which must be the first message.
pub(super) async fn header(
    parts: &mut Parts,
    stall: Duration,
) -> Result<proto::UploadHeader, Status> {
    let first = timeout(stall, parts.message()).await;
    let first = first
        .map_err(|_| Status::deadline_exceeded("the upload's header did not arrive in time"))??;
    match first.and_then(|message| message.part) {
        Some(Part::Header(header)) => Ok(header),
        _ => Err(Status::invalid_argument(
            "header: must be the first message of an upload",
        )),
    }
}

/// The write options in the header.
pub(super) fn options(header: proto::UploadHeader) -> Result<WriteOptions, Status> {
    let content_type = header.content_type;
    if content_type.len() > CONTENT_TYPE_BYTES_MAX {
        let text = format!("content_type: more than {} bytes", CONTENT_TYPE_BYTES_MAX);
        return Err(Status::invalid_argument(text));
    }
    Ok(WriteOptions {
        factor: (header.factor != 0).then_some(header.factor),
        condition: condition(header.if_absent, header.if_present, &header.if_digest)?,
        content_type: (!content_type.is_empty()).then_some(content_type),
        size: header.size,
    })
}

/// The condition in a request.
pub(super) fn condition(
    absent: bool,
    present: bool,
    digests: &[String],
) -> Result<Condition, Status> {
    if digests.len() > limits::CONDITION_DIGESTS_MAX {
        let text = format!(
            "if_digest: more than {} digests",
            limits::CONDITION_DIGESTS_MAX
        );
        return Err(Status::invalid_argument(text));
    }
    match (absent, present, digests) {
        (false, false, []) => Ok(Condition::Always),
        (true, false, []) => Ok(Condition::Absent),
        (false, true, []) => Ok(Condition::Present),
        (false, false, digests) => digests
            .iter()
            .map(|text| text.parse::<Digest>())
            .collect::<Result<_, _>>()
            .map(Condition::Matches)
            .map_err(|error| Status::invalid_argument(format!("if_digest: {error}"))),
        _ => {
            let text = "give at most one condition: if_absent, if_present or if_digest";
            Err(Status::invalid_argument(text))
        }
    }
}

/// The content: complete and of the `declared` size, or ended by an error.
pub(crate) fn body(parts: Parts, declared: Option<u64>, stall: Duration) -> Body {
    stream::unfold(Some((parts, 0)), move |state| async move {
        let (mut parts, received) = state?;
        let next = timeout(stall, next_bytes(&mut parts, received, declared)).await;
        let next = next.unwrap_or_else(|_| {
            let seconds = stall.as_secs();
            Err(BodyError::Stalled { seconds })
        });
        match next {
            Ok(Some(bytes)) => {
                let received = received + bytes.len() as u64;
                Some((Ok(bytes), Some((parts, received))))
            }
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

/// The next bytes. Empty messages don't count as progress.
async fn next_bytes(
    parts: &mut Parts,
    received: u64,
    declared: Option<u64>,
) -> Result<Option<Bytes>, BodyError> {
    loop {
        let message = parts.message().await;
        let message = message.map_err(|status| BodyError::Client(status.message().to_owned()))?;
        let Some(message) = message else {
            return ended(received, declared).map(|()| None);
        };
        let Some(Part::Chunk(bytes)) = message.part else {
            let text = "after the header, an upload may contain only chunks";
            return Err(BodyError::Client(text.to_owned()));
        };
        if bytes.len() > CHUNK_BYTES_MAX {
            let max = CHUNK_BYTES_MAX;
            let text = format!(
                "a chunk may have at most {max} bytes; one has {}",
                bytes.len()
            );
            return Err(BodyError::Client(text));
        }
        if declared.is_some_and(|size| received + bytes.len() as u64 > size) {
            let text = "more bytes arrived than the header declared";
            return Err(BodyError::Client(text.to_owned()));
        }
        if !bytes.is_empty() {
            return Ok(Some(bytes));
        }
    }
}

fn ended(received: u64, declared: Option<u64>) -> Result<(), BodyError> {
    match declared {
        Some(size) if size != received => {
            let text = format!(
                "{} arrived, but the header declared {size}",
                plural(received, "byte", "bytes")
            );
            Err(BodyError::Client(text))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(absent: bool, present: bool, digests: &[&str], expected: Option<Condition>) {
        let digests: Vec<_> = digests.iter().map(|text| (*text).to_owned()).collect();
        assert_eq!(condition(absent, present, &digests).ok(), expected);
    }

    #[test]
    fn at_most_one_condition_is_given() {
        let digest = Digest::of(b"x");
        let text = digest.to_string();
        check(false, false, &[], Some(Condition::Always));
        check(true, false, &[], Some(Condition::Absent));
        check(false, true, &[], Some(Condition::Present));
        check(
            false,
            false,
            &[&text],
            Some(Condition::Matches(vec![digest])),
        );
        check(true, true, &[], None);
        check(true, false, &[&text], None);
        check(false, false, &["zz"], None);
        check(
            false,
            false,
            &vec![text.as_str(); limits::CONDITION_DIGESTS_MAX + 1],
            None,
        );
    }

    #[test]
    fn what_a_header_leaves_out_is_the_node_s_to_choose() {
        let chosen = options(proto::UploadHeader::default()).expect("it asks for nothing");
        assert_eq!(
            (chosen.factor, chosen.content_type, chosen.size),
            (None, None, None)
        );
        let long = proto::UploadHeader {
            content_type: "x".repeat(CONTENT_TYPE_BYTES_MAX + 1),
            ..Default::default()
        };
        assert!(options(long).is_err());
    }
}
