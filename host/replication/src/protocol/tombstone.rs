//! Deletes a file: writes a tombstone as a version on every holder that answers, spares making up the factor, and
//! announces it. The deletion has happened once the tombstone is durable.

use std::sync::Arc;

use dataverse_core::content::Digest;
use dataverse_core::floors::Heard;
use dataverse_core::id::NodeId;
use dataverse_core::record::{Layout, Record};
use dataverse_core::version::Version;

use super::{Action, Committed, Event, Protocol, Step, out_of_turn};

/// How often a deletion is repeated above a newer version.
const TRIES_MAX: usize = 3;

/// Result of a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deleted {
    /// The file is deleted; or it was, and something greater has taken its place since.
    Done,
    /// No node has stored the tombstone. Those of this record's holders that did not answer may do so still.
    NotDurable(Arc<Record>),
    /// No version or layout could be made.
    Failed(String),
}

/// The deletion of one file.
#[derive(Debug)]
pub struct Tombstone {
    me: NodeId,
    /// What is to be deleted.
    record: Arc<Record>,
    /// The version of a deletion whose condition holds. What is newer comes after it.
    granted: Option<Version>,
    tries_left: usize,
    answers: Answers,
    doing: Doing,
}

/// The nodes' answers to a tombstone.
#[derive(Debug, Default)]
struct Answers {
    /// Nodes on which it is durable.
    durable: Vec<NodeId>,
    /// The greatest record found that is greater than the tombstone.
    greater: Option<Arc<Record>>,
    /// A node did not answer, so it may be durable there.
    unanswered: bool,
}

#[derive(Debug)]
enum Doing {
    Beginning,
    Stamping,
    Committing(Arc<Record>),
    ChoosingSpares(Arc<Record>),
    CommittingOnSpares(Arc<Record>),
    Settling(Arc<Record>),
    Spreading(Arc<Record>),
    Ending(Vec<Action>, Deleted),
}

impl Tombstone {
    /// Deletes this record, or a newer one that turns up on the way. A conditional deletion has its version already.
    #[must_use]
    pub fn new(me: NodeId, record: Arc<Record>, granted: Option<Version>) -> Self {
        Self {
            me,
            record,
            granted,
            tries_left: TRIES_MAX,
            answers: Answers::default(),
            doing: Doing::Beginning,
        }
    }

    fn then(&mut self, doing: Doing, action: Action) -> Step<Deleted> {
        self.doing = doing;
        Step::Do(action)
    }

    fn end(&mut self, mut actions: Vec<Action>, deleted: Deleted) -> Step<Deleted> {
        if actions.is_empty() {
            return Step::End(deleted);
        }
        let first = actions.remove(0);
        self.then(Doing::Ending(actions, deleted), first)
    }

    /// Begins with the record that is to be deleted now.
    fn stamp(&mut self) -> Step<Deleted> {
        self.answers = Answers::default();
        if self.tries_left == 0 {
            return Step::End(Deleted::NotDurable(Arc::clone(&self.record)));
        }
        self.tries_left -= 1;
        match self.granted {
            Some(version) => self.stamped(version),
            None => self.then(Doing::Stamping, Action::Stamp(self.record.version)),
        }
    }

    fn stamped(&mut self, version: Version) -> Step<Deleted> {
        let tombstone = Arc::new(Record {
            version,
            layout: Layout {
                counter: 0,
                author: self.me,
                holders: self.record.layout.holders.clone(),
            },
            deleted: true,
            size: 0,
            digest: Digest::of(&[]),
            content_type: Arc::clone(&self.record.content_type),
            factor: self.record.factor,
            key: self.record.key.clone(),
        });
        self.then(
            Doing::Committing(tombstone),
            Action::Reach("delete.stamped"),
        )
    }

    fn commit(
        doing: fn(Arc<Record>) -> Doing,
        tombstone: Arc<Record>,
        on: Vec<NodeId>,
    ) -> (Doing, Action) {
        let record = Arc::clone(&tombstone);
        (doing(tombstone), Action::Commit { record, on })
    }

