//! The table of members: which nodes are in the network, what each has published about itself, and how far away it
//! is.
//!
//! The driver fills it from gossip. It is used to place copies and to resolve a node's name. A search never relies
//! on it: a search walks the links themselves.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::id::NodeId;
use crate::limits;
use crate::placement::Candidate;
use crate::policy::NodeView;
use crate::search::Peer;
use crate::version::Millis;

/// What a node publishes about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// Increases with every publication: the newest wins.
    pub edition: Edition,
    /// Its failure domain; may be empty.
    pub zone: Arc<str>,
    /// The address of its HTTP server.
    pub http: Arc<str>,
    /// Bytes that it may use.
    pub capacity: u64,
    /// Bytes that are free.
    pub free: u64,
    /// Requests answered per second, recently.
    pub load: u32,
    /// The nodes that it is linked to.
    pub links: Vec<NodeId>,
    /// It is being drained: nothing is placed on it.
    pub draining: bool,
}

/// Orders what one node publishes, across its restarts too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Edition {
    /// When the node started.
    pub started: Millis,
    /// The number of publications since then.
    pub count: u64,
}

impl MemberStatus {
    fn is_within_bounds(&self) -> bool {
        self.zone.len() <= limits::NAME_BYTES_MAX
            && self.http.len() <= limits::ADDRESS_BYTES_MAX
            && self.links.len() <= limits::LINKS_MAX
    }
}

/// Whether a member is alive, as far as gossip knows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Liveness {
    /// It answers.
    Alive,
    /// It has not answered recently.
    Suspect,
    /// It left, or has been silent for too long.
    Gone,
}

impl Liveness {
    /// The state's name, as users see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Suspect => "suspect",
            Self::Gone => "gone",
        }
    }
}

/// A member of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id, name and address.
    pub peer: Peer,
    /// Whether it is alive.
    pub state: Liveness,
    /// What it last published, if anything has arrived yet.
    pub status: Option<MemberStatus>,
}

/// Why a text does not identify a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// No known node has this name or id.
    #[error("no known node has the name or id `{0}`")]
    Unknown(String),
    /// Several nodes have this name.
    #[error("`{name}` is the name of several nodes: use an id, {first} or {second}")]
    Ambiguous {
        /// The name.
        name: String,
        /// One that has it.
        first: NodeId,
        /// Another.
        second: NodeId,
    },
}

/// Members that may take copies, by distance, then id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nearby(Vec<(u32, NodeId)>);

/// All members except the node itself, by id.
#[derive(Debug, Default)]
pub struct Members {
    by_id: BTreeMap<NodeId, Member>,
    /// Statuses that arrived before gossip reported their nodes.
    early: BTreeMap<NodeId, MemberStatus>,
}

