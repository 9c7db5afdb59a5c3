//! `Links`: made on request, kept by both ends, reconnected whenever they break.
//!
//! A link joins two node ids; the address is only where the other end was last heard. Each link is confirmed every
//! `link.check` with a small call. One that does not answer is *down* and retried with growing, jittered pauses. A
//! cut made while the other end is down leaves a refusal behind, which tells that end when it returns; only a new
//! explicit link lifts the refusal.
//!
//! A link that another node asks for is kept only if that node answers when it is called back (`call_back`), and leaves
//! part of the table to the links that are made on this node. In a full table, a link that has not answered in this run
//! of the node makes way for a new one; otherwise a link stays however long its other end is away, because that node
//! may have the only copy of a file.
//!
//! The table of links is persisted with every change.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dataverse_core::address;
use dataverse_core::backoff::Backoff;
use dataverse_core::id::NodeId;
use dataverse_core::limits::LINKS_MAX;
use dataverse_core::search::Peer;
use dataverse_overlay::transport::{
    CallError, IntroduceAsk, LinkAnswer, LinkAsk, Message, Refusal, Sender, TransportExt, UnlinkAsk,
};
use dataverse_store::SavedLinks;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::wanted::WantedLinks;
use crate::driver::Driver;
use crate::driver::client::api::{LinkError, LinkState, LinkView};
use crate::entropy::Entropy;
use crate::limits::{LEFT_MAX, LINKS_ACCEPTED_MAX};
use crate::settings::Settings;

/// How often [`Driver::keep_links`] looks for links that are due.
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug)]
struct Link {
    peer: Peer,
    up: bool,
    checking: bool,
    due: Instant,
    /// The pauses between retries, while it is down.
    backoff: Option<Backoff>,
    /// The run in which it was last heard; 0 if unknown.
    run: u64,
    /// It has answered since this node started.
    has_answered: bool,
    /// Since when it has not answered, the attempts since then, and the error of the last one.
    down_since: Instant,
    attempts: u32,
    last_error: Option<String>,
}

#[derive(Debug, Default)]
struct Table {
    links: BTreeMap<NodeId, Link>,
    refused: BTreeSet<NodeId>,
    /// Nodes that have left, and in which of their runs.
    left: BTreeMap<NodeId, u64>,
}

/// The links of this node.
pub(in crate::driver) struct Links {
    table: Mutex<Table>,
    /// Links requested at start that are not made yet.
    pub(in crate::driver) wanted: WantedLinks,
    /// Saves happen one at a time, so that an older state never overwrites a newer one.
    saving: tokio::sync::Mutex<()>,
}

impl Links {
    pub(in crate::driver) fn new(saved: SavedLinks) -> Self {
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
                left: saved.left.into_iter().collect(),
            }),
            wanted: WantedLinks::default(),
            saving: tokio::sync::Mutex::default(),
        }
    }

    /// All neighbours.
    pub(in crate::driver) fn peers(&self) -> Vec<Peer> {
        let table = self.table();
        table.links.values().map(|link| link.peer.clone()).collect()
    }

    /// The neighbours that have not left; these are the ones a search asks.
    pub(in crate::driver) fn staying_peers(&self) -> Vec<Peer> {
        let table = self.table();
        let links = table.links.values();
        let stay = links.filter(|link| link.up || !table.left.contains_key(&link.peer.id));
        stay.map(|link| link.peer.clone()).collect()
    }

    /// The neighbours that answer.
    pub(in crate::driver) fn up_peers(&self) -> Vec<Peer> {
        let table = self.table();
        let up = table.links.values().filter(|link| link.up);
        up.map(|link| link.peer.clone()).collect()
    }

    pub(in crate::driver) fn peer(&self, id: NodeId) -> Option<Peer> {
        self.table().links.get(&id).map(|link| link.peer.clone())
    }

    /// A neighbour, and the run in which it was last heard.
    pub(in crate::driver) fn peer_and_run(&self, id: NodeId) -> Option<(Peer, u64)> {
        let table = self.table();
        let link = table.links.get(&id)?;
        Some((link.peer.clone(), link.run))
    }

    /// Since when a neighbour has not answered, if it doesn't.
    pub(in crate::driver) fn silent_since(&self, id: NodeId) -> Option<Instant> {
        let table = self.table();
        let link = table.links.get(&id)?;
        (!link.up).then_some(link.down_since)
    }

    pub(in crate::driver) fn views(&self) -> Vec<LinkView> {
        let made: Vec<_> = {
            let table = self.table();
            let links = table.links.values();
            links
                .map(|link| link.view(table.left.contains_key(&link.peer.id)))
                .collect()
        };
        made.into_iter().chain(self.wanted.views()).collect()
    }

    pub(in crate::driver) fn has_left(&self, id: NodeId) -> bool {
        self.table().left.contains_key(&id)
    }

    /// Records that a node left in this run. False if that is known.
    pub(in crate::driver) fn note_left(&self, id: NodeId, run: u64) -> bool {
        let mut table = self.table();
        if run == 0 || table.left.get(&id) == Some(&run) {
            return false;
        }
        if table.left.len() >= LEFT_MAX {
            // The one that left longest ago.
            let oldest = table.left.iter().min_by_key(|(_, run)| **run);
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                table.left.remove(&oldest);
            }
        }
        table.left.insert(id, run);
        if let Some(link) = table.links.get_mut(&id) {
            link.up = false;
            link.down_since = Instant::now();
        }
        true
    }

    /// Records that a node was heard in this run. True if it had left in another.
    pub(in crate::driver) fn note_back(&self, id: NodeId, run: u64) -> bool {
        let mut table = self.table();
        let is_back = table.left.get(&id).is_some_and(|left| *left != run);
        if is_back {
            table.left.remove(&id);
        }
        is_back
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock()
    }
}

