//! Makes questions, checks verdicts, applies them, and gives the baseline's answers.

use std::collections::BTreeSet;

use super::log::Pending;
use super::question::Incoming;
use super::slots::SlotPlace;
use super::{Asking, Cache, CacheOutcome, CachedCopy, Name, Question, Step, Verdict, Victim};
use crate::limits;
use crate::policy::{Admission, Eviction, Fault, Slot};
use crate::version::Millis;

/// In a verdict of at most this many slots, duplicates are found by comparing with all slots before it.
const FEW: usize = 32;

impl<K: Name> Cache<K> {
    /// Checks the policy's verdict and applies it. Afterwards the question is answered, or the same policy is to
    /// be asked again for the bytes still missing.
    ///
    /// Victims have left the cache when this returns. The baseline answers after a fault. If the policy itself
    /// failed ([`FaultKind::ends_instance`](crate::policy::FaultKind::ends_instance)), no policy follows the cache
    /// until the next [`Cache::hand_over`].
    pub fn settle(
        &mut self,
        mut question: Question<K>,
        verdict: Result<Verdict, Fault>,
    ) -> Step<K> {
        let Some(asking) = self.take_asking(question.number) else {
            // The policy was dismissed in the meantime, and its slots with it.
            return self.answer_by_baseline(question, None);
        };
        let told = std::mem::take(&mut question.news);
        told.removed().for_each(|slot| self.slots.release(slot));
        self.log.take_back(told);
        match verdict {
            Err(fault) => {
                self.dismiss();
                self.answer_by_baseline(question, Some(fault))
            }
            Ok(Verdict(Admission::Refuse)) => {
                if let Some(incoming) = question.incoming {
                    self.slots.release(incoming.slot);
                }
                Step::done(Vec::new(), false)
            }
            Ok(Verdict(Admission::Admit(named))) => self.apply(question, &asking, &named),
        }
    }

    /// Evicts the slots that the policy named. By naming them it has admitted the incoming copy, if there is one.
    fn apply(&mut self, mut question: Question<K>, asking: &Asking<K>, named: &[Slot]) -> Step<K> {
        let used_before = self.used();
        let (mut victims, fault) = match self.check(&question, named) {
            Ok(withdrawn) => {
                if withdrawn && let Some(incoming) = question.incoming.take() {
                    self.slots.release(incoming.slot);
                }
                (self.drop_named(named), None)
            }
            Err(fault) => {
                self.set_aside(named);
                (Vec::new(), Some(fault))
            }
        };
        question.room = question
            .room
            .saturating_sub(used_before - self.slots.bytes());
        // The policy has admitted the copy, unless it named the copy's own slot as a victim.
        let knows_incoming = !question
            .incoming
            .as_ref()
            .is_some_and(|incoming| named.contains(&incoming.slot));
        if let Some(incoming) = &mut question.incoming {
            incoming.admitted = true;
            let refused = match self.give_way(&incoming.copy, &mut victims) {
                None if asking.withdrawn => Some(false),
                answer => answer,
            };
            if let Some(admitted) = refused {
                self.refuse_admitted(incoming.slot, knows_incoming);
                return Step::done(victims, admitted).with(fault);
            }
        }
        let size = question
            .incoming
            .as_ref()
            .map_or(0, |incoming| incoming.copy.size);
        let short = self.short(size, question.room);
        let round = question.round + 1;
        if short > 0 && fault.is_none() && round < limits::EVICTION_ROUNDS_MAX {
            let again = self.question(question.incoming, question.room, round, question.now);
            return Step::ask(victims, again);
        }
        self.drop_coldest(short, &mut victims);
        let admitted = question.incoming.is_some();
        if let Some(Incoming { slot, copy, .. }) = question.incoming {
            self.slots.fill(slot, copy, question.now, knows_incoming);
            if !knows_incoming {
                self.log.turn(slot, Pending::Cached, &self.slots);
            }
        }
        Step::done(victims, admitted).with(fault)
    }

