//! `Frontier`: every node that a search has discovered, which nodes named it, and which are still to be asked. Each node
//! is asked once; if it does not answer, and another node has named another address for it, also there.
//!
//! A node can name neighbours that do not exist, or wrong addresses. So those are asked first that are named by a node of
//! whose fewest have failed. Of those that one node has named, as many as [`SEARCH_FAILED_NEIGHBOURS_MAX`] beyond those
//! that answer may fail, and [`SEARCH_PROBES_PER_ADDRESS_MAX`] at one address. The rest is given up without a probe and
//! counts as unanswered, except for nodes that another node has named as well.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::id::NodeId;
use crate::limits::{
    SEARCH_FAILED_NEIGHBOURS_MAX, SEARCH_PROBES_PER_ADDRESS_MAX, SEARCH_WAYS_PER_NODE_MAX,
};
use crate::search::Peer;

/// A node that the search has discovered.
struct Seen {
    /// The node, with the address at which it is asked.
    peer: Peer,
    /// Who has named it, at which address, in that order: each once, and at most so many. None for the searching node
    /// itself.
    ways: Vec<Way>,
    /// Which of them is taken.
    at: usize,
    /// It has not answered, and there is no other way.
    has_failed: bool,
}

struct Way {
    by: NodeId,
    address: Arc<str>,
    was_asked: bool,
}

impl Seen {
    const fn itself(peer: Peer) -> Self {
        Self {
            peer,
            ways: Vec::new(),
            at: 0,
            has_failed: false,
        }
    }

    fn named(peer: Peer, by: NodeId) -> Self {
        let mut seen = Self::itself(peer);
        seen.note(by, Arc::clone(&seen.peer.address));
        seen
    }

    fn note(&mut self, by: NodeId, address: Arc<str>) {
        let is_new = self.ways.iter().all(|way| way.by != by);
        if is_new && self.ways.len() < SEARCH_WAYS_PER_NODE_MAX {
            self.ways.push(Way {
                by,
                address,
                was_asked: false,
            });
        }
    }

    fn named_by(&self) -> Option<NodeId> {
        self.ways.get(self.at).map(|way| way.by)
    }

    fn is_asked(&mut self) {
        let at = self.at;
        self.ways[at].was_asked = true;
    }

    /// Goes on to the next way to an address where it was not asked. Returns who has named that.
    fn try_next(&mut self) -> Option<NodeId> {
        let was_asked_at = |address: &Arc<str>| {
            let mut ways = self.ways.iter();
            ways.any(|way| way.was_asked && way.address == *address)
        };
        let mut left = self.ways.iter().enumerate().skip(self.at + 1);
        let next = left.find(|(_, way)| !was_asked_at(&way.address));
        self.has_failed = next.is_none();
        let (at, way) = next?;
        let (by, address) = (way.by, Arc::clone(&way.address));
        self.at = at;
        self.peer.address = address;
        Some(by)
    }
}

/// What to do with a node of the current level.
pub(super) enum Next {
    Ask(Peer),
    /// It is most likely made up.
    GiveUp(Peer),
}

/// The nodes of a level that one node has named.
#[derive(Default)]
struct Named {
    waiting: BTreeSet<NodeId>,
    turn: Option<(u32, NodeId, NodeId)>,
    answered: u32,
    failed: u32,
    /// Probes that were not answered, or not yet, by address.
    unanswered_at: BTreeMap<Arc<str>, u32>,
}

/// All discovered nodes, those of the current level still to be asked, and those of the next level.
pub(super) struct Frontier {
    me: NodeId,
    seen: BTreeMap<NodeId, Seen>,
    level: u32,
    /// The nodes of the current level, by the node that named them.
    named: BTreeMap<NodeId, Named>,
    /// Whose turn it is: of those that have named nodes that wait, how many of them failed, and the first that waits.
    turns: BTreeSet<(u32, NodeId, NodeId)>,
    next: Shares,
    /// How many nodes may still be asked beyond the current level.
    room: usize,
    level_is_clipped: bool,
    next_is_clipped: bool,
}

impl Frontier {
    /// Contains only the searching node; at most `budget` others may be asked in total.
    pub(super) fn new(me: Peer, budget: u32) -> Self {
        let id = me.id;
        Self {
            me: id,
            seen: BTreeMap::from([(id, Seen::itself(me))]),
            level: 0,
            named: BTreeMap::new(),
            turns: BTreeSet::new(),
            next: Shares::default(),
            room: budget as usize,
            level_is_clipped: false,
            next_is_clipped: false,
        }
    }

    /// Links between the searching node and the nodes of the current level.
    pub(super) const fn level(&self) -> u32 {
        self.level
    }

    /// Adds the neighbours of a node of this level. If there are more new nodes than may be asked, whoever has named most
    /// has one less.
    pub(super) fn name(&mut self, by: NodeId, neighbours: Vec<Peer>) {
        for peer in neighbours {
            let id = peer.id;
            let Some(seen) = self.seen.get_mut(&id) else {
                self.seen.insert(id, Seen::named(peer, by));
                self.add(by, id);
                continue;
            };
            if id != self.me {
                seen.note(by, peer.address);
                if seen.has_failed
                    && let Some(by) = seen.try_next()
                {
                    self.add(by, id);
                }
            }
        }
    }

    /// A node is asked in the next level.
    fn add(&mut self, by: NodeId, id: NodeId) {
        self.next.add(by, id);
        if self.next.len > self.room
            && let Some(left_out) = self.next.pop_largest()
        {
            self.seen.remove(&left_out);
            self.next_is_clipped = true;
        }
    }

