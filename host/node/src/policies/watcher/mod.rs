//! The watcher: says when the folder of policies is to be looked at again, and nothing about what is in it.
//!
//! The system tells of changes (inotify and its like), which are waited out until the folder rests; one that
//! never rests is looked at all the same. What is watched is what the folder's path leads to in the end, every link
//! on the way there, and what files of the folder lead to that are links (`spots`). Not everything is told: the system
//! may have no watches left, and some file systems tell nothing. So the folder is also looked at every now and then,
//! and is watched anew when it is not the one that was watched. Whether changes are told is found out by making one,
//! on the file that is locked when the folder is changed; while they are not, that is said, and the folder is looked
//! at more often.

mod spots;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::compiler::blocking;
use super::folder::{Folder, LOCK};
use crate::limits;
use crate::policies::spec_file;
use crate::policies::spec_file::Specs;
use spots::Spots;

/// How fast it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// How long nothing changes in a folder that rests.
    pub(super) debounce: Duration,
    /// How often it is looked at in any case.
    pub(super) rescan: Duration,
}

/// How often the folder is looked at when its changes are not told.
const RESCAN_DEAF: Duration = Duration::from_secs(1);
/// How long it may take until a change of ours is told.
const HEARD_WITHIN: Duration = Duration::from_secs(2);
/// How often it is tried whether changes are told again.
const TRIED_EVERY: Duration = Duration::from_secs(60);

/// Rings `look` whenever the folder is to be looked at, until `stopping`. Says through `tells` why changes are
/// noticed late, whenever that changes.
pub(super) async fn watch(
    folder: PathBuf,
    pace: Pace,
    look: Arc<Notify>,
    tells: impl Fn(Option<String>),
    stopping: CancellationToken,
) {
    let changed = Arc::new(Notify::new());
    let mut watches = Watches::new(folder, Arc::clone(&changed));
    watches.renew();
    // What changed before it was watched.
    look.notify_one();
    let mut trouble = None;
    loop {
        let found = tokio::select! {
            () = stopping.cancelled() => return,
            found = watches.trouble(pace.rescan) => found,
        };
        if found != trouble {
            let folder = watches.folder.display();
            match &found {
                Some(reason) => {
                    tracing::warn!(%folder, reason, "changes of policies are noticed late")
                }
                None => tracing::info!(%folder, "changes of policies are told again"),
            }
            tells(found.clone());
            trouble = found;
        }
        let rescan = watches.rescan(pace.rescan);
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = timeout(rescan, watches.rest(&changed, pace.debounce)) => {}
        }
        watches.renew();
        look.notify_one();
    }
}

/// What is watched.
struct Watches {
    folder: PathBuf,
    heard: Arc<Heard>,
    watcher: Option<RecommendedWatcher>,
    spots: Spots,
    /// Why nothing is watched.
    refused: Option<String>,
    /// Whether changes are told, as far as that could be found out for what is watched now.
    is_told: Option<bool>,
    tried_at: Option<Instant>,
    /// The last text of `policies.toml` that was complained of.
    complained: Option<String>,
}

/// What the system told.
struct Heard {
    changed: Arc<Notify>,
    /// Our own change.
    probe: Notify,
    /// The folder that is watched went away, even if its successor should have its number.
    is_lost: AtomicBool,
    /// `policies.toml` was written to its end.
    is_saved: AtomicBool,
}

impl Watches {
    fn new(folder: PathBuf, changed: Arc<Notify>) -> Self {
        let heard = Heard {
            changed,
            probe: Notify::new(),
            is_lost: AtomicBool::new(false),
            is_saved: AtomicBool::new(false),
        };
        Self {
            folder,
            heard: Arc::new(heard),
            watcher: None,
            spots: Spots::default(),
            refused: None,
            is_told: None,
            tried_at: None,
            complained: None,
        }
    }

    /// Watches what is there now.
    fn renew(&mut self) {
        let spots = Spots::of(&self.folder);
        let is_lost = self.heard.is_lost.swap(false, Ordering::AcqRel);
        if spots == self.spots && self.watcher.is_some() && !is_lost {
            return;
        }
        (self.is_told, self.tried_at) = (None, None);
        match self.begin(&spots) {
            Ok(watcher) => (self.watcher, self.refused) = (Some(watcher), None),
            Err(error) => (self.watcher, self.refused) = (None, Some(error.to_string())),
        }
        self.spots = spots;
    }

    fn begin(&self, spots: &Spots) -> notify::Result<RecommendedWatcher> {
        let (heard, watched) = (Arc::clone(&self.heard), spots.clone());
        let status = move |event: notify::Result<Event>| match event {
            Ok(event) => heard.take_note(&event, &watched),
            Err(_) => heard.changed.notify_one(),
        };
        let mut watcher = notify::recommended_watcher(status)?;
        for folder in spots.folders() {
            watcher.watch(folder, RecursiveMode::NonRecursive)?;
        }
        Ok(watcher)
    }

