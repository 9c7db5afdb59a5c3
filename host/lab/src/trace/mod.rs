//! Traces: requests that were recorded, or are generated, one after the other.
//!
//! A trace is read as a stream, never as a whole, as often as someone asks for its requests. It may be plain or
//! packed with gzip or zstd, told by its content. Nothing is repaired: a line that makes no sense ends the stream
//! with an error that names it. What comes through a pipe is copied to a temporary file, to be read again.
//!
//! ```text
//! file ── packed ──► bytes ── csv, oracle or recording ──► Request, Request, …
//! zipf:OBJECTS,REQUESTS,SEED ──────────────────────────────┘
//! ```

mod csv;
mod error;
mod number;
mod oracle;
mod packed;
pub mod recording;
mod rows;
mod source;
mod zipf;

#[cfg(test)]
mod tests;

use dataverse_core::version::Millis;

pub use csv::{Columns, TimeUnit};
pub use dataverse_core::recording::{Op, RequestOutcome};
pub use error::TraceError;
pub use source::{Format, Options, Requests, Trace};
pub use zipf::{Zipf, file_size};

/// One request of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// When, in milliseconds since a moment that the trace chose.
    pub time: Millis,
    /// Who asked; 0 when the trace does not say.
    pub reader: u64,
    /// The object.
    pub id: u64,
    /// The object's bytes.
    pub size: u64,
    /// What was asked.
    pub op: Op,
    /// Hops that the content came over, when the trace says; else 1.
    pub hops: u32,
    /// How a node answered, when the trace says.
    pub outcome: Option<RequestOutcome>,
}

/// What such a word asks; traces have several for each.
fn op_of_word(word: &[u8]) -> Option<Op> {
    const WORDS: [(&[u8], Op); 9] = [
        (b"read", Op::Read),
        (b"get", Op::Read),
        (b"write", Op::Write),
        (b"put", Op::Write),
        (b"set", Op::Write),
        (b"add", Op::Write),
        (b"replace", Op::Write),
        (b"delete", Op::Delete),
        (b"remove", Op::Delete),
    ];
    let found = WORDS.iter().find(|(it, _)| it.eq_ignore_ascii_case(word));
    found.map(|&(_, op)| op)
}
