//! `Node`: what one node knows and decides.
//!
//! Its methods take the time and facts as arguments and return decisions or [`Effect`]s. It performs nothing: that
//! is up to the driver, which reports every durable change of the index ([`Node::changed`]) in the order of the
//! commits. So every answer of the node rests on state that survives a crash.
//!
//! `reconciling` holds the comparison with another node and the copies that still have to be verified.

mod reconciling;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::announcements::SeenAnnouncements;
use crate::floors::{Floors, Heard};
use crate::holdings::{Holding, Holdings, Page, Role, Total};
use crate::id::{FileId, NodeId};
use crate::key::Key;
use crate::limits;
use crate::pattern::Pattern;
use crate::reconcile::Shared;
use crate::record::{Layout, Record};
use crate::scrub;
use crate::search::{Answer, Deletion, Hit, Peer};
use crate::version::{Clock, ClockAhead, Millis, Stamp, Version};

pub use reconciling::{Listed, Weighed};

/// Something that the driver must do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Release this file's content up to a version: this node knows that a greater one is durable elsewhere.
    Drop {
        /// The file.
        key: Key,
        /// The highest version to release.
        version: Version,
        /// Only if it is held in this role.
        role: Role,
    },
    /// Keep the same content under this newer layout.
    Adopt {
        /// The record with the newer layout.
        record: Arc<Record>,
        /// In which role to hold it.
        role: Role,
    },
    /// Ask the holders that this record names whether they have it: it is greater than what is held here, and what
    /// is held here is given up only for what they say themselves.
    Verify {
        /// The greater record.
        record: Arc<Record>,
    },
    /// Forward this over every link except the one it came from.
    Announce {
        /// The announced record.
        record: Arc<Record>,
    },
}

/// What a node knows about a read before it asks another node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LocalRead {
    /// Serve this: a replica, or a recently confirmed cached copy.
    Serve(Holding),
    /// Serve this once a replica confirms that it is the newest version.
    Confirm(Holding),
    /// Search for it; a version below the floor does not count.
    Search {
        /// The highest version heard of.
        floor: Option<Version>,
    },
}

/// One node: its clock, its holdings and what it has heard.
#[derive(Debug)]
pub struct Node {
    id: NodeId,
    clock: Clock,
    holdings: Holdings,
    floors: Floors,
    announcements: SeenAnnouncements,
    /// Digests of the replicas shared with each other node named in their layouts.
    shared: Shared,
    /// Files whose copy here may have been deleted while the node was away.
    unverified: BTreeSet<FileId>,
    /// Increases with every change of the index.
    changes: u64,
}

impl Node {
    /// A node with the holdings that its index contains.
    #[must_use]
    pub fn new(id: NodeId, ceiling: Stamp, held: Vec<Holding>) -> Self {
        let mut node = Self {
            id,
            clock: Clock::starting_at(ceiling),
            holdings: Holdings::default(),
            floors: Floors::default(),
            announcements: SeenAnnouncements::default(),
            shared: Shared::default(),
            unverified: BTreeSet::new(),
            changes: 0,
        };
        for holding in held {
            node.sum_up(&holding);
            node.holdings.put(holding);
        }
        node
    }

    /// Its clock.
    pub fn clock(&mut self) -> &mut Clock {
        &mut self.clock
    }

    /// Merges a peer's clock, unless it is far ahead.
    ///
    /// # Errors
    /// [`ClockAhead`] when it is implausibly far ahead.
    pub fn observe(&mut self, stamp: Stamp, now: Millis) -> Result<(), ClockAhead> {
        self.clock.observe(stamp, now)
    }

    /// The index has durably changed: `after` is the holding of `key` from now on.
    pub fn changed(&mut self, key: &Key, after: Option<&Holding>) {
        self.changes += 1;
        self.recount(key, after);
        match after {
            Some(holding) => {
                // A change within the same version keeps what a replica confirmed in the meantime.
                let before = self.holdings.find(key);
                let confirmed = before
                    .filter(|before| before.record.version == holding.record.version)
                    .map_or(0, |before| before.validated);
                self.holdings.put(Holding {
                    validated: holding.validated.max(confirmed),
                    ..holding.clone()
                });
                let file = key.file_id();
                let confirmed = self.floors.confirmed(file);
                if confirmed.is_none_or(|floor| floor.version <= holding.record.version) {
                    self.floors.unpin(file);
                }
            }
            None => {
                let file = key.file_id();
                if let Some(gone) = self.holdings.remove(key) {
                    let heard = Heard::of(&gone.record);
                    match gone.role {
                        Role::Replica => self.floors.confirm(file, heard),
                        Role::Cached => drop(self.floors.hear(file, heard)),
                    }
                }
                self.floors.unpin(file);
            }
        }
    }

