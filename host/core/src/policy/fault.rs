//! `Fault`: why a policy gave no usable answer.

use crate::limits;

/// The kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// It trapped: a panic, an impossible operation, an exhausted stack.
    Trap,
    /// It used up its fuel.
    Fuel,
    /// It used up its wall-clock time.
    Deadline,
    /// It asked for more memory, tables or instances than allowed.
    Memory,
    /// Its verdict broke a rule of the contract.
    Verdict,
    /// Its answer was too long.
    TooLong,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Trap,
        Self::Fuel,
        Self::Deadline,
        Self::Memory,
        Self::Verdict,
        Self::TooLong,
    ];

    /// The kind's name in API answers, metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Fuel => "fuel",
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::Verdict => "verdict",
            Self::TooLong => "too_long",
        }
    }

    /// Whether the instance is unusable after this fault. Only an invalid verdict leaves it usable.
    #[must_use]
    pub const fn ends_instance(self) -> bool {
        !matches!(self, Self::Verdict)
    }
}

/// Why a policy gave no usable verdict.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", .kind.as_str())]
pub struct Fault {
    /// The kind of fault.
    pub kind: FaultKind,
    /// What happened, for people.
    pub reason: String,
}

impl Fault {
    /// A fault of this kind.
    pub fn new(kind: FaultKind, reason: impl Into<String>) -> Self {
        Self {
            kind,
            reason: reason.into(),
        }
    }

    /// Adds the question that led to the fault. The result is bounded, whatever both texts say.
    #[must_use]
    pub fn at(self, question: impl std::fmt::Display) -> Self {
        let most = limits::POLICY_REASON_BYTES_MAX;
        let end = self.reason.floor_char_boundary(most);
        let question = question.to_string();
        let end_of_question = question.floor_char_boundary(most);
        let (reason, question) = (&self.reason[..end], &question[..end_of_question]);
        Self::new(self.kind, format!("{reason} ({question})"))
    }

    /// An invalid verdict.
    pub fn verdict(reason: impl Into<String>) -> Self {
        Self::new(FaultKind::Verdict, reason)
    }

    /// The policy trapped.
    pub fn trap(reason: impl Into<String>) -> Self {
        Self::new(FaultKind::Trap, reason)
    }
}
