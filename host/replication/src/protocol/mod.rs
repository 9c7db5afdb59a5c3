//! Protocols: what has to be done about one file, step by step.
//!
//! A protocol takes the result of its last [`Action`] as an [`Event`] and says what comes next, until it is done. Who
//! runs it (the node over its transport and store, the lab in simulated time) performs one action after the other; what
//! an action asks of several nodes, it asks of all at once.

mod heal;
mod judgement;
mod relayout;
mod release;
#[cfg(test)]
mod tests;
mod tombstone;
mod write;

use std::sync::Arc;

use dataverse_core::floors::Heard;
use dataverse_core::holdings::Holding;
use dataverse_core::id::NodeId;
use dataverse_core::record::Record;
use dataverse_core::search::Answer;
use dataverse_core::version::Version;

pub use self::heal::Heal;
pub use self::judgement::{Judgement, Verdict, Word, judge, whom_to_ask, word_of};
pub use self::relayout::{NotRelaid, Relayout};
pub use self::release::Release;
pub use self::tombstone::{Deleted, Tombstone};
pub use self::write::{TooFew, Write, Written};

/// What to do next about the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// See what this node holds: [`Event::Seen`].
    Look,
    /// Ask these nodes what they hold: [`Event::Answers`].
    Ask(Vec<NodeId>),
    /// Search the whole graph for a version above this one: [`Event::Found`].
    Search {
        /// The version.
        above: Version,
        /// Copies of these records do not end the search.
        but: Vec<Arc<Record>>,
    },
    /// Search the other nodes for copies of this version: [`Event::Copies`].
    Copies(Arc<Record>),
    /// Fetch the content from these nodes, the first that has it, and keep it as a replica: [`Event::Stored`].
    Fetch {
        /// The file.
        record: Arc<Record>,
        /// The nodes.
        from: Vec<NodeId>,
    },
    /// Make the content durable on so many of the nodes that placement ranked for it, the best first, where nobody sees
    /// it yet: [`Event::Prepared`].
    Prepare {
        /// The file; this node holds its content.
        record: Arc<Record>,
        /// On how many nodes.
        wanted: usize,
    },
    /// Drop what is prepared on these nodes.
    Abandon(Vec<NodeId>),
    /// Take note of a version that another node has heard of, and wait for a moment whether a holder confirms it:
    /// [`Event::Seen`].
    Verify(Heard),
    /// Give this record the layout that follows, with these holders: [`Event::Laid`].
    LayAnew {
        /// The record.
        record: Arc<Record>,
        /// Its new holders.
        holders: Vec<NodeId>,
    },
    /// Make the record durable on these nodes, with the content that is prepared or held there: [`Event::Committed`].
    Commit {
        /// The record.
        record: Arc<Record>,
        /// The nodes; this one may be among them.
        on: Vec<NodeId>,
    },
    /// Offer the content to these nodes, which then fetch it from here.
    Offer {
        /// The file.
        record: Arc<Record>,
        /// The nodes.
        to: Vec<NodeId>,
    },
    /// Have a node show that it has the content: [`Event::Shown`].
    Show {
        /// The file.
        record: Arc<Record>,
        /// The node.
        by: NodeId,
    },
    /// Tell these nodes of the record: [`Event::Told`].
    Tell {
        /// The record.
        record: Arc<Record>,
        /// The nodes.
        to: Vec<NodeId>,
    },
    /// Remember that these nodes have to hear of the record's layout.
    Hint {
        /// The record.
        record: Arc<Record>,
        /// The nodes.
        to: Vec<NodeId>,
    },
    /// Announce a record that is durable on all nodes that it names.
    Announce(Arc<Record>),
    /// Take in a record, and tell nobody.
    Learn(Arc<Record>),
    /// Take in a greater record that another node has.
    TakeIn(Arc<Record>),
    /// Take note of a version that exists.
    Confirm(Heard),
    /// Forget what was heard of versions that no node has, up to this one.
    Forget(Version),
    /// Give up an older version that is held here for this record: [`Event::Stored`].
    Replace {
        /// The record.
        record: Arc<Record>,
        /// It exists. Otherwise that is the word of one node, which must not become a floor.
        is_certain: bool,
    },
    /// Keep the replica of this version that is held here as a cached copy under this layout, which does not name this
    /// node, or drop it: [`Event::Stored`].
    Demote(Arc<Record>),
    /// If there is no space here for the replica, ask another holder for a layout without this node.
    Relieve(Arc<Record>),
    /// Stop missing a replica that is bad or gone. If it has come back, it stays.
    GiveUp(Arc<Record>),
    /// Choose nodes that this deletion does not name and that could store it: [`Event::Spares`].
    Spares {
        /// The deletion.
        tombstone: Arc<Record>,
        /// At most so many.
        wanted: usize,
    },
    /// A version above everything known of the file and above this one: [`Event::Stamped`].
    Stamp(Version),
    /// The protocol has come as far as this; tests crash here.
    Reach(&'static str),
}

