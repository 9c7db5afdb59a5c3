//! Copies a replica of this node that is bad or gone again from another node.
//!
//! The other holders are asked first, then, if none of them sends it, every node that can be reached. A newer version, or
//! a layout without this node, ends it: the replica is no longer this node's concern. As with a copy that is given up, the
//! word of whoever has such a record is not enough, and the nodes that it names are asked. If every node says that it has
//! no copy, the file is lost; it is tried again at intervals, since someone may bring back a node or a disk.

use std::sync::Arc;

use dataverse_core::floors::Heard;
use dataverse_core::holdings::{Holding, Role};
use dataverse_core::id::NodeId;
use dataverse_core::record::Record;
use dataverse_core::search::{Answer, Deletion};

use super::{
    Action, Asked, Committed, Event, Judgement, Protocol, Seen, Step, Verdict, Word, judge,
    out_of_turn, whom_to_ask, word_of,
};
use crate::upkeep::Outcome;

/// How many records that would replace the replica are verified in one attempt.
const RECORDS_MAX: usize = 3;

/// One attempt to copy a replica again.
#[derive(Debug)]
pub struct Heal {
    me: NodeId,
    /// The record, with the greatest layout heard of that names this node.
    record: Arc<Record>,
    /// Nodes that have this version.
    sources: Vec<NodeId>,
    /// Records that would replace the replica, the greatest last.
    greater: Vec<Arc<Record>>,
    /// Every node that might have it was asked and has answered.
    all_answered: bool,
    /// More than the other holders were asked.
    has_searched: bool,
    doing: Doing,
}

#[derive(Debug)]
enum Doing {
    Beginning,
    Looking,
    Asking,
    Searching,
    /// The nodes that a greater record names are asked.
    Verifying(Arc<Record>),
    /// The only node that has a greater record shows its content.
    Showing(Arc<Record>),
    Confirming,
    GivingUp,
    Fetching,
    /// Whether the content arrived.
    Fetched(bool),
    Relieving,
}

impl Heal {
    /// Heals the replica of this record on `me`.
    #[must_use]
    pub const fn new(me: NodeId, record: Arc<Record>) -> Self {
        Self {
            me,
            record,
            sources: Vec::new(),
            greater: Vec::new(),
            all_answered: true,
            has_searched: false,
            doing: Doing::Beginning,
        }
    }

    fn then(&mut self, doing: Doing, action: Action) -> Step<Outcome> {
        self.doing = doing;
        Step::Do(action)
    }

    fn looked(&mut self, seen: &Seen) -> Step<Outcome> {
        let held = seen.held.as_ref().map(|held| held.record.version);
        if held == Some(self.record.version) {
            // It came back before it was listed.
            return Step::End(Outcome::Done);
        }
        let confirmed = seen.confirmed.map(|known| known.version);
        if confirmed > Some(self.record.version) {
            return self.give_up();
        }
        let others = self.record.layout.holders.iter().copied();
        let others = others.filter(|id| *id != self.me).collect();
        self.then(Doing::Asking, Action::Ask(others))
    }

    fn asked(&mut self, answers: Vec<(NodeId, Option<Answer>)>) -> Step<Outcome> {
        for (from, answer) in answers {
            let Some(answer) = answer else {
                self.all_answered = false;
                continue;
            };
            if let Deletion::Held(deletion) = &answer.deletion {
                self.found(from, deletion);
            }
            for hit in answer.hits.iter().filter(|hit| !hit.is_unverified()) {
                self.found(from, &hit.record);
            }
        }
        match self.sources.is_empty() {
            true => self.search(),
            false => self.decide(),
        }
    }

    fn search(&mut self) -> Step<Outcome> {
        self.has_searched = true;
        let search = Action::Copies(Arc::clone(&self.record));
        self.then(Doing::Searching, search)
    }

    fn searched(&mut self, event: Event) -> Step<Outcome> {
        let Event::Copies(found) = event else {
            return out_of_turn(&event);
        };
        for (at, record) in &found.copies {
            self.found(*at, record);
        }
        self.all_answered &= found.asked == Asked::All;
        self.decide()
    }

