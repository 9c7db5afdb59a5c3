//! Every bound and default of this crate in one place.
//!
//! A bound keeps outside input from growing without end and cannot be configured; a default is the value of a
//! setting that nobody has set. Units come last in a name.

// Simulated networks.

/// Default number of replicas of a file.
pub const FACTOR_DEFAULT: u32 = 2;
/// Nodes in a topology.
pub const LAB_NODES_MAX: usize = 16_384;
/// Links in a topology.
pub const LAB_LINKS_MAX: usize = 1 << 20;
/// Bytes in a topology file or a file of sizes.
pub const LAB_FILE_BYTES_MAX: u64 = 64 << 20;
/// Attempts to draw a random topology that is connected.
pub const LAB_DRAWS_MAX: u32 = 100;
/// Files in a simulated network.
pub const LAB_FILES_MAX: usize = 1 << 22;
/// Requests in a run.
pub const LAB_REQUESTS_MAX: u64 = 1 << 36;
/// Events in a run.
pub const LAB_EVENTS_MAX: usize = 4096;
/// Memory for the routes through a simulated network, in bytes.
pub const LAB_ROUTES_BYTES_MAX: usize = 256 << 20;
/// Wall-clock time of one decision in the lab, long enough that fuel runs out first on any machine.
pub const LAB_WALL_MS_MAX: u64 = 10 * 60 * 1000;

// Experiments.

/// Bytes in an experiment file.
pub const EXPERIMENT_BYTES_MAX: u64 = 1 << 20;
/// Entries that an experiment compares.
pub const EXPERIMENT_COMPARE_MAX: usize = 64;
/// Bytes in the name of an entry.
pub const EXPERIMENT_NAME_BYTES_MAX: usize = 64;
/// Points in the sweep of an experiment.
pub const EXPERIMENT_POINTS_MAX: usize = 4096;
/// Assertions in an experiment.
pub const EXPERIMENT_EXPECTS_MAX: usize = 1024;
/// Default number of repetitions of each cell of an experiment, and …
pub const EXPERIMENT_REPETITIONS_DEFAULT: u32 = 5;
/// … the highest number.
pub const EXPERIMENT_REPETITIONS_MAX: u32 = 10_000;
/// Default number of requests in each run of a generated workload.
pub const EXPERIMENT_REQUESTS_DEFAULT: u64 = 10_000;
/// Runs of an experiment: compared entries times points of the sweep times repetitions.
pub const EXPERIMENT_RUNS_MAX: usize = 100_000;

// Studies of search and placement.

/// Searches of each kind in a search study.
pub const LAB_SEARCHES_MAX: u64 = 10_000_000;
/// Walkers of one search.
pub const LAB_WALKERS_MAX: u64 = 4096;
/// Nodes in a placement study: as many as a node keeps track of.
pub const PLACEMENT_STUDY_NODES_MAX: u32 = 65_536;
/// Files in a placement study.
pub const PLACEMENT_STUDY_FILES_MAX: u32 = 1_000_000;

// Traces.

/// Bytes in a line of a trace, which is one request.
pub const TRACE_LINE_BYTES_MAX: usize = 64 << 10;
/// Bytes of a trace that arrives through a pipe and is stored in a temporary file.
pub const TRACE_PIPE_BYTES_MAX: u64 = 16 << 30;
/// Columns of a trace in table form.
pub const TRACE_COLUMNS_MAX: usize = 256;
/// Requests in a trace: the optimum stores the position of each in 32 bits, and one value means never.
pub const TRACE_REQUESTS_MAX: u64 = u32::MAX as u64;
/// Objects in a trace; what is known of each is kept in memory.
pub const TRACE_OBJECTS_MAX: usize = 1 << 27;
/// Objects in a generated trace.
pub const TRACE_ZIPF_OBJECTS_MAX: u32 = 10_000_000;
/// Latest time in a trace, in milliseconds: whole numbers up to this are exact in 64-bit floats.
pub const TRACE_TIME_MS_MAX: u64 = 1 << 53;
/// Requests that are read and then given to all caches in one batch.
pub const TRACE_CHUNK_REQUESTS: usize = 1 << 16;
/// Objects of changed size that a report names; the rest are only counted.
pub const TRACE_RESIZED_TOLD_MAX: usize = 8;
/// Caches that one run simulates.
pub const TRACE_CACHES_MAX: usize = 4096;
/// New instances that a policy may need in one run before it is asked no more.
pub const TRACE_INSTANCES_MAX: u64 = 1000;
