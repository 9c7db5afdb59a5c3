//! Whether this node keeps away from the others, because another one goes by its id.
//!
//! A data folder that was copied makes a second node of the same id. Of two that run at once one has to stand
//! back, else both would answer for files that only one of them has. A node that is told of another one, by whomever,
//! asks that one itself, and has it prove that it knows the secret of the folder. It stands back if and only if the
//! proof holds and the other's run began earlier: nothing that a peer without the folder says takes a node out.
//! While it stands back it makes no calls but those by which it sees whether the other is still there, and takes none.
//!
//! Who answers under this id and proves nothing is reported as a problem, and all goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dataverse_core::secret::Proof;
use dataverse_overlay::transport::{LinkAnswer, LinkAsk, Refusal, Sender};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::claims::ClaimState;
use crate::driver::Driver;

/// How often a node that stands back looks whether the other is still there, and how often at most a node looks into
/// what others ask of it under its id.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Why and from whom a node keeps away.
#[derive(Default)]
pub(crate) struct Isolation {
    is_on: AtomicBool,
    state: Mutex<Option<Isolated>>,
    begun: Notify,
    /// A claim that others made is looked into, or was just now.
    is_looking: AtomicBool,
}

#[derive(Clone)]
struct Isolated {
    /// Where the other one listens.
    other: Arc<str>,
    /// When it last answered.
    heard: Instant,
    why: Arc<str>,
}

