//! `Controller`: the task that brings the policies that run in line with what `policies.toml` asks for, and performs
//! requested changes, one at a time.
//!
//! It wakes when the policies folder may have changed, when a policy has faults, and for each command. A problem is
//! logged and published in the status, and the policy that runs stays. Each kind has a `kind_state`. `swap` replaces
//! one policy by another, `source` finds policies, `fallback` chooses the policy that decides when the desired one
//! can't, `shadow` starts and ends shadows, `commands` performs requested changes, and among them `rollback`.
//!
//! It does not wait for the compilation of new policies: desired ones are compiled in the background (`compilation`),
//! a command's policies were compiled before its turn came (`live`), and other files are inspected in the background
//! (`inspection`). It waits for the compiler in two cases: for a policy to fall back to (`fallback`), whose code is
//! usually in the compile cache, and when the file that a command names is changed during the command.

mod commands;
mod compilation;
mod fallback;
mod inspection;
mod kind_state;
mod rollback;
mod shadow;
mod source;
mod swap;

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use dataverse_core::content::Digest;
use dataverse_core::id::NodeId;
use dataverse_core::policy::Kind;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};

pub(super) use commands::{Answer, PolicyCommand, Task};

use super::compiler::{PolicyCompiler, blocking};
use super::folder::{Folder, Listing};
use super::running::{Running, now};
use crate::driver::PolicySlots;
use crate::policies::history::History;
use crate::policies::spec_file::Specs;
use crate::policies::status::{PolicyStatus, Report};
use inspection::Inspection;
use kind_state::KindState;

/// How often the controller checks whether a policy has failed or passed its probation.
const REVIEW_EVERY: Duration = Duration::from_secs(1);

/// Publishes the names of the active policies in gossip.
pub(super) type PublishNames = Box<dyn Fn(Vec<String>) + Send + Sync>;

/// What a controller needs.
pub(super) struct ControllerParts {
    /// The policies folder.
    pub(super) folder: Folder,
    /// The good and barred policies.
    pub(super) history: Arc<Mutex<History>>,
    /// Compiles policies.
    pub(super) compiler: Arc<PolicyCompiler>,
    /// The slots that it fills.
    pub(super) policy_slots: Arc<PolicySlots>,
    /// The id of the node, from which seeds of policies are derived.
    pub(super) node: NodeId,
    /// Where it publishes its state.
    pub(super) status: Arc<PolicyStatus>,
    /// Wakes it: the folder may have changed, or a policy has had faults.
    pub(super) look: Arc<Notify>,
    /// Publishes the names of the active policies.
    pub(super) publish_names: PublishNames,
    /// Signalled once every slot has been filled for the first time, if only by the baseline.
    pub(super) filled: oneshot::Sender<()>,
}

/// Owns the state of each kind and performs all changes of policies.
pub(super) struct Controller {
    folder: Folder,
    history: Arc<Mutex<History>>,
    compiler: Arc<PolicyCompiler>,
    policy_slots: Arc<PolicySlots>,
    node: NodeId,
    status: Arc<PolicyStatus>,
    look: Arc<Notify>,
    publish_names: PublishNames,
    filled: Option<oneshot::Sender<()>>,
    inspection: Option<Inspection>,
    listing: Arc<Listing>,
    kinds: [KindState; Kind::ALL.len()],
    /// Why `policies.toml` or the folder as a whole is refused.
    refused_whole: Option<String>,
}

impl Controller {
    /// A controller that has not read the folder yet.
    pub(super) fn new(parts: ControllerParts) -> Self {
        Self {
            folder: parts.folder,
            history: parts.history,
            compiler: parts.compiler,
            policy_slots: parts.policy_slots,
            node: parts.node,
            status: parts.status,
            look: parts.look,
            publish_names: parts.publish_names,
            filled: Some(parts.filled),
            inspection: None,
            listing: Arc::default(),
            kinds: Default::default(),
            refused_whole: None,
        }
    }

    /// Fills the slots for the first time; those whose policy must be compiled follow later.
    pub(super) async fn begin(&mut self) {
        for kind_state in &mut self.kinds {
            kind_state.baseline_since = now();
        }
        self.publish();
        self.reconcile().await;
    }

