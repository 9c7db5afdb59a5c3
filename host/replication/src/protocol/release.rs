//! Gives up what a node holds for a greater record, or stops serving it, once the holders of that record have confirmed
//! it.
//!
//! An announcement is not proof, whoever sends it. So the nodes that the greater record names are asked. For a greater
//! version they are asked what they hold. For a greater layout each makes the layout and its own copy durable before it
//! confirms (a commit without content does just that), so two nodes that relay the same file out at the same time can't
//! both drop it; a holder that lacks the content is offered it. Where only one node confirms, it must show that it has
//! the content. Until then the node keeps its copy, and tries again later.
//!
//! If no such node has it, or only the version is known and not the record, the network is searched. What no node has
//! is forgotten. A record that turned out to be nowhere is passed over by that search, so that it hides no other.

use std::sync::Arc;

use dataverse_core::floors::Heard;
use dataverse_core::holdings::{Holding, Role};
use dataverse_core::id::NodeId;
use dataverse_core::record::Record;
use dataverse_core::search::Answer;

use super::{
    Action, Asked, Committed, Event, Judgement, Protocol, Seen, Step, Verdict, Word, judge,
    out_of_turn, whom_to_ask, word_of,
};
use crate::upkeep::Outcome;

/// How many records one attempt verifies, each found on the way of the one before.
const RECORDS_MAX: usize = 3;

/// One attempt to verify something greater than what the node holds.
#[derive(Debug)]
pub struct Release {
    me: NodeId,
    /// The record to verify; `None` while it must be found.
    greater: Option<Arc<Record>>,
    /// What the node held when it last looked.
    seen: Seen,
    /// Records that nobody who was asked has.
    nowhere: Vec<Arc<Record>>,
    /// Nodes that should have one of them gave no answer.
    waits: bool,
    /// More than the word of one node says that the greater record exists.
    is_certain: bool,
    records_left: usize,
    doing: Doing,
}

#[derive(Debug)]
enum Doing {
    Beginning,
    Looking,
    Searching,
    /// Its holders are asked.
    Asking(Arc<Record>),
    /// Holders are offered the content.
    Offering(Arc<Record>, Vec<(NodeId, Word)>),
    /// A node shows its content, on which the verdict depends.
    Showing(Arc<Record>, Verdict),
    Replacing(Arc<Record>),
    /// What is left to do before the end.
    Ending(Vec<Action>, Outcome),
}

impl Release {
    /// Verifies a record of which `me` was told, or finds one.
    #[must_use]
    pub fn new(me: NodeId, greater: Option<Arc<Record>>) -> Self {
        Self {
            me,
            greater,
            seen: Seen::default(),
            nowhere: Vec::new(),
            waits: false,
            is_certain: false,
            records_left: RECORDS_MAX,
            doing: Doing::Beginning,
        }
    }

    fn then(&mut self, doing: Doing, action: Action) -> Step<Outcome> {
        self.doing = doing;
        Step::Do(action)
    }

    /// Does all this, and ends.
    fn end(&mut self, mut actions: Vec<Action>, outcome: Outcome) -> Step<Outcome> {
        if actions.is_empty() {
            return Step::End(outcome);
        }
        let first = actions.remove(0);
        self.then(Doing::Ending(actions, outcome), first)
    }

    fn looked(&mut self, seen: Seen) -> Step<Outcome> {
        let Some(held) = seen.held.clone() else {
            return Step::End(Outcome::Done);
        };
        self.seen = seen;
        let known = self.greater.take();
        let known = known.filter(|record| replaces(record, &held, self.me));
        match known {
            None => self.search(&held),
            Some(record) if record.version == held.record.version => {
                let on = record.layout.holders.clone();
                let commit = Action::Commit {
                    record: Arc::clone(&record),
                    on,
                };
                self.then(Doing::Asking(record), commit)
            }
            Some(record) => {
                let ask = Action::Ask(whom_to_ask(&record, self.me));
                self.then(Doing::Asking(record), ask)
            }
        }
    }

