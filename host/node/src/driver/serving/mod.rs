//! Calls from other nodes: the receiving end of the transport, and admission control.
//!
//! - `serve`: implements the transport's `Serve` trait, one method per call: link, introduce, unlink, probe, fetch,
//!   prepare, commit, pull, move, announce, reconcile, gossip.
//! - `preparations`: contents that other nodes have sent and not committed yet.
//! - `admission`: limits concurrent work, for clients as well as for other nodes.
//!
//! Most calls pass three steps. `Driver::admit_caller` (in `peers::call`) refuses a sender of another protocol or
//! network, one with a clock too far ahead, one that uses another node's id, and everyone while this node is
//! isolated. `Admission` grants a permit or refuses with "busy"; there is no queue. Then the method answers from
//! `State`, or changes the store and calls into `client`, `peers` or `replication`.
//!
//! `Preparations` owns contents that are durable here and await their commit; they are bounded in number and
//! expire after `write.prepared`. A restart drops them. `Admission` owns the permits.
//!
//! A peer can do little by a call alone: a commit needs content that matches the record, a fetch gets exactly one
//! version, a probe never gets less than the floor. A replica that a greater layout does not name is released only
//! after asking its new holders; an announced greater version replaces an older copy at once, because a version is
//! announced only once it is durable.

pub(in crate::driver) mod admission;
pub(in crate::driver) mod preparations;
mod serve;
