//! `InFlight`: versions so recent that their write may not have reached all holders yet, and since when this node
//! knows of them.
//!
//! A version's stamp gives its age as far as clocks agree. A version from a clock that is ahead seems recent for
//! as long as that clock is ahead, possibly minutes. So a version counts as in flight for at most
//! [`limits::RECONCILE_GRACE_MS`] after this node first met it. Kept in memory and bounded; a version that does
//! not fit is judged by its stamp alone.

use std::collections::BTreeMap;
use std::time::Duration;

use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::version::{Millis, Version};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::limits;

const GRACE: Duration = Duration::from_millis(limits::RECONCILE_GRACE_MS);

/// Versions met while recent, and when that was.
#[derive(Default)]
pub(super) struct InFlight(Mutex<BTreeMap<Key, (Version, Instant)>>);

impl InFlight {
    /// Whether this version's write may not have reached all its holders yet.
    pub(super) fn may_be_in_flight(&self, record: &Record, wall: Millis, now: Instant) -> bool {
        let age_ms = wall.saturating_sub(record.version.stamp.millis());
        let mut met = self.0.lock();
        if age_ms >= limits::RECONCILE_GRACE_MS {
            // A later version may be listed; its entry stays, since this one says nothing about it.
            if met
                .get(&record.key)
                .is_some_and(|(version, _)| *version <= record.version)
            {
                met.remove(&record.key);
            }
            return false;
        }
        if met.len() >= limits::IN_FLIGHT_MAX {
            // Entries past their grace matter only while their stamps still look recent.
            met.retain(|_, (_, since)| now.saturating_duration_since(*since) < GRACE);
        }
        let is_full = met.len() >= limits::IN_FLIGHT_MAX;
        match met.get_mut(&record.key) {
            Some((version, since)) if *version >= record.version => {
                now.saturating_duration_since(*since) < GRACE
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
    use dataverse_core::content::Digest;
    use dataverse_core::id::NodeId;
    use dataverse_core::record::Layout;
    use dataverse_core::version::Stamp;

    use super::*;

    const WALL: Millis = 1_700_000_000_000;

    fn stamped(millis: Millis) -> Record {
        Record {
            version: Version {
                stamp: Stamp::at(millis),
                writer: NodeId::from(1),
            },
            layout: Layout {
                counter: 0,
                author: NodeId::from(1),
                holders: Vec::new(),
            },
            deleted: false,
            size: 0,
            digest: Digest::of(&[]),
            content_type: "text/plain".into(),
            factor: 2,
            key: Key::parse("ada/x").expect("it is a key"),
        }
    }

    #[test]
    fn a_version_is_young_until_a_write_can_not_be_under_way_any_more() {
        let (in_flight, now) = (InFlight::default(), Instant::now());
        let grace_ms = limits::RECONCILE_GRACE_MS;
        assert!(in_flight.may_be_in_flight(&stamped(WALL), WALL + grace_ms - 1, now));
        assert!(!in_flight.may_be_in_flight(&stamped(WALL), WALL + grace_ms, now));
    }

    #[test]
    fn one_from_a_clock_that_is_ahead_is_young_for_no_longer() {
        let (in_flight, now) = (InFlight::default(), Instant::now());
        let ahead = |seconds: i64| stamped(WALL.saturating_add_signed(1000 * seconds));
        assert!(in_flight.may_be_in_flight(&ahead(300), WALL, now));
        assert!(in_flight.may_be_in_flight(&ahead(300), WALL, now + GRACE / 2));
        assert!(!in_flight.may_be_in_flight(&ahead(300), WALL, now + GRACE));
        // Meeting an older version, long past its grace, does not extend the grace.
        assert!(!in_flight.may_be_in_flight(&ahead(-300), WALL, now));
        assert!(!in_flight.may_be_in_flight(&ahead(300), WALL, now + GRACE));
        // The next version is a new write, and an earlier version gets no grace beyond it.
        assert!(in_flight.may_be_in_flight(&ahead(310), WALL, now + GRACE));
        assert!(in_flight.may_be_in_flight(&ahead(300), WALL, now + GRACE));
        assert!(!in_flight.may_be_in_flight(&ahead(310), WALL, now + GRACE * 2));
    }
}