    /// Searches for something greater than what is held, if there is said to be something.
    fn search(&mut self, held: &Holding) -> Step<Outcome> {
        let above = held.record.version;
        if self.seen.known.is_none_or(|known| known.version <= above) {
            return Step::End(self.nothing());
        }
        let but = self.nowhere.clone();
        self.then(Doing::Searching, Action::Search { above, but })
    }

    fn found(&mut self, event: Event) -> Step<Outcome> {
        let Event::Found(found) = event else {
            return out_of_turn(&event);
        };
        if let Some(record) = found.record {
            return self.verify(record);
        }
        match found.asked {
            // A node has a copy of what its holders don't have.
            _ if found.passed_over => Step::End(Outcome::Again),
            Asked::All => {
                let forget = found.heard.map(Action::Forget);
                self.end(Vec::from_iter(forget), self.nothing())
            }
            Asked::RecentlyUp => Step::End(self.nothing()),
            Asked::Some => Step::End(Outcome::Again),
        }
    }

    /// Nothing greater was found.
    const fn nothing(&self) -> Outcome {
        match self.waits {
            true => Outcome::Again,
            false => Outcome::Done,
        }
    }

    /// Goes on with a record that was found on the way.
    fn verify(&mut self, record: Arc<Record>) -> Step<Outcome> {
        self.records_left -= 1;
        if self.records_left == 0 {
            return Step::End(Outcome::Again);
        }
        self.greater = Some(record);
        self.then(Doing::Looking, Action::Look)
    }

    fn asked(&mut self, record: Arc<Record>, event: Event) -> Step<Outcome> {
        let committed = match event {
            Event::Answers(answers) => {
                if let Some(held) = held_otherwise(&record, &answers) {
                    return self.verify(held);
                }
                let word = |answer: Option<_>| {
                    answer.map_or(Word::Silent, |answer| word_of(&answer, &record))
                };
                let words = answers.into_iter();
                let words = words.map(|(id, answer)| (id, word(answer))).collect();
                return self.heard(record, words);
            }
            other => other.committed(),
        };
        let greater = committed
            .iter()
            .filter_map(|(_, committed)| match committed {
                Committed::Greater(greater) => Some(greater),
                _ => None,
            });
        if let Some(greater) = greater.max().cloned() {
            // That one decides.
            let held = self.seen.held.as_ref();
            return match held.is_some_and(|held| replaces(&greater, held, self.me)) {
                true => self.verify(greater),
                false => self.end(vec![Action::TakeIn(greater)], Outcome::Done),
            };
        }
        let silent = committed.iter().filter(|(_, it)| *it == Committed::Silent);
        let to: Vec<NodeId> = silent.map(|(id, _)| *id).collect();
        let words = committed.into_iter().map(|(id, committed)| {
            let word = match committed {
                Committed::Here => Word::Has,
                Committed::Greater(_) | Committed::Not => Word::Lacks,
                Committed::Silent => Word::Silent,
            };
            (id, word)
        });
        let words = words.collect();
        if to.is_empty() || record.deleted {
            return self.heard(record, words);
        }
        let offer = Action::Offer {
            record: Arc::clone(&record),
            to,
        };
        self.then(Doing::Offering(record, words), offer)
    }

    fn heard(&mut self, record: Arc<Record>, words: Vec<(NodeId, Word)>) -> Step<Outcome> {
        let Some(held) = &self.seen.held else {
            return Step::End(Outcome::Done);
        };
        let Judgement { verdict, shown_by } =
            judge(held, &record, self.me, &words, self.seen.others_left);
        let count = words.iter().filter(|(_, word)| *word == Word::Has).count();
        // A replica goes for the word of one node only when that has shown the content.
        self.is_certain = held.role == Role::Replica || record.deleted || count > 1;
        if let Some(by) = shown_by {
            let show = Action::Show {
                record: Arc::clone(&record),
                by,
            };
            return self.then(Doing::Showing(record, verdict), show);
        }
        let anyone = words.iter().any(|(_, word)| *word == Word::Has);
        match verdict {
            Verdict::Wait if anyone => Step::End(Outcome::Again),
            verdict => self.judged(record, verdict),
        }
    }

