//! HTTP: how people, browsers and programs use a node.
//!
//! Paths, field names and statuses are a contract that others build on. This module translates between
//! HTTP and the driver's face; it decides nothing about files, searches or links, and it knows neither
//! disk nor peers. Routes and the OpenAPI document come from one declaration in `routes`.

mod connection;
mod face;
mod files;
mod guard;
mod linger;
mod links;
mod nodes;
mod page;
mod problem;
mod routes;
mod search;
mod server;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use self::face::Face;
pub use self::server::serve;

/// What every handler works with.
#[derive(Clone)]
struct Site {
    face: Arc<dyn Face>,
    write_stall: Duration,
    document: Bytes,
}
