//! Linearizability of one file: whether there is one order of all operations that explains what every client
//! observed, and in which an operation that ended before another began comes first.
//!
//! The search is that of Wing and Gong (*Testing and Verifying Concurrent Objects*, 1993) with the memo of Lowe
//! (*Testing for linearizability*, 2017): a set of placed operations together with the file's value is explored
//! once. An operation with an unknown outcome may be placed at any time after it began, or never.
//!
//! Three rules keep the search small and lose no solution. An operation that changes nothing is placed as soon as
//! it fits. One with an unknown outcome is placed only directly before one that would not fit without it. A write
//! that left no trace is placed when its time runs out. The work is bounded: a history that is too hard is
//! [`Judgement::Undecided`], never accepted.
//!
//! The model knows what clients are promised, and nothing about how a node keeps the promises.

mod explain;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};

use dataverse_core::content::Digest;

pub use explain::{Anomaly, Violation};

use crate::history::Moment;

/// States that are explored before a history counts as undecided.
pub const STATES_MAX: usize = 2_000_000;

/// What a request requires of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requires {
    /// Nothing.
    Nothing,
    /// That it does not exist.
    Absence,
    /// That it exists.
    Presence,
    /// That it has one of these contents.
    Content(Vec<Digest>),
}

/// What a client requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// To store this content.
    Write {
        /// The content.
        content: Digest,
        /// The condition.
        requires: Requires,
    },
    /// To delete the file.
    Delete {
        /// The condition.
        requires: Requires,
    },
    /// To read the newest version.
    Read,
}

/// What the client observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The write or deletion happened.
    Done,
    /// The file had the content that was to be written; nothing was written.
    Unchanged,
    /// The condition did not hold; nothing was written.
    Refused,
    /// The file had this content.
    Found(Digest),
    /// The file did not exist. A deletion that observes this has written nothing.
    Missing,
    /// A write or deletion may have happened, may still happen, or never will. Of a read, nothing is known.
    Unknown,
}

/// One operation of one client on the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Its number, for the reader of an explanation.
    pub number: u64,
    /// When it was requested.
    pub invoked: Moment,
    /// When the client had its answer; `None` if it got none.
    pub returned: Option<Moment>,
    /// The request.
    pub request: Request,
    /// The outcome.
    pub outcome: Outcome,
    /// Whether a write or deletion without a condition may be ordered below one that its node had not heard of,
    /// because a clock was ahead. It is acknowledged then, and nobody ever sees it.
    pub may_be_overtaken: bool,
}

impl Operation {
    /// Whether it is a write.
    #[must_use]
    pub const fn is_write(&self) -> bool {
        matches!(self.request, Request::Write { .. })
    }

    /// Whether it is a write or deletion that requires nothing.
    #[must_use]
    pub const fn is_unconditional(&self) -> bool {
        matches!(
            self.request,
            Request::Write {
                requires: Requires::Nothing,
                ..
            } | Request::Delete {
                requires: Requires::Nothing
            }
        )
    }
}

/// The result of judging a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// There is such an order.
    Linearizable,
    /// There is none.
    Violated(Box<Violation>),
    /// There was none among this many states, and then the search was given up.
    Undecided {
        /// The states explored.
        states: usize,
    },
}

/// Judges the history of one file, which did not exist at the beginning.
#[must_use]
pub fn judge(history: &[Operation]) -> Judgement {
    judge_within(history, STATES_MAX)
}

/// Judges the history of one file with a bound on the states explored.
#[must_use]
pub fn judge_within(history: &[Operation], states_max: usize) -> Judgement {
    let mut search = Search::of(history, states_max);
    match search.run() {
        Found::Order => Judgement::Linearizable,
        Found::Nothing => {
            let violation = Violation::explained(history, search.longest());
            Judgement::Violated(Box::new(violation))
        }
        Found::TooMuch => Judgement::Undecided {
            states: search.seen.len(),
        },
    }
}

/// Whether a history certainly has no such order. One that is too hard counts as if it had.
fn is_violated(history: &[Operation], states_max: usize) -> bool {
    Search::of(history, states_max).run() == Found::Nothing
}

/// A value of the file: 0 if it does not exist, else the number of a content.
type Value = usize;

const ABSENT: Value = 0;

/// The values in which an operation fits.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Guard {
    /// Any.
    Any,
    /// One of these.
    Is(Vec<Value>),
    /// None of these.
    IsNot(Vec<Value>),
}

