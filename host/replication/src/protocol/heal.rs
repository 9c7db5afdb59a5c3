//! Copies a replica of this node that is bad or gone again from another node.
//!
//! The other holders are asked first, then every node that can be reached. What is heard of a newer version, or of a
//! layout without this node, ends it: the replica is no longer this node's concern. If every node says that it has no
//! copy, the file is lost; it is tried again at intervals, since someone may bring back a node or a disk.

use std::sync::Arc;

use dataverse_core::floors::Heard;
use dataverse_core::id::NodeId;
use dataverse_core::record::Record;
use dataverse_core::search::{Answer, Deletion};

use super::{Action, Asked, Event, Protocol, Seen, Step, out_of_turn};
use crate::upkeep::Outcome;

/// One attempt to copy a replica again.
#[derive(Debug)]
pub struct Heal {
    me: NodeId,
    /// The record, with the greatest layout heard of.
    record: Arc<Record>,
    /// Nodes that have this version.
    sources: Vec<NodeId>,
    newer: Option<Heard>,
    /// Every node that might have it was asked and has answered.
    all_answered: bool,
    doing: Doing,
}

#[derive(Debug)]
enum Doing {
    Beginning,
    Looking,
    Asking,
    Searching,
    Hearing,
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
            newer: None,
            all_answered: true,
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
        if let Some(known) = seen.confirmed {
            self.hear_of(known);
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
            let deletion = match &answer.deletion {
                Deletion::Held(deletion) => Some(Heard::of(deletion)),
                Deletion::None => None,
                // A holder of an earlier release can't say more than what it has heard of.
                Deletion::Unsaid => answer.known,
            };
            if let Some(deletion) = deletion {
                self.hear_of(deletion);
            }
            for hit in &answer.hits {
                self.found(from, &hit.record);
            }
        }
        match self.sources.is_empty() {
            true => {
                let search = Action::Copies(Arc::clone(&self.record));
                self.then(Doing::Searching, search)
            }
            false => self.decide(),
        }
    }

    fn searched(&mut self, event: Event) -> Step<Outcome> {
        let Event::Copies(found) = event else {
            return out_of_turn(&event);
        };
        if let Some(held) = found.held {
            self.hear_of(held);
        }
        for (at, record) in &found.copies {
            self.found(*at, record);
        }
        self.all_answered &= found.asked == Asked::All;
        self.decide()
    }

    /// Records a version that a node has. What it has only heard of is no reason to give up.
    fn hear_of(&mut self, heard: Heard) {
        if heard.version > self.record.version {
            self.newer = Heard::merged([self.newer, Some(heard)]);
        }
    }

    fn found(&mut self, at: NodeId, record: &Arc<Record>) {
        self.hear_of(Heard::of(record));
        if !record.is_same_write(&self.record) {
            return;
        }
        self.sources.push(at);
        if record.layout > self.record.layout {
            self.record = Arc::clone(record);
        }
    }

    fn decide(&mut self) -> Step<Outcome> {
        if let Some(newer) = self.newer {
            return self.then(Doing::Hearing, Action::Verify(newer));
        }
        if !self.record.layout.names(self.me) {
            return self.give_up();
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

    fn give_up(&mut self) -> Step<Outcome> {
        let give_up = Action::GiveUp(Arc::clone(&self.record));
        self.then(Doing::GivingUp, give_up)
    }
}

impl Protocol for Heal {
    type Output = Outcome;

    fn step(&mut self, event: Event) -> Step<Outcome> {
        match (&self.doing, event) {
            (Doing::Beginning, _) => self.then(Doing::Looking, Action::Look),
            (Doing::Looking, event) => self.looked(&event.seen()),
            (Doing::Asking, Event::Answers(answers)) => self.asked(answers),
            (Doing::Searching, event) => self.searched(event),
            (Doing::Hearing, _) => self.give_up(),
            (Doing::GivingUp, _) => Step::End(Outcome::Done),
            (Doing::Fetching, Event::Stored(arrived)) => {
                self.then(Doing::Fetched(arrived), Action::Reach("heal.done"))
            }
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
        let moved = record(5, 3, &[ME, 2, 4]);
        let (mut heal, step) = asked(Some(has(Arc::clone(&moved))));
        let fetch = Action::Fetch {
            record: Arc::clone(&moved),
            from: vec![id(2)],
        };
        assert_eq!(step, Step::Do(fetch));
        let reached = Step::Do(Action::Reach("heal.done"));
        assert_eq!(heal.step(Event::Stored(false)), reached);
        assert_eq!(heal.step(Event::Done), Step::Do(Action::Relieve(moved)));
        assert_eq!(heal.step(Event::Done), Step::End(Outcome::Again));
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

    #[test]
    fn what_is_not_its_concern_any_more_is_given_up() {
        let without_me = record(5, 3, &[2, 4]);
        let (mut heal, step) = asked(Some(has(Arc::clone(&without_me))));
        assert_eq!(step, Step::Do(Action::GiveUp(without_me)));
        assert_eq!(heal.step(Event::Done), Step::End(Outcome::Done));

        let newer = Heard::alive(record(6, 0, &[]).version);
        let (mut heal, _) = asked(Some(has(record(6, 0, &[2]))));
        let step = heal.step(Event::Copies(Copies::default()));
        assert_eq!(step, Step::Do(Action::Verify(newer)));
        let step = heal.step(Event::Seen(Seen::default()));
        assert_eq!(step, Step::Do(Action::GiveUp(missing())));
    }

    #[test]
    fn what_a_holder_has_only_heard_of_is_no_reason_to_give_up() {
        let heard = Answer {
            known: Some(Heard::deletion(record(6, 0, &[]).version)),
            ..has(missing())
        };
        let (_, step) = asked(Some(heard));
        let fetch = Action::Fetch {
            record: missing(),
            from: vec![id(2)],
        };
        assert_eq!(step, Step::Do(fetch));
    }
}
