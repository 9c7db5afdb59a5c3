//! `Total`: a number of files and their bytes, as responses show it.

use dataverse_core::holdings;
use serde::Serialize;
use utoipa::ToSchema;

/// A number of files and their bytes.
#[derive(Serialize, ToSchema)]
pub(crate) struct Total {
    /// The number of files.
    files: u64,
    /// Their total size in bytes.
    bytes: u64,
}

impl From<holdings::Total> for Total {
    fn from(total: holdings::Total) -> Self {
        Self {
            files: total.files,
            bytes: total.bytes,
        }
    }
}
