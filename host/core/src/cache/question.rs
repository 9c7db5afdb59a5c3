//! The questions put to an eviction policy, and their answers: a question is taken from the cache under its lock,
//! put to the policy without the lock, and settled under the lock again.

use std::fmt;

use super::CachedCopy;
use super::log::News;
use crate::key::Key;
use crate::limits;
use crate::policy::{Admission, CacheEntry, Eviction, Fault, Slot};
use crate::version::{Millis, Version};

/// Everything that a policy must know when it takes over: the budget and the cached copies.
#[derive(Debug)]
#[must_use = "the cache assumes that the policy has been told"]
pub struct Handover {
    pub(super) capacity: u64,
    /// Least recently used first.
    pub(super) entries: Vec<CacheEntry>,
}

impl Handover {
    /// Tells a policy that knows nothing yet.
    ///
    /// # Errors
    /// [`Fault`] when the policy fails. Do not ask it anything then ([`super::Cache::dismiss`]).
    pub fn put_to(&self, policy: &mut dyn Eviction) -> Result<(), Fault> {
        policy.set_capacity(self.capacity)?;
        self.entries
            .chunks(limits::EVICTION_BATCH_MAX)
            .try_for_each(|batch| policy.restore(batch))
    }
}

/// The copy that a question is about.
#[derive(Debug)]
pub(super) struct Incoming<K> {
    pub(super) slot: Slot,
    pub(super) copy: CachedCopy<K>,
    /// The policy has admitted it; only space is missing.
    pub(super) admitted: bool,
}

/// A question to the policy, with everything that the policy has to be told before it can answer.
///
/// Put it to the policy without holding the cache's lock, then settle it. Only one question is open at a time: the
/// caller has exclusive use of the policy from [`super::Cache::ask_admit`] to [`super::Cache::settle`].
#[derive(Debug)]
#[must_use = "a question that is not settled leaves the policy out of step"]
pub struct Question<K = Key> {
    pub(super) number: u64,
    /// The budget, if it changed since the policy was last told.
    pub(super) capacity: Option<u64>,
    pub(super) news: News,
    pub(super) incoming: Option<Incoming<K>>,
    /// Bytes to free, as known when the question was made.
    pub(super) needed: u64,
    /// Bytes still to free for something that is not cached.
    pub(super) room: u64,
    /// How often the policy has already been asked for the same thing.
    pub(super) round: u32,
    pub(super) now: Millis,
}

/// The policy's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict(pub(super) Admission);

/// A short description of a question, for fault reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gist {
    /// Slot and bytes of the copy to be cached.
    incoming: Option<(Slot, u64)>,
    needed: u64,
    round: u32,
}

impl fmt::Display for Gist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let needed = self.needed;
        match self.incoming {
            Some((slot, size)) => {
                write!(f, "asked to admit {size} bytes in slot {slot}")?;
                if needed > 0 {
                    write!(f, " and to free {needed} bytes for them")?;
                }
            }
            None => write!(f, "asked to free {needed} bytes")?,
        }
        match self.round {
            0 => Ok(()),
            before => write!(f, ", after {before} rounds"),
        }
    }
}

impl<K> Question<K> {
    /// A short description, for fault reports.
    #[must_use]
    pub fn gist(&self) -> Gist {
        let incoming = self.incoming.as_ref().filter(|incoming| !incoming.admitted);
        Gist {
            incoming: incoming.map(|incoming| (incoming.slot, incoming.copy.size)),
            needed: self.needed,
            round: self.round,
        }
    }

    /// Bytes that the policy is asked to free; 0 when it is only asked whether a copy is worth caching.
    #[must_use]
    pub const fn needed(&self) -> u64 {
        self.needed
    }

    /// Whether the copy in this slot has been admitted and only waits for space.
    pub(super) fn waits_for_room(&self, slot: Slot) -> bool {
        self.incoming
            .as_ref()
            .is_some_and(|incoming| incoming.admitted && incoming.slot == slot)
    }

