//! What must be done so that replicas are right: protocols as state machines.
//!
//! Nothing here does I/O, is async, reads a clock or draws random numbers. Answers and times go in, what to do comes out,
//! and a driver does it. Equal inputs give equal outputs on every machine.
//!
//! Two drivers perform what comes out: the node (`host/node/src/driver/replication`), over its transport and its store,
//! and the lab (`host/lab/src/world`), in simulated time.
//!
//! # What keeps replicas right
//!
//! [`upkeep`] is the queue of what a node has still to do, [`protocol`] what it does about one file, [`anti_entropy`] how it
//! finds out what another node has that it lacks, or lacks that it has, and [`reading`] what a reader gets meanwhile.
//!
//! | situation | who notices | who acts | after how long | bounded by |
//! |---|---|---|---|---|
//! | too few copies: a holder is gone, or a write was degraded | every holder, from the members that it sees | the first living holder: [`Kind::ReReplicate`](upkeep::Kind::ReReplicate), [`Relayout`](protocol::Relayout) | `repair.after`, then the next scan | `repair.concurrent`, `repair.bytes_per_second` |
//! | the node is drained | the node itself, told by an operator | the node: the same | at once | the same |
//! | a replica here is bad or gone | whoever reads it: a scrub, a reader, another node | this node: [`Kind::Heal`](upkeep::Kind::Heal), [`Heal`](protocol::Heal) | at once | the same |
//! | another node lacks a replica, or this one does | two holders that compare what they hold: [`Turns`](anti_entropy::Turns), [`Reconciliation`](anti_entropy::Reconciliation) | the one that lacks it fetches it: [`Act::Copy`](anti_entropy::Act::Copy), [`Kind::Copy`](upkeep::Kind::Copy) | the next round, `reconcile.every` | the same |
//! | two nodes hold different records of a file: one missed an overwrite, a deletion or a layout | the same; where no layout names both, a survey | who finds it: takes in the greater record, or tells the other: [`Act`](anti_entropy::Act) | the next round; `reconcile.survey` | [`MESSAGES_MAX`](anti_entropy::MESSAGES_MAX), [`ENTRIES_MAX`](anti_entropy::ENTRIES_MAX) |
//! | a replica is asked for elsewhere: a reader is far away, or a holder can't hold it | the relocation policy of the reader's node; that holder | a holder: [`Kind::Move`](upkeep::Kind::Move), [`Relayout`](protocol::Relayout) | at once | the same; [`MOVES_MAX`](upkeep::MOVES_MAX) |
//! | a copy here is old, or its layout is: something greater is said to exist | whoever hears of it | whoever holds the copy: [`Kind::Release`](upkeep::Kind::Release), [`Release`](protocol::Release) | at once | [`QUESTIONS_AT_ONCE_MAX`](upkeep::QUESTIONS_AT_ONCE_MAX) |
//! | a node was away for long and files may have been deleted | the node itself | the node: [`Kind::Verify`](upkeep::Kind::Verify), [`CopyCheck`](verification::CopyCheck) | 10 s after it meets others | the same |
//! | a node was away when a replica moved | the node that moved it | that node: [`Kind::Hint`](upkeep::Kind::Hint) | when the other is back | the same; the hints of the node gone longest go when there are too many |
//!
//! What fails is tried again after a pause that doubles, each task on its own. All is in memory: what is lost with it,
//! or does not fit, is found again by the next scan, the next comparison or the next start.
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

pub mod anti_entropy;
mod condition;
#[cfg(test)]
mod fixtures;
mod pending;
pub mod protocol;
mod queue;
pub mod reading;
mod round;
#[cfg(test)]
mod tests;
pub mod upkeep;
pub mod verification;

pub use condition::{Condition, ConditionalWrite, Next, Unmet};
pub use pending::{PendingWrites, Ticket};
pub use queue::Queue;
pub use round::{Round, Surveyed, Undecided};
