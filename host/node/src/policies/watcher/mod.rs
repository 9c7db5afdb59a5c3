//! The watcher of the policies folder: notifies the controller when the folder must be read again. It reads nothing
//! of it but `policies.toml`, to log mistakes.
//!
//! The operating system reports changes (inotify and the like). A change counts once the folder has been quiet for
//! `policies.debounce`; a folder that is never quiet is read all the same. The watcher watches what the folder's path
//! leads to, every symbolic link on that path, and the targets of links in the folder (`spots`).
//!
//! Some changes are not reported: the system may have run out of watches, and some file systems report nothing. So
//! the folder is also read every `policies.rescan`, and watched again when another folder has taken its place. The
//! watcher tests whether changes are reported by making one, on the lock file. While they are not, it says so in
//! the log and the status, and the folder is read more often.

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

/// How often the folder is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// How long the folder must be quiet after a change.
    pub(super) debounce: Duration,
    /// How often it is read in any case.
    pub(super) rescan: Duration,
}

/// How often the folder is read while its changes are not reported.
const RESCAN_UNREPORTED: Duration = Duration::from_secs(1);
/// How long the report of our own change may take.
const REPORTED_WITHIN: Duration = Duration::from_secs(2);
/// How often the watcher tests whether changes are reported again.
const TEST_EVERY: Duration = Duration::from_secs(60);

/// Notifies `look` whenever the folder must be read, until `stopping`. Calls `report` with the reason why changes are
/// noticed late, and with `None` when they are not any more.
pub(super) async fn watch(
    folder: PathBuf,
    pace: Pace,
    look: Arc<Notify>,
    report: impl Fn(Option<String>),
    stopping: CancellationToken,
) {
    let changed = Arc::new(Notify::new());
    let mut watches = Watches::new(folder, Arc::clone(&changed));
    watches.renew();
    // The folder may have changed before it was watched.
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
                    tracing::warn!(%folder, reason, "changes in the policies folder are noticed late")
                }
                None => {
                    tracing::info!(%folder, "changes in the policies folder are reported again")
                }
            }
            report(found.clone());
            trouble = found;
        }
        let rescan = watches.rescan(pace.rescan);
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = timeout(rescan, watches.wait_until_quiet(&changed, pace.debounce)) => {}
        }
        watches.renew();
        look.notify_one();
    }
}

/// The watches on the folder and on what it leads to.
struct Watches {
    folder: PathBuf,
    events: Arc<Events>,
    watcher: Option<RecommendedWatcher>,
    spots: Spots,
    /// Why nothing can be watched.
    refused: Option<String>,
    /// Whether changes of what is watched now are reported, if that was tested.
    is_reported: Option<bool>,
    tested_at: Option<Instant>,
    /// The last text of `policies.toml` whose mistakes were logged.
    last_faulty: Option<String>,
}

/// What the operating system has reported.
struct Events {
    changed: Arc<Notify>,
    /// Notified of our own test change.
    probe: Notify,
    /// The watched folder was removed or renamed. A new folder may have the same inode number.
    is_removed: AtomicBool,
    /// `policies.toml` was written and closed.
    is_saved: AtomicBool,
}

impl Watches {
    fn new(folder: PathBuf, changed: Arc<Notify>) -> Self {
        let events = Events {
            changed,
            probe: Notify::new(),
            is_removed: AtomicBool::new(false),
            is_saved: AtomicBool::new(false),
        };
        Self {
            folder,
            events: Arc::new(events),
            watcher: None,
            spots: Spots::default(),
            refused: None,
            is_reported: None,
            tested_at: None,
            last_faulty: None,
        }
    }

    /// Watches the folder as it is now, if it has changed its place.
    fn renew(&mut self) {
        let spots = Spots::of(&self.folder);
        let is_removed = self.events.is_removed.swap(false, Ordering::AcqRel);
        if spots == self.spots && self.watcher.is_some() && !is_removed {
            return;
        }
        (self.is_reported, self.tested_at) = (None, None);
        match self.begin(&spots) {
            Ok(watcher) => (self.watcher, self.refused) = (Some(watcher), None),
            Err(error) => (self.watcher, self.refused) = (None, Some(error.to_string())),
        }
        self.spots = spots;
    }

    fn begin(&self, spots: &Spots) -> notify::Result<RecommendedWatcher> {
        let (events, watched) = (Arc::clone(&self.events), spots.clone());
        let on_event = move |event: notify::Result<Event>| match event {
            Ok(event) => events.take_note(&event, &watched),
            Err(_) => events.changed.notify_one(),
        };
        let mut watcher = notify::recommended_watcher(on_event)?;
        for folder in spots.folders() {
            watcher.watch(folder, RecursiveMode::NonRecursive)?;
        }
        Ok(watcher)
    }

