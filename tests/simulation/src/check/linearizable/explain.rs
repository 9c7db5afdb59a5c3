//! What is wrong with a history that has no order: as few operations as possible that contradict each other, and
//! how far an order goes.

use std::fmt;

use dataverse_core::content::Digest;

use super::{Operation, Outcome, Request, Requires, is_violated};

/// States that are explored to find out whether fewer operations contradict each other too.
const STATES_MAX: usize = 20_000;

/// Operations at the end of the longest order that an explanation shows.
const SHOWN_MAX: usize = 6;

/// The kind of a contradiction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Anomaly {
    /// Two writes that required the file to be absent both succeeded.
    DoubleWinner,
    /// A write or deletion that required a content succeeded although the file had another by then.
    LostUpdate,
    /// A read did not return what the file was at any moment while it ran.
    WrongRead,
    /// A condition that held all the time did not let its write or deletion happen.
    WrongRefusal,
    /// None of these.
    Other,
}

/// A history that has no order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The kind of the contradiction.
    pub anomaly: Anomaly,
    /// The operations that contradict each other, in the order in which they began. Without any of them, or if the
    /// outcome of any were unknown, there would be an order.
    pub core: Vec<Operation>,
    /// The operations with an unknown outcome that wrote what the core mentions.
    pub beside: Vec<Operation>,
    /// The longest order of any operations.
    pub longest: Vec<Operation>,
    /// The operation that does not fit after it and whose time runs out first.
    pub stuck: Option<Operation>,
}

impl Violation {
    pub(super) fn explained(history: &[Operation], longest: Vec<usize>) -> Self {
        let left = (0..history.len()).filter(|at| !longest.contains(at));
        let left = left.map(|at| &history[at]);
        let known = left.filter(|operation| operation.outcome != Outcome::Unknown);
        let stuck = known.min_by_key(|operation| operation.returned).cloned();
        let weakened = weakened(history);
        let (core, unknown): (Vec<_>, Vec<_>) = weakened
            .into_iter()
            .partition(|operation| operation.outcome != Outcome::Unknown);
        let mentioned: Vec<Digest> = core.iter().flat_map(mentions).collect();
        let is_beside = |operation: &Operation| match &operation.request {
            Request::Write { content, .. } => mentioned.contains(content),
            Request::Delete { .. } | Request::Read => false,
        };
        Self {
            anomaly: Anomaly::of(&core),
            core,
            beside: unknown.into_iter().filter(is_beside).collect(),
            longest: longest.into_iter().map(|at| history[at].clone()).collect(),
            stuck,
        }
    }
}

/// The history with as little known as possible: forgets what changes nothing, and the outcome of what does, as long
/// as there is still no order. If there is an order with more known, there is one with less. Writes with a condition
/// say most about what is wrong, so they are kept where there is a choice.
fn weakened(history: &[Operation]) -> Vec<Operation> {
    let mut kept = history.to_vec();
    kept.sort_by_key(|operation| operation.invoked);
    weaken(&mut kept, |it| it.outcome != Outcome::Done);
    weaken(&mut kept, |it| requires(it) == Some(&Requires::Nothing));
    weaken(&mut kept, |_| true);
    kept
}

/// Forgets what it can of these operations, first of many at once.
fn weaken(kept: &mut Vec<Operation>, which: impl Fn(&Operation) -> bool) {
    let mut length = kept.len().div_ceil(2).max(1);
    loop {
        let mut end = kept.len();
        while end > 0 {
            let begin = end.saturating_sub(length);
            let mut tried = kept.clone();
            let less = tried[begin..end].iter().filter_map(|it| match which(it) {
                true => weaker(it),
                false => Some(it.clone()),
            });
            let less: Vec<Operation> = less.collect();
            tried.splice(begin..end, less);
            if tried != *kept && is_violated(&tried, STATES_MAX) {
                *kept = tried;
            }
            end = begin;
        }
        if length == 1 {
            return;
        }
        length = length.div_ceil(2);
    }
}

/// The operation if less were known about it. `None` if nothing is left of it.
fn weaker(operation: &Operation) -> Option<Operation> {
    let happened = matches!(operation.outcome, Outcome::Done | Outcome::Unknown);
    happened.then(|| Operation {
        outcome: Outcome::Unknown,
        returned: None,
        ..operation.clone()
    })
}

