//! Relayout: the only way in which replicas change nodes. Copies to new holders, commits a greater layout on them, then
//! on those that stay, this node last, and announces it.
//!
//! A node that the greater layout leaves out releases its copy only when every holder of that layout has confirmed its
//! own, so two relayouts at the same time lose nothing. Whoever could not be told gets a hint.

use std::sync::Arc;

use dataverse_core::floors::Heard;
use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::record::Record;
use dataverse_core::relayout::Need;
use dataverse_core::search::Hit;

use super::{Action, Committed, Event, Protocol, Seen, Step, out_of_turn};

/// Why a relayout failed. The layout is unchanged, or a greater one that loses nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRelaid {
    /// The file is no longer held as it was when this was decided.
    #[error("the file changed meanwhile")]
    Changed,
    /// A node that was to take a copy knows of a greater version, and a holder has confirmed it.
    #[error("a newer version of the file exists")]
    Overtaken,
    /// Too few nodes took a copy.
    #[error("{took} of {wanted} nodes took a copy")]
    NoTaker {
        /// Copies to make.
        wanted: usize,
        /// Copies made.
        took: usize,
    },
    /// The layout could not be numbered, because the clock could not be persisted.
    #[error("the layout could not be numbered: {0}")]
    Unnumbered(String),
}

/// The relayout of one file.
#[derive(Debug)]
pub struct Relayout {
    me: NodeId,
    /// The file as it was held when this was decided.
    record: Arc<Record>,
    need: Need,
    /// The node to which a replica moves. It may have the content already, as a cached copy.
    to: Option<NodeId>,
    /// Nodes that are to take a copy.
    takers: Vec<NodeId>,
    /// Those on which the greater layout is durable.
    took: Vec<NodeId>,
    /// Every holder has the greater layout.
    all_hold: bool,
    doing: Doing,
}

#[derive(Debug)]
enum Doing {
    Beginning,
    Looking,
    Asking,
    Preparing,
    Verifying,
    LookingAgain,
    Copied,
    Laying,
    Committing(Arc<Record>),
    /// Some failed: the next layout does without them, or is the one before.
    LayingWithout(Vec<NodeId>),
    CommittingWithout(Arc<Record>),
    Telling(Arc<Record>, Tell),
    Ending(Vec<Action>, Result<usize, NotRelaid>),
}

/// How far the nodes that the new layout concerns have been told.
#[derive(Debug, Clone, Copy)]
enum Tell {
    Committed,
    Staying,
    Told,
    Own,
    Leaving,
}

impl Relayout {
    /// Does what the file needs. This node, `me`, holds a replica of it.
    #[must_use]
    pub const fn new(me: NodeId, record: Arc<Record>, need: Need) -> Self {
        Self {
            me,
            record,
            need,
            to: None,
            takers: Vec::new(),
            took: Vec::new(),
            all_hold: true,
            doing: Doing::Beginning,
        }
    }

    /// Moves a replica to this node.
    #[must_use]
    pub const fn moving(me: NodeId, record: Arc<Record>, need: Need, to: NodeId) -> Self {
        let mut moving = Self::new(me, record, need);
        moving.to = Some(to);
        moving
    }

    fn then(&mut self, doing: Doing, action: Action) -> Step<Result<usize, NotRelaid>> {
        self.doing = doing;
        Step::Do(action)
    }

    fn end(
        &mut self,
        mut actions: Vec<Action>,
        result: Result<usize, NotRelaid>,
    ) -> Step<Result<usize, NotRelaid>> {
        if actions.is_empty() {
            return Step::End(result);
        }
        let first = actions.remove(0);
        self.then(Doing::Ending(actions, result), first)
    }

    /// Drops what was prepared, and ends.
    fn abandon(&mut self, reason: NotRelaid) -> Step<Result<usize, NotRelaid>> {
        let takers = std::mem::take(&mut self.takers);
        self.end(vec![Action::Abandon(takers)], Err(reason))
    }

    fn no_taker(&self, took: usize) -> NotRelaid {
        NotRelaid::NoTaker {
            wanted: self.need.wanted,
            took,
        }
    }

    const fn is_enough(&self, took: usize) -> bool {
        self.need.keep.len() + took >= self.need.holders_min
    }

    /// Whether the file is still held as it was.
    fn is_unchanged(&self, seen: &Seen) -> bool {
        let held = seen.held.as_ref();
        held.is_some_and(|held| held.role == Role::Replica && *held.record == *self.record)
    }

    fn with(&self, new: &[NodeId]) -> Vec<NodeId> {
        self.need.keep.iter().chain(new).copied().collect()
    }

