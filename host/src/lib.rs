//! The live driver of Dataverse: a node on real sockets and a real disk.

pub mod cli;
pub mod config;
pub mod demo;
pub mod driver;
pub mod node;
pub mod settings;
pub mod store;
pub mod transport;
