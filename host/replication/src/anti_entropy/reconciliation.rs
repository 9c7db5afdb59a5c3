//! One round or survey of this node with another, step by step: what to send next, and which differences to act on.
//!
//! Nothing that the other node says is believed beyond what it was asked: records and files outside the question are
//! ignored, and an answer that is none, or that does not get on, ends the comparison. So it ends however the other
//! node answers.

use std::collections::VecDeque;

use dataverse_core::id::NodeId;
use dataverse_core::limits::RECONCILE_RECORDS_MAX;
use dataverse_core::node::Node;
use dataverse_core::reconcile::{ReconcileAnswer, ReconcileAsk};

use super::round::Round;
use super::survey::Survey;
use super::{Difference, Turn, TurnOutcome};

/// Copies that the other node is asked to make after one message; it continues on its own once it knows of some.
pub const PUSHES_MAX: usize = 64;

/// What has happened since the last step.
#[derive(Debug)]
pub enum Event {
    /// Nothing has to be told: this is the first step, or it follows [`Step::Yield`].
    Resumed,
    /// The other node has answered [`Step::Ask`].
    Answered(ReconcileAnswer),
    /// The result of [`Step::Act`].
    Acted(Acted),
}

/// Result of acting on a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acted {
    /// A record was taken in or told, or a copy begun.
    Done,
    /// Nothing had to be done.
    Nothing,
    /// It has to wait for the next round.
    Later,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask the other node this: [`Event::Answered`].
    Ask(ReconcileAsk),
    /// Let others use this node's index for a moment: [`Event::Resumed`].
    Yield,
    /// Act on this difference: [`Event::Acted`].
    Act(Difference),
    /// It has ended; see [`Reconciliation::outcome`].
    End,
    /// The other node's answer makes no sense, for this reason, and nothing more is asked.
    OutOfProtocol(&'static str),
}

/// An answer that ends the comparison, and why.
pub(super) type OutOfProtocol = &'static str;

/// One round or survey with another node.
#[derive(Debug)]
pub struct Reconciliation {
    kind: Kind,
    /// What the last answer told of and was not acted on yet: their records first, then ours.
    differences: VecDeque<Difference>,
    /// The difference being acted on is a record that the other node lacks.
    pushing: bool,
    /// Copies of those begun since the last answer.
    pushed: usize,
    outcome: TurnOutcome,
}

#[derive(Debug)]
enum Kind {
    Round(Round),
    Survey(Survey),
}

impl Reconciliation {
    /// Compares with this node.
    #[must_use]
    pub fn new(peer: NodeId, turn: Turn) -> Self {
        Self {
            kind: match turn {
                Turn::Round => Kind::Round(Round::new(peer)),
                Turn::Survey { last } => Kind::Survey(Survey::new(peer, last)),
            },
            differences: VecDeque::new(),
            pushing: false,
            pushed: 0,
            outcome: TurnOutcome::default(),
        }
    }

    /// What was found and done so far.
    #[must_use]
    pub const fn outcome(&self) -> TurnOutcome {
        self.outcome
    }

    /// The next step. `random` gives a random number if one is needed.
    pub fn step(&mut self, node: &Node, event: Event, random: impl FnOnce() -> u64) -> Step {
        match event {
            Event::Resumed => {}
            Event::Acted(acted) => self.acted(acted),
            Event::Answered(answer) => match self.answered(node, answer, random) {
                Ok(found) => self.found(found),
                Err(reason) => return Step::OutOfProtocol(reason),
            },
        }
        if let Some(difference) = self.differences.pop_front() {
            self.pushing = matches!(difference, Difference::Ours(_));
            return Step::Act(difference);
        }
        match &mut self.kind {
            Kind::Round(round) => round.step(node, &mut self.outcome),
            Kind::Survey(survey) => survey.step(node),
        }
    }

    fn answered(
        &mut self,
        node: &Node,
        answer: ReconcileAnswer,
        random: impl FnOnce() -> u64,
    ) -> Result<Vec<Difference>, OutOfProtocol> {
        if let ReconcileAnswer::Compared(compared) = &answer
            && compared.records.len() > RECONCILE_RECORDS_MAX
        {
            return Err("it told of more records than an answer may have");
        }
        match &mut self.kind {
            Kind::Round(round) => round.answered(node, answer, random, &mut self.outcome),
            Kind::Survey(survey) => survey.answered(answer, &mut self.outcome),
        }
    }

    fn found(&mut self, differences: Vec<Difference>) {
        self.outcome.differed |= !differences.is_empty();
        self.differences = differences.into();
        self.pushed = 0;
    }

    fn acted(&mut self, acted: Acted) {
        match acted {
            Acted::Done => self.outcome.acted += 1,
            Acted::Later => self.outcome.left += 1,
            Acted::Nothing => {}
        }
        self.pushed += usize::from(self.pushing && acted == Acted::Done);
        if self.pushed >= PUSHES_MAX {
            self.outcome.left += self.differences.len();
            self.differences.clear();
        }
    }
}
