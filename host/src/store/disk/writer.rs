//! The writer: the one thread that changes what is on the disk.
//!
//! It takes every change that waits, decides them in order, moves their content into place, syncs each
//! folder once and commits the index once: the more clients write, the more of them share a sync. Only
//! then does it tell the observer, answer, and remove what is no longer needed. When a commit fails,
//! nothing of the batch was done.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use bytes::Bytes;
use dataverse_core::holdings::Holding;
use dataverse_core::key::Key;
use dataverse_core::limits;
use dataverse_core::record::Record;
use dataverse_core::version::Stamp;
use tokio::sync::{mpsc, oneshot};

use super::super::room::Room;
use super::super::rules::{Fate, Verdict, decide};
use super::super::spool::{IncomingFile, Prepared};
use super::super::{Applied, Change, Observer, SavedLinks, StoreError};
use super::index::{CommitError, Index, Snapshot, Write};
use super::layout::{ContentId, Layout, sync_folder};
use super::reconcile::{is_in_a_file, set_aside};

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the writer is asked to do.
pub(super) enum Ask {
    /// Apply a change.
    Change(Change, Reply<Applied>),
    /// Persist the links.
    Links(SavedLinks, Reply<()>),
    /// Persist the ceiling of the clock.
    Ceiling(Stamp, Reply<()>),
}

pub(super) struct Writer {
    layout: Layout,
    index: Arc<Index>,
    room: Arc<Room>,
    observer: Arc<OnceLock<Arc<dyn Observer>>>,
    /// Entries whose content is gone. They are not held, but nothing older takes their place.
    missing: HashMap<Key, Arc<Record>>,
    /// Content folders whose own names this process made durable.
    durable_shelves: HashSet<u16>,
    /// Why nothing can be written any more.
    broken: Option<StoreError>,
}

/// Changes that become durable together.
#[derive(Default)]
struct Batch {
    writes: Vec<Write>,
    /// Holdings as they will be.
    holdings: HashMap<Key, Option<Holding>>,
    /// Holdings before and after, in order.
    changed: Vec<(Key, Option<Holding>, Option<Holding>)>,
    /// Contents that were moved into place.
    placed: Vec<ContentId>,
    /// What came in, kept until it is known whether it stays.
    prepared: Vec<Prepared>,
    released: Vec<Released>,
    answers: Vec<Answer>,
}

/// Content that is no longer needed once the batch is durable.
struct Released {
    id: ContentId,
    fate: ReleasedFate,
}

enum ReleasedFate {
    RemoveFile,
    QuarantineFile,
    QuarantineBytes(Bytes),
}

enum Answer {
    Change(Reply<Applied>, Result<Applied, StoreError>),
    Saved(Reply<()>),
}

impl Answer {
    /// Sends the answer, or the error of the whole batch. Whoever asked may have gone away.
    fn send(self, error: Option<&StoreError>) {
        let failed = error.map_or(Ok(()), |error| Err(error.clone()));
        match self {
            Self::Change(reply, result) => drop(reply.send(failed.and(result))),
            Self::Saved(reply) => drop(reply.send(failed)),
        }
    }
}

impl Writer {
    pub(super) fn new(
        layout: Layout,
        index: Arc<Index>,
        room: Arc<Room>,
        observer: Arc<OnceLock<Arc<dyn Observer>>>,
        missing: &[Arc<Record>],
    ) -> Self {
        let by_key = |record: &Arc<Record>| (record.key.clone(), Arc::clone(record));
        Self {
            layout,
            index,
            room,
            observer,
            missing: missing.iter().map(by_key).collect(),
            durable_shelves: HashSet::new(),
            broken: None,
        }
    }

