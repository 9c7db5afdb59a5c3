//! `Relief`: asks another holder to move a replica that this node can't hold.

use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::recent::Recent;
use dataverse_core::record::Record;
use dataverse_overlay::transport::{MoveAsk, TransportExt};
use parking_lot::Mutex;

use crate::driver::Driver;
use crate::limits;

/// How often other holders were asked to move this node's replica of a file.
pub(in crate::driver) struct Relief(Mutex<Recent<Key, usize>>);

impl Default for Relief {
    fn default() -> Self {
        Self(Mutex::new(Recent::new(limits::REPAIR_QUEUE_MAX)))
    }
}

impl Relief {
    /// How often another holder was asked before to move the replica of this file that is here; counts this time
    /// too.
    fn asked_before(&self, key: &Key) -> usize {
        let mut asked = self.0.lock();
        let times = asked.get(key).copied().unwrap_or_default();
        asked.put(key.clone(), times + 1);
        times
    }
}

impl Driver {
    /// Asks another holder to move this node's replica elsewhere, because this node can't: it lacks space for it,
    /// can't read it, or can't reach any node that could take it. The greater layout arrives when the move is
    /// done.
    pub(in crate::driver) async fn ask_to_be_relieved(&self, record: &Record) {
        let others = record.layout.holders.iter().copied();
        let others: Vec<NodeId> = others.filter(|id| *id != self.me.id).collect();
        let takers = self.takers_of(record, others.clone()).await;
        if takers.is_empty() {
            return;
        }
        // The best candidate first, and a different one each time after that, since one that refused would rank
        // first again.
        let to = &takers[self.relief.asked_before(&record.key) % takers.len()];
        for holder in others.into_iter().filter_map(|id| self.peer_of(id)) {
            let ask = MoveAsk {
                key: record.key.clone(),
                relieves: true,
                to: to.clone(),
            };
            let answer = self.transport.ask(&holder, self.message(ask)).await;
            match answer.and_then(|answer| self.answer_of(&holder, answer)) {
                Ok(()) => {
                    tracing::debug!(key = %record.key, holder = %holder.name, to = %to.name, "asked another holder to move a replica that can't be held here");
                    return;
                }
                Err(error) => {
                    tracing::debug!(key = %record.key, holder = %holder.name, %error, "a holder refused to move a replica that can't be held here");
                }
            }
        }
    }
}
