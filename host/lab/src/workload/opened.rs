//! `Workload`: a load that can be had, checked and with its files found.

use std::path::Path;

use dataverse_core::content::Digest;
use dataverse_core::limits;

use super::spec::{Readers, Sizes, Spec};
use super::synthetic::{Askers, Synthetic};
use super::{Request, sizes};
use crate::draw::Draw;
use crate::seed::derive;
use crate::wrong::Wrong;

/// A load that can be had. What it draws depends on the seed.
#[derive(Clone, Debug)]
pub struct Workload {
    spec: Spec,
    listed_sizes: Vec<u64>,
}

/// Why requests stop coming.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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
        check(spec)?;
        let listed_sizes = match &spec.sizes_file {
            None => Vec::new(),
            Some(path) => sizes::read(&base.join(path))
                .map_err(|reason| Wrong::new("workload.sizes_file", reason))?,
        };
        Ok(Self {
            spec: spec.clone(),
            listed_sizes,
        })
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

    /// The size of each file that there is from the beginning, by index.
    pub(crate) fn catalogue(&self, seed: u64) -> Vec<u64> {
        let mut draw = Draw::new(derive(seed, &["workload", "sizes"]));
        sizes::drawn(&self.spec, &self.listed_sizes, &mut draw)
    }

    /// The requests under a seed, for a network of so many nodes. `listed` are the readers that the table names.
    pub(crate) fn requests(
        &self,
        seed: u64,
        nodes: u32,
        listed: Option<&[u32]>,
        requests: u64,
    ) -> Requests {
        let askers = Askers::new(&self.spec, nodes, listed, seed, "readers");
        let catalogue = self.catalogue(seed);
        Requests {
            left: requests,
            source: Source::Synthetic(Box::new(Synthetic::new(
                &self.spec, catalogue, askers, requests, seed,
            ))),
        }
    }

    /// The nodes at which files are written for the first time, one after the other.
    pub(crate) fn writers(
        &self,
        seed: u64,
        nodes: u32,
        listed: Option<&[u32]>,
    ) -> impl FnMut() -> u32 + use<> {
        let mut askers = Askers::new(&self.spec, nodes, listed, seed, "writers");
        move || askers.next()
    }

    /// The names of the readers, when the table names them.
    pub(crate) fn named_readers(&self) -> Option<&[String]> {
        match &self.spec.readers {
            Readers::All(_) => None,
            Readers::Listed(names) => Some(names),
        }
    }
}

/// Requests in the order of their times.
pub(crate) struct Requests {
    left: u64,
    source: Source,
}

enum Source {
    Synthetic(Box<Synthetic>),
}

impl Iterator for Requests {
    type Item = Result<Request, WorkloadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        match &mut self.source {
            Source::Synthetic(requests) => Some(Ok(requests.next())),
        }
    }
}

fn check(spec: &Spec) -> Result<(), Wrong> {
    let fits = |fits: bool, key: &str, reason: String| match fits {
        true => Ok(()),
        false => Err(Wrong::new(format!("workload.{key}"), reason)),
    };
    let files = spec.files as usize;
    let max = limits::LAB_FILES_MAX;
    fits(files > 0, "files", "there is at least one file".to_owned())?;
    fits(
        files <= max,
        "files",
        format!("at most {max} files are simulated"),
    )?;
    let changes = spec.writes.value() + spec.deletes.value();
    fits(
        changes <= 1.0,
        "deletes",
        "writes and deletes are together more than all requests".to_owned(),
    )?;
    fits(
        (1..=limits::FILE_BYTES_MAX).contains(&spec.size.0),
        "size",
        format!("a file has 1 to {} bytes", limits::FILE_BYTES_MAX),
    )?;
    let rate = spec.rate.value();
    fits(
        (1e-6..=1e6).contains(&rate),
        "rate",
        "it is between 0.000001 and 1000000 a second".to_owned(),
    )?;
    let shape = spec.shape.value();
    fits(
        spec.sizes != Sizes::Pareto || shape > 1.0,
        "shape",
        "Pareto's law has a mean for shapes above 1 only".to_owned(),
    )?;
    let lists = spec.sizes_file.is_some();
    fits(
        lists || spec.sizes != Sizes::File,
        "sizes",
        "sizes from a file need `sizes_file`".to_owned(),
    )?;
    fits(
        !lists || spec.sizes == Sizes::File,
        "sizes_file",
        "it means nothing unless `sizes = \"file\"`".to_owned(),
    )?;
    let named = match &spec.readers {
        Readers::All(_) => true,
        Readers::Listed(names) => !names.is_empty(),
    };
    fits(named, "readers", "at least one node asks".to_owned())
}

#[cfg(test)]
mod tests;
