//! What a Dataverse node decides.
//!
//! No I/O, no clock, no randomness of its own, no async. Time, seeds and facts are arguments; what to do is the
//! return value. The same calls with the same arguments give the same decisions on every machine, so the live
//! driver and the lab run the same code.
//!
//! - **Data**: `key`, `id`, `version`, `record`, `content` (digests and group trees), `address`, `pattern`,
//!   `secret`.
//! - **One node**: `node` ties together `holdings`, `floors` and `announcements`; `scrub` says which copies
//!   to check next; `members` is the table of other nodes.
//! - **Decisions**: `search`; `cache`, `placement` and `relocation`, which ask a `policy` and check its verdict;
//!   `relayout` says what a file needs; `reconcile` and `filter` find differences between two nodes.
//! - **Shared**: `limits` (every bound and default), `backoff` (pauses between attempts), `recording` (the format of
//!   recorded requests), `plural`.

pub mod address;
pub mod announcements;
pub mod backoff;
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
pub mod recent;
pub mod reconcile;
pub mod record;
pub mod recording;
pub mod relayout;
pub mod relocation;
pub mod scrub;
pub mod search;
pub mod secret;
pub mod version;
