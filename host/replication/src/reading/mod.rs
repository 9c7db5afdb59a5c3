//! Reads: which copy a reader gets, and whether it is known to be the newest.
//!
//! [`Read`] says what to look for next, [`Confirmation`] judges what the replicas of a version say about it, and
//! [`Missed`] what it means that a search found nothing.

mod confirmation;
mod missed;
mod read;
#[cfg(test)]
mod tests;

pub use self::confirmation::{Confirmation, Word};
pub use self::missed::{Missed, Unavailable};
pub use self::read::{Action, Event, Local, Read, Reading, Step};

/// How fresh a read must be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Consistency {
    /// As fresh as the node knows.
    #[default]
    Usual,
    /// Confirmed by a replica (`consistency=newest`).
    Newest,
}
