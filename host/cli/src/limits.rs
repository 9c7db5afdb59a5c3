//! Every bound and default of this crate in one place.
//!
//! A bound keeps outside input from growing without end and can not be configured; a default is what a
//! setting is when nobody says otherwise. Units come last in a name.

// HTTP.

/// Names by which HTTP clients may address one node.
pub const HTTP_HOSTS_MAX: usize = 64;

// Configuration and command line.

/// Bytes in a configuration file.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// Bytes in an answer of a node that a command reads whole: everything but content.
pub const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Nodes in a demonstration.
pub const DEMO_NODES_MAX: usize = 64;

// The lab's experiments.

/// Threads that run the cells of an experiment.
pub const EXPERIMENT_JOBS_MAX: usize = 1024;

// Traces of the lab.

/// Traces that one run goes through.
pub const TRACES_MAX: usize = 256;
