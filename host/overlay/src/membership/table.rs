//! The members as this node knows them: their state according to the protocol, and the status each published.
//!
//! A plain table without clock or network. The task that runs the protocol writes it, and anybody may read it. It is
//! locked only briefly, and never across an await.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::sync::Arc;
use std::time::Duration;

use dataverse_core::backoff::Backoff;
use dataverse_core::id::NodeId;
use dataverse_core::limits::MEMBERS_MAX;
use dataverse_core::members::Liveness;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::identity::Identity;
use super::status::{MemberSeen, PublishedStatus};

/// The first pause before a member without a known status is asked again; it doubles each time.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// Renewals of the own identity that may follow each other without a pause; a dozen overtake any honest rival.
const RENEWALS_AT_ONCE: u32 = 16;
/// The shortest pause before each further renewal, however often this node is declared dead.
const RENEW_AGAIN: Duration = Duration::from_secs(1);
/// A member that sent no status for this long is asked whether one was missed.
const ASK_ANYHOW: Duration = Duration::from_secs(60);

/// The table behind its lock.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Table>>);

impl Shared {
    pub(super) fn new(me: Identity) -> Self {
        Self(Arc::new(Mutex::new(Table::new(me, MEMBERS_MAX))))
    }

    /// Locks the table.
    pub(super) fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock()
    }
}

/// What an incoming status brings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Heard {
    /// Nothing: an equally late one is known, or the node is unknown.
    Known,
    /// The first status of its node.
    First,
    /// A later status than the known one.
    Later,
}

/// Everything that is known of the members.
pub(super) struct Table {
    me: Identity,
    renewed: Option<Instant>,
    members_max: usize,
    entries: BTreeMap<NodeId, Entry>,
    /// Nodes admitted since the table last agreed with the protocol; they may not be in it yet.
    strangers: usize,
    /// The latest stamp of a status of this node that others spread.
    own_stamp_heard: Option<(u64, u64)>,
    snapshot: Option<Arc<[MemberSeen]>>,
    changed: bool,
}

struct Entry {
    identity: Identity,
    state: Liveness,
    since: Instant,
    status: Option<Arc<PublishedStatus>>,
    ask_at: Instant,
    backoff: Backoff,
}

impl Entry {
    fn new(identity: &Identity, state: Liveness, now: Instant) -> Self {
        Self {
            identity: identity.clone(),
            state,
            since: now,
            status: None,
            ask_at: now,
            backoff: Backoff::new(ASK_AGAIN, ASK_ANYHOW),
        }
    }

    /// Returns false if nothing changes.
    fn update(&mut self, identity: &Identity, state: Liveness, now: Instant) -> bool {
        if self.identity == *identity && self.state == state {
            return false;
        }
        if self.state == Liveness::Gone && state != Liveness::Gone {
            self.ask_at = now;
            self.backoff.reset();
        }
        if self.state != state {
            (self.state, self.since) = (state, now);
        }
        self.identity = identity.clone();
        true
    }
}

impl Table {
    pub(super) fn new(me: Identity, members_max: usize) -> Self {
        Self {
            me,
            renewed: None,
            members_max,
            entries: BTreeMap::new(),
            strangers: 0,
            own_stamp_heard: None,
            snapshot: None,
            changed: false,
        }
    }

    /// Every other member, in no particular order.
    pub(super) fn members(&mut self) -> Arc<[MemberSeen]> {
        let entries = &self.entries;
        let seen = |entry: &Entry| MemberSeen {
            peer: entry.identity.peer(),
            state: entry.state,
            status: entry.status.clone(),
        };
        let snapshot = self
            .snapshot
            .get_or_insert_with(|| entries.values().map(seen).collect());
        Arc::clone(snapshot)
    }

    /// Whether anything changed since the last call.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Whether a node that others mention may become known: known ones always, others while there is space.
    pub(super) fn admit(&mut self, node: NodeId) -> bool {
        if node == self.me.node || self.entries.contains_key(&node) {
            return true;
        }
        let space = self.entries.len() + self.strangers < self.members_max;
        self.strangers += usize::from(space);
        space
    }

    /// This node was declared dead and uses another identity from now on.
    pub(super) fn renewed(&mut self, me: &Identity, now: Instant) {
        self.me = me.clone();
        self.renewed = Some(now);
    }

    /// Whether this is about the own identity, and that was renewed too often just now. The claim that it is dead
    /// is then ignored; it will come again if it matters. So nobody can force this node through identities.
    pub(super) fn renewed_too_often(&self, identity: &Identity, now: Instant) -> bool {
        let just_now = |at: Instant| now < at + RENEW_AGAIN;
        *identity == self.me
            && identity.renewals >= RENEWALS_AT_ONCE
            && self.renewed.is_some_and(just_now)
    }

