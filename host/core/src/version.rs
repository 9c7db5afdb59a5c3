//! `Version`: the total order of the writes to a key, and the hybrid logical clock that stamps them.
//!
//! The clock (Kulkarni et al., "Logical Physical Clocks", 2014) follows wall time where it can, and increments a
//! counter where wall time stands still or jumps back, so every stamp is greater than all stamps seen before. It
//! reads no clock itself: wall time is an argument.

use std::fmt;
use std::str::FromStr;

use crate::id::NodeId;
use crate::limits;

/// Milliseconds since the Unix epoch on a node, and since the start of the run in the lab.
pub type Millis = u64;

/// A reading of the hybrid logical clock: 48 bits of milliseconds, then a 16-bit counter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Stamp(pub u64);

const COUNT_BITS: u32 = 16;

impl Stamp {
    /// The first stamp of this millisecond.
    #[must_use]
    pub const fn at(now: Millis) -> Self {
        Self(now << COUNT_BITS)
    }

    /// The stamp's milliseconds.
    #[must_use]
    pub const fn millis(self) -> Millis {
        self.0 >> COUNT_BITS
    }
}

/// When and by which node a file was written: a total order of the writes to a key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Version {
    /// Compared first.
    pub stamp: Stamp,
    /// Breaks ties between nodes that give out the same stamp.
    pub writer: NodeId,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.stamp.0, self.writer)
    }
}

/// Text that is not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a version: expected 16 and 32 hexadecimal digits joined by `-`")]
pub struct VersionError(String);

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || VersionError(text.to_owned());
        let (stamp, writer) = text.split_once('-').ok_or_else(wrong)?;
        if stamp.len() != 16 || !stamp.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        Ok(Self {
            stamp: Stamp(u64::from_str_radix(stamp, 16).map_err(|_| wrong())?),
            writer: writer.parse().map_err(|_| wrong())?,
        })
    }
}

/// A peer's stamp that is implausibly far ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "its clock is {ahead_ms} ms ahead of ours, more than the {max_ms} ms allowed: check the clocks of both machines"
)]
pub struct ClockAhead {
    /// How far ahead of our wall clock.
    pub ahead_ms: u64,
    /// How far it may be.
    pub max_ms: u64,
}

/// A node's hybrid logical clock.
///
/// The driver persists a *ceiling* ahead of use: no stamp at or above it is given out, and a restart begins at it.
/// So stamps never go backwards, even across a crash or when the wall clock jumps back.
#[derive(Debug, Clone)]
pub struct Clock {
    last: Stamp,
    ceiling: Stamp,
    /// A stamp was given out since the ceiling was last raised.
    is_used: bool,
}

impl Clock {
    /// A clock that starts at the persisted ceiling, where the previous run can have ended at most.
    #[must_use]
    pub const fn starting_at(persisted_ceiling: Stamp) -> Self {
        Self {
            last: persisted_ceiling,
            ceiling: persisted_ceiling,
            is_used: false,
        }
    }

    /// A stamp greater than every one given out or observed before; `None` when the ceiling must first be raised
    /// and persisted.
    pub fn tick(&mut self, now: Millis) -> Option<Stamp> {
        let next = Stamp(self.last.0 + 1).max(Stamp::at(now));
        if next >= self.ceiling {
            return None;
        }
        self.last = next;
        self.is_used = true;
        Some(next)
    }

    /// Merges the clock of another node, so that later stamps are greater, unless it is more than
    /// [`limits::CLOCK_ADOPTED_MS_MAX`] ahead of `now`. A stamp that the clock has already reached changes nothing, even
    /// if the wall clock was set back since.
    ///
    /// # Errors
    /// [`ClockAhead`] when it is more than [`limits::CLOCK_AHEAD_MS_MAX`] ahead of `now`.
    pub fn observe(&mut self, clock: Stamp, now: Millis) -> Result<(), ClockAhead> {
        self.check(clock, now, limits::CLOCK_AHEAD_MS_MAX)?;
        self.adopt(clock, now);
        Ok(())
    }

    /// Merges the stamp of a version or a layout likewise.
    ///
    /// # Errors
    /// [`ClockAhead`] when it is more than [`limits::CLOCK_SURPASSED_MS_MAX`] ahead of `now`: what can't be surpassed is
    /// not taken in.
    pub fn observe_version(&mut self, stamp: Stamp, now: Millis) -> Result<(), ClockAhead> {
        self.check(stamp, now, limits::CLOCK_SURPASSED_MS_MAX)?;
        self.adopt(stamp, now);
        Ok(())
    }

