//! The other nodes as policies see them: candidates for a replica, and the nodes on the path of a read.

use dataverse_core::id::NodeId;
use dataverse_core::members::{Liveness, MemberStatus};
use dataverse_core::placement::Candidate;
use dataverse_core::policy::{NodeView, PlacementRequest};
use dataverse_core::relocation::PathNode;
use dataverse_core::search::Peer;

use crate::driver::Driver;

impl Driver {
    /// Nodes that could take a replica of this size, possibly including this one.
    pub(in crate::driver) fn candidates(&self, size: u64) -> Vec<Candidate> {
        let me = Candidate {
            id: self.me.id,
            view: self.own_view(),
        };
        let radius = self.settings.placement_radius;
        let (table, nearby) = self.seen.nearby(self.me.id, self.neighbours(), radius);
        let mut candidates = table.candidates(&me, &nearby, size);
        if self.lifetime.now().draining {
            candidates.retain(|candidate| candidate.id != self.me.id);
        }
        candidates
    }

    /// The candidates that could take this file, best first: `first`, then placement's order.
    pub(in crate::driver) async fn ranked_peers(
        &self,
        request: PlacementRequest,
        size: u64,
        first: Vec<NodeId>,
    ) -> Vec<Peer> {
        let candidates = self.candidates(size);
        let ranked = self.policy_slots.rank(request, candidates, first).await;
        ranked
            .into_iter()
            .filter_map(|id| self.peer_of(id))
            .collect()
    }

    /// Whether a replica may be placed on this node: it is alive and not being drained.
    pub(in crate::driver) fn may_hold(&self, id: NodeId) -> bool {
        if id == self.me.id {
            return !self.lifetime.now().draining;
        }
        let table = self.seen_table();
        let draining = |status: &MemberStatus| status.draining;
        table.find(id).is_some_and(|member| {
            member.state == Liveness::Alive && !member.status.as_ref().is_some_and(draining)
        })
    }

    /// What a relocation policy sees of the nodes on the path to a holder.
    pub(in crate::driver) fn views_of(&self, path: &[Peer]) -> Vec<PathNode> {
        let table = self.seen_table();
        let last = path.len().saturating_sub(1);
        let node = |(at, peer): (usize, &Peer)| {
            let status = table
                .find(peer.id)
                .and_then(|member| member.status.as_ref());
            let view = match status {
                _ if peer.id == self.me.id => self.own_view(),
                Some(status) => view_of(peer.id, status),
                None => NodeView {
                    id: peer.id.short(),
                    zone: String::new(),
                    hops: 0,
                    capacity: 0,
                    free: 0,
                    load: 0,
                },
            };
            PathNode {
                id: peer.id,
                view: NodeView {
                    hops: at as u32,
                    ..view
                },
                has_copy: at == last,
            }
        };
        path.iter().enumerate().map(node).collect()
    }
}

fn view_of(id: NodeId, status: &MemberStatus) -> NodeView {
    NodeView {
        id: id.short(),
        zone: status.zone.to_string(),
        hops: 0,
        capacity: status.capacity,
        free: status.free,
        load: status.load,
    }
}
