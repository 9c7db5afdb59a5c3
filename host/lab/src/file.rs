//! Reads whole files that an experiment names: a topology, a list of sizes.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use crate::limits;

/// The text of a file.
///
/// # Errors
/// The reason, with the file's name: it does not exist, is not UTF-8, or is longer than
/// [`limits::LAB_FILE_BYTES_MAX`].
pub(crate) fn text(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let bytes = bytes(path, limits::LAB_FILE_BYTES_MAX);
    let bytes = bytes.map_err(|error| format!("{shown} can't be read: {error}"))?;
    String::from_utf8(bytes).map_err(|_| format!("{shown} can't be read: it is not UTF-8 text"))
}

/// The bytes of a file. Reads at most `max` bytes, whatever length the file reports: a device or a pipe reports
/// none.
///
/// # Errors
/// The file can't be read, or is longer.
pub(crate) fn bytes(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > max {
        true => Err(io::Error::other(format!(
            "it is longer than the limit of {max} bytes"
        ))),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_end_is_not_read_to_its_end() {
        let refused = bytes(Path::new("/dev/zero"), 1000).expect_err("it has no end");
        assert!(
            refused
                .to_string()
                .contains("longer than the limit of 1000 bytes")
        );
        assert_eq!(bytes(Path::new("/dev/null"), 0).ok(), Some(Vec::new()));
    }
}