    /// Puts a node that has named others in its place among the turns.
    fn take_turn(&mut self, by: NodeId) {
        let Some(named) = self.named.get_mut(&by) else {
            return;
        };
        if let Some(turn) = named.turn.take() {
            self.turns.remove(&turn);
        }
        named.turn = named.waiting.first().map(|id| (named.failed, *id, by));
        self.turns.extend(named.turn);
    }

    /// The next node of this level: of those named by the node of whose fewest have failed, then by id.
    pub(super) fn pop(&mut self) -> Option<Next> {
        loop {
            let (_, _, by) = *self.turns.first()?;
            let named = self.named.get_mut(&by)?;
            let id = named.waiting.pop_first()?;
            let seen = self.seen.get_mut(&id)?;
            let unanswered_at = named.unanswered_at.entry(Arc::clone(&seen.peer.address));
            let unanswered_at = unanswered_at.or_default();
            let is_made_up = by != self.me
                && named.failed >= SEARCH_FAILED_NEIGHBOURS_MAX.saturating_add(named.answered);
            let gives_up = is_made_up || *unanswered_at >= SEARCH_PROBES_PER_ADDRESS_MAX;
            if !gives_up {
                *unanswered_at += 1;
                seen.is_asked();
            }
            let peer = seen.peer.clone();
            self.take_turn(by);
            if !gives_up {
                return Some(Next::Ask(peer));
            }
            if let Some(peer) = self.try_next(id) {
                return Some(Next::GiveUp(peer));
            }
        }
    }

    /// A node that was asked has answered. Returns whether it had not before, when it was asked at another address.
    pub(super) fn answered(&mut self, id: NodeId) -> bool {
        let Some(seen) = self.seen.get(&id) else {
            return false;
        };
        if let Some(named) = seen.named_by().and_then(|by| self.named.get_mut(&by)) {
            named.answered += 1;
            if let Some(unanswered) = named.unanswered_at.get_mut(&seen.peer.address) {
                *unanswered -= 1;
            }
        }
        seen.at > 0
    }

    /// A node that was asked has not answered. Returns it, unless it is asked again at another address.
    pub(super) fn failed(&mut self, id: NodeId) -> Option<Peer> {
        if let Some(by) = self.seen.get(&id)?.named_by()
            && let Some(named) = self.named.get_mut(&by)
        {
            named.failed += 1;
            self.take_turn(by);
        }
        self.try_next(id)
    }

    /// Has a node asked in another way. Returns it if there is none.
    fn try_next(&mut self, id: NodeId) -> Option<Peer> {
        let seen = self.seen.get_mut(&id)?;
        let Some(by) = seen.try_next() else {
            return Some(seen.peer.clone());
        };
        match self.named.get_mut(&by) {
            Some(named) => {
                named.waiting.insert(id);
                self.take_turn(by);
            }
            None => self.add(by, id),
        }
        None
    }

    /// Whether nodes of this level are still to be asked.
    pub(super) fn is_waiting(&self) -> bool {
        !self.turns.is_empty()
    }

    /// Whether there are known nodes beyond those asked so far.
    pub(super) const fn has_more(&self) -> bool {
        self.next.len > 0 || self.next_is_clipped || self.level_is_clipped
    }

    /// Whether nodes of this level were left out because of the budget.
    pub(super) const fn level_is_clipped(&self) -> bool {
        self.level_is_clipped
    }

    /// Whether no node may be asked beyond this level.
    pub(super) const fn is_spent(&self) -> bool {
        self.room == 0
    }

    /// Moves on to the next level.
    pub(super) fn advance(&mut self) {
        debug_assert!(
            self.turns.is_empty(),
            "a level ends only after all its nodes were asked or given up"
        );
        self.level += 1;
        let next = std::mem::take(&mut self.next);
        self.room -= next.len;
        let named = next.by.into_iter().map(|(by, waiting)| {
            let named = Named {
                waiting,
                ..Named::default()
            };
            (by, named)
        });
        self.named = named.collect();
        let all: Vec<NodeId> = self.named.keys().copied().collect();
        all.into_iter().for_each(|by| self.take_turn(by));
        self.level_is_clipped = std::mem::take(&mut self.next_is_clipped);
    }

    /// A node discovered before.
    pub(super) fn peer(&self, id: NodeId) -> &Peer {
        &self.seen[&id].peer
    }

    /// The path from the searching node to this one, along the nodes that first named each other.
    pub(super) fn path(&self, to: NodeId) -> Vec<Peer> {
        let mut path = Vec::new();
        let mut at = Some(to);
        while let Some(seen) = at.map(|id| &self.seen[&id]) {
            path.push(seen.peer.clone());
            at = seen.named_by();
        }
        path.reverse();
        path
    }
}

/// The nodes of the next level by the node that named them first, and who has named most.
#[derive(Default)]
struct Shares {
    by: BTreeMap<NodeId, BTreeSet<NodeId>>,
    sizes: BTreeSet<(usize, NodeId)>,
    len: usize,
}

impl Shares {
    fn add(&mut self, by: NodeId, id: NodeId) {
        let share = self.by.entry(by).or_default();
        self.sizes.remove(&(share.len(), by));
        share.insert(id);
        self.sizes.insert((share.len(), by));
        self.len += 1;
    }

    /// Takes a node from the largest share, the one with the greatest id.
    fn pop_largest(&mut self) -> Option<NodeId> {
        let (size, by) = self.sizes.pop_last()?;
        let last = self.by.get_mut(&by)?.pop_last()?;
        self.len -= 1;
        match size {
            1 => drop(self.by.remove(&by)),
            _ => drop(self.sizes.insert((size - 1, by))),
        }
        Some(last)
    }
}
