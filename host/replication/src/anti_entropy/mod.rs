//! Anti-entropy: two nodes find out where their holdings differ, and each decides what to do about it. It is what finds
//! lost announcements, missed writes and deletions, and replicas that vanished.
//!
//! - A *round* compares the files that both nodes should hold, by sums that are always up to date (see the core's
//!   [`reconcile`](dataverse_core::reconcile)): root of the sums → sums of the buckets → digest entries of the buckets
//!   that differ → records that differ. Two nodes that agree exchange less than 200 bytes.
//! - A *survey* looks for files that both hold although no layout names both: two halves of a partitioned network
//!   wrote the same file on different nodes, or a cached copy missed an overwrite or a deletion. The other node sends
//!   a filter of the files that it holds as replicas or remembers as deleted, and everything held here, replica or
//!   cached copy, that seems to be in it is compared. A filter costs ten bits a file, and nothing if neither side has
//!   changed since the last survey.
//!
//! [`Turns`] says which member is next, and with what. [`Reconciliation`] is one round or survey, step by step. It finds
//! one [`Difference`] after the other, and [`View::decide`] says what to do about it. [`InFlight`] knows of the versions
//! whose write may still be in flight.
//!
//! The greater record wins, as everywhere. But that another node has it is no reason to give anything up: the holders
//! that it names are asked first ([`Release`](crate::protocol::Release)). A missing replica is copied only after a
//! search has found nothing newer: the node that lacks it may have dropped it for that.

mod difference;
mod in_flight;
mod reconciliation;
mod round;
mod survey;
#[cfg(test)]
mod tests;
mod turns;

pub use difference::{Act, Decision, Difference, View, about_greater};
pub use in_flight::{GRACE, IN_FLIGHT_MAX, InFlight};
pub use reconciliation::{Acted, Event, PUSHES_MAX, Reconciliation, Step};
pub use round::{ENTRIES_MAX, MESSAGES_MAX};
pub use turns::{FRUITLESS_FACTOR_MAX, LastSurvey, PEERS_MAX, Turn, TurnOutcome, Turns};

use dataverse_core::id::FileId;

/// The greatest possible file id.
const LAST_FILE: FileId = FileId(u64::MAX);
