//! How a command ends: the exit codes of the contract, and what is said beforehand.

use std::process::ExitCode;

use serde_json::Value;

use super::screen::Screen;
use crate::config::ConfigError;

/// The exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Exit {
    /// It was done.
    Done = 0,
    /// It was not found, or refused.
    Refused = 1,
    /// The command was used wrongly; clap's own code, too.
    Usage = 2,
    /// A node could not be reached.
    Unreachable = 3,
    /// It was told to end, by Ctrl-C or a signal; the shells' own code for that.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Not found, refused by the node, or failed on this side.
    #[error("{0:#}")]
    Refused(#[from] anyhow::Error),
    /// The arguments make no sense.
    #[error("{0}")]
    Usage(String),
    /// A node can't be reached, or the connection with it broke.
    #[error("{0}")]
    Unreachable(String),
    /// It was told to end before it was done.
    #[error("interrupted")]
    Interrupted,
    /// What there was to say has been said.
    #[error("it was told before")]
    Told(Exit),
    /// Nobody reads the output any more, which is their right.
    #[error("the output was closed")]
    Closed,
}

impl Failure {
    /// Refused, for this reason.
    pub(super) fn refused(reason: impl std::fmt::Display) -> Self {
        Self::Refused(anyhow::anyhow!("{reason}"))
    }

    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Refused(_) => Exit::Refused,
            Self::Usage(_) => Exit::Usage,
            Self::Unreachable(_) => Exit::Unreachable,
            Self::Interrupted => Exit::Interrupted,
            Self::Told(exit) => *exit,
            Self::Closed => Exit::Done,
        }
    }

    /// Says why, unless that has happened.
    pub(super) fn tell(&self, screen: &mut Screen<'_>) {
        match self {
            Self::Told(_) | Self::Closed => {}
            failure => screen.note(&format!("error: {failure}")),
        }
    }

    /// Says the same as JSON on standard output, for whoever asked for JSON and got none yet.
    pub(super) fn tell_as_json(&self, screen: &mut Screen<'_>) {
        if screen.has_data() {
            return;
        }
        if let Some(told) = self.as_json(&[]) {
            // That nothing can be written was told before, or nobody reads it.
            let _unheard = screen.line(&told.to_string());
        }
    }

    /// The failure as JSON, with what it is about; nothing when there is nothing left to say.
    pub(super) fn as_json(&self, about: &[(&str, &str)]) -> Option<Value> {
        if matches!(self, Self::Told(_) | Self::Closed) {
            return None;
        }
        let about = about.iter().copied().chain([("error", "")]);
        let mut told: Value = about
            .map(|(name, text)| (name.to_owned(), Value::from(text)))
            .collect();
        told["error"] = self.to_string().into();
        Some(told)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

/// Several things done one after the other, each judged by itself.
#[derive(Debug, Default)]
pub(super) struct Judged {
    worst: Option<Exit>,
}

impl Judged {
    /// Tells of a failure and remembers it. An error when going on makes no sense: nobody is there to ask
    /// or to read.
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
                failure.tell(screen);
                self.worst = self.worst.max(Some(failure.exit()));
                Ok(())
            }
        }
    }

    /// Fails if anything failed.
    pub(super) fn end(self) -> Result<(), Failure> {
        self.worst.map_or(Ok(()), |exit| Err(Failure::Told(exit)))
    }
}
