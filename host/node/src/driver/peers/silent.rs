//! Silent nodes: neighbours and members that don't answer, since when, and the error of the last attempt. Only for
//! people; nothing is decided here.

use std::time::Duration;

use dataverse_core::id::NodeId;
use dataverse_core::members::Liveness;
use dataverse_core::search::Peer;
use tokio::time::Instant;

use crate::driver::Driver;
use crate::driver::client::api::{LinkState, SilentNode};

impl Driver {
    /// Every node that should answer and doesn't: links that are down or not made yet, and members that are gone.
    /// Nodes that left on purpose are not among them.
    #[must_use]
    pub fn silent(&self) -> Vec<SilentNode> {
        let links = self.links.views();
        let mut silent: Vec<SilentNode> = links
            .into_iter()
            .filter(|link| matches!(link.state, LinkState::Down | LinkState::Connecting))
            .map(|link| SilentNode {
                name: link.name,
                id: (link.state == LinkState::Down).then_some(link.id),
                address: link.address,
                state: link.state.as_str(),
                silent_for: link.silent_for,
                last_error: link.last_error,
            })
            .collect();
        for member in self.seen_table().iter() {
            let id = member.peer.id;
            let is_listed = silent.iter().any(|listed| listed.id == Some(id));
            if member.state == Liveness::Gone && !is_listed && !self.has_left(id) {
                silent.push(SilentNode {
                    name: member.peer.name.to_string(),
                    id: Some(id),
                    address: member.peer.address.to_string(),
                    state: member.state.as_str(),
                    silent_for: self.silent_for(id),
                    last_error: None,
                });
            }
        }
        silent
    }

    /// How long a node has been silent, where known: its link has been down, or gossip has not seen it alive.
    pub(in crate::driver) fn silent_for(&self, id: NodeId) -> Option<Duration> {
        let link = self.links.silent_since(id);
        let member = self.down_since(id);
        let since = match (link, member) {
            (Some(link), Some(member)) => Some(link.min(member)),
            (one, other) => one.or(other),
        };
        since.map(|since| Instant::now().saturating_duration_since(since))
    }

    /// These nodes, which did not answer, for people.
    pub(in crate::driver) fn unanswered(&self, peers: &[Peer]) -> Vec<SilentNode> {
        let silent = peers.iter().map(|peer| SilentNode {
            name: peer.name.to_string(),
            id: Some(peer.id),
            address: peer.address.to_string(),
            state: "silent",
            silent_for: self.silent_for(peer.id),
            last_error: None,
        });
        silent.collect()
    }
}
