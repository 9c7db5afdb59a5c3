//! Reads a node's own recording, whose format `dataverse_core::recording` defines.

use std::io;

use csv::ByteRecord;
use dataverse_core::recording::{COLUMNS, FIRST_LINE, KEY_COLUMN, RequestOutcome, begins};

use super::packed::Bytes;
use super::rows::Rows;
use super::{Request, TraceError, number, op_of_word};
use crate::limits;

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
                false => format!("it is not a recording: the first line is not `{FIRST_LINE}`"),
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
                // Another recording begins (concatenated files).
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

/// The first line, or the beginning of a long one.
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
    let no = |what: &str, place: usize| {
        format!("`{}` is not a valid {what}", number::shown(field(place)))
    };
    let hex = |place: usize, what: &str| {
        let text = std::str::from_utf8(field(place)).ok();
        let digits = text.filter(|text| text.len() == 16 && !text.starts_with('+'));
        let id = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        id.ok_or_else(|| format!("{} of 16 hexadecimal digits", no(what, place)))
    };
    let time = number::whole(field(0)).filter(|&ms| ms <= limits::TRACE_TIME_MS_MAX);
    let outcome = RequestOutcome::ALL
        .into_iter()
        .find(|outcome| outcome.as_str().as_bytes() == field(5));
    let hops = number::whole(field(6)).and_then(|hops| u32::try_from(hops).ok());
    Ok(Request {
        time: time.ok_or_else(|| no("time in milliseconds", 0))?,
        reader: hex(1, "reader")?,
        op: op_of_word(field(2)).ok_or_else(|| no("operation", 2))?,
        id: hex(3, "id")?,
        size: number::size(field(4))?,
        outcome: Some(outcome.ok_or_else(|| no("outcome", 5))?),
        hops: hops.ok_or_else(|| no("number of hops", 6))?,
    })
}
