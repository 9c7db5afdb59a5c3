//! The APIs through which people and programs reach a node: HTTP, and gRPC for clients.
//!
//! Both call the node through its public API and translate between that and their protocol. Nothing is decided
//! here about files or nodes.

pub mod grpc;
pub mod http;
pub mod limits;
