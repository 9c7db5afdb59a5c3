//! gRPC between machines: the implementation of the transport port, and the server for all gRPC services of a node.
//!
//! ```text
//!  driver ──Transport──▶ client ──▶ pool ──HTTP/2──▶ connections ──▶ overlay ──Serve──▶ driver
//!                          └──────── convert ────────────┘
//! ```
//!
//! A call: `client` takes a connection from the `pool`, and `convert` turns the message into protobuf. At the other
//! node `connections` admits the connection, `server` runs the services (health and reflection included; the service
//! for clients is added by [`Services::with`]), `overlay` converts and checks the message and calls the
//! driver. `status` carries refusals; `streams` has the rules for content. With credentials, all connections are TLS (`tls`),
//! and the sender of each message must be the node in the certificate of its connection.
//!
//! Generated protobuf types are used here and nowhere else. `convert` is the only way between them and core types, and
//! the only place that validates what a peer sent. Nothing here decides anything about files or nodes, and no content
//! is kept: it flows through in chunks, as fast as its reader takes it.

mod client;
pub(crate) mod connections;
pub(crate) mod convert;
pub(crate) mod overlay;
mod pool;
pub(crate) mod server;
pub(crate) mod status;
pub mod streams;
pub(crate) mod tls;

pub use client::GrpcTransport;
pub use convert::Malformed;
pub use server::{Services, serve};

/// What protoc would generate from `proto/`: messages, clients and servers.
#[expect(
    clippy::allow_attributes_without_reason,
    clippy::large_enum_variant,
    reason = "the code is generated"
)]
pub mod proto {
    tonic::include_proto!("dataverse.v1");

    /// The descriptors of `proto/`, for gRPC reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

    /// The same for the service that issues certificates.
    pub const ENROLMENT_DESCRIPTORS: &[u8] =
        include_bytes!(concat!(env!("OUT_DIR"), "/enrolment-descriptors.bin"));
}
