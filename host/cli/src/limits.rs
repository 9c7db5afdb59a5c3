//! Every bound and default of this crate in one place.
//!
//! A bound keeps outside input from growing without end and cannot be configured; a default is the value of a
//! setting that nobody has set. Units come last in a name.

// Nodes.

/// Bytes in a configuration file.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// Host names by which HTTP clients may address one node.
pub const HTTP_HOSTS_MAX: usize = 64;
/// Nodes in a demo network.
pub const DEMO_NODES_MAX: usize = 64;

/// Attempts to join a network at the start of a node.
pub const JOIN_ATTEMPTS_MAX: u32 = 10;
/// Certificates of authorities that a node presents beside its own: those of the latest rotations.
pub const AUTHORITIES_SHOWN_MAX: usize = 3;

// Client commands.

/// Bytes in an answer that a command reads whole: everything but file content.
pub const ANSWER_BYTES_MAX: usize = 64 << 20;

// The lab.

/// Threads that run the cells of an experiment.
pub const EXPERIMENT_JOBS_MAX: usize = 1024;
/// Traces that one run replays.
pub const TRACES_MAX: usize = 256;