    /// Tells the policy what happened, in order, then asks it.
    ///
    /// # Errors
    /// [`Fault`] when any of these calls fails.
    pub fn put_to(&self, policy: &mut dyn Eviction) -> Result<Verdict, Fault> {
        if let Some(capacity) = self.capacity {
            policy.set_capacity(capacity)?;
        }
        self.news.put_to(policy)?;
        match &self.incoming {
            Some(incoming) if !incoming.admitted => {
                let entry = CacheEntry {
                    slot: incoming.slot,
                    file: incoming.copy.file.0,
                    size: incoming.copy.size,
                    cost: incoming.copy.cost,
                    now: self.now,
                };
                policy.admit(entry, self.needed).map(Verdict)
            }
            _ => policy
                .make_room(self.needed, self.now)
                .map(|victims| Verdict(Admission::Admit(victims))),
        }
    }
}

/// A cached copy that left the cache. The driver deletes its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Victim<K = Key> {
    /// The file.
    pub key: K,
    /// Its version.
    pub version: Version,
    /// Bytes.
    pub size: u64,
}

impl<K> From<CachedCopy<K>> for Victim<K> {
    fn from(copy: CachedCopy<K>) -> Self {
        Self {
            key: copy.key,
            version: copy.version,
            size: copy.size,
        }
    }
}

/// One step towards an answer.
#[derive(Debug)]
#[must_use = "the content of victims must be deleted, and a question must be asked"]
pub struct Step<K = Key> {
    /// What left the cache in this step. Delete the content whatever comes next.
    pub victims: Vec<Victim<K>>,
    /// The policy's fault, if the baseline answered instead.
    pub fault: Option<Fault>,
    /// What comes next.
    pub next: Next<K>,
}

impl<K> Step<K> {
    pub(super) fn done(victims: Vec<Victim<K>>, admitted: bool) -> Self {
        Self {
            victims,
            fault: None,
            next: Next::Done { admitted },
        }
    }

    pub(super) fn ask(victims: Vec<Victim<K>>, question: Question<K>) -> Self {
        Self {
            victims,
            fault: None,
            next: Next::Ask(question),
        }
    }

    pub(super) fn with(self, fault: Option<Fault>) -> Self {
        Self { fault, ..self }
    }
}

/// What follows a [`Step`].
#[derive(Debug)]
pub enum Next<K = Key> {
    /// Ask the policy this.
    Ask(Question<K>),
    /// The question is settled.
    Done {
        /// Whether the copy in question is cached now.
        admitted: bool,
    },
}

/// The overall outcome, when one call went through all steps.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the content of victims must be deleted"]
pub struct CacheOutcome<K = Key> {
    /// Whether the copy in question is cached now.
    pub admitted: bool,
    /// What left the cache. Delete the content.
    pub victims: Vec<Victim<K>>,
    /// The policy's first fault.
    pub fault: Option<Fault>,
}

impl<K> Default for CacheOutcome<K> {
    fn default() -> Self {
        Self {
            admitted: false,
            victims: Vec::new(),
            fault: None,
        }
    }
}

impl<K> CacheOutcome<K> {
    /// Adds a step to this outcome; returns it with the next question, if there is one.
    pub fn after(mut self, step: Step<K>) -> (Self, Option<Question<K>>) {
        let next = self.absorb(step);
        (self, next)
    }

    /// [`CacheOutcome::after`], in place.
    pub(super) fn absorb(&mut self, step: Step<K>) -> Option<Question<K>> {
        if self.victims.is_empty() {
            self.victims = step.victims;
        } else {
            self.victims.extend(step.victims);
        }
        if self.fault.is_none() {
            self.fault = step.fault;
        }
        match step.next {
            Next::Ask(question) => Some(question),
            Next::Done { admitted } => {
                self.admitted = admitted;
                None
            }
        }
    }
}
