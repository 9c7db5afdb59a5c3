//! `Policies`: the policies of a running node, from its start to its end.
//!
//! Two tasks run, the watcher of the folder and the steward who acts on it; stopping waits for both. First the
//! steward fills the seats: with what is wished, else with the last good ones, else with the built-in defaults.
//! Starting waits for that, but not for long: a seat that is not filled by then is the native baseline's until
//! it is. Whoever sits in a seat goes on deciding until the node itself is gone.

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

/// How long the steward rests after a panic.
const PAUSE_AFTER_PANIC: Duration = Duration::from_secs(1);

/// Where the policies of a node are, and who runs them.
pub struct PoliciesConfig {
    /// The folder of policies; made if need be.
    pub folder: PathBuf,
    /// The folder in which good ones are kept; made if need be. A node has its own.
    pub history: PathBuf,
    /// Where they are compiled.
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

/// What policies decide for.
pub(super) struct Whom {
    pub(super) node: NodeId,
    pub(super) policy_slots: Arc<crate::driver::PolicySlots>,
    pub(super) naming: Box<dyn Fn(Vec<String>) + Send + Sync>,
}

impl Policies {
    /// Fills the seats of this node and keeps them filled. What is wished decides when this returns, unless it
    /// takes longer than `policies.start` to compile.
    ///
    /// # Errors
    /// When a folder can't be made.
    pub async fn start(config: PoliciesConfig, driver: &Arc<Driver>) -> anyhow::Result<Arc<Self>> {
        let node = Arc::downgrade(driver);
        let whom = Whom {
            node: driver.id(),
            policy_slots: Arc::clone(driver.policy_slots()),
            naming: Box::new(move |names| {
                if let Some(node) = node.upgrade() {
                    node.name_policies(names);
                }
            }),
        };
        let policies = Self::of(config, driver.settings(), whom).await?;
        let status = Arc::clone(&policies.status);
        driver.metrics().show_policies(move || status.figures());
        Ok(policies)
    }

    /// Fills the seats of these judges.
    pub(super) async fn of(
        config: PoliciesConfig,
        settings: &Settings,
        whom: Whom,
    ) -> anyhow::Result<Arc<Self>> {
        let folder = Folder::new(config.folder.clone());
        let made = folder.clone();
        blocking(move || made.make()).await.with_context(|| {
            let folder = config.folder.display();
            format!("making the folder of policies {folder}; choose another one with --policies")
        })?;
        let (history, shown) = (config.history.clone(), config.history.display().to_string());
        let history = blocking(move || History::open(history)).await;
        let history =
            history.with_context(|| format!("opening the folder of good policies {shown}"))?;
        let history = Arc::new(Mutex::new(history));
        let status = Arc::new(PolicyStatus::new(config.folder.display().to_string()));
        let look = Arc::new(Notify::new());
        let (filled, are_filled) = oneshot::channel();
        let mut controller = Controller::new(ControllerParts {
            folder: folder.clone(),
            history: Arc::clone(&history),
            compiler: Arc::clone(&config.compiler),
            policy_slots: whom.policy_slots,
            node: whom.node,
            status: Arc::clone(&status),
            look: Arc::clone(&look),
            naming: whom.naming,
            filled,
        });
        let (commands, mut waiting) = mpsc::channel(limits::POLICY_COMMANDS_MAX);
        let (tasks, stopping) = (TaskTracker::new(), CancellationToken::new());
        let pace = Pace {
            debounce: settings.policies_debounce,
            rescan: settings.policies_rescan,
        };
        let of_watcher = Arc::clone(&status);
        let tells = move |trouble| of_watcher.tell_of_watch(trouble);
        let watching = watcher::watch(config.folder, pace, look, tells, stopping.clone());
        tasks.spawn(watching);
        let end = stopping.clone();
        let of_controller = Arc::clone(&status);
        tasks.spawn(async move {
            let looking_after = async {
                carried_on(controller.begin(), &of_controller).await;
                while !carried_on(controller.run(&mut waiting), &of_controller).await {
                    // It may go wrong again at once.
                    sleep(PAUSE_AFTER_PANIC).await;
                }
            };
            end.run_until_cancelled(looking_after).await;
            controller.end().await;
        });
        if timeout(settings.policies_start, are_filled).await.is_err() {
            tracing::warn!(
                "policies take long to compile; native stand-ins decide until they are ready"
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

    /// Begins no change any more, and lets those go that wait for one.
    pub fn cease(&self) {
        self.stopping.cancel();
    }

    /// Ends the watching and waits for it. A change that is under way is left as it is: what is in the
    /// folder is whole, and is acted on at the next start.
    pub async fn stop(&self) {
        self.cease();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// The figures of this moment.
    #[must_use]
    pub fn figures(&self) -> Vec<PolicyFigures> {
        self.status.figures()
    }

    /// Waits for what a change needs before its turn comes, so that it holds up no other: nothing is compiled then.
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

    /// Has a file compiled, if it is one that is wished by name. What is wrong with it is found when its turn comes.
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

    /// What compiling a file leads to.
    ///
    /// # Errors
    /// When its turn does not come.
    async fn compile(
        &self,
        kind: Kind,
        name: &str,
        wasm: &Bytes,
    ) -> Result<Result<Program, Refusal>, PolicyError> {
        if let Some(known) = self.compiler.known(Digest::of(wasm)) {
            return Ok(known);
        }
        let _told = self.status.prepare(kind, name);
        let turn = self.turn(Lane::Kind(kind)).await?;
        Ok(self.compiler.compile_in(turn, wasm).await)
    }

    async fn turn(&self, lane: Lane) -> Result<OwnedSemaphorePermit, PolicyError> {
        let patience = Duration::from_millis(limits::POLICY_TURN_MS_MAX);
        let turn = timeout(patience, self.compiler.turn(lane)).await;
        turn.map_err(|_| too_many())
    }

    /// Finds out what a file is that is to be installed, and refuses it if it answers badly.
    async fn examine(
        &self,
        name: &PolicyName,
        wasm: &Bytes,
        insists: bool,
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
        // What is wrong otherwise is found when its turn comes.
        if let (Ok(kind), Some(about), false) = (finding.kind, finding.about, insists) {
            self.question(kind, name, wasm, &about).await?;
        }
        Ok(program)
    }

    /// Puts the questions of its kind to a file that is to be installed, with the configuration of its table if it is
    /// what is wished. One that wants a configuration and has no table is not asked.
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
                "{name}: {reason} (--force, or ?force=true, insists)"
            ))
        })
    }

