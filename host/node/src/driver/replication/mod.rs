//! Keeps replicas as many as they are to be, whole, and where they belong.

pub(in crate::driver) mod downtime;
mod drain;
pub(in crate::driver) mod heal;
pub(in crate::driver) mod hints;
mod pace;
pub(in crate::driver) mod relayout;
pub(in crate::driver) mod release;
pub(in crate::driver) mod rereplication;
pub(in crate::driver) mod scrub;
mod tombstones;
pub(in crate::driver) mod verification;
