//! `Workload`: a valid workload, with its files read.

use std::path::Path;
use std::sync::OnceLock;

use dataverse_core::content::Digest;
use dataverse_core::limits::FILE_BYTES_MAX;

use super::replay::{Footprint, Replay};
use super::spec::{OnResizeWord, Readers, Sizes, Spec};
use super::synthetic::{Askers, Synthetic, Times};
use super::{Request, sizes};
use crate::limits;
use crate::sample::Draw;
use crate::seed::derive;
use crate::single::OnResize;
use crate::trace::{Columns, Format, Options, TimeUnit, Trace};
use crate::wrong::Wrong;

/// A valid workload. Its random parts depend on the seed.
#[derive(Clone, Debug)]
pub struct Workload {
    spec: Spec,
    listed_sizes: Vec<u64>,
    recorded: Option<Recorded>,
}

/// A trace that can be read.
#[derive(Clone, Debug)]
struct Recorded {
    trace: Trace,
    digest: Digest,
    has_times: bool,
    /// Computed when it is first needed.
    footprint: OnceLock<Result<Footprint, WorkloadError>>,
}

/// Why no more requests can be produced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadError {
    /// The trace can't be read any further.
    #[error("the trace can't be read: {0}")]
    Trace(String),
}

impl Workload {
    /// Validates a table and opens its files, relative to the folder `base`. Inspects the beginning of a trace.
    ///
    /// # Errors
    /// The key with an impossible value.
    pub fn open(spec: &Spec, base: &Path) -> Result<Self, Wrong> {
        check(spec)?;
        let listed_sizes = match &spec.sizes_file {
            None => Vec::new(),
            Some(path) => sizes::read(&base.join(path))
                .map_err(|reason| Wrong::new("workload.sizes_file", reason))?,
        };
        let recorded = match &spec.trace {
            None => None,
            Some(path) => Some(Recorded::open(spec, path, base)?),
        };
        Ok(Self {
            spec: spec.clone(),
            listed_sizes,
            recorded,
        })
    }

    /// The spec that it was opened with.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// BLAKE3 of its trace, if it has one.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.recorded.as_ref().map(|recorded| recorded.digest)
    }

    /// What its trace contains, if it has one. The first call reads the whole trace.
    ///
    /// # Errors
    /// [`WorkloadError`] when the trace is invalid.
    pub fn footprint(&self) -> Result<Option<Footprint>, WorkloadError> {
        let Some(recorded) = &self.recorded else {
            return Ok(None);
        };
        let footprint = recorded.footprint.get_or_init(|| {
            let requests = recorded.trace.requests();
            Footprint::of(requests.map_err(|error| WorkloadError::Trace(error.to_string()))?)
        });
        footprint.clone().map(Some)
    }

    /// The size of each file that exists from the start, by index; empty for a trace, whose files appear as they
    /// are requested.
    pub(crate) fn catalogue(&self, seed: u64) -> Vec<u64> {
        if self.recorded.is_some() {
            return Vec::new();
        }
        let mut draw = Draw::new(derive(seed, &["workload", "sizes"]));
        sizes::drawn(&self.spec, &self.listed_sizes, &mut draw)
    }

    /// The requests for a seed, for a network of `nodes` nodes. `listed` are the readers that the table names.
    pub(crate) fn requests(
        &self,
        seed: u64,
        nodes: u32,
        listed: Option<&[u32]>,
        requests: u64,
    ) -> Result<Requests, WorkloadError> {
        let askers = Askers::new(&self.spec, nodes, listed, seed, "readers");
        let source = match &self.recorded {
            None => {
                let catalogue = self.catalogue(seed);
                let drawn = Synthetic::new(&self.spec, catalogue, askers, requests, seed);
                LoadSource::Synthetic(Box::new(drawn))
            }
            Some(recorded) => {
                let read = recorded.trace.requests();
                let read = read.map_err(|error| WorkloadError::Trace(error.to_string()))?;
                let on_resize = match self.spec.on_resize {
                    None | Some(OnResizeWord::Keep) => OnResize::Keep,
                    Some(OnResizeWord::Write) => OnResize::Write,
                };
                let times = (!recorded.has_times).then(|| Times::new(&self.spec, seed));
                LoadSource::Recorded(Box::new(Replay::new(read, on_resize, askers, times)))
            }
        };
        Ok(Requests {
            left: requests,
            source,
        })
    }

    /// The nodes at which files are written for the first time, in order.
    pub(crate) fn writers(&self, seed: u64, nodes: u32) -> impl FnMut() -> u32 + use<> {
        let mut askers = Askers::new(&self.spec, nodes, None, seed, "writers");
        move || askers.next()
    }

    /// The names of the readers, if the table names them.
    pub(crate) fn named_readers(&self) -> Option<&[String]> {
        match &self.spec.readers {
            Readers::All(_) => None,
            Readers::Listed(names) => Some(names),
        }
    }
}

