//! Searching: what it takes to find a file, by ways of searching and numbers of copies.
//!
//! The node's own breadth-first search beside the classics of unstructured networks: flooding with a bound on the
//! hops, expanding rings, and random walkers (Lv, Cao, Cohen, Li, Shenker 2002, "Search and replication in unstructured
//! peer-to-peer networks"), and probing of nodes at random (Cohen, Shenker 2002, "Replication strategies in
//! unstructured peer-to-peer networks"). Files are asked for by Zipf's law; their copies lie on nodes drawn at random,
//! as many of each as the way of replicating says.
//!
//! It simulates no time: a search is counted in messages, not in milliseconds.

mod methods;
mod replication;
mod study;

pub use methods::Method;
pub use replication::{Replication, expected_size};
pub use study::{Copies, Found, Study, StudyError};