    /// How often the folder is read if no change is reported.
    fn rescan(&self, usual: Duration) -> Duration {
        match self.refused.is_some() || self.is_reported == Some(false) {
            true => usual.min(RESCAN_UNREPORTED),
            false => usual,
        }
    }

    /// Why changes are noticed late, if they are.
    async fn trouble(&mut self, usual: Duration) -> Option<String> {
        let is_due = self.tested_at.is_none_or(|at| at.elapsed() >= TEST_EVERY);
        if self.watcher.is_some() && self.is_reported != Some(true) && is_due {
            self.tested_at = Some(Instant::now());
            self.is_reported = self.is_reported().await;
        }
        let reason = match (&self.refused, self.is_reported) {
            (Some(error), _) => error.as_str(),
            (None, Some(false)) => "the system did not report a test change",
            (None, _) => return None,
        };
        let every = humantime::format_duration(self.rescan(usual));
        Some(format!(
            "the system does not report changes in this folder ({reason}); it is read every {every} instead"
        ))
    }

    /// Makes a change and returns whether it is reported; `None` if no change can be made.
    async fn is_reported(&self) -> Option<bool> {
        let probe = self.spots.folder()?.join(LOCK);
        // Discard the report of an earlier one.
        let _ = timeout(Duration::ZERO, self.events.probe.notified()).await;
        blocking(move || touch(&probe)).await.ok()?;
        let reported = timeout(REPORTED_WITHIN, self.events.probe.notified()).await;
        Some(reported.is_ok())
    }

    /// Waits for a change and then until the folder is quiet. Mistakes in a `policies.toml` saved meanwhile are
    /// logged, since it may be overwritten before the controller reads it.
    async fn wait_until_quiet(&mut self, changed: &Notify, debounce: Duration) {
        changed.notified().await;
        self.check_saved_specs().await;
        let at_the_latest = Instant::now() + debounce * limits::POLICY_DEBOUNCES_MAX;
        loop {
            let quiet = timeout(debounce, changed.notified());
            match timeout_at(at_the_latest, quiet).await {
                Ok(Ok(())) => self.check_saved_specs().await,
                Ok(Err(_)) | Err(_) => return,
            }
        }
    }

    /// Logs mistakes in `policies.toml` if it was saved.
    async fn check_saved_specs(&mut self) {
        if !self.events.is_saved.swap(false, Ordering::AcqRel) {
            return;
        }
        let folder = Folder::new(self.folder.clone());
        let Some(Ok(text)) = blocking(move || folder.read_specs()).await else {
            return;
        };
        let reason = Specs::complaints(&text);
        if reason.is_some() && self.last_faulty.as_ref() == Some(&text) {
            return;
        }
        self.last_faulty = reason.as_ref().map(|_| text);
        if let Some(reason) = reason {
            tracing::warn!(reason, "policies.toml was saved with mistakes");
        }
    }
}

impl Events {
    fn take_note(&self, event: &Event, spots: &Spots) {
        let is_probe = event.paths.iter().any(|path| path.ends_with(LOCK));
        if is_probe {
            self.probe.notify_one();
            return;
        }
        if !matters(event, spots) {
            return;
        }
        if removes_folder(event, spots) {
            self.is_removed.store(true, Ordering::Release);
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

/// Changes only the modification time of a file.
fn touch(path: &Path) -> io::Result<()> {
    let file = File::options().create(true).append(true).open(path)?;
    file.set_modified(SystemTime::now())
}

/// Whether an event may change what is in the folder. Reads do not; of other folders, only links and their targets
/// count.
fn matters(event: &Event, spots: &Spots) -> bool {
    let is_change = !matches!(
        event.kind,
        EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write)
    );
    let concerns = event.paths.iter().any(|path| spots.concerns(path));
    is_change && (event.paths.is_empty() || concerns)
}

/// Whether the folder itself is renamed or removed.
fn removes_folder(event: &Event, spots: &Spots) -> bool {
    let is_gone = EventKind::is_remove(&event.kind)
        || matches!(event.kind, EventKind::Modify(ModifyKind::Name(_)));
    is_gone && event.paths.iter().any(|path| spots.is_folder(path))
}

/// Whether a file is completely written.
fn is_whole(event: &Event) -> bool {
    matches!(
        event.kind,
        EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both))
    )
}

#[cfg(test)]
mod tests;
