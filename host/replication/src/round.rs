//! One round of questions: every node of the graph is asked about one file, all at once.
//!
//! The graph is explored through the neighbours that each answer lists. Members that gossip knows are asked right
//! away, so that a round takes one round trip where a search takes one per level; but only nodes that links reach
//! count, so a round and a search see the same graph.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use dataverse_core::floors::Heard;
use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::record::Record;
use dataverse_core::search::{Answer, Deletion, Hit, Peer};
use dataverse_core::version::{Stamp, Version};

/// Why nobody can tell what the present version of a file is. Nothing is written then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    /// Nodes that did not answer: each may have a newer version.
    #[error("{} did not answer; it may hold a newer version (if it is gone for good, unlink it)", names(.0))]
    Silent(Vec<Arc<str>>),
    /// More nodes than may be asked.
    #[error("there are more nodes than `search.budget` allows to ask")]
    TooManyNodes,
    /// The only copies are on nodes that were away and have not verified them yet.
    #[error("the copies found are still being verified; try again")]
    Unverified,
    /// Cached copies of a version of which no replica was found.
    #[error("only cached copies of its newest version were found")]
    NoReplica,
    /// A newer version was heard of than any node has.
    #[error("version {0} was written, and no reachable node has it")]
    Missing(Version),
}

/// Names in an error message; the others are counted.
const NAMES_MAX: usize = 8;

fn names(names: &[Arc<str>]) -> String {
    let told = names[..names.len().min(NAMES_MAX)].join(", ");
    match names.len().saturating_sub(NAMES_MAX) {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}

enum Asked {
    UnderWay,
    Answered(Answer),
    Failed(Arc<str>),
}

/// One round of questions about one file.
pub struct Round {
    me: NodeId,
    /// This node's own answer, then those of others as links reach them.
    counted: Vec<Answer>,
    /// Nodes that links reach.
    reached: BTreeSet<NodeId>,
    /// Reached and not asked yet.
    next: VecDeque<Peer>,
    /// Members that gossip knows, which the links probably reach.
    likely: VecDeque<Peer>,
    asked: BTreeMap<NodeId, Asked>,
    /// More nodes were found than may be asked.
    too_many: bool,
    under_way: usize,
    at_once_max: usize,
    asks_left: u32,
    asks_max: u32,
    /// Above the stamps of all earlier runs of the nodes that answered.
    runs: Stamp,
}

/// What a round found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surveyed {
    /// The present version of the file, or that there is none; or why nobody can tell.
    pub current: Result<Option<Arc<Record>>, Undecided>,
    /// Whether a write with a lower version than the asking one is pending.
    pub pending: bool,
    /// A version of the asking node is above everything that was found only if its stamp is above this.
    pub above: Stamp,
    /// The nodes that links reach, this one included.
    pub reached: BTreeSet<NodeId>,
}

impl Round {
    /// A round from the node `me`, whose own answer is `own`. `likely` are members known from gossip. At most
    /// `at_once_max` nodes are asked at the same time, and `asks_max` in all.
    #[must_use]
    pub fn new(
        me: NodeId,
        own: Answer,
        likely: Vec<Peer>,
        at_once_max: u32,
        asks_max: u32,
    ) -> Self {
        let mut round = Self {
            me,
            counted: Vec::new(),
            reached: BTreeSet::from([me]),
            next: VecDeque::new(),
            likely: likely.into(),
            asked: BTreeMap::new(),
            too_many: false,
            under_way: 0,
            at_once_max: at_once_max.max(1) as usize,
            asks_left: asks_max,
            asks_max,
            runs: Stamp::default(),
        };
        round.count(own);
        round
    }

    /// The next node to ask now, if any.
    pub fn poll(&mut self) -> Option<Peer> {
        while self.under_way < self.at_once_max && self.asks_left > 0 {
            let next = self.next.pop_front();
            let peer = next.or_else(|| self.likely.pop_front())?;
            if peer.id == self.me || self.asked.contains_key(&peer.id) {
                continue;
            }
            self.asks_left -= 1;
            self.under_way += 1;
            self.asked.insert(peer.id, Asked::UnderWay);
            return Some(peer);
        }
        None
    }

    /// A node that was asked has answered, in the run of this number.
    pub fn answered(&mut self, id: NodeId, run: u64, answer: Answer) {
        self.under_way -= 1;
        self.runs = self.runs.max(Stamp(run));
        if self.reached.contains(&id) {
            self.asked.insert(id, Asked::Answered(Answer::default()));
            self.count(answer);
        } else {
            self.asked.insert(id, Asked::Answered(answer));
        }
    }

