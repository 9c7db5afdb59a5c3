//! The overlay: how nodes call each other and know which members are alive.
//!
//! [`transport`] is the port, in core types: [`transport::Transport`] makes calls (link, probe, fetch, prepare,
//! commit, gossip, …), [`transport::Serve`] answers them. [`grpc`] implements it between machines; `memory` (feature
//! `testing`) implements it within one process, with faults, for tests and simulations. One conformance suite runs on
//! both. The overlay carries calls and content and decides nothing about files. It stores nothing on the disk.
//!
//! **A call.** The driver calls a `Transport`. That is a [`breaker::Breaker`], which fails calls to peers that keep
//! failing, around a `GrpcTransport`. The client takes a connection from its pool, converts core types to protobuf
//! (`grpc::convert`), sends the message and ends by its deadline. At the other node the listener admits the connection
//! ([`connection_slots`]), the `OverlayService` converts the message back and checks every field, and the driver's
//! `Serve` answers. Refusals travel as gRPC statuses. Content is streamed in chunks, never buffered whole; a stream
//! ends with an error when it stalls or breaks.
//!
//! **Membership.** [`membership::Membership`] runs SWIM (foca) in one task, over the same transport: its packets are
//! the `gossip` call. It yields the members, whether each is alive, and the status that each publishes. Gossip serves
//! liveness and placement only; searches walk the links.
//!
//! **Enrolment.** [`enrolment`] issues certificates to machines with a ticket and renews those of nodes, if this node has
//! the key of the network's authority.
//!
//! Who owns what: `grpc::pool` outgoing connections; `grpc::connections` and [`connection_slots`] incoming ones;
//! [`descriptors`] how many files a process may open, which bounds connections; [`timings`] and [`deadlines`] how long
//! calls may take; [`counters`] what is counted; [`limits`] all bounds.

pub mod breaker;
pub mod clock;
pub mod connection_slots;
pub mod counters;
pub mod deadlines;
pub mod descriptors;
pub mod enrolment;
pub mod grpc;
pub mod held;
pub mod limits;
pub mod membership;
#[cfg(feature = "testing")]
pub mod memory;
#[cfg(test)]
mod tests;
pub mod timings;
pub mod transport;
