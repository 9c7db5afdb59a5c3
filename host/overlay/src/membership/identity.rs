//! The identity of a node in the membership protocol: its id, its address and the time from which it counts.
//!
//! The protocol declares an identity dead permanently; a node that is alive nevertheless returns under a renewed
//! one. Of two identities of one node the later wins, in the same way everywhere. Nothing here knows which nodes
//! are alive.

use std::fmt;
use std::sync::Arc;

use dataverse_core::id::NodeId;
use dataverse_core::limits::{ADDRESS_BYTES_MAX, NAME_BYTES_MAX};
use dataverse_core::search::Peer;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::clock::Now;

/// The latest epoch; the values above it remain free so that sums can't overflow.
const EPOCH_MS_MAX: u64 = 1 << 62;
/// A renewal this long after the last one takes its epoch from the clock again.
const SETTLED_MS: u64 = 60_000;
/// The first step beyond the clock, as a power of two of milliseconds: about a second.
const STEP_POWER: u32 = 10;
/// The largest such step, as a power of two.
const STEP_POWER_MAX: u32 = 40;

/// One identity of a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Identity {
    pub(super) node: NodeId,
    pub(super) address: Arc<str>,
    pub(super) name: Arc<str>,
    /// When the node took this identity, in milliseconds since 1970, or later. The greater epoch wins.
    pub(super) epoch_ms: u64,
    /// Renewals in quick succession.
    pub(super) renewals: u32,
    clock: Clock,
}

/// The clock for renewals of a node's own identity. Identities of other nodes have none: only the node itself renews
/// its identity. It does not count when identities are compared.
#[derive(Clone, Default)]
struct Clock(Option<Now>);

impl PartialEq for Clock {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Clock {}

impl fmt::Debug for Clock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() { "own" } else { "none" })
    }
}

impl Identity {
    /// The first identity of this node itself, which started at this time and uses this clock.
    pub(super) fn own(peer: &Peer, started_ms: u64, now: Now) -> Self {
        Self {
            clock: Clock(Some(now)),
            ..Self::of(peer, started_ms)
        }
    }

    /// The first identity of a node that started at this time.
    pub(super) fn of(peer: &Peer, started_ms: u64) -> Self {
        Self {
            node: peer.id,
            address: Arc::clone(&peer.address),
            name: Arc::clone(&peer.name),
            epoch_ms: started_ms.min(EPOCH_MS_MAX),
            renewals: 0,
            clock: Clock::default(),
        }
    }

    pub(super) fn peer(&self) -> Peer {
        Peer {
            id: self.node,
            name: Arc::clone(&self.name),
            address: Arc::clone(&self.address),
        }
    }

    /// The identity to return with. Usually its epoch is the present time; while even that does not win (others
    /// know one from a clock that was ahead), each step is four times the last: a dozen steps make up for a year.
    fn renewed(&self, now_ms: u64) -> Option<Self> {
        let (epoch_ms, renewals) = if now_ms > self.epoch_ms.saturating_add(SETTLED_MS) {
            (now_ms, 0)
        } else {
            let power = self.renewals.saturating_mul(2).saturating_add(STEP_POWER);
            let step = 1 << power.min(STEP_POWER_MAX);
            (
                self.epoch_ms.saturating_add(step),
                self.renewals.saturating_add(1),
            )
        };
        (epoch_ms <= EPOCH_MS_MAX).then(|| Self {
            epoch_ms,
            renewals,
            ..self.clone()
        })
    }

    /// A total order of all identities of one node.
    fn rank(&self) -> (u64, u32, &str, &str) {
        (self.epoch_ms, self.renewals, &self.address, &self.name)
    }
}

impl foca::Identity for Identity {
    type Addr = NodeId;

    fn addr(&self) -> NodeId {
        self.node
    }

    fn renew(&self) -> Option<Self> {
        let now_ms = self.clock.0.as_ref().map_or(0, |now| now());
        self.renewed(now_ms)
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.rank() > adversary.rank()
    }
}