    /// Checks a verdict. For a valid one, returns whether the policy gave up the incoming copy that it had
    /// admitted.
    ///
    /// Slots are judged as they were when the policy was asked, because it knows of no later change.
    fn check(&self, question: &Question<K>, named: &[Slot]) -> Result<bool, Fault> {
        let wrong = |reason: String| Err(Fault::verdict(reason));
        if named.len() > limits::VERDICT_ENTRIES_MAX {
            let max = limits::VERDICT_ENTRIES_MAX;
            return wrong(format!(
                "it names {} slots; at most {max} are allowed",
                named.len()
            ));
        }
        let mut many = BTreeSet::new();
        let (mut freed, mut gone, mut withdrawn) = (0, false, false);
        for (place, &slot) in named.iter().enumerate() {
            let twice = match named.len() {
                ..=FEW => named[..place].contains(&slot),
                _ => !many.insert(slot),
            };
            if twice {
                return wrong(format!("slot {slot} is named twice"));
            }
            match self.slots.place(slot) {
                Some(SlotPlace::Cached(cached)) if cached.told => freed += cached.copy.size,
                // Removed since the policy was asked.
                Some(SlotPlace::Leaving { told: false }) => gone = true,
                Some(SlotPlace::Offered) if question.waits_for_room(slot) => withdrawn = true,
                _ => return wrong(format!("slot {slot} holds no cached copy")),
            }
        }
        let in_vain = freed == 0 && !gone && !withdrawn;
        if question.needed > 0 && in_vain {
            let needed = question.needed;
            return wrong(format!(
                "it frees none of the {needed} bytes that are needed"
            ));
        }
        Ok(withdrawn)
    }

    /// Evicts what the policy named. The policy need not be told, so the slots are free immediately.
    fn drop_named(&mut self, named: &[Slot]) -> Vec<Victim<K>> {
        for &slot in named {
            if let Some(SlotPlace::Leaving { .. }) = self.slots.place(slot) {
                self.slots.release(slot);
            }
        }
        let mut victims = Vec::with_capacity(named.len());
        for &slot in named {
            if self.slots.cached_at(slot).is_some() {
                victims.push(Victim::from(self.slots.take(slot)));
                self.slots.release(slot);
            }
        }
        victims
    }

    /// An invalid verdict changes nothing, but the policy now counts what it named as gone. Tells it again of the
    /// copies that stay.
    fn set_aside(&mut self, named: &[Slot]) {
        for &slot in named {
            match self.slots.place(slot) {
                Some(SlotPlace::Cached(cached)) if cached.told => {
                    self.slots.untell(slot);
                    self.log.turn(slot, Pending::Cached, &self.slots);
                }
                Some(SlotPlace::Leaving { told: false }) => self.slots.release(slot),
                _ => {}
            }
        }
    }

    /// Discards a copy that the policy admitted but that is not to be cached after all.
    fn refuse_admitted(&mut self, slot: Slot, known: bool) {
        if known {
            self.slots.leave(slot);
            self.log.turn(slot, Pending::Removed, &self.slots);
        } else {
            self.slots.release(slot);
        }
    }

    pub(super) fn admit_by_baseline(&mut self, copy: CachedCopy<K>, now: Millis) -> Step<K> {
        let mut victims = Vec::new();
        if let Some(admitted) = self.give_way(&copy, &mut victims) {
            return Step::done(victims, admitted);
        }
        let short = self.short(copy.size, 0);
        self.drop_coldest(short, &mut victims);
        let admitted = self.adopt(copy, now);
        Step::done(victims, admitted)
    }

    pub(super) fn make_room_by_baseline(&mut self, bytes: u64) -> Step<K> {
        let mut victims = Vec::new();
        self.drop_coldest(self.short(0, bytes), &mut victims);
        Step::done(victims, false)
    }

    /// Lets the baseline answer for a policy that no longer follows.
    fn answer_by_baseline(&mut self, question: Question<K>, fault: Option<Fault>) -> Step<K> {
        let step = match question.incoming {
            Some(incoming) => self.admit_by_baseline(incoming.copy, question.now),
            None => self.make_room_by_baseline(question.room),
        };
        step.with(fault)
    }