impl Recorded {
    fn open(spec: &Spec, path: &Path, base: &Path) -> Result<Self, Wrong> {
        let wrong = |key: &str, reason: String| Wrong::new(format!("workload.{key}"), reason);
        let mut options = Options::default();
        if let Some(word) = &spec.format {
            let format: Result<Format, _> = word.parse();
            options.format = Some(format.map_err(|error| wrong("format", error.to_string()))?);
        }
        if let Some(columns) = &spec.columns {
            let columns = Columns::parse(columns);
            options.columns = columns.map_err(|reason| wrong("columns", reason))?;
        }
        if let Some(word) = &spec.time_unit {
            let unit = TimeUnit::ALL.into_iter().find(|(name, _)| name == word);
            let unit = unit.ok_or_else(|| {
                wrong(
                    "time_unit",
                    format!("`{word}` is not one of s, ms, us and ns"),
                )
            })?;
            options.time_unit = unit.1;
        }
        let name = match path.to_string_lossy() {
            name if name.starts_with("zipf:") => name.into_owned(),
            _ => base.join(path).to_string_lossy().into_owned(),
        };
        let trace = Trace::open(&name, options);
        let trace = trace.map_err(|error| wrong("trace", error.to_string()))?;
        if trace.format() != Some(Format::Csv) {
            let keys = [("columns", &spec.columns), ("time_unit", &spec.time_unit)];
            if let Some((key, _)) = keys.into_iter().find(|(_, given)| given.is_some()) {
                return Err(wrong(
                    key,
                    "it applies only to CSV traces, and this is not one".to_owned(),
                ));
            }
        }
        let digest = trace
            .digest()
            .map_err(|error| wrong("trace", error.to_string()))?;
        Ok(Self {
            has_times: trace.has_times(),
            trace,
            digest,
            footprint: OnceLock::new(),
        })
    }
}

/// Requests in the order of their times.
pub(crate) struct Requests {
    left: u64,
    source: LoadSource,
}

enum LoadSource {
    Synthetic(Box<Synthetic>),
    Recorded(Box<Replay>),
}

impl Iterator for Requests {
    type Item = Result<Request, WorkloadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        match &mut self.source {
            LoadSource::Synthetic(requests) => Some(Ok(requests.next())),
            LoadSource::Recorded(requests) => requests.next(),
        }
    }
}

/// The maximum of log-normal sizes; those of real file systems have 2 to 3.
const SIGMA_MAX: f64 = 10.0;

fn check(spec: &Spec) -> Result<(), Wrong> {
    let fits = |fits: bool, key: &str, reason: String| match fits {
        true => Ok(()),
        false => Err(Wrong::new(format!("workload.{key}"), reason)),
    };
    let files = spec.files as usize;
    let max = limits::LAB_FILES_MAX;
    fits(
        files > 0,
        "files",
        "there must be at least one file".to_owned(),
    )?;
    fits(
        files <= max,
        "files",
        format!("at most {max} files can be simulated"),
    )?;
    let changes = spec.writes.value() + spec.deletes.value();
    fits(
        changes <= 1.0,
        "deletes",
        "writes and deletes together must not exceed all requests".to_owned(),
    )?;
    fits(
        (1..=FILE_BYTES_MAX).contains(&spec.size.0),
        "size",
        format!("a file must have 1 to {} bytes", FILE_BYTES_MAX),
    )?;
    let rate = spec.rate.value();
    fits(
        (1e-6..=1e6).contains(&rate),
        "rate",
        "it must be between 0.000001 and 1000000 per second".to_owned(),
    )?;
    let shape = spec.shape.value();
    fits(
        spec.sizes != Sizes::Pareto || shape > 1.0,
        "shape",
        "a Pareto distribution has a mean only for shapes above 1".to_owned(),
    )?;
    fits(
        spec.sigma.value() <= SIGMA_MAX,
        "sigma",
        format!("it must be at most {SIGMA_MAX}; above that, sizes are 1 byte or the maximum"),
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
        "it has no effect unless `sizes = \"file\"`".to_owned(),
    )?;
    let of_traces = [
        ("format", spec.format.is_some()),
        ("columns", spec.columns.is_some()),
        ("time_unit", spec.time_unit.is_some()),
        ("on_resize", spec.on_resize.is_some()),
    ];
    if let Some((key, _)) = of_traces
        .into_iter()
        .find(|&(_, given)| given && spec.trace.is_none())
    {
        fits(
            false,
            key,
            "it applies only to recorded traces; name one with `trace`".to_owned(),
        )?;
    }
    let named = match &spec.readers {
        Readers::All(_) => true,
        Readers::Listed(names) => !names.is_empty(),
    };
    fits(named, "readers", "name at least one node".to_owned())
}

#[cfg(test)]
mod tests;
