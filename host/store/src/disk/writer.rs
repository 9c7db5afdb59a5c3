//! The writer: the only thread that changes what is on the disk.
//!
//! It takes all waiting changes as one batch, decides on each in order, moves their content into place, syncs each
//! folder once and commits the index once: the more clients write, the more of them share a sync. Only then does it
//! notify the observer, answer, and remove what is no longer needed. If a commit fails, nothing of the batch takes
//! effect.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use dataverse_core::holdings::Holding;
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use tokio::sync::mpsc;

use super::super::files;
use super::super::rules::{Fate, Verdict, decide};
use super::super::space::Space;
use super::super::spool::{IncomingFile, Prepared};
use super::super::{Applied, Change, Observer, StoreError};
use super::batch::{Answer, Ask, Batch, Released, ReleasedFate};
use super::codec::Entry;
use super::index::{CommitError, Index, Snapshot, Write};
use super::layout::{BucketFolder, ContentPlace, Layout, sync_folder};
use super::reconcile::{expire, free_name, set_aside};
use super::watch::Watch;
use crate::crash;
use crate::limits;

pub(super) struct Writer {
    layout: Layout,
    index: Arc<Index>,
    space: Arc<Space>,
    observer: Arc<OnceLock<Arc<dyn Observer>>>,
    /// Files whose content is missing or bad. They are not held, but nothing older takes their place.
    missing: HashMap<Key, Arc<Record>>,
    /// Bucket folders whose own names this process made durable.
    durable_buckets: HashSet<BucketFolder>,
    /// When the quarantine was last searched for expired content.
    swept: Instant,
    watch: Watch,
}

impl Writer {
    pub(super) fn new(
        layout: Layout,
        watch: Watch,
        index: Arc<Index>,
        space: Arc<Space>,
        observer: Arc<OnceLock<Arc<dyn Observer>>>,
        missing: &[Arc<Record>],
    ) -> Self {
        let by_key = |record: &Arc<Record>| (record.key.clone(), Arc::clone(record));
        Self {
            layout,
            index,
            space,
            observer,
            missing: missing.iter().map(by_key).collect(),
            durable_buckets: HashSet::new(),
            swept: Instant::now(),
            watch,
        }
    }