impl Table {
    /// Whether a link with this node fits among `max` links. If not, a link that was tried, and has not answered since
    /// this node started, makes way for it.
    fn has_room_for(&mut self, id: NodeId, max: usize) -> bool {
        if self.links.len() < max || self.links.contains_key(&id) {
            return true;
        }
        let silent = |link: &&Link| !link.has_answered && link.attempts > 0;
        let silent = self.links.values().filter(silent);
        let Some(silent) = silent.max_by_key(|link| link.attempts) else {
            return false;
        };
        let peer = silent.peer.clone();
        tracing::info!(node = %peer.name, address = %peer.address, "a link that has not answered makes way for another");
        self.links.remove(&peer.id);
        true
    }
}

impl Link {
    fn begin(peer: Peer, up: bool, now: Instant) -> Self {
        Self {
            peer,
            up,
            checking: false,
            due: now,
            backoff: None,
            run: 0,
            has_answered: false,
            down_since: now,
            attempts: 0,
            last_error: None,
        }
    }

    fn view(&self, has_left: bool) -> LinkView {
        let state = match (self.up, has_left) {
            (true, _) => LinkState::Up,
            (false, true) => LinkState::Left,
            (false, false) => LinkState::Down,
        };
        LinkView {
            name: self.peer.name.to_string(),
            id: self.peer.id,
            address: self.peer.address.to_string(),
            up: self.up,
            state,
            silent_for: (!self.up).then(|| self.down_since.elapsed()),
            attempts: self.attempts,
            last_error: self.last_error.clone(),
        }
    }

    /// Records an answer; the next check is due after this pause.
    fn answered(&mut self, peer: Peer, run: u64, pause: Duration) {
        self.peer = peer;
        self.run = run;
        self.up = true;
        self.has_answered = true;
        self.attempts = 0;
        self.last_error = None;
        self.backoff = None;
        self.due = Instant::now() + pause;
    }

    fn failed(&mut self, error: String, settings: &Settings, entropy: &Entropy) {
        if self.up {
            self.down_since = Instant::now();
        }
        self.up = false;
        self.attempts = self.attempts.saturating_add(1);
        self.last_error = Some(error);
        let new = || Backoff::new(settings.link_retry_min, settings.link_retry_max);
        let pause = self.backoff.get_or_insert_with(new).next_pause();
        self.due = Instant::now() + entropy.jittered(pause);
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
        self.refuse_isolated()
            .map_err(|refusal| LinkError::Refused(refusal.to_string()))?;
        let ask = self.message(LinkAsk::EXPLICIT);
        let answer = self.transport.ask(address, ask).await;
        let answer = answer.map_err(|error| refused(address, error))?;
        self.admit_sender(&answer.sender)
            .map_err(|refusal| LinkError::Refused(refusal.to_string()))?;
        let sender = answer.sender;
        let peer = sender.node.clone();
        if peer.id == self.me.id {
            return Err(self.met_itself(address, &sender).await);
        }
        match answer.body {
            LinkAnswer::Taken { by, .. } => {
                let reason = self.own_id_is_taken(&by);
                self.consider_double(by).await;
                return Err(LinkError::Refused(reason));
            }
            LinkAnswer::Isolated { .. } => {
                return Err(LinkError::Refused(format!(
                    "node {} at {address} is isolated, because another node runs under its id: see its status",
                    peer.name
                )));
            }
            LinkAnswer::Leaving => {
                return Err(LinkError::Unreachable(format!(
                    "node {} at {address} is about to stop",
                    peer.name
                )));
            }
            LinkAnswer::Linked | LinkAnswer::Cut => {}
        }
        if let Err(kept) = self.settle_claim(&sender).await {
            return Err(LinkError::Refused(format!(
                "node {} at {address} has the same id as the node at {}: the data folder of one is a copy of the other's; stop one of them and start it with a fresh folder",
                peer.name, kept.address
            )));
        }
        self.add_link(&sender, true, LINKS_MAX).await?;
        self.members.announce_to(&peer);
        let links = self.links.views();
        let made = links.into_iter().find(|link| link.id == peer.id);
        made.ok_or_else(|| {
            LinkError::Refused(format!(
                "{} cut the link right after it was made",
                peer.name
            ))
        })
    }

