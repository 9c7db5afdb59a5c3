//! `PolicyRecord`: a policy's decisions and faults, and whether it may still decide.
//!
//! A policy that was just swapped in is on *probation*. A policy that fails too often is *suspended*: the baseline
//! answers, and after a growing delay the policy is tried again. A policy that fails too often during probation is
//! *rolled back* instead; the policy controller performs the rollback.
//!
//! Times must come from a clock that never goes back. Nothing here asks a policy anything.

use std::collections::VecDeque;

use super::FaultKind;
use crate::backoff::Backoff;
use crate::limits;
use crate::version::Millis;

/// Whether a policy may decide now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduct {
    /// It decides; too many faults roll it back.
    Probation,
    /// It decides.
    Active,
    /// The baseline decides instead.
    Suspended,
}

impl Conduct {
    /// The state's name in API answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Probation => "probation",
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }
}

/// The consequence of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The policy is suspended.
    Suspended {
        /// Milliseconds until it is tried again.
        delay_ms: u64,
    },
    /// It failed its probation and is not asked again.
    RolledBack,
}

/// A policy's decisions and faults since it was swapped in.
#[derive(Clone, Debug)]
pub struct PolicyRecord {
    since: Millis,
    decisions: u64,
    faults: [u64; FaultKind::ALL.len()],
    /// Whether each of the latest decisions was a fault, oldest first.
    recent: VecDeque<bool>,
    in_a_row: u32,
    probation: Probation,
    suspended_until: Option<Millis>,
    backoff: Backoff,
    /// After a suspension, while the policy is being tried again: good answers since then.
    on_trial: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probation {
    Running,
    Passed,
    Failed,
}

impl PolicyRecord {
    /// For a policy that is swapped in now and starts its probation.
    #[must_use]
    pub fn on_probation(now: Millis) -> Self {
        Self {
            since: now,
            decisions: 0,
            faults: [0; FaultKind::ALL.len()],
            recent: VecDeque::new(),
            in_a_row: 0,
            probation: Probation::Running,
            suspended_until: None,
            backoff: Backoff::from_millis(limits::SUSPENSION_MS_MIN, limits::SUSPENSION_MS_MAX),
            on_trial: None,
        }
    }

    /// For a policy that has passed its probation before, or that has no predecessor to roll back to.
    #[must_use]
    pub fn proven(now: Millis) -> Self {
        Self {
            probation: Probation::Passed,
            ..Self::on_probation(now)
        }
    }

    /// Whether it may decide now.
    #[must_use]
    pub fn conduct(&self, now: Millis) -> Conduct {
        let waits = self.suspended_until.is_some_and(|until| now < until);
        if waits || self.probation == Probation::Failed {
            Conduct::Suspended
        } else if self.is_on_probation(now) {
            Conduct::Probation
        } else {
            Conduct::Active
        }
    }

    /// Whether it failed its probation; it will not be asked again.
    #[must_use]
    pub fn has_failed_probation(&self) -> bool {
        self.probation == Probation::Failed
    }

    /// The number of decisions that it was asked for.
    #[must_use]
    pub const fn decisions(&self) -> u64 {
        self.decisions
    }

    /// How many faults of this kind it had.
    #[must_use]
    pub const fn faults(&self, kind: FaultKind) -> u64 {
        self.faults[kind as usize]
    }

    /// Records one decision. Returns the consequence if this was one fault too many; the caller acts on it.
    pub fn note(&mut self, fault: Option<FaultKind>, now: Millis) -> Option<Trouble> {
        if self.probation == Probation::Running && !self.is_on_probation(now) {
            self.probation = Probation::Passed;
        }
        self.decisions += 1;
        if self.recent.len() == limits::FAULT_WINDOW {
            self.recent.pop_front();
        }
        self.recent.push_back(fault.is_some());
        let Some(kind) = fault else {
            self.note_good();
            return None;
        };
        self.faults[kind as usize] += 1;
        self.in_a_row += 1;
        if !self.is_too_much() {
            return None;
        }
        if self.probation == Probation::Running {
            self.probation = Probation::Failed;
            return Some(Trouble::RolledBack);
        }
        Some(self.suspend(now))
    }

    fn note_good(&mut self) {
        self.in_a_row = 0;
        self.suspended_until = None;
        if let Some(good) = &mut self.on_trial {
            *good += 1;
            if *good >= limits::TRIAL_DECISIONS {
                self.on_trial = None;
                self.backoff.reset();
            }
        }
    }

    fn is_too_much(&self) -> bool {
        let failed = self.recent.iter().filter(|&&fault| fault).count();
        let often = self.recent.len() >= limits::FAULT_RATE_FROM
            && failed * limits::FAULT_RATE_DIVISOR > self.recent.len();
        self.on_trial.is_some() || self.in_a_row >= limits::FAULTS_IN_A_ROW || often
    }