    /// Runs until no more commands can come.
    pub(super) async fn run(&mut self, commands: &mut mpsc::Receiver<PolicyCommand>) {
        let look = Arc::clone(&self.look);
        let mut review = interval(REVIEW_EVERY);
        review.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.inspect();
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(command) => self.perform(command).await,
                    None => return,
                },
                () = look.notified() => self.reconcile().await,
                _ = review.tick() => if self.review().await {
                    self.publish();
                },
                answer = Inspection::answered(&mut self.inspection) => {
                    self.take_note_of(answer);
                    self.publish();
                }
            }
        }
    }

    /// Ends the shadows and saves the history, since the last save may have been interrupted. The active policies go
    /// on.
    pub(super) async fn end(&mut self) {
        self.save_history().await;
        for kind in Kind::ALL {
            self.end_shadow(kind).await;
        }
    }

    /// Brings what runs in line with what the folder asks for.
    pub(super) async fn reconcile(&mut self) {
        self.review().await;
        self.read_folder().await;
        for kind in Kind::ALL {
            self.reconcile_kind(kind).await;
            self.reconcile_shadow(kind).await;
        }
        self.publish();
        self.status.set_panic(None);
        let are_filled = self.kinds.iter().all(|kind_state| kind_state.is_filled);
        if let Some(filled) = self.filled.take_if(|_| are_filled) {
            // The starting node may have stopped waiting.
            let _ = filled.send(());
        }
    }

    /// Reads the policy files and `policies.toml`.
    async fn read_folder(&mut self) {
        let (folder, before) = (self.folder.clone(), Arc::clone(&self.listing));
        let listed = blocking(move || folder.list(&before)).await;
        let specs = match listed {
            Err(error) => {
                tracing::warn!(folder = %self.folder.path().display(), %error, "the policies folder can't be read; the policies that run stay");
                let advice = match error.kind() {
                    io::ErrorKind::NotFound => {
                        "; create it again, or start the node with --policies DIR"
                    }
                    io::ErrorKind::PermissionDenied => "; let the user that runs the node read it",
                    io::ErrorKind::NotADirectory => "; a file is in its place: rename it",
                    _ => "",
                };
                Err(format!(
                    "the policies folder can't be read: {error}{advice}"
                ))
            }
            Ok(listing) => {
                self.listing = Arc::new(listing);
                match &self.listing.specs {
                    None => Ok(Specs::none()),
                    Some(Err(reason)) => Err(reason.clone()),
                    Some(Ok(text)) => Specs::parse(text),
                }
            }
        };
        match specs {
            Ok(specs) => {
                self.refused_whole = None;
                for kind in Kind::ALL {
                    self.kinds[kind as usize].take_note(specs.of(kind));
                }
            }
            Err(reason) => {
                if self.refused_whole.as_ref() != Some(&reason) {
                    tracing::warn!(
                        reason,
                        "policies.toml is refused; the policies that run stay"
                    );
                }
                self.refused_whole = Some(reason);
            }
        }
    }

    /// Rolls back policies that failed their probation and records those that passed it. True if anything changed.
    async fn review(&mut self) -> bool {
        let mut changed = false;
        for kind in Kind::ALL {
            let Some(running) = self.kinds[kind as usize].active.clone() else {
                continue;
            };
            if running.has_failed() {
                self.roll_back(kind, &running).await;
                changed = true;
            } else if !self.kinds[kind as usize].proved && running.has_proved_itself() {
                self.kinds[kind as usize].proved = true;
                let (policy, decision) = (running.policy_ref.to_string(), kind.as_str());
                tracing::info!(decision, policy, "policy passed its probation");
                self.note_good(kind, &running).await;
                changed = true;
            }
        }
        changed
    }

    /// Works on the history, on a thread that may block.
    async fn history<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut History) -> T + Send + 'static,
    ) -> T {
        let history = Arc::clone(&self.history);
        blocking(move || {
            let mut history = history.lock();
            work(&mut history)
        })
        .await
    }

    /// Writes the history to disk.
    async fn save_history(&self) {
        let active = self.kinds.iter().filter_map(|it| it.active.as_ref());
        let in_use: BTreeSet<_> = active.map(|running| running.policy_ref.digest.0).collect();
        if let Err(error) = self.history(move |history| history.save(&in_use)).await {
            tracing::warn!(%error, "the history of policies can't be saved; a rollback after a restart may miss the latest ones");
        }
    }

    /// The only randomness that a policy gets: different on every node, and the same after a restart.
    fn seed(&self, kind: Kind) -> u64 {
        let mut of = self.node.as_bytes().to_vec();
        of.extend(kind.as_str().bytes());
        let digest = Digest::of(&of).0;
        u64::from_be_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
    }

    /// Publishes the current state.
    pub(super) fn publish(&self) {
        self.status.publish(self.report());
        self.publish_active();
    }

    /// Publishes the current state after a swap of this kind.
    pub(super) fn publish_change(&self, kind: Kind, before: Option<&Running>) {
        self.status.publish_swap(kind, before, self.report());
        self.publish_active();
    }

    fn report(&self) -> Report {
        let history = self.history.lock();
        let mut report = Report::default();
        for kind in Kind::ALL {
            let whole = self.refused_whole.as_deref();
            let (kind_state, revision) = (&self.kinds[kind as usize], self.revision(kind));
            let table = self.table(kind);
            report.kinds[kind as usize] = kind_state.report(kind, &history, whole, revision, table);
        }
        drop(history);
        report.available = source::available(&self.listing, &self.compiler);
        let ignored = self.listing.ignored.clone();
        report.last_error = self.refused_whole.clone().or(ignored);
        report
    }

    /// Publishes the names of the active policies in gossip.
    fn publish_active(&self) {
        let named = Kind::ALL.into_iter().filter_map(|kind| {
            let active = self.kinds[kind as usize].active.as_ref()?;
            Some(active.policy_ref.tag(kind))
        });
        (self.publish_names)(named.collect());
    }
}
