//! Traces: streams of recorded or generated requests.
//!
//! A trace is always streamed, never loaded whole, and can be read any number of times. A file may be plain or
//! compressed with gzip or zstd, which is detected from its content. Nothing is repaired: an invalid line ends the
//! stream with an error that names the line. Input from a pipe is copied to a temporary file so that it can be
//! read again.
//!
//! [`Trace::open`] detects the format (`source`, `packed`); [`Trace::requests`] then reads it as a table (`csv`,
//! `rows`), in libCacheSim's binary format (`oracle`), as a node's recording (`recording`), or generates it
//! (`zipf`).
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
    /// When, in milliseconds since a moment of the trace's choice.
    pub time: Millis,
    /// Who asked; 0 when the trace does not say.
    pub reader: u64,
    /// The object.
    pub id: u64,
    /// The object's bytes.
    pub size: u64,
    /// The operation.
    pub op: Op,
    /// Hops that the content crossed, if the trace says; otherwise 1.
    pub hops: u32,
    /// How a node answered, if the trace says.
    pub outcome: Option<RequestOutcome>,
}

/// The operation that this word stands for; traces have several words for each.
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
