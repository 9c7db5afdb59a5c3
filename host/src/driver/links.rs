//! Links: made on request, kept by both ends, taken up again whenever they break.
//!
//! A link joins two node ids; the address is only where the other end was last heard. Each is confirmed
//! now and then with a small call. One that does not answer is *down* and tried again with growing, jittered
//! pauses. A cut made while the other end is away leaves a refusal behind, which tells it when it returns.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use dataverse_core::id::NodeId;
use dataverse_core::limits;
use dataverse_core::search::Peer;
use tokio::time::Instant;

use super::Driver;
use super::face::{LinkError, LinkView};
use crate::config::address;
use crate::entropy::Entropy;
use crate::settings::Settings;
use crate::store::SavedLinks;
use crate::transport::{CallError, IntroduceAsk, LinkAnswer, LinkAsk, Refusal};

/// How often the keeper looks for links that are due.
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug)]
struct Link {
    peer: Peer,
    up: bool,
    checking: bool,
    due: Instant,
    pause: Duration,
}

#[derive(Debug, Default)]
struct Table {
    links: BTreeMap<NodeId, Link>,
    refused: BTreeSet<NodeId>,
}

/// The links of this node.
pub(super) struct Links {
    table: Mutex<Table>,
    /// Persisting is one at a time, so that an older state never overwrites a newer one.
    saving: tokio::sync::Mutex<()>,
}

impl Links {
    pub(super) fn new(saved: SavedLinks) -> Self {
        let now = Instant::now();
        let links = saved.links.into_iter().map(|(id, name, address)| {
            let peer = Peer {
                id,
                name: name.into(),
                address: address.into(),
            };
            (id, Link::begin(peer, false, now))
        });
        Self {
            table: Mutex::new(Table {
                links: links.collect(),
                refused: saved.refused.into_iter().collect(),
            }),
            saving: tokio::sync::Mutex::default(),
        }
    }

    /// The nodes at the other ends.
    pub(super) fn peers(&self) -> Vec<Peer> {
        let table = self.table();
        table.links.values().map(|link| link.peer.clone()).collect()
    }

    /// Those of them that answer.
    pub(super) fn up_peers(&self) -> Vec<Peer> {
        let table = self.table();
        let up = table.links.values().filter(|link| link.up);
        up.map(|link| link.peer.clone()).collect()
    }

    pub(super) fn peer(&self, id: NodeId) -> Option<Peer> {
        self.table().links.get(&id).map(|link| link.peer.clone())
    }

    pub(super) fn views(&self) -> Vec<LinkView> {
        self.table().links.values().map(Link::view).collect()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table
            .lock()
            .expect("no one panics while holding the links")
    }
}

impl Link {
    fn begin(peer: Peer, up: bool, now: Instant) -> Self {
        Self {
            peer,
            up,
            checking: false,
            due: now,
            pause: Duration::ZERO,
        }
    }

    fn view(&self) -> LinkView {
        LinkView {
            name: self.peer.name.to_string(),
            id: self.peer.id,
            address: self.peer.address.to_string(),
            up: self.up,
        }
    }

    /// It answered; it is confirmed again after this pause.
    fn answered(&mut self, peer: Peer, pause: Duration) {
        self.peer = peer;
        self.up = true;
        self.pause = Duration::ZERO;
        self.due = Instant::now() + pause;
    }

    fn failed(&mut self, settings: &Settings, entropy: &Entropy) {
        self.up = false;
        self.pause = (self.pause * 2).clamp(settings.link_retry_min, settings.link_retry_max);
        self.due = Instant::now() + entropy.jittered(self.pause);
    }
}

impl Driver {
    /// This node's links.
    pub fn links(&self) -> Vec<LinkView> {
        self.links.views()
    }

