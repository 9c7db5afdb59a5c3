//! `Policies`: the policies of a running node, from its start to its end. It implements `PolicyApi`.
//!
//! Two tasks run: the watcher of the policies folder, and the controller that acts on it. Stopping waits for both. At
//! the start the controller fills each policy slot with the policy that `policies.toml` asks for, else with the last
//! good one, else with the built-in default. Starting waits for that at most `policies.start`; the native baseline
//! decides for a slot that is still empty. After a stop the policies in the slots go on deciding until the node is
//! dropped.
//!
//! A requested change has its policy compiled here, before its turn, so that a slow compilation delays no other
//! change; then it is queued for the controller.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use bytes::Bytes;
use dataverse_core::content::Digest;
use dataverse_core::id::NodeId;
use dataverse_core::policy::Kind;
use dataverse_sandbox::{About, Program, Refusal, Setup};
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::compiler::{Lane, PolicyCompiler, blocking};
use super::folder::Folder;
use super::name::PolicyName;
use super::trial::SEED;
use super::view::{Available, KindView, PoliciesView};
use super::watcher::{self, Pace};
use crate::driver::{Driver, panic_text};
use crate::limits;
use crate::metrics::PolicyFigures;
use crate::policies::api::{PolicyApi, PolicyError};
use crate::policies::controller::{Answer, Controller, ControllerParts, PolicyCommand, Task};
use crate::policies::history::History;
use crate::policies::spec::KindSpec;
use crate::policies::status::PolicyStatus;
use crate::settings::Settings;

/// Pause after a panic of the controller.
const PAUSE_AFTER_PANIC: Duration = Duration::from_secs(1);

/// Where the policies of a node are stored, and what compiles them.
pub struct PoliciesConfig {
    /// The policies folder; created if needed.
    pub folder: PathBuf,
    /// The folder of the history; created if needed. Each node has its own.
    pub history: PathBuf,
    /// Compiles the policies.
    pub compiler: Arc<PolicyCompiler>,
}

/// The policies of a running node.
pub struct Policies {
    status: Arc<PolicyStatus>,
    folder: Folder,
    compiler: Arc<PolicyCompiler>,
    history: Arc<Mutex<History>>,
    commands: mpsc::Sender<PolicyCommand>,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

/// The node that the policies decide for.
pub(super) struct PolicyHost {
    pub(super) node: NodeId,
    pub(super) policy_slots: Arc<crate::driver::PolicySlots>,
    pub(super) publish_names: Box<dyn Fn(Vec<String>) + Send + Sync>,
}

impl Policies {
    /// Starts to run the policies of this node. When this returns, the policies that are asked for decide, unless
    /// they take longer than `policies.start` to compile.
    ///
    /// # Errors
    /// If a folder can't be created.
    pub async fn start(config: PoliciesConfig, driver: &Arc<Driver>) -> anyhow::Result<Arc<Self>> {
        let node = Arc::downgrade(driver);
        let host = PolicyHost {
            node: driver.id(),
            policy_slots: Arc::clone(driver.policy_slots()),
            publish_names: Box::new(move |names| {
                if let Some(node) = node.upgrade() {
                    node.name_policies(names);
                }
            }),
        };
        let policies = Self::of(config, driver.settings(), host).await?;
        let status = Arc::clone(&policies.status);
        driver.metrics().show_policies(move || status.figures());
        Ok(policies)
    }

