//! The live driver of Dataverse: a node on real sockets and a real disk.

pub mod driver;
pub mod net;
pub mod settings;
pub mod store;
pub mod transport;
