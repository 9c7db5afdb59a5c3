//! The `dataverse` program: its commands, its configuration, the assembly of a node, and the demo.
//!
//! `commands` is the command line. `config` resolves a node's configuration; `identity` finds out
//! who the node is; `node` builds a node from it, from
//! store and transport to the servers; `demo` runs several nodes.

mod commands;
mod config;
mod demo;
mod identity;
pub mod limits;
mod node;

pub use commands::Cli;
