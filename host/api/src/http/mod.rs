//! HTTP: how people, browsers and programs use a node.
//!
//! Paths, field names and statuses are a contract that others build on. This module translates between
//! HTTP, the driver's face and the policies' desk; it decides nothing about files, searches, links or
//! policies, and it knows neither disk nor peers. Routes and the OpenAPI document come from one declaration in `routes`.

mod coding;
mod collected;
mod connection;
mod door;
mod drain;
mod files;
mod guard;
mod headers;
mod linger;
mod links;
mod node_api;
mod nodes;
mod overload;
mod page;
mod percent;
mod policies;
mod problem;
mod refusal;
mod routes;
mod scrub;
mod search;
mod server;
mod target;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;

use self::files::spool::Spools;
use self::node_api::NodeApi;
pub use self::server::serve;
use dataverse_node::policies::api::PolicyApi;

/// What every handler works with.
#[derive(Clone)]
struct Site {
    node_api: Arc<dyn NodeApi>,
    policy_api: Arc<dyn PolicyApi>,
    /// A turn to send a policy's file, which is held in memory while it is checked.
    uploads: Arc<Semaphore>,
    write_stall: Duration,
    /// Where files of a form wait until it is known whose they are.
    spools: Arc<Spools>,
    document: Bytes,
}

/// What the server has to know of the node's surroundings.
#[derive(Debug, Clone)]
pub struct Around {
    /// Names by which the node may be addressed, beside `localhost` and its numbers.
    pub hosts: Vec<String>,
    /// The folder in which files of an upload may wait that have no name yet.
    pub spool: PathBuf,
}