    fn suspend(&mut self, now: Millis) -> Trouble {
        let delay_ms = self.backoff.next_pause().as_millis() as u64;
        self.suspended_until = Some(now.saturating_add(delay_ms));
        self.on_trial = Some(0);
        self.in_a_row = 0;
        self.recent.clear();
        Trouble::Suspended { delay_ms }
    }

    fn is_on_probation(&self, now: Millis) -> bool {
        self.probation == Probation::Running
            && self.decisions < limits::PROBATION_DECISIONS
            && now.saturating_sub(self.since) < limits::PROBATION_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAULT: Option<FaultKind> = Some(FaultKind::Trap);
    const LATER: Millis = limits::PROBATION_MS;

    /// Records these decisions (`x` is a fault, anything else is none) and returns the consequence of the last
    /// one.
    fn after(record: &mut PolicyRecord, decisions: &str, now: Millis) -> Option<Trouble> {
        let mut last = None;
        for decision in decisions.chars() {
            assert_eq!(last, None, "trouble came early in {decisions}");
            last = record.note((decision == 'x').then_some(FaultKind::Trap), now);
        }
        last
    }

    #[test]
    fn five_faults_in_a_row_are_too_many_and_four_are_not() {
        let mut record = PolicyRecord::proven(0);
        assert_eq!(after(&mut record, "xxxx.xxxx", 1), None);
        let delay_ms = limits::SUSPENSION_MS_MIN;
        assert_eq!(
            after(&mut record, "x", 1),
            Some(Trouble::Suspended { delay_ms })
        );
        assert_eq!(record.conduct(1), Conduct::Suspended);
        assert_eq!(
            (record.decisions(), record.faults(FaultKind::Trap)),
            (10, 9)
        );
    }

    #[test]
    fn more_than_one_fault_in_twenty_is_too_many_from_the_fortieth_decision_on() {
        let mut record = PolicyRecord::proven(0);
        assert_eq!(
            after(&mut record, &format!("x.x{}", ".".repeat(36)), 1),
            None
        );
        assert!(after(&mut record, "x", 1).is_some());
        let mut record = PolicyRecord::proven(0);
        assert_eq!(
            after(&mut record, &format!("{}x", ".".repeat(19)).repeat(30), 1),
            None
        );
    }

    #[test]
    fn in_its_probation_a_policy_is_rolled_back_and_never_asked_again() {
        let mut record = PolicyRecord::on_probation(10);
        assert_eq!(record.conduct(10), Conduct::Probation);
        assert_eq!(after(&mut record, "xxxxx", 11), Some(Trouble::RolledBack));
        assert!(record.has_failed_probation());
        assert_eq!(record.conduct(u64::MAX), Conduct::Suspended);
    }

    #[test]
    fn probation_ends_after_five_hundred_decisions_or_a_minute() {
        let mut record = PolicyRecord::on_probation(0);
        (0..limits::PROBATION_DECISIONS).for_each(|_| assert_eq!(record.note(None, 1), None));
        assert_eq!(record.conduct(1), Conduct::Active);
        assert!(matches!(
            after(&mut record, "xxxxx", 1),
            Some(Trouble::Suspended { .. })
        ));

        let mut record = PolicyRecord::on_probation(0);
        assert_eq!(record.conduct(LATER), Conduct::Active);
        assert!(matches!(
            after(&mut record, "xxxxx", LATER),
            Some(Trouble::Suspended { .. })
        ));
    }

    #[test]
    fn a_suspended_policy_is_tried_again_after_a_delay_that_grows() {
        let mut record = PolicyRecord::proven(0);
        let (mut now, mut delays) = (0, Vec::new());
        let mut trouble = after(&mut record, "xxxxx", now);
        for _ in 0..12 {
            let Some(Trouble::Suspended { delay_ms }) = trouble else {
                panic!("{trouble:?}");
            };
            delays.push(delay_ms);
            assert_eq!(record.conduct(now + delay_ms - 1), Conduct::Suspended);
            now += delay_ms;
            assert_eq!(record.conduct(now), Conduct::Active);
            trouble = record.note(FAULT, now);
        }
        assert!(delays.is_sorted() && delays[1] == 2 * delays[0]);
        assert_eq!(delays.last(), Some(&limits::SUSPENSION_MS_MAX));
    }

    #[test]
    fn a_policy_that_has_recovered_may_fail_now_and_then_again() {
        let mut record = PolicyRecord::proven(0);
        after(&mut record, "xxxxx", 0);
        let now = limits::SUSPENSION_MS_MIN;
        let good = ".".repeat(limits::TRIAL_DECISIONS as usize);
        assert_eq!(after(&mut record, &format!("{good}x"), now), None);
        assert_eq!(record.conduct(now), Conduct::Active);
    }
}
