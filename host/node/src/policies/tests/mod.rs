//! Live policies on real folders: what is wished is what decides, and whatever goes wrong, what decided goes
//! on. The policies are small guests in WebAssembly; nothing is listened on.

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

use super::live::Whom;
use super::view::{KindView, PoliciesView};
use super::{Policies, PoliciesConfig, PolicyCompiler};
use crate::driver::PolicySlots;
use crate::policies::api::PolicyApi;
use crate::settings::Settings;

const DEADLINE: Duration = Duration::from_secs(60);

/// A folder of policies, and whoever looks after them.
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

    /// Policies that are started in this data folder. Nothing is looked at unless the system tells.
    async fn in_folder(root: TempDir) -> Self {
        let compiler = PolicyCompiler::new(None).unwrap();
        Self::begin(root, compiler).await
    }

    async fn begin(root: TempDir, compiler: Arc<PolicyCompiler>) -> Self {
        let folder = root.path().join("policies");
        Self::with_folder(root, folder, compiler).await
    }

    /// Another node with this one's folder of policies.
    async fn beside(&self) -> Self {
        let root = tempfile::tempdir().unwrap();
        let compiler = Arc::clone(&self.compiler);
        Self::with_folder(root, self.folder(), compiler).await
    }

    async fn with_folder(root: TempDir, folder: PathBuf, compiler: Arc<PolicyCompiler>) -> Self {
        Self::waiting(root, folder, compiler, DEADLINE).await
    }

    /// Policies that are waited for so long.
    async fn waiting(
        root: TempDir,
        folder: PathBuf,
        compiler: Arc<PolicyCompiler>,
        policies_start: Duration,
    ) -> Self {
        let policy_slots = Arc::new(PolicySlots::default());
        let named = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&named);
        // A policy called `boom` makes the steward panic, once.
        let boomed = AtomicBool::new(false);
        let whom = Whom {
            node: NodeId::from(7),
            policy_slots: Arc::clone(&policy_slots),
            naming: Box::new(move |names: Vec<String>| {
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
        let policies = Policies::of(config, &settings, whom).await.unwrap();
        Self {
            root,
            folder,
            compiler,
            policy_slots,
            policies,
            named,
        }
    }

    /// Stops and starts, with something done in between.
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
                panic!("never so at {asked_at}: {:#?}", self.view());
            }
        }
    }

    /// Waits until this placement policy decides, and nothing is said against it.
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

    /// Waits until the placement policy that is wished is refused for this reason.
    #[track_caller]
    fn refused(&self, part: &str) -> impl Future<Output = ()> {
        self.eventually(move |view| {
            let error = view.placement.last_error.as_deref();
            error.is_some_and(|error| error.contains(part))
        })
    }

    /// Lets whoever decides place a file on one of so many nodes.
    async fn config(&self, nodes: u64) {
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
        assert!(!chosen.is_empty(), "somebody always answers");
        // An instance that failed is replaced before the next question.
        self.policy_slots.placement.rest().await;
    }
}

/// A placement policy; another one for every word.
fn policy(word: &str) -> Vec<u8> {
    let text = format!("(data (i32.const 900) \"{word}\")");
    guests::guest(Kind::Placement, &[("module", &text)])
}

/// One that does well in its trial and at no other time.
fn traitor() -> Vec<u8> {
    let code = "(if (i32.ne (local.get $count) (i32.const 3)) (then (unreachable)))";
    guests::guest(Kind::Placement, &[("place", code)])
}
