//! The `dataverse` program: its commands, its configuration, a node put together, and the demonstration.
//!
//! `commands` is the command line. `config` reads what a node is told; `node` makes one of it, from store and
//! transport to the servers; `demo` makes several.

mod commands;
mod config;
mod demo;
pub mod limits;
mod node;

pub use commands::Cli;
