//! The rows of a table, a line each, each with as many fields as the first.
//!
//! Lines are bounded and counted here, so that what is wrong can be told with its line; what is within one is for
//! the `csv` crate, unless it has no quotes and there is nothing to it. A quoted field ends on its line. Empty
//! lines and such that begin with `#` are passed by.

use std::io::{BufRead as _, Read as _};

use csv::{ByteRecord, ReaderBuilder};
use dataverse_core::limits;

use super::TraceError;
use super::packed::Bytes;

/// What some programs put before the first line.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

pub(super) struct Rows {
    file: String,
    bytes: Bytes,
    line: Vec<u8>,
    /// The number of the next line.
    next_line: u64,
    row: ByteRecord,
    fields: Option<usize>,
}

impl Rows {
    /// `first_line` is the number that the first line has in the file.
    pub(super) fn new(file: String, bytes: Bytes, first_line: u64) -> Self {
        Self {
            file,
            bytes,
            line: Vec::new(),
            next_line: first_line,
            row: ByteRecord::new(),
            fields: None,
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<&ByteRecord>, TraceError> {
        if !self.read_line()? {
            return Ok(None);
        }
        self.split().map_err(|reason| self.wrong(reason))?;
        let (found, expected) = (self.row.len(), *self.fields.get_or_insert(self.row.len()));
        if found == expected {
            return Ok(Some(&self.row));
        }
        let reason = format!("it has {found} fields; the header has {expected}");
        Err(self.wrong(reason))
    }

    /// The line read last is wrong; in an empty file the first.
    pub(super) fn wrong(&self, reason: impl Into<String>) -> TraceError {
        TraceError::Line {
            file: self.file.clone(),
            line: self.next_line.saturating_sub(1).max(1),
            reason: reason.into(),
        }
    }

    /// Reads the next line that has anything on it.
    fn read_line(&mut self) -> Result<bool, TraceError> {
        loop {
            self.line.clear();
            let most = limits::TRACE_LINE_BYTES_MAX;
            let mut bounded = (&mut self.bytes).take(most as u64 + 1);
            let read = bounded.read_until(b'\n', &mut self.line);
            let read = read.map_err(|error| TraceError::Unreadable {
                file: self.file.clone(),
                reason: error.to_string(),
            })?;
            if read == 0 {
                return Ok(false);
            }
            self.next_line += 1;
            if read > most {
                return Err(self.wrong(format!("the line has more than {most} bytes")));
            }
            let end = self.line.trim_ascii_end().len();
            self.line.truncate(end);
            if self.fields.is_none() && self.line.starts_with(BYTE_ORDER_MARK) {
                self.line.drain(..BYTE_ORDER_MARK.len());
            }
            if !self.line.is_empty() && !self.line.starts_with(b"#") {
                return Ok(true);
            }
        }
    }

    fn split(&mut self) -> Result<(), String> {
        self.row.clear();
        let quotes = self.line.iter().filter(|&&byte| byte == b'"').count();
        if quotes == 0 {
            for field in self.line.split(|&byte| byte == b',') {
                self.row.push_field(field);
            }
            return Ok(());
        }
        if quotes % 2 == 1 {
            return Err("a quoted field does not end on its line".to_owned());
        }
        let mut table = ReaderBuilder::new()
            .has_headers(false)
            .from_reader(&self.line[..]);
        let read = table.read_byte_record(&mut self.row);
        read.map(drop).map_err(|error| error.to_string())
    }
}
