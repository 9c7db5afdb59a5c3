//! `Gate`: what surrounds whoever answers. What an instance has to be told before it can be asked, and
//! whether it may go on.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use dataverse_core::policy::{Fault, FaultKind};
use tokio::time::Instant;

use super::asked::Asked;

/// What an instance has to be told before it can be asked anything, and goes on being told.
pub(crate) trait Handover<J: ?Sized>: Send + Sync {
    /// The present instance has been told.
    fn is_current(&self) -> bool;
    /// Telling it takes more than a moment, so nobody shall wait for it.
    fn is_long(&self) -> bool;
    /// Tells an instance that knows nothing.
    ///
    /// # Errors
    /// [`Fault`] when it fails at listening.
    fn give(&self, policy: &mut Asked<'_, J>) -> Result<(), Fault>;
    /// There is no instance any more that was told.
    fn void(&self);
}

/// What surrounds whoever answers.
pub(crate) struct Gate<J: ?Sized> {
    /// None where an instance can be asked without being told anything.
    handover: OnceLock<Box<dyn Handover<J>>>,
    is_closed: AtomicBool,
    /// How many wait to let someone else answer.
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
    /// Says once what an instance has to be told.
    pub(crate) fn hand_over_with(&self, handover: Box<dyn Handover<J>>) {
        // A place belongs to one cache, which says this when it starts.
        let _ = self.handover.set(handover);
    }

    pub(super) fn handover(&self) -> Option<&dyn Handover<J>> {
        self.handover.get().map(|handover| &**handover)
    }

    /// Whether the present instance knows what it has to know.
    pub(super) fn is_current(&self) -> bool {
        self.handover().is_none_or(Handover::is_current)
    }

    /// The present instance is gone, or about to go.
    pub(super) fn void(&self) {
        if let Some(handover) = self.handover() {
            handover.void();
        }
    }

    /// Nobody is asked any more. Who is being asked is cut off after the call under way.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }

    /// Whether nobody is asked any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// While it lives, an instance that is being told things is cut off: someone else is to answer.
    pub(super) fn hurry(&self) -> Ending<impl FnMut() + '_> {
        self.takers.fetch_add(1, Ordering::AcqRel);
        Ending(|| {
            self.takers.fetch_sub(1, Ordering::AcqRel);
        })
    }

    /// While it lives, an instance is being told things and nobody shall wait for it.
    pub(super) fn settling(&self) -> Ending<impl FnMut() + '_> {
        self.is_settling.store(true, Ordering::Release);
        Ending(|| self.is_settling.store(false, Ordering::Release))
    }

    pub(super) fn is_settling(&self) -> bool {
        self.is_settling.load(Ordering::Acquire)
    }

    /// Whether an instance may be told more.
    pub(super) fn may_settle(&self) -> Result<(), Fault> {
        if self.is_closed() || self.takers.load(Ordering::Acquire) > 0 {
            return Err(late("it is to be told nothing more"));
        }
        Ok(())
    }

    /// Whether an instance may go on with its decision.
    pub(super) fn may_answer(&self, until: Instant) -> Result<(), Fault> {
        if self.is_closed() {
            return Err(late("it is to decide nothing more"));
        }
        if Instant::now() >= until {
            return Err(late("its calls for one decision took too long together"));
        }
        Ok(())
    }
}

fn late(reason: &str) -> Fault {
    Fault::new(FaultKind::Deadline, reason)
}

/// Does something when it goes.
pub(super) struct Ending<F: FnMut()>(F);

impl<F: FnMut()> Drop for Ending<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
