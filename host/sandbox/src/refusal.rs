//! Why a file, or an instance of it, is not accepted.

use dataverse_core::limits;
use dataverse_core::policy::{Fault, FaultKind, Kind};

use crate::contract;

/// Why a policy is not accepted. Each message names what is wrong and says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The file is too large.
    #[error(
        "the file has {bytes} bytes; a policy has at most {most}: leave out what it does not need"
    )]
    TooLarge {
        /// Its bytes.
        bytes: usize,
        /// Bytes at most.
        most: usize,
    },
    /// The bytes are not WebAssembly.
    #[error("this is not WebAssembly: {0}")]
    NotWasm(String),
    /// A core module that can't be made a component.
    #[error("this is a core module, not a component: {0}")]
    NotAComponent(String),
    /// It imports something that no policy may use.
    #[error("it imports `{name}`, which policies do not get: {advice}")]
    ForeignImport {
        /// The import.
        name: String,
        /// What to do about it.
        advice: &'static str,
    },
    /// It exports no kind of decision.
    #[error(
        "it exports none of {placement}, {eviction} and {relocation}: export the one that it decides",
        placement = contract::PLACEMENT,
        eviction = contract::EVICTION,
        relocation = contract::RELOCATION
    )]
    NoKind,
    /// It exports more than one kind of decision.
    #[error("it exports {}: a policy decides one thing, so make a file of each", .0.join(" and "))]
    SeveralKinds(Vec<String>),
    /// It does not export the interface that every policy has.
    #[error(
        "it does not export {}: every policy introduces itself through it",
        contract::POLICY
    )]
    NoIntroduction,
    /// It was made for another version of the contract.
    #[error(
        "`{name}` is of version {version} of the contract and this node speaks {ours}: build the policy \
         against {ours}",
        ours = contract::VERSION
    )]
    WrongContract {
        /// The import or export that shows it.
        name: String,
        /// The version it was made for.
        version: String,
    },
    /// An import or export has other types than the contract.
    #[error(
        "`{name}` has other types than the contract: {reason}; build the policy against sdk/wit/policy.wit"
    )]
    WrongTypes {
        /// The import or export.
        name: String,
        /// How they differ.
        reason: String,
    },
    /// It would take too long to compile.
    #[error("it has {found} {what}; a policy has at most {most}: compilation would take too long")]
    TooCostly {
        /// What there is too much of.
        what: &'static str,
        /// How much of it.
        found: u64,
        /// How much at most.
        most: u64,
    },
    /// It does not compile.
    #[error("it does not compile: {0}")]
    Compile(String),
    /// Compiling it takes too long.
    #[error(
        "compiling it takes more than {cpu_seconds} s of processor time: leave out what it does not need, or give \
         the node more (`policies.compile_time`)"
    )]
    NeedsTime {
        /// What it had.
        cpu_seconds: u64,
    },
    /// Compiling it takes too much memory.
    #[error(
        "compiling it needs more than {memory_mib} MiB of memory: leave out what it does not need, or give the node \
         more (`policies.compile_memory`)"
    )]
    NeedsMemory {
        /// What it had.
        memory_mib: u64,
    },
    /// What it compiles to is too much to be kept in memory.
    #[error(
        "it compiles to {mib} MiB of code; at most {most} are allowed: leave out what it does not need"
    )]
    TooMuchCode {
        /// How much that is.
        mib: usize,
        /// How much at most.
        most: usize,
    },
    /// Refused in the process that compiles, in the words of that.
    #[error("{0}")]
    Told(String),
    /// It could not be compiled for a reason that may pass and lies in the machine, not in the file.
    #[error("it can't be compiled now: {0}")]
    Unavailable(String),
    /// It is a policy of another kind than was asked for.
    #[error("it is a policy for {found}, not for {wanted}")]
    OtherKind {
        /// What it decides.
        found: Kind,
        /// What was asked for.
        wanted: Kind,
    },
    /// It does not take its configuration.
    #[error("it does not take its configuration: {0}")]
    Config(String),
    /// It failed before or at its trial decision.
    #[error("it fails: {0}{advice}", advice = advice(.0.kind))]
    Fault(#[from] Fault),
}

impl Refusal {
    /// Whether the same file may be accepted later as it is.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// What to do about a fault of this kind.
const fn advice(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Fuel => "; if it needs more, raise `fuel` in its limits",
        FaultKind::Deadline => "; if it needs longer, raise `wall_ms` in its limits",
        FaultKind::Memory => "; if it needs more, raise `memory_mib` in its limits",
        FaultKind::Trap | FaultKind::Verdict | FaultKind::TooLong => "",
    }
}

/// What `error` says, with its causes, cut to a length that may be shown.
pub(crate) fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    cut(&text)
}

/// The beginning of `text` that may be shown, on one line.
pub(crate) fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(limits::POLICY_REASON_BYTES_MAX);
    text[..end].split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_wants_more_than_it_gets_is_told_where_to_ask() {
        for (kind, setting) in [
            (FaultKind::Fuel, "`fuel`"),
            (FaultKind::Deadline, "`wall_ms`"),
            (FaultKind::Memory, "`memory_mib`"),
        ] {
            let told = Refusal::Fault(Fault::new(kind, "too much")).to_string();
            assert!(
                told.contains("too much") && told.contains(setting),
                "{told}"
            );
        }
    }
}