    /// A node has this. What it has only heard of does not matter.
    fn found(&mut self, at: NodeId, record: &Arc<Record>) {
        if record.key != self.record.key {
            return;
        }
        let is_relayout = record.is_relayout_of(&self.record);
        let replaces = match is_relayout {
            true => !record.layout.names(self.me),
            false => record.version > self.record.version,
        };
        if replaces && !self.greater.contains(record) {
            self.greater.push(Arc::clone(record));
            self.greater.sort();
            let excess = self.greater.len().saturating_sub(RECORDS_MAX);
            self.greater.drain(..excess);
        }
        if !record.deleted && record.is_same_write(&self.record) {
            self.sources.push(at);
            if is_relayout && !replaces {
                self.record = Arc::clone(record);
            }
        }
    }

    fn decide(&mut self) -> Step<Outcome> {
        if let Some(record) = self.greater.pop() {
            return self.verify(record);
        }
        if self.sources.is_empty() {
            return Step::End(match self.all_answered {
                true => Outcome::Lost,
                false => Outcome::Again,
            });
        }
        let fetch = Action::Fetch {
            record: Arc::clone(&self.record),
            from: std::mem::take(&mut self.sources),
        };
        self.then(Doing::Fetching, fetch)
    }

    /// Asks the nodes that a greater record names. Those of a greater layout make their copies durable under it.
    fn verify(&mut self, record: Arc<Record>) -> Step<Outcome> {
        let ask = match record.version == self.record.version {
            true => Action::Commit {
                record: Arc::clone(&record),
                on: record.layout.holders.clone(),
            },
            false => Action::Ask(whom_to_ask(&record, self.me)),
        };
        self.then(Doing::Verifying(record), ask)
    }

    fn verified(&mut self, record: Arc<Record>, event: Event) -> Step<Outcome> {
        let words: Vec<_> = match event {
            Event::Answers(answers) => {
                let word = |answer: Option<_>| {
                    answer.map_or(Word::Silent, |answer| word_of(&answer, &record))
                };
                let answers = answers.into_iter();
                answers.map(|(id, answer)| (id, word(answer))).collect()
            }
            other => {
                let committed = other.committed().into_iter();
                let words = committed.map(|(id, committed)| match committed {
                    Committed::Here => (id, Word::Has),
                    Committed::Greater(_) | Committed::Not => (id, Word::Lacks),
                    Committed::Silent => (id, Word::Silent),
                });
                words.collect()
            }
        };
        let missing = Holding {
            record: Arc::clone(&self.record),
            role: Role::Replica,
            validated: 0,
            verified: 0,
        };
        let others = self.record.layout.holders.len().saturating_sub(1);
        let Judgement { verdict, shown_by } = judge(&missing, &record, self.me, &words, others);
        if !matches!(verdict, Verdict::Release | Verdict::Overtaken) {
            return self.decide();
        }
        match shown_by {
            None => self.confirm(&record),
            Some(by) => {
                let show = Action::Show {
                    record: Arc::clone(&record),
                    by,
                };
                self.then(Doing::Showing(record), show)
            }
        }
    }

    /// This record replaces the replica.
    fn confirm(&mut self, record: &Record) -> Step<Outcome> {
        match record.version == self.record.version {
            true => self.give_up(),
            false => self.then(Doing::Confirming, Action::Confirm(Heard::of(record))),
        }
    }

    fn give_up(&mut self) -> Step<Outcome> {
        let give_up = Action::GiveUp(Arc::clone(&self.record));
        self.then(Doing::GivingUp, give_up)
    }
}

impl Protocol for Heal {
    type Output = Outcome;

