//! The live driver of Dataverse: a node on real sockets and a real disk.
//!
//! `driver` performs what the core decides; behind its ports stand `net` (gRPC) and `store` (disk and
//! memory); `membership` is gossip; `http` and `cli` are the faces; `node` puts one node together and `demo`
//! several.

mod changing;
pub mod cli;
pub mod config;
pub mod crash;
mod data_folder;
pub mod demo;
mod descriptors;
pub mod driver;
pub mod entropy;
pub mod http;
mod media_type;
pub mod membership;
pub mod metrics;
pub mod net;
pub mod node;
mod places;
pub mod policies;
pub mod recorder;
pub mod secret;
pub mod settings;
pub mod store;
pub mod transport;