impl Isolation {
    /// Whether the node keeps away.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Acquire)
    }

    /// Why it does, if it does.
    pub(crate) fn why(&self) -> Option<Arc<str>> {
        if !self.is_on() {
            return None;
        }
        self.lock()
            .as_ref()
            .map(|isolated| Arc::clone(&isolated.why))
    }

    /// False if it does already.
    fn begin(&self, other: &Arc<str>, why: Arc<str>) -> bool {
        let mut state = self.lock();
        if state.is_some() {
            return false;
        }
        *state = Some(Isolated {
            other: Arc::clone(other),
            heard: Instant::now(),
            why,
        });
        self.is_on.store(true, Ordering::Release);
        self.begun.notify_one();
        true
    }

    fn end(&self) {
        *self.lock() = None;
        self.is_on.store(false, Ordering::Release);
    }

    fn other(&self) -> Option<(Arc<str>, Instant)> {
        let state = self.lock();
        let state = state.as_ref();
        state.map(|isolated| (Arc::clone(&isolated.other), isolated.heard))
    }

    fn heard(&self) {
        if let Some(isolated) = self.lock().as_mut() {
            isolated.heard = Instant::now();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Isolated>> {
        self.state.lock()
    }
}

/// What a node says that is asked under its own id.
enum Double {
    /// It runs from a copy of the same folder, in this run.
    Answers(u64),
    /// So it does, and it keeps away.
    KeepsAway(u64),
    /// It answers under this id, in this run, and proves nothing.
    Unproven(u64),
    /// Nobody of this id is there.
    None,
}

impl Driver {
    /// Refuses the calls of others while this node keeps away.
    pub(in crate::driver) fn refuse_isolated(&self) -> Result<(), Refusal> {
        match self.isolation.why() {
            Some(why) => Err(Refusal::Busy(why.to_string())),
            None => Ok(()),
        }
    }

    /// Another node was said to go by this id, at this address. It is asked for a proof, and this node keeps away if
    /// it has one and began to run earlier.
    pub(in crate::driver) async fn consider_double(&self, address: Arc<str>) {
        if self.isolation.is_on() || address == self.me.address {
            return;
        }
        let (id, here) = (self.me.id, &self.me.address);
        match self.ask_double(&address).await {
            Double::None => {
                tracing::warn!(%id, %here, there = %address, "this node was told that another one goes by its id, but nobody answers there under it");
            }
            Double::Unproven(instance) => {
                let standing = ClaimState::Unproven;
                if self.claims.note(&self.me, &address, instance, standing) {
                    tracing::warn!(%id, %here, there = %address, "another node claims this node's id and does not prove that it has a copy of its data folder; this node goes on: see what runs there");
                }
            }
            Double::Answers(instance) if instance < self.instance => self.keep_away_from(&address),
            // The other one stands back.
            Double::Answers(instance) | Double::KeepsAway(instance) => {
                let standing = ClaimState::Refused;
                self.claims.note(&self.me, &address, instance, standing);
            }
        }
    }

    /// Another one runs from a copy of this node's folder, and began earlier.
    fn keep_away_from(&self, address: &Arc<str>) {
        let why = format!(
            "another node runs under the id of this one, {}: it answers at {address}, this one at {}. The data folder of one is a copy of the other's. This node was started later and keeps away from the network: it takes nothing in. Stop it, and start it with a fresh folder (--data), or remove the copied folder; to go on with this one instead, stop the other first and then restart this one",
            self.me.id, self.me.address
        );
        if self.isolation.begin(address, why.into()) {
            // This one is the one that is not kept.
            self.claims.forget(self.me.id);
            tracing::error!(id = %self.me.id, here = %self.me.address, there = %address, "another node runs under this node's id; this one was started later and keeps away: stop it, or the other");
            self.publish_status();
        }
    }

    /// The same in the background, for whoever has to answer. One at a time and now and then: what comes in between
    /// is dropped, for whoever is really there asks again.
    pub(in crate::driver) fn consider_double_soon(&self, address: Arc<str>) {
        if self.isolation.is_on() || self.isolation.is_looking.swap(true, Ordering::AcqRel) {
            return;
        }
        let driver = self.shared();
        self.spawn(async move {
            let considered = async {
                driver.consider_double(address).await;
                tokio::time::sleep(LOOK_EVERY).await;
            };
            driver.still_runs(considered).await;
            driver.isolation.is_looking.store(false, Ordering::Release);
        });
    }

    async fn ask_double(&self, address: &str) -> Double {
        let nonce = self.entropy.nonce();
        let ask = self.message(LinkAsk::to_prove(nonce.clone()));
        let Ok(answer) = self.transport.link(address, ask).await else {
            return Double::None;
        };
        let (id, instance) = (self.me.id, answer.sender.instance);
        if answer.sender.node.id != id || instance == 0 || instance == self.instance {
            return Double::None;
        }
        let expected = self.secret.prove(&nonce, id, instance);
        if answer.body.proof() != Some(&expected) {
            return Double::Unproven(instance);
        }
        match answer.body {
            LinkAnswer::Isolated { .. } => Double::KeepsAway(instance),
            _ => Double::Answers(instance),
        }
    }

    /// Proves to a node of this one's id that this one has the secret of its folder, if it asks for that. Nobody else
    /// is given a proof.
    pub(in crate::driver) fn proof_for(&self, sender: &Sender, ask: &LinkAsk) -> Option<Proof> {
        let id = self.me.id;
        let nonce = ask.nonce.as_ref().filter(|_| sender.node.id == id)?;
        Some(self.secret.prove(nonce, id, self.instance))
    }

    /// Looks, while this node keeps away, whether the other is still there. When it has been gone for as long as
    /// a node may be before it counts as gone, or when both keep away, this node goes on.
    pub(in crate::driver) async fn keep_isolated(self: Arc<Self>) {
        loop {
            let begun = self.isolation.begun.notified();
            if self.still_runs(begun).await.is_none() {
                return;
            }
            while let Some((other, heard)) = self.isolation.other() {
                if self
                    .still_runs(tokio::time::sleep(LOOK_EVERY))
                    .await
                    .is_none()
                {
                    return;
                }
                let ends = match self.ask_double(&other).await {
                    Double::Answers(_) => {
                        self.isolation.heard();
                        false
                    }
                    Double::KeepsAway(instance) => self.instance < instance,
                    Double::Unproven(_) | Double::None => {
                        heard.elapsed() >= self.settings.repair_after
                    }
                };
                if ends {
                    tracing::warn!(id = %self.me.id, there = %other, "no other node goes by this node's id any more; this one goes on");
                    self.isolation.end();
                    self.check_all_soon();
                    self.publish_status();
                }
            }
        }
    }
}
