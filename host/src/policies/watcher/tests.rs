use std::os::unix::fs::symlink;

use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::*;

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
    let fewest = minute.as_millis() / (debounce * (limits::POLICY_DEBOUNCES_MAX + 1)).as_millis();
    assert!(
        (fewest..=70).contains(&looks),
        "{looks} looks in {minute:?}"
    );
}
