//! The disk's own speed: the upper bound of every write.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use crate::http::mark;
use crate::report::timed;

/// Writes one file in pieces of 1 MiB and fsyncs it; returns MiB per second.
pub(crate) fn sequential(path: &Path, size: u64, piece: &mut [u8], seed: u64) -> f64 {
    let seconds = timed(|| {
        let mut file = File::create(path).expect("the file can be created");
        let mut written = 0;
        while written < size {
            mark(piece, seed, written);
            file.write_all(piece).expect("the disk accepts the write");
            written += piece.len() as u64;
        }
        file.sync_all().expect("the disk makes it durable");
    });
    std::fs::remove_file(path).expect("the file can be removed");
    mib(size) / seconds
}

pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
