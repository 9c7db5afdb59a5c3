//! The search study: the cost of finding a file, by search method and number of copies.
//!
//! It compares the node's own breadth-first search with the classic methods for unstructured networks: flooding
//! with a hop limit, expanding rings and random walks (Lv, Cao, Cohen, Li, Shenker 2002, "Search and replication
//! in unstructured peer-to-peer networks"), and random probing (Cohen, Shenker 2002, "Replication strategies in
//! unstructured peer-to-peer networks"). Requests follow Zipf's law. The copies of each file are on random nodes,
//! and the replication strategy sets their number.
//!
//! It simulates no time: the cost of a search is counted in messages, not in milliseconds.

mod methods;
mod replication;
mod study;

pub use methods::Method;
pub use replication::{Replication, expected_size};
pub use study::{Copies, Found, Study, StudyError};
