//! `Trace`: the source of requests, which can be read any number of times.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use dataverse_core::content::Digest;
use dataverse_core::recording;

use super::csv::{Columns, CsvRequests, TimeUnit};
use super::oracle::OracleRequests;
use super::packed::{self, Bytes};
use super::recording::RecordedRequests;
use super::zipf::{PREFIX, Spec, ZipfRequests};
use super::{Request, TraceError};
use crate::limits;

/// The format of a trace file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A table, usually with a header that names the columns.
    Csv,
    /// libCacheSim's binary format of the same name.
    OracleGeneral,
    /// A node's own recording.
    Dataverse,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 3] = [Self::Csv, Self::OracleGeneral, Self::Dataverse];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::OracleGeneral => "oracle-general",
            Self::Dataverse => "dataverse",
        }
    }

    /// Guesses the format: a recording says that it is one, and other text is a table.
    fn guess(beginning: &[u8]) -> Self {
        const LOOKED_AT_BYTES: usize = 4096;
        let looked_at = &beginning[..beginning.len().min(LOOKED_AT_BYTES)];
        let is_text = looked_at
            .iter()
            .all(|&byte| byte >= b' ' || matches!(byte, b'\t' | b'\r' | b'\n'));
        match is_text {
            _ if recording::begins(looked_at) => Self::Dataverse,
            true => Self::Csv,
            false => Self::OracleGeneral,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// Text that is not the name of a format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a trace format; use csv, oracle-general or dataverse")]
pub struct UnknownFormat(String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(word: &str) -> Result<Self, UnknownFormat> {
        let found = Self::ALL.into_iter().find(|format| format.as_str() == word);
        found.ok_or_else(|| UnknownFormat(word.to_owned()))
    }
}

/// How to read a trace file.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Its format; if none is given, guessed from its content.
    pub format: Option<Format>,
    /// The columns of a table.
    pub columns: Columns,
    /// The unit of a table's times.
    pub time_unit: TimeUnit,
}

/// A trace that can be read.
#[derive(Clone, Debug)]
pub struct Trace {
    name: String,
    source: TraceBytes,
    /// Whether its requests have times.
    has_times: bool,
    /// Assumptions about its file, for people.
    assumed: Option<String>,
}

/// The name of standard input.
const STANDARD_INPUT: &str = "-";

#[derive(Clone, Debug)]
enum TraceBytes {
    File {
        place: TracePlace,
        format: Format,
        options: Options,
    },
    Zipf(Spec),
}

/// The location of a trace's bytes.
#[derive(Clone, Debug)]
enum TracePlace {
    /// This file.
    Path(PathBuf),
    /// A copy of input that can be read only once. The copy has no name, so it disappears with this process,
    /// however that ends.
    Copy(Arc<File>),
}

impl TracePlace {
    /// Opens the bytes from the start, independently of other readers.
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        match self {
            Self::Path(path) => Ok(Box::new(File::open(path)?)),
            Self::Copy(file) => Ok(Box::new(FromStart {
                file: Arc::clone(file),
                offset: 0,
            })),
        }
    }
}

/// Reads an open file from its start, with its own position.
struct FromStart {
    file: Arc<File>,
    offset: u64,
}

