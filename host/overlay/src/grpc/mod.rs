//! Between machines: gRPC behind the transport port, and the service that clients call.
//!
//! ```text
//!  driver ──Transport──▶ client ──▶ pool ──HTTP/2──▶ connections ──▶ overlay ──Serve──▶ driver
//!                          └──────── convert ────────────┘             dataverse ─────▶ driver
//! ```
//!
//! Generated protobuf types live here and nowhere else; `convert` is the only way between them
//! and core types, and the only place that judges what a peer sent. Nothing here decides anything about
//! files or nodes, and nothing is kept: content flows through in chunks, as fast as its reader takes it.
//!
//! [`memory`] is the same port without sockets, for tests of whole networks in one thread.

mod client;
pub(crate) mod connections;
pub(crate) mod convert;
pub(crate) mod overlay;
mod pool;
pub(crate) mod server;
pub(crate) mod status;
pub mod streams;

pub use client::GrpcTransport;
pub use convert::Malformed;
pub use server::{Services, serve};

/// What protoc would make of `proto/`: messages, clients and servers.
#[expect(
    clippy::allow_attributes_without_reason,
    clippy::large_enum_variant,
    reason = "the code is generated"
)]
pub mod proto {
    tonic::include_proto!("dataverse.v1");

    /// The files of `proto/` as gRPC reflection tells them.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
}
