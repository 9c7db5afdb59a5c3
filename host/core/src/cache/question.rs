//! What an eviction policy is asked, and how: a question is taken from the cache under its lock, put to the
//! policy without it, and settled under it again.

use std::fmt;

use super::CachedCopy;
use super::log::News;
use crate::key::Key;
use crate::limits;
use crate::policy::{Admission, CacheEntry, Eviction, Fault, Slot};
use crate::version::{Millis, Version};

/// Everything that a policy which takes over must know: the budget and what is cached.
#[derive(Debug)]
#[must_use = "the cache counts on the policy having been told"]
pub struct Handover {
    pub(super) capacity: u64,
    /// Coldest first.
    pub(super) entries: Vec<CacheEntry>,
}

impl Handover {
    /// Tells a policy that knows nothing yet.
    ///
    /// # Errors
    /// [`Fault`] when the policy fails; it must not be asked then ([`super::Cache::dismiss`]).
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
    /// The policy has admitted it; only room is lacking.
    pub(super) admitted: bool,
}

/// A question to the policy, with what it has to know before it can answer.
///
/// Put it to the policy without holding the cache's lock, then settle it. There is one at a time: whoever
/// asks has the policy to itself from [`super::Cache::ask_admit`] to [`super::Cache::settle`].
#[derive(Debug)]
#[must_use = "a question that is not settled leaves the policy out of step"]
pub struct Question<K = Key> {
    pub(super) number: u64,
    /// The budget, if the policy does not know it yet.
    pub(super) capacity: Option<u64>,
    pub(super) news: News,
    pub(super) incoming: Option<Incoming<K>>,
    /// Bytes to be freed, as far as was known when it was asked.
    pub(super) needed: u64,
    /// Bytes still to be freed for something that is not cached.
    pub(super) room: u64,
    /// How often the policy was asked before for the same thing.
    pub(super) round: u32,
    pub(super) now: Millis,
}

/// What the policy said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict(pub(super) Admission);

/// What a question is about, for whoever reads of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gist {
    /// Slot and bytes of the copy that may be cached.
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
    /// What it is about.
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

    /// Whether this slot's copy has been admitted and only waits for room.
    pub(super) fn waits_for_room(&self, slot: Slot) -> bool {
        self.incoming
            .as_ref()
            .is_some_and(|incoming| incoming.admitted && incoming.slot == slot)
    }

    /// Tells the policy what happened, in order, then asks it.
    ///
    /// # Errors
    /// [`Fault`] when the policy fails at any of it.
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

/// A cached copy that left the cache: its content is to be dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Victim<K = Key> {
    /// The file.
    pub key: K,
    /// Which version of it.
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

/// One step on the way to an answer.
#[derive(Debug)]
#[must_use = "victims are to be dropped, and a question is to be put"]
pub struct Step<K = Key> {
    /// What left the cache in this step; the content is to be dropped, whatever comes next.
    pub victims: Vec<Victim<K>>,
    /// What the policy did wrong, if the baseline answered in its stead.
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

/// What comes after a [`Step`].
#[derive(Debug)]
pub enum Next<K = Key> {
    /// The policy is to be asked.
    Ask(Question<K>),
    /// It is settled.
    Done {
        /// Whether the copy that it was about is cached from now on.
        admitted: bool,
    },
}

/// How the whole of it went, when one call did it all.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "victims are to be dropped"]
pub struct CacheOutcome<K = Key> {
    /// Whether the copy that it was about is cached from now on.
    pub admitted: bool,
    /// What left the cache; the content is to be dropped.
    pub victims: Vec<Victim<K>>,
    /// The first thing that the policy did wrong.
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
    /// This outcome and then that step, and the question that comes next.
    pub fn after(mut self, step: Step<K>) -> (Self, Option<Question<K>>) {
        let next = self.absorb(step);
        (self, next)
    }

    /// As [`CacheOutcome::after`], in place.
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