impl Read for FromStart {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

impl Trace {
    /// Opens the trace of this name: a file's path, `-` for standard input, or `zipf:OBJECTS,REQUESTS,SEED` for a
    /// generated one. Inspects the beginning of a file. Input that can be read only once, such as a pipe, is first
    /// copied to a temporary file without a name.
    ///
    /// # Errors
    /// [`TraceError`] when there is no such file, or its beginning is not a trace.
    pub fn open(name: &str, options: Options) -> Result<Self, TraceError> {
        if let Some(spec) = name.strip_prefix(PREFIX) {
            let spec = Spec::parse(spec).map_err(|reason| TraceError::Spec {
                spec: name.to_owned(),
                reason,
            })?;
            return Ok(Self {
                name: name.to_owned(),
                source: TraceBytes::Zipf(spec),
                has_times: false,
                assumed: None,
            });
        }
        let place = match copied(name)? {
            Some(copy) => TracePlace::Copy(Arc::new(copy)),
            None => TracePlace::Path(PathBuf::from(name)),
        };
        let unreadable = |error| unreadable(name, &error);
        let opened = place.open().and_then(packed::unpacked);
        let mut bytes = opened.map_err(unreadable)?;
        let beginning = bytes.fill_buf().map_err(unreadable)?;
        if is_utf16(beginning) {
            return Err(TraceError::Whole {
                file: name.to_owned(),
                reason: "it is text in UTF-16; save it as UTF-8".to_owned(),
            });
        }
        let format = options.format.unwrap_or_else(|| Format::guess(beginning));
        let mut trace = Self {
            name: name.to_owned(),
            source: TraceBytes::File {
                place,
                format,
                options,
            },
            has_times: true,
            assumed: None,
        };
        // Report an invalid header now.
        if let Reading::Csv(requests) = &trace.requests()?.reading {
            trace.has_times = requests.has_times();
            trace.assumed = requests.assumed().map(str::to_owned);
        }
        Ok(trace)
    }

    /// The name that it was opened with.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its requests have times.
    #[must_use]
    pub const fn has_times(&self) -> bool {
        self.has_times
    }

    /// Assumptions about its file that may be wrong, for people.
    #[must_use]
    pub fn assumed(&self) -> Option<&str> {
        self.assumed.as_deref()
    }

    /// The format of its file; none if it is generated.
    #[must_use]
    pub fn format(&self) -> Option<Format> {
        match &self.source {
            TraceBytes::File { format, .. } => Some(*format),
            TraceBytes::Zipf(_) => None,
        }
    }

    /// The number of objects of a generated trace, which are requested by Zipf's law with exponent 1.
    #[must_use]
    pub fn zipf_objects(&self) -> Option<u32> {
        match &self.source {
            TraceBytes::File { .. } => None,
            TraceBytes::Zipf(spec) => Some(spec.objects),
        }
    }

    /// Its requests, from the first.
    ///
    /// # Errors
    /// [`TraceError`] when the file has disappeared or its beginning is not a trace.
    pub fn requests(&self) -> Result<Requests, TraceError> {
        let reading = match &self.source {
            TraceBytes::Zipf(spec) => Reading::Zipf(Box::new(ZipfRequests::new(*spec))),
            TraceBytes::File {
                place,
                format,
                options,
            } => {
                let opened = place.open().and_then(packed::unpacked);
                let bytes = opened.map_err(|error| unreadable(&self.name, &error))?;
                let file = self.name.clone();
                match format {
                    Format::Csv => {
                        let (columns, unit) = (&options.columns, options.time_unit);
                        Reading::Csv(Box::new(CsvRequests::new(file, bytes, columns, unit)?))
                    }
                    Format::OracleGeneral => {
                        Reading::Oracle(Box::new(OracleRequests::new(file, bytes)))
                    }
                    Format::Dataverse => {
                        Reading::Recorded(Box::new(RecordedRequests::new(file, bytes)?))
                    }
                }
            }
        };
        Ok(Requests {
            file: self.name.clone(),
            reading,
            read: 0,
            ended: false,
        })
    }

