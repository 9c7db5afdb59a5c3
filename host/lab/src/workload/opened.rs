//! `Workload`: a load that can be had, checked and with its files found.

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

/// A load that can be had. What it draws depends on the seed.
#[derive(Clone, Debug)]
pub struct Workload {
    spec: Spec,
    listed_sizes: Vec<u64>,
    recorded: Option<Recorded>,
}

/// A trace that is there.
#[derive(Clone, Debug)]
struct Recorded {
    trace: Trace,
    digest: Digest,
    has_times: bool,
    /// Gone through when someone first asks what is in it.
    footprint: OnceLock<Result<Footprint, WorkloadError>>,
}

/// Why requests stop coming.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadError {
    /// The trace can't be read on.
    #[error("the trace can't be read: {0}")]
    Trace(String),
}

impl Workload {
    /// Checks what a table says and finds its files, whose paths are taken from the folder `base`. A trace's
    /// beginning is looked at.
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

    /// What it was opened with.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// BLAKE3 of its trace, if it has one.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.recorded.as_ref().map(|recorded| recorded.digest)
    }

    /// What is in its trace, if it has one. The trace is gone through the first time.
    ///
    /// # Errors
    /// [`WorkloadError`] when the trace is not whole.
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

    /// The size of each file that there is from the beginning, by index; none for a trace, whose files turn up.
    pub(crate) fn catalogue(&self, seed: u64) -> Vec<u64> {
        if self.recorded.is_some() {
            return Vec::new();
        }
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

    /// The nodes at which files are written for the first time, one after the other.
    pub(crate) fn writers(&self, seed: u64, nodes: u32) -> impl FnMut() -> u32 + use<> {
        let mut askers = Askers::new(&self.spec, nodes, None, seed, "writers");
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
                wrong("time_unit", format!("`{word}` is none of s, ms, us and ns"))
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
                    "it is for CSV traces, and this is none".to_owned(),
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

/// Of log-normal sizes; those of real file systems have 2 to 3.
const SIGMA_MAX: f64 = 10.0;

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
        (1..=FILE_BYTES_MAX).contains(&spec.size.0),
        "size",
        format!("a file has 1 to {} bytes", FILE_BYTES_MAX),
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
    fits(
        spec.sigma.value() <= SIGMA_MAX,
        "sigma",
        format!("it is at most {SIGMA_MAX}: beyond, sizes are of one byte or endless"),
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
            "it is for recorded traces; say which with `trace`".to_owned(),
        )?;
    }
    let named = match &spec.readers {
        Readers::All(_) => true,
        Readers::Listed(names) => !names.is_empty(),
    };
    fits(named, "readers", "at least one node asks".to_owned())
}

#[cfg(test)]
mod tests;
