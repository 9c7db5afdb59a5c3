//! The other nodes, as this one sees them.

pub(in crate::driver) mod announce;
pub(in crate::driver) mod call;
pub(in crate::driver) mod claims;
mod goodbye;
pub(in crate::driver) mod isolation;
pub(in crate::driver) mod links;
mod silent;
pub(in crate::driver) mod status;
pub(in crate::driver) mod wanted;
