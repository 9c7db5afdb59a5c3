//! Leave messages: a node that was drained and is about to stop announces that it leaves, and the others stop
//! waiting for it.
//!
//! A neighbour that is down may have the only copy of the file searched for, so a search it does not answer can't
//! be sure of a miss. A drained node holds no replica, so once it has left its silence means nothing. A node that
//! stops without having been drained sends no leave message.
//!
//! Before that, it links its neighbours with each other: otherwise the graph could fall into parts that don't know of
//! each other's files, and each would believe that it is the whole. If that fails, it sends none either.
//!
//! Anyone could send a leave message in another node's name, and files would then seem not to exist. So the
//! receiver calls the node back at its known address, and only the answer from there counts. A leave covers that
//! node alone, in that run. It survives a restart of the receiver and is void as soon as the node is heard in a
//! later run.

use std::sync::atomic::Ordering;
use std::time::Duration;

use dataverse_core::id::NodeId;
use dataverse_core::search::Peer;
use dataverse_overlay::transport::{LinkAnswer, LinkAsk, Message, Sender, TransportExt};
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use tokio::time::timeout;

use crate::driver::Driver;
use crate::driver::client::api::{LinkError, WriteError};
use crate::limits;

/// How long sending leave messages may take in total.
const TAKES_MAX: Duration = Duration::from_secs(5);
/// How long linking the neighbours with each other may take before that.
const JOIN_MAX: Duration = Duration::from_secs(2);

impl Driver {
    /// Announces to neighbours and members that this node leaves, if it was drained. Call it while the node still
    /// answers.
    pub async fn say_goodbye(&self) {
        if !self.drain_status().drained || self.isolation.is_on() {
            return;
        }
        // From here on the node takes in no file. A write already under way could still end with a replica here,
        // so that is checked next.
        if self.leaving.swap(true, Ordering::AcqRel) {
            return;
        }
        let is_empty = self.drain_status().drained
            && self.preparations.is_empty()
            && self.admission.takes_nothing_in()
            && self.pending_writes.lock().count() == 0;
        if !is_empty {
            self.leaving.store(false, Ordering::Release);
            tracing::warn!(
                "files were on their way to this node when it was stopped; it does not announce that it leaves, and the others will wait for it"
            );
            return;
        }
        if let Err(error) = self.join_neighbours().await {
            self.leaving.store(false, Ordering::Release);
            tracing::warn!(
                %error,
                "the neighbours of this node could not be linked with each other, so it does not announce that it leaves; the others wait for it until they are linked and it is unlinked"
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
            let answer = self.transport.ask(&peer.address, ask).await;
            let told = answer.and_then(|answer| self.answer_of(peer, answer));
            told.inspect_err(|error| {
                tracing::warn!(node = %peer.name, %error, "a node could not be told that this one leaves; it waits for this one until their link is cut");
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
                "this node was drained and leaves; the others do not wait for it"
            ),
            Err(_) => tracing::warn!("not every node could be told that this one leaves"),
        }
    }

    /// Links the neighbours with each other, so that no part of the graph is cut off from the rest when this node is
    /// not waited for any more. A part on its own would take files for missing that exist in another. One that is down
    /// can't be linked; then another neighbour must have a link with it, or nobody would wait for it.
    async fn join_neighbours(&self) -> Result<(), LinkError> {
        let up = self.links.up_peers();
        let joined = up.windows(2).map(|pair| async move {
            let linked = self.link_pair(&pair[0].address, &pair[1].address);
            match timeout(JOIN_MAX, linked).await {
                Ok(linked) => linked,
                Err(_) => Err(LinkError::Unreachable(format!(
                    "{} gave no answer",
                    pair[0].name
                ))),
            }
        });
        try_join_all(joined).await?;
        let members = self.seen_table();
        let is_linked_with = |neighbour: &Peer, other: NodeId| {
            let status = members.find(neighbour.id).and_then(|it| it.status.as_ref());
            status.is_some_and(|status| status.links.contains(&other))
        };
        let is_up = |peer: &Peer| up.iter().any(|other| other.id == peer.id);
        let down = self
            .links
            .staying_peers()
            .into_iter()
            .filter(|peer| !is_up(peer));
        for peer in down {
            if !up.is_empty() && !up.iter().any(|other| is_linked_with(other, peer.id)) {
                return Err(LinkError::Unreachable(format!(
                    "{} does not answer, and no other neighbour is linked with it",
                    peer.name
                )));
            }
        }
        Ok(())
    }

    /// Refuses writes once the node announces that it leaves: the only copy could be left here, and nobody would
    /// wait for it.
    pub(in crate::driver) fn refuse_leaving(&self) -> Result<(), WriteError> {
        match self.is_leaving() {
            true => Err(WriteError::Unavailable(
                "this node was drained and is about to stop; write to another node".to_owned(),
            )),
            false => Ok(()),
        }
    }

    /// Whether this node is announcing that it leaves.
    pub(in crate::driver) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// Handles a leave message: calls the node back at its known address and believes only the answer from there.
    pub(in crate::driver) async fn hear_goodbye(&self, sender: &Sender) {
        let id = sender.node.id;
        let Some(peer) = self.peer_of(id).filter(|_| id != self.me.id) else {
            return;
        };
        let ask = self
            .transport
            .ask(&peer.address, self.message(LinkAsk::AGAIN));
        let answer = timeout(self.settings.call_deadline / 2, ask).await;
        if let Ok(Ok(answer)) = answer
            && answer.sender.node.id == id
            && answer.body == LinkAnswer::Leaving
        {
            self.has_gone(&answer).await;
        }
    }

    /// Records that a node leaves, as it answered itself.
    pub(in crate::driver) async fn has_gone(&self, answer: &Message<LinkAnswer>) {
        let Peer { id, name, .. } = &answer.sender.node;
        if self.links.note_left(*id, answer.sender.instance) {
            tracing::info!(node = %name, "a drained node leaves; this node no longer waits for it");
            self.save_left().await;
        }
    }

    /// A node was heard: a leave from an earlier run is void.
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
            tracing::warn!(%error, "the list of nodes that have left could not be saved");
        }
    }

    /// Whether this node was drained and has stopped, so that its silence hides no file.
    pub(in crate::driver) fn has_left(&self, id: NodeId) -> bool {
        self.links.has_left(id)
    }
}