impl Guard {
    fn admits(&self, value: Value) -> bool {
        match self {
            Self::Any => true,
            Self::Is(values) => values.contains(&value),
            Self::IsNot(values) => !values.contains(&value),
        }
    }

    fn negated(self) -> Self {
        match self {
            Self::Any => Self::Is(Vec::new()),
            Self::Is(values) => Self::IsNot(values),
            Self::IsNot(values) => Self::Is(values),
        }
    }
}

/// An operation as the search sees it.
#[derive(Debug)]
struct Step {
    /// Its position in the history.
    at: usize,
    invoked: Moment,
    /// The last moment for an operation that must be placed.
    returned: Option<Moment>,
    guard: Guard,
    /// The value afterwards, if it changes anything.
    becomes: Option<Value>,
    /// Whether it may be placed without effect.
    may_vanish: bool,
    /// For an unknown outcome, the last one before it with the same effect, which is as good and is placed first.
    twin: Option<usize>,
}

/// The numbers of contents.
#[derive(Default)]
struct Values(BTreeMap<[u8; 32], Value>);

impl Values {
    fn of(&mut self, digest: Digest) -> Value {
        let next = self.0.len() + 1;
        *self.0.entry(digest.0).or_insert(next)
    }

    fn guard(&mut self, requires: &Requires) -> Guard {
        match requires {
            Requires::Nothing => Guard::Any,
            Requires::Absence => Guard::Is(vec![ABSENT]),
            Requires::Presence => Guard::IsNot(vec![ABSENT]),
            Requires::Content(digests) => {
                let values = digests.iter().map(|digest| self.of(*digest));
                Guard::Is(values.collect())
            }
        }
    }

    /// The values in which an operation fits, and the value afterwards if it changes anything. `None` if it says
    /// nothing about the file.
    fn meaning(&mut self, operation: &Operation) -> Option<(Guard, Option<Value>)> {
        let (requires, writes) = match &operation.request {
            Request::Write { content, requires } => (requires, Some(self.of(*content))),
            Request::Delete { requires } => (requires, None),
            Request::Read => (&Requires::Nothing, None),
        };
        let guard = self.guard(requires);
        let becomes = Some(writes.unwrap_or(ABSENT));
        let meaning = match operation.outcome {
            Outcome::Unknown if operation.request == Request::Read => return None,
            Outcome::Unknown => (guard, becomes),
            Outcome::Done => (guard, becomes),
            Outcome::Refused => (guard.negated(), None),
            Outcome::Unchanged => (Guard::Is(writes.into_iter().collect()), None),
            Outcome::Found(digest) => (Guard::Is(vec![self.of(digest)]), None),
            Outcome::Missing => (Guard::Is(vec![ABSENT]), None),
        };
        Some(meaning)
    }
}

/// A set of steps.
type Placed = Box<[u64]>;

fn contains(placed: &[u64], step: usize) -> bool {
    placed[step / 64] & (1 << (step % 64)) != 0
}

/// How a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Order,
    Nothing,
    TooMuch,
}

/// A state of the search.
#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    placed: Placed,
    value: Value,
    /// The value before the last step, if that has an unknown outcome: the next must not have fitted then.
    before: Option<Value>,
}

struct Search {
    /// In the order in which they began. Those that must be placed come first.
    steps: Vec<Step>,
    /// The number of those that must be placed.
    required: usize,
    states_max: usize,
    seen: HashSet<State>,
    /// The steps placed, in order.
    order: Vec<usize>,
    /// The longest order found so far.
    longest: Vec<usize>,
    longest_required: usize,
}

impl Search {
    fn of(history: &[Operation], states_max: usize) -> Self {
        let mut values = Values::default();
        let steps = history.iter().enumerate().filter_map(|(at, operation)| {
            let (guard, becomes) = values.meaning(operation)?;
            let is_known = operation.outcome != Outcome::Unknown;
            Some(Step {
                at,
                invoked: operation.invoked,
                returned: is_known.then(|| operation.returned.unwrap_or(Moment::MAX)),
                may_vanish: operation.may_be_overtaken
                    && is_known
                    && becomes.is_some()
                    && guard == Guard::Any,
                guard,
                becomes,
                twin: None,
            })
        });
        let mut steps: Vec<Step> = steps.collect();
        steps.sort_by_key(|step| (step.returned.is_none(), step.invoked));
        let required = steps.iter().filter(|step| step.returned.is_some()).count();
        for at in required..steps.len() {
            let same = |twin: &usize| {
                let (twin, step) = (&steps[*twin], &steps[at]);
                (&twin.guard, twin.becomes) == (&step.guard, step.becomes)
            };
            steps[at].twin = (required..at).rev().find(same);
        }
        Self {
            steps,
            required,
            states_max,
            seen: HashSet::new(),
            order: Vec::new(),
            longest: Vec::new(),
            longest_required: 0,
        }
    }

