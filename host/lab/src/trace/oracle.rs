//! `oracleGeneral`, libCacheSim's binary trace format: 24 bytes per request, little-endian: seconds (32 bits),
//! object (64), bytes (32), and the position of the object's next request (64). The lab ignores the last and
//! computes it itself where needed.

use std::io::{BufRead, ErrorKind};

use super::{Op, Request, TraceError};

/// Bytes per request.
const RECORD_BYTES: usize = 24;

pub(super) struct OracleRequests<R> {
    file: String,
    bytes: R,
    read: u64,
}

impl<R: BufRead> OracleRequests<R> {
    pub(super) fn new(file: String, bytes: R) -> Self {
        Self {
            file,
            bytes,
            read: 0,
        }
    }

    fn read_next(&mut self) -> Result<Option<Request>, TraceError> {
        let unreadable = |error: std::io::Error, file: &str| TraceError::Unreadable {
            file: file.to_owned(),
            reason: error.to_string(),
        };
        let mut record = [0; RECORD_BYTES];
        let mut filled = 0;
        while filled < RECORD_BYTES {
            match self.bytes.read(&mut record[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => {
                    return Err(TraceError::Record {
                        file: self.file.clone(),
                        request: self.read + 1,
                        reason: format!(
                            "it ends after {filled} of {RECORD_BYTES} bytes; is this an oracleGeneral trace?"
                        ),
                    });
                }
                Ok(more) => filled += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(error, &self.file)),
            }
        }
        self.read += 1;
        Ok(Some(request(&record)))
    }
}

fn request(record: &[u8; RECORD_BYTES]) -> Request {
    let four = |at: usize| {
        let bytes = record[at..at + 4].try_into().expect("four bytes");
        u32::from_le_bytes(bytes)
    };
    let id = record[4..12].try_into().expect("eight bytes");
    Request {
        time: u64::from(four(0)) * 1000,
        reader: 0,
        id: u64::from_le_bytes(id),
        size: u64::from(four(12)),
        op: Op::Read,
        hops: 1,
        outcome: None,
    }
}

impl<R: BufRead> Iterator for OracleRequests<R> {
    type Item = Result<Request, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read_next().transpose()
    }
}
