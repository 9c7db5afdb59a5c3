use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::*;

/// So long that no test waits for it.
const NEVER: Duration = Duration::from_secs(3600);
const DEADLINE: Duration = Duration::from_secs(30);

struct WatchedFolder {
    root: TempDir,
    look: Arc<Notify>,
    stopping: CancellationToken,
    task: JoinHandle<()>,
}

impl WatchedFolder {
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
        let watching = watch(folder, pace, Arc::clone(&look), |_| {}, stopping.clone());
        Self {
            root,
            look,
            stopping,
            task: tokio::spawn(watching),
        }
    }

    /// Repeats a change until it is noticed, since a test cannot know when the watch begins.
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
    let world = WatchedFolder::new(NEVER);
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
    let world = WatchedFolder::new(NEVER);
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
    let world = WatchedFolder::in_folder(root, "link", NEVER);
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
    let world = WatchedFolder::in_folder(root, "no/such/folder", Duration::from_millis(10));
    for _ in 0..3 {
        world.notices(|_| {}).await;
    }
    world.end().await;
}

#[test]
fn reading_is_no_change_and_neither_is_what_lies_beside_the_folder() {
    let event = |kind, path: &str| Event::new(kind).add_path(path.into());
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().canonicalize().unwrap().join("policies");
    fs::create_dir(&folder).unwrap();
    let spots = &Spots::of(&folder);
    let event = |kind, path: &str| event(kind, folder.join(path).to_str().unwrap());
    let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
    let read = EventKind::Access(AccessKind::Open(AccessMode::Any));
    assert!(matters(&event(written, "a"), spots));
    assert!(!matters(&event(read, "a"), spots));
    assert!(matters(&event(EventKind::Any, ""), spots));
    assert!(!matters(&event(EventKind::Any, "../index.redb"), spots));
    assert!(matters(&Event::new(EventKind::Other), spots));
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
    let mut watches = Watches::new("/no/such/folder".into(), Arc::clone(&changed));
    while !changes.is_finished() {
        watches.wait_until_quiet(&changed, debounce).await;
        looks += 1;
    }
    let minute = began.elapsed();
    assert!(minute >= Duration::from_secs(60), "{minute:?}");
    let fewest = minute.as_millis() / (debounce * (limits::POLICY_DEBOUNCES_MAX + 1)).as_millis();
    assert!(
        (fewest..=70).contains(&looks),
        "{looks} looks in {minute:?}"
    );
}

#[tokio::test]
async fn a_file_that_is_a_link_is_watched_where_it_leads() {
    let root = tempfile::tempdir().unwrap();
    for folder in ["real", "elsewhere"] {
        fs::create_dir(root.path().join(folder)).unwrap();
    }
    fs::write(root.path().join("elsewhere/mine.toml"), "").unwrap();
    symlink(
        "../elsewhere/mine.toml",
        root.path().join("real/policies.toml"),
    )
    .unwrap();
    let world = WatchedFolder::in_folder(root, "real", NEVER);
    world
        .notices(|root| fs::write(root.join("elsewhere/mine.toml"), "x").unwrap())
        .await;
    // As editors save files.
    for _ in 0..2 {
        world
            .notices(|root| {
                fs::write(root.join("elsewhere/next"), "y").unwrap();
                let mine = root.join("elsewhere/mine.toml");
                fs::rename(root.join("elsewhere/next"), mine).unwrap();
            })
            .await;
    }
    world.end().await;
}

#[tokio::test]
async fn a_link_that_leads_through_another_is_followed_when_that_is_turned() {
    let root = tempfile::tempdir().unwrap();
    for version in ["one", "two"] {
        fs::create_dir_all(root.path().join(version).join("policies")).unwrap();
    }
    symlink("one", root.path().join("..data")).unwrap();
    symlink("..data/policies", root.path().join("policies")).unwrap();
    let world = WatchedFolder::in_folder(root, "policies", NEVER);
    for to in ["two", "one"] {
        world
            .notices(|root| {
                let _ = fs::remove_file(root.join("..data_tmp"));
                symlink(to, root.join("..data_tmp")).unwrap();
                fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
            })
            .await;
        world
            .notices(|root| fs::write(root.join(to).join("policies/a"), "x").unwrap())
            .await;
    }
    world.end().await;
}

#[tokio::test]
async fn a_folder_whose_changes_are_not_told_is_looked_at_more_often_and_says_so() {
    let root = tempfile::tempdir().unwrap();
    let mut watches = Watches::new(root.path().to_owned(), Arc::default());
    watches.renew();
    assert_eq!(watches.trouble(NEVER).await, None);
    assert_eq!(watches.rescan(NEVER), NEVER);

    // A watcher of another folder gets no events.
    let mut deaf = Watches::new(root.path().to_owned(), Arc::default());
    deaf.renew();
    let elsewhere = tempfile::tempdir().unwrap();
    deaf.watcher = Watches::new(elsewhere.path().to_owned(), Arc::default())
        .begin(&Spots::of(elsewhere.path()))
        .ok();
    let reason = deaf.trouble(NEVER).await.expect("nothing was reported");
    assert!(reason.contains("every 1s"), "{reason}");
    assert_eq!(deaf.rescan(NEVER), RESCAN_UNREPORTED);
}

#[tokio::test]
async fn what_was_saved_wrong_is_told_once() {
    let root = tempfile::tempdir().unwrap();
    let mut watches = Watches::new(root.path().to_owned(), Arc::default());
    let mut save = async |text: &str| {
        fs::write(root.path().join("policies.toml"), text).unwrap();
        watches.events.is_saved.store(true, Ordering::Release);
        watches.check_saved_specs().await;
        watches.last_faulty.clone()
    };
    assert_eq!(save("[eviction\n").await.as_deref(), Some("[eviction\n"));
    assert_eq!(
        save("[eviction]\npolicy = 3").await.as_deref(),
        Some("[eviction]\npolicy = 3")
    );
    assert_eq!(save("[eviction]\npolicy = \"lru\"").await, None);
}