    /// Records the state of a member according to the protocol.
    pub(super) fn see(&mut self, identity: &Identity, state: Liveness, now: Instant) {
        if identity.node == self.me.node {
            return;
        }
        match self.entries.entry(identity.node) {
            Slot::Vacant(slot) => {
                slot.insert(Entry::new(identity, state, now));
            }
            Slot::Occupied(mut slot) => {
                if !slot.get_mut().update(identity, state, now) {
                    return;
                }
            }
        }
        self.note_change();
    }

    /// Records that a member uses another identity now, in the same state.
    pub(super) fn rename(&mut self, identity: &Identity, now: Instant) {
        let known = self.entries.get(&identity.node);
        if let Some(state) = known.map(|entry| entry.state) {
            self.see(identity, state, now);
        }
    }

    /// Takes over everything that the protocol knows.
    pub(super) fn agree<'a>(
        &mut self,
        known: impl Iterator<Item = (&'a Identity, Liveness)>,
        now: Instant,
    ) {
        for (identity, state) in known {
            self.see(identity, state, now);
        }
        self.strangers = 0;
    }

    /// Marks all members as gone: none can be reached any more.
    pub(super) fn lose_all(&mut self, now: Instant) {
        let lifetime = |entry: &&mut Entry| entry.state != Liveness::Gone;
        for entry in self.entries.values_mut().filter(lifetime) {
            (entry.state, entry.since) = (Liveness::Gone, now);
        }
        self.note_change();
    }

    /// Records an incoming status.
    pub(super) fn hear(&mut self, node: NodeId, status: PublishedStatus, now: Instant) -> Heard {
        if node == self.me.node {
            self.own_stamp_heard = self.own_stamp_heard.max(Some(status.stamp()));
            return Heard::Known;
        }
        let Some(entry) = self.entries.get_mut(&node) else {
            return Heard::Known;
        };
        entry.ask_at = now + ASK_ANYHOW;
        entry.backoff.reset();
        let heard = match &entry.status {
            None => Heard::First,
            Some(known) if status.stamp() > known.stamp() => Heard::Later,
            Some(_) => return Heard::Known,
        };
        entry.status = Some(Arc::new(status));
        self.note_change();
        heard
    }

    /// The latest stamp of a status of this node that others spread. It is later than the own stamp only after a clock
    /// went back.
    pub(super) fn own_stamp_heard(&self) -> Option<(u64, u64)> {
        self.own_stamp_heard
    }

    /// Members whose status is missing or old, to be asked now. Each of them then waits for its next turn.
    pub(super) fn take_unheard(&mut self, now: Instant, at_most: usize) -> Vec<Identity> {
        let due = |entry: &&mut Entry| entry.state != Liveness::Gone && entry.ask_at <= now;
        let ask = |entry: &mut Entry| {
            entry.ask_at = now + entry.backoff.next_pause();
            entry.identity.clone()
        };
        let due = self.entries.values_mut().filter(due);
        due.take(at_most).map(ask).collect()
    }

    /// A member that is not gone, with its status.
    pub(super) fn lifetime(
        &self,
        node: NodeId,
    ) -> Option<(Identity, Option<Arc<PublishedStatus>>)> {
        let entry = self.entries.get(&node)?;
        (entry.state != Liveness::Gone).then(|| (entry.identity.clone(), entry.status.clone()))
    }

    /// Every member that is gone.
    pub(super) fn gone(&self) -> Vec<Identity> {
        let gone = |entry: &&Entry| entry.state == Liveness::Gone;
        let entries = self.entries.values().filter(gone);
        entries.map(|entry| entry.identity.clone()).collect()
    }

    /// Members that have been suspected for `patience` or longer.
    pub(super) fn suspected_for(&self, patience: Duration, now: Instant) -> Vec<NodeId> {
        let overdue = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.state == Liveness::Suspect && now >= entry.since + patience);
        overdue.map(|(node, _)| *node).collect()
    }

    /// Removes and returns the members that have been gone for `after` or, when there is no space left for others, all
    /// that are gone.
    pub(super) fn forget(&mut self, after: Duration, now: Instant) -> Vec<Identity> {
        let full = self.entries.len() >= self.members_max;
        let forgotten: Vec<_> = self
            .entries
            .extract_if(.., |_, entry| {
                entry.state == Liveness::Gone && (full || now >= entry.since + after)
            })
            .map(|(_, entry)| entry.identity)
            .collect();
        if !forgotten.is_empty() {
            self.note_change();
        }
        forgotten
    }

    fn note_change(&mut self) {
        self.changed = true;
        self.snapshot = None;
    }
}

