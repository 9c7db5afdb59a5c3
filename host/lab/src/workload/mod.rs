//! Workloads: who asks for which file when, and how large files are.

mod opened;
mod spec;

pub use opened::{Workload, WorkloadError};
pub use spec::{Arrivals, Popularity, Readers, ReadersKind, Sizes, Spec};
