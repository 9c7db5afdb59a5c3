//! The live node: performs what the core decides, over the transport and the store.
//!
//! - `driver` runs the node: client operations, calls from other nodes, background loops.
//! - `policies` brings the policies that run in line with the ones the operator asked for.
//! - `settings` declares every setting; `limits` every fixed bound.
//! - `metrics` and `recorder` record what the node does; `entropy` is its only source of randomness; `media_type`
//!   guesses the content type of an upload.
//!
//! The crate knows neither HTTP nor gRPC nor files: those are behind the API, the transport and the store.

pub mod driver;
pub mod entropy;
pub mod limits;
pub mod media_type;
pub mod metrics;
pub mod policies;
pub mod recorder;
pub mod settings;