    fn adopt(&mut self, stamp: Stamp, now: Millis) {
        if stamp.millis().saturating_sub(now) <= limits::CLOCK_ADOPTED_MS_MAX {
            self.last = self.last.max(stamp);
        }
    }

    /// Merges a stamp that later ones must be greater than.
    ///
    /// # Errors
    /// [`ClockAhead`] when it is more than [`limits::CLOCK_SURPASSED_MS_MAX`] ahead of `now`; the clock is left unchanged.
    pub fn surpass(&mut self, stamp: Stamp, now: Millis) -> Result<(), ClockAhead> {
        self.check(stamp, now, limits::CLOCK_SURPASSED_MS_MAX)?;
        self.last = self.last.max(stamp);
        Ok(())
    }

    fn check(&self, stamp: Stamp, now: Millis, max_ms: u64) -> Result<(), ClockAhead> {
        let ahead_ms = stamp.millis().saturating_sub(now);
        match stamp > self.last && ahead_ms > max_ms {
            true => Err(ClockAhead { ahead_ms, max_ms }),
            false => Ok(()),
        }
    }

    /// The latest stamp given out or observed; messages carry it.
    #[must_use]
    pub const fn last(&self) -> Stamp {
        self.last
    }

    /// The ceiling to persist when a node starts: just above everything before it, so that no two starts share a
    /// stamp. It goes no further, so restarting again and again does not carry the clock away from wall time.
    #[must_use]
    pub fn ceiling_at_start(&self, now: Millis) -> Stamp {
        Stamp::at(self.last.millis().max(now) + 1)
    }

    /// As [`Clock::ceiling_due`], but only while stamps are being given out: an idle clock needs no new ceiling.
    #[must_use]
    pub fn ceiling_due_in_use(&self, now: Millis) -> Option<Stamp> {
        self.ceiling_due(now).filter(|_| self.is_used)
    }

    /// The ceiling to persist next, when the current one is nearly used up.
    ///
    /// A clock that is already ahead of wall time only increments its counter and needs little space. With more,
    /// each restart, which begins at the ceiling, would carry it further ahead, and with it every node that it
    /// talks to.
    #[must_use]
    pub fn ceiling_due(&self, now: Millis) -> Option<Stamp> {
        let above = |wall_ms: Millis, count_ms: Millis| {
            let counted = self.last.millis() + count_ms;
            Stamp::at(counted.max(now + wall_ms))
        };
        let soon = above(limits::CLOCK_CEILING_MS / 2, limits::CLOCK_COUNT_MS / 2);
        let next = above(limits::CLOCK_CEILING_MS, limits::CLOCK_COUNT_MS);
        (soon >= self.ceiling).then_some(next)
    }

