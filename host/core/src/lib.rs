//! What a Dataverse node decides.
//!
//! No I/O, no clock, no randomness of its own, no async: time, seeds and facts are arguments, and what is
//! to be done is a return value. The same calls with the same arguments give the same decisions on every
//! machine, so the live driver and the lab drive the very same code.

pub mod address;
pub mod announcements;
pub mod cache;
pub mod content;
pub mod filter;
pub mod floors;
pub mod holdings;
pub mod id;
pub mod key;
pub mod limits;
pub mod members;
pub mod node;
pub mod pattern;
pub mod placement;
pub mod plural;
pub mod policy;
pub mod reconcile;
pub mod record;
pub mod recording;
pub mod relayout;
pub mod relocation;
pub mod scrub;
pub mod search;
pub mod secret;
pub mod verification;
pub mod version;
