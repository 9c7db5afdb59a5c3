//! A node's own recording: what it was asked, one line a request.
//!
//! The file is text. Its first line is [`FIRST_LINE`], which carries the version; the second names the columns,
//! and then comes a line a request:
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
//! | `reader` | who asked: an id, 16 hexadecimal digits |
//! | `op` | `read`, `write` or `delete` |
//! | `id` | the file's id, 16 hexadecimal digits |
//! | `size` | bytes of the content; 0 when it is not known |
//! | `outcome` | how the node answered, see [`Outcome`] |
//! | `hops` | hops that the content came over; 0 from the node itself |
//! | `key` | the file's key, only in a recording with names |
//!
//! Recordings can be put one behind the other: the first two lines may come again. The node writes with [`Writer`],
//! which flushes nothing and rotates nothing: that is for whoever owns the file.

use std::io::{self, Write};

use csv::ByteRecord;
use dataverse_core::limits;
use dataverse_core::version::Millis;

use super::packed::Bytes;
use super::rows::Rows;
use super::{Op, Request, TraceError, number};

/// How every recording begins.
pub const FIRST_LINE: &str = "# dataverse recording 1";
/// How a recording of any version begins.
const ANY_FIRST_LINE: &str = "# dataverse recording ";
const COLUMNS: [&str; 7] = ["time", "reader", "op", "id", "size", "outcome", "hops"];
const KEY_COLUMN: &str = "key";

/// How a node answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A read, from the node's own replica.
    Replica,
    /// A read, from the node's own cached copy: a hit.
    Cached,
    /// A read, from another node: a miss.
    Remote,
    /// There is no such file.
    Missing,
    /// A write or a deletion that was done.
    Done,
    /// It was not done, or what there is could not be told.
    Failed,
}

impl Outcome {
    /// Every one.
    pub const ALL: [Self; 6] = [
        Self::Replica,
        Self::Cached,
        Self::Remote,
        Self::Missing,
        Self::Done,
        Self::Failed,
    ];

    /// The word for it.
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

    /// Whether there was a file to read, or one that changed: else the request says nothing about what there is.
    #[must_use]
    pub const fn is_of_a_file(self) -> bool {
        !matches!(self, Self::Missing | Self::Failed)
    }

    /// Whether the node's cache had anything to do with it: a file that is not there, or that the node keeps for
    /// good, says nothing about what to cache.
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
    /// What.
    pub op: Op,
    /// The file's id.
    pub id: u64,
    /// Bytes of the content; 0 when it is not known.
    pub size: u64,
    /// How the node answered.
    pub outcome: Outcome,
    /// Hops that the content came over; 0 from the node itself.
    pub hops: u32,
    /// The file's key; written only in a recording with names.
    pub key: Option<&'a str>,
}

/// Writes a recording.
///
/// ```
/// use dataverse_lab::trace::Op;
/// use dataverse_lab::trace::recording::{Line, Outcome, Writer};
///
/// let mut recording = Vec::new();
/// let mut writer = Writer::begin(&mut recording, false)?;
/// writer.write(&Line {
///     time: 1,
///     reader: 2,
///     op: Op::Read,
///     id: 3,
///     size: 4,
///     outcome: Outcome::Remote,
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
    /// Writes the first two lines; with `names`, every line will have the file's key.
    ///
    /// # Errors
    /// What the output says.
    pub fn begin(mut out: W, names: bool) -> io::Result<Self> {
        let key = if names { ",key" } else { "" };
        writeln!(out, "{FIRST_LINE}\n{}{key}", COLUMNS.join(","))?;
        Ok(Self {
            out,
            names,
            line: Vec::new(),
        })
    }

    /// Writes a line, in one go; its bytes.
    ///
    /// # Errors
    /// What the output says.
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
            // A key may have commas and quotes.
            let key = line.key.unwrap_or_default().replace('"', "\"\"");
            write!(self.line, ",\"{key}\"")?;
        }
        self.line.push(b'\n');
        self.out.write_all(&self.line)?;
        Ok(self.line.len() as u64)
    }

    /// Hands out what was buffered.
    ///
    /// # Errors
    /// What the output says.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// The output.
    pub fn into_inner(self) -> W {
        self.out
    }
}

