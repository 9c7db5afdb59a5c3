//! Since when each member has been down, which tells a short outage from a node that is gone.
//!
//! Gossip only says how a member seems now, and forgets members that are gone; `Downtime` remembers since when each
//! has not been alive. A node never seen counts as down since it was first asked about here. In memory only: after a
//! restart the count starts anew. Decisions look at one [`Liveness`], which does not change while they are made.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dataverse_core::id::NodeId;
use dataverse_core::limits;
use dataverse_core::members::{self, Members};
use dataverse_core::relayout::HolderState;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::driver::Driver;

/// Since when each member that is not alive has been down.
type Silent = BTreeMap<NodeId, Instant>;

/// Since when each member that is not alive has been down.
#[derive(Default)]
pub(in crate::driver) struct Downtime(Mutex<Arc<Silent>>);

impl Downtime {
    /// Records how the members seem now. In the same step `publish` makes them known as such, so that nobody sees the one
    /// without the other.
    pub(in crate::driver) fn see(
        &self,
        members: impl Iterator<Item = (NodeId, bool)>,
        now: Instant,
        publish: impl FnOnce(),
    ) {
        let mut silent = self.0.lock();
        {
            let silent = Arc::make_mut(&mut silent);
            for (id, is_alive) in members {
                if is_alive {
                    silent.remove(&id);
                } else if silent.len() < limits::MEMBERS_MAX {
                    silent.entry(id).or_insert(now);
                }
            }
        }
        publish();
    }

    /// Counts these nodes as gone at once: they will not come back.
    pub(in crate::driver) fn give_up(&self, nodes: &[NodeId], now: Instant, gone_after: Duration) {
        let since = now.checked_sub(gone_after).unwrap_or(now);
        let mut silent = self.0.lock();
        for id in nodes {
            if silent.get(id).is_none_or(|known| *known > since) {
                Arc::make_mut(&mut silent).insert(*id, since);
            }
        }
    }

    /// Since when a node has been down that no member is: since it was first asked about.
    fn of_unknown(&self, id: NodeId, now: Instant) -> Option<Instant> {
        let mut silent = self.0.lock();
        if silent.len() < limits::MEMBERS_MAX && !silent.contains_key(&id) {
            Arc::make_mut(&mut silent).insert(id, now);
        }
        silent.get(&id).copied()
    }
}

/// Who is alive, away or gone at one moment, as far as this node knows.
pub(in crate::driver) struct Liveness {
    me: NodeId,
    members: Arc<Members>,
    silent: Arc<Silent>,
    downtime: Arc<Downtime>,
    /// Down since then are nodes that were never seen, beyond the bound.
    started: Instant,
    now: Instant,
    gone_after: Duration,
}

impl Liveness {
    pub(in crate::driver) fn is_alive(&self, id: NodeId) -> bool {
        let member = self.members.find(id);
        id == self.me || member.is_some_and(|member| member.state == members::Liveness::Alive)
    }

    /// State of a holder.
    pub(in crate::driver) fn state_of(&self, id: NodeId) -> HolderState {
        if self.is_alive(id) {
            return HolderState::Here;
        }
        match self.now.saturating_duration_since(self.since(id)) >= self.gone_after {
            true => HolderState::Gone,
            false => HolderState::Away,
        }
    }

    fn since(&self, id: NodeId) -> Instant {
        let known = self.silent.get(&id).copied();
        let since = known.or_else(|| self.downtime.of_unknown(id, self.now));
        since.unwrap_or(self.started)
    }

    /// Which of these nodes has been gone longest, if any counts as gone.
    pub(in crate::driver) fn longest_gone(&self, of: &[NodeId]) -> Option<NodeId> {
        let gone = of
            .iter()
            .filter(|id| self.state_of(**id) == HolderState::Gone);
        gone.copied().min_by_key(|id| self.since(*id))
    }

    /// The members that count as gone.
    pub(in crate::driver) fn long_gone(&self) -> Vec<NodeId> {
        let silent = self.silent.keys().copied();
        silent
            .filter(|id| self.state_of(*id) == HolderState::Gone)
            .collect()
    }
}

impl Driver {
    /// Who is alive, away or gone now.
    pub(in crate::driver) fn liveness(&self) -> Liveness {
        let silent = self.downtime.0.lock();
        Liveness {
            me: self.me.id,
            members: self.seen_table(),
            silent: Arc::clone(&silent),
            downtime: Arc::clone(&self.downtime),
            started: self.started,
            now: Instant::now(),
            gone_after: self.settings.repair_after,
        }
    }

    /// State of a holder, as far as this node knows.
    pub(in crate::driver) fn standing_of(&self, id: NodeId) -> HolderState {
        self.liveness().state_of(id)
    }

    /// Since when a member has not been alive, if it is not.
    pub(in crate::driver) fn down_since(&self, id: NodeId) -> Option<Instant> {
        self.downtime.0.lock().get(&id).copied()
    }

    /// Whether a node that did not answer just now counts as gone.
    pub(in crate::driver) fn is_long_silent(&self, id: NodeId) -> bool {
        self.standing_of(id) == HolderState::Gone
    }
}
