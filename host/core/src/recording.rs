//! The format of a node's recording: the requests it received, one per line.
//!
//! The file is text. Its first line is [`FIRST_LINE`], which carries the version; the second names the columns,
//! and each further line is a request:
//!
//! ```text
//! # dataverse recording 1
//! time,reader,op,id,size,outcome,hops
//! 1767225600123,0b3f9a1c55d0e7a2,read,7d1e0c9b2a4f6e58,1048576,remote,2
//! ```
//!
//! | column | what |
//! |---|---|
//! | `time` | milliseconds since 1970 |
//! | `reader` | the id of the node that was asked, 16 hexadecimal digits |
//! | `op` | `read`, `write` or `delete` |
//! | `id` | the file's id, 16 hexadecimal digits |
//! | `size` | bytes of the content; 0 when it is not known |
//! | `outcome` | how the node answered, see [`RequestOutcome`] |
//! | `hops` | hops that the content came over; 0 from the node itself |
//! | `key` | the file's key, only in a recording with names |
//!
//! Recordings can be concatenated: the first two lines may be repeated. The node writes with [`Writer`], which never
//! flushes or rotates the file by itself.

use std::io::{self, Write};

use crate::version::Millis;

/// How every recording begins.
pub const FIRST_LINE: &str = "# dataverse recording 1";
/// How a recording of any version begins.
const ANY_FIRST_LINE: &str = "# dataverse recording ";
/// The names of the columns, but for the last one.
pub const COLUMNS: [&str; 7] = ["time", "reader", "op", "id", "size", "outcome", "hops"];
/// The name of the last column, which only a recording with names has.
pub const KEY_COLUMN: &str = "key";

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestOutcome {
    /// A read served from the node's own replica.
    Replica,
    /// A read served from the node's own cached copy: a hit.
    Cached,
    /// A read served by another node: a miss.
    Remote,
    /// The file does not exist.
    Missing,
    /// A write or deletion that succeeded.
    Done,
    /// It failed, or it could not be determined whether the file exists.
    Failed,
}

impl RequestOutcome {
    /// Every outcome.
    pub const ALL: [Self; 6] = [
        Self::Replica,
        Self::Cached,
        Self::Remote,
        Self::Missing,
        Self::Done,
        Self::Failed,
    ];

    /// The outcome's name in a recording.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replica => "replica",
            Self::Cached => "cached",
            Self::Remote => "remote",
            Self::Missing => "missing",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    /// Whether a file was read or changed. Otherwise the request says nothing about which files exist.
    #[must_use]
    pub const fn is_of_a_file(self) -> bool {
        !matches!(self, Self::Missing | Self::Failed)
    }

    /// Whether the node's cache was involved. A file that does not exist, or that the node holds as a replica,
    /// says nothing about what to cache.
    #[must_use]
    pub const fn is_of_the_cache(self) -> bool {
        matches!(self, Self::Cached | Self::Remote | Self::Done)
    }
}

/// One line of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Milliseconds since 1970.
    pub time: Millis,
    /// Who asked.
    pub reader: u64,
    /// The operation.
    pub op: Op,
    /// The file's id.
    pub id: u64,
    /// Bytes of the content; 0 when it is not known.
    pub size: u64,
    /// How the node answered.
    pub outcome: RequestOutcome,
    /// Hops that the content came over; 0 from the node itself.
    pub hops: u32,
    /// The file's key; written only in a recording with names.
    pub key: Option<&'a str>,
}

/// Writes a recording.
///
/// ```
/// use dataverse_core::recording::{Line, Op, RequestOutcome, Writer};
///
/// let mut recording = Vec::new();
/// let mut writer = Writer::begin(&mut recording, false)?;
/// writer.write(&Line {
///     time: 1,
///     reader: 2,
///     op: Op::Read,
///     id: 3,
///     size: 4,
///     outcome: RequestOutcome::Remote,
///     hops: 5,
///     key: Some("ada/notes.txt"),
/// })?;
/// assert!(recording.ends_with(b"\n1,0000000000000002,read,0000000000000003,4,remote,5\n"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    names: bool,
    line: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Writes the first two lines. With `names`, every line has the file's key.
    ///
    /// # Errors
    /// Any error of the output.
    pub fn begin(mut out: W, names: bool) -> io::Result<Self> {
        let key = if names { ",key" } else { "" };
        writeln!(out, "{FIRST_LINE}\n{}{key}", COLUMNS.join(","))?;
        Ok(Self {
            out,
            names,
            line: Vec::new(),
        })
    }

    /// Writes a line with a single call; returns its length in bytes.
    ///
    /// # Errors
    /// Any error of the output.
    pub fn write(&mut self, line: &Line<'_>) -> io::Result<u64> {
        self.line.clear();
        write!(
            self.line,
            "{},{:016x},{},{:016x},{},{},{}",
            line.time,
            line.reader,
            line.op.as_str(),
            line.id,
            line.size,
            line.outcome.as_str(),
            line.hops
        )?;
        if self.names {
            // A key may contain commas and quotes.
            let key = line.key.unwrap_or_default().replace('"', "\"\"");
            write!(self.line, ",\"{key}\"")?;
        }
        self.line.push(b'\n');
        self.out.write_all(&self.line)?;
        Ok(self.line.len() as u64)
    }

    /// Flushes the output.
    ///
    /// # Errors
    /// Any error of the output.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// The output.
    pub fn into_inner(self) -> W {
        self.out
    }
}

/// Whether a file that begins with these bytes is a recording.
#[must_use]
pub fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(ANY_FIRST_LINE.as_bytes())
}

/// The operation of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Op {
    /// Read the content.
    #[default]
    Read,
    /// Store new content.
    Write,
    /// Delete the file.
    Delete,
}

impl Op {
    /// The operation's name in a recording.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
        }
    }
}