    /// As [`Policies::start`], for these policy slots.
    pub(super) async fn of(
        config: PoliciesConfig,
        settings: &Settings,
        host: PolicyHost,
    ) -> anyhow::Result<Arc<Self>> {
        let folder = Folder::new(config.folder.clone());
        let made = folder.clone();
        blocking(move || made.make()).await.with_context(|| {
            let folder = config.folder.display();
            format!("can't create the policies folder {folder}; choose another one with --policies")
        })?;
        let (history, shown) = (config.history.clone(), config.history.display().to_string());
        let history = blocking(move || History::open(history)).await;
        let history = history
            .with_context(|| format!("can't open the folder of earlier policies {shown}"))?;
        let history = Arc::new(Mutex::new(history));
        let status = Arc::new(PolicyStatus::new(config.folder.display().to_string()));
        let look = Arc::new(Notify::new());
        let (filled, are_filled) = oneshot::channel();
        let mut controller = Controller::new(ControllerParts {
            folder: folder.clone(),
            history: Arc::clone(&history),
            compiler: Arc::clone(&config.compiler),
            policy_slots: host.policy_slots,
            node: host.node,
            status: Arc::clone(&status),
            look: Arc::clone(&look),
            publish_names: host.publish_names,
            filled,
        });
        let (commands, mut waiting) = mpsc::channel(limits::POLICY_COMMANDS_MAX);
        let (tasks, stopping) = (TaskTracker::new(), CancellationToken::new());
        let pace = Pace {
            debounce: settings.policies_debounce,
            rescan: settings.policies_rescan,
        };
        let of_watcher = Arc::clone(&status);
        let report_watch = move |trouble| of_watcher.set_watch_trouble(trouble);
        let watching = watcher::watch(config.folder, pace, look, report_watch, stopping.clone());
        tasks.spawn(watching);
        let end = stopping.clone();
        let of_controller = Arc::clone(&status);
        tasks.spawn(async move {
            let looking_after = async {
                completed(controller.begin(), &of_controller).await;
                while !completed(controller.run(&mut waiting), &of_controller).await {
                    // Do not spin if it panics again immediately.
                    sleep(PAUSE_AFTER_PANIC).await;
                }
            };
            end.run_until_cancelled(looking_after).await;
            controller.end().await;
        });
        if timeout(settings.policies_start, are_filled).await.is_err() {
            tracing::warn!(
                "policies take long to compile; the native baselines decide until they are ready"
            );
        }
        Ok(Arc::new(Self {
            status,
            folder,
            compiler: config.compiler,
            history,
            commands,
            tasks,
            stopping,
        }))
    }

    /// Starts no more changes and refuses those that wait.
    pub fn cease(&self) {
        self.stopping.cancel();
    }

    /// Stops both tasks and waits for them. A change in progress is abandoned: the files in the folder are complete,
    /// and the next start acts on them.
    pub async fn stop(&self) {
        self.cease();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// The current figures for the metrics.
    #[must_use]
    pub fn figures(&self) -> Vec<PolicyFigures> {
        self.status.figures()
    }

    /// Waits for what a change needs before its turn comes, or until the node stops. Nothing is compiled during a
    /// turn.
    async fn ready<T>(
        &self,
        needed: impl Future<Output = Result<T, PolicyError>>,
    ) -> Result<T, PolicyError> {
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => Err(stopping()),
            ready = needed => ready,
        }
    }

    /// Compiles the policy of this name, if there is one. What is wrong with it is reported when its turn comes.
    async fn compile_named(&self, kind: Kind, name: &str) -> Result<Option<Program>, PolicyError> {
        let Ok(name) = name.parse::<PolicyName>() else {
            return Ok(None);
        };
        let (folder, file) = (self.folder.clone(), name.clone());
        let built_in =
            || dataverse_builtin::find(kind, name.as_str()).map(|it| Bytes::from_static(it.wasm));
        let found = blocking(move || folder.read(&file)).await.ok();
        match found.or_else(built_in) {
            Some(wasm) => prepared(&name, self.compile(kind, name.as_str(), &wasm).await?),
            None => Ok(None),
        }
    }

    /// Compiles a file and returns the result.
    ///
    /// # Errors
    /// If its turn does not come in time.
    async fn compile(
        &self,
        kind: Kind,
        name: &str,
        wasm: &Bytes,
    ) -> Result<Result<Program, Refusal>, PolicyError> {
        if let Some(known) = self.compiler.known(Digest::of(wasm)) {
            return Ok(known);
        }
        let _pending = self.status.prepare(kind, name);
        let turn = self.turn(Lane::Kind(kind)).await?;
        Ok(self.compiler.compile_in(turn, wasm).await)
    }