    fn judged(&mut self, record: Arc<Record>, verdict: Verdict) -> Step<Outcome> {
        match verdict {
            Verdict::Release => {
                let reach = Action::Reach("release.confirmed");
                self.then(Doing::Replacing(record), reach)
            }
            Verdict::Overtaken => {
                self.end(vec![Action::Confirm(Heard::of(&record))], Outcome::Again)
            }
            // Nobody who answers has it. It may be made up, and hide one that exists.
            Verdict::Wait | Verdict::Nobody => {
                self.nowhere.push(record);
                self.waits |= verdict == Verdict::Wait;
                match self.seen.held.clone() {
                    Some(held) => self.search(&held),
                    None => Step::End(Outcome::Done),
                }
            }
        }
    }

    fn replaced(&mut self, record: Arc<Record>, event: &Event) -> Step<Outcome> {
        match event {
            Event::Stored(true) => self.end(vec![Action::Reach("release.done")], Outcome::Done),
            Event::Stored(false) => Step::End(Outcome::Again),
            _ => {
                let held = self.seen.held.as_ref();
                let is_same = held.is_some_and(|held| held.record.version == record.version);
                let replace = match is_same {
                    true => Action::Demote(Arc::clone(&record)),
                    false => Action::Replace {
                        record: Arc::clone(&record),
                        is_certain: self.is_certain,
                    },
                };
                self.then(Doing::Replacing(record), replace)
            }
        }
    }
}

impl Protocol for Release {
    type Output = Outcome;

    fn step(&mut self, event: Event) -> Step<Outcome> {
        match std::mem::replace(&mut self.doing, Doing::Beginning) {
            Doing::Beginning => self.then(Doing::Looking, Action::Look),
            Doing::Looking => self.looked(event.seen()),
            Doing::Searching => self.found(event),
            Doing::Asking(record) => self.asked(record, event),
            Doing::Offering(record, words) => self.heard(record, words),
            Doing::Showing(record, verdict) => match event {
                Event::Shown(true) => {
                    self.is_certain = true;
                    self.judged(record, verdict)
                }
                _ => Step::End(Outcome::Again),
            },
            Doing::Replacing(record) => self.replaced(record, &event),
            Doing::Ending(actions, outcome) => self.end(actions, outcome),
        }
    }
}

/// The record of the same version that the nodes hold, if none of them holds it in the layout that was announced: that
/// layout is made up, or not durable yet, and says nothing about who has copies.
fn held_otherwise(
    announced: &Arc<Record>,
    answers: &[(NodeId, Option<Answer>)],
) -> Option<Arc<Record>> {
    let answers = answers.iter().filter_map(|(_, answer)| answer.as_ref());
    let replicas = answers
        .flat_map(|answer| &answer.hits)
        .filter(|hit| hit.role == Role::Replica && !hit.is_unverified())
        .map(|hit| &hit.record)
        .filter(|record| record.key == announced.key && record.version == announced.version);
    let replicas: Vec<_> = replicas.collect();
    match replicas.contains(&announced) {
        true => None,
        false => replicas.into_iter().max().cloned(),
    }
}

/// Whether this record would replace what is held at `me`.
fn replaces(record: &Record, held: &Holding, me: NodeId) -> bool {
    if record.version != held.record.version {
        return record.version > held.record.version;
    }
    held.role == Role::Replica
        && record.is_relayout_of(&held.record)
        && !record.layout.names(me)
        && !record.deleted
}