    fn prepare(&mut self) -> Step<Result<usize, NotRelaid>> {
        let prepare = Action::Prepare {
            record: Arc::clone(&self.record),
            wanted: self.need.wanted,
        };
        self.then(Doing::Preparing, prepare)
    }

    /// What the node to which the replica moves has of the file.
    fn asked(&mut self, event: Event) -> Step<Result<usize, NotRelaid>> {
        let Event::Answers(answers) = event else {
            return out_of_turn(&event);
        };
        let is_same = |hit: &Hit| hit.record.is_same_write(&self.record);
        let has_it = answers.into_iter().filter_map(|(id, answer)| {
            let answer = answer.filter(|answer| answer.hits.iter().any(is_same))?;
            Some((id, answer.known))
        });
        let has_it: Vec<_> = has_it.collect();
        match has_it.is_empty() {
            true => self.prepare(),
            false => self.prepared(Event::Prepared(has_it)),
        }
    }

    fn prepared(&mut self, event: Event) -> Step<Result<usize, NotRelaid>> {
        let Event::Prepared(prepared) = event else {
            return out_of_turn(&event);
        };
        self.takers = prepared.iter().map(|(id, _)| *id).collect();
        let heard = Heard::merged(prepared.iter().map(|(_, heard)| *heard));
        match heard.filter(|heard| heard.version > self.record.version) {
            // A taker may be wrong, so the holders of that version are asked.
            Some(heard) => self.then(Doing::Verifying, Action::Verify(heard)),
            None => self.then(Doing::LookingAgain, Action::Look),
        }
    }

    fn verified(&mut self, seen: &Seen) -> Step<Result<usize, NotRelaid>> {
        let confirmed = seen.confirmed.map(|heard| heard.version);
        match confirmed > Some(self.record.version) {
            true => self.abandon(NotRelaid::Overtaken),
            false => self.looked_again(seen),
        }
    }

    fn looked_again(&mut self, seen: &Seen) -> Step<Result<usize, NotRelaid>> {
        match self.is_enough(self.takers.len()) && self.is_unchanged(seen) {
            true => self.then(Doing::Copied, Action::Reach("relayout.copied")),
            false => self.abandon(self.no_taker(self.takers.len())),
        }
    }

    fn lay(
        &mut self,
        doing: Doing,
        record: &Arc<Record>,
        holders: Vec<NodeId>,
    ) -> Step<Result<usize, NotRelaid>> {
        let record = Arc::clone(record);
        self.then(doing, Action::LayAnew { record, holders })
    }

    fn commit(
        &mut self,
        doing: Doing,
        record: Arc<Record>,
        on: Vec<NodeId>,
    ) -> Step<Result<usize, NotRelaid>> {
        self.then(doing, Action::Commit { record, on })
    }

    fn committed(&mut self, laid: Arc<Record>, event: Event) -> Step<Result<usize, NotRelaid>> {
        let committed = event.committed();
        let greater = committed.iter().find_map(|(_, committed)| match committed {
            Committed::Greater(greater) => Some(Arc::clone(greater)),
            _ => None,
        });
        if let Some(greater) = greater {
            return self.end(vec![Action::TakeIn(greater)], Err(NotRelaid::Changed));
        }
        let durable = committed.iter().filter(|(_, it)| *it == Committed::Here);
        self.took = durable.map(|(id, _)| *id).collect();
        if self.took.len() == self.takers.len() {
            return self.tell(laid, Tell::Committed);
        }
        // A node whose commit failed may have taken the layout all the same. A greater layout says that its copy does
        // not count.
        let failed = self.takers.iter().filter(|id| !self.took.contains(id));
        let failed = failed.copied().collect();
        let holders = match self.took.is_empty() {
            true => self.record.layout.holders.clone(),
            false => self.with(&self.took),
        };
        self.lay(Doing::LayingWithout(failed), &laid, holders)
    }

