//! `Frontier`: every node that a search has discovered, which node named it, and which are still to be asked. Each
//! node is asked at most once.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::NodeId;
use crate::search::Peer;

/// A node that the search has discovered.
struct Seen {
    peer: Peer,
    /// The node that named it first; `None` for the searching node itself.
    named_by: Option<NodeId>,
}

/// All discovered nodes, those of the current level still to be asked, and those of the next level.
pub(super) struct Frontier {
    seen: BTreeMap<NodeId, Seen>,
    level: u32,
    waiting: BTreeSet<NodeId>,
    next: BTreeSet<NodeId>,
    /// How many nodes may still be asked beyond the current level.
    room: usize,
    level_is_clipped: bool,
    next_is_clipped: bool,
}

impl Frontier {
    /// Contains only the searching node; at most `budget` others may be asked in total.
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

    /// Links between the searching node and the nodes of the current level.
    pub(super) const fn level(&self) -> u32 {
        self.level
    }

    /// Adds the neighbours of a node of this level. If there are more new nodes than may be asked, those with the
    /// lowest ids are kept, whatever the order of the answers.
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

    /// The next node of this level to ask, ordered by id.
    pub(super) fn pop(&mut self) -> Option<Peer> {
        let id = self.waiting.pop_first()?;
        Some(self.peer(id).clone())
    }

    /// Whether nodes of this level are still to be asked.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether there are known nodes beyond those asked so far.
    pub(super) fn has_more(&self) -> bool {
        !self.next.is_empty() || self.next_is_clipped || self.level_is_clipped
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
            self.waiting.is_empty(),
            "a level ends only after all its nodes were asked"
        );
        self.level += 1;
        self.waiting = std::mem::take(&mut self.next);
        self.room -= self.waiting.len();
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
            at = seen.named_by;
        }
        path.reverse();
        path
    }
}