/// Whether these first bytes of a file are those of a recording.
#[must_use]
pub fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(ANY_FIRST_LINE.as_bytes())
}

pub(super) struct RecordedRequests {
    rows: Rows,
}

impl RecordedRequests {
    pub(super) fn new(file: String, mut bytes: Bytes) -> Result<Self, TraceError> {
        let first = first_line(&mut bytes).map_err(|error| TraceError::Unreadable {
            file: file.clone(),
            reason: error.to_string(),
        })?;
        let wrong = |line, reason: String| TraceError::Line {
            file: file.clone(),
            line,
            reason,
        };
        if first.trim_ascii_end() != FIRST_LINE.as_bytes() {
            let reason = match begins(&first) {
                true => format!("it is of another version; only `{FIRST_LINE}` can be read"),
                false => format!("it is no recording: the first line is not `{FIRST_LINE}`"),
            };
            return Err(wrong(1, reason));
        }
        let mut rows = Rows::new(file.clone(), bytes, 2);
        match rows.next()? {
            Some(row) if is_header(row) => Ok(Self { rows }),
            _ => {
                let columns = COLUMNS.join(",");
                let reason = format!("the second line must name the columns: {columns}");
                Err(wrong(2, reason))
            }
        }
    }

    fn read_next(&mut self) -> Result<Option<Request>, TraceError> {
        let row = loop {
            match self.rows.next()? {
                None => return Ok(None),
                // Another recording begins.
                Some(row) if is_header(row) => {}
                Some(row) => break row,
            }
        };
        let request = request(row);
        request.map(Some).map_err(|reason| self.rows.wrong(reason))
    }
}

impl Iterator for RecordedRequests {
    type Item = Result<Request, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read_next().transpose()
    }
}

/// The first line, or the beginning of it if it is long.
fn first_line(bytes: &mut Bytes) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let most = FIRST_LINE.len() as u64 + 64;
    let mut beginning = io::Read::take(bytes, most);
    io::BufRead::read_until(&mut beginning, b'\n', &mut line)?;
    Ok(line)
}

fn is_header(row: &ByteRecord) -> bool {
    let named = |named: &[&str]| row.iter().eq(named.iter().map(|name| name.as_bytes()));
    let [time, reader, op, id, size, outcome, hops] = COLUMNS;
    named(&COLUMNS) || named(&[time, reader, op, id, size, outcome, hops, KEY_COLUMN])
}

fn request(row: &ByteRecord) -> Result<Request, String> {
    let field = |place: usize| row.get(place).unwrap_or_default();
    let no = |what: &str, place: usize| format!("`{}` is no {what}", number::shown(field(place)));
    let hex = |place: usize, what: &str| {
        let text = std::str::from_utf8(field(place)).ok();
        let digits = text.filter(|text| text.len() == 16 && !text.starts_with('+'));
        let id = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        id.ok_or_else(|| format!("{} of 16 hexadecimal digits", no(what, place)))
    };
    let time = number::whole(field(0)).filter(|&ms| ms <= limits::TRACE_TIME_MS_MAX);
    let outcome = Outcome::ALL
        .into_iter()
        .find(|outcome| outcome.as_str().as_bytes() == field(5));
    let hops = number::whole(field(6)).and_then(|hops| u32::try_from(hops).ok());
    Ok(Request {
        time: time.ok_or_else(|| no("time in milliseconds", 0))?,
        reader: hex(1, "reader")?,
        op: Op::of_word(field(2)).ok_or_else(|| no("operation", 2))?,
        id: hex(3, "id")?,
        size: number::size(field(4))?,
        outcome: Some(outcome.ok_or_else(|| no("outcome", 5))?),
        hops: hops.ok_or_else(|| no("number of hops", 6))?,
    })
}
