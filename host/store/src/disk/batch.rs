//! The writer's requests ([`Ask`]), and the [`Batch`] of changes that become durable together.

use std::collections::HashMap;
use std::sync::Arc;

use dataverse_core::holdings::Holding;
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::version::Stamp;
use tokio::sync::oneshot;

use super::super::spool::Prepared;
use super::super::{Applied, Change, Lifetime, SavedLinks, StoreError};
use super::codec::Entry;
use super::index::Write;
use super::layout::{ContentId, ContentPlace};

/// Where the answer goes.
type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// A request to the writer.
pub(super) enum Ask {
    /// Apply a change.
    Change(Change, Reply<Applied>),
    /// Persist the links.
    Links(SavedLinks, Reply<()>),
    /// Persist the ceiling of the clock.
    Ceiling(Stamp, Reply<()>),
    /// Persist the small facts about the node.
    Lifetime(Lifetime, Reply<()>),
    /// Check that the data folder is still as it was when it was opened.
    Check(Reply<()>),
}

impl Ask {
    /// Answers with this error. The caller may have stopped waiting.
    pub(super) fn refuse(self, error: StoreError) {
        match self {
            Self::Change(_, reply) => drop(reply.send(Err(error))),
            Self::Links(_, reply)
            | Self::Ceiling(_, reply)
            | Self::Lifetime(_, reply)
            | Self::Check(reply) => drop(reply.send(Err(error))),
        }
    }
}

/// Changes that become durable together.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) writes: Vec<Write>,
    /// Entries as they will be once the batch is durable.
    pub(super) entries: HashMap<Key, Option<Entry>>,
    /// Files that will be missing (`Some`) or no longer missing (`None`) once the batch is durable.
    pub(super) missing: HashMap<Key, Option<Arc<Record>>>,
    /// Holdings before and after, in order.
    pub(super) changed: Vec<(Key, Option<Holding>, Option<Holding>)>,
    /// Contents that were moved into place.
    pub(super) placed: Vec<ContentPlace>,
    /// Incoming content, kept until it is known whether the batch succeeds.
    pub(super) prepared: Vec<Prepared>,
    pub(super) released: Vec<Released>,
    pub(super) answers: Vec<Answer>,
}

/// Content that is no longer needed once the batch is durable.
pub(super) struct Released {
    pub(super) place: ContentPlace,
    pub(super) fate: ReleasedFate,
}

pub(super) enum ReleasedFate {
    RemoveFile,
    QuarantineFile,
}

pub(super) enum Answer {
    Change(Reply<Applied>, Result<Applied, StoreError>),
    Saved(Reply<()>),
}

impl Answer {
    /// Sends the answer, or the error of the whole batch. The caller may have stopped waiting.
    pub(super) fn send(self, error: Option<&StoreError>) {
        let failed = error.map_or(Ok(()), |error| Err(error.clone()));
        match self {
            Self::Change(reply, result) => drop(reply.send(failed.and(result))),
            Self::Saved(reply) => drop(reply.send(failed)),
        }
    }
}

impl Batch {
    pub(super) fn change(
        &mut self,
        key: Key,
        before: Option<Entry>,
        after: Option<Entry>,
    ) -> Applied {
        let before = before.map(|before| before.holding);
        let notified = after.as_ref().map(|after| after.holding.clone());
        let kept = after.map(|mut after| {
            after.holding.validated = 0;
            after
        });
        self.entries.insert(key.clone(), kept);
        self.changed.push((key, before.clone(), notified));
        Applied::Done { before }
    }

    /// Whether the request stores content that the batch releases. Both would have the same name, so the old content
    /// must be removed before the new one is placed.
    pub(super) fn releases_what_comes(&self, ask: &Ask) -> bool {
        let Ask::Change(Change::Put { record, .. }, _) = ask else {
            return false;
        };
        let id = ContentId::of(record);
        self.released.iter().any(|released| released.place.id == id)
    }
}
