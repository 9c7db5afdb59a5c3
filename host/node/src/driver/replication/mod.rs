//! Replication: keeps every file at its factor, with good copies, on the nodes its layout names. Background work;
//! no client waits for it.
//!
//! What is done about one file is decided by the protocols of `dataverse_replication`, what is done next by its queue of
//! upkeep, and what follows from a comparison with another member by its `anti_entropy`. Here:
//!
//! - `upkeep`: the loop that works through the queue. `perform`: performs the actions of a protocol.
//! - `commit`: commits a record on one node, and gives a record its next layout.
//! - `rereplication`: scans for files that need a relayout, and does it; `drain` decides whether the node may be drained.
//!   `relayout`: who takes the copies, and how they are made. `relief`: asks another holder for a relayout, when this
//!   node can't hold its replica.
//! - `release`: gives up what a greater record replaces. `hints`: tells a node of a layout that it missed. `copies`:
//!   copies a replica to a node that lacks it.
//! - `reconcile`: compares holdings with the other members. `differences`: acts on what differs. `answer`: answers the
//!   comparisons of others.
//! - `scrub`: reads all content and compares it with its digests. `heal`: copies replicas again that are bad or gone.
//! - `verification`: searches for each copy of a node that was away for long before the copy counts again.
//!   `tombstones`: forgets deletions older than `tombstone.keep`.
//! - `downtime`: since when each member has been down, and who is alive, away or gone at one moment. `pace`: a rate
//!   limit in bytes per second.
//!
//! `Backlog` is part of `State`, because the store's changes settle some of its tasks. No policy can cause a replica to
//! be dropped.

mod answer;
pub(in crate::driver) mod commit;
mod copies;
mod differences;
pub(in crate::driver) mod downtime;
mod drain;
mod heal;
mod hints;
mod pace;
pub(in crate::driver) mod perform;
pub(in crate::driver) mod reconcile;
pub(in crate::driver) mod relayout;
pub(in crate::driver) mod release;
pub(in crate::driver) mod relief;
pub(in crate::driver) mod rereplication;
pub(in crate::driver) mod scrub;
mod tombstones;
pub(in crate::driver) mod upkeep;
pub(in crate::driver) mod verification;
