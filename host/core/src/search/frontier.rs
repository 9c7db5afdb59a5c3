//! `Frontier`: every node that a search has discovered, which node named it, and which are still to be asked. Each
//! node is asked at most once.
//!
//! A node can name neighbours that do not exist. So the nodes of a level are asked in turns, one named by each; each may
//! have as many of them fail as [`SEARCH_FAILED_NEIGHBOURS_MAX`] beyond those that answer, and of nodes that are said to
//! have one address only [`SEARCH_PROBES_PER_ADDRESS_MAX`] may fail. The rest is given up without a probe, and counts as
//! unanswered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::id::NodeId;
use crate::limits::{SEARCH_FAILED_NEIGHBOURS_MAX, SEARCH_PROBES_PER_ADDRESS_MAX};
use crate::search::Peer;

/// A node that the search has discovered.
struct Seen {
    peer: Peer,
    /// The node that named it first; `None` for the searching node itself.
    named_by: Option<NodeId>,
}

/// What to do with a node of the current level.
pub(super) enum Next {
    Ask(Peer),
    /// It is most likely made up.
    GiveUp(Peer),
}

/// The nodes of a level that one node has named first.
#[derive(Default)]
struct Named {
    waiting: BTreeSet<NodeId>,
    asked: u32,
    answered: u32,
    failed: u32,
}

/// All discovered nodes, those of the current level still to be asked, and those of the next level.
pub(super) struct Frontier {
    me: NodeId,
    seen: BTreeMap<NodeId, Seen>,
    level: u32,
    /// The nodes of the current level, by the node that named them.
    named: BTreeMap<NodeId, Named>,
    /// How many were asked of those that a node has named, for each that has named some that wait.
    turns: BTreeSet<(u32, NodeId)>,
    /// Probes that were not answered, or not yet, by address.
    unanswered_at: BTreeMap<Arc<str>, u32>,
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
        let itself = Seen {
            peer: me,
            named_by: None,
        };
        Self {
            me: id,
            seen: BTreeMap::from([(id, itself)]),
            level: 0,
            named: BTreeMap::new(),
            turns: BTreeSet::new(),
            unanswered_at: BTreeMap::new(),
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
            if self.seen.contains_key(&id) {
                continue;
            }
            let seen = Seen {
                peer,
                named_by: Some(by),
            };
            self.seen.insert(id, seen);
            self.next.add(by, id);
            if self.next.len > self.room
                && let Some(left_out) = self.next.pop_largest()
            {
                self.seen.remove(&left_out);
                self.next_is_clipped = true;
            }
        }
    }

    /// The next node of this level, in turns by the nodes that named them, then by id.
    pub(super) fn pop(&mut self) -> Option<Next> {
        let (_, by) = self.turns.pop_first()?;
        let named = self.named.get_mut(&by)?;
        let id = named.waiting.pop_first()?;
        let peer = self.seen[&id].peer.clone();
        let unanswered_at = self.unanswered_at.entry(Arc::clone(&peer.address));
        let unanswered_at = unanswered_at.or_default();
        let is_hopeless = by != self.me
            && named.failed >= SEARCH_FAILED_NEIGHBOURS_MAX.saturating_add(named.answered);
        let gives_up = is_hopeless || *unanswered_at >= SEARCH_PROBES_PER_ADDRESS_MAX;
        if !gives_up {
            named.asked += 1;
            *unanswered_at += 1;
        }
        if !named.waiting.is_empty() {
            self.turns.insert((named.asked, by));
        }
        Some(match gives_up {
            true => Next::GiveUp(peer),
            false => Next::Ask(peer),
        })
    }

    /// A node that was asked has answered.
    pub(super) fn answered(&mut self, id: NodeId) {
        let Some(seen) = self.seen.get(&id) else {
            return;
        };
        if let Some(unanswered) = self.unanswered_at.get_mut(&seen.peer.address) {
            *unanswered -= 1;
        }
        if let Some(named) = seen.named_by.and_then(|by| self.named.get_mut(&by)) {
            named.answered += 1;
        }
    }

    /// A node that was asked has not answered.
    pub(super) fn failed(&mut self, id: NodeId) -> &Peer {
        let seen = &self.seen[&id];
        if let Some(named) = seen.named_by.and_then(|by| self.named.get_mut(&by)) {
            named.failed += 1;
        }
        &seen.peer
    }

    /// Whether nodes of this level were not asked yet.
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
        self.turns = next.by.keys().map(|by| (0, *by)).collect();
        let named = next.by.into_iter().map(|(by, waiting)| {
            let named = Named {
                waiting,
                ..Named::default()
            };
            (by, named)
        });
        self.named = named.collect();
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