    /// Works until the store is closed and all requests are answered, then closes the index.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Ask>) {
        let mut asks = Vec::new();
        while queue.blocking_recv_many(&mut asks, limits::STORE_BATCH_MAX) > 0 {
            if let Err(error) = self.watch.look() {
                asks.drain(..).for_each(|ask| ask.refuse(error.clone()));
                continue;
            }
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
            Ask::Lifetime(lifetime, reply) => {
                batch.writes.push(Write::Lifetime(lifetime));
                batch.answers.push(Answer::Saved(reply));
            }
            Ask::Check(reply) => batch.answers.push(Answer::Saved(reply)),
        }
    }

    fn stage_change(
        &mut self,
        change: Change,
        before: &Snapshot,
        batch: &mut Batch,
    ) -> Result<Applied, StoreError> {
        let key = change.key().clone();
        let missing = self.missing_with(&key, batch);
        let present = match (&missing, batch.entries.get(&key)) {
            (Some(lost), _) => {
                if let Some(applied) = stage_missing(&change, lost, batch) {
                    return Ok(applied);
                }
                None
            }
            (None, Some(entry)) => entry.clone(),
            (None, None) => before.find(&key)?,
        };
        match decide(present.as_ref().map(|held| &held.holding), &change)? {
            Verdict::Nothing => Ok(Applied::Nothing),
            Verdict::Superseded(record) => Ok(Applied::Superseded(record)),
            Verdict::Remove { quarantine, misses } => {
                if let Some(held) = &present {
                    self.release(held, quarantine, batch)?;
                }
                if let Some(held) = present.as_ref().filter(|_| misses) {
                    let record = Arc::clone(&held.holding.record);
                    batch.missing.insert(key.clone(), Some(record));
                    batch.writes.push(Write::Miss(held.clone()));
                }
                batch.writes.push(Write::Forget(key.clone()));
                Ok(batch.change(key, present, None))
            }
            Verdict::Hold { after, content } => {
                let after = match (content, &present) {
                    (Fate::Kept, Some(held)) => Entry {
                        holding: after,
                        bucket: held.bucket,
                    },
                    _ => self.replace(present.as_ref(), after, change, batch)?,
                };
                if present.as_ref().is_none_or(|held| differs(held, &after)) {
                    batch.writes.push(Write::Hold(after.clone()));
                }
                if missing.is_some() {
                    batch.missing.insert(key.clone(), None);
                    batch.writes.push(Write::Found(key.clone()));
                }
                Ok(batch.change(key, present, Some(after)))
            }
        }
    }

    /// Replaces the held content with the new one.
    fn replace(
        &mut self,
        present: Option<&Entry>,
        after: Holding,
        change: Change,
        batch: &mut Batch,
    ) -> Result<Entry, StoreError> {
        let after = Entry {
            holding: after,
            bucket: self.index.next_bucket(),
        };
        if let Change::Put { content, .. } = change
            && let Some(content) = content.filter(|_| !after.holding.record.deleted)
        {
            self.place(&after, content, batch)?;
        }
        if let Some(held) = present {
            self.release(held, false, batch)?;
        }
        Ok(after)
    }

    /// The record that is missing under this key once the batch is durable.
    fn missing_with(&self, key: &Key, batch: &Batch) -> Option<Arc<Record>> {
        let of_batch = batch.missing.get(key);
        of_batch.map_or_else(|| self.missing.get(key).cloned(), Clone::clone)
    }

    /// Moves content into place, not yet durably.
    fn place(
        &mut self,
        entry: &Entry,
        mut content: Prepared,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        let place = entry.place();
        if let Some(file) = content.file() {
            if let Err(error) = self.move_in(file, place) {
                self.remove(place);
                let key = &entry.holding.record.key;
                let doing = format_args!("storing the content of {key}");
                return Err(StoreError::of_io(doing, &error));
            }
            batch.placed.push(place);
        } else {
            let bytes = content.rope().read(0, limits::INLINE_BYTES_MAX);
            batch.writes.push(Write::AddContent(place.id, bytes));
        }
        batch.prepared.push(content);
        Ok(())
    }

    fn move_in(&mut self, file: &IncomingFile, place: ContentPlace) -> io::Result<()> {
        let (content, tree) = (self.layout.content(place), self.layout.tree(place));
        if !self.durable_buckets.contains(&place.bucket) {
            self.make_bucket(place.bucket)?;
        }
        // Content without its tree would be slow to serve; a tree without content is only a stray.
        if file.has_tree() {
            self.rename_in(&file.tree_path(), &tree, place.bucket)?;
        }
        self.rename_in(file.path(), &content, place.bucket)
    }

    /// Moves a file into place. Anything in its way that the node did not put there is set aside.
    fn rename_in(&mut self, from: &Path, to: &Path, bucket: BucketFolder) -> io::Result<()> {
        let error = match fs::rename(from, to) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        match error.kind() {
            // The bucket folder was removed while the node ran.
            io::ErrorKind::NotFound if from.exists() => {
                self.durable_buckets.remove(&bucket);
                self.make_bucket(bucket)?;
            }
            io::ErrorKind::IsADirectory
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::DirectoryNotEmpty => {
                self.set_obstacle_aside(to)?;
                self.durable_buckets.remove(&bucket);
                self.make_bucket(bucket)?;
            }
            _ => return Err(error),
        }
        fs::rename(from, to)
    }

    fn make_bucket(&self, bucket: BucketFolder) -> io::Result<()> {
        let folder = self.layout.bucket(bucket);
        let Err(error) = fs::create_dir_all(&folder) else {
            return Ok(());
        };
        // Something other than a folder has its name, or the name of the folder above.
        let above = folder.parent().unwrap_or(&folder);
        for path in [above, &folder] {
            if files::is_there(path) && !path.is_dir() {
                self.set_obstacle_aside(path)?;
                return fs::create_dir_all(&folder);
            }
        }
        Err(error)
    }

    fn set_obstacle_aside(&self, path: &Path) -> io::Result<()> {
        if !files::is_there(path) {
            return Ok(());
        }
        tracing::warn!(path = %path.display(), "something that the node did not create was in the place of one of its files or folders; moved it to orphans/");
        set_aside(path, &self.layout.orphans(), SystemTime::now())
    }

    fn release(
        &mut self,
        held: &Entry,
        quarantine: bool,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        if held.holding.record.deleted {
            return Ok(());
        }
        let place = held.place();
        if !held.is_in_a_file() {
            if quarantine && let Some(bytes) = self.index.content(place.id)? {
                self.quarantine_bytes(place, &bytes).map_err(|error| {
                    let key = &held.holding.record.key;
                    StoreError::of_io(format_args!("moving {key} to quarantine"), &error)
                })?;
                crash::point("store.quarantined");
            }
            batch.writes.push(Write::RemoveContent(place.id));
            return Ok(());
        }
        let fate = match quarantine {
            true => ReleasedFate::QuarantineFile,
            false => ReleasedFate::RemoveFile,
        };
        batch.released.push(Released { place, fate });
        Ok(())
    }

    /// Makes the bytes of a small content durable in quarantine, before the index forgets them.
    fn quarantine_bytes(&mut self, place: ContentPlace, bytes: &[u8]) -> io::Result<()> {
        let folder = self.layout.quarantine();
        fs::create_dir_all(&folder)?;
        let name = place.id.to_string();
        keep_bytes(&free_name(&folder, name.as_ref()), bytes)?;
        sync_folder(&folder)?;
        self.sweep_quarantine(&folder);
        Ok(())
    }

    /// Makes the batch durable, notifies the observer, answers, and removes what the batch released.
    fn finish(&mut self, mut batch: Batch) {
        let has_writes = !batch.writes.is_empty();
        // One check may cover several batches, and the commit before this one may have found that the index is gone.
        if let Err(error) = self
            .watch
            .still_fit()
            .inspect_err(|_| self.take_back(&batch))
            .and_then(|()| self.make_durable(&batch))
        {
            tracing::error!(%error, changes = batch.answers.len(), "a commit failed");
            let answers = std::mem::take(&mut batch.answers);
            // Incoming content frees its space before any caller tries again.
            drop(batch);
            answers
                .into_iter()
                .for_each(|answer| answer.send(Some(&error)));
            return;
        }
        if !batch.changed.is_empty() {
            crash::point("store.committed");
        }
        for prepared in &mut batch.prepared {
            if let Some(file) = prepared.file() {
                file.committed();
            }
        }
        for (key, before, after) in &batch.changed {
            self.space.changed(before.as_ref(), after.as_ref());
            if let Some(observer) = self.observer.get() {
                observer.changed(key, after.as_ref());
            }
        }
        for (key, missing) in batch.missing.drain() {
            match missing {
                Some(record) => drop(self.missing.insert(key, record)),
                None => drop(self.missing.remove(&key)),
            }
        }
        // Their space is counted with the holdings now.
        batch.prepared.clear();
        // The batch is durable, but if the next start won't find the index, callers must not hear of success.
        let unfit = has_writes.then(|| self.watch.committed().err()).flatten();
        batch
            .answers
            .into_iter()
            .for_each(|answer| answer.send(unfit.as_ref()));
        if unfit.is_some() {
            // The rescued copy of the index still names the content that this batch released.
            return;
        }
        if !batch.released.is_empty() {
            crash::point("store.released");
        }
        batch
            .released
            .iter()
            .for_each(|released| self.discard(released));
    }

    fn make_durable(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if batch.writes.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.sync_buckets(batch) {
            self.take_back(batch);
            return Err(StoreError::of_io("making a content folder durable", &error));
        }
        if !batch.changed.is_empty() {
            crash::point("store.placed");
        }
        match self.index.commit(&batch.writes) {
            Ok(()) => Ok(()),
            Err(CommitError::Refused(error)) => {
                self.watch.note();
                self.take_back(batch);
                Err(error)
            }
            Err(CommitError::Unknown(error)) => {
                // The contents stay where they are: the next start finds out whether they are held.
                self.watch.broke(&error);
                Err(error)
            }
        }
    }

    fn sync_buckets(&mut self, batch: &Batch) -> io::Result<()> {
        let buckets: HashSet<BucketFolder> =
            batch.placed.iter().map(|place| place.bucket).collect();
        for bucket in buckets {
            let folder = self.layout.bucket(bucket);
            sync_folder(&folder)?;
            if self.durable_buckets.contains(&bucket) {
                continue;
            }
            sync_folder(folder.parent().unwrap_or(&folder))?;
            sync_folder(&self.layout.contents())?;
            self.durable_buckets.insert(bucket);
        }
        Ok(())
    }

    fn take_back(&self, batch: &Batch) {
        for place in &batch.placed {
            self.remove(*place);
        }
    }

    fn discard(&mut self, released: &Released) {
        let (place, folder) = (released.place, self.layout.quarantine());
        let kept = match &released.fate {
            ReleasedFate::RemoveFile => Ok(()),
            // If the node dies before this, the next start finds the file and sets it aside.
            ReleasedFate::QuarantineFile => {
                set_aside(&self.layout.content(place), &folder, SystemTime::now())
                    .and_then(|()| sync_folder(&folder))
            }
        };
        if let Err(error) = kept {
            tracing::warn!(content = %place.id, %error, "bad content could not be moved to quarantine");
        }
        if !matches!(released.fate, ReleasedFate::RemoveFile) {
            self.sweep_quarantine(&folder);
        }
        self.remove(place);
    }

    fn sweep_quarantine(&mut self, folder: &Path) {
        if self.swept.elapsed() < Duration::from_millis(limits::QUARANTINE_SWEEP_MS) {
            return;
        }
        self.swept = Instant::now();
        if let Err(error) = expire(folder, limits::QUARANTINE_KEPT_MS, SystemTime::now()) {
            tracing::warn!(%error, "expired content could not be removed from quarantine");
        }
    }

    /// Best effort: what remains is found at the next start.
    fn remove(&self, place: ContentPlace) {
        for path in [self.layout.content(place), self.layout.tree(place)] {
            let removed = match fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(_) if path.is_dir() => self.set_obstacle_aside(&path),
                removed => removed,
            };
            if let Err(error) = removed {
                tracing::warn!(path = %path.display(), %error, "content could not be removed");
            }
        }
    }
}

/// Stages a change to a file whose content is missing. `None` if the change is handled as if nothing were held.
fn stage_missing(change: &Change, lost: &Arc<Record>, batch: &mut Batch) -> Option<Applied> {
    match change {
        Change::Put { record, .. } if record.version < lost.version => {
            Some(Applied::Superseded(Arc::clone(lost)))
        }
        Change::Drop { key, version, .. } if *version >= lost.version => {
            batch.writes.push(Write::Forget(key.clone()));
            batch.writes.push(Write::Found(key.clone()));
            batch.entries.insert(key.clone(), None);
            batch.missing.insert(key.clone(), None);
            Some(Applied::Nothing)
        }
        _ => None,
    }
}

/// Whether the row of a holding changes. The time of validation is not part of it.
fn differs(before: &Entry, after: &Entry) -> bool {
    let row = |entry: &Entry| (entry.holding.role, entry.holding.verified, entry.bucket);
    before.holding.record != after.holding.record || row(before) != row(after)
}

/// Writes quarantined bytes durably: somebody may want them back.
fn keep_bytes(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