    /// Links this node with the one that listens at `address`.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn link(&self, address: &str) -> Result<LinkView, LinkError> {
        check_address(address)?;
        let ask = self.message(LinkAsk { explicit: true });
        let answer = self.transport.link(address, ask).await;
        let answer = answer.map_err(|error| refused(address, error))?;
        self.admit_sender(&answer.sender)
            .map_err(|refusal| LinkError::Refused(refusal.to_string()))?;
        let peer = answer.sender.node;
        if peer.id == self.me.id {
            return Err(LinkError::Refused(format!(
                "{address} is node {} itself; a node is not linked with itself",
                self.me.name
            )));
        }
        self.add_link(peer.clone(), true).await?;
        self.members.announce_to(&peer);
        let links = self.links.views();
        let made = links.into_iter().find(|link| link.id == peer.id);
        made.ok_or_else(|| LinkError::Refused(format!("{} cut the link at once", peer.name)))
    }

    /// Has the nodes that listen at these two addresses link with each other.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn link_pair(&self, a: &str, b: &str) -> Result<(), LinkError> {
        check_address(a)?;
        check_address(b)?;
        if a == &*self.me.address {
            return self.link(b).await.map(|_| ());
        }
        let ask = self.message(IntroduceAsk {
            other: b.to_owned(),
        });
        let answer = self.transport.introduce(a, ask).await;
        let answer = answer.map_err(|error| refused(a, error))?;
        self.admit_sender(&answer.sender)
            .map_err(|refusal| LinkError::Refused(refusal.to_string()))
    }

    /// Cuts the link with the neighbour of this name or id.
    ///
    /// # Errors
    /// [`LinkError::Unknown`].
    pub async fn unlink(&self, node: &str) -> Result<(), LinkError> {
        let peer = self.neighbour(node)?;
        self.change_links(|table| {
            table.links.remove(&peer.id);
            if table.refused.len() >= limits::LINKS_MAX {
                table.refused.pop_first();
            }
            table.refused.insert(peer.id);
        })
        .await?;
        tracing::info!(node = %peer.name, "link cut");
        let answer = self.transport.unlink(&peer, self.message(())).await;
        if let Err(error) = answer.and_then(|answer| self.answer_of(&peer, answer)) {
            tracing::warn!(node = %peer.name, %error, "the other end does not know yet that the link was cut; it is told when it returns");
        }
        Ok(())
    }

    /// Another node asks for a link, or takes up one that it has.
    pub(super) async fn accept_link(
        &self,
        peer: Peer,
        explicit: bool,
    ) -> Result<LinkAnswer, Refusal> {
        if peer.id == self.me.id {
            return Err(Refusal::Invalid(format!(
                "{} is node {} itself; a node is not linked with itself",
                peer.address, self.me.name
            )));
        }
        // The refusal stays: this answer may be lost, and only a new explicit link lifts it.
        if !explicit && self.links.table().refused.contains(&peer.id) {
            return Ok(LinkAnswer::Cut);
        }
        let added = self.add_link(peer.clone(), explicit).await;
        added.map_err(|error| match error {
            LinkError::Refused(reason) => Refusal::Invalid(reason),
            other => Refusal::Failed(other.to_string()),
        })?;
        if explicit {
            self.members.announce_to(&peer);
        }
        Ok(LinkAnswer::Linked)
    }

    /// The other end cut the link.
    pub(super) async fn forget_link(&self, id: NodeId) -> Result<(), Refusal> {
        let forgotten = self.change_links(|table| {
            table.links.remove(&id);
        });
        forgotten
            .await
            .map_err(|error| Refusal::Failed(error.to_string()))
    }

    /// Links with every address given at start, each as soon as its node is there.
    pub(super) async fn link_at_start(self: Arc<Self>, address: String) {
        let mut pause = self.settings.link_retry_min;
        loop {
            match self.still_runs(self.link(&address)).await {
                None => return,
                Some(Ok(link)) => {
                    tracing::info!(node = %link.name, address, "linked");
                    return;
                }
                Some(Err(LinkError::Unreachable(reason))) => {
                    tracing::debug!(address, reason, "not linked yet; it is tried again");
                }
                Some(Err(error)) => {
                    tracing::error!(address, %error, "not linked; mend the cause and link again");
                    return;
                }
            }
            if self
                .still_runs(tokio::time::sleep(self.entropy.jittered(pause)))
                .await
                .is_none()
            {
                return;
            }
            pause = (pause * 2).min(self.settings.link_retry_max);
        }
    }

    /// Confirms links that are due, for as long as the node runs.
    pub(super) async fn keep_links(self: Arc<Self>) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        while self.still_runs(look.tick()).await.is_some() {
            let due = {
                let now = Instant::now();
                let mut table = self.links.table();
                let due = table.links.values_mut();
                due.filter(|link| link.due <= now && !link.checking)
                    .map(|link| {
                        link.checking = true;
                        link.peer.clone()
                    })
                    .collect::<Vec<_>>()
            };
            for peer in due {
                let driver = Arc::clone(&self);
                self.spawn(async move { driver.check_link(peer).await });
            }
        }
    }

    async fn check_link(&self, peer: Peer) {
        // Gossip may know a newer address than the one at which it was last heard.
        let address = self.member(peer.id).map(|seen| seen.address);
        let address = address.unwrap_or_else(|| Arc::clone(&peer.address));
        let ask = self.message(LinkAsk { explicit: false });
        let answer = self.transport.link(&address, ask).await;
        let expected = Peer {
            address,
            ..peer.clone()
        };
        let answer = answer.and_then(|answer| {
            let heard = answer.sender.node.clone();
            self.answer_of(&expected, answer).map(|said| (said, heard))
        });
        match answer {
            Ok((LinkAnswer::Linked, heard)) => self.link_answered(heard).await,
            Ok((LinkAnswer::Cut, _)) => {
                tracing::info!(node = %peer.name, "the other end cut this link");
                let gone = self.change_links(|table| {
                    table.links.remove(&peer.id);
                });
                if let Err(error) = gone.await {
                    tracing::error!(%error, "a cut link could not be forgotten");
                }
            }
            Err(error) => self.link_failed(&peer, &error),
        }
    }

    async fn link_answered(&self, heard: Peer) {
        let (returned, moved) = {
            let mut table = self.links.table();
            let Some(link) = table.links.get_mut(&heard.id) else {
                return;
            };
            let returned = !link.up;
            let moved = link.peer != heard;
            link.checking = false;
            link.answered(heard.clone(), self.until_check());
            (returned, moved)
        };
        if returned {
            tracing::info!(node = %heard.name, "link up");
        }
        // An announcement may be lost, so it is repeated with every check.
        self.members.announce_to(&heard);
        if moved && let Err(error) = self.save_links().await {
            tracing::error!(%error, "a neighbour's new address could not be persisted");
        }
    }

    fn link_failed(&self, peer: &Peer, error: &CallError) {
        let mut table = self.links.table();
        let Some(link) = table.links.get_mut(&peer.id) else {
            return;
        };
        link.checking = false;
        if link.up {
            tracing::warn!(node = %peer.name, %error, "link down; it is tried again");
        }
        link.failed(&self.settings, &self.entropy);
    }

    /// The membership protocol says that a node is gone, or back: its link is checked at once.
    pub(super) fn check_soon(&self, id: NodeId) {
        if let Some(link) = self.links.table().links.get_mut(&id) {
            link.due = Instant::now();
        }
    }

    /// How long a link that is up goes unconfirmed.
    fn until_check(&self) -> Duration {
        self.entropy.jittered(self.settings.link_check)
    }

    async fn add_link(&self, peer: Peer, explicit: bool) -> Result<(), LinkError> {
        let full = {
            let table = self.links.table();
            table.links.len() >= limits::LINKS_MAX && !table.links.contains_key(&peer.id)
        };
        if full {
            return Err(LinkError::Refused(format!(
                "node {} has {} links already, which is the most it can have",
                self.me.name,
                limits::LINKS_MAX
            )));
        }
        let known = self.links.peer(peer.id).as_ref() == Some(&peer);
        let until_check = self.until_check();
        let add = |table: &mut Table| {
            if explicit {
                table.refused.remove(&peer.id);
            }
            let link = Link::begin(peer.clone(), true, Instant::now());
            table
                .links
                .entry(peer.id)
                .or_insert(link)
                .answered(peer.clone(), until_check);
        };
        if known {
            add(&mut self.links.table());
            return Ok(());
        }
        self.change_links(add).await
    }

    /// Changes the table and persists it; the change stands in memory from the beginning.
    async fn change_links(&self, change: impl FnOnce(&mut Table)) -> Result<(), LinkError> {
        change(&mut self.links.table());
        self.publish_status();
        self.save_links().await
    }

    async fn save_links(&self) -> Result<(), LinkError> {
        let _one_at_a_time = self.links.saving.lock().await;
        let saved = {
            let table = self.links.table();
            let link = |link: &Link| {
                let Peer { id, name, address } = &link.peer;
                (*id, name.to_string(), address.to_string())
            };
            SavedLinks {
                links: table.links.values().map(link).collect(),
                refused: table.refused.iter().copied().collect(),
            }
        };
        let persisted = self.store.save_links(saved).await;
        persisted.map_err(|error| LinkError::Failed(error.to_string()))
    }

    /// The neighbour whose name or id this is.
    fn neighbour(&self, node: &str) -> Result<Peer, LinkError> {
        let peers = self.links.peers();
        let matching: Vec<&Peer> = peers
            .iter()
            .filter(|peer| &*peer.name == node || peer.id.to_string() == node)
            .collect();
        match matching[..] {
            [peer] => Ok(peer.clone()),
            [] => Err(LinkError::Unknown(format!(
                "node {} has no link with `{node}`",
                self.me.name
            ))),
            _ => Err(LinkError::Ambiguous(format!(
                "several neighbours are called `{node}`; give the id"
            ))),
        }
    }
}

/// What an answer of the node at `address` means to whoever asked for the link.
fn refused(address: &str, error: CallError) -> LinkError {
    match error {
        CallError::Unreachable { .. } | CallError::Deadline { .. } => {
            LinkError::Unreachable(error.to_string())
        }
        CallError::Protocol { .. } => LinkError::Wrong(error.to_string()),
        CallError::Refused(Refusal::Absent(reason)) => LinkError::Unreachable(reason),
        CallError::Refused(Refusal::Busy(reason)) => {
            LinkError::Unreachable(format!("{address} is busy: {reason}"))
        }
        CallError::Refused(refusal @ (Refusal::Failed(_) | Refusal::Corrupt(_))) => {
            LinkError::Wrong(format!("{address} failed: {refusal}"))
        }
        CallError::Refused(refusal) => LinkError::Refused(refusal.to_string()),
    }
}

fn check_address(address: &str) -> Result<(), LinkError> {
    let checked = address::of_a_node(address);
    checked.map(drop).map_err(LinkError::Invalid)
}