    /// How often the folder is looked at, whatever is told.
    fn rescan(&self, usual: Duration) -> Duration {
        match self.refused.is_some() || self.is_told == Some(false) {
            true => usual.min(RESCAN_DEAF),
            false => usual,
        }
    }

    /// Why changes are noticed late, if they are.
    async fn trouble(&mut self, usual: Duration) -> Option<String> {
        let is_due = self.tried_at.is_none_or(|at| at.elapsed() >= TRIED_EVERY);
        if self.watcher.is_some() && self.is_told != Some(true) && is_due {
            self.tried_at = Some(Instant::now());
            self.is_told = self.is_told().await;
        }
        let reason = match (&self.refused, self.is_told) {
            (Some(error), _) => error.as_str(),
            (None, Some(false)) => "the system told nothing of a change that was made to try it",
            (None, _) => return None,
        };
        let every = humantime::format_duration(self.rescan(usual));
        Some(format!(
            "changes in this folder are not told by the system ({reason}); it is looked at every {every} instead"
        ))
    }

    /// Whether a change that is made now is told; `None` when none can be made.
    async fn is_told(&self) -> Option<bool> {
        let probe = self.spots.folder()?.join(LOCK);
        // What came of an earlier one.
        let _ = timeout(Duration::ZERO, self.heard.probe.notified()).await;
        blocking(move || touch(&probe)).await.ok()?;
        let status = timeout(HEARD_WITHIN, self.heard.probe.notified()).await;
        Some(status.is_ok())
    }

    /// Waits for a change, and until it is the last one. What is saved meanwhile and wrong is told, for it may be
    /// overwritten before anybody looks.
    async fn rest(&mut self, changed: &Notify, debounce: Duration) {
        changed.notified().await;
        self.glance().await;
        let at_the_latest = Instant::now() + debounce * limits::POLICY_DEBOUNCES_MAX;
        loop {
            let rests = timeout(debounce, changed.notified());
            match timeout_at(at_the_latest, rests).await {
                Ok(Ok(())) => self.glance().await,
                Ok(Err(_)) | Err(_) => return,
            }
        }
    }

    /// Looks at `policies.toml` if it was saved.
    async fn glance(&mut self) {
        if !self.heard.is_saved.swap(false, Ordering::AcqRel) {
            return;
        }
        let folder = Folder::new(self.folder.clone());
        let Some(Ok(text)) = blocking(move || folder.read_specs()).await else {
            return;
        };
        let reason = Specs::complaints(&text);
        if reason.is_some() && self.complained.as_ref() == Some(&text) {
            return;
        }
        self.complained = reason.as_ref().map(|_| text);
        if let Some(reason) = reason {
            tracing::warn!(reason, "{} was saved with a mistake in it", spec_file::FILE);
        }
    }
}

impl Heard {
    fn take_note(&self, event: &Event, spots: &Spots) {
        let is_probe = event.paths.iter().any(|path| path.ends_with(LOCK));
        if is_probe {
            self.probe.notify_one();
            return;
        }
        if !matters(event, spots) {
            return;
        }
        if goes(event, spots) {
            self.is_lost.store(true, Ordering::Release);
        }
        if is_whole(event)
            && event
                .paths
                .iter()
                .any(|path| path.ends_with(spec_file::FILE))
        {
            self.is_saved.store(true, Ordering::Release);
        }
        self.changed.notify_one();
    }
}

/// Changes nothing in a file but its time.
fn touch(path: &Path) -> io::Result<()> {
    let file = File::options().create(true).append(true).open(path)?;
    file.set_modified(SystemTime::now())
}

/// Reading is no change, least of all our own; and of other folders only what leads here matters.
fn matters(event: &Event, spots: &Spots) -> bool {
    let is_change = !matches!(
        event.kind,
        EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write)
    );
    let concerns = event.paths.iter().any(|path| spots.concerns(path));
    is_change && (event.paths.is_empty() || concerns)
}

/// Whether the folder itself goes, to another place or for good.
fn goes(event: &Event, spots: &Spots) -> bool {
    let goes = EventKind::is_remove(&event.kind)
        || matches!(event.kind, EventKind::Modify(ModifyKind::Name(_)));
    goes && event.paths.iter().any(|path| spots.is_folder(path))
}

/// Whether a file is written to its end.
fn is_whole(event: &Event) -> bool {
    matches!(
        event.kind,
        EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both))
    )
}

#[cfg(test)]
mod tests;
