//! Two nodes that go by one id, as the others see them.
//!
//! Where a node is heard under another address than the one it has, and in another run, it may have moved, or its
//! data folder may have been copied. So the address that is known is asked first. If nobody answers there under
//! that id the node has moved, or a backup of it was started in its place, and all goes on. If somebody does, the
//! two are two: the one that is known is kept, and the newcomer is told where that one listens. Nothing that the
//! newcomer says changes this, for anyone can say it. If the newcomer runs from a copy of the data folder, the two
//! settle between themselves who keeps away (see `isolation`); if that is the known one, it says so when it is asked
//! the next time, and the newcomer is let in.
//!
//! A node also keeps here what it found out about others under its own id.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dataverse_core::id::NodeId;
use dataverse_core::search::Peer;
use dataverse_overlay::transport::{LinkAnswer, LinkAsk, Refusal, Sender};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::{Instant, timeout};

use crate::driver::Driver;
use crate::limits;

/// A claim that was not heard of again for so long is over.
const KEPT_FOR: Duration = Duration::from_secs(5 * 60);

/// Ids under which two nodes were heard.
#[derive(Default)]
pub(in crate::driver) struct Claims(Mutex<BTreeMap<NodeId, Claim>>);

/// What becomes of the other one of two nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::driver) enum ClaimState {
    /// It is not kept: what it says is refused.
    Refused,
    /// It goes by the id of the node that notes this, and did not prove that it runs from a copy of its folder.
    Unproven,
}

struct Claim {
    standing: ClaimState,
    name: Arc<str>,
    /// Where the node listens that is kept.
    kept: Arc<str>,
    /// Where the other one does, and which run it is.
    other: Arc<str>,
    instance: u64,
    heard: Instant,
}

impl Claims {
    /// Another node, which listens there in this run, answers under the id of the one that is kept. True if that is
    /// news: another run under the same id is none, for who makes runs up is not to fill the log. What is not proven
    /// never takes the place of what is.
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

    /// Whether this run was found to be the one that is not kept.
    fn is_refused(&self, id: NodeId, instance: u64) -> bool {
        self.lock().get(&id).is_some_and(|claim| {
            claim.standing == ClaimState::Refused && claim.instance == instance
        })
    }

    pub(in crate::driver) fn forget(&self, id: NodeId) {
        self.lock().remove(&id);
    }

    /// Each of them in a sentence.
    pub(in crate::driver) fn told(&self) -> Vec<String> {
        let claims = self.lock();
        let told = claims.iter().map(|(id, claim)| match claim.standing {
            ClaimState::Refused => format!(
                "two nodes run under the id {id} ({}): one at {}, which is kept, and one at {}, which is refused. The data folder of one is a copy of the other's: stop one of them, and start it again with a fresh folder",
                claim.name, claim.kept, claim.other
            ),
            ClaimState::Unproven => format!(
                "a node at {} claims the id {id} of this one ({}, at {}) and does not prove that it has a copy of its data folder: it runs an earlier release, or only pretends. This node goes on; see what runs there, and stop it",
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
    /// The node that is known under the id of the one that speaks, where that may be another.
    pub(in crate::driver) fn rival_of(&self, speaks: &Sender) -> Option<Peer> {
        let id = speaks.node.id;
        let known = self.links.peer_and_run(id);
        let (known, run) = known.or_else(|| self.member(id).map(|peer| (peer, 0)))?;
        // Earlier releases don't say which run they are.
        let is_same = run != 0 && run == speaks.instance;
        let may_be_another =
            speaks.instance != 0 && !is_same && known.address != speaks.node.address;
        may_be_another.then_some(known)
    }

    /// Whether the node that speaks is the one that it says it is, as far as can be known here. Calls the one that
    /// is known, if it may be another.
    ///
    /// # Errors
    /// The node that is known under this id, answers and is kept.
    pub(in crate::driver) async fn settle_claim(&self, speaks: &Sender) -> Result<(), Peer> {
        let id = speaks.node.id;
        let Some(known) = self.rival_of(speaks) else {
            return Ok(());
        };
        let ask = self
            .transport
            .link(&known.address, self.message(LinkAsk::AGAIN));
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
            tracing::error!(%id, kept = %known.address, refused = %other, "two nodes run under one id, as when a data folder was copied; stop one of them and start it with a fresh folder");
        }
        Err(known)
    }

    /// Refuses what a node says that is not kept under its id.
    pub(in crate::driver) fn refuse_double(&self, sender: &Sender) -> Result<(), Refusal> {
        if sender.instance == 0 || !self.claims.is_refused(sender.node.id, sender.instance) {
            return Ok(());
        }
        Err(Refusal::Invalid(format!(
            "another node runs under the id of node {} at {}, and is kept: stop one of them and start it with a fresh folder",
            sender.node.name, sender.node.address
        )))
    }
}
