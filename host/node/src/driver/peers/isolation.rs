//! `Isolation`: whether this node stays off the network because another node runs under its id.
//!
//! A copied data folder makes a second node with the same id. If both answered, each would answer for files that
//! only the other has, so one of them must isolate itself. A node that is told of another under its id, by anyone,
//! calls that one and asks for a proof that it knows the folder's secret. It isolates itself if and only if the
//! proof holds and the other's run began earlier: a peer without the folder can't take a node off the network.
//! While isolated it makes no calls except to check whether the other is still there, and accepts none.
//!
//! A node under this id that proves nothing is reported as a problem, and this node keeps running.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dataverse_core::secret::Proof;
use dataverse_overlay::transport::{LinkAnswer, LinkAsk, Refusal, Sender, TransportExt};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::claims::ClaimState;
use crate::driver::Driver;

/// How often an isolated node checks whether the other is still there, and how often at most a node follows up
/// reports of another node under its id.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Whether, why and because of which node this one is isolated.
#[derive(Default)]
pub(crate) struct Isolation {
    is_on: AtomicBool,
    state: Mutex<Option<Isolated>>,
    begun: Notify,
    /// A reported claim is being checked, or was a moment ago.
    is_looking: AtomicBool,
}

#[derive(Clone)]
struct Isolated {
    /// Address of the other node.
    other: Arc<str>,
    /// When it last answered.
    heard: Instant,
    why: Arc<str>,
}

impl Isolation {
    /// Whether the node is isolated.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Acquire)
    }

    /// Why, if it is.
    pub(crate) fn why(&self) -> Option<Arc<str>> {
        if !self.is_on() {
            return None;
        }
        self.state
            .lock()
            .as_ref()
            .map(|isolated| Arc::clone(&isolated.why))
    }

    /// False if it is isolated already.
    fn begin(&self, other: &Arc<str>, why: Arc<str>) -> bool {
        let mut state = self.state.lock();
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
        *self.state.lock() = None;
        self.is_on.store(false, Ordering::Release);
    }

    fn other(&self) -> Option<(Arc<str>, Instant)> {
        let state = self.state.lock();
        let state = state.as_ref();
        state.map(|isolated| (Arc::clone(&isolated.other), isolated.heard))
    }

    fn heard(&self) {
        if let Some(isolated) = self.state.lock().as_mut() {
            isolated.heard = Instant::now();
        }
    }
}

/// Answer of a node that was called under this node's id.
enum Double {
    /// It runs from a copy of the same folder, in this run.
    Answers(u64),
    /// The same, and it is isolated.
    Isolated(u64),
    /// It answers under this id, in this run, and proves nothing.
    Unproven(u64),
    /// No node with this id is there.
    None,
}

impl Driver {
    /// Refuses calls while this node is isolated.
    pub(in crate::driver) fn refuse_isolated(&self) -> Result<(), Refusal> {
        match self.isolation.why() {
            Some(why) => Err(Refusal::Busy(why.to_string())),
            None => Ok(()),
        }
    }

    /// Follows up a report that another node runs under this id at this address: asks it for a proof, and isolates
    /// this node if the proof holds and the other's run began earlier.
    pub(in crate::driver) async fn consider_double(&self, address: Arc<str>) {
        if self.isolation.is_on() || address == self.me.address {
            return;
        }
        let (id, here) = (self.me.id, &self.me.address);
        match self.ask_double(&address).await {
            Double::None => {
                tracing::warn!(%id, %here, there = %address, "another node was reported under this node's id, but nobody answers there under that id");
            }
            Double::Unproven(instance) => {
                let standing = ClaimState::Unproven;
                if self.claims.note(&self.me, &address, instance, standing) {
                    tracing::warn!(%id, %here, there = %address, "another node claims this node's id and does not prove that it has a copy of its data folder; this node keeps running: find out what runs there");
                }
            }
            Double::Answers(instance) if instance < self.instance => self.isolate_from(&address),
            // The other node isolates itself.
            Double::Answers(instance) | Double::Isolated(instance) => {
                let standing = ClaimState::Refused;
                self.claims.note(&self.me, &address, instance, standing);
            }
        }
    }

    /// Isolates this node: another one runs from a copy of its folder and began earlier.
    fn isolate_from(&self, address: &Arc<str>) {
        let why = format!(
            "another node runs under the id of this one, {}: it answers at {address}, this one at {}. The data folder of one is a copy of the other's. This node was started later, so it stays off the network and refuses writes. Stop it and start it with a fresh folder (--data), or remove the copied folder; to keep this one instead, stop the other first and then restart this one",
            self.me.id, self.me.address
        );
        if self.isolation.begin(address, why.into()) {
            // This node is the one that is not kept.
            self.claims.forget(self.me.id);
            tracing::error!(id = %self.me.id, here = %self.me.address, there = %address, "another node runs under this node's id; this one was started later and stays off the network: stop it, or the other");
            self.publish_status();
        }
    }

    /// The same in the background, for a caller that has to answer. Runs one at a time and at intervals; reports
    /// in between are dropped, since a node that is really there asks again.
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
        let Ok(answer) = self.transport.ask(address, ask).await else {
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
            LinkAnswer::Isolated { .. } => Double::Isolated(instance),
            _ => Double::Answers(instance),
        }
    }

    /// Proves to a node with this node's id that this one has the folder's secret, if it asks. No other node is
    /// given a proof.
    pub(in crate::driver) fn proof_for(&self, sender: &Sender, ask: &LinkAsk) -> Option<Proof> {
        let id = self.me.id;
        let nonce = ask.nonce.as_ref().filter(|_| sender.node.id == id)?;
        Some(self.secret.prove(nonce, id, self.instance))
    }

    /// While this node is isolated, checks whether the other is still there. This node resumes when the other has
    /// been gone for `repair.after`, or when both are isolated and this one's run began earlier.
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
                    Double::Isolated(instance) => self.instance < instance,
                    Double::Unproven(_) | Double::None => {
                        heard.elapsed() >= self.settings.repair_after
                    }
                };
                if ends {
                    tracing::warn!(id = %self.me.id, there = %other, "no other node runs under this node's id any more; this one rejoins the network");
                    self.isolation.end();
                    self.check_all_soon();
                    self.publish_status();
                }
            }
        }
    }
}