    /// Works until nobody can ask any more, then closes the index.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Ask>) {
        let mut asks = Vec::new();
        while queue.blocking_recv_many(&mut asks, limits::STORE_BATCH_MAX) > 0 {
            let mut batch = Batch::default();
            let mut before = self.index.holdings();
            for ask in asks.drain(..) {
                if batch.releases_what_comes(&ask) {
                    self.finish(std::mem::take(&mut batch));
                    before = self.index.holdings();
                }
                self.stage(ask, &before, &mut batch);
            }
            drop(before);
            self.finish(batch);
        }
        self.index.close();
    }

    fn stage(&mut self, ask: Ask, before: &Result<Snapshot, StoreError>, batch: &mut Batch) {
        match ask {
            Ask::Change(change, reply) => {
                let result = match before {
                    Ok(before) => self.stage_change(change, before, batch),
                    Err(error) => Err(error.clone()),
                };
                batch.answers.push(Answer::Change(reply, result));
            }
            Ask::Links(links, reply) => {
                batch.writes.push(Write::Links(links));
                batch.answers.push(Answer::Saved(reply));
            }
            Ask::Ceiling(stamp, reply) => {
                batch.writes.push(Write::Ceiling(stamp));
                batch.answers.push(Answer::Saved(reply));
            }
        }
    }

    fn stage_change(
        &mut self,
        change: Change,
        before: &Snapshot,
        batch: &mut Batch,
    ) -> Result<Applied, StoreError> {
        let key = change.key().clone();
        let present = match batch.holdings.get(&key) {
            Some(holding) => holding.clone(),
            None if self.missing.contains_key(&key) => {
                if let Some(applied) = self.stage_missing(&change, batch) {
                    return Ok(applied);
                }
                None
            }
            None => before.find(&key)?,
        };
        match decide(present.as_ref(), &change)? {
            Verdict::Nothing => Ok(Applied::Nothing),
            Verdict::Superseded(record) => Ok(Applied::Superseded(record)),
            Verdict::Remove { quarantine } => {
                if let Some(held) = &present {
                    self.release(held, quarantine, batch)?;
                }
                batch.writes.push(Write::Forget(key.clone()));
                Ok(batch.change(key, present, None))
            }
            Verdict::Hold { after, content } => {
                if content == Fate::Replaced {
                    if let Change::Put { content, .. } = change
                        && let Some(content) = content.filter(|_| !after.record.deleted)
                    {
                        self.place(&after.record, content, batch)?;
                    }
                    if let Some(held) = &present {
                        self.release(held, false, batch)?;
                    }
                }
                if present.as_ref().is_none_or(|held| differs(held, &after)) {
                    batch.writes.push(Write::Hold(after.clone()));
                }
                Ok(batch.change(key, present, Some(after)))
            }
        }
    }

    /// A change to a file whose content is gone, where it does not go on as if nothing were held.
    fn stage_missing(&mut self, change: &Change, batch: &mut Batch) -> Option<Applied> {
        let key = change.key();
        let lost = self.missing.get(key)?;
        match change {
            Change::Put { record, .. } if record.version < lost.version => {
                return Some(Applied::Superseded(Arc::clone(lost)));
            }
            Change::Drop { version, .. } if *version >= lost.version => {
                batch.writes.push(Write::Forget(key.clone()));
                batch.holdings.insert(key.clone(), None);
            }
            _ => {}
        }
        None
    }

    /// Moves content to where it belongs, not yet durably.
    fn place(
        &self,
        record: &Record,
        mut content: Prepared,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        let id = ContentId::of(record);
        match content.file() {
            None => batch.writes.push(Write::AddContent(
                id,
                content.rope().read(0, limits::INLINE_BYTES_MAX),
            )),
            Some(file) => {
                if let Err(error) = self.move_in(file, id, record) {
                    self.remove(id);
                    let doing = format_args!("storing the content of {}", record.key);
                    return Err(StoreError::of_io(doing, &error));
                }
                batch.placed.push(id);
            }
        }
        batch.prepared.push(content);
        Ok(())
    }

    fn move_in(&self, file: &IncomingFile, id: ContentId, record: &Record) -> io::Result<()> {
        let rename = || {
            // Content without its tree would be slow to serve; a tree without content is only a stray.
            if record.size > limits::GROUP_BYTES {
                fs::rename(file.tree_path(), self.layout.tree(id))?;
            }
            fs::rename(file.path(), self.layout.content(id))
        };
        match rename() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(self.layout.shelf(id))?;
                rename()
            }
            done => done,
        }
    }

    fn release(
        &self,
        held: &Holding,
        quarantine: bool,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        let id = ContentId::of(&held.record);
        if held.record.deleted {
            return Ok(());
        }
        let fate = match (is_in_a_file(held), quarantine) {
            (true, true) => ReleasedFate::QuarantineFile,
            (true, false) => ReleasedFate::RemoveFile,
            (false, is_bad) => {
                let bytes = if is_bad {
                    self.index.content(id)?
                } else {
                    None
                };
                batch.writes.push(Write::RemoveContent(id));
                let Some(bytes) = bytes else { return Ok(()) };
                ReleasedFate::QuarantineBytes(bytes)
            }
        };
        batch.released.push(Released { id, fate });
        Ok(())
    }

    /// Makes the batch durable, tells of it, and removes what it released.
    fn finish(&mut self, mut batch: Batch) {
        if let Err(error) = self.make_durable(&batch) {
            tracing::error!(%error, changes = batch.answers.len(), "a commit failed");
            let answers = std::mem::take(&mut batch.answers);
            // What came in is released before anyone tries again.
            drop(batch);
            answers
                .into_iter()
                .for_each(|answer| answer.send(Some(&error)));
            return;
        }
        for prepared in &mut batch.prepared {
            if let Some(file) = prepared.file() {
                file.committed();
            }
        }
        for (key, before, after) in &batch.changed {
            self.missing.remove(key);
            self.room.changed(before.as_ref(), after.as_ref());
            if let Some(observer) = self.observer.get() {
                observer.changed(key, after.as_ref());
            }
        }
        for (key, holding) in &batch.holdings {
            if holding.is_none() {
                self.missing.remove(key);
            }
        }
        // Their room is counted with the holdings now.
        batch.prepared.clear();
        batch
            .answers
            .into_iter()
            .for_each(|answer| answer.send(None));
        batch
            .released
            .iter()
            .for_each(|released| self.let_go(released));
    }

    fn make_durable(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if batch.writes.is_empty() {
            return Ok(());
        }
        if let Some(error) = &self.broken {
            self.take_back(batch);
            return Err(error.clone());
        }
        if let Err(error) = self.sync_shelves(batch) {
            self.take_back(batch);
            return Err(StoreError::of_io("making a content folder durable", &error));
        }
        match self.index.commit(&batch.writes) {
            Ok(()) => Ok(()),
            Err(CommitError::Refused(error)) => {
                self.take_back(batch);
                Err(error)
            }
            Err(CommitError::Unknown(error)) => {
                // The contents stay where they are: the next start finds out whether they are held.
                self.broken = Some(error.clone());
                Err(error)
            }
        }
    }

    fn sync_shelves(&mut self, batch: &Batch) -> io::Result<()> {
        let mut folders = BTreeSet::new();
        for id in &batch.placed {
            let shelf = self.layout.shelf(*id);
            if !self.durable_shelves.contains(&id.shelf()) {
                folders.extend(shelf.parent().map(PathBuf::from));
                folders.insert(self.layout.contents());
            }
            folders.insert(shelf);
        }
        for folder in &folders {
            sync_folder(folder)?;
        }
        self.durable_shelves
            .extend(batch.placed.iter().map(|id| id.shelf()));
        Ok(())
    }

    fn take_back(&self, batch: &Batch) {
        for id in &batch.placed {
            self.remove(*id);
        }
    }

    fn let_go(&self, released: &Released) {
        let quarantine = self.layout.quarantine();
        let kept_aside = match &released.fate {
            ReleasedFate::RemoveFile => Ok(()),
            ReleasedFate::QuarantineFile => {
                let path = self.layout.content(released.id);
                set_aside(&path, &quarantine, SystemTime::now())
            }
            ReleasedFate::QuarantineBytes(bytes) => {
                return self.keep(
                    released.id,
                    fs::write(quarantine.join(released.id.to_string()), bytes),
                );
            }
        };
        self.keep(released.id, kept_aside);
        self.remove(released.id);
    }

    fn keep(&self, id: ContentId, kept: io::Result<()>) {
        if let Err(error) = kept {
            tracing::warn!(content = %id, %error, "bad content could not be kept in quarantine");
        }
    }

    /// Best effort: what stays behind is found at the next start.
    fn remove(&self, id: ContentId) {
        for path in [self.layout.content(id), self.layout.tree(id)] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(path = %path.display(), %error, "content could not be removed");
                }
                _ => {}
            }
        }
    }
}

impl Batch {
    fn change(&mut self, key: Key, before: Option<Holding>, after: Option<Holding>) -> Applied {
        let kept = after.clone().map(|after| Holding {
            validated: 0,
            ..after
        });
        self.holdings.insert(key.clone(), kept);
        self.changed.push((key, before.clone(), after));
        Applied::Done { before }
    }

    /// Whether this brings a content again that the batch lets go of: the two would have one name, so the
    /// first has to be gone before the second comes.
    fn releases_what_comes(&self, ask: &Ask) -> bool {
        let Ask::Change(Change::Put { record, .. }, _) = ask else {
            return false;
        };
        let id = ContentId::of(record);
        self.released.iter().any(|released| released.id == id)
    }
}

/// Whether the row of a holding changes; when it was validated is not in it.
fn differs(before: &Holding, after: &Holding) -> bool {
    (&before.record, before.role, before.verified) != (&after.record, after.role, after.verified)
}