    async fn turn(&self, lane: Lane) -> Result<OwnedSemaphorePermit, PolicyError> {
        let patience = Duration::from_millis(limits::POLICY_TURN_MS_MAX);
        let turn = timeout(patience, self.compiler.turn(lane)).await;
        turn.map_err(|_| too_many())
    }

    /// Inspects a file that is to be installed, and refuses it if a test question ends in a fault and `force` is
    /// not set.
    async fn examine(
        &self,
        name: &PolicyName,
        wasm: &Bytes,
        force: bool,
    ) -> Result<Option<Program>, PolicyError> {
        let compiled = match self.compiler.known(Digest::of(wasm)) {
            Some(known) => known,
            None => {
                let turn = self.turn(Lane::File).await?;
                self.compiler.compile_in(turn, wasm).await
            }
        };
        let program = prepared(name, compiled)?;
        let finding = self.compiler.inspect(name, wasm).await;
        // Other problems are reported when its turn comes.
        if let (Ok(kind), Some(about), false) = (finding.kind, finding.about, force) {
            self.question(kind, name, wasm, &about).await?;
        }
        Ok(program)
    }

    /// Asks a file that is to be installed the test questions of its kind, with the configuration of its table if
    /// `policies.toml` names it. A policy that needs a configuration and has no table is not asked.
    async fn question(
        &self,
        kind: Kind,
        name: &PolicyName,
        wasm: &Bytes,
        about: &Result<About, Refusal>,
    ) -> Result<(), PolicyError> {
        let table = self.status.table_of(kind);
        let is_desired = table.policy == name.as_str();
        let is_asked = match about {
            Ok(_) => true,
            Err(Refusal::Config(_)) => is_desired,
            Err(_) => false,
        };
        if !is_asked {
            return Ok(());
        }
        let config = match is_desired {
            true => table.config_json(),
            false => "{}".to_owned(),
        };
        let setup = Setup {
            name: name.to_string(),
            config,
            seed: SEED,
            limits: table.limits.unwrap_or_default().filled(),
            log: None,
        };
        let judged = self.compiler.examine(wasm, &setup).await;
        judged.map_err(|reason| {
            PolicyError::Refused(format!(
                "{name}: {reason}; to install it anyway, use --force or ?force=true"
            ))
        })
    }

    /// Compiles the policies that can be rolled back to, and the active one: a rollback may only have to write it
    /// down.
    async fn compile_previous(&self, kind: Kind) -> Result<Vec<Program>, PolicyError> {
        let view = self.status.view_of(kind);
        let mut files = vec![(view.active.name, view.active.digest)];
        files.extend(view.previous.into_iter().map(|it| (it.name, it.digest)));
        let mut programs = Vec::new();
        for (name, digest) in files {
            let (history, digest) = (Arc::clone(&self.history), digest.parse::<Digest>());
            let Ok(digest) = digest else { continue };
            if let Some(known) = self.compiler.known(digest) {
                programs.extend(known);
                continue;
            }
            let wasm = blocking(move || {
                let history = history.lock();
                history.get(digest)
            });
            if let Ok(wasm) = wasm.await {
                // A policy that can't be compiled need not be the one that is rolled back to.
                programs.extend(self.compile(kind, &name, &wasm).await?);
            }
        }
        Ok(programs)
    }

    /// Queues a task for the controller, with the programs compiled for it, and waits for the answer.
    async fn ask<T>(
        &self,
        programs: Vec<Program>,
        task: impl FnOnce(Answer<T>) -> Task,
    ) -> Result<T, PolicyError> {
        let (answer, answered) = oneshot::channel();
        let (begins, mut begun) = oneshot::channel();
        let task = task(answer);
        let turn = async {
            let command = PolicyCommand {
                begins,
                programs,
                task,
            };
            self.commands.send(command).await.map_err(|_| stopping())?;
            (&mut begun).await.map_err(|_| stopping())
        };
        let patience = Duration::from_millis(limits::POLICY_TURN_MS_MAX);
        match timeout(patience, turn).await {
            Ok(came) => came?,
            Err(_) => {
                begun.close();
                // The turn may have come at the last moment.
                begun.try_recv().map_err(|_| too_many())?;
            }
        }
        let deadline = Duration::from_millis(limits::POLICY_COMMAND_MS_MAX);
        match timeout(deadline, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) if self.stopping.is_cancelled() => Err(stopping()),
            Ok(Err(_)) => Err(PolicyError::Failed(
                "the change failed inside the node; see its log".to_owned(),
            )),
            Err(_) => Err(PolicyError::Failed(
                "the change takes longer than a request may; it goes on, and `policy list` will show its outcome"
                    .to_owned(),
            )),
        }
    }
}

