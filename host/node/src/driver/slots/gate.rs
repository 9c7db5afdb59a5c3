//! `Gate`: what surrounds an instance in a slot. What it must be told before it can be asked, and whether it may
//! go on.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use dataverse_core::policy::{Fault, FaultKind};
use tokio::time::Instant;

use super::asked::Asked;

/// What an instance is told before it can be asked anything, and keeps being told.
pub(crate) trait Handover<J: ?Sized>: Send + Sync {
    /// Whether the present instance has been told everything.
    fn is_current(&self) -> bool;
    /// Whether telling takes so long that nobody should wait for it.
    fn is_long(&self) -> bool;
    /// Tells a fresh instance everything.
    ///
    /// # Errors
    /// [`Fault`] when the instance fails while being told.
    fn give(&self, policy: &mut Asked<'_, J>) -> Result<(), Fault>;
    /// The instance that was told is gone.
    fn void(&self);
}

/// What surrounds the instance that answers.
pub(crate) struct Gate<J: ?Sized> {
    /// `None` if an instance can be asked without being told anything.
    handover: OnceLock<Box<dyn Handover<J>>>,
    is_closed: AtomicBool,
    /// Callers waiting to replace the policy.
    takers: AtomicUsize,
    is_settling: AtomicBool,
}

impl<J: ?Sized> Default for Gate<J> {
    fn default() -> Self {
        Self {
            handover: OnceLock::new(),
            is_closed: AtomicBool::new(false),
            takers: AtomicUsize::new(0),
            is_settling: AtomicBool::new(false),
        }
    }
}

impl<J: ?Sized> Gate<J> {
    /// Sets, once, what an instance is told.
    pub(crate) fn hand_over_with(&self, handover: Box<dyn Handover<J>>) {
        // A slot belongs to one cache, which sets this when it starts.
        let _ = self.handover.set(handover);
    }

    pub(super) fn handover(&self) -> Option<&dyn Handover<J>> {
        self.handover.get().map(|handover| &**handover)
    }

    /// Whether the present instance knows all it must.
    pub(super) fn is_current(&self) -> bool {
        self.handover().is_none_or(Handover::is_current)
    }

    /// The present instance is gone, or about to be.
    pub(super) fn void(&self) {
        if let Some(handover) = self.handover() {
            handover.void();
        }
    }

    /// No policy is asked any more. One being asked is cut off after the call under way.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }

    /// Whether no policy is asked any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// While the guard lives, a handover under way is cut off, because the policy is being replaced.
    pub(super) fn hurry(&self) -> Ending<impl FnMut() + '_> {
        self.takers.fetch_add(1, Ordering::AcqRel);
        Ending(|| {
            self.takers.fetch_sub(1, Ordering::AcqRel);
        })
    }

    /// While the guard lives, a handover is under way and callers don't wait for it.
    pub(super) fn settling(&self) -> Ending<impl FnMut() + '_> {
        self.is_settling.store(true, Ordering::Release);
        Ending(|| self.is_settling.store(false, Ordering::Release))
    }

    pub(super) fn is_settling(&self) -> bool {
        self.is_settling.load(Ordering::Acquire)
    }

    /// Whether a handover may continue.
    pub(super) fn may_settle(&self) -> Result<(), Fault> {
        if self.is_closed() || self.takers.load(Ordering::Acquire) > 0 {
            return Err(late("the handover was cut off"));
        }
        Ok(())
    }

    /// Whether an instance may continue its decision.
    pub(super) fn may_answer(&self, until: Instant) -> Result<(), Fault> {
        if self.is_closed() {
            return Err(late("the decision was cut off"));
        }
        if Instant::now() >= until {
            return Err(late("the calls of one decision took too long in total"));
        }
        Ok(())
    }
}

fn late(reason: &str) -> Fault {
    Fault::new(FaultKind::Deadline, reason)
}

/// Runs a function when dropped.
pub(super) struct Ending<F: FnMut()>(F);

impl<F: FnMut()> Drop for Ending<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
