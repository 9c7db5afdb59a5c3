//! `InFlight`: versions so recent that their write may not have reached all holders yet, and since when this node
//! knows of them.
//!
//! A version's stamp gives its age as far as clocks agree. A version from a clock that is ahead seems recent for
//! as long as that clock is ahead, possibly minutes. So a version counts as in flight for at most
//! [`GRACE`] after this node first met it. Kept in memory and bounded; a version that does not fit is judged by its
//! stamp alone.

use std::collections::BTreeMap;
use std::time::Duration;

use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::version::{Millis, Version};

use crate::upkeep::At;

/// How long a write may still be in flight; until then, a missing copy of it is no difference.
pub const GRACE: Duration = Duration::from_secs(30);
/// Recent versions for which a node remembers when it first met them.
pub const IN_FLIGHT_MAX: usize = 4096;

/// Versions met while recent, and when that was.
#[derive(Debug, Default)]
pub struct InFlight(BTreeMap<Key, (Version, At)>);

impl InFlight {
    /// Whether this version's write may not have reached all its holders yet. `wall` is the time by the wall clock.
    pub fn may_be_in_flight(&mut self, record: &Record, wall: Millis, now: At) -> bool {
        let age_ms = wall.saturating_sub(record.version.stamp.millis());
        let met = &mut self.0;
        if Duration::from_millis(age_ms) >= GRACE {
            // A later version may be listed; its entry stays, since this one says nothing about it.
            if met
                .get(&record.key)
                .is_some_and(|(version, _)| *version <= record.version)
            {
                met.remove(&record.key);
            }
            return false;
        }
        if met.len() >= IN_FLIGHT_MAX {
            // Entries past their grace matter only while their stamps still look recent.
            met.retain(|_, (_, since)| now.saturating_sub(*since) < GRACE);
        }
        let is_full = met.len() >= IN_FLIGHT_MAX;
        match met.get_mut(&record.key) {
            Some((version, since)) if *version >= record.version => {
                now.saturating_sub(*since) < GRACE
            }
            Some(older) => {
                *older = (record.version, now);
                true
            }
            None => {
                if !is_full {
                    met.insert(record.key.clone(), (record.version, now));
                }
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use dataverse_core::version::Stamp;

    use super::*;
    use crate::fixtures::record;

    const WALL: Millis = 1_700_000_000_000;
    const NOW: At = At::from_secs(60);

    fn stamped(millis: Millis) -> Record {
        record("ada/x", Stamp::at(millis).0, 0, &[])
    }

    #[test]
    fn a_version_is_young_until_a_write_can_not_be_under_way_any_more() {
        let mut in_flight = InFlight::default();
        let grace_ms = GRACE.as_millis() as Millis;
        assert!(in_flight.may_be_in_flight(&stamped(WALL), WALL + grace_ms - 1, NOW));
        assert!(!in_flight.may_be_in_flight(&stamped(WALL), WALL + grace_ms, NOW));
    }

    #[test]
    fn one_from_a_clock_that_is_ahead_is_young_for_no_longer() {
        let mut in_flight = InFlight::default();
        let ahead = |seconds: i64| stamped(WALL.saturating_add_signed(1000 * seconds));
        assert!(in_flight.may_be_in_flight(&ahead(300), WALL, NOW));
        assert!(in_flight.may_be_in_flight(&ahead(300), WALL, NOW + GRACE / 2));
        assert!(!in_flight.may_be_in_flight(&ahead(300), WALL, NOW + GRACE));
        // Meeting an older version, long past its grace, does not extend the grace.
        assert!(!in_flight.may_be_in_flight(&ahead(-300), WALL, NOW));
        assert!(!in_flight.may_be_in_flight(&ahead(300), WALL, NOW + GRACE));
        // The next version is a new write, and an earlier version gets no grace beyond it.
        assert!(in_flight.may_be_in_flight(&ahead(310), WALL, NOW + GRACE));
        assert!(in_flight.may_be_in_flight(&ahead(300), WALL, NOW + GRACE));
        assert!(!in_flight.may_be_in_flight(&ahead(310), WALL, NOW + GRACE * 2));
    }
}
