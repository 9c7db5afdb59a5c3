//! The watcher: says when the folder of policies is to be looked at again, and nothing about what is in it.
//!
//! The system tells of changes (inotify and its like), which are waited out until the folder rests; one that
//! never rests is looked at all the same. Not everything is told: a folder may be swapped for another one, or
//! the system may have no watches left. So the folder is also looked at every now and then, and is watched
//! anew when it is not the one that was watched. While it is missing, or is a link, the folder around it is
//! watched as well.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dataverse_core::limits;
use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

/// How fast it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// How long nothing changes in a folder that rests.
    pub(super) debounce: Duration,
    /// How often it is looked at in any case.
    pub(super) rescan: Duration,
}

/// Rings `look` whenever the folder is to be looked at, until `stopping`.
pub(super) async fn watch(
    folder: PathBuf,
    pace: Pace,
    look: Arc<Notify>,
    stopping: CancellationToken,
) {
    let changed = Arc::new(Notify::new());
    let mut watches = Watches::new(folder, Arc::clone(&changed));
    watches.renew();
    // What changed before it was watched.
    look.notify_one();
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = timeout(pace.rescan, rest(&changed, pace.debounce)) => {}
        }
        watches.renew();
        look.notify_one();
    }
}

/// Waits for a change, and until it is the last one.
async fn rest(changed: &Notify, debounce: Duration) {
    changed.notified().await;
    let at_the_latest = Instant::now() + debounce * limits::POLICY_DEBOUNCES_MAX;
    loop {
        let rests = timeout(debounce, changed.notified());
        match timeout_at(at_the_latest, rests).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

/// What is watched.
struct Watches {
    folder: PathBuf,
    changed: Arc<Notify>,
    watcher: Option<RecommendedWatcher>,
    /// The folder that is watched, and the one around it.
    inner: Option<Place>,
    outer: Option<Place>,
    /// The folder that is watched went away, even if its successor should have its number.
    lost: Arc<AtomicBool>,
    complained: bool,
}

/// Which folder a path leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place(u64, u64);

impl Watches {
    fn new(folder: PathBuf, changed: Arc<Notify>) -> Self {
        Self {
            folder,
            changed,
            watcher: None,
            inner: None,
            outer: None,
            lost: Arc::default(),
            complained: false,
        }
    }

    /// Watches what is there now.
    fn renew(&mut self) {
        let is_link = fs::symlink_metadata(&self.folder).is_ok_and(|it| it.is_symlink());
        let inner = place(&self.folder);
        let around = around(&self.folder);
        // The data folder is written to all the time, so it is watched only where it has to be.
        let outer = (is_link || inner.is_none())
            .then(|| place(&around))
            .flatten();
        let lost = self.lost.swap(false, Ordering::AcqRel);
        let same = (inner, outer) == (self.inner, self.outer) && self.watcher.is_some();
        if same && !lost {
            return;
        }
        match self.begin(&around, inner, outer) {
            Ok(watcher) => {
                self.watcher = Some(watcher);
                (self.inner, self.outer) = (inner, outer);
                self.complained = false;
            }
            Err(error) => {
                self.watcher = None;
                self.complain(&error);
            }
        }
    }

    fn begin(
        &self,
        around: &Path,
        inner: Option<Place>,
        outer: Option<Place>,
    ) -> notify::Result<RecommendedWatcher> {
        let (changed, lost) = (Arc::clone(&self.changed), Arc::clone(&self.lost));
        let folder = self.folder.clone();
        let told = move |event: notify::Result<Event>| match event {
            Ok(event) if !matters(&event, &folder) => {}
            Ok(event) => {
                if goes(&event, &folder) {
                    lost.store(true, Ordering::Release);
                }
                changed.notify_one();
            }
            Err(_) => changed.notify_one(),
        };
        let mut watcher = notify::recommended_watcher(told)?;
        if inner.is_some() {
            watcher.watch(&self.folder, RecursiveMode::NonRecursive)?;
        }
        if outer.is_some() {
            watcher.watch(around, RecursiveMode::NonRecursive)?;
        }
        Ok(watcher)
    }

    fn complain(&mut self, error: &notify::Error) {
        if !std::mem::replace(&mut self.complained, true) {
            tracing::warn!(
                folder = %self.folder.display(),
                %error,
                "changes in the folder of policies are not told by the system; it is looked at every now and then instead"
            );
        }
    }
}

/// The folder around a folder.
fn around(folder: &Path) -> PathBuf {
    match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn place(path: &Path) -> Option<Place> {
    let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_dir)?;
    Some(Place(metadata.dev(), metadata.ino()))
}

/// Reading is no change, least of all our own; and around the folder only the folder matters.
fn matters(event: &Event, folder: &Path) -> bool {
    let is_change = !matches!(
        event.kind,
        EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write)
    );
    let concerns = event.paths.iter().any(|path| path.starts_with(folder));
    is_change && (event.paths.is_empty() || concerns)
}

/// Whether the folder itself goes, to another place or for good.
fn goes(event: &Event, folder: &Path) -> bool {
    let goes = EventKind::is_remove(&event.kind)
        || matches!(event.kind, EventKind::Modify(ModifyKind::Name(_)));
    goes && event.paths.iter().any(|path| path == folder)
}

#[cfg(test)]
mod tests;
