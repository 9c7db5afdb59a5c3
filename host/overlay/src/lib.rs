//! How nodes talk to each other.
//!
//! `transport` is the port: what one node may ask of another, in core types. Behind it stand `grpc` between
//! machines and `memory` within a test; `breaker` spares callers peers that do not answer. `membership` is gossip:
//! which nodes live, and what each tells of itself. `places` and `descriptors` bound the connections of a listener.

pub mod breaker;
pub mod clock;
pub mod connection_slots;
pub mod counters;
pub mod deadlines;
pub mod descriptors;
pub mod grpc;
pub mod held;
pub mod limits;
pub mod membership;
#[cfg(feature = "testing")]
pub mod memory;
#[cfg(test)]
mod tests;
pub mod timings;
pub mod transport;
