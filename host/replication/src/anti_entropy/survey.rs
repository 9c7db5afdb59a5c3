//! A survey: finds files that this node and another both hold although no layout names both.

use dataverse_core::filter::Filter;
use dataverse_core::id::{FileId, NodeId};
use dataverse_core::limits::RECONCILE_ENTRIES_MAX;
use dataverse_core::node::{Listed, Node};
use dataverse_core::reconcile::{Compared, DigestEntry, ReconcileAnswer, ReconcileAsk};

use super::reconciliation::{OutOfProtocol, Step};
use super::{Difference, LAST_FILE, LastSurvey, TurnOutcome};

/// What is to be done, or was asked.
#[derive(Debug)]
enum Doing {
    /// The other node is asked for its filter, unless it is still the one known by this tag, or 0.
    Filter {
        known: u128,
    },
    Comparing(Marking),
    Ended,
}

/// The files in the other node's filter: those marked in one page of the holdings after the other.
#[derive(Debug)]
struct Marking {
    filter: Filter,
    marked: Vec<Listed>,
    /// Where the next page begins.
    after: Option<FileId>,
    is_due: bool,
    is_last: bool,
}

#[derive(Debug)]
pub(super) struct Survey {
    peer: NodeId,
    last: Option<LastSurvey>,
    /// How often this node's index had changed when the survey began.
    changes: u64,
    doing: Doing,
    /// What the other node has yet to compare of the files marked, by file.
    entries: Vec<DigestEntry>,
}

impl Survey {
    pub(super) const fn new(peer: NodeId, last: Option<LastSurvey>) -> Self {
        Self {
            peer,
            last,
            changes: 0,
            doing: Doing::Filter { known: 0 },
            entries: Vec::new(),
        }
    }

    pub(super) fn step(&mut self, node: &Node) -> Step {
        match &mut self.doing {
            Doing::Filter { known } => {
                self.changes = node.changes();
                let unchanged = self.last.filter(|last| last.changes == self.changes);
                *known = unchanged.map_or(0, |last| last.tag);
                Step::Ask(ReconcileAsk::Filter { known: *known })
            }
            Doing::Comparing(marking) => {
                if self.entries.is_empty() {
                    marking.page_if_due(node, self.peer);
                    self.entries = marking.take_entries();
                }
                if self.entries.is_empty() {
                    marking.is_due = !marking.is_last;
                    return match marking.is_last {
                        true => Step::End,
                        false => Step::Yield,
                    };
                }
                Step::Ask(ReconcileAsk::Compare {
                    range: None,
                    entries: self.entries.clone(),
                })
            }
            Doing::Ended => Step::End,
        }
    }

    pub(super) fn answered(
        &mut self,
        answer: ReconcileAnswer,
        outcome: &mut TurnOutcome,
    ) -> Result<Vec<Difference>, OutOfProtocol> {
        match (&self.doing, answer) {
            (Doing::Filter { known: 1.. }, ReconcileAnswer::Agreed) => self.doing = Doing::Ended,
            (Doing::Filter { .. }, ReconcileAnswer::Filter(filter)) => {
                outcome.surveyed = Some(LastSurvey {
                    tag: filter.tag(),
                    changes: self.changes,
                });
                self.doing = Doing::Comparing(Marking {
                    filter,
                    marked: Vec::new(),
                    after: None,
                    is_due: true,
                    is_last: false,
                });
            }
            (Doing::Filter { .. }, _) => {
                return Err("the answer is not one to a request for a filter");
            }
            (_, ReconcileAnswer::Compared(compared)) => return self.compared(compared),
            _ => return Err("the answer is not one to a comparison"),
        }
        Ok(Vec::new())
    }

    /// A filter has false positives, so a file unknown to the other node is nothing to act on.
    fn compared(&mut self, compared: Compared) -> Result<Vec<Difference>, OutOfProtocol> {
        let until = compared.until;
        let asked = self.entries.partition_point(|entry| entry.file <= until);
        if asked == 0 && until != LAST_FILE {
            return Err("it compared none of the files asked for");
        }
        let rest = self.entries.split_off(asked);
        let asked = std::mem::replace(&mut self.entries, rest);
        let is_asked = |file: FileId| asked.binary_search_by_key(&file, |it| it.file).is_ok();
        let theirs = compared.records.into_iter();
        let theirs = theirs.filter(|record| is_asked(record.key.file_id()));
        Ok(theirs.map(Difference::Theirs).collect())
    }
}

impl Marking {
    fn page_if_due(&mut self, node: &Node, peer: NodeId) {
        if std::mem::take(&mut self.is_due) {
            self.after = node.mark_met(peer, &self.filter, &mut self.marked, self.after);
            self.is_last = self.after.is_none();
        }
    }

    /// The entries of the next message, if there are enough for one. A page is shorter than a message, so the rest
    /// always fits into the next one.
    fn take_entries(&mut self) -> Vec<DigestEntry> {
        let full = RECONCILE_ENTRIES_MAX;
        let now = match self.marked.len() {
            marked if marked > full => full,
            marked if self.is_last => marked,
            _ => 0,
        };
        let now = self.marked.drain(..now);
        let mut entries: Vec<DigestEntry> = now.map(|(entry, _)| entry).collect();
        entries.sort_unstable();
        entries
    }
}