/// Runs this to its end and returns true. A panic is logged and published; the active policies go on.
async fn completed(work: impl Future<Output = ()>, status: &PolicyStatus) -> bool {
    let Err(panic) = AssertUnwindSafe(work).catch_unwind().await else {
        return true;
    };
    let reason = panic_text(&*panic);
    tracing::error!(
        reason,
        "the policy controller panicked; the active policies go on"
    );
    status.set_panic(Some(format!(
        "the policy controller panicked: {reason}; the active policies go on"
    )));
    false
}

/// The policy compiled for a change; `None` if it is refused, which is reported when the turn comes.
///
/// # Errors
/// If it can't be compiled now: the change is not begun.
fn prepared(
    name: &PolicyName,
    compiled: Result<Program, Refusal>,
) -> Result<Option<Program>, PolicyError> {
    match compiled {
        Ok(program) => Ok(Some(program)),
        Err(refusal) if refusal.may_pass() => {
            Err(PolicyError::Unavailable(format!("{name}: {refusal}")))
        }
        Err(_) => Ok(None),
    }
}

fn too_many() -> PolicyError {
    PolicyError::Unavailable(
        "too many changes of policies are waiting; nothing was changed, try again later".to_owned(),
    )
}

fn stopping() -> PolicyError {
    PolicyError::Unavailable("the node is stopping".to_owned())
}

fn named(name: &str) -> Result<PolicyName, PolicyError> {
    name.parse()
        .map_err(|bad: super::name::BadName| PolicyError::Refused(bad.to_string()))
}

#[async_trait]
impl PolicyApi for Policies {
    fn view(&self) -> PoliciesView {
        self.status.view()
    }

    async fn install(
        &self,
        name: &str,
        wasm: Bytes,
        force: bool,
    ) -> Result<Available, PolicyError> {
        let name = named(name)?;
        let program = self.ready(self.examine(&name, &wasm, force)).await?;
        let programs = Vec::from_iter(program);
        self.ask(programs, |answer| Task::Install(name, wasm, answer))
            .await
    }

    async fn remove(&self, name: &str) -> Result<(), PolicyError> {
        let name = named(name)?;
        self.ask(Vec::new(), |answer| Task::Remove(name, answer))
            .await
    }

    async fn spec(&self, kind: Kind, spec: KindSpec) -> Result<KindView, PolicyError> {
        let compiled = async {
            let mut programs = Vec::from_iter(self.compile_named(kind, &spec.policy).await?);
            if let Some(shadow) = &spec.shadow {
                programs.extend(self.compile_named(kind, shadow).await?);
            }
            Ok::<_, PolicyError>(programs)
        };
        let programs = self.ready(compiled).await?;
        self.ask(programs, |answer| Task::SetSpec(kind, spec, answer))
            .await
    }

    async fn promote(&self, kind: Kind, seen: Option<String>) -> Result<KindView, PolicyError> {
        let mut programs = Vec::new();
        if let Some(shadow) = self.status.table_of(kind).shadow {
            programs.extend(self.ready(self.compile_named(kind, &shadow)).await?);
        }
        self.ask(programs, |answer| Task::Promote(kind, seen, answer))
            .await
    }

    async fn rollback(
        &self,
        kind: Kind,
        to: Option<String>,
        seen: Option<String>,
    ) -> Result<KindView, PolicyError> {
        let programs = self.ready(self.compile_previous(kind)).await?;
        self.ask(programs, |answer| Task::Rollback(kind, to, seen, answer))
            .await
    }
}
