//! Good-bye: a node that was emptied and is about to stop says so, and nobody waits for it any more.
//!
//! A neighbour that is away may have the only copy of what is searched for, so a search that it does not answer
//! can't be sure of a miss. One that was emptied holds no replica: once it has gone, its silence says nothing. A
//! node that stops without having been emptied says no good-bye.
//!
//! Anyone could say good-bye in another's name, and then files would seem not to exist. So whoever hears one calls
//! back where the node is known to listen, and only what it answers there counts. It speaks for that node alone, in
//! that run, outlasts a restart of whoever heard it, and is void as soon as the node is heard in a later run.

use std::sync::atomic::Ordering;
use std::time::Duration;

use dataverse_core::id::NodeId;
use dataverse_core::search::Peer;
use dataverse_overlay::transport::{LinkAnswer, LinkAsk, Message, Sender};
use futures_util::StreamExt;
use tokio::time::timeout;

use crate::driver::Driver;
use crate::driver::client::api::WriteError;
use crate::limits;

/// How long saying good-bye may take, however many there are to hear it.
const TAKES_MAX: Duration = Duration::from_secs(5);

impl Driver {
    /// Says good-bye to neighbours and members if this node was emptied. To be called while it still answers.
    pub async fn say_goodbye(&self) {
        if !self.drain_status().drained || self.isolation.is_on() {
            return;
        }
        // From here on nothing is taken in. What was under way before could still end with a replica here.
        if self.leaving.swap(true, Ordering::AcqRel) {
            return;
        }
        let is_empty = self.drain_status().drained
            && self.preparations.is_empty()
            && self.admission.takes_nothing_in();
        if !is_empty {
            self.leaving.store(false, Ordering::Release);
            tracing::warn!(
                "files were under way to this node when it was stopped: it says no good-bye, and the others wait for it"
            );
            return;
        }
        let mut others = self.links.peers();
        for member in self.living_members() {
            if others.iter().all(|other| other.id != member.id) {
                others.push(member);
            }
        }
        let calls = others.iter().map(|peer| async move {
            let ask = self.message(LinkAsk::GOODBYE);
            let answer = self.transport.link(&peer.address, ask).await;
            let told = answer.and_then(|answer| self.answer_of(peer, answer));
            told.inspect_err(|error| {
                tracing::warn!(node = %peer.name, %error, "a node could not be told that this one leaves; it will go on waiting for it until its link is cut");
            })
            .is_ok()
        });
        let calls = futures_util::stream::iter(calls);
        let told = calls
            .buffer_unordered(limits::GOODBYES_AT_ONCE_MAX)
            .filter(|told| std::future::ready(*told))
            .count();
        let takes_max = self.settings.node_shutdown.min(TAKES_MAX);
        match timeout(takes_max, told).await {
            Ok(told) => tracing::info!(
                nodes = told,
                "this node was emptied and leaves; the others wait for it no more"
            ),
            Err(_) => tracing::warn!("not every node could be told that this one leaves"),
        }
    }

    /// Refuses to take a file in once good-bye is being said: it could be left here alone, and nobody would wait.
    pub(in crate::driver) fn refuse_leaving(&self) -> Result<(), WriteError> {
        match self.is_leaving() {
            true => Err(WriteError::Unavailable(
                "this node was emptied and is about to stop; write to another one".to_owned(),
            )),
            false => Ok(()),
        }
    }

    /// Whether this node is about to stop for good.
    pub(in crate::driver) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// A node says good-bye. It is asked back where it is known to listen.
    pub(in crate::driver) async fn hear_goodbye(&self, sender: &Sender) {
        let id = sender.node.id;
        let Some(peer) = self.peer_of(id).filter(|_| id != self.me.id) else {
            return;
        };
        let ask = self
            .transport
            .link(&peer.address, self.message(LinkAsk::AGAIN));
        let answer = timeout(self.settings.call_deadline / 2, ask).await;
        if let Ok(Ok(answer)) = answer
            && answer.sender.node.id == id
            && answer.body == LinkAnswer::Leaving
        {
            self.has_gone(&answer).await;
        }
    }

    /// The node itself answered that it leaves.
    pub(in crate::driver) async fn has_gone(&self, answer: &Message<LinkAnswer>) {
        let Peer { id, name, .. } = &answer.sender.node;
        if self.links.note_left(*id, answer.sender.instance) {
            tracing::info!(node = %name, "a node was emptied and leaves; it is not waited for any more");
            self.save_left().await;
        }
    }

    /// A node is heard: what it said in an earlier run is void.
    pub(in crate::driver) fn is_heard(&self, sender: &Sender) {
        if !self.links.note_back(sender.node.id, sender.instance) {
            return;
        }
        tracing::info!(node = %sender.node.name, "a node that had left is back");
        let driver = self.shared();
        self.spawn(async move { driver.save_left().await });
    }

    async fn save_left(&self) {
        self.publish_status();
        if let Err(error) = self.save_links().await {
            tracing::warn!(%error, "who has left could not be saved");
        }
    }

    /// Whether this node was emptied and has stopped: its silence keeps nothing from anybody.
    pub(in crate::driver) fn has_left(&self, id: NodeId) -> bool {
        self.links.has_left(id)
    }
}
