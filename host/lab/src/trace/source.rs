//! `Trace`: where requests come from, to be read as often as need be.

use std::fmt;
use std::fs::File;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use dataverse_core::content::Digest;
use dataverse_core::limits;
use tempfile::TempPath;

use super::csv::{Columns, CsvRequests, TimeUnit};
use super::oracle::OracleRequests;
use super::packed::{self, Bytes};
use super::recording::{self, RecordedRequests};
use super::zipf::{PREFIX, Spec, ZipfRequests};
use super::{Request, TraceError};

/// How a trace's file is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A table whose first line names the columns.
    Csv,
    /// libCacheSim's binary format of the same name.
    OracleGeneral,
    /// A node's own recording.
    Dataverse,
}

impl Format {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Csv, Self::OracleGeneral, Self::Dataverse];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::OracleGeneral => "oracle-general",
            Self::Dataverse => "dataverse",
        }
    }

    /// What this file is: a recording says so, and text is a table.
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

/// A word that is no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no format of traces: csv, oracle-general or dataverse")]
pub struct UnknownFormat(String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(word: &str) -> Result<Self, UnknownFormat> {
        let found = Self::ALL.into_iter().find(|format| format.as_str() == word);
        found.ok_or_else(|| UnknownFormat(word.to_owned()))
    }
}

/// How a trace's file is to be read.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Its format; guessed from its content if nobody says.
    pub format: Option<Format>,
    /// The columns, if it is a table.
    pub columns: Columns,
    /// What its times count, if it is a table.
    pub time_unit: TimeUnit,
}

/// A trace that is there. What can be read only once, such as a pipe, is copied to a temporary file first.
#[derive(Clone, Debug)]
pub struct Trace {
    name: String,
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    File {
        path: PathBuf,
        format: Format,
        options: Options,
        /// What could be read only once, kept to be read again.
        _kept: Option<Arc<TempPath>>,
    },
    Zipf(Spec),
}

impl Trace {
    /// The trace of this name: a file's path, or `zipf:OBJECTS,REQUESTS,SEED`, which is generated. The beginning
    /// of a file is looked at.
    ///
    /// # Errors
    /// [`TraceError`] when there is no such file, or it begins with what is no trace.
    pub fn open(name: &str, options: Options) -> Result<Self, TraceError> {
        if let Some(spec) = name.strip_prefix(PREFIX) {
            let spec = Spec::parse(spec).map_err(|reason| TraceError::Spec {
                spec: name.to_owned(),
                reason,
            })?;
            return Ok(Self {
                name: name.to_owned(),
                source: Source::Zipf(spec),
            });
        }
        let kept = kept(Path::new(name)).map_err(|e| unreadable(Path::new(name), &e))?;
        let path = kept
            .as_ref()
            .map_or(Path::new(name), |kept| kept)
            .to_owned();
        let mut bytes = open_file(&path)?;
        let beginning = bytes.fill_buf().map_err(|e| unreadable(&path, &e))?;
        let format = options.format.unwrap_or_else(|| Format::guess(beginning));
        let trace = Self {
            name: name.to_owned(),
            source: Source::File {
                path,
                format,
                options,
                _kept: kept.map(Arc::new),
            },
        };
        // A header that is wrong is told of now.
        trace.requests()?;
        Ok(trace)
    }

    /// As it was asked for.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How its file is laid out; none when it is generated.
    #[must_use]
    pub fn format(&self) -> Option<Format> {
        match &self.source {
            Source::File { format, .. } => Some(*format),
            Source::Zipf(_) => None,
        }
    }

    /// The objects of a generated trace, which are asked for by Zipf's law with exponent 1.
    #[must_use]
    pub fn zipf_objects(&self) -> Option<u32> {
        match &self.source {
            Source::File { .. } => None,
            Source::Zipf(spec) => Some(spec.objects),
        }
    }

    /// Its requests from the first on.
    ///
    /// # Errors
    /// [`TraceError`] when it is gone or begins with what is no trace.
    pub fn requests(&self) -> Result<Requests, TraceError> {
        let reading = match &self.source {
            Source::Zipf(spec) => Reading::Zipf(Box::new(ZipfRequests::new(*spec))),
            Source::File {
                path,
                format,
                options,
                ..
            } => {
                let (bytes, file) = (open_file(path)?, self.name.clone());
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

    /// BLAKE3 of its file as it lies there; of its name when it is generated.
    ///
    /// # Errors
    /// [`TraceError`] when the file can't be read.
    pub fn digest(&self) -> Result<Digest, TraceError> {
        let Source::File { path, .. } = &self.source else {
            return Ok(Digest::of(self.name.as_bytes()));
        };
        let unreadable = |error| unreadable(path, &error);
        let mut hasher = blake3::Hasher::new();
        let file = File::open(path).map_err(unreadable)?;
        hasher.update_reader(file).map_err(unreadable)?;
        Ok(Digest(*hasher.finalize().as_bytes()))
    }
}

/// Copies what can't be read twice, such as a pipe, to where it can be.
fn kept(path: &Path) -> std::io::Result<Option<TempPath>> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_file() || metadata.is_dir() {
        return Ok(None);
    }
    let mut kept = tempfile::NamedTempFile::new()?;
    std::io::copy(&mut File::open(path)?, &mut kept)?;
    Ok(Some(kept.into_temp_path()))
}

fn open_file(path: &Path) -> Result<Bytes, TraceError> {
    packed::open(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &std::io::Error) -> TraceError {
    TraceError::Unreadable {
        file: path.display().to_string(),
        reason: error.to_string(),
    }
}

/// The requests of a trace. After an error there are no more.
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
    /// The trace as a whole is of no use, for this reason.
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
                "it has more than {} requests; cut it",
                limits::TRACE_REQUESTS_MAX
            ))),
        });
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}