    fn take(&mut self, committed: Vec<(NodeId, Committed)>) {
        for (id, committed) in committed {
            match committed {
                Committed::Here => self.answers.durable.push(id),
                Committed::Greater(greater) => {
                    let before = self.answers.greater.take();
                    self.answers.greater = before.max(Some(greater));
                }
                Committed::Not => {}
                Committed::Silent => self.answers.unanswered = true,
            }
        }
    }

    fn committed(&mut self, tombstone: Arc<Record>) -> Step<Deleted> {
        let answers = &mut self.answers;
        let is_unseen = answers.durable.is_empty() && !answers.unanswered;
        match answers.greater.take() {
            // Nobody has seen the tombstone yet, so it may still take a version above.
            Some(greater) if is_unseen && self.granted.is_none() && !greater.deleted => {
                self.record = greater;
                self.stamp()
            }
            // Where somebody may have seen it, a second one would delete what was written since. From when the deletion
            // is not pending any more, a round must learn here of what came after it: the holder may have answered
            // that round before it had either.
            Some(greater) if answers.durable.is_empty() => {
                let confirm = Action::Confirm(Heard::of(&greater));
                self.end(vec![confirm, Action::TakeIn(greater)], Deleted::Done)
            }
            None if answers.durable.is_empty() => {
                Step::End(Deleted::NotDurable(Arc::clone(&self.record)))
            }
            _ => self.then(
                Doing::Settling(tombstone),
                Action::Reach("delete.committed"),
            ),
        }
    }

    /// Makes the layout name exactly the nodes on which the tombstone is durable.
    fn settle(&mut self, tombstone: Arc<Record>, event: Event) -> Step<Deleted> {
        let holders = self.answers.durable.clone();
        match event {
            Event::Laid(Ok(settled)) => {
                let (doing, commit) = Self::commit(Doing::Spreading, settled, holders);
                self.then(doing, commit)
            }
            // It is durable, whatever became of its layout.
            Event::Laid(Err(error)) => {
                self.end(vec![Action::Announce(tombstone)], Deleted::Failed(error))
            }
            _ if tombstone.layout.holders == holders => {
                self.end(vec![Action::Announce(tombstone)], Deleted::Done)
            }
            _ => {
                let record = Arc::clone(&tombstone);
                self.then(
                    Doing::Settling(tombstone),
                    Action::LayAnew { record, holders },
                )
            }
        }
    }
}

impl Protocol for Tombstone {
    type Output = Deleted;

    fn step(&mut self, event: Event) -> Step<Deleted> {
        match std::mem::replace(&mut self.doing, Doing::Beginning) {
            Doing::Beginning => self.stamp(),
            Doing::Stamping => match event {
                Event::Stamped(Ok(version)) => self.stamped(version),
                Event::Stamped(Err(error)) => Step::End(Deleted::Failed(error)),
                other => out_of_turn(&other),
            },
            Doing::Committing(tombstone) => {
                let Event::Committed(committed) = event else {
                    let on = tombstone.layout.holders.clone();
                    let (doing, commit) = Self::commit(Doing::Committing, tombstone, on);
                    return self.then(doing, commit);
                };
                self.take(committed);
                let missing = tombstone.factor as usize;
                let missing = missing.saturating_sub(self.answers.durable.len());
                match missing > 0 && self.answers.greater.is_none() {
                    true => {
                        let spares = Action::Spares {
                            tombstone: Arc::clone(&tombstone),
                            wanted: missing,
                        };
                        self.then(Doing::ChoosingSpares(tombstone), spares)
                    }
                    false => self.committed(tombstone),
                }
            }
            Doing::ChoosingSpares(tombstone) => match event {
                Event::Spares(spares) => {
                    let (doing, commit) =
                        Self::commit(Doing::CommittingOnSpares, tombstone, spares);
                    self.then(doing, commit)
                }
                other => out_of_turn(&other),
            },
            Doing::CommittingOnSpares(tombstone) => {
                self.take(event.committed());
                self.committed(tombstone)
            }
            Doing::Settling(tombstone) => self.settle(tombstone, event),
            Doing::Spreading(settled) => self.end(vec![Action::Announce(settled)], Deleted::Done),
            Doing::Ending(actions, deleted) => self.end(actions, deleted),
        }
    }
}
