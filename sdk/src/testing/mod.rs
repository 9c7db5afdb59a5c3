//! Tools for testing policies natively, with `cargo test`, without a node.
//!
//! [`Cache`] drives an eviction policy as a node does, and panics with a message when a verdict breaks a rule;
//! [`storm`] does so with everything that can happen to a cache. [`Zipf`] generates requests for it. [`nodes`],
//! [`path`] and [`file()`] create the arguments of placement and relocation policies, and [`check_placement`] and
//! [`check_relocation`] judge their verdicts. [`placement_storm`] and [`relocation_storm`] ask extreme questions.
//!
//! This module does not exist on `wasm32`, so it never becomes part of a policy.

mod cache;
mod network;
mod odd;
mod storm;
mod zipf;

#[cfg(test)]
mod tests;

pub use cache::{Cache, Counts};
pub use network::{check_placement, check_relocation, file, nodes, path};
pub use odd::{placement_storm, relocation_storm};
pub use storm::storm;
pub use zipf::{Zipf, file_size};