    fn step(&mut self, event: Event) -> Step<Outcome> {
        match (std::mem::replace(&mut self.doing, Doing::Beginning), event) {
            (Doing::Beginning, _) => self.then(Doing::Looking, Action::Look),
            (Doing::Looking, event) => self.looked(&event.seen()),
            (Doing::Asking, Event::Answers(answers)) => self.asked(answers),
            (Doing::Searching, event) => self.searched(event),
            (Doing::Verifying(record), event) => self.verified(record, event),
            (Doing::Showing(record), Event::Shown(true)) => self.confirm(&record),
            (Doing::Showing(_), _) => self.decide(),
            (Doing::Confirming, _) => self.give_up(),
            (Doing::GivingUp, _) => Step::End(Outcome::Done),
            (Doing::Fetching, Event::Stored(arrived)) => {
                self.then(Doing::Fetched(arrived), Action::Reach("heal.done"))
            }
            // The holders that claimed to have it may not be the only ones.
            (Doing::Fetched(false), _) if !self.has_searched => self.search(),
            // The layout that results names another node and takes this replica off the list.
            (Doing::Fetched(false), _) => {
                let relieve = Action::Relieve(Arc::clone(&self.record));
                self.then(Doing::Relieving, relieve)
            }
            // If it has arrived, it has left the list by itself.
            (Doing::Fetched(true) | Doing::Relieving, _) => Step::End(Outcome::Again),
            (Doing::Asking | Doing::Fetching, event) => out_of_turn(&event),
        }
    }
}

#[cfg(test)]
mod tests {
    use dataverse_core::holdings::Role;
    use dataverse_core::search::Hit;

    use super::*;
    use crate::fixtures::{self, id};
    use crate::protocol::Copies;

    const ME: u128 = 1;

    fn record(stamp: u64, counter: u64, holders: &[u128]) -> Arc<Record> {
        Arc::new(fixtures::record("ada/x", stamp, counter, holders))
    }

    fn missing() -> Arc<Record> {
        record(5, 0, &[ME, 2])
    }

    fn has(record: Arc<Record>) -> Answer {
        Answer {
            hits: vec![Hit {
                record,
                role: Role::Replica,
                validated_age_ms: 0,
            }],
            deletion: Deletion::None,
            ..Answer::default()
        }
    }

    fn lacks() -> Answer {
        Answer {
            deletion: Deletion::None,
            ..Answer::default()
        }
    }

    /// What follows once the other holder has answered.
    fn asked(answer: Option<Answer>) -> (Heal, Step<Outcome>) {
        let mut heal = Heal::new(id(ME), missing());
        assert_eq!(heal.step(Event::Done), Step::Do(Action::Look));
        let step = heal.step(Event::Seen(Seen::default()));
        assert_eq!(step, Step::Do(Action::Ask(vec![id(2)])));
        let step = heal.step(Event::Answers(vec![(id(2), answer)]));
        (heal, step)
    }

    /// What follows once no holder has it and a search has found this.
    fn searched(answer: Option<Answer>, found: Copies) -> Step<Outcome> {
        let (mut heal, step) = asked(answer);
        assert_eq!(step, Step::Do(Action::Copies(missing())));
        heal.step(Event::Copies(found))
    }

    #[test]
    fn it_is_fetched_from_a_holder_and_under_the_greatest_layout() {
        let moved = record(5, 3, &[ME, 4]);
        let (mut heal, step) = asked(Some(has(Arc::clone(&moved))));
        let fetch = Action::Fetch {
            record: Arc::clone(&moved),
            from: vec![id(2)],
        };
        assert_eq!(step, Step::Do(fetch));
        let reached = Step::Do(Action::Reach("heal.done"));
        assert_eq!(heal.step(Event::Stored(false)), reached);
        // The holder claimed more than it has: others may have it.
        let search = Step::Do(Action::Copies(Arc::clone(&moved)));
        assert_eq!(heal.step(Event::Done), search);
        let elsewhere = Copies {
            copies: vec![(id(7), Arc::clone(&moved))],
            asked: Asked::All,
        };
        let step = heal.step(Event::Copies(elsewhere));
        let fetch = Action::Fetch {
            record: Arc::clone(&moved),
            from: vec![id(7)],
        };
        assert_eq!(step, Step::Do(fetch));
        let reached = Step::Do(Action::Reach("heal.done"));
        assert_eq!(heal.step(Event::Stored(false)), reached);
        assert_eq!(heal.step(Event::Done), Step::Do(Action::Relieve(moved)));
        assert_eq!(heal.step(Event::Done), Step::End(Outcome::Again));
    }

