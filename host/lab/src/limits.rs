//! Every bound and default of this crate in one place.
//!
//! A bound keeps outside input from growing without end and can not be configured; a default is what a
//! setting is when nobody says otherwise. Units come last in a name.

/// Replicas of a file unless told otherwise.
pub const FACTOR_DEFAULT: u32 = 2;

// The lab's experiments.

/// Bytes of an experiment's file.
pub const EXPERIMENT_BYTES_MAX: u64 = 1 << 20;
/// Entries that an experiment compares.
pub const EXPERIMENT_COMPARE_MAX: usize = 64;
/// Bytes of the name of an entry.
pub const EXPERIMENT_NAME_BYTES_MAX: usize = 64;
/// Points of an experiment's sweep.
pub const EXPERIMENT_POINTS_MAX: usize = 4096;
/// Assertions of an experiment.
pub const EXPERIMENT_EXPECTS_MAX: usize = 1024;
/// Repetitions of each cell of an experiment unless told otherwise, and …
pub const EXPERIMENT_REPETITIONS_DEFAULT: u32 = 5;
/// … at most.
pub const EXPERIMENT_REPETITIONS_MAX: u32 = 10_000;
/// Requests of each run of a generated load unless told otherwise.
pub const EXPERIMENT_REQUESTS_DEFAULT: u64 = 10_000;
/// Runs of an experiment: compare entries times points of the sweep times repetitions.
pub const EXPERIMENT_RUNS_MAX: usize = 100_000;

// The lab: the simulated network.

/// Nodes in a topology.
pub const LAB_NODES_MAX: usize = 16_384;
/// Links in a topology.
pub const LAB_LINKS_MAX: usize = 1 << 20;
/// Bytes in the file of a topology, or of sizes.
pub const LAB_FILE_BYTES_MAX: u64 = 64 << 20;
/// Times that a random topology is drawn until it is in one part.
pub const LAB_DRAWS_MAX: u32 = 100;
/// Files in a simulated network.
pub const LAB_FILES_MAX: usize = 1 << 22;
/// Requests in a run.
pub const LAB_REQUESTS_MAX: u64 = 1 << 36;
/// Events in a run.
pub const LAB_EVENTS_MAX: usize = 4096;
/// Searches of each kind in a study of searching.
pub const LAB_SEARCHES_MAX: u64 = 10_000_000;
/// Walkers of one search.
pub const LAB_WALKERS_MAX: u64 = 4096;
/// Wall-clock time of one decision in the lab, where fuel is to end it first on any machine.
pub const LAB_WALL_MS_MAX: u64 = 10 * 60 * 1000;
/// Memory in which the ways through a simulated network are kept, in bytes.
pub const LAB_ROUTES_BYTES_MAX: usize = 256 << 20;

// The lab's placement study.

/// Nodes in a placement study: as many as a node keeps track of.
pub const PLACEMENT_STUDY_NODES_MAX: u32 = 65_536;
/// Files in a placement study.
pub const PLACEMENT_STUDY_FILES_MAX: u32 = 1_000_000;

// Traces of the lab.

/// Bytes in a line of a trace, and so in a request of it.
pub const TRACE_LINE_BYTES_MAX: usize = 64 << 10;
/// Bytes of a trace that comes through a pipe and is kept in a temporary file.
pub const TRACE_PIPE_BYTES_MAX: u64 = 16 << 30;
/// Columns of a trace that is a table.
pub const TRACE_COLUMNS_MAX: usize = 256;
/// Requests in a trace: the position of each is kept in 32 bits for the optimum, and one value means never.
pub const TRACE_REQUESTS_MAX: u64 = u32::MAX as u64;
/// Objects in a trace; what is known of each is kept in memory.
pub const TRACE_OBJECTS_MAX: usize = 1 << 27;
/// Objects of a generated trace.
pub const TRACE_ZIPF_OBJECTS_MAX: u32 = 10_000_000;
/// The latest time in a trace, in milliseconds; whole numbers up to this are exact in 64-bit floats.
pub const TRACE_TIME_MS_MAX: u64 = 1 << 53;
/// Requests that are read and then put to all caches at once.
pub const TRACE_CHUNK_REQUESTS: usize = 1 << 16;
/// Objects named in the report that changed their size; the rest is counted.
pub const TRACE_RESIZED_TOLD_MAX: usize = 8;
/// Caches that one run drives.
pub const TRACE_CACHES_MAX: usize = 4096;
/// Times that a policy may need a new instance in one run before it is asked no more.
pub const TRACE_INSTANCES_MAX: u64 = 1000;
