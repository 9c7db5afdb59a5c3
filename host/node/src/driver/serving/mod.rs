//! What this node does when another asks, and how much at once.

pub(in crate::driver) mod admission;
pub(in crate::driver) mod serve;
