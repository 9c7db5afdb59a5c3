//! `Cache`: a byte budget over cached copies, and the conversation about them with an eviction policy.
//!
//! Replicas are never in the cache, so no verdict can name one. The cache holds no content: the driver deletes the
//! content of every [`Victim`].
//!
//! A policy may take a hundred milliseconds to answer, and reads of local files must not wait for it. An admission
//! therefore takes three steps. [`Cache::ask_admit`] produces a [`Question`] under the cache's lock. The question
//! is put to the policy without the lock. [`Cache::settle`] checks the verdict and applies it under the lock
//! again. In the meantime copies may be read, removed and, by the baseline, admitted; the cache logs these events
//! in order and delivers them with the next question.
//!
//! The *baseline* is implemented here: least recently used first, in the cache's own order of last use. It answers
//! when no policy follows the cache, when the policy is busy, and after every fault.
//!
//! A policy *follows* the cache from [`Cache::hand_over`] on. A slot means the same copy to both sides: it is
//! resident from the moment that the policy admits it, and it is reused only after the policy named it as a
//! victim, refused it, was told that it was removed, or was never told of it.
//!
//! Copies are identified by a [`Name`]: a key on a node, a number in the lab.
//!
//! `question` holds the questions and answers, `settle` checks and applies verdicts, `slots` is the table of
//! copies, `log` records what the policy has not been told yet, `name` defines [`Name`].

use crate::id::FileId;
use crate::key::Key;
use crate::policy::Eviction;
use crate::version::{Millis, Version};

mod log;
mod name;
mod question;
mod settle;
mod slots;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

pub use name::{Folded, Name};
pub use question::{CacheOutcome, Gist, Handover, Next, Question, Step, Verdict, Victim};

use log::{Log, Pending};
use question::Incoming;
use slots::Slots;

/// A copy that is cached, or that might be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedCopy<K = Key> {
    /// The file.
    pub key: K,
    /// The file's id.
    pub file: FileId,
    /// Its version.
    pub version: Version,
    /// Bytes.
    pub size: u64,
    /// Hops over which it was fetched.
    pub cost: u32,
}

impl<K: Name> CachedCopy<K> {
    /// A copy of this version of the file with this key.
    #[must_use]
    pub fn of(key: K, version: Version, size: u64, cost: u32) -> Self {
        Self {
            file: key.file_id(),
            key,
            version,
            size,
            cost,
        }
    }
}

/// A byte budget over cached copies.
///
/// The copies never grow beyond the budget. They exceed it only after the budget was lowered, until space is freed
/// ([`Cache::ask_room`]).
pub struct Cache<K: Name = Key> {
    capacity: u64,
    slots: Slots<K>,
    log: Log,
    follower: Option<Follower<K>>,
    /// Questions asked so far, used to number them.
    questions: u64,
}

/// The cache's state for the policy that follows it.
struct Follower<K> {
    /// The budget has changed since the policy was last told.
    capacity_due: bool,
    asking: Option<Asking<K>>,
}

/// The question in progress.
struct Asking<K> {
    number: u64,
    /// The copy that it is about.
    incoming: Option<(K, Version)>,
    /// That copy was removed before it was admitted.
    withdrawn: bool,
}

impl<K: Name> Cache<K> {
    /// An empty cache with this budget in bytes, followed by no policy.
    #[must_use]
    pub fn new(capacity: u64) -> Self {
        Self {
            capacity,
            slots: Slots::new(),
            log: Log::default(),
            follower: None,
            questions: 0,
        }
    }

