//! Whom a search knows: every node named so far, and by whom, each asked at most once.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::NodeId;
use crate::search::Peer;

/// A node that the search knows.
struct Seen {
    peer: Peer,
    /// Who named it first; `None` for the node itself.
    named_by: Option<NodeId>,
}

/// Every node known, those of the level under way still to be asked, and those of the next.
pub(super) struct Frontier {
    seen: BTreeMap<NodeId, Seen>,
    level: u32,
    waiting: BTreeSet<NodeId>,
    next: BTreeSet<NodeId>,
    /// Nodes that may still be asked beyond the level under way.
    room: usize,
    level_is_clipped: bool,
    next_is_clipped: bool,
}

impl Frontier {
    /// Knows only the node itself; `budget` others may be asked in all.
    pub(super) fn new(me: Peer, budget: u32) -> Self {
        let id = me.id;
        let itself = Seen {
            peer: me,
            named_by: None,
        };
        Self {
            seen: BTreeMap::from([(id, itself)]),
            level: 0,
            waiting: BTreeSet::new(),
            next: BTreeSet::new(),
            room: budget as usize,
            level_is_clipped: false,
            next_is_clipped: false,
        }
    }

    /// Links between the node itself and the nodes of the level under way.
    pub(super) const fn level(&self) -> u32 {
        self.level
    }

    /// Takes in the neighbours of a node of this level. Where there are more new ones than may be asked,
    /// those with the least ids are kept, whatever the order of the answers.
    pub(super) fn name(&mut self, by: NodeId, neighbours: Vec<Peer>) {
        for peer in neighbours {
            let id = peer.id;
            if self.seen.contains_key(&id) {
                continue;
            }
            let seen = Seen {
                peer,
                named_by: Some(by),
            };
            self.seen.insert(id, seen);
            self.next.insert(id);
            if self.next.len() > self.room
                && let Some(last) = self.next.pop_last()
            {
                self.seen.remove(&last);
                self.next_is_clipped = true;
            }
        }
    }

    /// The next node of this level to ask, by id.
    pub(super) fn pop(&mut self) -> Option<Peer> {
        let id = self.waiting.pop_first()?;
        Some(self.peer(id).clone())
    }

    /// Whether nodes of this level are still to be asked.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether nodes are known that lie beyond what was asked so far.
    pub(super) fn has_more(&self) -> bool {
        !self.next.is_empty() || self.next_is_clipped || self.level_is_clipped
    }

    /// Whether nodes of this level were left out for the budget.
    pub(super) const fn level_is_clipped(&self) -> bool {
        self.level_is_clipped
    }

    /// Whether no node may be asked beyond this level.
    pub(super) const fn is_spent(&self) -> bool {
        self.room == 0
    }

    /// Goes on to the next level.
    pub(super) fn advance(&mut self) {
        debug_assert!(self.waiting.is_empty(), "a level is left once it was asked");
        self.level += 1;
        self.waiting = std::mem::take(&mut self.next);
        self.room -= self.waiting.len();
        self.level_is_clipped = std::mem::take(&mut self.next_is_clipped);
    }

    /// A node that was named before.
    pub(super) fn peer(&self, id: NodeId) -> &Peer {
        &self.seen[&id].peer
    }

    /// From the node itself to this one, by who named whom.
    pub(super) fn path(&self, to: NodeId) -> Vec<Peer> {
        let mut path = Vec::new();
        let mut at = Some(to);
        while let Some(seen) = at.map(|id| &self.seen[&id]) {
            path.push(seen.peer.clone());
            at = seen.named_by;
        }
        path.reverse();
        path
    }
}
