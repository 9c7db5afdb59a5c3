//! The live driver of Dataverse: a node on real sockets and a real disk.

pub mod driver;
pub mod membership;
pub mod http;
pub mod metrics;
pub mod settings;
pub mod store;
pub mod transport;
