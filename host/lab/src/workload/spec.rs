//! What an experiment says of its load: the table `[workload]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::quantity::{Bytes, Moment, NotNegative, Positive, Share};

/// How often each file is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Popularity {
    /// The file of rank k as often as 1 / k^exponent.
    #[default]
    Zipf,
    /// All alike.
    Uniform,
}

/// How skewed the askers are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadersKind {
    /// All nodes ask alike.
    #[default]
    Uniform,
    /// The node of rank k asks as often as 1 / k^`reader_exponent`; ranks are drawn.
    Zipf,
}

/// Which nodes ask: `"uniform"`, `"zipf"`, or a list of names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected \"uniform\", \"zipf\" or a list of names of nodes"
)]
pub enum Readers {
    /// All of them.
    All(ReadersKind),
    /// These, by name, all alike.
    Listed(Vec<String>),
}

impl Default for Readers {
    fn default() -> Self {
        Self::All(ReadersKind::Uniform)
    }
}

/// How large files are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sizes {
    /// All of `size`.
    #[default]
    Constant,
    /// Log-normal with mean `size` and `sigma`, the standard deviation of the logarithm.
    LogNormal,
    /// Pareto with mean `size` and `shape`, above 1.
    Pareto,
    /// One size a line in `sizes_file`, in bytes, from the most popular file on; again from the top when it ends.
    File,
}

/// When requests come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrivals {
    /// At random, with exponential pauses.
    #[default]
    Poisson,
    /// At equal pauses.
    Regular,
}

/// The table `[workload]`. Which keys go together is checked when the workload is opened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spec {
    /// How often each file is asked for (`zipf`).
    pub popularity: Popularity,
    /// Of Zipf's law (1).
    pub exponent: NotNegative,
    /// How many files (1000).
    pub files: u32,
    /// Ranks that the favourites move on by each second: the file of rank k becomes that of rank k + 1, the last
    /// the first (0).
    pub drift: NotNegative,
    /// When all ranks are dealt anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change_at: Option<Moment>,
    /// Which nodes ask (`uniform`).
    pub readers: Readers,
    /// Of Zipf's law over the readers (1).
    pub reader_exponent: NotNegative,
    /// How large files are (`constant`).
    pub sizes: Sizes,
    /// The size, or its mean (1 MiB).
    pub size: Bytes,
    /// Of log-normal sizes (1).
    pub sigma: NotNegative,
    /// Of Pareto sizes (1.5).
    pub shape: Positive,
    /// Of sizes from a file: where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sizes_file: Option<PathBuf>,
    /// Requests a second in the whole network (100).
    pub rate: Positive,
    /// When they come (`poisson`).
    pub arrivals: Arrivals,
    /// Share of the requests that write a file anew (0).
    pub writes: Share,
    /// Share of the requests that delete a file (0); the rest reads.
    pub deletes: Share,
    /// A recorded trace in place of all of the above but `readers`, which are for a trace that names no reader, and
    /// `rate` and `arrivals`, which are for one that has no times. A path from the experiment's folder, or
    /// `zipf:OBJECTS,REQUESTS,SEED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<PathBuf>,
    /// The trace's format: `csv`, `oracle-general` or `dataverse`; told by its content unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Of a CSV trace: which columns are what, as in `"time=ts,id=key,size=bytes"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<String>,
    /// Of a CSV trace: what its times count: `s`, `ms`, `us` or `ns`; seconds unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_unit: Option<String>,
    /// What a read with another size than before is: `keep` (it is a read, and the first size stays; unless given) or
    /// `write`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_resize: Option<OnResizeWord>,
}

/// What a read of a trace with another size than before is.
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