impl Serialize for Identity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (address, name) = (&*self.address, &*self.name);
        let node = self.node.as_bytes();
        (node, address, name, self.epoch_ms, self.renewals).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Identity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (node, address, name, epoch_ms, renewals) =
            <([u8; 16], &str, &str, u64, u32)>::deserialize(deserializer)?;
        if !is_address(address) {
            return Err(de::Error::custom("not an address"));
        }
        if !is_name(name) {
            return Err(de::Error::custom("not a valid name"));
        }
        if epoch_ms > EPOCH_MS_MAX {
            return Err(de::Error::custom("an epoch that is too late"));
        }
        Ok(Self {
            node: NodeId::from_bytes(node),
            address: address.into(),
            name: name.into(),
            epoch_ms,
            renewals,
            clock: Clock::default(),
        })
    }
}

/// Whether this is `host:port`, as far as can be told without resolving it.
pub(super) fn is_address(text: &str) -> bool {
    let port = |port: &str| port.parse::<u16>().is_ok_and(|port| port != 0);
    text.len() <= ADDRESS_BYTES_MAX
        && !text.chars().any(|c| c.is_control() || c.is_whitespace())
        && text
            .rsplit_once(':')
            .is_some_and(|(host, end)| !host.is_empty() && port(end))
}

/// Whether this is readable text, as the name of a node or a zone must be.
pub(super) fn is_name(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use foca::Identity as _;

    use super::*;

    fn identity(address: &str, epoch_ms: u64) -> Identity {
        Identity {
            node: NodeId::from(7),
            address: address.into(),
            name: "A".into(),
            epoch_ms,
            renewals: 0,
            clock: Clock::default(),
        }
    }

    #[test]
    fn of_two_identities_of_a_node_exactly_one_wins() {
        let old = identity("127.0.0.1:7400", 5);
        for new in [
            identity("127.0.0.1:7400", 6),
            identity("127.0.0.1:7401", 5),
            old.renewed(0).expect("renews"),
            old.renewed(1_000_000).expect("renews"),
        ] {
            assert!(new.win_addr_conflict(&old), "{new:?}");
            assert!(!old.win_addr_conflict(&new), "{new:?}");
        }
    }

    #[test]
    fn a_few_renewals_overtake_an_identity_from_a_clock_that_was_a_year_ahead() {
        let now_ms = 1_800_000_000_000;
        let rival = identity("127.0.0.1:7400", now_ms + 365 * 24 * 3_600_000);
        let mut ours = identity("127.0.0.1:7400", now_ms);
        let mut renewals = 0;
        while !ours.win_addr_conflict(&rival) {
            ours = ours.renewed(now_ms).expect("renews");
            renewals += 1;
        }
        assert!(renewals <= 15, "{renewals}");
    }

    #[test]
    fn a_renewal_long_after_the_last_takes_the_time_of_the_clock() {
        let ours = identity("127.0.0.1:7400", 1_000)
            .renewed(1_001)
            .and_then(|soon| soon.renewed(500_000))
            .expect("renews");
        assert_eq!((ours.epoch_ms, ours.renewals), (500_000, 0));
    }

    #[test]
    fn what_is_no_address_is_not_read_as_an_identity() {
        let long = format!("{}:1", "a".repeat(ADDRESS_BYTES_MAX));
        for wrong in [
            "",
            ":1",
            "host",
            "host:",
            "host:0",
            "host:99999",
            "a b:1",
            &long,
        ] {
            let bytes = postcard::to_stdvec(&identity(wrong, 1)).expect("encodes");
            assert!(postcard::from_bytes::<Identity>(&bytes).is_err(), "{wrong}");
        }
        let good = identity("[::1]:7400", 1);
        let bytes = postcard::to_stdvec(&good).expect("encodes");
        assert_eq!(postcard::from_bytes(&bytes), Ok(good));
    }
}