    #[test]
    fn a_copy_that_its_node_has_not_verified_is_no_source() {
        let mut answer = has(missing());
        answer.hits[0].role = Role::Cached;
        answer.hits[0].validated_age_ms = dataverse_core::limits::UNVERIFIED_AGE_MS;
        let (_, step) = asked(Some(answer));
        assert_eq!(step, Step::Do(Action::Copies(missing())));
    }

    #[test]
    fn it_is_lost_only_if_every_node_says_that_it_has_none() {
        let all = || Copies {
            asked: Asked::All,
            ..Copies::default()
        };
        let recently_up = Copies {
            asked: Asked::RecentlyUp,
            ..Copies::default()
        };
        let end = Step::End;
        assert_eq!(searched(Some(lacks()), all()), end(Outcome::Lost));
        assert_eq!(searched(None, all()), end(Outcome::Again));
        assert_eq!(searched(Some(lacks()), recently_up), end(Outcome::Again));
    }

    #[test]
    fn a_copy_with_other_content_is_no_source() {
        let mut other = fixtures::record("ada/x", 5, 0, &[ME, 2]);
        other.digest = dataverse_core::content::Digest::of(b"other");
        let (_, step) = asked(Some(has(Arc::new(other))));
        assert_eq!(step, Step::Do(Action::Copies(missing())));
    }

    fn fetch(record: Arc<Record>) -> Step<Outcome> {
        Step::Do(Action::Fetch {
            record,
            from: vec![id(2)],
        })
    }

    #[test]
    fn a_layout_without_this_node_takes_its_replica_off_the_list_once_its_holders_confirm_it() {
        let without_me = record(5, 3, &[2, 4]);
        let asks = |answered: [Committed; 2]| {
            let (mut heal, step) = asked(Some(has(Arc::clone(&without_me))));
            let commit = Action::Commit {
                record: Arc::clone(&without_me),
                on: vec![id(2), id(4)],
            };
            assert_eq!(step, Step::Do(commit));
            let [two, four] = answered;
            heal.step(Event::Committed(vec![(id(2), two), (id(4), four)]))
        };
        let given_up = Step::Do(Action::GiveUp(missing()));
        assert_eq!(asks([Committed::Here, Committed::Here]), given_up);
        // If not, it is fetched from whoever has it, under the layout that names this node.
        for other in [Committed::Silent, Committed::Not] {
            assert_eq!(asks([Committed::Here, other]), fetch(missing()));
        }
    }

    #[test]
    fn a_newer_version_takes_its_replica_off_the_list_once_its_holder_has_shown_it() {
        let newer = record(6, 0, &[2]);
        let shown = |words: Option<Answer>, shows: bool| {
            let (mut heal, step) = asked(Some(has(Arc::clone(&newer))));
            assert_eq!(step, Step::Do(Action::Copies(missing())));
            let copies = Copies {
                copies: vec![(id(3), missing())],
                asked: Asked::All,
            };
            let step = heal.step(Event::Copies(copies));
            assert_eq!(step, Step::Do(Action::Ask(vec![id(2)])));
            let step = heal.step(Event::Answers(vec![(id(2), words)]));
            let show = Action::Show {
                record: Arc::clone(&newer),
                by: id(2),
            };
            if step != Step::Do(show) {
                return step;
            }
            match heal.step(Event::Shown(shows)) {
                Step::Do(Action::Confirm(heard)) => {
                    assert_eq!(heard.version, newer.version);
                    heal.step(Event::Done)
                }
                step => step,
            }
        };
        let from_the_copy = Step::Do(Action::Fetch {
            record: missing(),
            from: vec![id(3)],
        });
        let given_up = Step::Do(Action::GiveUp(missing()));
        assert_eq!(shown(Some(has(Arc::clone(&newer))), true), given_up);
        assert_eq!(shown(Some(has(Arc::clone(&newer))), false), from_the_copy);
        assert_eq!(shown(Some(lacks()), false), from_the_copy);
        assert_eq!(shown(None, false), from_the_copy);
    }

    #[test]
    fn what_a_holder_has_only_heard_of_is_no_reason_to_give_up() {
        let heard = Answer {
            known: Some(Heard::deletion(record(6, 0, &[]).version)),
            ..has(missing())
        };
        let (_, step) = asked(Some(heard));
        assert_eq!(step, fetch(missing()));
    }
}