#[cfg(test)]
mod tests {
    use dataverse_core::search::Peer;

    use super::*;

    fn identity(node: u128, epoch_ms: u64) -> Identity {
        let peer = Peer {
            id: NodeId::from(node),
            name: format!("node-{node}").into(),
            address: format!("127.0.0.1:{node}").into(),
        };
        Identity::of(&peer, epoch_ms)
    }

    fn table(members_max: usize) -> Table {
        Table::new(identity(1, 1), members_max)
    }

    fn status(counter: u64) -> PublishedStatus {
        PublishedStatus {
            counter,
            ..PublishedStatus::default()
        }
    }

    #[test]
    fn the_newest_status_stays_whatever_the_order() {
        let (mut table, now) = (table(8), Instant::now());
        table.see(&identity(2, 1), Liveness::Alive, now);
        let news = [3, 5, 4, 5].map(|counter| table.hear(NodeId::from(2), status(counter), now));
        assert_eq!(
            news,
            [Heard::First, Heard::Later, Heard::Known, Heard::Known]
        );
        let kept = table.members()[0].status.clone().expect("a status");
        assert_eq!(kept.counter, 5);
    }

    #[test]
    fn a_status_of_nobody_known_is_not_kept() {
        let (mut table, now) = (table(8), Instant::now());
        assert_eq!(table.hear(NodeId::from(2), status(1), now), Heard::Known);
        assert!(!table.take_changed());
    }

    #[test]
    fn strangers_are_let_in_only_while_there_is_room() {
        let (mut table, now) = (table(3), Instant::now());
        table.see(&identity(2, 1), Liveness::Alive, now);
        let let_in = [1, 2, 3, 4, 5].map(|node| table.admit(NodeId::from(node)));
        assert_eq!(let_in, [true, true, true, true, false]);
        table.agree(std::iter::empty(), now);
        assert!(table.admit(NodeId::from(5)), "the strangers never came");
    }

    #[test]
    fn the_gone_are_forgotten_in_time_and_at_once_when_there_is_no_room() {
        let (mut table, now) = (table(2), Instant::now());
        let hour = Duration::from_secs(3_600);
        table.see(&identity(2, 1), Liveness::Gone, now);
        assert_eq!(table.forget(hour, now + hour / 2), []);
        assert_eq!(table.forget(hour, now + hour), [identity(2, 1)]);

        table.see(&identity(3, 1), Liveness::Gone, now);
        table.see(&identity(4, 1), Liveness::Alive, now);
        assert_eq!(table.forget(hour, now), [identity(3, 1)]);
        assert_eq!(table.members().len(), 1);
    }

    #[test]
    fn a_suspicion_is_overdue_when_it_lasted_however_often_it_is_repeated() {
        let (mut table, start) = (table(8), Instant::now());
        let second = Duration::from_secs(1);
        table.see(&identity(2, 1), Liveness::Alive, start);
        table.see(&identity(2, 1), Liveness::Suspect, start + second);
        table.see(&identity(2, 1), Liveness::Suspect, start + 3 * second);
        assert_eq!(table.suspected_for(4 * second, start + 4 * second), []);
        let overdue = table.suspected_for(4 * second, start + 5 * second);
        assert_eq!(overdue, [NodeId::from(2)]);
        table.see(&identity(2, 1), Liveness::Alive, start + 5 * second);
        assert_eq!(table.suspected_for(4 * second, start + 9 * second), []);
    }

    #[test]
    fn a_member_that_does_not_tell_its_status_is_asked_less_and_less() {
        let (mut table, start) = (table(8), Instant::now());
        table.see(&identity(2, 1), Liveness::Alive, start);
        let asked_at = |tick: &u32| {
            let now = start + ASK_AGAIN * *tick;
            !table.take_unheard(now, 16).is_empty()
        };
        let ticks: Vec<_> = (0..40).filter(asked_at).collect();
        assert_eq!(ticks, [0, 1, 3, 7, 15, 31]);
    }

    #[test]
    fn word_of_the_own_death_is_left_unheard_once_it_came_too_often() {
        let (mut table, now) = (table(8), Instant::now());
        let mut renewed = identity(1, 2);
        table.renewed(&renewed, now);
        assert!(!table.renewed_too_often(&renewed, now));
        renewed.renewals = RENEWALS_AT_ONCE;
        table.renewed(&renewed, now);
        assert!(table.renewed_too_often(&renewed, now));
        assert!(!table.renewed_too_often(&identity(1, 1), now));
        assert!(!table.renewed_too_often(&renewed, now + RENEW_AGAIN));
    }
}