    /// BLAKE3 of its file as stored, or of its name if it is generated.
    ///
    /// # Errors
    /// [`TraceError`] when the file can't be read.
    pub fn digest(&self) -> Result<Digest, TraceError> {
        let TraceBytes::File { place, .. } = &self.source else {
            return Ok(Digest::of(self.name.as_bytes()));
        };
        let unreadable = |error| unreadable(&self.name, &error);
        let mut hasher = blake3::Hasher::new();
        let bytes = place.open().map_err(unreadable)?;
        hasher.update_reader(bytes).map_err(unreadable)?;
        Ok(Digest(*hasher.finalize().as_bytes()))
    }
}

/// Copies input that can be read only once; none for a file, which is read in place.
fn copied(name: &str) -> Result<Option<File>, TraceError> {
    let unreadable = |error: io::Error| unreadable(name, &error);
    let from: Box<dyn io::Read> = match name {
        STANDARD_INPUT => Box::new(io::stdin().lock()),
        name => {
            let kind = std::fs::metadata(name).map_err(unreadable)?.file_type();
            if kind.is_file() || kind.is_dir() {
                return Ok(None);
            }
            Box::new(File::open(name).map_err(unreadable)?)
        }
    };
    let most = limits::TRACE_PIPE_BYTES_MAX;
    let mut copy = tempfile::tempfile().map_err(unreadable)?;
    let bytes = io::copy(&mut from.take(most + 1), &mut copy).map_err(unreadable)?;
    if bytes > most {
        return Err(TraceError::Whole {
            file: name.to_owned(),
            reason: format!(
                "it is not a file and has more than {most} bytes; save it to a file first"
            ),
        });
    }
    Ok(Some(copy))
}

/// Whether this is UTF-16, as some spreadsheets save it: a byte order mark, then every other byte is 0.
fn is_utf16(beginning: &[u8]) -> bool {
    const LOOKED_AT_BYTES: usize = 32;
    let (mark, text) = beginning.split_at(beginning.len().min(2));
    let of_ascii = |zero: usize| {
        let text = &text[..text.len().min(LOOKED_AT_BYTES)];
        let units = text.chunks_exact(2);
        units.len() > 0
            && units
                .clone()
                .all(|unit| unit[zero] == 0 && unit[1 - zero] != 0)
    };
    match mark {
        [0xff, 0xfe] => of_ascii(1),
        [0xfe, 0xff] => of_ascii(0),
        _ => false,
    }
}

fn unreadable(name: &str, error: &io::Error) -> TraceError {
    TraceError::Unreadable {
        file: name.to_owned(),
        reason: error.to_string(),
    }
}

/// The requests of a trace. There are none after an error.
pub struct Requests {
    file: String,
    reading: Reading,
    read: u64,
    ended: bool,
}

enum Reading {
    Csv(Box<CsvRequests>),
    Oracle(Box<OracleRequests<Bytes>>),
    Recorded(Box<RecordedRequests>),
    Zipf(Box<ZipfRequests>),
}

impl Requests {
    /// An error: the trace as a whole is unusable for this reason.
    pub(crate) fn unusable(&self, reason: String) -> TraceError {
        TraceError::Whole {
            file: self.file.clone(),
            reason,
        }
    }
}

impl Iterator for Requests {
    type Item = Result<Request, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = match &mut self.reading {
            Reading::Csv(requests) => requests.next(),
            Reading::Oracle(requests) => requests.next(),
            Reading::Recorded(requests) => requests.next(),
            Reading::Zipf(requests) => requests.next().map(Ok),
        };
        self.read += 1;
        let next = next.map(|request| match self.read {
            ..=limits::TRACE_REQUESTS_MAX => request,
            _ => Err(self.unusable(format!(
                "it has more than {} requests; shorten it",
                limits::TRACE_REQUESTS_MAX
            ))),
        });
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn several_read_a_copy_at_once_each_from_its_start() {
        let mut copy = tempfile::tempfile().expect("the disk has space");
        copy.write_all(b"0123456789").expect("the disk has space");
        let place = TracePlace::Copy(Arc::new(copy));
        let (mut one, mut other) = (
            place.open().expect("it is open"),
            place.open().expect("it is open"),
        );
        let mut beginning = [0; 4];
        one.read_exact(&mut beginning).expect("it exists");
        let mut all = String::new();
        other.read_to_string(&mut all).expect("it is text");
        let mut rest = String::new();
        one.read_to_string(&mut rest).expect("it is text");
        assert_eq!(
            (&beginning, all.as_str(), rest.as_str()),
            (b"0123", "0123456789", "456789")
        );
    }
}
