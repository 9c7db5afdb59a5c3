//! Announcements: what this node learns of a file, what it does about it, and how it passes it on.
//!
//! Announcements flood over the links; each node passes each one on once. They may be lost, and they may be wrong:
//! they only make a node ask the holders sooner (`replication/release`), and correctness never depends on them.

use std::sync::Arc;

use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::node::Effect;
use dataverse_core::record::Record;
use dataverse_core::search::Peer;
use dataverse_overlay::transport::{Announcement, TransportExt};
use dataverse_store::{Change, StoreError};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::driver::Driver;
use crate::limits;

/// An announcement on its way out.
pub(in crate::driver) struct Outgoing {
    announcement: Announcement,
    /// The node it came from, which does not get it back.
    except: Option<NodeId>,
}

impl Driver {
    /// Announces a record that is durable on every node of its layout.
    pub(in crate::driver) async fn announce(&self, record: &Arc<Record>) {
        let hops_left = self.settings.announce_hops;
        let effects = self.state.node().learn_own(record);
        self.perform_all(record, effects, hops_left, None).await;
    }

    /// Takes in a record that another node told of: has it verified if it is greater than what is held here, and
    /// passes it on.
    pub(in crate::driver) async fn learn(
        &self,
        record: &Arc<Record>,
        hops_left: u32,
        from: Option<NodeId>,
    ) {
        let effects = self.state.node().learn(record);
        self.perform_all(record, effects, hops_left, from).await;
    }

    async fn perform_all(
        &self,
        record: &Arc<Record>,
        effects: Vec<Effect>,
        hops_left: u32,
        from: Option<NodeId>,
    ) {
        self.policy_slots
            .file_was_superseded(&record.key, record.version);
        for effect in effects {
            if let Err(error) = self.perform_effect(effect, hops_left, from).await {
                tracing::warn!(key = %record.key, %error, "an announcement could not be acted on");
            }
        }
    }

    pub(in crate::driver) async fn perform_effect(
        &self,
        effect: Effect,
        hops_left: u32,
        from: Option<NodeId>,
    ) -> Result<(), StoreError> {
        let change = match effect {
            Effect::Announce { record } => {
                self.pass_on(record, hops_left, from);
                return Ok(());
            }
            Effect::Drop { key, version, role } => Change::Drop {
                key,
                version,
                only: Some(role),
            },
            Effect::Verify { record } => {
                self.release_soon(&record);
                return Ok(());
            }
            Effect::Adopt { record, role } => {
                // What is a replica here already stays one.
                let takes_none = self.lifetime.now().draining || self.is_leaving();
                let role = match takes_none && !record.deleted {
                    true => Role::Cached,
                    false => role,
                };
                let verified = self.checked_now(&record);
                if role == Role::Replica {
                    self.policy_slots
                        .file_is_replica(&record.key, record.version);
                }
                Change::Put {
                    record,
                    role,
                    content: None,
                    // A newer layout says nothing about whether this version is the newest.
                    validated: 0,
                    verified,
                }
            }
        };
        self.store.apply(change).await.map(|_| ())
    }

    fn pass_on(&self, record: Arc<Record>, hops_left: u32, except: Option<NodeId>) {
        let Some(hops_left) = hops_left.checked_sub(1) else {
            return;
        };
        let outgoing = Outgoing {
            announcement: Announcement { record, hops_left },
            except,
        };
        if self.announcements.try_send(outgoing).is_err() {
            tracing::debug!("an announcement was dropped because the queue is full");
        }
    }

    /// Sends queued announcements, at most [`limits::ANNOUNCEMENTS_AT_ONCE_MAX`] messages at the same time.
    pub(in crate::driver) async fn send_announcements(
        self: Arc<Self>,
        mut outgoing: mpsc::Receiver<Outgoing>,
    ) {
        let mut sending = JoinSet::new();
        while let Some(Some(next)) = self.still_runs(outgoing.recv()).await {
            let others = self.links.up_peers().into_iter();
            for peer in others.filter(|peer| Some(peer.id) != next.except) {
                while sending.len() >= limits::ANNOUNCEMENTS_AT_ONCE_MAX {
                    sending.join_next().await;
                }
                sending.spawn(Arc::clone(&self).send_announcement(peer, next.announcement.clone()));
            }
            while sending.try_join_next().is_some() {}
        }
    }

    async fn send_announcement(self: Arc<Self>, peer: Peer, announcement: Announcement) {
        let message = self.message(announcement);
        let answer = self.transport.ask(&peer, message).await;
        if let Err(error) = answer.and_then(|answer| self.answer_of(&peer, answer)) {
            tracing::debug!(node = %peer.name, %error, "an announcement was lost");
        }
    }
}
