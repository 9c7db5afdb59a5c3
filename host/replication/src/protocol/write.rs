//! Makes a write durable on every node that its layout names, or names those on which it is.
//!
//! Where a holder fails, the node that the write came to takes its place if it still has the content. Nothing is named
//! that is not durable.

use std::sync::Arc;

use dataverse_core::id::NodeId;
use dataverse_core::record::Record;

use super::{Action, Committed, Event, Protocol, Step, out_of_turn};

/// The record with the layout that it has in the end, or on how many nodes it is durable, which are too few.
pub type Written = Result<Arc<Record>, TooFew>;

/// A write that is durable on too few nodes, or whose layout could not be numbered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TooFew {
    /// On so many.
    Durable(usize),
    /// No layout could be made.
    Unnumbered(String),
}

/// The commit of one write.
#[derive(Debug)]
pub struct Write {
    me: NodeId,
    record: Arc<Record>,
    /// Nodes on which it has to be durable.
    min: usize,
    /// Nodes on which it is committed first.
    on: Vec<NodeId>,
    /// Nodes on which it is durable.
    durable: Vec<NodeId>,
    /// This node is no holder and has the content.
    has_spare: bool,
    doing: Doing,
}

#[derive(Debug)]
enum Doing {
    Beginning,
    Committing,
    /// With this node in place of those that failed.
    LayingWithOwn,
    CommittingOwn,
    Laying,
    Spreading,
}

impl Write {
    /// Commits a record on all nodes that it names.
    #[must_use]
    pub fn new(me: NodeId, record: Arc<Record>, min: usize) -> Self {
        Self {
            has_spare: !record.layout.names(me),
            on: record.layout.holders.clone(),
            doing: Doing::Beginning,
            durable: Vec::new(),
            me,
            record,
            min,
        }
    }

    /// Confirms a record that this node holds, if it is named, on these of the other nodes that it names.
    #[must_use]
    pub fn again(me: NodeId, record: Arc<Record>, on: Vec<NodeId>, min: usize) -> Self {
        Self {
            on,
            durable: Vec::from_iter(record.layout.names(me).then_some(me)),
            has_spare: false,
            ..Self::new(me, record, min)
        }
    }

    fn then(&mut self, doing: Doing, action: Action) -> Step<Written> {
        self.doing = doing;
        Step::Do(action)
    }

    fn commit(&mut self, doing: Doing, on: Vec<NodeId>) -> Step<Written> {
        let record = Arc::clone(&self.record);
        self.then(doing, Action::Commit { record, on })
    }

    fn lay(&mut self, doing: Doing, holders: Vec<NodeId>) -> Step<Written> {
        let record = Arc::clone(&self.record);
        self.then(doing, Action::LayAnew { record, holders })
    }

    fn settle(&mut self) -> Step<Written> {
        if self.durable.len() == self.record.layout.holders.len() {
            return Step::End(Ok(Arc::clone(&self.record)));
        }
        if self.has_spare {
            let with_own = std::iter::once(self.me).chain(self.durable.iter().copied());
            let with_own = with_own.collect();
            return self.lay(Doing::LayingWithOwn, with_own);
        }
        self.name_durable()
    }

    /// The layout that names those on which it is durable.
    fn name_durable(&mut self) -> Step<Written> {
        match self.durable.len() < self.min {
            true => Step::End(Err(TooFew::Durable(self.durable.len()))),
            false => self.lay(Doing::Laying, self.durable.clone()),
        }
    }

    /// Goes on with the record in its next layout.
    fn laid(&mut self, event: Event) -> Option<Step<Written>> {
        match event {
            Event::Laid(Ok(laid)) => {
                self.record = laid;
                None
            }
            Event::Laid(Err(error)) => Some(Step::End(Err(TooFew::Unnumbered(error)))),
            other => out_of_turn(&other),
        }
    }
}

impl Protocol for Write {
    type Output = Written;

    fn step(&mut self, event: Event) -> Step<Written> {
        match std::mem::replace(&mut self.doing, Doing::Beginning) {
            Doing::Beginning => {
                let on = std::mem::take(&mut self.on);
                self.commit(Doing::Committing, on)
            }
            Doing::Committing => {
                // A greater record there means that a later write has replaced this one.
                let durable = event.committed().into_iter().filter(|(_, committed)| {
                    matches!(committed, Committed::Here | Committed::Greater(_))
                });
                self.durable.extend(durable.map(|(id, _)| id));
                self.settle()
            }
            Doing::LayingWithOwn => match self.laid(event) {
                Some(end) => end,
                None => self.commit(Doing::CommittingOwn, vec![self.me]),
            },
            Doing::CommittingOwn => {
                self.has_spare = false;
                let committed = event.committed();
                let failed = committed.iter().any(|(_, it)| *it == Committed::Silent);
                match !failed && self.record.layout.holders.len() >= self.min {
                    true => self.commit(Doing::Spreading, self.record.layout.holders.clone()),
                    false => self.name_durable(),
                }
            }
            Doing::Laying => match self.laid(event) {
                Some(end) => end,
                None => self.commit(Doing::Spreading, self.record.layout.holders.clone()),
            },
            // Whoever did not take the greater layout has the record all the same.
            Doing::Spreading => Step::End(Ok(Arc::clone(&self.record))),
        }
    }
}