/// Result of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Nothing was done yet, or there is nothing to say about it.
    Done,
    /// What this node holds and knows.
    Seen(Seen),
    /// What nodes answered; `None` if they did not.
    Answers(Vec<(NodeId, Option<Answer>)>),
    /// What a search found.
    Found(Found),
    /// Which copies a search found.
    Copies(Copies),
    /// Nodes that are ready to commit, and the greatest version that each has heard of.
    Prepared(Vec<(NodeId, Option<Heard>)>),
    /// The record with its next layout, or why it could not be numbered.
    Laid(Result<Arc<Record>, String>),
    /// What nodes made of a commit.
    Committed(Vec<(NodeId, Committed)>),
    /// Whether the node has shown the content.
    Shown(bool),
    /// Which nodes have heard.
    Told(Vec<(NodeId, bool)>),
    /// Whether the store has changed.
    Stored(bool),
    /// Nodes.
    Spares(Vec<NodeId>),
    /// A version, or why none could be stamped.
    Stamped(Result<Version, String>),
}

/// What a node holds and knows of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// What it holds.
    pub held: Option<Holding>,
    /// The greatest version that it has heard of.
    pub known: Option<Heard>,
    /// The greatest version that it knows itself to exist.
    pub confirmed: Option<Heard>,
    /// Other holders of the layout held here that are not known to be gone.
    pub others_left: usize,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// The greatest record above what was searched for.
    pub record: Option<Arc<Record>>,
    /// Whether copies were found that do not end the search.
    pub passed_over: bool,
    /// The greatest version that a node has heard of.
    pub heard: Option<Version>,
    /// How many were asked.
    pub asked: Asked,
}

/// Which copies of a version a search found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Copies {
    /// Which nodes have this version, a greater one or a deletion, nearest first, and their records.
    pub copies: Vec<(NodeId, Arc<Record>)>,
    /// How many were asked.
    pub asked: Asked,
}

/// How many nodes a search could ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Asked {
    /// Not all.
    #[default]
    Some,
    /// All that were up until recently.
    RecentlyUp,
    /// All.
    All,
}

/// What a node made of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// The record is durable.
    Here,
    /// A greater record was already durable.
    Greater(Arc<Record>),
    /// Something that takes precedence is in its place.
    Not,
    /// It gave no answer, so the record may be durable or not.
    Silent,
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<T> {
    /// Do this, and step again with the result.
    Do(Action),
    /// The protocol is over.
    End(T),
}

/// One protocol.
pub trait Protocol {
    /// Its result.
    type Output;

    /// The next step, from the result of the last action. The first event is [`Event::Done`].
    fn step(&mut self, event: Event) -> Step<Self::Output>;
}

impl Event {
    fn seen(self) -> Seen {
        match self {
            Self::Seen(seen) => seen,
            other => out_of_turn(&other),
        }
    }

    fn committed(self) -> Vec<(NodeId, Committed)> {
        match self {
            Self::Committed(committed) => committed,
            other => out_of_turn(&other),
        }
    }
}

/// Whoever runs a protocol answers each action with its own kind of event.
fn out_of_turn<T>(event: &Event) -> T {
    unreachable!("{event:?} does not answer the last action")
}
