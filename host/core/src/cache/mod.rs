//! `Cache`: a byte budget over cached copies, and what an eviction policy is told and asked of them.
//!
//! Replicas are never in it, so no verdict can name one. It holds no content: whoever drives it drops the
//! content of every [`Victim`].
//!
//! A policy may think for a hundred milliseconds, and reads of local files must not wait for that. So an
//! admission goes in three steps: [`Cache::ask_admit`] takes a [`Question`] out under the cache's lock, the
//! question is put to the policy without it, and [`Cache::settle`] checks the verdict and applies it under
//! the lock again. In between, copies may be read, removed and, by the baseline, admitted; the cache keeps
//! what the policy has to hear of it in order, for the next question.
//!
//! The *baseline* lives here: coldest first in the cache's own order of last use (least recently used). It
//! answers when no policy follows the cache, when the policy is busy elsewhere and whenever it faults.
//!
//! A policy *follows* the cache from [`Cache::hand_over`] on. A slot means the same copy to both: resident
//! from the moment that the policy admits it, given out again only when the policy named it as a victim,
//! refused it, has been told that it was removed, or never heard of it.
//!
//! Copies go by a [`Name`]: a key on a node, a number in the lab.

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

/// A copy that is cached or might be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedCopy<K = Key> {
    /// The file.
    pub key: K,
    /// The file's id.
    pub file: FileId,
    /// Which version of it.
    pub version: Version,
    /// Bytes.
    pub size: u64,
    /// Hops it was fetched over.
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
/// Their bytes never grow beyond the budget. They exceed it only when the budget shrinks, until room is
/// made ([`Cache::ask_room`]).
pub struct Cache<K: Name = Key> {
    capacity: u64,
    slots: Slots<K>,
    log: Log,
    follower: Option<Follower<K>>,
    /// Questions asked so far: numbers them.
    questions: u64,
}

/// What the cache knows of the policy that follows it.
struct Follower<K> {
    /// The budget has changed since the policy was told.
    capacity_due: bool,
    asking: Option<Asking<K>>,
}

/// The question under way.
struct Asking<K> {
    number: u64,
    /// What it is about.
    incoming: Option<(K, Version)>,
    /// That copy was removed before it was admitted.
    withdrawn: bool,
}

impl<K: Name> Cache<K> {
    /// An empty cache with this many bytes that no policy follows.
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

    /// Bytes of the cached copies.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.slots.bytes()
    }

    /// How many copies are cached.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.cached()
    }

    /// Whether nothing is cached.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The version of this file that is cached.
    #[must_use]
    pub fn version_of(&self, key: &K) -> Option<Version> {
        self.copy_of(key).map(|copy| copy.version)
    }

    /// The copy of this file that is cached.
    #[must_use]
    pub fn copy_of(&self, key: &K) -> Option<&CachedCopy<K>> {
        let cached = self.slots.cached_at(self.slots.find(key)?)?;
        Some(&cached.copy)
    }

    /// What is cached, coldest first, with the time of its last use.
    pub fn copies(&self) -> impl Iterator<Item = (&CachedCopy<K>, Millis)> {
        self.slots
            .coldest_first()
            .map(|(_, cached)| (&cached.copy, cached.used_at))
    }

    /// Whether a policy follows the cache. If not, the baseline answers every question; a policy must be
    /// handed over to before it is asked.
    #[must_use]
    pub fn is_followed(&self) -> bool {
        self.follower.is_some()
    }

    /// Changes the budget. Nothing leaves for it: ask for room afterwards.
    pub fn set_capacity(&mut self, bytes: u64) {
        if let Some(follower) = &mut self.follower {
            follower.capacity_due |= bytes != self.capacity;
        }
        self.capacity = bytes;
    }

    /// Takes up a copy that is there already, as the one used last: at the start of a node, coldest first.
    /// False, and nothing changed, when the file is cached already or there are too many copies. The
    /// budget may be exceeded; ask for room afterwards.
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

    /// Notes that the cached copy of this file is read. False when there is none. Constant time.
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

    /// Forgets the cached copy of this version: it was deleted, overwritten, its fetch failed, or it was
    /// made a replica. False when that version is not cached. If it is just being asked about, it will not
    /// be admitted.
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

    /// Hands over to a policy that knows nothing yet: it follows the cache from now on, and what happens
    /// is kept for it. Put the handover to it before the first question. Whoever followed before does no
    /// more; a question that it was asked is answered by the baseline when it is settled.
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

    /// No policy follows the cache any more: it failed, is suspended, or was replaced.
    pub fn dismiss(&mut self) {
        self.follower = None;
        self.log.clear();
        self.slots.release_all_but_cached();
    }

    /// Asks whether this copy may be cached and what goes for it.
    ///
    /// Answered at once when it is cached already (yes), when a newer version is, when it is larger than
    /// the whole budget or there are too many copies (no), and, by the baseline, when no policy follows.
    /// An older version of the file leaves the cache in any case.
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

    /// Asks what goes to free this many bytes, and more if the budget is exceeded by more: all there is at
    /// most. `ask_room(0, …)` brings the cache back within its budget.
    ///
    /// The freed bytes are free for the next admission again, so lower the budget first if they are for
    /// something else.
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

    /// The whole of [`Cache::ask_admit`], for drivers that need no lock. Without a policy the baseline
    /// answers; a policy that follows hears of it later, so it may be passed by while it is busy.
    ///
    /// A policy that does not follow yet is handed over to first. One that failed no longer follows: pass
    /// a new instance next time.
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

    /// The whole of [`Cache::ask_room`], as [`Cache::admit`] is that of `ask_admit`.
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
