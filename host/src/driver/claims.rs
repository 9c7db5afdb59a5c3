//! Two nodes that go by one id, as the others see them.
//!
//! Where a node is heard under another address than the one it has, and in another run, it may have moved, or its
//! data folder may have been copied. So the address that is known is asked first. If nobody answers there under
//! that id the node has moved, or a backup of it was started in its place, and all goes on. If somebody does, the
//! two are two: the one whose run began earlier is kept, and the other is told where that one listens.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dataverse_core::id::NodeId;
use dataverse_core::limits;
use dataverse_core::search::Peer;
use tokio::time::{Instant, timeout};

use super::Driver;
use crate::transport::{LinkAnswer, LinkAsk, Refusal, Sender};

/// A claim that was not heard of again for so long is over.
const KEPT_FOR: Duration = Duration::from_secs(5 * 60);

/// Ids under which two nodes were heard.
#[derive(Default)]
pub(super) struct Claims(Mutex<BTreeMap<NodeId, Claim>>);

struct Claim {
    name: Arc<str>,
    /// Where the node listens that is kept.
    kept: Arc<str>,
    /// Where the other one does, and which run it is.
    other: Arc<str>,
    instance: u64,
    heard: Instant,
}

impl Claims {
    /// Two nodes answer under this id. True if that is news.
    pub(super) fn note(
        &self,
        id: NodeId,
        name: &Arc<str>,
        kept: &Arc<str>,
        other: &Arc<str>,
        instance: u64,
    ) -> bool {
        let claim = Claim {
            name: Arc::clone(name),
            kept: Arc::clone(kept),
            other: Arc::clone(other),
            instance,
            heard: Instant::now(),
        };
        let mut claims = self.lock();
        if claims.len() >= limits::CLAIMS_MAX && !claims.contains_key(&id) {
            return false;
        }
        let before = claims.insert(id, claim);
        before.is_none_or(|before| before.instance != instance)
    }

    /// Whether this run was found to be the one that is not kept.
    fn is_refused(&self, id: NodeId, instance: u64) -> bool {
        self.lock()
            .get(&id)
            .is_some_and(|claim| claim.instance == instance)
    }

    fn forget(&self, id: NodeId) {
        self.lock().remove(&id);
    }

    /// Each of them in a sentence.
    pub(super) fn told(&self) -> Vec<String> {
        let claims = self.lock();
        let told = claims.iter().map(|(id, claim)| {
            format!(
                "two nodes run under the id {id} ({}): one at {}, which is kept, and one at {}, which is refused. The data folder of one is a copy of the other's: stop one of them, and start it again with a fresh folder",
                claim.name, claim.kept, claim.other
            )
        });
        told.collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, Claim>> {
        let mut claims = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        claims.retain(|_, claim| claim.heard.elapsed() < KEPT_FOR);
        claims
    }
}

impl Driver {
    /// Whether the node that speaks is the one that it says it is, as far as can be known here.
    ///
    /// # Errors
    /// Where the node listens that answers under this id and is kept.
    pub(super) async fn settle_claim(&self, speaks: &Sender) -> Result<(), Peer> {
        let id = speaks.node.id;
        let known = self.links.peer_and_run(id);
        let known = known.or_else(|| self.member(id).map(|peer| (peer, 0)));
        let Some((known, run)) = known else {
            return Ok(());
        };
        // Earlier releases don't say which run they are.
        let is_same = run != 0 && run == speaks.instance;
        if speaks.instance == 0 || is_same || known.address == speaks.node.address {
            return Ok(());
        }
        let ask = self
            .transport
            .link(&known.address, self.message(LinkAsk::AGAIN));
        let answer = timeout(self.settings.call_deadline / 2, ask).await;
        let Ok(Ok(answer)) = answer else {
            self.claims.forget(id);
            return Ok(());
        };
        let there = answer.sender;
        let keeps_away = matches!(answer.body, LinkAnswer::Isolated | LinkAnswer::Leaving);
        let is_another = there.node.id == id && ![0, speaks.instance].contains(&there.instance);
        if !is_another || keeps_away {
            self.claims.forget(id);
            return Ok(());
        }
        let was_refused = self.claims.is_refused(id, speaks.instance);
        let (kept, other, result) = if was_refused || there.instance < speaks.instance {
            (&there.node, speaks, Err(there.node.clone()))
        } else {
            (&speaks.node, &there, Ok(()))
        };
        let is_news = self.claims.note(
            id,
            &kept.name,
            &kept.address,
            &other.node.address,
            other.instance,
        );
        if is_news {
            tracing::error!(%id, kept = %kept.address, refused = %other.node.address, "two nodes run under one id, as when a data folder was copied; stop one of them and start it with a fresh folder");
        }
        result
    }

    /// Refuses what a node says that is not kept under its id.
    pub(super) fn refuse_double(&self, sender: &Sender) -> Result<(), Refusal> {
        if sender.instance == 0 || !self.claims.is_refused(sender.node.id, sender.instance) {
            return Ok(());
        }
        Err(Refusal::Invalid(format!(
            "another node runs under the id of node {} at {}, and is kept: stop one of them and start it with a fresh folder",
            sender.node.name, sender.node.address
        )))
    }
}
