//! What clients ask of a node.

pub(in crate::driver) mod api;
pub(in crate::driver) mod commit;
mod confirm;
mod delete;
pub(in crate::driver) mod fetch;
mod flow;
pub(in crate::driver) mod local;
pub(in crate::driver) mod preparing;
mod read;
mod search;
pub(in crate::driver) mod space;
pub(in crate::driver) mod transfer;
mod write;