    /// What comes once the new holders have the layout: first those that stay are told, then this node's own layout is
    /// replaced, then those that leave are told. A node with an older version drops it when it is told, so that comes
    /// only once the file is where it belongs.
    fn tell(&mut self, laid: Arc<Record>, told: Tell) -> Step<Result<usize, NotRelaid>> {
        let own = self.need.keep.contains(&self.me);
        let (next, action) = match told {
            Tell::Committed if !self.is_enough(self.took.len()) => {
                return Step::End(Err(self.no_taker(self.took.len())));
            }
            Tell::Committed => (Tell::Staying, Action::Reach("relayout.committed")),
            Tell::Staying => {
                let stay = self.need.keep.iter().filter(|id| **id != self.me);
                let on = stay.copied().collect();
                let record = Arc::clone(&laid);
                (Tell::Told, Action::Commit { record, on })
            }
            Tell::Told => (Tell::Own, Action::Reach("relayout.told")),
            Tell::Own => {
                let on = Vec::from_iter(own.then_some(self.me));
                let record = Arc::clone(&laid);
                (Tell::Leaving, Action::Commit { record, on })
            }
            Tell::Leaving => {
                let left = self.record.layout.holders.iter().copied();
                let left = left.filter(|id| *id != self.me && !laid.layout.names(*id));
                let to: Vec<NodeId> = left.collect();
                let record = Arc::clone(&laid);
                let took = self.took.len();
                if !self.all_hold {
                    let actions = vec![
                        Action::Reach("relayout.own"),
                        Action::Hint { record, to },
                        Action::Learn(laid),
                    ];
                    return self.end(actions, Ok(took));
                }
                let actions = vec![
                    Action::Reach("relayout.own"),
                    Action::Tell { record, to },
                    Action::Announce(laid),
                ];
                return self.end(actions, Ok(took));
            }
        };
        self.then(Doing::Telling(laid, next), action)
    }

    /// Takes in which of the holders that stay have the layout.
    fn told(&mut self, laid: &Arc<Record>, told: Tell, event: Event) -> Option<Action> {
        let (Tell::Told | Tell::Leaving) = told else {
            return None;
        };
        let committed = event.committed().into_iter();
        let silent = committed.filter(|(_, it)| *it == Committed::Silent);
        let silent: Vec<NodeId> = silent.map(|(id, _)| id).collect();
        self.all_hold &= silent.is_empty();
        // This node need not tell itself.
        let to: Vec<NodeId> = silent.into_iter().filter(|id| *id != self.me).collect();
        if to.is_empty() {
            return None;
        }
        let record = Arc::clone(laid);
        Some(Action::Hint { record, to })
    }
}

impl Protocol for Relayout {
    type Output = Result<usize, NotRelaid>;

    fn step(&mut self, event: Event) -> Step<Result<usize, NotRelaid>> {
        match std::mem::replace(&mut self.doing, Doing::Beginning) {
            Doing::Beginning => self.then(Doing::Looking, Action::Look),
            Doing::Looking if !self.is_unchanged(&event.clone().seen()) => {
                Step::End(Err(NotRelaid::Changed))
            }
            Doing::Looking => match self.to {
                Some(to) => self.then(Doing::Asking, Action::Ask(vec![to])),
                None => self.prepare(),
            },
            Doing::Asking => self.asked(event),
            Doing::Preparing => self.prepared(event),
            Doing::Verifying => self.verified(&event.seen()),
            Doing::LookingAgain => self.looked_again(&event.seen()),
            Doing::Copied => {
                let holders = self.with(&self.takers);
                let record = Arc::clone(&self.record);
                self.lay(Doing::Laying, &record, holders)
            }
            Doing::Laying => match event {
                Event::Laid(Ok(laid)) => {
                    let on = self.takers.clone();
                    self.commit(Doing::Committing(Arc::clone(&laid)), laid, on)
                }
                Event::Laid(Err(error)) => self.abandon(NotRelaid::Unnumbered(error)),
                other => out_of_turn(&other),
            },
            Doing::Committing(laid) => self.committed(laid, event),
            Doing::LayingWithout(failed) => match event {
                Event::Laid(Ok(laid)) => {
                    let record = Arc::clone(&laid);
                    self.then(
                        Doing::CommittingWithout(laid),
                        Action::Hint { record, to: failed },
                    )
                }
                Event::Laid(Err(error)) => Step::End(Err(NotRelaid::Unnumbered(error))),
                other => out_of_turn(&other),
            },
            Doing::CommittingWithout(laid) => match event {
                Event::Committed(_) => self.tell(laid, Tell::Committed),
                _ => {
                    let on = match self.took.is_empty() {
                        true => laid.layout.holders.clone(),
                        false => self.took.clone(),
                    };
                    self.commit(Doing::CommittingWithout(Arc::clone(&laid)), laid, on)
                }
            },
            Doing::Telling(laid, told) => {
                if let Event::Committed(_) = &event
                    && let Some(hint) = self.told(&laid, told, event)
                {
                    return self.then(Doing::Telling(laid, told), hint);
                }
                self.tell(laid, told)
            }
            Doing::Ending(mut actions, result) => {
                if let Event::Told(told) = event {
                    let deaf = told.into_iter().filter(|(_, heard)| !heard);
                    let to: Vec<NodeId> = deaf.map(|(id, _)| id).collect();
                    if let Some(Action::Announce(laid)) = actions.first()
                        && !to.is_empty()
                    {
                        let record = Arc::clone(laid);
                        actions.insert(0, Action::Hint { record, to });
                    }
                }
                self.end(actions, result)
            }
        }
    }
}
