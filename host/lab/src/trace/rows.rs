//! The rows of a table: one per line, each with as many fields as the first.
//!
//! This module bounds and counts the lines, so that errors name their line. The `csv` crate splits a line into
//! fields, unless the line has no quotes and splitting is trivial. A quoted field must end on its line. Empty
//! lines and lines that start with `#` are skipped; of the comments before the first row, one may name the
//! columns. The delimiter is a comma, tab or semicolon, whichever is the most frequent in the first row.

use std::collections::VecDeque;
use std::io::{BufRead as _, Read as _};

use csv::{ByteRecord, ReaderBuilder};
use dataverse_core::plural::plural;

use super::TraceError;
use super::packed::Bytes;
use crate::limits;

/// Some programs write this before the first line.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// The possible delimiters; if a row has equally many of two, the first one counts.
const DELIMITERS: [u8; 3] = [b',', b'\t', b';'];
/// The number of comments before the first row that are kept (the last ones).
const COMMENTS_MAX: usize = 16;

pub(super) struct Rows {
    file: String,
    bytes: Bytes,
    line: Vec<u8>,
    /// None until the first row is read.
    delimiter: Option<u8>,
    /// The last comments before the first row.
    comments: VecDeque<Vec<u8>>,
    /// The name of the first row in errors about rows with a different number of fields.
    first: &'static str,
    /// The number of the next line.
    next_line: u64,
    row: ByteRecord,
    fields: Option<usize>,
}

impl Rows {
    /// A table whose delimiter is a comma. `first_line` is the number of the first line in the file.
    pub(super) fn new(file: String, bytes: Bytes, first_line: u64) -> Self {
        Self {
            delimiter: Some(b','),
            ..Self::of_any(file, bytes, first_line)
        }
    }

    /// A table whose delimiter is determined by the first row.
    pub(super) fn of_any(file: String, bytes: Bytes, first_line: u64) -> Self {
        Self {
            file,
            bytes,
            line: Vec::new(),
            delimiter: None,
            comments: VecDeque::new(),
            first: "the header",
            next_line: first_line,
            row: ByteRecord::new(),
            fields: None,
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<&ByteRecord>, TraceError> {
        if !self.read_line()? {
            return Ok(None);
        }
        let delimiter = *self.delimiter.get_or_insert_with(|| delimiter(&self.line));
        split(&self.line, delimiter, &mut self.row).map_err(|reason| self.wrong(reason))?;
        let (found, expected) = (self.row.len(), *self.fields.get_or_insert(self.row.len()));
        if found == expected {
            return Ok(Some(&self.row));
        }
        let fields = plural(found as u64, "field", "fields");
        let reason = format!("it has {fields}; {} has {expected}", self.first);
        Err(self.wrong(reason))
    }

    /// The last row read.
    pub(super) fn last(&self) -> &ByteRecord {
        &self.row
    }

    /// The fields of the last comments before the first row, the very last first.
    pub(super) fn comments(&self) -> impl Iterator<Item = ByteRecord> {
        let delimiter = self.delimiter.unwrap_or(b',');
        self.comments.iter().rev().filter_map(move |comment| {
            let begin = comment.iter().take_while(|&&byte| byte == b'#');
            let text = comment[begin.count()..].trim_ascii();
            let mut row = ByteRecord::new();
            split(text, delimiter, &mut row).ok().map(|()| row)
        })
    }

    /// Notes that the first row was not a header.
    pub(super) fn without_header(&mut self) {
        self.first = "the first line";
    }

    /// An error about the last line read; in an empty file, about line 1.
    pub(super) fn wrong(&self, reason: impl Into<String>) -> TraceError {
        TraceError::Line {
            file: self.file.clone(),
            line: self.next_line.saturating_sub(1).max(1),
            reason: reason.into(),
        }
    }

    /// Reads the next line that is not empty.
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
            // A tab at the end is a delimiter before an empty last field.
            let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r' | b' ');
            let end = self.line.iter().rposition(|byte| !is_end(byte));
            self.line.truncate(end.map_or(0, |last| last + 1));
            if self.fields.is_none() && self.line.starts_with(BYTE_ORDER_MARK) {
                self.line.drain(..BYTE_ORDER_MARK.len());
            }
            if self.line.starts_with(b"#") {
                if self.fields.is_none() {
                    if self.comments.len() == COMMENTS_MAX {
                        self.comments.pop_front();
                    }
                    self.comments.push_back(self.line.clone());
                }
            } else if !self.line.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }
}

/// The most frequent delimiter in this row, outside quotes.
fn delimiter(row: &[u8]) -> u8 {
    let mut counts = [0u32; DELIMITERS.len()];
    let mut is_quoted = false;
    for byte in row {
        is_quoted ^= *byte == b'"';
        let which = DELIMITERS.iter().position(|it| it == byte);
        if let Some(which) = which.filter(|_| !is_quoted) {
            counts[which] += 1;
        }
    }
    let most = counts.into_iter().max().unwrap_or(0);
    let first = counts.into_iter().position(|count| count == most);
    DELIMITERS[first.unwrap_or(0)]
}

fn split(line: &[u8], delimiter: u8, row: &mut ByteRecord) -> Result<(), String> {
    row.clear();
    let quotes = line.iter().filter(|&&byte| byte == b'"').count();
    if quotes == 0 {
        for field in line.split(|&byte| byte == delimiter) {
            row.push_field(field);
        }
        return Ok(());
    }
    if quotes % 2 == 1 {
        return Err("a quoted field does not end on its line".to_owned());
    }
    let mut table = ReaderBuilder::new()
        .has_headers(false)
        .delimiter(delimiter)
        .from_reader(line);
    let read = table.read_byte_record(row);
    read.map(drop).map_err(|error| error.to_string())
}
