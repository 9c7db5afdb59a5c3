//! `Origin`: where the content of a file that was located comes from.

use dataverse_core::holdings::Holding;
use dataverse_core::search::{FoundHit, Peer};
use dataverse_core::version::Millis;

/// Where the content of a [`Located`](super::api::Located) file comes from.
pub(crate) enum Origin {
    /// This node's own store.
    Here(Holding),
    /// Other nodes.
    Elsewhere(Elsewhere),
    /// Overtaken replicas on other nodes, best first. Their holders know of a greater version and don't serve them
    /// as current, but no node that is up has that version.
    Overtaken(Vec<Peer>),
}

/// The copies that a search found, nearest and best first, and the path to the first.
#[derive(Clone)]
pub(crate) struct Elsewhere {
    pub(in crate::driver) hits: Vec<FoundHit>,
    pub(in crate::driver) path: Vec<Peer>,
    /// When the first was last known to be the newest version; 0 if unknown.
    pub(in crate::driver) validated: Millis,
}
