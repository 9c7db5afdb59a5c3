//! What authors test their policies with: natively, with `cargo test`, without a node.
//!
//! [`Cache`] drives an eviction policy the way a node does and panics, with a sentence, when a verdict breaks
//! a rule; [`storm`] does so with everything that can happen to a cache. [`Zipf`] is traffic to drive it
//! with. [`nodes`], [`path`] and [`file()`] make up what placement and relocation policies are asked about,
//! and [`check_placement`] and [`check_relocation`] judge their verdicts; [`placement_storm`] and
//! [`relocation_storm`] ask them what a node might ask on its worst day.
//!
//! None of it is there on `wasm32`: it never ends up in a policy.

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
