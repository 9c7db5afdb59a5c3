//! Conversion between protobuf messages and core types, and validation of what peers send.
//!
//! Converting to protobuf cannot fail. Converting from it checks everything, once: a message that breaks a rule becomes
//! [`Malformed`], which names the field. Lists are counted before they are walked, and nothing is allocated because a
//! number in a message says so.

mod fields;
mod message;
mod reconcile;
mod record;
mod search;
#[cfg(test)]
mod tests;

pub use fields::Malformed;
pub(super) use fields::{address, chunk};
pub(crate) use message::{FetchStart, PrepareStart, fetched_bytes, group_tree_bytes};
