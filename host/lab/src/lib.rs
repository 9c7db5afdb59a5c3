//! The lab: compares policies on simulated networks and recorded traces, with numbers and plots.
//!
//! It runs the same policy files as a node, in the same sandbox with the same limits, and drives the same core;
//! only time and the network are simulated. A run depends on its experiment and its seed alone: the same two give
//! bit-identical results, on any number of threads. The lab never talks to a network, and reads the clock only to
//! report how long a run took.
//!
//! ```text
//! topology ─┐
//! workload ─┼─► scenario ──► world ──► measures ─┐
//! library ──┘        (one seed, one run)         ├─► results ──► report
//! experiment: compare × sweep × repetitions ─────┘
//! trace ──► single cache ──► miss ratios        placement, search: studies of their own
//! ```

pub mod assignment;
pub mod experiment;
mod file;
pub mod library;
pub mod limits;
pub mod measures;
mod metered;
pub mod placement;
pub mod quantity;
pub mod report;
pub mod results;
mod sample;
pub mod search;
pub mod seed;
pub mod single;
pub mod stats;
pub mod topology;
pub mod trace;
pub mod workload;
pub mod world;
pub mod wrong;