    /// Links the nodes at these two addresses with each other.
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
        let answer = self.transport.ask(a, ask).await;
        let answer = answer.map_err(|error| refused(a, error))?;
        self.admit_sender(&answer.sender)
            .map_err(|refusal| LinkError::Refused(refusal.to_string()))
    }

    /// Cuts the link with the neighbour of this name or id.
    ///
    /// # Errors
    /// [`LinkError::Unknown`].
    pub async fn unlink(&self, node: &str) -> Result<(), LinkError> {
        if self.links.wanted.remove(node) {
            tracing::info!(address = node, "gave up a link that was not made yet");
            return Ok(());
        }
        let peer = self.neighbour(node)?;
        self.change_links(|table| {
            table.links.remove(&peer.id);
            table.left.remove(&peer.id);
            if table.refused.len() >= LINKS_MAX {
                table.refused.pop_first();
            }
            table.refused.insert(peer.id);
        })
        .await?;
        tracing::info!(node = %peer.name, "link cut");
        let answer = self.transport.ask(&peer, self.message(UnlinkAsk)).await;
        if let Err(error) = answer.and_then(|answer| self.answer_of(&peer, answer)) {
            tracing::warn!(node = %peer.name, %error, "the other end could not be told that the link was cut; it is told when it returns");
        }
        Ok(())
    }

    /// Handles a request for a new link, or the check of an existing one.
    pub(in crate::driver) async fn accept_link(
        &self,
        sender: &Sender,
        ask: &LinkAsk,
    ) -> Result<LinkAnswer, Refusal> {
        let (peer, explicit) = (&sender.node, ask.explicit);
        if self.isolation.is_on() {
            self.refuse_isolated().or_else(|refusal| {
                // Earlier releases don't know the answer `Isolated`.
                (sender.instance != 0).then_some(()).ok_or(refusal)
            })?;
            let proof = self.proof_for(sender, ask);
            return Ok(LinkAnswer::Isolated { proof });
        }
        if peer.id == self.me.id {
            return self.meet_double(sender, ask);
        }
        if self.is_leaving() {
            return Ok(LinkAnswer::Leaving);
        }
        if ask.leaving {
            let _turn = self.admission.peer_call()?;
            self.hear_goodbye(sender).await;
            return Ok(LinkAnswer::Linked);
        }
        // Settling a claim makes a call of its own, so it needs a permit.
        let rival = self.rival_of(sender);
        let _turn = rival.map(|_| self.admission.peer_call()).transpose()?;
        if let Err(kept) = self.settle_claim(sender).await {
            return Ok(LinkAnswer::Taken {
                by: kept.address,
                proof: None,
            });
        }
        // The refusal stays, because this answer may be lost; only a new explicit link lifts it.
        if !explicit && self.links.table().refused.contains(&peer.id) {
            return Ok(LinkAnswer::Cut);
        }
        if self.links.peer(peer.id).is_none() {
            self.call_back(sender).await?;
        }
        let added = self.add_link(sender, explicit, LINKS_ACCEPTED_MAX).await;
        added.map_err(|error| match error {
            LinkError::Refused(reason) => Refusal::Invalid(reason),
            other => Refusal::Failed(other.to_string()),
        })?;
        if explicit {
            self.members.announce_to(peer);
        }
        Ok(LinkAnswer::Linked)
    }

    /// Answers a node with this node's own id: it is this node itself, or runs from a copy of its data folder.
    fn meet_double(&self, sender: &Sender, ask: &LinkAsk) -> Result<LinkAnswer, Refusal> {
        if [0, self.instance].contains(&sender.instance) {
            return Err(Refusal::Invalid(self.is_itself(&sender.node.address)));
        }
        self.consider_double_soon(Arc::clone(&sender.node.address));
        Ok(LinkAnswer::Taken {
            by: Arc::clone(&self.me.address),
            proof: self.proof_for(sender, ask),
        })
    }

    /// Handles an answer from a node with this node's own id.
    async fn met_itself(&self, address: &str, sender: &Sender) -> LinkError {
        if [0, self.instance].contains(&sender.instance) {
            return LinkError::Refused(self.is_itself(address));
        }
        self.consider_double(address.into()).await;
        LinkError::Refused(self.own_id_is_taken(address))
    }

    fn is_itself(&self, address: &str) -> String {
        format!(
            "{address} is node {} itself; a node can't be linked with itself",
            self.me.name
        )
    }

    fn own_id_is_taken(&self, other: &str) -> String {
        format!(
            "the node at {other} has the same id as this one at {}: the data folder of one is a copy of the other's; stop one of them and start it with a fresh folder",
            self.me.address
        )
    }

    /// Removes a link that the other end cut.
    pub(in crate::driver) async fn forget_link(&self, id: NodeId) -> Result<(), Refusal> {
        let forgotten = self.change_links(|table| {
            table.links.remove(&id);
        });
        forgotten
            .await
            .map_err(|error| Refusal::Failed(error.to_string()))
    }

    /// Checks links that are due, for as long as the node runs.
    pub(in crate::driver) async fn keep_links(self: Arc<Self>) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        while self.still_runs(look.tick()).await.is_some() {
            // An isolated node has nobody to link with.
            if self.isolation.is_on() {
                continue;
            }
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
        // Gossip may know a newer address than the one last heard.
        let address = self.member(peer.id).map(|seen| seen.address);
        let address = address.unwrap_or_else(|| Arc::clone(&peer.address));
        let ask = self.message(LinkAsk::AGAIN);
        let answer = self.transport.ask(&address, ask).await;
        let expected = Peer {
            address,
            ..peer.clone()
        };
        let answer = answer.and_then(|answer| {
            let heard = answer.sender.clone();
            self.answer_of(&expected, answer).map(|said| (said, heard))
        });
        match answer {
            Ok((LinkAnswer::Linked, heard)) => match self.settle_claim(&heard).await {
                Ok(()) => self.link_answered(heard).await,
                // The known node has just answered at its known address.
                Err(_) => self.link_is_as_before(peer.id),
            },
            Ok((body @ LinkAnswer::Leaving, sender)) => {
                self.has_gone(&Message { sender, body }).await;
                self.link_failed(&peer, "it is about to stop");
            }
            Ok((LinkAnswer::Taken { by, .. }, _)) => {
                self.link_failed(&peer, &self.own_id_is_taken(&by));
                self.consider_double(by).await;
            }
            Ok((LinkAnswer::Isolated { .. }, _)) => {
                self.link_failed(
                    &peer,
                    "it is isolated, because another node runs under its id",
                );
            }
            Ok((LinkAnswer::Cut, _)) => {
                tracing::info!(node = %peer.name, "the other end cut this link");
                let gone = self.change_links(|table| {
                    table.links.remove(&peer.id);
                });
                if let Err(error) = gone.await {
                    tracing::error!(%error, "a cut link could not be removed from the data folder");
                }
            }
            Err(error) => self.link_failed(&peer, &error.to_string()),
        }
    }

    /// The link keeps its peer, which has just answered.
    fn link_is_as_before(&self, id: NodeId) {
        let pause = self.until_check();
        if let Some(link) = self.links.table().links.get_mut(&id) {
            link.checking = false;
            let (peer, run) = (link.peer.clone(), link.run);
            link.answered(peer, run, pause);
        }
    }

    async fn link_answered(&self, sender: Sender) {
        let (heard, run) = (sender.node, sender.instance);
        let (returned, moved) = {
            let mut table = self.links.table();
            let Some(link) = table.links.get_mut(&heard.id) else {
                return;
            };
            let returned = !link.up;
            let moved = link.peer != heard;
            link.checking = false;
            link.answered(heard.clone(), run, self.until_check());
            (returned, moved)
        };
        if returned {
            tracing::info!(node = %heard.name, "link up");
        }
        // A membership announcement may be lost, so it is repeated with every check.
        self.members.announce_to(&heard);
        if moved && let Err(error) = self.save_links().await {
            tracing::error!(%error, "a neighbour's new address could not be saved");
        }
    }

    fn link_failed(&self, peer: &Peer, error: &str) {
        let mut table = self.links.table();
        let Some(link) = table.links.get_mut(&peer.id) else {
            return;
        };
        link.checking = false;
        if link.up {
            tracing::warn!(node = %peer.name, error, "link down; reconnecting");
        }
        link.failed(error.to_owned(), &self.settings, &self.entropy);
    }

    /// Checks the link with this node immediately. Gossip says that the node is gone, or back.
    pub(in crate::driver) fn check_soon(&self, id: NodeId) {
        if let Some(link) = self.links.table().links.get_mut(&id) {
            link.due = Instant::now();
        }
    }

    /// Checks every link immediately.
    pub(in crate::driver) fn check_all_soon(&self) {
        let now = Instant::now();
        let mut table = self.links.table();
        table.links.values_mut().for_each(|link| link.due = now);
    }

    /// Until the next check of a link that is up.
    fn until_check(&self) -> Duration {
        self.entropy.jittered(self.settings.link_check)
    }

    /// Keeps the link with a node that has just been heard, if it fits among `max` links.
    async fn add_link(&self, sender: &Sender, explicit: bool, max: usize) -> Result<(), LinkError> {
        let (peer, run) = (sender.node.clone(), sender.instance);
        let until_check = self.until_check();
        let is_known = {
            let mut table = self.links.table();
            if !table.has_room_for(peer.id, max) {
                let (name, links) = (&self.me.name, table.links.len());
                return Err(LinkError::Refused(match max < LINKS_MAX {
                    true => format!(
                        "node {name} already has {links} links, and keeps the rest for those that are made on it: ask its operator"
                    ),
                    false => format!("node {name} already has {links} links, the maximum"),
                }));
            }
            if explicit {
                table.refused.remove(&peer.id);
            }
            let new = || Link::begin(peer.clone(), true, Instant::now());
            let link = table.links.entry(peer.id);
            let is_known = matches!(&link, Entry::Occupied(link) if link.get().peer == peer);
            link.or_insert_with(new)
                .answered(peer.clone(), run, until_check);
            is_known
        };
        if is_known {
            return Ok(());
        }
        self.publish_status();
        self.save_links().await
    }

    /// Changes the table and persists it. The change takes effect in memory first.
    async fn change_links(&self, change: impl FnOnce(&mut Table)) -> Result<(), LinkError> {
        change(&mut self.links.table());
        self.publish_status();
        self.save_links().await
    }

    pub(in crate::driver) async fn save_links(&self) -> Result<(), LinkError> {
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
                left: table.left.iter().map(|(id, run)| (*id, *run)).collect(),
            }
        };
        let persisted = self.store.save_links(saved).await;
        persisted.map_err(|error| LinkError::Failed(error.to_string()))
    }

    /// The neighbour with this name or id.
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
                "several neighbours are named `{node}`; give the id"
            ))),
        }
    }
}

