//! What one task is about.

use std::sync::Arc;

use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::search::Peer;
use dataverse_core::version::Version;

/// The kinds of upkeep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Give a file whose holders are gone, or too few, its copies back, or take it off a node that is being drained.
    ReReplicate,
    /// Copy a replica of this node again whose content is bad or gone.
    Heal,
    /// Copy a replica to the node that lacks it, this one or another.
    Copy,
    /// Move a replica to another node, because one was asked for.
    Move,
    /// Verify a greater record with its holders, and give up what it replaces.
    Release,
    /// Verify a copy of a node that was away for long.
    Verify,
    /// Tell a node of a layout that it missed.
    Hint,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::ReReplicate,
        Self::Heal,
        Self::Copy,
        Self::Move,
        Self::Release,
        Self::Verify,
        Self::Hint,
    ];

    /// Its name in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReReplicate => "re-replicate",
            Self::Heal => "heal",
            Self::Copy => "copy",
            Self::Move => "move",
            Self::Release => "release",
            Self::Verify => "verify",
            Self::Hint => "hint",
        }
    }
}

/// What is to be done about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// This version needs something; what, is found out when its turn comes.
    ReReplicate(Arc<Record>),
    /// The replica that is missing here.
    Heal(Arc<Record>),
    /// Copy this replica from one of these nodes and the holders to this node.
    Fetch {
        /// The replica.
        record: Arc<Record>,
        /// A node that has it.
        from: Option<Peer>,
    },
    /// Have another node copy this replica from here.
    Send {
        /// The replica.
        record: Arc<Record>,
        /// The node that lacks it.
        to: Peer,
    },
    /// Move the replica of `from`, this node or another holder, to a node that has none.
    Move {
        /// The file as it was held when this was asked for.
        record: Arc<Record>,
        /// The holder that gives it up.
        from: NodeId,
        /// The node that takes it.
        to: Peer,
    },
    /// A greater record is said to exist, or, where only its version was heard of, something greater.
    Release(Key, Option<Arc<Record>>),
    /// The copy to verify.
    Verify(Arc<Record>),
    /// A node has to hear of the layout that this version has.
    Hint {
        /// The file.
        key: Key,
        /// The version that the layout is of.
        version: Version,
        /// The node.
        to: NodeId,
    },
}

/// Which task it is: at most one of a kind exists for a file, and of hints one for each node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskId {
    /// What kind it is of.
    pub kind: Kind,
    /// The file.
    pub key: Key,
    /// The node that has to hear; only of a hint.
    pub to: Option<NodeId>,
}

impl TaskId {
    /// The task of this kind for a file; not of a hint.
    #[must_use]
    pub fn of(kind: Kind, key: &Key) -> Self {
        let key = key.clone();
        Self {
            kind,
            key,
            to: None,
        }
    }
}

impl Task {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::ReReplicate(_) => Kind::ReReplicate,
            Self::Heal(_) => Kind::Heal,
            Self::Fetch { .. } | Self::Send { .. } => Kind::Copy,
            Self::Move { .. } => Kind::Move,
            Self::Release(..) => Kind::Release,
            Self::Verify(_) => Kind::Verify,
            Self::Hint { .. } => Kind::Hint,
        }
    }

    /// The file.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Release(key, _) | Self::Hint { key, .. } => key,
            Self::ReReplicate(record)
            | Self::Heal(record)
            | Self::Verify(record)
            | Self::Fetch { record, .. }
            | Self::Send { record, .. }
            | Self::Move { record, .. } => &record.key,
        }
    }

    /// Which task it is.
    #[must_use]
    pub fn id(&self) -> TaskId {
        let to = match self {
            Self::Hint { to, .. } => Some(*to),
            _ => None,
        };
        TaskId {
            to,
            ..TaskId::of(self.kind(), self.key())
        }
    }

    /// The nodes whose answers it waits for, as far as that is known before it begins.
    pub(super) fn waits_for(&self) -> Vec<NodeId> {
        match self {
            Self::ReReplicate(_) | Self::Release(_, None) | Self::Verify(_) => Vec::new(),
            Self::Heal(record) | Self::Release(_, Some(record)) => record.layout.holders.clone(),
            Self::Fetch { record, from } => match from {
                Some(peer) => vec![peer.id],
                None => record.layout.holders.clone(),
            },
            Self::Send { to, .. } | Self::Move { to, .. } => vec![to.id],
            Self::Hint { to, .. } => vec![*to],
        }
    }

    /// Whether it says more than the one of the same id that is waiting.
    pub(super) fn renews(&self, waiting: &Self) -> bool {
        match (self, waiting) {
            (Self::ReReplicate(new), Self::ReReplicate(old))
            | (Self::Heal(new), Self::Heal(old)) => new.version > old.version,
            (Self::Release(_, new), Self::Release(_, old)) => new > old,
            (Self::Verify(new), Self::Verify(old)) => new.version != old.version,
            (Self::Hint { version: new, .. }, Self::Hint { version: old, .. }) => new > old,
            (Self::Fetch { record: new, .. }, Self::Fetch { record: old, .. }) => new > old,
            _ => false,
        }
    }

    /// Whether it is to verify another record than the one of the same id that is waiting.
    pub(super) fn is_about_another_record(&self, waiting: &Self) -> bool {
        match (self, waiting) {
            (Self::Release(_, Some(new)), Self::Release(_, Some(old))) => new != old,
            _ => false,
        }
    }

    /// A task that must not be under way for the same file at the same time: both give it another layout.
    pub(super) fn excluded(&self) -> Option<TaskId> {
        match self.kind() {
            Kind::ReReplicate => Some(TaskId::of(Kind::Move, self.key())),
            Kind::Move => Some(TaskId::of(Kind::ReReplicate, self.key())),
            _ => None,
        }
    }
}
