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
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;
    use tokio::task::JoinHandle;

    /// Long enough that it is not what a test waits for.
    const NEVER: Duration = Duration::from_secs(3600);
    const DEADLINE: Duration = Duration::from_secs(30);

    struct World {
        root: TempDir,
        look: Arc<Notify>,
        stopping: CancellationToken,
        task: JoinHandle<()>,
    }

    impl World {
        fn new(rescan: Duration) -> Self {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir(root.path().join("real")).unwrap();
            Self::in_folder(root, "real", rescan)
        }

        fn in_folder(root: TempDir, folder: &str, rescan: Duration) -> Self {
            let (look, stopping) = (Arc::new(Notify::new()), CancellationToken::new());
            let pace = Pace {
                debounce: Duration::from_millis(20),
                rescan,
            };
            let folder = root.path().join(folder);
            let watching = watch(folder, pace, Arc::clone(&look), stopping.clone());
            Self {
                root,
                look,
                stopping,
                task: tokio::spawn(watching),
            }
        }

        /// Makes a change, again and again until it is noticed: when the watch begins is not told.
        async fn notices(&self, mut change: impl FnMut(&Path)) {
            let noticed = async {
                loop {
                    change(self.root.path());
                    let soon = timeout(Duration::from_secs(1), self.look.notified());
                    if soon.await.is_ok() {
                        return;
                    }
                }
            };
            timeout(DEADLINE, noticed)
                .await
                .expect("the change is noticed");
        }

        async fn end(self) {
            self.stopping.cancel();
            timeout(DEADLINE, self.task)
                .await
                .expect("it ends")
                .unwrap();
        }
    }

    #[tokio::test]
    async fn a_file_that_is_written_renamed_or_removed_is_noticed() {
        let world = World::new(NEVER);
        world
            .notices(|root| fs::write(root.join("real/a"), "x").unwrap())
            .await;
        world
            .notices(|root| {
                fs::write(root.join("b"), "x").unwrap();
                fs::rename(root.join("b"), root.join("real/a")).unwrap();
            })
            .await;
        world
            .notices(|root| {
                fs::write(root.join("real/c"), "x").unwrap();
                fs::remove_file(root.join("real/c")).unwrap();
            })
            .await;
        world.end().await;
    }

    #[tokio::test]
    async fn a_folder_that_is_removed_and_comes_back_is_watched_again() {
        let world = World::new(NEVER);
        let comes = |root: &Path| {
            let _ = fs::create_dir(root.join("real"));
        };
        let goes = |root: &Path| {
            let _ = fs::create_dir(root.join("real"));
            fs::remove_dir_all(root.join("real")).unwrap();
        };
        for _ in 0..3 {
            world.notices(goes).await;
            world.notices(comes).await;
            world
                .notices(|root| fs::write(root.join("real/a"), "x").unwrap())
                .await;
        }
        world.end().await;
    }

    #[tokio::test]
    async fn a_link_that_is_turned_to_another_folder_is_noticed() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["one", "two"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        symlink("one", root.path().join("link")).unwrap();
        let world = World::in_folder(root, "link", NEVER);
        let turn = |to: &'static str| {
            move |root: &Path| {
                let _ = fs::remove_file(root.join("next"));
                symlink(to, root.join("next")).unwrap();
                fs::rename(root.join("next"), root.join("link")).unwrap();
            }
        };
        world.notices(turn("two")).await;
        world
            .notices(|root| fs::write(root.join("two/a"), "x").unwrap())
            .await;
        world.notices(turn("one")).await;
        world
            .notices(|root| fs::write(root.join("one/a"), "x").unwrap())
            .await;
        world.end().await;
    }

    #[tokio::test]
    async fn it_is_looked_at_now_and_then_even_if_nothing_is_told() {
        let root = tempfile::tempdir().unwrap();
        let world = World::in_folder(root, "no/such/folder", Duration::from_millis(10));
        for _ in 0..3 {
            world.notices(|_| {}).await;
        }
        world.end().await;
    }

    #[test]
    fn reading_is_no_change_and_neither_is_what_lies_beside_the_folder() {
        let event = |kind, path: &str| Event::new(kind).add_path(path.into());
        let folder = Path::new("/d/policies");
        let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
        let read = EventKind::Access(AccessKind::Open(AccessMode::Any));
        assert!(matters(&event(written, "/d/policies/a"), folder));
        assert!(!matters(&event(read, "/d/policies/a"), folder));
        assert!(matters(&event(EventKind::Any, "/d/policies"), folder));
        assert!(!matters(&event(EventKind::Any, "/d/index.redb"), folder));
        assert!(matters(&Event::new(EventKind::Other), folder));
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_changes_are_few_looks_and_a_folder_that_never_rests_is_looked_at() {
        let (changed, debounce) = (Arc::new(Notify::new()), Duration::from_millis(200));
        let rings = Arc::clone(&changed);
        let changes = tokio::spawn(async move {
            for _ in 0..1000 {
                rings.notify_one();
                tokio::time::sleep(Duration::from_millis(60)).await;
            }
        });
        let began = Instant::now();
        let mut looks = 0;
        while !changes.is_finished() {
            rest(&changed, debounce).await;
            looks += 1;
        }
        let minute = began.elapsed();
        assert!(minute >= Duration::from_secs(60), "{minute:?}");
        let fewest =
            minute.as_millis() / (debounce * (limits::POLICY_DEBOUNCES_MAX + 1)).as_millis();
        assert!(
            (fewest..=70).contains(&looks),
            "{looks} looks in {minute:?}"
        );
    }
}