    /// The holding of this file, current or not.
    #[must_use]
    pub fn holding(&self, key: &Key) -> Option<&Holding> {
        self.holdings.find(key)
    }

    /// The highest version of this file that the node knows of, held or heard, hearsay included.
    #[must_use]
    pub fn known(&self, key: &Key) -> Option<Heard> {
        Heard::merged([self.version_held(key), self.floors.of(key.file_id())])
    }

    /// The highest version of this file that the node knows itself to exist: it holds, held or wrote it, or a holder
    /// said so when it was asked.
    #[must_use]
    pub fn confirmed(&self, key: &Key) -> Option<Heard> {
        Heard::merged([self.version_held(key), self.floors.confirmed(key.file_id())])
    }

    fn version_held(&self, key: &Key) -> Option<Heard> {
        let held = self.holdings.find(key);
        held.map(|holding| Heard::of(&holding.record))
    }

    /// The replicas that it holds.
    #[must_use]
    pub const fn replicas(&self) -> Total {
        self.holdings.replicas()
    }

    /// The cached copies that it holds.
    #[must_use]
    pub const fn cached(&self) -> Total {
        self.holdings.cached()
    }

    /// How to start a read, before any other node is asked.
    #[must_use]
    pub fn read(&self, key: &Key, now: Millis, revalidate_after_ms: u64) -> LocalRead {
        let floor = self.known(key).map(|heard| heard.version);
        match self.current(key) {
            None => LocalRead::Search { floor },
            Some(holding) if self.is_unverified(key) => LocalRead::Confirm(holding.clone()),
            Some(holding) if holding.role == Role::Replica => LocalRead::Serve(holding.clone()),
            Some(holding) if now.saturating_sub(holding.validated) <= revalidate_after_ms => {
                LocalRead::Serve(holding.clone())
            }
            Some(holding) => LocalRead::Confirm(holding.clone()),
        }
    }

    /// Records what another node says of a file. True if the copy held here is older: then the holders of the greater
    /// version should be asked. A replica is served until one of them confirms it.
    pub fn hear(&mut self, key: &Key, heard: Heard) -> bool {
        self.floors.hear(key.file_id(), heard);
        let held = self.holdings.find(key);
        held.is_some_and(|held| held.record.version < heard.version)
    }

    /// Records a version that this node knows itself to exist. Nothing older is served from here on.
    pub fn confirm(&mut self, key: &Key, heard: Heard) {
        let held = self.holdings.find(key);
        if held.is_some_and(|held| held.record.version < heard.version) {
            self.floors.pin(key.file_id(), heard);
        } else {
            self.floors.confirm(key.file_id(), heard);
        }
    }

    /// Forgets what other nodes said of this file, up to a version that no node has.
    pub fn disprove(&mut self, key: &Key, version: Version) {
        self.floors.disprove(key.file_id(), version);
    }

    /// Records that a replica confirmed at `now` that this version is the newest.
    pub fn validated(&mut self, key: &Key, version: Version, now: Millis) {
        self.holdings.validated(key, version, now);
    }

    /// Answers a probe for one file. Never with less than the asking node's floor or its own.
    #[must_use]
    pub fn answer(
        &self,
        key: &Key,
        floor: Option<Version>,
        now: Millis,
        load: u32,
        neighbours: Vec<Peer>,
    ) -> Answer {
        let hits = self
            .current(key)
            .filter(|holding| Some(holding.record.version) >= floor)
            .map(|holding| self.hit_of(holding, now));
        let hits: Vec<Hit> = hits.into_iter().collect();
        let serves = self.current(key);
        let known = match serves {
            // What it has only heard of is no reason for it not to serve its replica, and for others none to pass
            // it over.
            Some(holding) if holding.role == Role::Replica => self.confirmed(key),
            _ => self.known(key),
        };
        let holding = self.holdings.find(key);
        let deletion = holding.filter(|holding| holding.record.deleted);
        Answer {
            // An unverified copy must not raise anyone's floor; only a greater version may.
            known: match hits.first() {
                Some(hit) if hit.is_unverified() => {
                    known.filter(|known| known.version > hit.record.version)
                }
                _ => known,
            },
            deletion: match deletion {
                Some(holding) => Deletion::Held(Arc::clone(&holding.record)),
                None => Deletion::None,
            },
            hits,
            hits_are_all: true,
            overtaken: self
                .overtaken(key, floor)
                .map(|holding| self.hit_of(holding, now)),
            pending: false,
            load,
            neighbours,
        }
    }

