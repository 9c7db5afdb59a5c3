//! `Claims`: two nodes under one id, as a third node sees them.
//!
//! A node heard at another address and in another run than known may have moved, or its data folder may have been
//! copied. So the known address is asked first. If nobody answers there under that id, the node has moved, or a
//! backup was started in its place, and it is accepted. If somebody answers, there are two nodes: the known one is
//! kept, and the newcomer is refused and told the address of the known one. Nothing the newcomer says changes
//! that, since anyone could say it.
//!
//! If the newcomer runs from a copy of the data folder, the two settle between them which one stays off the
//! network (see `isolation`). If that is the known one, it says so the next time it is asked, and the newcomer is
//! accepted.
//!
//! A node also keeps here what it found out about other nodes under its own id.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dataverse_core::id::NodeId;
use dataverse_core::search::Peer;
use dataverse_overlay::transport::{LinkAnswer, LinkAsk, Refusal, Sender, TransportExt};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::{Instant, timeout};

use crate::driver::Driver;
use crate::limits;

/// A claim not heard of for this long is over.
const KEPT_FOR: Duration = Duration::from_secs(5 * 60);

/// Ids under which two nodes were heard.
#[derive(Default)]
pub(in crate::driver) struct Claims(Mutex<BTreeMap<NodeId, Claim>>);

/// How the other one of two nodes is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::driver) enum ClaimState {
    /// Its calls are refused.
    Refused,
    /// It uses this node's own id and did not prove that it runs from a copy of the data folder.
    Unproven,
}

struct Claim {
    standing: ClaimState,
    name: Arc<str>,
    /// Address of the node that is kept.
    kept: Arc<str>,
    /// Address of the other node, and its run.
    other: Arc<str>,
    instance: u64,
    heard: Instant,
}

impl Claims {
    /// Records that another node answers at this address, in this run, under the id of the one that is kept. True
    /// if that is new. Another run under the same id is not, so that a node which makes runs up can't fill the
    /// log. An unproven claim never replaces a proven one.
    pub(in crate::driver) fn note(
        &self,
        kept: &Peer,
        other: &Arc<str>,
        instance: u64,
        standing: ClaimState,
    ) -> bool {
        let claim = Claim {
            standing,
            name: Arc::clone(&kept.name),
            kept: Arc::clone(&kept.address),
            other: Arc::clone(other),
            instance,
            heard: Instant::now(),
        };
        let mut claims = self.lock();
        let before = claims.get(&kept.id);
        if before.is_none() && claims.len() >= limits::CLAIMS_MAX {
            return false;
        }
        let known = before.map(|before| before.standing);
        if standing == ClaimState::Unproven && known == Some(ClaimState::Refused) {
            return false;
        }
        claims.insert(kept.id, claim);
        known != Some(standing)
    }

    /// Whether this run is the refused one.
    fn is_refused(&self, id: NodeId, instance: u64) -> bool {
        self.lock().get(&id).is_some_and(|claim| {
            claim.standing == ClaimState::Refused && claim.instance == instance
        })
    }

    pub(in crate::driver) fn forget(&self, id: NodeId) {
        self.lock().remove(&id);
    }

    /// Each claim as a sentence for the operator.
    pub(in crate::driver) fn told(&self) -> Vec<String> {
        let claims = self.lock();
        let told = claims.iter().map(|(id, claim)| match claim.standing {
            ClaimState::Refused => format!(
                "two nodes run under the id {id} ({}): one at {}, which is kept, and one at {}, which is refused. The data folder of one is a copy of the other's: stop one of them and start it again with a fresh folder",
                claim.name, claim.kept, claim.other
            ),
            ClaimState::Unproven => format!(
                "a node at {} claims the id {id} of this one ({}, at {}) and does not prove that it has a copy of its data folder: it runs an earlier release, or it is an impostor. This node keeps running; find out what runs there, and stop it",
                claim.other, claim.name, claim.kept
            ),
        });
        told.collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, Claim>> {
        let mut claims = self.0.lock();
        claims.retain(|_, claim| claim.heard.elapsed() < KEPT_FOR);
        claims
    }
}

impl Driver {
    /// The node known under the sender's id, if the sender may be a different node.
    pub(in crate::driver) fn rival_of(&self, speaks: &Sender) -> Option<Peer> {
        let id = speaks.node.id;
        let known = self.links.peer_and_run(id);
        let (known, run) = known.or_else(|| self.member(id).map(|peer| (peer, 0)))?;
        // Earlier releases don't send their run.
        let is_same = run != 0 && run == speaks.instance;
        let may_be_another =
            speaks.instance != 0 && !is_same && known.address != speaks.node.address;
        may_be_another.then_some(known)
    }

    /// Checks, as far as possible, that the sender is the node it says it is. Calls the known one if it may be
    /// another.
    ///
    /// # Errors
    /// The known node, if it answers under this id and is kept.
    pub(in crate::driver) async fn settle_claim(&self, speaks: &Sender) -> Result<(), Peer> {
        let id = speaks.node.id;
        let Some(known) = self.rival_of(speaks) else {
            return Ok(());
        };
        let ask = self
            .transport
            .ask(&known.address, self.message(LinkAsk::AGAIN));
        let answer = timeout(self.settings.call_deadline / 2, ask).await;
        let Ok(Ok(answer)) = answer else {
            self.claims.forget(id);
            return Ok(());
        };
        let there = answer.sender;
        let keeps_away = matches!(
            answer.body,
            LinkAnswer::Isolated { .. } | LinkAnswer::Leaving
        );
        let is_another = there.node.id == id && ![0, speaks.instance].contains(&there.instance);
        if !is_another || keeps_away {
            self.claims.forget(id);
            return Ok(());
        }
        let (other, instance) = (&speaks.node.address, speaks.instance);
        let noted = self
            .claims
            .note(&known, other, instance, ClaimState::Refused);
        if noted {
            tracing::error!(%id, kept = %known.address, refused = %other, "two nodes run under one id, probably because a data folder was copied; stop one of them and start it with a fresh folder");
        }
        Err(known)
    }

    /// Refuses calls from a node that is not kept under its id.
    pub(in crate::driver) fn refuse_double(&self, sender: &Sender) -> Result<(), Refusal> {
        if sender.instance == 0 || !self.claims.is_refused(sender.node.id, sender.instance) {
            return Ok(());
        }
        Err(Refusal::Invalid(format!(
            "another node runs under the same id as node {} at {} and is kept instead: stop one of them and start it with a fresh folder",
            sender.node.name, sender.node.address
        )))
    }
}