impl Members {
    /// Every member, ordered by id.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.by_id.values()
    }

    /// The member with this id.
    #[must_use]
    pub fn find(&self, id: NodeId) -> Option<&Member> {
        self.by_id.get(&id)
    }

    /// Records what gossip says about a member. Returns false, and changes nothing, when the table is full; a
    /// member that is gone is dropped for one that is not.
    pub fn see(&mut self, peer: Peer, state: Liveness) -> bool {
        if let Some(member) = self.by_id.get_mut(&peer.id) {
            member.peer = peer;
            member.state = state;
            return true;
        }
        if self.by_id.len() >= limits::MEMBERS_MAX && !(state != Liveness::Gone && self.drop_gone())
        {
            return false;
        }
        let status = self.early.remove(&peer.id);
        let member = Member {
            peer,
            state,
            status,
        };
        self.by_id.insert(member.peer.id, member);
        true
    }

    /// Records what a node published. True when it is newer than what was known, and within bounds.
    pub fn publish(&mut self, id: NodeId, status: MemberStatus) -> bool {
        if !status.is_within_bounds() {
            return false;
        }
        let known = match self.by_id.get(&id) {
            Some(member) => member.status.as_ref(),
            None => self.early.get(&id),
        };
        if known.is_some_and(|known| known.edition >= status.edition) {
            return false;
        }
        if let Some(member) = self.by_id.get_mut(&id) {
            member.status = Some(status);
            return true;
        }
        if self.early.len() >= limits::EARLY_STATUSES_MAX && !self.early.contains_key(&id) {
            return false;
        }
        self.early.insert(id, status);
        true
    }

    /// Forgets a member permanently.
    pub fn forget(&mut self, id: NodeId) -> Option<Member> {
        self.by_id.remove(&id)
    }

    /// The number of links between `me` and every node reachable over links between live nodes, `me` included.
    ///
    /// Breadth-first. A link counts when either end publishes it, because the other end's status may still be on
    /// its way. `my_links` are this node's own links.
    #[must_use]
    pub fn hops_from(&self, me: NodeId, my_links: &[NodeId]) -> BTreeMap<NodeId, u32> {
        let links = self.live_links(me, my_links);
        let mut hops = BTreeMap::from([(me, 0)]);
        let mut frontier = VecDeque::from([(me, 0)]);
        while let Some((node, away)) = frontier.pop_front() {
            for &next in links.get(&node).into_iter().flatten() {
                if let Entry::Vacant(unseen) = hops.entry(next) {
                    unseen.insert(away + 1);
                    frontier.push_back((next, away + 1));
                }
            }
        }
        hops
    }

    /// The members that may take copies: alive, not draining, within `radius` links of `me`. `my_links` are this
    /// node's own links.
    #[must_use]
    pub fn nearby(&self, me: NodeId, my_links: &[NodeId], radius: u32) -> Nearby {
        let hops = self.hops_from(me, my_links).into_iter();
        let within = hops.filter(|&(id, hops)| id != me && hops <= radius && !self.is_draining(id));
        let mut members: Vec<(u32, NodeId)> = within.map(|(id, hops)| (hops, id)).collect();
        members.sort_unstable();
        Nearby(members)
    }

    /// Those of these nodes, and `me`, that have space for a copy of `size` bytes. Nearest first, at most
    /// [`limits::CANDIDATES_MAX`].
    #[must_use]
    pub fn candidates(&self, me: &Candidate, nearby: &Nearby, size: u64) -> Vec<Candidate> {
        let itself = Candidate {
            id: me.id,
            view: NodeView {
                hops: 0,
                ..me.view.clone()
            },
        };
        let others = nearby.0.iter();
        let others = others.filter_map(|&(hops, id)| self.seen_from_afar(id, hops));
        std::iter::once(itself)
            .chain(others)
            .filter(|candidate| candidate.view.free >= size)
            .take(limits::CANDIDATES_MAX)
            .collect()
    }

    /// The member that this text identifies, by id or else by name. When several share the name, one that is not
    /// gone takes precedence.
    ///
    /// # Errors
    /// [`ResolveError`].
    pub fn resolve(&self, name_or_id: &str) -> Result<Peer, ResolveError> {
        let by_id = name_or_id.parse().ok().and_then(|id| self.find(id));
        if let Some(member) = by_id {
            return Ok(member.peer.clone());
        }
        let named = || {
            self.iter()
                .filter(|member| &*member.peer.name == name_or_id)
        };
        let mut here = named().filter(|member| member.state != Liveness::Gone);
        let mut gone = named().filter(|member| member.state == Liveness::Gone);
        let (first, second) = match here.next() {
            Some(first) => (Some(first), here.next()),
            None => (gone.next(), gone.next()),
        };
        match (first, second) {
            (None, _) => Err(ResolveError::Unknown(name_or_id.to_owned())),
            (Some(only), None) => Ok(only.peer.clone()),
            (Some(first), Some(second)) => Err(ResolveError::Ambiguous {
                name: name_or_id.to_owned(),
                first: first.peer.id,
                second: second.peer.id,
            }),
        }
    }

    fn is_alive(&self, id: NodeId) -> bool {
        self.find(id)
            .is_some_and(|member| member.state == Liveness::Alive)
    }

    fn is_draining(&self, id: NodeId) -> bool {
        let status = self.find(id).and_then(|member| member.status.as_ref());
        status.is_some_and(|status| status.draining)
    }

    /// The links between live nodes, from both ends.
    fn live_links(&self, me: NodeId, my_links: &[NodeId]) -> BTreeMap<NodeId, BTreeSet<NodeId>> {
        let published = self
            .iter()
            .filter_map(|member| Some((member.peer.id, member.status.as_ref()?.links.as_slice())))
            .filter(|&(id, _)| id != me);
        let mut links: BTreeMap<NodeId, BTreeSet<NodeId>> = BTreeMap::new();
        let is_live = |id: NodeId| id == me || self.is_alive(id);
        for (from, to) in published.chain(std::iter::once((me, my_links))) {
            if !is_live(from) {
                continue;
            }
            for &to in to.iter().filter(|&&to| is_live(to)) {
                links.entry(from).or_default().insert(to);
                links.entry(to).or_default().insert(from);
            }
        }
        links
    }

    fn seen_from_afar(&self, id: NodeId, hops: u32) -> Option<Candidate> {
        let status = self.find(id)?.status.as_ref()?;
        Some(Candidate {
            id,
            view: NodeView {
                id: id.short(),
                zone: status.zone.to_string(),
                hops,
                capacity: status.capacity,
                free: status.free,
                load: status.load,
            },
        })
    }

    fn drop_gone(&mut self) -> bool {
        let gone = self.iter().find(|member| member.state == Liveness::Gone);
        let gone = gone.map(|member| member.peer.id);
        gone.is_some_and(|id| self.by_id.remove(&id).is_some())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(number: u32) -> NodeId {
        NodeId::from(u128::from(number) << 96)
    }

    fn peer(number: u32, name: &str) -> Peer {
        Peer {
            id: id(number),
            name: name.into(),
            address: "127.0.0.1:7400".into(),
        }
    }

    fn status(count: u64, free: u64, links: &[u32]) -> MemberStatus {
        MemberStatus {
            edition: Edition { started: 1, count },
            zone: "z".into(),
            http: "127.0.0.1:8080".into(),
            capacity: 100,
            free,
            load: 0,
            links: links.iter().copied().map(id).collect(),
            draining: false,
        }
    }

    fn me() -> Candidate {
        Candidate {
            id: id(0),
            view: NodeView {
                id: id(0).short(),
                zone: String::new(),
                hops: 7,
                capacity: 100,
                free: 10,
                load: 0,
            },
        }
    }

    /// Node 0 is linked to 1, 1 to 2, 2 to 3; only the nearer end of each link publishes it.
    fn line() -> Members {
        let mut members = Members::default();
        for number in 1..4 {
            assert!(members.see(peer(number, "n"), Liveness::Alive));
            assert!(members.publish(id(number), status(0, 50, &[number + 1])));
        }
        members
    }

    fn check_hops(members: &Members, expected: &[(u32, u32)]) {
        let expected: BTreeMap<_, _> = expected
            .iter()
            .map(|&(node, away)| (id(node), away))
            .collect();
        assert_eq!(members.hops_from(id(0), &[id(1)]), expected);
    }

    fn check_candidates(members: &Members, radius: u32, size: u64, expected: &[u32]) {
        let nearby = members.nearby(me().id, &[id(1)], radius);
        let candidates = members.candidates(&me(), &nearby, size);
        let ids: Vec<_> = candidates.iter().map(|candidate| candidate.id).collect();
        assert_eq!(ids, expected.iter().copied().map(id).collect::<Vec<_>>());
    }

    #[test]
    fn hops_follow_links_that_either_end_publishes() {
        check_hops(&line(), &[(0, 0), (1, 1), (2, 2), (3, 3)]);
        let mut members = line();
        assert!(members.publish(id(3), status(1, 50, &[0])));
        check_hops(&members, &[(0, 0), (1, 1), (3, 1), (2, 2)]);
    }

    #[test]
    fn no_way_leads_over_a_node_that_is_not_alive() {
        for state in [Liveness::Suspect, Liveness::Gone] {
            let mut members = line();
            members.see(peer(2, "n"), state);
            check_hops(&members, &[(0, 0), (1, 1)]);
        }
    }

    #[test]
    fn links_to_oneself_and_to_strangers_lead_nowhere() {
        let mut members = line();
        assert!(members.publish(id(1), status(1, 50, &[1, 9, 0])));
        check_hops(&members, &[(0, 0), (1, 1)]);
    }

    #[test]
    fn candidates_are_near_and_have_room_the_node_itself_included() {
        let members = line();
        check_candidates(&members, 8, 10, &[0, 1, 2, 3]);
        check_candidates(&members, 2, 10, &[0, 1, 2]);
        check_candidates(&members, 8, 11, &[1, 2, 3]);
        check_candidates(&members, 8, 51, &[]);
        assert_eq!(
            members.candidates(&me(), &Nearby::default(), 0)[0]
                .view
                .hops,
            0
        );
    }

    #[test]
    fn a_member_that_published_nothing_is_no_candidate() {
        let mut members = line();
        members.see(peer(4, "n"), Liveness::Alive);
        check_hops(&members, &[(0, 0), (1, 1), (2, 2), (3, 3), (4, 4)]);
        check_candidates(&members, 8, 0, &[0, 1, 2, 3]);
    }

    #[test]
    fn the_newest_status_wins() {
        let mut members = line();
        assert!(members.publish(id(1), status(5, 9, &[])));
        assert!(!members.publish(id(1), status(5, 8, &[])));
        assert!(!members.publish(id(1), status(4, 7, &[])));
        let restarted = MemberStatus {
            edition: Edition {
                started: 2,
                count: 0,
            },
            ..status(0, 6, &[])
        };
        assert!(members.publish(id(1), restarted.clone()));
        assert_eq!(
            members.find(id(1)).and_then(|member| member.status.clone()),
            Some(restarted)
        );
    }

    #[test]
    fn a_status_that_comes_before_its_member_is_kept_for_it() {
        let mut members = Members::default();
        assert!(members.publish(id(5), status(1, 1, &[])));
        assert!(!members.publish(id(5), status(0, 2, &[])));
        assert_eq!(members.iter().count(), 0);
        members.see(peer(5, "n"), Liveness::Alive);
        assert_eq!(
            members.find(id(5)).and_then(|member| member.status.clone()),
            Some(status(1, 1, &[]))
        );
    }

    #[test]
    fn a_status_beyond_its_bounds_is_no_news() {
        let mut members = line();
        let many: Vec<u32> = (0..=limits::LINKS_MAX as u32).collect();
        assert!(!members.publish(id(1), status(9, 1, &many)));
        for number in 0..2 * limits::EARLY_STATUSES_MAX as u32 {
            members.publish(id(100 + number), status(0, 1, &[]));
        }
        assert_eq!(members.early.len(), limits::EARLY_STATUSES_MAX);
    }

    #[test]
    fn one_that_is_gone_makes_room_when_there_are_too_many() {
        let mut members = Members::default();
        let max = limits::MEMBERS_MAX as u32;
        for number in 0..max {
            assert!(members.see(peer(number, "n"), Liveness::Alive));
        }
        assert!(!members.see(peer(max, "n"), Liveness::Alive));
        assert!(members.see(peer(7, "n"), Liveness::Gone));
        assert!(!members.see(peer(max, "n"), Liveness::Gone));
        assert!(members.see(peer(max, "n"), Liveness::Alive));
        assert_eq!(
            (members.iter().count(), members.find(id(7))),
            (limits::MEMBERS_MAX, None)
        );
    }

    #[test]
    fn a_node_is_named_by_id_or_by_a_name_that_only_it_has() {
        let mut members = Members::default();
        for (number, name) in [(1, "A"), (2, "B"), (3, "B")] {
            members.see(peer(number, name), Liveness::Alive);
        }
        let resolved = |members: &Members, text: &str| members.resolve(text).map(|peer| peer.id);
        assert_eq!(resolved(&members, "A"), Ok(id(1)));
        assert_eq!(resolved(&members, &id(3).to_string()), Ok(id(3)));
        let ambiguous = ResolveError::Ambiguous {
            name: "B".to_owned(),
            first: id(2),
            second: id(3),
        };
        assert_eq!(resolved(&members, "B"), Err(ambiguous));
        assert_eq!(
            resolved(&members, "C"),
            Err(ResolveError::Unknown("C".to_owned()))
        );
        members.see(peer(2, "B"), Liveness::Gone);
        assert_eq!(resolved(&members, "B"), Ok(id(3)));
        members.forget(id(3));
        assert_eq!(resolved(&members, "B"), Ok(id(2)));
    }

    proptest! {
        /// Compared with Bellman and Ford's relaxation, which has no frontier.
        #[test]
        fn hops_are_the_shortest_ways_over_live_nodes(
            edges in prop::collection::vec((0u32..10, 0u32..10), 0..25),
            alive in prop::collection::vec(any::<bool>(), 10)
        ) {
            let mut members = Members::default();
            let links_of = |node: u32| -> Vec<u32> {
                edges.iter().filter(|edge| edge.0 == node).map(|edge| edge.1).collect()
            };
            for node in 1..10 {
                let state = if alive[node as usize] { Liveness::Alive } else { Liveness::Gone };
                members.see(peer(node, "n"), state);
                members.publish(id(node), status(0, 1, &links_of(node)));
            }
            let live = |node: u32| node == 0 || alive[node as usize];
            let mut expected = BTreeMap::from([(0, 0)]);
            for _ in 0..10 {
                for (a, b) in edges.iter().flat_map(|&(a, b)| [(a, b), (b, a)]) {
                    if let (true, true, Some(&away)) = (live(a), live(b), expected.get(&a)) {
                        let known = expected.entry(b).or_insert(away + 1);
                        *known = (*known).min(away + 1);
                    }
                }
            }
            let mine: Vec<_> = links_of(0).into_iter().map(id).collect();
            let expected: BTreeMap<_, _> = expected.into_iter().map(|(node, away)| (id(node), away)).collect();
            prop_assert_eq!(members.hops_from(id(0), &mine), expected);
        }
    }
}
