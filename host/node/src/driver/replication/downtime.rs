//! `Downtime`: since when each member has been down, which tells a short outage from a node that is gone.
//!
//! Gossip only says how a member seems now, and forgets members that are gone; this remembers since when each has
//! not been alive. A node never seen counts as down since this one started. In memory only: after a restart the
//! count starts anew.

use std::collections::BTreeMap;
use std::time::Duration;

use dataverse_core::id::NodeId;
use dataverse_core::limits;
use dataverse_core::relayout::HolderState;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::driver::Driver;

/// Since when each member that is not alive has been down.
#[derive(Default)]
pub(in crate::driver) struct Downtime(Mutex<BTreeMap<NodeId, Instant>>);

impl Downtime {
    /// Records how the members seem now.
    pub(in crate::driver) fn see(
        &self,
        members: impl Iterator<Item = (NodeId, bool)>,
        now: Instant,
    ) {
        let mut silent = self.0.lock();
        for (id, is_alive) in members {
            if is_alive {
                silent.remove(&id);
            } else if silent.len() < limits::MEMBERS_MAX {
                silent.entry(id).or_insert(now);
            }
        }
    }

    fn since(&self, id: NodeId) -> Option<Instant> {
        self.0.lock().get(&id).copied()
    }

    /// Members that are down, and for how long.
    fn silent(&self, now: Instant) -> Vec<(NodeId, Duration)> {
        let silent = self.0.lock();
        let silent = silent.iter();
        silent
            .map(|(id, since)| (*id, now.saturating_duration_since(*since)))
            .collect()
    }
}

impl Driver {
    /// State of a holder, as far as this node knows.
    pub(in crate::driver) fn standing_of(&self, id: NodeId) -> HolderState {
        if self.is_alive(id) {
            return HolderState::Here;
        }
        if self.silent_since(id).elapsed() >= self.settings.repair_after {
            HolderState::Gone
        } else {
            HolderState::Away
        }
    }

    /// Since when a member has not been alive, if it is not.
    pub(in crate::driver) fn down_since(&self, id: NodeId) -> Option<Instant> {
        self.downtime.since(id)
    }

    fn silent_since(&self, id: NodeId) -> Instant {
        self.downtime.since(id).unwrap_or(self.started)
    }

    /// Whether a node that did not answer just now counts as gone. A node unknown to gossip counts as down since
    /// it was first asked for here.
    pub(in crate::driver) fn is_long_silent(&self, id: NodeId) -> bool {
        let now = Instant::now();
        self.downtime
            .see([(id, self.is_alive(id))].into_iter(), now);
        let since = self.downtime.since(id);
        since.is_some_and(|since| since.elapsed() >= self.settings.repair_after)
    }

    /// Which of these nodes has been gone longest, if any counts as gone.
    pub(in crate::driver) fn longest_gone(&self, of: &[NodeId]) -> Option<NodeId> {
        let gone = of
            .iter()
            .filter(|id| self.standing_of(**id) == HolderState::Gone);
        gone.copied().min_by_key(|id| self.silent_since(*id))
    }

    /// The members that count as gone.
    pub(in crate::driver) fn long_gone(&self) -> Vec<NodeId> {
        let silent = self.downtime.silent(Instant::now()).into_iter();
        silent
            .filter(|(_, silent_for)| *silent_for >= self.settings.repair_after)
            .map(|(id, _)| id)
            .collect()
    }
}
