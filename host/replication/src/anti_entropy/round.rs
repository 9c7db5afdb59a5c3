//! A round: compares the files that this node and another should both hold.

use std::collections::BTreeSet;

use dataverse_core::id::{FileId, NodeId};
use dataverse_core::limits::RECONCILE_ENTRIES_MAX;
use dataverse_core::node::{Listed, Node};
use dataverse_core::reconcile::{BucketRange, Compared, ReconcileAnswer, ReconcileAsk, Summary};

use super::reconciliation::{OutOfProtocol, Step};
use super::{Difference, LAST_FILE, TurnOutcome};

/// Messages in one round; what is left is compared in the next.
pub const MESSAGES_MAX: usize = 256;
/// Digest entries compared in one round, rounded up to whole buckets; the rest wait for the next round.
pub const ENTRIES_MAX: u64 = 65_536;

/// What is to be done, or was asked.
#[derive(Debug)]
enum Doing {
    Root,
    /// The shared files are listed up to this one.
    Listing(Option<FileId>),
    Comparing,
    Ended,
}

#[derive(Debug)]
pub(super) struct Round {
    peer: NodeId,
    doing: Doing,
    /// What the last message asked about.
    range: BucketRange,
    /// What is shared with the other node in the buckets that differ, by file.
    listed: Vec<Listed>,
    messages_left: usize,
}

impl Round {
    pub(super) const fn new(peer: NodeId) -> Self {
        Self {
            peer,
            doing: Doing::Root,
            range: BucketRange {
                buckets: BTreeSet::new(),
                after: None,
                until: LAST_FILE,
            },
            listed: Vec::new(),
            messages_left: MESSAGES_MAX,
        }
    }

    pub(super) fn step(&mut self, node: &Node, outcome: &mut TurnOutcome) -> Step {
        match self.doing {
            Doing::Root => Step::Ask(ReconcileAsk::Root(node.shared_root(self.peer))),
            Doing::Listing(after) => {
                let next = node.list_shared(self.peer, &self.range, &mut self.listed, after);
                if next.is_some() {
                    self.doing = Doing::Listing(next);
                    return Step::Yield;
                }
                self.listed.sort_unstable_by_key(|(entry, _)| entry.file);
                self.doing = Doing::Comparing;
                self.compare(outcome)
            }
            Doing::Comparing => self.compare(outcome),
            Doing::Ended => Step::End,
        }
    }

    /// The next message: as many entries as fit, and the range in which they are all that is shared.
    fn compare(&mut self, outcome: &mut TurnOutcome) -> Step {
        if self.range.after == Some(LAST_FILE) {
            return Step::End;
        }
        if self.messages_left == 0 {
            outcome.left += 1;
            return Step::End;
        }
        self.messages_left -= 1;
        let after = self.range.after;
        let from = self
            .listed
            .partition_point(|(entry, _)| Some(entry.file) <= after);
        let rest = &self.listed[from..];
        let now = &rest[..rest.len().min(RECONCILE_ENTRIES_MAX)];
        self.range.until = match now.last() {
            Some((last, _)) if now.len() < rest.len() => last.file,
            _ => LAST_FILE,
        };
        Step::Ask(ReconcileAsk::Compare {
            range: Some(self.range.clone()),
            entries: now.iter().map(|(entry, _)| *entry).collect(),
        })
    }

    pub(super) fn answered(
        &mut self,
        node: &Node,
        answer: ReconcileAnswer,
        random: impl FnOnce() -> u64,
        outcome: &mut TurnOutcome,
    ) -> Result<Vec<Difference>, OutOfProtocol> {
        match (&self.doing, answer) {
            (Doing::Root, ReconcileAnswer::Agreed) => self.doing = Doing::Ended,
            (Doing::Root, ReconcileAnswer::Sums(sums)) => {
                let shared = node.shared_with(self.peer);
                self.range.buckets = buckets_to_compare(&shared, &sums, random);
                (outcome.differed, outcome.buckets) = (true, self.range.buckets.len());
                self.doing = match self.range.buckets.is_empty() {
                    true => Doing::Ended,
                    false => Doing::Listing(None),
                };
            }
            (Doing::Root, _) => return Err("the answer is not one to a root"),
            (_, ReconcileAnswer::Compared(compared)) => return self.compared(compared),
            _ => return Err("the answer is not one to a comparison"),
        }
        Ok(Vec::new())
    }

    fn compared(&mut self, compared: Compared) -> Result<Vec<Difference>, OutOfProtocol> {
        let until = compared.until;
        if Some(until) <= self.range.after || until > self.range.until {
            return Err("it compared files outside the range asked for");
        }
        self.range.until = until;
        let theirs = compared.records.into_iter();
        let theirs = theirs.filter(|record| self.range.has(record.key.file_id()));
        let unknown: BTreeSet<FileId> = compared.unknown.into_iter().collect();
        let unknown = unknown.into_iter().filter(|file| self.range.has(*file));
        let ours = unknown.filter_map(|file| {
            let at = self.listed.binary_search_by_key(&file, |(it, _)| it.file);
            Some(Difference::Ours(self.listed[at.ok()?].1.clone()))
        });
        let differences = theirs.map(Difference::Theirs).chain(ours).collect();
        self.range.after = Some(until);
        Ok(differences)
    }
}

/// The buckets that differ, as many as fit into one round.
fn buckets_to_compare(
    shared: &Summary,
    sums: &[u128],
    random: impl FnOnce() -> u64,
) -> BTreeSet<u16> {
    let mut files = 0;
    let mut differing = shared.differing(sums);
    // If there are too many for one round, start at a random one, so that none waits every time.
    if !differing.is_empty() {
        let first = random() as usize % differing.len();
        differing.rotate_left(first);
    }
    differing
        .into_iter()
        .take_while(|bucket| {
            let before = files;
            files += shared.files_in(*bucket);
            before == 0 || files <= ENTRIES_MAX
        })
        .collect()
}
