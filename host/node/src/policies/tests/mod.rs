//! Live policies on real folders: the desired policy becomes active, and when something goes wrong, the active one
//! stays. The policies are small WebAssembly guests; there is no network.

mod changes;
mod commands;
#[path = "../../../../sandbox/tests/guests/mod.rs"]
#[expect(
    dead_code,
    reason = "the guests are shared with tests that need others of them"
)]
mod guests;
mod sharing;
mod trouble;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dataverse_core::content::Digest;
use dataverse_core::id::NodeId;
use dataverse_core::placement::Candidate;
use dataverse_core::policy::{FileView, Kind, NodeView, PlacementRequest};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::time::timeout;

use super::live::PolicyHost;
use super::view::{KindView, PoliciesView};
use super::{Policies, PoliciesConfig, PolicyCompiler};
use crate::driver::PolicySlots;
use crate::policies::api::PolicyApi;
use crate::settings::Settings;

const DEADLINE: Duration = Duration::from_secs(60);

/// A policies folder with the watcher and controller of a node.
struct PolicyNode {
    root: TempDir,
    folder: PathBuf,
    compiler: Arc<PolicyCompiler>,
    policy_slots: Arc<PolicySlots>,
    policies: Arc<Policies>,
    named: Arc<Mutex<Vec<String>>>,
}

impl PolicyNode {
    async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        Self::in_folder(root).await
    }

    /// Starts policies in this data folder. The folder is read only when the system reports a change.
    async fn in_folder(root: TempDir) -> Self {
        let compiler = PolicyCompiler::new(None).unwrap();
        Self::begin(root, compiler).await
    }

    async fn begin(root: TempDir, compiler: Arc<PolicyCompiler>) -> Self {
        let folder = root.path().join("policies");
        Self::with_folder(root, folder, compiler).await
    }

    /// Another node with this one's policies folder.
    async fn beside(&self) -> Self {
        let root = tempfile::tempdir().unwrap();
        let compiler = Arc::clone(&self.compiler);
        Self::with_folder(root, self.folder(), compiler).await
    }

    async fn with_folder(root: TempDir, folder: PathBuf, compiler: Arc<PolicyCompiler>) -> Self {
        Self::waiting(root, folder, compiler, DEADLINE).await
    }

    /// Starts policies and waits for them for `policies_start`.
    async fn waiting(
        root: TempDir,
        folder: PathBuf,
        compiler: Arc<PolicyCompiler>,
        policies_start: Duration,
    ) -> Self {
        let policy_slots = Arc::new(PolicySlots::default());
        let named = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&named);
        // A policy named `boom` makes the controller panic, once.
        let boomed = AtomicBool::new(false);
        let host = PolicyHost {
            node: NodeId::from(7),
            policy_slots: Arc::clone(&policy_slots),
            publish_names: Box::new(move |names: Vec<String>| {
                let is_boom = names.iter().any(|name| name.contains(":boom@"));
                assert!(!is_boom || boomed.swap(true, Ordering::AcqRel), "boom");
                *heard.lock() = names;
            }),
        };
        let config = PoliciesConfig {
            folder: folder.clone(),
            history: root.path().join("kept"),
            compiler: Arc::clone(&compiler),
        };
        let settings = Settings {
            policies_debounce: Duration::from_millis(20),
            policies_rescan: Duration::from_secs(3600),
            policies_start,
            ..Settings::default()
        };
        let policies = Policies::of(config, &settings, host).await.unwrap();
        Self {
            root,
            folder,
            compiler,
            policy_slots,
            policies,
            named,
        }
    }

    /// Stops, does something and starts again.
    async fn restart(self, between: impl FnOnce(&PathBuf)) -> Self {
        self.stop().await;
        between(&self.folder());
        Self::with_folder(self.root, self.folder, self.compiler).await
    }

    async fn stop(&self) {
        timeout(DEADLINE, self.policies.stop())
            .await
            .expect("it stops");
    }

    fn folder(&self) -> PathBuf {
        self.folder.clone()
    }

    fn write(&self, file: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.folder().join(file), bytes).unwrap();
    }

    fn toml(&self, text: &str) {
        self.write("policies.toml", text);
    }

    fn read(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.folder().join(file)).unwrap()
    }

    fn view(&self) -> PoliciesView {
        self.policies.view()
    }

    fn placement(&self) -> KindView {
        self.view().placement
    }

    fn swaps(&self, kind: Kind) -> u64 {
        let figures = self.policies.figures();
        let of_kind = figures.iter().find(|figures| figures.kind == kind);
        of_kind.unwrap().swaps[0]
    }

    /// Waits until this holds.
    #[track_caller]
    fn eventually(&self, holds: impl Fn(&PoliciesView) -> bool) -> impl Future<Output = ()> {
        let asked_at = std::panic::Location::caller();
        async move {
            let waited = async {
                while !holds(&self.view()) {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            if timeout(DEADLINE, waited).await.is_err() {
                panic!(
                    "the condition never held, asked at {asked_at}: {:#?}",
                    self.view()
                );
            }
        }
    }

    /// Waits until this placement policy is active and there is no error.
    #[track_caller]
    fn decides(&self, name: &str, wasm: &[u8]) -> impl Future<Output = ()> {
        let digest = Digest::of(wasm).to_string();
        self.eventually(move |view| {
            let KindView {
                active, last_error, ..
            } = &view.placement;
            (active.name.as_str(), &active.digest) == (name, &digest) && last_error.is_none()
        })
    }

    /// Waits until the desired placement policy is refused for this reason.
    #[track_caller]
    fn refused(&self, part: &str) -> impl Future<Output = ()> {
        self.eventually(move |view| {
            let error = view.placement.last_error.as_deref();
            error.is_some_and(|error| error.contains(part))
        })
    }

    /// Has a file placed on one of this many nodes.
    async fn place_file(&self, nodes: u64) {
        let request = PlacementRequest {
            file: FileView {
                id: 1,
                user: "ada".to_owned(),
                name: "notes".to_owned(),
                size: 10,
            },
            factor: 1,
            now: 0,
        };
        let candidate = |index: u64| Candidate {
            id: NodeId::from(u128::from(index)),
            view: NodeView {
                id: index,
                zone: String::new(),
                hops: 1,
                capacity: 1000,
                free: 1000,
                load: 0,
            },
        };
        let candidates = (1..=nodes).map(candidate).collect();
        let chosen = self
            .policy_slots
            .rank(request, candidates, Vec::new())
            .await;
        assert!(!chosen.is_empty(), "the baseline answers if nothing else");
        // An instance that failed is replaced before the next question.
        self.policy_slots.placement.rest().await;
    }
}

/// A placement policy, a different one for each word.
fn policy(word: &str) -> Vec<u8> {
    let text = format!("(data (i32.const 900) \"{word}\")");
    guests::guest(Kind::Placement, &[("module", &text)])
}

/// A policy that passes its canary and traps on every other question.
fn traitor() -> Vec<u8> {
    let code = "(if (i32.ne (local.get $count) (i32.const 3)) (then (unreachable)))";
    guests::guest(Kind::Placement, &[("place", code)])
}
