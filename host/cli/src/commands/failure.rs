//! How a command ends: the exit codes of the contract, and how a failure is reported.

use std::process::ExitCode;

use serde_json::Value;

use crate::config::ConfigError;

/// The exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Exit {
    /// Done.
    Done = 0,
    /// Not found, refused or failed.
    Refused = 1,
    /// The command was used wrongly; clap exits with the same code.
    Usage = 2,
    /// A node could not be reached.
    Unreachable = 3,
    /// Interrupted by Ctrl-C or a signal; shells use the same code.
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
    /// The arguments are invalid.
    #[error("{0}")]
    Usage(String),
    /// A node can't be reached, or the connection to it broke.
    #[error("{0}")]
    Unreachable(String),
    /// Interrupted before the command was done.
    #[error("interrupted")]
    Interrupted,
    /// The failure has already been reported.
    #[error("already reported")]
    Told(Exit),
    /// The reader closed the output, as it may.
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

    /// The failure as JSON, with what it is about; `None` if nothing is left to report.
    pub(super) fn as_json(&self, about: &[(&str, &str)]) -> Option<Value> {
        if matches!(self, Self::Told(_) | Self::Closed) {
            return None;
        }
        let about = about.iter().copied().chain([("error", "")]);
        let mut json: Value = about
            .map(|(name, text)| (name.to_owned(), Value::from(text)))
            .collect();
        json["error"] = self.to_string().into();
        Some(json)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}
