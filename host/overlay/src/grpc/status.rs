//! Refusals and broken calls as gRPC statuses, and back.
//!
//! A refusal keeps its kind in metadata and its text in the message. Anything else that comes back (a broken
//! connection, a server that is not a Dataverse node) is described in our own words: people never see the text of a
//! status that is not one of our refusals.

use std::error::Error;
use std::io;

use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use super::convert::Malformed;
use super::tls::{TlsFailure, failure_in};
use crate::limits;
use crate::transport::{CallError, Refusal};

const KIND: &str = "dataverse-refusal";

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let (code, kind, text) = match refusal {
            Refusal::Invalid(text) => (Code::InvalidArgument, "invalid", text),
            Refusal::Absent(text) => (Code::NotFound, "absent", text),
            Refusal::NoSpace(text) => (Code::ResourceExhausted, "no-room", text),
            Refusal::Busy(text) => (Code::Unavailable, "busy", text),
            Refusal::Corrupt(text) => (Code::DataLoss, "corrupt", text),
            Refusal::Failed(text) => (Code::Internal, "failed", text),
        };
        let mut status = Self::new(code, printable(&text));
        let kind = MetadataValue::from_static(kind);
        status.metadata_mut().insert(KIND, kind);
        status
    }
}

impl From<Malformed> for Status {
    fn from(wrong: Malformed) -> Self {
        Refusal::from(wrong).into()
    }
}

/// The status for a node that asked for content whose source broke.
pub(crate) fn source_failed(error: CallError) -> Status {
    match error {
        CallError::Refused(refusal) => refusal.into(),
        other => Refusal::Failed(other.to_string()).into(),
    }
}

/// Converts the status of a call to `address`.
pub(crate) fn call_error(address: &str, status: &Status) -> CallError {
    if let Some(refusal) = refusal(status) {
        return CallError::Refused(refusal);
    }
    let address = address.to_owned();
    if status.source().is_some() {
        let reason = broken(&address, status);
        return CallError::Unreachable { address, reason };
    }
    match status.code() {
        Code::DeadlineExceeded | Code::Cancelled => CallError::Deadline { address },
        code => {
            let reason = format!(
                "it answered with status {} ({code}); is it the port for nodes (--listen) of a Dataverse node?",
                i32::from(code)
            );
            CallError::Protocol { address, reason }
        }
    }
}

/// A message from `address` that breaks the protocol.
pub(crate) fn protocol(address: &str, reason: impl ToString) -> CallError {
    CallError::Protocol {
        address: address.to_owned(),
        reason: reason.to_string(),
    }
}

/// The node at `address` did not answer in time.
pub(crate) fn late(address: &str) -> CallError {
    CallError::Deadline {
        address: address.to_owned(),
    }
}

/// The node at `from` stopped sending content before its end.
pub(crate) fn gave_up(from: &str) -> CallError {
    CallError::Unreachable {
        address: from.to_owned(),
        reason: "the sender gave up before the end".to_owned(),
    }
}

fn refusal(status: &Status) -> Option<Refusal> {
    let kind = status.metadata().get(KIND)?.to_str().ok()?;
    let text = printable(status.message());
    Some(match kind {
        "invalid" => Refusal::Invalid(text),
        "absent" => Refusal::Absent(text),
        "no-room" => Refusal::NoSpace(text),
        "busy" => Refusal::Busy(text),
        "corrupt" => Refusal::Corrupt(text),
        "failed" => Refusal::Failed(text),
        _ => return None,
    })
}

/// Why the connection to `address` broke or could not be made, in plain words.
fn broken(address: &str, status: &Status) -> String {
    let says = |words: &str| causes(status).any(|cause| cause.to_string().contains(words));
    // The resolver's own error has no kind, and its text names neither the host nor what to do.
    if says(NOT_RESOLVED) {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        return format!("the host name `{host}` can't be resolved");
    }
    if let Some(failure) = tls_failure(status) {
        return failure.to_string();
    }
    let of_system = || causes(status).filter_map(|cause| cause.downcast_ref::<io::Error>());
    match of_system().last() {
        Some(error) if says(NOT_HTTP2) && error.kind() != io::ErrorKind::TimedOut => {
            NO_NODE.to_owned()
        }
        Some(error) => in_words(error),
        None if says(NOT_HTTP2) => NO_NODE.to_owned(),
        None if status.code() == Code::Unavailable => "no connection could be made".to_owned(),
        // When it hung up, it is not always known whether it answered anything before.
        None => HUNG_UP.to_owned(),
    }
}

/// Why the two sides did not accept each other's certificates, if that is what went wrong.
pub(crate) fn tls_failure(status: &Status) -> Option<&TlsFailure> {
    let mut of_system = causes(status).filter_map(|cause| cause.downcast_ref::<io::Error>());
    of_system.find_map(failure_in)
}

fn causes(status: &Status) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let mut next = status.source();
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}

/// What hyper says when a name can't be resolved.
const NOT_RESOLVED: &str = "dns error";
/// What hyper says when the other side breaks the rules of HTTP/2.
const NOT_HTTP2: &str = "http2 error";
const HUNG_UP: &str = "it closed the connection without an answer; is it the port for nodes (--listen) of a Dataverse node?";
const NO_NODE: &str = "the server there is not a Dataverse node; is it the port for nodes (--listen), and not one for HTTP? Or does one of the two nodes belong to a network with certificates (--join) and the other does not?";

/// The kind of an error, or its text if the kind says nothing.
fn in_words(error: &io::Error) -> String {
    let kind = error.kind().to_string();
    match &*kind {
        "uncategorized error" | "other error" => printable(&error.to_string()),
        _ => kind,
    }
}

/// The text without control characters, cut to [`limits::REFUSAL_BYTES_MAX`] bytes.
fn printable(text: &str) -> String {
    let end = text.floor_char_boundary(limits::REFUSAL_BYTES_MAX);
    text[..end].replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusals() -> Vec<Refusal> {
        let text = || "ähm: `ada/x` is 5 % too large".to_owned();
        vec![
            Refusal::Invalid(text()),
            Refusal::Absent(text()),
            Refusal::NoSpace(text()),
            Refusal::Busy(text()),
            Refusal::Corrupt(text()),
            Refusal::Failed(text()),
        ]
    }

    #[test]
    fn every_refusal_comes_back_as_it_was() {
        for refusal in refusals() {
            let status = Status::from(refusal.clone());
            assert_eq!(call_error("b:1", &status), CallError::Refused(refusal));
        }
    }

    #[test]
    fn a_long_or_unprintable_text_is_cut_to_what_can_be_shown() {
        let text = format!("a\nb{}", "ä".repeat(limits::REFUSAL_BYTES_MAX));
        let status = Status::from(Refusal::Failed(text));
        assert!(status.message().starts_with("a bä"));
        assert!(status.message().len() <= limits::REFUSAL_BYTES_MAX);
    }

    #[test]
    fn the_text_of_a_strange_server_is_not_passed_on() {
        let status = Status::unknown("<html><h1>panic at line 3</h1></html>");
        let text = call_error("b:1", &status).to_string();
        assert!(
            text.contains("b:1") && !text.contains('<') && !text.contains("panic"),
            "{text}"
        );
    }
}