    fn run(&mut self) -> Found {
        let state = State {
            placed: vec![0; self.steps.len().div_ceil(64)].into(),
            value: ABSENT,
            before: None,
        };
        self.explore(state, 0)
    }

    /// The positions in the history of the longest order found.
    fn longest(&self) -> Vec<usize> {
        let steps = self.longest.iter();
        steps.map(|step| self.steps[*step].at).collect()
    }

    /// Searches on from a state in which this many of the required steps are placed.
    fn explore(&mut self, mut state: State, mut done: usize) -> Found {
        let mark = self.order.len();
        while let Some(step) = self.free_step(&state) {
            self.place(&mut state, step);
            state.before = None;
            done += 1;
        }
        if done > self.longest_required {
            (self.longest, self.longest_required) = (self.order.clone(), done);
        }
        let found = match done == self.required {
            true => Found::Order,
            false if self.seen.contains(&state) => Found::Nothing,
            false if self.seen.len() >= self.states_max => Found::TooMuch,
            false => {
                self.seen.insert(state.clone());
                self.branch(&state, done)
            }
        };
        self.order.truncate(mark);
        found
    }

    /// Tries every step that changes the file and can be next.
    fn branch(&mut self, state: &State, done: usize) -> Found {
        let fits_now = |step: &Step| {
            let fitted = |before| step.guard.admits(before);
            step.guard.admits(state.value) && !state.before.is_some_and(fitted)
        };
        let (due, mut next) = self.candidates(state);
        next.retain(|step| fits_now(&self.steps[*step]));
        next.sort_by_key(|step| self.steps[*step].returned.unwrap_or(Moment::MAX));
        for step in next {
            let Step {
                becomes, returned, ..
            } = self.steps[step];
            let is_required = returned.is_some();
            // An unknown step that changes nothing explains nothing.
            let Some(value) = becomes.filter(|value| is_required || *value != state.value) else {
                continue;
            };
            let mut after = state.clone();
            self.place(&mut after, step);
            after.value = value;
            after.before = (!is_required).then_some(state.value);
            let found = self.explore(after, done + usize::from(is_required));
            self.order.pop();
            if found != Found::Nothing {
                return found;
            }
        }
        match due.filter(|due| self.steps[*due].may_vanish && state.before.is_none()) {
            Some(due) => {
                let mut after = state.clone();
                self.place(&mut after, due);
                let found = self.explore(after, done + 1);
                self.order.pop();
                found
            }
            None => Found::Nothing,
        }
    }

    fn place(&mut self, state: &mut State, step: usize) {
        state.placed[step / 64] |= 1 << (step % 64);
        self.order.push(step);
    }

    /// A step that must be placed, can be next, and changes nothing.
    fn free_step(&self, state: &State) -> Option<usize> {
        let (_, next) = self.candidates(state);
        let mut next = next.into_iter().take_while(|step| *step < self.required);
        next.find(|step| {
            let step = &self.steps[*step];
            step.becomes.is_none() && step.guard.admits(state.value)
        })
    }

    /// The step whose time runs out first, and all steps that began before that.
    fn candidates(&self, state: &State) -> (Option<usize>, Vec<usize>) {
        let (mut due, mut deadline) = (None, Moment::MAX);
        let mut next = Vec::new();
        for (at, step) in self.steps[..self.required].iter().enumerate() {
            if step.invoked > deadline {
                break;
            }
            if contains(&state.placed, at) {
                continue;
            }
            next.push(at);
            let returned = step.returned.unwrap_or(Moment::MAX);
            if due.is_none() || returned < deadline {
                (due, deadline) = (Some(at), returned);
            }
        }
        next.retain(|step| self.steps[*step].invoked <= deadline);
        let unknown = self.required..self.steps.len();
        let began = unknown.take_while(|step| self.steps[*step].invoked <= deadline);
        next.extend(began.filter(|step| {
            let twin = self.steps[*step].twin;
            !contains(&state.placed, *step) && twin.is_none_or(|twin| contains(&state.placed, twin))
        }));
        (due, next)
    }
}
