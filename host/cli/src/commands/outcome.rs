//! `Outcome`: how a command of several independent steps ends.

use super::failure::{Exit, Failure};
use super::screen::Screen;

/// The outcome of several independent steps.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    worst: Option<Exit>,
}

impl Outcome {
    /// Reports a failure and remembers it. Returns it as an error if continuing makes no sense, because the node
    /// can't be reached or nobody reads the output.
    pub(super) fn take(
        &mut self,
        done: Result<(), Failure>,
        screen: &mut Screen<'_>,
    ) -> Result<(), Failure> {
        match done {
            Ok(()) => Ok(()),
            Err(failure @ (Failure::Unreachable(_) | Failure::Interrupted | Failure::Closed)) => {
                Err(failure)
            }
            Err(failure) => {
                screen.failed(&failure);
                self.worst = self.worst.max(Some(failure.exit()));
                Ok(())
            }
        }
    }

    /// Fails if any step failed.
    pub(super) fn end(self) -> Result<(), Failure> {
        self.worst.map_or(Ok(()), |exit| Err(Failure::Told(exit)))
    }
}
