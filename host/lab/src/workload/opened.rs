//! `Workload`: a load that can be had, checked and with its files found.

use std::path::Path;

use dataverse_core::content::Digest;

use super::Spec;
use crate::wrong::Wrong;

/// A load that can be had. What it draws depends on the seed.
#[derive(Clone, Debug)]
pub struct Workload {
    spec: Spec,
}

/// Why requests stop coming.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// The trace can't be read on.
    #[error("the trace can't be read: {0}")]
    Trace(String),
}

impl Workload {
    /// Checks what a table says and finds its files, whose paths are taken from the folder `base`.
    ///
    /// # Errors
    /// The key that asks for what can't be.
    pub fn open(spec: &Spec, base: &Path) -> Result<Self, Wrong> {
        let _ = base;
        Ok(Self { spec: spec.clone() })
    }

    /// What it was opened with.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// BLAKE3 of its trace, if it has one.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        None
    }
}