    /// Raises the ceiling once it is durable: stamps below it may be given out.
    pub fn raise(&mut self, ceiling: Stamp) {
        self.ceiling = self.ceiling.max(ceiling);
        self.is_used = false;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn running(now: Millis) -> Clock {
        let mut clock = Clock::starting_at(Stamp::default());
        let ceiling = clock.ceiling_due(now).expect("a new clock has no room");
        clock.raise(ceiling);
        clock
    }

    #[test]
    fn a_clock_gives_nothing_above_its_ceiling() {
        let mut clock = Clock::starting_at(Stamp::at(5));
        assert_eq!(clock.tick(1), None);
        clock.raise(clock.ceiling_due(1).expect("it is due"));
        assert!(clock.tick(1).expect("there is room") > Stamp::at(5));
    }

    #[test]
    fn a_restart_begins_above_everything_given_out() {
        let mut clock = running(1_000);
        let last = clock.tick(1_000).expect("there is room");
        let mut again = Clock::starting_at(clock.ceiling);
        again.raise(again.ceiling_due(1).expect("it is due"));
        assert!(again.tick(1).expect("there is room") > last);
    }

    #[test]
    fn a_node_that_crashes_again_and_again_stays_near_the_wall_clock() {
        let (mut now, mut ceiling) = (1_000_000, Stamp::default());
        let mut started = Stamp::default();
        for restart in 0..500 {
            let mut clock = Clock::starting_at(ceiling);
            ceiling = clock.ceiling_at_start(now);
            assert!(ceiling > started, "two starts share a stamp");
            started = ceiling;
            clock.raise(ceiling);
            // It writes something now and then, and is back after a tenth of a second.
            if restart % 5 == 0 {
                clock.raise(clock.ceiling_due(now).expect("there is no room yet"));
                ceiling = clock.ceiling;
                clock.tick(now).expect("there is room");
            }
            now += 100;
        }
        let ahead_ms = ceiling.millis() - now;
        assert!(
            ahead_ms < limits::CLOCK_AHEAD_MS_MAX / 2,
            "{ahead_ms} ms ahead"
        );
    }

    #[test]
    fn an_idle_clock_needs_no_ceiling() {
        let mut clock = running(1_000);
        assert_eq!(clock.ceiling_due_in_use(99_000), None);
        clock.tick(1_000).expect("there is room");
        assert!(clock.ceiling_due_in_use(99_000).is_some());
    }

    #[test]
    fn restarts_one_after_the_other_do_not_carry_the_clock_away() {
        let (restarts, now) = (100, 1_000_000);
        let mut clock = running(now);
        for _ in 0..restarts {
            let last = clock.tick(now).expect("there is room");
            clock = Clock::starting_at(clock.ceiling);
            clock.raise(clock.ceiling_due(now).expect("there is none"));
            assert!(clock.tick(now).expect("there is room") > last);
        }
        let ahead_ms = clock.last().millis() - now;
        assert!(ahead_ms <= limits::CLOCK_CEILING_MS + restarts * limits::CLOCK_COUNT_MS);
    }

    #[test]
    fn a_clock_is_not_taken_so_far_ahead_that_a_node_with_a_slower_wall_clock_refuses_it() {
        let (now, slower) = (1_000_000, 1_000_000 - 60_000);
        let mut clock = running(now);
        for ahead_ms in (0..=limits::CLOCK_AHEAD_MS_MAX).step_by(1_000) {
            assert_eq!(clock.observe(Stamp::at(now + ahead_ms), now), Ok(()));
        }
        assert_eq!(clock.last(), Stamp::at(now + limits::CLOCK_ADOPTED_MS_MAX));
        // Nor by what it must surpass.
        for ahead_ms in (0..=limits::CLOCK_AHEAD_MS_MAX).step_by(1_000) {
            let surpassed = clock.surpass(Stamp::at(now + ahead_ms), now);
            assert_eq!(
                surpassed.is_ok(),
                ahead_ms <= limits::CLOCK_SURPASSED_MS_MAX
            );
        }
        let last = clock.tick(now);
        assert_eq!(last, None, "the ceiling is raised first");
        clock.raise(clock.ceiling_due(now).expect("it is due"));
        let last = clock.tick(now).expect("there is room");
        let mut other = running(slower);
        assert_eq!(other.observe(last, slower), Ok(()));
    }

    #[test]
    fn a_stamp_from_the_far_future_is_refused_and_forgotten() {
        let mut clock = running(1_000);
        let ahead = |ahead_ms| Stamp::at(1_000 + ahead_ms);
        let far = ahead(limits::CLOCK_AHEAD_MS_MAX + 1);
        assert!(clock.observe(far, 1_000).is_err());
        assert!(clock.surpass(far, 1_000).is_err());
        let unsurpassable = ahead(limits::CLOCK_SURPASSED_MS_MAX + 1);
        assert!(clock.observe_version(unsurpassable, 1_000).is_err());
        assert!(clock.surpass(unsurpassable, 1_000).is_err());
        let last = ahead(limits::CLOCK_SURPASSED_MS_MAX);
        assert_eq!(clock.observe_version(last, 1_000), Ok(()));
        assert!(clock.last() < ahead(1));
        let near = ahead(limits::CLOCK_ADOPTED_MS_MAX);
        assert_eq!(clock.observe(near, 1_000), Ok(()));
        assert_eq!(clock.last(), near);
    }

    #[test]
    fn what_the_clock_has_reached_is_believed_after_the_wall_clock_was_set_back() {
        let hour = 3_600_000;
        let mut clock = running(2 * hour);
        let own = clock.tick(2 * hour).expect("there is room");
        assert_eq!(clock.observe(own, hour), Ok(()));
        assert!(clock.tick(hour).expect("there is room") > own);
    }

    #[test]
    fn a_version_reads_back_from_its_text() {
        let version = Version {
            stamp: Stamp(77),
            writer: NodeId::from(3),
        };
        assert_eq!(version.to_string().parse(), Ok(version));
        assert!("77-3".parse::<Version>().is_err());
    }

    proptest! {
        #[test]
        fn stamps_only_grow_whatever_the_wall_clock_does(
            steps in prop::collection::vec((0u64..100_000, any::<bool>()), 1..200)
        ) {
            let mut clock = running(0);
            let mut last = Stamp::default();
            for (now, hear) in steps {
                if hear {
                    clock.observe(Stamp::at(now + 10), now).expect("ten milliseconds are allowed");
                }
                if let Some(ceiling) = clock.ceiling_due(now) {
                    clock.raise(ceiling);
                }
                let stamp = clock.tick(now).expect("the ceiling was raised");
                prop_assert!(stamp > last);
                last = stamp;
            }
        }
    }
}