    /// Answers a question of a conditional write. Names no version that this node has only heard of.
    #[must_use]
    pub fn answer_surely(
        &self,
        key: &Key,
        now: Millis,
        load: u32,
        neighbours: Vec<Peer>,
    ) -> Answer {
        let answer = self.answer(key, None, now, load, neighbours);
        let unverified = answer.hits.first().filter(|hit| hit.is_unverified());
        let least = unverified.map(|hit| hit.record.version);
        let confirmed = self.confirmed(key);
        Answer {
            known: confirmed.filter(|known| Some(known.version) > least),
            ..answer
        }
    }

    /// The hits of a pattern among at most [`limits::SCAN_KEYS_MAX`] holdings. Call it again with the place where it
    /// stopped, so that the lock is not held during a whole scan.
    #[must_use]
    pub fn scan(
        &self,
        pattern: &Pattern,
        after: Option<&Key>,
        limit: usize,
        now: Millis,
    ) -> Page<Hit> {
        let mut items = Vec::new();
        let prefix = pattern.literal_prefix();
        let resume_after = self.holdings.visit_until(prefix, after, |holding| {
            let key = &holding.record.key;
            if pattern.matches(key) && self.current(key).is_some() {
                items.push(self.hit_of(holding, now));
            }
            match items.len() >= limit {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        Page {
            items,
            resume_after,
        }
    }

    /// One page of the holdings whose content was last checked before a pass began: see [`scrub::unchecked`].
    #[must_use]
    pub fn unchecked(&self, began: Millis, now: Millis, after: Option<&Key>) -> Page<Holding> {
        scrub::unchecked(&self.holdings, began, now, after)
    }

    /// The records of the replicas in the next page, tombstones included.
    #[must_use]
    pub fn replicas_after(&self, after: Option<&Key>) -> Page<Arc<Record>> {
        self.holdings.page(after, |holding| {
            // An unverified copy is not replicated until it is known whether the file still exists.
            let counts = holding.role == Role::Replica && !self.is_unverified(&holding.record.key);
            counts.then(|| Arc::clone(&holding.record))
        })
    }

    /// Processes a record that another node announced or told of. It may be early, late or wrong: what is held here
    /// stays until the holders that the record names were asked.
    #[must_use]
    pub fn learn(&mut self, record: &Arc<Record>) -> Vec<Effect> {
        self.hear(&record.key, Heard::of(record));
        let announce = self.pass_on(record);
        announce.into_iter().chain(self.reaction(record)).collect()
    }

    /// Processes a record that this node has made durable on every node that its layout names. If that is one other
    /// node, this is only its word, and an older replica goes when it has shown the content.
    #[must_use]
    pub fn learn_own(&mut self, record: &Arc<Record>) -> Vec<Effect> {
        let held = self.holdings.find(&record.key);
        let is_one_word = !record.deleted
            && record.layout.holders.len() == 1
            && !record.layout.names(self.id)
            && held.is_some_and(|held| held.role == Role::Replica);
        let is_newer =
            !is_one_word && held.is_some_and(|held| held.record.version < record.version);
        self.confirm(&record.key, Heard::of(record));
        let announce = self.pass_on(record);
        let effect = match self.reaction(record) {
            Some(Effect::Verify { record }) if is_newer => self.replacement(&record),
            other => other,
        };
        announce.into_iter().chain(effect).collect()
    }

    fn pass_on(&mut self, record: &Arc<Record>) -> Option<Effect> {
        let is_new = self.announcements.is_new(record);
        is_new.then(|| Effect::Announce {
            record: Arc::clone(record),
        })
    }

    /// Whether this record was stored here after a greater version of the file had been announced. That
    /// announcement will not be repeated, so its version must be looked for now.
    #[must_use]
    pub fn came_late(&self, record: &Record) -> bool {
        let held = self.holdings.find(&record.key);
        let is_held = held.is_some_and(|held| held.record.version == record.version);
        is_held && self.announcements.greatest(record.key.file_id()) > Some(record.version)
    }

    /// The first layout of a version written by this node.
    #[must_use]
    pub fn first_layout(&self, holders: Vec<NodeId>) -> Layout {
        Layout {
            counter: 0,
            author: self.id,
            holders,
        }
    }

    /// The layout that follows `layout`, with these holders, made at this clock reading.
    ///
    /// The clock gives out each reading once, whatever happens to the node in between. So no two layouts share a
    /// counter and an author, even if the node died before it stored one of them.
    #[must_use]
    pub fn next_layout(&self, layout: &Layout, at: Stamp, holders: Vec<NodeId>) -> Layout {
        Layout {
            counter: layout.counter.saturating_add(1).max(at.0),
            author: self.id,
            holders,
        }
    }

    /// What a greater record means for the copy held here.
    fn reaction(&self, record: &Arc<Record>) -> Option<Effect> {
        let held = self.holdings.find(&record.key)?;
        let record = Arc::clone(record);
        if record.version > held.record.version {
            return Some(Effect::Verify { record });
        }
        if !record.is_relayout_of(&held.record) {
            return None;
        }
        if held.role == Role::Replica && !record.layout.names(self.id) && !record.deleted {
            return Some(Effect::Verify { record });
        }
        // A cached copy of what belongs here is a replica.
        let role = match record.layout.names(self.id) {
            true => Role::Replica,
            false => held.role,
        };
        Some(Effect::Adopt { record, role })
    }

    /// What takes the place of the copy held here, once this record is known to be durable where it belongs. Nothing if
    /// what is held here is no older, because it has come meanwhile.
    #[must_use]
    pub fn replacement(&self, record: &Arc<Record>) -> Option<Effect> {
        let held = self.holdings.find(&record.key)?;
        if held.record.version >= record.version {
            return None;
        }
        if held.role == Role::Replica && record.deleted {
            // The tombstone replaces the replica, so this node remembers the deletion.
            return Some(Effect::Adopt {
                record: Arc::clone(record),
                role: Role::Replica,
            });
        }
        let is_awaited = held.role == Role::Replica && record.layout.names(self.id);
        // What belongs on this node too and is not here yet is waited for.
        (!is_awaited).then(|| Effect::Drop {
            key: record.key.clone(),
            version: held.record.version,
            role: held.role,
        })
    }

    /// The holding of a file if it may be served: not deleted, and no newer version is known. What is only hearsay
    /// takes no replica out of service, unless it is unverified.
    #[must_use]
    pub fn current(&self, key: &Key) -> Option<&Holding> {
        let holding = self.holdings.find(key)?;
        let file = key.file_id();
        let floor = match holding.role {
            Role::Replica if !self.is_unverified(key) => self.floors.confirmed(file),
            _ => self.floors.of(file),
        };
        let floor = floor.map(|heard| heard.version);
        (!holding.record.deleted && Some(holding.record.version) >= floor).then_some(holding)
    }

    /// A copy that is not served because a greater version is known, here or to the asking node with that floor, and
    /// no deletion of it is confirmed. It is kept until the greater version is durable elsewhere, and can still be
    /// read if that never happens: a replica, or a cached copy as long as no holder has confirmed the greater
    /// version.
    #[must_use]
    pub fn overtaken(&self, key: &Key, floor: Option<Version>) -> Option<&Holding> {
        let holding = self.holdings.find(key)?;
        let confirmed = self.floors.confirmed(key.file_id());
        let heard = match holding.role {
            Role::Replica => confirmed,
            Role::Cached => self.floors.of(key.file_id()),
        };
        let heard = Heard::merged([heard, floor.map(Heard::alive)])?;
        let version = holding.record.version;
        let is_sound = !holding.record.deleted
            && !self.is_unverified(key)
            && (holding.role == Role::Replica
                || confirmed.is_none_or(|floor| floor.version <= version));
        let is_deleted = confirmed.and_then(|floor| floor.buried) >= Some(version);
        (is_sound && version < heard.version && !is_deleted).then_some(holding)
    }

    /// An unverified copy is reported as a cached copy that was never confirmed.
    fn hit_of(&self, holding: &Holding, now: Millis) -> Hit {
        let (role, validated_age_ms) = match holding.role {
            _ if self.is_unverified(&holding.record.key) => {
                (Role::Cached, limits::UNVERIFIED_AGE_MS)
            }
            Role::Replica => (Role::Replica, 0),
            Role::Cached => (Role::Cached, now.saturating_sub(holding.validated)),
        };
        Hit {
            record: Arc::clone(&holding.record),
            role,
            validated_age_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Digest;

    const ME: u128 = 1;

    fn record(key: &str, stamp: u64, counter: u64, holders: &[u128]) -> Arc<Record> {
        Arc::new(Record {
            version: version(stamp),
            layout: Layout {
                counter,
                author: NodeId::from(9),
                holders: holders.iter().map(|id| NodeId::from(*id)).collect(),
            },
            deleted: false,
            size: 3,
            digest: Digest::of(b"abc"),
            content_type: "text/plain".into(),
            factor: 2,
            key: Key::parse(key).expect("it is a key"),
        })
    }

    fn version(stamp: u64) -> Version {
        Version {
            stamp: Stamp(stamp),
            writer: NodeId::from(9),
        }
    }

    fn holding(record: Arc<Record>, role: Role, validated: Millis) -> Holding {
        Holding {
            record,
            role,
            validated,
            verified: 0,
        }
    }

    fn node(held: Vec<Holding>) -> Node {
        Node::new(NodeId::from(ME), Stamp::default(), held)
    }

    fn key(text: &str) -> Key {
        Key::parse(text).expect("it is a key")
    }

    #[test]
    fn a_replica_is_served_and_a_cached_copy_only_while_it_is_fresh() {
        let replica = holding(record("a/r", 1, 0, &[ME]), Role::Replica, 0);
        let cached = holding(record("a/c", 1, 0, &[7]), Role::Cached, 1_000);
        let node = node(vec![replica.clone(), cached.clone()]);
        let read = |name: &str, now| node.read(&key(name), now, 3_000);
        assert_eq!(read("a/r", 99_000), LocalRead::Serve(replica));
        assert_eq!(read("a/c", 4_000), LocalRead::Serve(cached.clone()));
        assert_eq!(read("a/c", 4_001), LocalRead::Confirm(cached));
        assert_eq!(read("a/none", 0), LocalRead::Search { floor: None });
    }

    #[test]
    fn what_is_held_after_something_greater_was_announced_came_late() {
        let old = record("a/x", 4, 0, &[ME]);
        let mut node = node(vec![holding(Arc::clone(&old), Role::Replica, 0)]);
        assert!(!node.came_late(&old));
        // That a greater version exists somewhere is no reason to release: it may not be durable.
        node.hear(&key("a/x"), Heard::of(&record("a/x", 5, 0, &[7])));
        let _ = node.learn(&record("a/y", 9, 0, &[7]));
        let _ = node.learn(&record("a/x", 4, 1, &[ME, 7]));
        assert!(!node.came_late(&old));
        let _ = node.learn(&record("a/x", 5, 0, &[7]));
        assert!(node.came_late(&old));
        assert!(
            !node.came_late(&record("a/x", 3, 0, &[ME])),
            "it is not held"
        );
    }

    #[test]
    fn nothing_below_the_floor_is_served_or_answered() {
        let old = record("a/x", 1, 0, &[ME]);
        let mut node = node(vec![holding(old, Role::Replica, 0)]);
        node.confirm(&key("a/x"), Heard::alive(version(2)));
        let floor = Some(version(2));
        assert_eq!(node.read(&key("a/x"), 0, 0), LocalRead::Search { floor });
        let answer = node.answer(&key("a/x"), None, 0, 0, Vec::new());
        let known = answer.known.map(|heard| heard.version);
        assert_eq!((answer.hits.len(), known), (0, floor));
        let pattern = Pattern::parse("a/x").expect("it is a pattern");
        assert!(node.scan(&pattern, None, 10, 0).items.is_empty());
    }

    #[test]
    fn the_word_of_another_node_takes_no_replica_out_of_service() {
        let old = record("a/x", 1, 0, &[ME]);
        let read = |role, heard: Heard| {
            let mut node = node(vec![holding(Arc::clone(&old), role, 0)]);
            assert!(node.hear(&key("a/x"), heard));
            let answer = node.answer(&key("a/x"), None, 0, 0, Vec::new());
            let known = answer.known.map(|heard| heard.version);
            let read = node.read(&key("a/x"), 0, 0);
            let is_served = matches!(read, LocalRead::Serve(_));
            (is_served, answer.hits.len(), known)
        };
        for heard in [Heard::alive(version(2)), Heard::deletion(version(2))] {
            assert_eq!(read(Role::Replica, heard), (true, 1, Some(version(1))));
            // A cached copy is only a hint at where the newest version is.
            assert_eq!(read(Role::Cached, heard), (false, 0, Some(version(2))));
        }
        let mut node = node(vec![holding(old, Role::Cached, 0)]);
        node.hear(&key("a/x"), Heard::alive(version(2)));
        node.disprove(&key("a/x"), version(2));
        assert!(node.current(&key("a/x")).is_some());
    }

    #[test]
    fn a_replica_that_was_overtaken_is_told_of_unless_the_file_was_deleted() {
        let old = record("a/x", 1, 0, &[ME]);
        let overtaken = |role: Role, heard: Heard| {
            let mut node = node(vec![holding(Arc::clone(&old), role, 0)]);
            node.confirm(&key("a/x"), heard);
            let answer = node.answer(&key("a/x"), None, 0, 0, Vec::new());
            assert_eq!((answer.hits.len(), answer.known), (0, Some(heard)));
            answer.overtaken.map(|hit| hit.record)
        };
        let newer = Heard::alive(version(2));
        assert_eq!(overtaken(Role::Replica, newer), Some(Arc::clone(&old)));
        assert_eq!(overtaken(Role::Cached, newer), None);
        assert_eq!(overtaken(Role::Replica, Heard::deletion(version(2))), None);
        // Only the asking node has heard of the greater version.
        let node = node(vec![holding(Arc::clone(&old), Role::Replica, 0)]);
        let answer = node.answer(&key("a/x"), Some(version(2)), 0, 0, Vec::new());
        assert!(answer.hits.is_empty() && answer.overtaken.is_some());
        let written_anew = Heard::alive(version(3)).and(Heard::deletion(version(2)));
        assert_eq!(overtaken(Role::Replica, written_anew), None);
    }

    #[test]
    fn a_probe_is_answered_with_no_less_than_the_askers_floor() {
        let node = node(vec![holding(record("a/x", 5, 0, &[ME]), Role::Replica, 0)]);
        let hits = |floor| {
            let floor = Some(version(floor));
            node.answer(&key("a/x"), floor, 0, 0, Vec::new()).hits.len()
        };
        assert_eq!((hits(4), hits(5), hits(6)), (1, 1, 0));
    }

    #[test]
    fn what_is_held_goes_for_this_nodes_own_greater_version_and_not_for_an_announced_one() {
        let node = || node(vec![holding(record("a/x", 1, 0, &[ME]), Role::Replica, 0)]);
        let newer = record("a/x", 2, 0, &[7]);
        let announced = Effect::Announce {
            record: Arc::clone(&newer),
        };
        let verified = Effect::Verify {
            record: Arc::clone(&newer),
        };
        assert_eq!(node().learn(&newer), [announced.clone(), verified.clone()]);
        let dropped = Effect::Drop {
            key: key("a/x"),
            version: version(1),
            role: Role::Replica,
        };
        // Where one other node alone has confirmed it, that one must show it first.
        let mut alone = node();
        assert_eq!(alone.learn_own(&newer), [announced, verified]);
        let confirmed_by_two = record("a/x", 2, 0, &[7, 8]);
        let announced = Effect::Announce {
            record: Arc::clone(&confirmed_by_two),
        };
        let mut node = node();
        assert_eq!(node.learn_own(&confirmed_by_two), [announced, dropped]);
        for node in [alone, node] {
            let read = node.read(&key("a/x"), 0, 0);
            assert!(matches!(read, LocalRead::Search { .. }), "{read:?}");
        }
    }

    #[test]
    fn a_replica_stays_until_the_greater_version_that_is_to_be_here_is_here() {
        let replacement = |role, record: &Arc<Record>| {
            let held = holding(super::tests::record("a/x", 1, 0, &[ME]), role, 0);
            node(vec![held]).replacement(record)
        };
        let dropped = Some(Effect::Drop {
            key: key("a/x"),
            version: version(1),
            role: Role::Cached,
        });
        let write = record("a/x", 2, 1, &[7, ME]);
        assert_eq!(replacement(Role::Replica, &write), None);
        assert_eq!(replacement(Role::Cached, &write), dropped);
        // What is held here has come while the holders of this one were asked.
        let no_newer = record("a/x", 1, 0, &[7]);
        assert_eq!(replacement(Role::Replica, &no_newer), None);
        let gone = Arc::new(Record {
            deleted: true,
            ..Record::clone(&write)
        });
        let adopted = Some(Effect::Adopt {
            record: Arc::clone(&gone),
            role: Role::Replica,
        });
        assert_eq!(replacement(Role::Replica, &gone), adopted);
        assert_eq!(replacement(Role::Cached, &gone), dropped);
    }

    #[test]
    fn an_announcement_is_passed_on_once() {
        let mut node = node(Vec::new());
        assert_eq!(node.learn(&record("a/x", 2, 0, &[7])).len(), 1);
        assert_eq!(node.learn(&record("a/x", 2, 0, &[7])).len(), 0);
        assert_eq!(node.learn(&record("a/x", 2, 1, &[8])).len(), 1);
    }

    #[test]
    fn a_newer_layout_is_adopted_and_the_holders_of_one_that_leaves_a_replica_out_are_asked() {
        let react = |role, holders: &[u128]| {
            let mut node = node(vec![holding(record("a/x", 1, 0, &[ME]), role, 0)]);
            node.learn(&record("a/x", 1, 1, holders)).pop()
        };
        let adopted = |role, holders: &[u128]| {
            Some(Effect::Adopt {
                record: record("a/x", 1, 1, holders),
                role,
            })
        };
        let both = &[ME, 7];
        assert_eq!(react(Role::Replica, both), adopted(Role::Replica, both));
        assert_eq!(react(Role::Cached, both), adopted(Role::Replica, both));
        assert_eq!(react(Role::Cached, &[7]), adopted(Role::Cached, &[7]));
        let verified = Effect::Verify {
            record: record("a/x", 1, 1, &[7]),
        };
        assert_eq!(react(Role::Replica, &[7]), Some(verified));
    }

    #[test]
    fn a_dropped_file_leaves_its_version_as_the_floor() {
        let mut node = node(vec![holding(record("a/x", 4, 0, &[7]), Role::Cached, 0)]);
        node.changed(&key("a/x"), None);
        let floor = Some(version(4));
        assert_eq!(node.read(&key("a/x"), 0, 0), LocalRead::Search { floor });
    }

    #[test]
    fn a_change_of_the_same_version_keeps_what_was_confirmed() {
        let cached = holding(record("a/x", 4, 0, &[7]), Role::Cached, 0);
        let mut node = node(vec![cached.clone()]);
        node.validated(&key("a/x"), version(4), 1_000);
        node.changed(&key("a/x"), Some(&cached));
        let read = node.read(&key("a/x"), 1_500, 3_000);
        assert!(matches!(read, LocalRead::Serve(_)), "{read:?}");
    }

    #[test]
    fn a_scan_goes_on_where_it_stopped() {
        let held = (0..limits::SCAN_KEYS_MAX + 5)
            .map(|at| holding(record(&format!("a/{at:05}"), 1, 0, &[ME]), Role::Replica, 0))
            .chain([holding(record("b/x", 1, 0, &[ME]), Role::Replica, 0)]);
        let node = node(held.collect());
        let pattern = Pattern::parse("a/*").expect("it is a pattern");
        let first = node.scan(&pattern, None, usize::MAX, 0);
        assert_eq!(first.items.len(), limits::SCAN_KEYS_MAX);
        let second = node.scan(&pattern, first.resume_after.as_ref(), usize::MAX, 0);
        assert_eq!((second.items.len(), second.resume_after), (5, None));
        assert_eq!(node.scan(&pattern, None, 7, 0).items.len(), 7);
    }
}