/// The contents that an operation required, wrote or observed.
fn mentions(operation: &Operation) -> Vec<Digest> {
    let mut digests = Vec::new();
    if let Request::Write { content, .. } = &operation.request {
        digests.push(*content);
    }
    if let Some(Requires::Content(required)) = requires(operation) {
        digests.extend(required);
    }
    if let Outcome::Found(digest) = operation.outcome {
        digests.push(digest);
    }
    digests
}

fn requires(operation: &Operation) -> Option<&Requires> {
    match &operation.request {
        Request::Write { requires, .. } | Request::Delete { requires } => Some(requires),
        Request::Read => None,
    }
}

impl Anomaly {
    fn of(core: &[Operation]) -> Self {
        let happened: Vec<_> = core
            .iter()
            .filter(|operation| operation.outcome == Outcome::Done)
            .collect();
        let required: Vec<_> = happened.iter().filter_map(|it| requires(it)).collect();
        let absent = required.iter().filter(|it| ***it == Requires::Absence);
        let mut content = required
            .iter()
            .filter(|it| matches!(it, Requires::Content(_)));
        let has = |outcome: fn(&Outcome) -> bool| core.iter().any(|it| outcome(&it.outcome));
        if absent.count() > 1 {
            Self::DoubleWinner
        } else if content.next().is_some() && happened.len() > 1 {
            Self::LostUpdate
        } else if has(|outcome| matches!(outcome, Outcome::Found(_) | Outcome::Missing)) {
            Self::WrongRead
        } else if has(|outcome| matches!(outcome, Outcome::Refused)) {
            Self::WrongRefusal
        } else {
            Self::Other
        }
    }

    const fn as_sentence(self) -> &'static str {
        match self {
            Self::DoubleWinner => {
                "two writes that required the file to be absent both succeeded, and nothing deleted it between them"
            }
            Self::LostUpdate => {
                "an update is lost: what required a content succeeded although the file had another by then"
            }
            Self::WrongRead => "a read returned what the file was at no moment while it ran",
            Self::WrongRefusal => "a condition that held was said not to hold",
            Self::Other => "what happened has no order",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:", self.anomaly.as_sentence())?;
        for operation in &self.core {
            writeln!(f, "        {operation}")?;
        }
        for operation in &self.beside {
            writeln!(f, "        beside {operation}")?;
        }
        let hidden = self.longest.len().saturating_sub(SHOWN_MAX);
        write!(
            f,
            "      the longest order has {} operations, the last of them",
            self.longest.len()
        )?;
        for operation in &self.longest[hidden..] {
            write!(f, " {}", operation.number)?;
        }
        match &self.stuck {
            Some(stuck) => write!(f, "; after it does not fit\n        {stuck}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}, ", self.number, self.invoked)?;
        match self.returned {
            Some(returned) => write!(f, "{returned}] ")?,
            None => f.write_str("…] ")?,
        }
        match &self.request {
            Request::Write { content, .. } => write!(f, "write {}", brief(*content))?,
            Request::Delete { .. } => f.write_str("delete")?,
            Request::Read => f.write_str("read")?,
        }
        match requires(self) {
            None | Some(Requires::Nothing) => {}
            Some(Requires::Absence) => f.write_str(" if absent")?,
            Some(Requires::Presence) => f.write_str(" if present")?,
            Some(Requires::Content(digests)) => {
                let digests: Vec<String> = digests.iter().map(|digest| brief(*digest)).collect();
                write!(f, " if {}", digests.join(" or "))?;
            }
        }
        match self.outcome {
            Outcome::Done => f.write_str(": done"),
            Outcome::Unchanged => f.write_str(": unchanged"),
            Outcome::Refused => f.write_str(": refused"),
            Outcome::Found(digest) => write!(f, ": found {}", brief(digest)),
            Outcome::Missing => f.write_str(": missing"),
            Outcome::Unknown => f.write_str(": unknown"),
        }?;
        match self.may_be_overtaken {
            true => f.write_str(", may be overtaken"),
            false => Ok(()),
        }
    }
}

fn brief(digest: Digest) -> String {
    digest.to_string().chars().take(8).collect()
}
