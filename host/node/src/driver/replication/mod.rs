//! Replication: keeps every file at its factor, with good copies, on the nodes its layout names. Background work;
//! no client waits for it.
//!
//! - `commit`: commits a record on a node, and gives it the next layout. Writes and deletions use it, too.
//! - `relayout`: the one way in which replicas change nodes. Copies to new holders, commits a greater layout on
//!   them, tells the others. `relief`: asks another holder for one, when this node can't hold its replica.
//! - `rereplication`: when a relayout is due. Re-replicates files whose holder is gone, completes degraded writes
//!   and empties a draining node; `drain` decides whether the node may be drained.
//! - `release`: gives up what a greater record replaces, once the holders of that record confirm their copies.
//!   `pending`: the greater records that are still to be verified.
//! - `hints`: hinted handoff. Remembers layouts that a node could not be told, and tells it when it is back.
//! - `scrub`: reads all content and compares it with its digests. `missing`: the replicas that are bad or gone on
//!   this node; `heal`: copies them again.
//! - `verification`: searches for each copy of a node that was away for long before the copy counts again.
//!   `tombstones`: forgets deletions older than `tombstone.keep`.
//! - `downtime`: since when each member has been down, which tells a short outage from a node that is gone.
//!   `pace`: a rate limit in bytes per second.
//!
//! A replica moves in this order. `rereplication` asks the core what a file needs of this node (`Need`) and
//! placement who takes the copies. `relayout` prepares them, commits the greater layout on the new holders, then
//! on those that stay, this node last, and announces it; holders it could not tell go into `Hints`. A holder that
//! the layout no longer names puts it into `PendingReleases`, asks every new holder, and only then drops its copy.
//! The same happens to a copy of which a greater version is announced.
//!
//! `ReReplication`, `Relaying`, `PendingReleases`, `Hints`, `Scrubbing`, `Verification` and `Downtime` each own
//! the state of the module that declares them; `MissingReplicas` is part of `State`, because the store's changes update
//! it. All are in memory and bounded: what they forget is found again by the next scan, by reconciliation or at
//! the next start. No policy can cause a replica to be dropped.

pub(in crate::driver) mod commit;
pub(in crate::driver) mod downtime;
mod drain;
pub(in crate::driver) mod heal;
pub(in crate::driver) mod hints;
pub(in crate::driver) mod missing;
mod pace;
pub(in crate::driver) mod pending;
pub(in crate::driver) mod relayout;
pub(in crate::driver) mod release;
pub(in crate::driver) mod relief;
pub(in crate::driver) mod rereplication;
pub(in crate::driver) mod scrub;
mod tombstones;
pub(in crate::driver) mod verification;
