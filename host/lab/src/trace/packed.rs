//! Decompresses a file while it is read. Detects gzip and zstd by their magic bytes, whatever the file's name.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Unsupported formats, by their magic bytes.
const OTHERS: [(&[u8], &str); 5] = [
    (b"\xfd7zXZ\0", "xz"),
    (b"BZh", "bzip2"),
    (b"PK\x03\x04", "zip"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"\x04\x22\x4d\x18", "lz4"),
];
const BUFFER_BYTES: usize = 256 << 10;

/// The decompressed bytes of a file.
pub(super) type Bytes = Box<dyn BufRead + Send>;

/// Decompresses the bytes if they are compressed.
pub(super) fn unpacked(bytes: impl Read + Send + 'static) -> io::Result<Bytes> {
    let mut bytes = BufReader::with_capacity(BUFFER_BYTES, bytes);
    let first = bytes.fill_buf()?;
    if let Some((_, packer)) = OTHERS.iter().find(|(begin, _)| first.starts_with(begin)) {
        return Err(io::Error::other(format!(
            "it is compressed with {packer}; decompress it, or use gzip or zstd"
        )));
    }
    if first.starts_with(&GZIP) {
        Ok(buffered(MultiGzDecoder::new(bytes)))
    } else if first.starts_with(&ZSTD) {
        Ok(buffered(zstd::stream::read::Decoder::with_buffer(bytes)?))
    } else {
        Ok(Box::new(bytes))
    }
}

fn buffered(bytes: impl Read + Send + 'static) -> Bytes {
    Box::new(BufReader::with_capacity(BUFFER_BYTES, bytes))
}
