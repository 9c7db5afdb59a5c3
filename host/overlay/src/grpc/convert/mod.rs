//! Between protobuf messages and core types.
//!
//! Into protobuf nothing can fail. Out of it everything is judged here, once: a message that breaks a
//! limit becomes [`Malformed`], which names the field. Lists are counted before they are walked, and
//! nothing is allocated on the word of a number in a message.

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
