//! How people and programs reach a node: HTTP, and gRPC for clients.
//!
//! Both speak to the node by its public face and translate, in both directions, between that and their protocol.
//! Nothing is decided here about files or nodes.

pub mod grpc;
pub mod http;
pub mod limits;
