//! The live node: performs what the core decides, over the transport and the store.
//!
//! `driver` is the node at work; `policies` brings the policies that run in line with those that are asked for;
//! `settings` declares what can be set. What stands around: `metrics`, the `recorder`, and `entropy`, from which
//! the node takes its chance.

pub mod driver;
pub mod entropy;
pub mod limits;
pub mod media_type;
pub mod metrics;
pub mod policies;
pub mod recorder;
pub mod settings;
