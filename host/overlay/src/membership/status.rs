//! The status that a node publishes to all others, and what this node sees of each member.
//!
//! A status is a claim of the node that it describes. Of two statuses of a node the later counts, and every status
//! is as old as the time it took to arrive. That is good enough for placement; nothing that must be correct may
//! rely on it.

use std::sync::Arc;

use dataverse_core::id::NodeId;
use dataverse_core::limits::NAME_BYTES_MAX;
use dataverse_core::members::Liveness;
use dataverse_core::search::Peer;
use serde::{Deserialize, Serialize};

use super::identity::{is_address, is_name};
use crate::limits::{STATUS_LINKS_MAX, STATUS_POLICIES_MAX, STATUS_POLICY_BYTES_MAX};

/// The status that a node publishes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PublishedStatus {
    /// The zone that the node is in; empty when it has none.
    pub zone: String,
    /// `host:port` of its HTTP port.
    pub http: String,
    /// Bytes it may store.
    pub capacity: u64,
    /// Bytes of these that are free for replicas.
    pub free: u64,
    /// Requests per second that it answered recently.
    pub load: u32,
    /// The nodes that it is linked with.
    pub links: Vec<NodeId>,
    /// Its policies, each with its digest, which shows whether another node runs the same.
    pub policies: Vec<String>,
    /// An operator is draining it: nothing may be placed on it.
    pub draining: bool,
    /// When it started. Set on publishing.
    pub started_ms: u64,
    /// Counts its statuses since then. Set on publishing.
    pub counter: u64,
}

/// A member of the network as this node sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberSeen {
    /// The node and its address.
    pub peer: Peer,
    /// Whether it seems to be alive.
    pub state: Liveness,
    /// Its latest status, once one has arrived.
    pub status: Option<Arc<PublishedStatus>>,
}

impl PublishedStatus {
    /// Orders the statuses of one node.
    pub(super) fn stamp(&self) -> (u64, u64) {
        (self.started_ms, self.counter)
    }

    /// The same status with this stamp.
    pub(super) fn stamped(mut self, (started_ms, counter): (u64, u64)) -> Self {
        self.started_ms = started_ms;
        self.counter = counter;
        self
    }

    /// The same status, cut to what others accept.
    pub(super) fn bounded(mut self) -> Self {
        self.links.truncate(STATUS_LINKS_MAX);
        self.policies.truncate(STATUS_POLICIES_MAX);
        for policy in &mut self.policies {
            policy.truncate(policy.floor_char_boundary(STATUS_POLICY_BYTES_MAX));
        }
        self.zone
            .truncate(self.zone.floor_char_boundary(NAME_BYTES_MAX));
        if !is_address(&self.http) {
            self.http.clear();
        }
        self
    }
}

/// A status on the wire, with the node that it describes.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(super) struct StatusNote {
    node: [u8; 16],
    started_ms: u64,
    counter: u64,
    zone: String,
    http: String,
    capacity: u64,
    free: u64,
    load: u32,
    links: Vec<[u8; 16]>,
    policies: Vec<String>,
    is_draining: bool,
}

/// Why a status was refused. No honest node sends such a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum StatusError {
    #[error("the bytes are not a status")]
    Malformed,
    #[error("a field of the status is too long")]
    TooLong,
    #[error("a field of the status is not readable text")]
    Unreadable,
}

impl StatusNote {
    pub(super) fn new(node: NodeId, status: &PublishedStatus) -> Self {
        Self {
            node: *node.as_bytes(),
            started_ms: status.started_ms,
            counter: status.counter,
            zone: status.zone.clone(),
            http: status.http.clone(),
            capacity: status.capacity,
            free: status.free,
            load: status.load,
            links: status.links.iter().map(|link| *link.as_bytes()).collect(),
            policies: status.policies.clone(),
            is_draining: status.draining,
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("plain fields can always be serialized")
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, StatusError> {
        postcard::from_bytes(bytes).map_err(|_| StatusError::Malformed)
    }

    /// The node and its status, once every field has been checked.
    pub(super) fn read(self) -> Result<(NodeId, PublishedStatus), StatusError> {
        let policy_fits = |policy: &String| policy.len() <= STATUS_POLICY_BYTES_MAX;
        if self.links.len() > STATUS_LINKS_MAX
            || self.policies.len() > STATUS_POLICIES_MAX
            || !self.policies.iter().all(policy_fits)
        {
            return Err(StatusError::TooLong);
        }
        let plain = |policy: &String| !policy.chars().any(char::is_control);
        if !is_name(&self.zone)
            || !(self.http.is_empty() || is_address(&self.http))
            || !self.policies.iter().all(plain)
        {
            return Err(StatusError::Unreadable);
        }
        let status = PublishedStatus {
            zone: self.zone,
            http: self.http,
            capacity: self.capacity,
            free: self.free,
            load: self.load,
            links: self.links.into_iter().map(NodeId::from_bytes).collect(),
            policies: self.policies,
            draining: self.is_draining,
            started_ms: self.started_ms,
            counter: self.counter,
        };
        Ok((NodeId::from_bytes(self.node), status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn travel(status: &PublishedStatus) -> Result<(NodeId, PublishedStatus), StatusError> {
        let bytes = StatusNote::new(NodeId::from(3), status).to_bytes();
        StatusNote::from_bytes(&bytes)?.read()
    }

    fn full() -> PublishedStatus {
        PublishedStatus {
            zone: "é".repeat(NAME_BYTES_MAX),
            http: "127.0.0.1:8080".to_owned(),
            capacity: u64::MAX,
            free: 1,
            load: 9,
            links: vec![NodeId::from(8); STATUS_LINKS_MAX + 1],
            policies: vec!["p".repeat(STATUS_POLICY_BYTES_MAX + 1); STATUS_POLICIES_MAX + 1],
            draining: true,
            started_ms: 4,
            counter: 5,
        }
    }

    #[test]
    fn the_largest_status_arrives_as_it_was_told_and_fits_a_packet_four_times() {
        let status = full().bounded();
        assert_eq!(travel(&status), Ok((NodeId::from(3), status.clone())));
        let bytes = StatusNote::new(NodeId::from(3), &status).to_bytes();
        assert!(bytes.len() * 4 < crate::limits::GOSSIP_PACKET_BYTES_MAX);
    }

    #[test]
    fn a_status_beyond_the_bounds_is_refused() {
        assert_eq!(travel(&full()), Err(StatusError::TooLong));
        let control = PublishedStatus {
            zone: "a\u{1b}[2J".to_owned(),
            ..full().bounded()
        };
        assert_eq!(travel(&control), Err(StatusError::Unreadable));
    }
}
