//! The HTTP server: how people, browsers and programs use a node.
//!
//! A request enters through `door` and `connection`, passes the middleware listed in `server` and reaches its
//! handler by `routes`, which also generates the OpenAPI document. Handlers translate between HTTP and the
//! driver's and the policies' APIs (`NodeApi`, `PolicyApi`); errors become a `Problem`. Paths, field names and
//! statuses are a contract that others build on. This module decides nothing about files, searches, links or
//! policies, and calls no other node. The only file that it writes is `files::spool`.

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
mod total;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;

use self::files::spool::Spools;
use self::node_api::NodeApi;
pub use self::server::serve;
use dataverse_node::policies::api::PolicyApi;

/// The state that every handler gets.
#[derive(Clone)]
struct Site {
    node_api: Arc<dyn NodeApi>,
    policy_api: Arc<dyn PolicyApi>,
    /// Permits for uploading a policy's file, which is held in memory while it is checked.
    uploads: Arc<Semaphore>,
    write_stall: Duration,
    /// Where files of a form wait until their owner is known.
    spools: Arc<Spools>,
    document: Bytes,
}

/// What the server needs to know about the node's environment.
#[derive(Debug, Clone)]
pub struct Around {
    /// Names by which the node may be addressed, besides `localhost` and IP addresses.
    pub hosts: Vec<String>,
    /// The folder for uploaded files whose key is not known yet.
    pub spool: PathBuf,
}