    /// The budget in bytes.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Bytes of all cached copies.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.slots.bytes()
    }

    /// The number of cached copies.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.cached()
    }

    /// Whether the cache is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The cached version of this file.
    #[must_use]
    pub fn version_of(&self, key: &K) -> Option<Version> {
        self.copy_of(key).map(|copy| copy.version)
    }

    /// The cached copy of this file.
    #[must_use]
    pub fn copy_of(&self, key: &K) -> Option<&CachedCopy<K>> {
        let cached = self.slots.cached_at(self.slots.find(key)?)?;
        Some(&cached.copy)
    }

    /// All cached copies, least recently used first, with the time of last use.
    pub fn copies(&self) -> impl Iterator<Item = (&CachedCopy<K>, Millis)> {
        self.slots
            .coldest_first()
            .map(|(_, cached)| (&cached.copy, cached.used_at))
    }

    /// Whether a policy follows the cache. If not, the baseline answers every question. A policy needs a handover
    /// ([`Cache::hand_over`]) before it can be asked.
    #[must_use]
    pub fn is_followed(&self) -> bool {
        self.follower.is_some()
    }

    /// Changes the budget. Evicts nothing: call [`Cache::ask_room`] afterwards.
    pub fn set_capacity(&mut self, bytes: u64) {
        if let Some(follower) = &mut self.follower {
            follower.capacity_due |= bytes != self.capacity;
        }
        self.capacity = bytes;
    }

    /// Adds a copy that already exists on disk, as the most recently used. Called when a node starts, least
    /// recently used first. Returns false, and changes nothing, when the file is already cached or the cache has
    /// no free slot. The budget may be exceeded; call [`Cache::ask_room`] afterwards.
    pub fn adopt(&mut self, copy: CachedCopy<K>, used_at: Millis) -> bool {
        if self.slots.find(&copy.key).is_some() {
            return false;
        }
        let Some(slot) = self.slots.offer() else {
            return false;
        };
        self.slots.fill(slot, copy, used_at, false);
        if self.is_followed() {
            self.log.turn(slot, Pending::Cached, &self.slots);
        }
        true
    }

    /// Records a read of the cached copy of this file. False when it is not cached. Constant time.
    pub fn hit(&mut self, key: &K, now: Millis) -> bool {
        let Some(slot) = self.slots.find(key) else {
            return false;
        };
        self.slots.touch(slot, now);
        if self.is_followed() {
            self.log.hit(slot, &self.slots);
        }
        true
    }

    /// Removes the cached copy of this version because it was deleted, overwritten, became a replica, or its fetch
    /// failed. False when that version is not cached. If a question about this copy is in progress, the copy will
    /// not be admitted.
    pub fn remove(&mut self, key: &K, version: Version) -> bool {
        let asking = self.follower.as_mut().and_then(|it| it.asking.as_mut());
        if let Some(asking) = asking
            && let Some(incoming) = &asking.incoming
        {
            asking.withdrawn |= (&incoming.0, incoming.1) == (key, version);
        }
        match self.slots.find(key) {
            Some(slot) if self.version_of(key) == Some(version) => {
                self.expel(slot);
                true
            }
            _ => false,
        }
    }

    /// Hands over to a policy that knows nothing yet. The policy follows the cache from now on, and events are
    /// logged for it. Put the handover to the policy before the first question. The previous policy stops
    /// following; a question still open with it is answered by the baseline when it is settled.
    pub fn hand_over(&mut self) -> Handover {
        self.dismiss();
        self.follower = Some(Follower {
            capacity_due: false,
            asking: None,
        });
        let entries: Vec<_> = self
            .slots
            .coldest_first()
            .map(|(slot, cached)| log::entry(slot, cached))
            .collect();
        for entry in &entries {
            self.slots.tell(entry.slot);
        }
        Handover {
            capacity: self.capacity,
            entries,
        }
    }

    /// Detaches the policy because it failed, was suspended or was replaced.
    pub fn dismiss(&mut self) {
        self.follower = None;
        self.log.clear();
        self.slots.release_all_but_cached();
    }

    /// Asks whether this copy may be cached and what to evict for it.
    ///
    /// Answered immediately in these cases: yes when this version is already cached; no when a newer version is
    /// cached, when the copy is larger than the whole budget, or when no slot is free; by the baseline when no
    /// policy follows. An older version of the file leaves the cache in every case.
    pub fn ask_admit(&mut self, copy: CachedCopy<K>, now: Millis) -> Step<K> {
        if !self.can_ask() {
            return self.admit_by_baseline(copy, now);
        }
        let mut victims = Vec::new();
        if let Some(admitted) = self.give_way(&copy, &mut victims) {
            return Step::done(victims, admitted);
        }
        match self.slots.offer() {
            None => Step::done(victims, false),
            Some(slot) => {
                let incoming = Incoming {
                    slot,
                    copy,
                    admitted: false,
                };
                let question = self.question(Some(incoming), 0, 0, now);
                Step::ask(victims, question)
            }
        }
    }

    /// Asks what to evict to free this many bytes, or more if the cache exceeds its budget by more, up to
    /// everything. `ask_room(0, …)` brings the cache back within its budget.
    ///
    /// The next admission may use the freed bytes, so lower the budget first if they are meant for something else.
    pub fn ask_room(&mut self, bytes: u64, now: Millis) -> Step<K> {
        if self.short(0, bytes) == 0 {
            return Step::done(Vec::new(), false);
        }
        if !self.can_ask() {
            return self.make_room_by_baseline(bytes);
        }
        let question = self.question(None, bytes, 0, now);
        Step::ask(Vec::new(), question)
    }

    /// [`Cache::ask_admit`] from beginning to end, for drivers that need no lock. Without a policy the baseline
    /// answers; a policy that follows is told of the outcome later, so `None` may be passed while it is busy.
    ///
    /// A policy that does not follow yet gets a handover first. A policy that failed no longer follows: pass a new
    /// instance next time.
    pub fn admit(
        &mut self,
        policy: Option<&mut dyn Eviction>,
        copy: CachedCopy<K>,
        now: Millis,
    ) -> CacheOutcome<K> {
        match policy {
            None => {
                CacheOutcome::default()
                    .after(self.admit_by_baseline(copy, now))
                    .0
            }
            Some(policy) => {
                let fault = self.make_follow(policy);
                let first = self.ask_admit(copy, now);
                self.converse(policy, first, fault)
            }
        }
    }

    /// [`Cache::ask_room`] from beginning to end; see [`Cache::admit`].
    pub fn make_room(
        &mut self,
        policy: Option<&mut dyn Eviction>,
        bytes: u64,
        now: Millis,
    ) -> CacheOutcome<K> {
        match policy {
            None => {
                CacheOutcome::default()
                    .after(self.make_room_by_baseline(bytes))
                    .0
            }
            Some(policy) => {
                let fault = self.make_follow(policy);
                let first = self.ask_room(bytes, now);
                self.converse(policy, first, fault)
            }
        }
    }
}