    /// Removes an older version of the file from the cache to make way for `copy`. `Some` when that already
    /// decides whether `copy` is cached.
    pub(super) fn give_way(
        &mut self,
        copy: &CachedCopy<K>,
        victims: &mut Vec<Victim<K>>,
    ) -> Option<bool> {
        if let Some(cached) = self.version_of(&copy.key) {
            if cached >= copy.version {
                return Some(cached == copy.version);
            }
            if let Some(slot) = self.slots.find(&copy.key) {
                victims.push(self.expel(slot));
            }
        }
        (copy.size > self.capacity).then_some(false)
    }

    /// Bytes to free so that `incoming` bytes fit, and at least `room` bytes for something else.
    pub(super) fn short(&self, incoming: u64, room: u64) -> u64 {
        let used = self.used();
        let over = used.saturating_add(incoming).saturating_sub(self.capacity);
        over.max(room).min(used)
    }

    /// The baseline: evicts the least recently used copies until this many bytes are free.
    fn drop_coldest(&mut self, bytes: u64, victims: &mut Vec<Victim<K>>) {
        let mut freed = 0;
        while freed < bytes {
            let coldest = self.slots.coldest();
            let slot = coldest.expect("at most as many bytes are freed as are cached");
            let victim = self.expel(slot);
            freed += victim.size;
            victims.push(victim);
        }
    }

    /// Removes a cached copy without a verdict of the policy.
    pub(super) fn expel(&mut self, slot: Slot) -> Victim<K> {
        let known = self.slots.cached_at(slot).is_some_and(|it| it.told) && self.is_followed();
        let copy = self.slots.take(slot);
        if known {
            self.slots.leave(slot);
            self.log.turn(slot, Pending::Removed, &self.slots);
        } else {
            self.slots.release(slot);
        }
        Victim::from(copy)
    }

    /// Whether a policy follows and no question is open. A question that is still open was dropped without being
    /// settled, since the caller has exclusive use of the policy. What the policy knows is then out of step, so it
    /// is dismissed.
    pub(super) fn can_ask(&mut self) -> bool {
        if self.follower.as_ref().is_some_and(|it| it.asking.is_some()) {
            self.dismiss();
        }
        self.is_followed()
    }

    pub(super) fn question(
        &mut self,
        incoming: Option<Incoming<K>>,
        room: u64,
        round: u32,
        now: Millis,
    ) -> Question<K> {
        let size = incoming.as_ref().map_or(0, |incoming| incoming.copy.size);
        let needed = self.short(size, room);
        self.questions += 1;
        let follower = self.follower.as_mut();
        let follower = follower.expect("only a policy that follows is asked");
        follower.asking = Some(Asking {
            number: self.questions,
            incoming: incoming
                .as_ref()
                .map(|incoming| (incoming.copy.key.clone(), incoming.copy.version)),
            withdrawn: false,
        });
        let capacity_due = std::mem::take(&mut follower.capacity_due);
        Question {
            number: self.questions,
            capacity: capacity_due.then_some(self.capacity),
            news: self.log.take(&mut self.slots),
            incoming,
            needed,
            room,
            round,
            now,
        }
    }

    fn take_asking(&mut self, number: u64) -> Option<Asking<K>> {
        self.follower
            .as_mut()?
            .asking
            .take_if(|asking| asking.number == number)
    }

    /// Hands over to this policy unless it already follows.
    pub(super) fn make_follow(&mut self, policy: &mut dyn Eviction) -> Option<Fault> {
        if self.is_followed() {
            return None;
        }
        let fault = self.hand_over().put_to(policy).err();
        if fault.is_some() {
            self.dismiss();
        }
        fault
    }

    pub(super) fn converse(
        &mut self,
        policy: &mut dyn Eviction,
        first: Step<K>,
        fault: Option<Fault>,
    ) -> CacheOutcome<K> {
        let mut outcome = CacheOutcome {
            fault,
            ..CacheOutcome::default()
        };
        let mut next = outcome.absorb(first);
        while let Some(question) = next {
            let verdict = question.put_to(policy);
            next = outcome.absorb(self.settle(question, verdict));
        }
        outcome
    }
}
