//! What must be done so that replicas are right: protocols as state machines.
//!
//! Nothing here does I/O, is async, reads a clock or draws random numbers. Answers and versions go in, what to do
//! comes out, and a driver does it. Equal inputs give equal outputs on every machine.
//!
//! So far the crate decides conditional writes and deletions, and has the [`Queue`] in which upkeep waits: missing
//! replicas and releases. The protocols of upkeep are still in the driver (`host/node/src/driver/replication`).
//!
//! # A conditional write
//!
//! Unconditional writes go where placement sends them, without a search. So a node that must know the present
//! version has to ask every node that it can reach, and a conditional write does that once its content is prepared
//! everywhere and before anything is committed:
//!
//! 1. The entry node takes a [`Ticket`] for the file and stamps the version that the write will have.
//! 2. A [`Round`] asks every node of the graph, all at once, what it holds and has heard of the file, and whether a
//!    write through it with a lower version is still pending.
//! 3. [`ConditionalWrite`] decides: write, wait for a pending write and ask again, or refuse.
//!
//! | situation | what happens | bounded by |
//! |---|---|---|
//! | another conditional write is pending with a lower version | this one waits and asks again | `write.deadline` |
//! | … with a higher version | this one goes on; the other one waits | |
//! | an unconditional write is pending with a lower version | this one waits and asks again | `write.deadline` |
//! | an unconditional write is stamped after its entry node was asked | it is ordered after this one | |
//! | a version is found that is not below this write's | this one takes a higher version and asks again | `write.deadline` |
//! | a node does not answer | nothing is written (503) | |
//! | the entry node dies | the others can't reach it, so they write nothing until it is back or unlinked | |
//!
//! Two conditional writes never both go on: each takes its ticket before it asks, and asks the entry node of the
//! other. Whichever was asked before it took its ticket has merged the asker's clock by then, so it has the higher
//! version, and is the one that waits (Lamport's bakery, with the hybrid logical clock for numbers).
//! `docs/decisions/0019-a-conditional-write-asks-everyone.md` says what this gives up.

mod condition;
mod pending;
mod queue;
mod round;
#[cfg(test)]
mod tests;

pub use condition::{Condition, ConditionalWrite, Next, Unmet};
pub use pending::{PendingWrites, Ticket};
pub use queue::Queue;
pub use round::{Round, Surveyed, Undecided};
