//! The table `[workload]` of an experiment.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::quantity::{Bytes, Moment, NotNegative, Positive, Share};

/// How often each file is requested.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Popularity {
    /// The file of rank k in proportion to 1 / k^exponent.
    #[default]
    Zipf,
    /// All equally often.
    Uniform,
}

/// How unevenly the requests are distributed over the nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadersKind {
    /// All nodes receive equally many requests.
    #[default]
    Uniform,
    /// The node of rank k receives requests in proportion to 1 / k^`reader_exponent`; ranks are random.
    Zipf,
}

/// Which nodes receive requests: `"uniform"`, `"zipf"`, or a list of names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected \"uniform\", \"zipf\" or a list of names of nodes"
)]
pub enum Readers {
    /// All nodes.
    All(ReadersKind),
    /// These nodes, by name, equally often.
    Listed(Vec<String>),
}

impl Default for Readers {
    fn default() -> Self {
        Self::All(ReadersKind::Uniform)
    }
}

/// The sizes of the files.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sizes {
    /// All files have `size`.
    #[default]
    Constant,
    /// Log-normal with mean `size` and `sigma`, the standard deviation of the logarithm.
    LogNormal,
    /// Pareto with mean `size` and `shape`, above 1.
    Pareto,
    /// One size per line in `sizes_file`, in bytes, the most popular file first; repeats when the list ends.
    File,
}

/// The times of the requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrivals {
    /// Poisson: exponential intervals.
    #[default]
    Poisson,
    /// Equal intervals.
    Regular,
}

/// The table `[workload]`. Opening the workload checks which keys go together.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spec {
    /// How often each file is requested (`zipf`).
    pub popularity: Popularity,
    /// The exponent of Zipf's law (1).
    pub exponent: NotNegative,
    /// The number of files (1000).
    pub files: u32,
    /// Ranks by which popularity shifts per second: the file of rank k takes rank k + 1, the last one the first
    /// (0).
    pub drift: NotNegative,
    /// When all ranks are reassigned at random.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change_at: Option<Moment>,
    /// Which nodes receive requests (`uniform`).
    pub readers: Readers,
    /// The exponent of Zipf's law over the readers (1).
    pub reader_exponent: NotNegative,
    /// The sizes of the files (`constant`).
    pub sizes: Sizes,
    /// The size, or the mean size (1 MiB).
    pub size: Bytes,
    /// `sigma` of log-normal sizes (1).
    pub sigma: NotNegative,
    /// The shape of Pareto sizes (1.5).
    pub shape: Positive,
    /// The file of sizes, for `sizes = "file"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sizes_file: Option<PathBuf>,
    /// Requests per second in the whole network (100).
    pub rate: Positive,
    /// The times of the requests (`poisson`).
    pub arrivals: Arrivals,
    /// Share of the requests that overwrite a file (0).
    pub writes: Share,
    /// Share of the requests that delete a file (0); the rest are reads.
    pub deletes: Share,
    /// A recorded trace, which replaces everything above, except `readers` if the trace names no readers, and
    /// `rate` and `arrivals` if it has no times. A path relative to the experiment's folder, or
    /// `zipf:OBJECTS,REQUESTS,SEED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<PathBuf>,
    /// The trace's format: `csv`, `oracle-general` or `dataverse`; by default detected from its content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// The columns of a CSV trace, for example `"time=ts,id=key,size=bytes"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<String>,
    /// The time unit of a CSV trace: `s`, `ms`, `us` or `ns`; seconds by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_unit: Option<String>,
    /// How a read with a different size than before counts: `keep` (as a read; the first size stays; the default)
    /// or `write`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_resize: Option<OnResizeWord>,
}

/// How a read of a trace with a different size than before counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnResizeWord {
    /// A read; the first size stays.
    Keep,
    /// A write.
    Write,
}

impl Default for Spec {
    fn default() -> Self {
        let positive = |number| Positive::try_from(number).expect("it is above 0");
        let not_negative = |number| NotNegative::try_from(number).expect("it is at least 0");
        Self {
            popularity: Popularity::Zipf,
            exponent: not_negative(1.0),
            files: 1000,
            drift: NotNegative::default(),
            change_at: None,
            readers: Readers::default(),
            reader_exponent: not_negative(1.0),
            sizes: Sizes::Constant,
            size: Bytes(1 << 20),
            sigma: not_negative(1.0),
            shape: positive(1.5),
            sizes_file: None,
            rate: positive(100.0),
            arrivals: Arrivals::Poisson,
            writes: Share::default(),
            deletes: Share::default(),
            trace: None,
            format: None,
            columns: None,
            time_unit: None,
            on_resize: None,
        }
    }
}
