//! `PolicySlot`: where questions of one kind come in, and where the policy that answers is replaced between two
//! answers.
//!
//! A policy answers on a blocking thread, one question at a time, and none of the node's locks is held meanwhile.
//! A caller that finds it busy for longer than its wall-clock limit gets the baseline's answer; that is no fault.
//! So does every caller while the policy is suspended, and while a new instance is made or handed much at once:
//! that happens after an answer, so that nobody waits for it.
//!
//! A question that was put is answered to its end, even if nobody waits any more. A panic that is not the policy's
//! own goes to the caller; the instance is thrown away, and the slot keeps working.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};
use tokio::task::{JoinHandle, spawn_blocking};

use super::asked::Asked;
use crate::driver::slots::gate::{Gate, Handover};
use crate::driver::slots::instance::{Answered, PolicyInstance, Priced, Readiness};

type HeldSlot<J> = OwnedMutexGuard<Option<PolicyInstance<J>>>;

/// Holds the policy that answers questions of one kind; while it is empty, the baseline answers.
pub struct PolicySlot<J: ?Sized> {
    instance: Arc<Mutex<Option<PolicyInstance<J>>>>,
    is_taken: AtomicBool,
    wait_ms: AtomicU64,
    pub(super) gate: Arc<Gate<J>>,
}

impl<J: ?Sized> Default for PolicySlot<J> {
    fn default() -> Self {
        Self {
            instance: Arc::default(),
            is_taken: AtomicBool::new(false),
            wait_ms: AtomicU64::new(0),
            gate: Arc::default(),
        }
    }
}

impl<J: ?Sized + Priced + 'static> PolicySlot<J> {
    /// Sets, once, what every instance is told before it is asked.
    pub(super) fn hand_over_with(&self, handover: Box<dyn Handover<J>>) {
        self.gate.hand_over_with(handover);
    }

    /// Replaces the policy, from the next question on. `None` is the baseline.
    ///
    /// Waits for the decision under way. If the future is dropped before it completes, nothing has changed.
    pub async fn take(&self, next: Option<PolicyInstance<J>>) {
        let hurry = self.gate.hurry();
        let mut instance = self.instance.lock().await;
        drop(hurry);
        if let Some(next) = &next {
            self.wait_ms.store(next.wall_ms(), Ordering::Relaxed);
        }
        self.is_taken.store(next.is_some(), Ordering::Release);
        let before = std::mem::replace(&mut *instance, next);
        self.gate.void();
        drop(instance);
        drop(before);
    }

    /// From now on the baseline answers. A policy being asked is cut off after the call under way.
    pub(super) fn close(&self) {
        self.gate.close();
    }

    /// Puts a question. The closure gets the policy, or `None` when the baseline is to answer.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(Option<Asked<'_, J>>) -> Answered<T> + Send + 'static,
    ) -> T {
        let Some(mut held) = self.free().await else {
            return question(None).value;
        };
        let gate = Arc::clone(&self.gate);
        let (reply, answer) = oneshot::channel();
        let answering = spawn_blocking(move || attend(&mut held, question, reply, &gate));
        match answer.await {
            Ok(answer) => answer,
            Err(_) => {
                joined(answering).await;
                unreachable!("a question that did not panic was answered")
            }
        }
    }

    /// Performs the handover to the present instance before it is asked anything. Meanwhile the baseline answers.
    pub(super) async fn settle_in(&self) {
        let Some(mut held) = self.free().await else {
            return;
        };
        let gate = Arc::clone(&self.gate);
        let settled = spawn_blocking(move || {
            if let Some(instance) = &mut *held {
                let _settling = gate.settling();
                if instance.ready(&gate) == Readiness::Unfamiliar {
                    instance.settle(&gate);
                }
            }
        });
        joined(settled).await;
    }

    /// Waits until everything that follows an answer is done.
    #[cfg(test)]
    pub(crate) async fn rest(&self) {
        drop(self.instance.lock().await);
    }

    /// The policy, if it can be asked now.
    async fn free(&self) -> Option<HeldSlot<J>> {
        let is_open = self.is_taken.load(Ordering::Acquire) && !self.gate.is_closed();
        if !is_open || self.gate.is_settling() {
            return None;
        }
        let wait = Duration::from_millis(self.wait_ms.load(Ordering::Relaxed));
        let free = Arc::clone(&self.instance).lock_owned();
        let held = tokio::time::timeout(wait, free).await.ok()?;
        let may = held.as_ref().is_some_and(PolicyInstance::may_decide) && !self.gate.is_closed();
        may.then_some(held)
    }
}

/// Answers a question. Afterwards makes a missing instance and performs the handover.
fn attend<J: ?Sized + Priced, T>(
    held: &mut HeldSlot<J>,
    question: impl FnOnce(Option<Asked<'_, J>>) -> Answered<T>,
    reply: oneshot::Sender<T>,
    gate: &Gate<J>,
) {
    let Some(instance) = &mut **held else {
        let _ = reply.send(question(None).value);
        return;
    };
    let readiness = instance.ready(gate);
    let answer = match readiness {
        Readiness::Ready => instance.answer(question, gate),
        Readiness::Unfit | Readiness::Unfamiliar => question(None).value,
    };
    // An instance that has just failed is replaced now, not with the next question.
    let has_to_settle = match readiness {
        Readiness::Ready => instance.wants_guest(),
        Readiness::Unfit => false,
        Readiness::Unfamiliar => true,
    };
    let _settling = has_to_settle.then(|| gate.settling());
    // The caller may be gone.
    let _ = reply.send(answer);
    if has_to_settle {
        instance.settle(gate);
    }
}

/// Waits for the task and passes on a panic.
async fn joined(blocking: JoinHandle<()>) {
    if let Err(error) = blocking.await {
        match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down, and this task with it.
            Err(_) => pending().await,
        }
    }
}
