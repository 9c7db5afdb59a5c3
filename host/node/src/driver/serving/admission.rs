//! Admission control: limits how much this node does concurrently. Work beyond a limit is refused immediately with
//! advice to retry, instead of queueing until everything is slow.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataverse_core::id::NodeId;
use dataverse_overlay::transport::Refusal;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::driver::client::api::Busy;
use crate::settings::Settings;

/// The right to one unit of work; dropping it lets another in.
pub(in crate::driver) type Permit = OwnedSemaphorePermit;

/// One limit for each kind of work.
pub(in crate::driver) struct Admission {
    uploads: Arc<Semaphore>,
    uploads_max: usize,
    searches: Arc<Semaphore>,
    peers: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    /// Streams of each node, of at most this many.
    streams_by_node: Arc<Mutex<BTreeMap<NodeId, u32>>>,
    streams_of_one_max: u32,
}

/// The right to one stream of a node.
pub(in crate::driver) struct StreamPermit {
    _permit: Permit,
    node: NodeId,
    by_node: Arc<Mutex<BTreeMap<NodeId, u32>>>,
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        let mut by_node = self.by_node.lock();
        if let Some(streams) = by_node.get_mut(&self.node) {
            *streams -= 1;
            if *streams == 0 {
                by_node.remove(&self.node);
            }
        }
    }
}

impl Admission {
    pub(in crate::driver) fn new(settings: &Settings) -> Self {
        let gate = |turns: u32| Arc::new(Semaphore::new(turns as usize));
        Self {
            uploads: gate(settings.limit_uploads),
            uploads_max: settings.limit_uploads as usize,
            searches: gate(settings.limit_searches),
            peers: gate(settings.limit_peer_calls),
            streams: gate(settings.limit_peer_calls),
            streams_by_node: Arc::default(),
            streams_of_one_max: settings.limit_peer_calls.div_ceil(2),
        }
    }

    pub(in crate::driver) fn upload(&self) -> Result<Permit, Busy> {
        let busy = "this node is at its limit of concurrent uploads (limit.uploads); try again in a second";
        enter(&self.uploads).ok_or_else(|| Busy(busy.to_owned()))
    }

    /// Whether no upload is under way.
    pub(in crate::driver) fn takes_nothing_in(&self) -> bool {
        self.uploads.available_permits() == self.uploads_max
    }

    pub(in crate::driver) fn search(&self) -> Result<Permit, Busy> {
        let busy = "this node is at its limit of concurrent searches (limit.searches); try again in a second";
        enter(&self.searches).ok_or_else(|| Busy(busy.to_owned()))
    }

    /// Admits a small call from another node.
    pub(in crate::driver) fn peer_call(&self) -> Result<Permit, Refusal> {
        enter(&self.peers).ok_or_else(busy_with_others)
    }

    /// Admits a stream of content from or to another node. Streams have a limit of their own: however many slow
    /// streams there are, a commit or a probe gets through. One node has at most half of them.
    pub(in crate::driver) fn peer_stream(&self, node: NodeId) -> Result<StreamPermit, Refusal> {
        let permit = enter(&self.streams).ok_or_else(busy_with_others)?;
        let mut by_node = self.streams_by_node.lock();
        let streams = by_node.entry(node).or_default();
        if *streams >= self.streams_of_one_max {
            let busy = "this node is at its limit of concurrent streams from one other node (half of limit.peer_calls); try again";
            return Err(Refusal::Busy(busy.to_owned()));
        }
        *streams += 1;
        Ok(StreamPermit {
            _permit: permit,
            node,
            by_node: Arc::clone(&self.streams_by_node),
        })
    }
}

fn busy_with_others() -> Refusal {
    let busy = "this node is at its limit of concurrent calls from other nodes (limit.peer_calls); try again";
    Refusal::Busy(busy.to_owned())
}

fn enter(gate: &Arc<Semaphore>) -> Option<Permit> {
    Arc::clone(gate).try_acquire_owned().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_lets_in_so_many_and_another_when_one_has_left() {
        let settings = Settings {
            limit_uploads: 2,
            ..Settings::default()
        };
        let admission = Admission::new(&settings);
        let turns = [admission.upload(), admission.upload()];
        assert!(turns.iter().all(Result::is_ok));
        let Busy(reason) = admission.upload().expect_err("two uploads are under way");
        assert!(reason.contains("limit.uploads"), "{reason}");
        assert!(admission.search().is_ok(), "searches have their own limit");
        drop(turns);
        assert!(admission.upload().is_ok());
    }

    #[test]
    fn one_node_leaves_streams_for_the_others() {
        let settings = Settings {
            limit_peer_calls: 4,
            ..Settings::default()
        };
        let admission = Admission::new(&settings);
        let [one, other] = [NodeId::from(1), NodeId::from(2)];
        let streams = [admission.peer_stream(one), admission.peer_stream(one)];
        assert!(streams.iter().all(Result::is_ok));
        assert!(matches!(admission.peer_stream(one), Err(Refusal::Busy(_))));
        assert!(admission.peer_stream(other).is_ok());
        drop(streams);
        assert!(admission.peer_stream(one).is_ok());
        assert!(admission.streams_by_node.lock().is_empty());
    }
}