    /// The files that can be gone back to, compiled, and that of who decides, which may be all that is written down.
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
                // One that can't be compiled need not be the one that is meant.
                programs.extend(self.compile(kind, &name, &wasm).await?);
            }
        }
        Ok(programs)
    }

    /// Has something done when its turn comes, for which this was compiled.
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
                // Its turn may have come at the last moment.
                begun.try_recv().map_err(|_| too_many())?;
            }
        }
        let deadline = Duration::from_millis(limits::POLICY_COMMAND_MS_MAX);
        match timeout(deadline, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) if self.stopping.is_cancelled() => Err(stopping()),
            Ok(Err(_)) => Err(PolicyError::Failed(
                "the change broke off for a reason that lies in the node; its log has it".to_owned(),
            )),
            Err(_) => Err(PolicyError::Failed(
                "the change takes longer than a request may; it goes on, and `policy list` will tell what became of it"
                    .to_owned(),
            )),
        }
    }
}

/// Whether this went to its end. If it panicked, that is told, and whoever decides goes on.
async fn carried_on(work: impl Future<Output = ()>, status: &PolicyStatus) -> bool {
    let Err(panic) = AssertUnwindSafe(work).catch_unwind().await else {
        return true;
    };
    let reason = panic_text(&*panic);
    tracing::error!(
        reason,
        "looking after the policies panicked; who decides goes on"
    );
    status.tell_of_mishap(Some(format!(
        "looking after the policies failed inside the node: {reason}; who decides goes on"
    )));
    false
}

/// The policy that was compiled for a change; none if it is refused, which is told when the turn comes.
///
/// # Errors
/// When it can't be compiled now: nothing is begun then.
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
        "too many changes of policies are waiting; nothing was changed, so try again later"
            .to_owned(),
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
        insists: bool,
    ) -> Result<Available, PolicyError> {
        let name = named(name)?;
        let program = self.ready(self.examine(&name, &wasm, insists)).await?;
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
        self.ask(programs, |answer| Task::Wish(kind, spec, answer))
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