/// Converts a failed call to `address` into the error for the user who asked for the link.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(id: usize) -> Peer {
        Peer {
            id: NodeId::from(id as u128),
            name: format!("X{id}").into(),
            address: format!("x{id}.test:1").into(),
        }
    }

    /// A table with so many links, none of which was tried.
    fn table(links: usize) -> Table {
        let begin = |id| (peer(id).id, Link::begin(peer(id), false, Instant::now()));
        Table {
            links: (0..links).map(begin).collect(),
            ..Table::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_link_that_was_tried_and_has_not_answered_makes_way() {
        let (mut table, new) = (table(3), peer(9).id);
        assert!(table.has_room_for(new, 4));
        assert!(table.has_room_for(peer(1).id, 3), "it has its place");
        assert!(!table.has_room_for(new, 3), "none was tried yet");
        let (settings, entropy) = (Settings::default(), Entropy::of_system());
        for (id, link) in &mut table.links {
            let pause = settings.link_check;
            if *id != peer(1).id {
                link.answered(link.peer.clone(), 0, pause);
            }
            link.failed("it is gone".to_owned(), &settings, &entropy);
        }
        assert!(table.has_room_for(new, 3));
        let left: Vec<NodeId> = table.links.keys().copied().collect();
        assert_eq!(left, [peer(0).id, peer(2).id]);
        assert!(!table.has_room_for(new, 2), "both may come back");
    }

    #[test]
    fn links_that_other_nodes_ask_for_leave_room_for_the_operator() {
        let (mut table, new) = (table(LINKS_ACCEPTED_MAX), peer(LINKS_MAX).id);
        assert!(!table.has_room_for(new, LINKS_ACCEPTED_MAX));
        assert!(table.has_room_for(new, LINKS_MAX));
    }
}
