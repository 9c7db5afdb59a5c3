//! `Refusal`: why a policy file, or an instance of it, is not accepted.

use dataverse_core::limits;
use dataverse_core::policy::{Fault, FaultKind, Kind};

use crate::contract;

/// Why a policy is not accepted. Each message says what is wrong and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The file is too large.
    #[error(
        "the file has {bytes} bytes; a policy has at most {most}: leave out what it does not need"
    )]
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
        /// The limit in bytes.
        most: usize,
    },
    /// The bytes are not WebAssembly.
    #[error("this is not WebAssembly: {0}")]
    NotWasm(String),
    /// A core module that can't be turned into a component.
    #[error("it can't be made into a component: {0}")]
    NotAComponent(String),
    /// It imports something that no policy may use.
    #[error("it imports `{name}`, which policies may not use: {advice}")]
    ForeignImport {
        /// The import.
        name: String,
        /// What to do about it.
        advice: &'static str,
    },
    /// It exports none of the kinds of decision.
    #[error(
        "it exports none of {placement}, {eviction} and {relocation}: export the one that it implements",
        placement = contract::PLACEMENT,
        eviction = contract::EVICTION,
        relocation = contract::RELOCATION
    )]
    NoKind,
    /// It exports more than one kind of decision.
    #[error("it exports {}: a policy makes one kind of decision, so build one file for each", .0.join(" and "))]
    SeveralKinds(Vec<String>),
    /// It does not export the interface that every policy must have.
    #[error(
        "it does not export {}, which every policy needs in order to describe itself",
        contract::POLICY
    )]
    NoIntroduction,
    /// It was made for another version of the contract.
    #[error(
        "`{name}` belongs to version {version} of the contract, and this node supports {ours}: build the policy \
         against {ours}",
        ours = contract::VERSION
    )]
    WrongContract {
        /// The import or export with that version.
        name: String,
        /// Its version.
        version: String,
    },
    /// The types of an import or export differ from the contract.
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
        /// How much there is.
        found: u64,
        /// The limit.
        most: u64,
    },
    /// It does not compile.
    #[error("it does not compile: {0}")]
    Compile(String),
    /// The system had no memory left to compile it.
    #[error("compiling it runs out of memory: {0}")]
    OutOfMemory(String),
    /// Compiling it takes too long.
    #[error(
        "compiling it takes more than {cpu_seconds} s of processor time: leave out what it does not need, or give \
         the node more (`policies.compile_time`)"
    )]
    NeedsTime {
        /// The limit that it exceeded.
        cpu_seconds: u64,
    },
    /// Compiling it takes too much memory.
    #[error(
        "compiling it needs more than {memory_mib} MiB of memory: leave out what it does not need, or give the node \
         more (`policies.compile_memory`)"
    )]
    NeedsMemory {
        /// The limit that it exceeded.
        memory_mib: u64,
    },
    /// Its compiled code takes too much memory.
    #[error(
        "it compiles to {mib} MiB of code; at most {most} are allowed: leave out what it does not need"
    )]
    TooMuchCode {
        /// Its size.
        mib: usize,
        /// The limit.
        most: usize,
    },
    /// Refused by the compiler's process, in its words.
    #[error("{0}")]
    Told(String),
    /// It could not be compiled now, because of the machine and not because of the file; this may pass.
    #[error("it can't be compiled now: {0}")]
    Unavailable(String),
    /// It is a policy of another kind than asked for.
    #[error("it is a policy for {found}, not for {wanted}")]
    OtherKind {
        /// Its kind.
        found: Kind,
        /// The kind asked for.
        wanted: Kind,
    },
    /// It rejects its configuration.
    #[error("it does not take its configuration: {0}")]
    Config(String),
    /// It failed before or during its trial decision.
    #[error("it fails: {0}{advice}", advice = advice(.0.kind))]
    Fault(#[from] Fault),
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Fault(fault) => fault,
            refusal => Self::trap(refusal.to_string()),
        }
    }
}

impl Refusal {
    /// Whether the same file may be accepted later, unchanged.
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

/// The message of `error` with its causes, shortened for display.
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

/// The beginning of `text`, on one line, shortened for display.
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
