//! The other nodes, as this node sees them: links, membership, announcements, and nodes under a false or duplicate
//! id.
//!
//! - `call`: what every message carries and is checked for. All calls to other nodes and all their answers pass
//!   through it.
//! - `links`: the links of this node, confirmed and reconnected for as long as it runs; `wanted`: links requested
//!   at start and not made yet; `call_back`: a node that asks for a link must answer at its address.
//! - `status`: what this node publishes about itself through gossip; `members`: the table of members it has
//!   received; `candidates`: what policies see of them, such as the candidates for a replica.
//! - `trust`: what the authorities of the network have stated, passed on to neighbours; revoked nodes are cut off.
//! - `silent`: nodes that should answer and don't, for people.
//! - `announce`: what this node learns of a file and passes on to its neighbours.
//! - `goodbye`: a drained node announces that it leaves, so that nobody waits for it.
//! - `claims`: two nodes seen under one id; `isolation`: whether this node is one of them and must stay off the
//!   network.
//!
//! A message out is built by `Driver::message`. A message in passes `admit_caller` (or `admit_sender`, for a link
//! request), which checks protocol, network, clock and identity before anything else is done with it; an answer
//! passes `answer_of`, which also checks that the node asked is the one that answered.
//!
//! `Links` owns the link table and persists it. `Seen` owns the copy of the member table, which gossip fills and
//! which is late by seconds; searches never rely on it. `Claims` and `Isolation` own what is known about duplicate
//! ids. The queue of announcements is bounded, and what overflows it is dropped: correctness never depends on an
//! announcement.

pub(in crate::driver) mod announce;
pub(in crate::driver) mod call;
pub(in crate::driver) mod call_back;
mod candidates;
pub(in crate::driver) mod claims;
mod goodbye;
pub(in crate::driver) mod isolation;
pub(in crate::driver) mod links;
pub(in crate::driver) mod members;
mod silent;
pub(in crate::driver) mod status;
pub(in crate::driver) mod trust;
pub(in crate::driver) mod wanted;