    /// A node that was asked will not answer.
    pub fn failed(&mut self, peer: &Peer) {
        self.under_way -= 1;
        let failed = Asked::Failed(Arc::clone(&peer.name));
        self.asked.insert(peer.id, failed);
    }

    /// Whether every node that links reach has answered or failed, or no more may be asked. What members that links
    /// do not reach say is not waited for.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let settled = |id: &NodeId| {
            *id == self.me
                || (self.asked.get(id)).is_some_and(|asked| !matches!(asked, Asked::UnderWay))
        };
        match self.asks_left {
            0 => self.under_way == 0,
            _ => self.reached.iter().all(settled),
        }
    }

    /// What was found, once the round is over.
    #[must_use]
    pub fn finish(self) -> Surveyed {
        let hits = || self.counted.iter().flat_map(|answer| &answer.hits);
        let newest = |counts: fn(&&Hit) -> bool| {
            let records = hits().filter(counts).map(|hit| &hit.record);
            records.max().cloned()
        };
        let replica = newest(|hit| hit.role == Role::Replica && !hit.is_unverified());
        let any = newest(|hit| !hit.is_unverified());
        let unverified = newest(|hit| hit.is_unverified());
        let heard = Heard::merged(self.counted.iter().map(|answer| answer.known));
        let version = |record: &Option<Arc<Record>>| record.as_ref().map(|record| record.version);
        let versions = [version(&any), version(&unverified)];
        let highest = versions
            .into_iter()
            .chain([heard.map(|heard| heard.version)]);
        let highest = highest.flatten().max();
        let deleted = highest.is_some_and(|highest| {
            let is_heard = heard.is_some_and(|it| it.is_deletion() && it.version == highest);
            // What nodes have only heard of does not make a file absent that a node serves.
            is_heard && (replica.is_none() && unverified.is_none() || self.is_held_deleted(highest))
        });
        let current = match highest {
            _ if self.is_cut_short() => Err(Undecided::TooManyNodes),
            _ if !self.silent().is_empty() => Err(Undecided::Silent(self.silent())),
            None => Ok(None),
            Some(_) if deleted => Ok(None),
            Some(highest) if version(&replica) == Some(highest) => Ok(replica),
            Some(highest) if version(&unverified) == Some(highest) => Err(Undecided::Unverified),
            Some(highest) if version(&any) == Some(highest) => Err(Undecided::NoReplica),
            Some(highest) => Err(Undecided::Missing(highest)),
        };
        Surveyed {
            current,
            pending: self.counted.iter().any(|answer| answer.pending),
            above: self
                .runs
                .max(highest.map_or_else(Stamp::default, |highest| highest.stamp)),
            reached: self.reached,
        }
    }

    /// Whether a node holds the tombstone of this version. One of an earlier release does not say so.
    fn is_held_deleted(&self, version: Version) -> bool {
        self.counted.iter().any(|answer| match &answer.deletion {
            Deletion::Held(deletion) => deletion.version == version,
            Deletion::None => false,
            Deletion::Unsaid => answer.known.is_some_and(|it| it.version == version),
        })
    }

    /// Nodes that links reach and that did not answer.
    fn silent(&self) -> Vec<Arc<str>> {
        let reached = self.reached.iter().filter_map(|id| self.asked.get(id));
        let silent = reached.filter_map(|asked| match asked {
            Asked::Failed(name) => Some(Arc::clone(name)),
            Asked::UnderWay | Asked::Answered(_) => None,
        });
        silent.collect()
    }

    fn is_cut_short(&self) -> bool {
        let asked = |id: &NodeId| *id == self.me || self.asked.contains_key(id);
        self.too_many || !self.reached.iter().all(asked)
    }

    /// Counts the answer of a node that links reach, and those of nodes that were asked before links reached them.
    fn count(&mut self, answer: Answer) {
        let mut answers = vec![answer];
        while let Some(mut answer) = answers.pop() {
            for peer in std::mem::take(&mut answer.neighbours) {
                if self.reached.contains(&peer.id) {
                    continue;
                }
                if self.reached.len() > self.asks_max as usize {
                    self.too_many = true;
                    break;
                }
                self.reached.insert(peer.id);
                match self.asked.get_mut(&peer.id) {
                    None => self.next.push_back(peer),
                    Some(Asked::Answered(early)) => answers.push(std::mem::take(early)),
                    Some(Asked::UnderWay | Asked::Failed(_)) => {}
                }
            }
            self.counted.push(answer);
        }
    }
}
