//! Whether this node keeps away from the others, because another one goes by its id.
//!
//! A data folder that was copied makes a second node of the same id. Of two that run at once one has to stand
//! back, else both would answer for files that only one of them has. It is the later one that does, once it was
//! told so *and* has itself heard the other answer: no word of a single peer takes a node out. While it stands back
//! it makes no calls but those by which it sees whether the other is still there, and takes none.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::Driver;
use crate::transport::{LinkAnswer, LinkAsk, Refusal};

/// How often a node that stands back looks whether the other is still there.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Why and from whom a node keeps away.
#[derive(Default)]
pub(crate) struct Isolation {
    is_on: AtomicBool,
    state: Mutex<Option<Isolated>>,
    begun: Notify,
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
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a node says that is asked under its own id.
enum Double {
    /// It answers as a node of this id, in this run.
    Answers(u64),
    /// It keeps away, in this run.
    KeepsAway(u64),
    /// Nobody of this id is there.
    None,
}

impl Driver {
    /// Refuses the calls of others while this node keeps away.
    pub(super) fn refuse_isolated(&self) -> Result<(), Refusal> {
        match self.isolation.why() {
            Some(why) => Err(Refusal::Busy(why.to_string())),
            None => Ok(()),
        }
    }

    /// Another node was said to go by this id, at this address. `by_itself`: it said so itself. Keeps away if it
    /// answers: at once when a third node has settled that it was there first, else when it began to run earlier.
    pub(super) async fn consider_double(&self, address: Arc<str>, by_itself: bool) {
        if self.isolation.is_on() || address == self.me.address {
            return;
        }
        let double = self.ask_double(&address).await;
        if let Double::KeepsAway(instance) = double {
            let me = &self.me;
            self.claims
                .note(me.id, &me.name, &me.address, &address, instance);
            return;
        }
        let Double::Answers(instance) = double else {
            tracing::warn!(id = %self.me.id, here = %self.me.address, there = %address, "this node was told that another one goes by its id, but nobody answers there under it");
            return;
        };
        self.claims.note(
            self.me.id,
            &self.me.name,
            &self.me.address,
            &address,
            instance,
        );
        if by_itself && instance > self.instance {
            // The other one stands back.
            return;
        }
        let why = format!(
            "another node runs under the id of this one, {}: it answers at {address}, this one at {}. The data folder of one is a copy of the other's. This node was started later and keeps away from the network: it takes nothing in. Stop it, and start it with a fresh folder (--data), or remove the copied folder; to go on with this one instead, stop the other first and then restart this one",
            self.me.id, self.me.address
        );
        if self.isolation.begin(&address, why.into()) {
            tracing::error!(id = %self.me.id, here = %self.me.address, there = %address, "another node runs under this node's id; this one was started later and keeps away: stop it, or the other");
            self.publish_status();
        }
    }

    /// The same in the background, for whoever has to answer.
    pub(super) fn consider_double_soon(&self, address: Arc<str>, by_itself: bool) {
        let driver = self.shared();
        self.spawn(async move {
            let considered = driver.consider_double(address, by_itself);
            driver.still_runs(considered).await;
        });
    }

    async fn ask_double(&self, address: &str) -> Double {
        let answer = self.transport.link(address, self.message(LinkAsk::AGAIN));
        let Ok(answer) = answer.await else {
            return Double::None;
        };
        let instance = answer.sender.instance;
        if answer.sender.node.id != self.me.id || instance == 0 || instance == self.instance {
            return Double::None;
        }
        match answer.body {
            LinkAnswer::Isolated => Double::KeepsAway(instance),
            _ => Double::Answers(instance),
        }
    }

    /// Looks, while this node keeps away, whether the other is still there. When it has been gone for as long as
    /// a node may be before it counts as gone, or when both keep away, this node goes on.
    pub(super) async fn keep_isolated(self: Arc<Self>) {
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
                    Double::None => heard.elapsed() >= self.settings.repair_after,
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
