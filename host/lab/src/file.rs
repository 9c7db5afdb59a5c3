//! Files that an experiment names, read whole: a topology, a list of sizes.

use std::path::Path;

use dataverse_core::limits;

/// The text of a file.
///
/// # Errors
/// Why it can't be read, with its name: it is not there, no text, or longer than [`limits::LAB_FILE_BYTES_MAX`].
pub(crate) fn text(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| format!("{shown} can't be read: {error}");
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > limits::LAB_FILE_BYTES_MAX {
        let max = limits::LAB_FILE_BYTES_MAX;
        return Err(format!("{shown} has {bytes} bytes; at most {max} are read"));
    }
    std::fs::read_to_string(path).map_err(unreadable)
}
