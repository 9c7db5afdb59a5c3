//! The steward of a node's policies: one task that brings what runs in line with what is wished, and makes
//! the changes that are asked of it, one at a time.
//!
//! It is woken when the folder may have changed, when a policy is in trouble, and by errands. What it finds
//! wrong it reports and leaves: what ran goes on. `swap` is how one policy follows another, `source` where a
//! policy is found, `fallback` who decides when the one that is wished can't, `shadow` who is asked beside,
//! `commands` what may be asked of the steward and `returning` the way back by hand.
//!
//! It does not compile what is new: what is wished is compiled aside (`compilation`), what an errand needs was compiled
//! before its turn came (`live`), and files that nobody wishes for are got to know by the way (`inspection`). It waits
//! for a compiler in two cases: when it goes back to a policy that did well before (`fallback`), whose code is in the
//! compile cache as a rule, and when a file that an errand wishes for is changed in the middle of it.

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

/// How often it looks whether a policy has proved itself.
const REVIEW_EVERY: Duration = Duration::from_secs(1);

/// Tells others what the policies that decide are called.
pub(super) type Naming = Box<dyn Fn(Vec<String>) + Send + Sync>;

/// What a steward needs.
pub(super) struct ControllerParts {
    /// The folder of policies.
    pub(super) folder: Folder,
    /// What is remembered.
    pub(super) history: Arc<Mutex<History>>,
    /// Where policies are compiled.
    pub(super) compiler: Arc<PolicyCompiler>,
    /// Whose seats it fills.
    pub(super) policy_slots: Arc<PolicySlots>,
    /// Of whom it is the steward.
    pub(super) node: NodeId,
    /// Where it tells how things stand.
    pub(super) status: Arc<PolicyStatus>,
    /// Wakes it.
    pub(super) look: Arc<Notify>,
    /// Tells others.
    pub(super) naming: Naming,
    /// PolicyStatus when every seat was filled for the first time, if only by the baseline.
    pub(super) filled: oneshot::Sender<()>,
}

/// The steward.
pub(super) struct Controller {
    folder: Folder,
    history: Arc<Mutex<History>>,
    compiler: Arc<PolicyCompiler>,
    policy_slots: Arc<PolicySlots>,
    node: NodeId,
    status: Arc<PolicyStatus>,
    look: Arc<Notify>,
    naming: Naming,
    filled: Option<oneshot::Sender<()>>,
    inspection: Option<Inspection>,
    listing: Arc<Listing>,
    kinds: [KindState; Kind::ALL.len()],
    /// Why `policies.toml` or the folder as a whole is refused.
    refused_whole: Option<String>,
}

impl Controller {
    /// A steward who has not looked yet.
    pub(super) fn new(parts: ControllerParts) -> Self {
        Self {
            folder: parts.folder,
            history: parts.history,
            compiler: parts.compiler,
            policy_slots: parts.policy_slots,
            node: parts.node,
            status: parts.status,
            look: parts.look,
            naming: parts.naming,
            filled: Some(parts.filled),
            inspection: None,
            listing: Arc::default(),
            kinds: Default::default(),
            refused_whole: None,
        }
    }

    /// Begins to fill the seats for the first time. What has to be compiled first follows.
    pub(super) async fn begin(&mut self) {
        for kind_state in &mut self.kinds {
            kind_state.baseline_since = now();
        }
        self.publish();
        self.reconcile().await;
    }

    /// Looks after the policies until nobody can ask anything any more.
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

    /// Asks nobody beside any more, and makes durable what is remembered, of which the last step may have been
    /// cut off. Who decides goes on.
    pub(super) async fn end(&mut self) {
        self.save_history().await;
        for kind in Kind::ALL {
            self.end_shadow(kind).await;
        }
    }

    /// Brings what runs in line with what is wished.
    pub(super) async fn reconcile(&mut self) {
        self.review().await;
        self.look_at_folder().await;
        for kind in Kind::ALL {
            self.fulfil(kind).await;
            self.fulfil_shadow(kind).await;
        }
        self.publish();
        self.status.tell_of_mishap(None);
        let are_filled = self.kinds.iter().all(|kind_state| kind_state.begun);
        if let Some(filled) = self.filled.take_if(|_| are_filled) {
            // Whoever starts may not have waited for it.
            let _ = filled.send(());
        }
    }

    /// Reads what is there and what is wished.
    async fn look_at_folder(&mut self) {
        let (folder, before) = (self.folder.clone(), Arc::clone(&self.listing));
        let listed = blocking(move || folder.list(&before)).await;
        let specs = match listed {
            Err(error) => {
                tracing::warn!(folder = %self.folder.path().display(), %error, "the folder of policies can't be read");
                let advice = match error.kind() {
                    io::ErrorKind::NotFound => {
                        "; make it again, or start the node with --policies DIR"
                    }
                    io::ErrorKind::PermissionDenied => "; let the user that runs the node read it",
                    io::ErrorKind::NotADirectory => "; there is a file in its place: rename it",
                    _ => "",
                };
                Err(format!(
                    "the folder of policies can't be read: {error}{advice}"
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
                        "the wishes for policies are refused; what ran goes on"
                    );
                }
                self.refused_whole = Some(reason);
            }
        }
    }

    /// Looks how the policies do that decide. True when something has changed.
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
                let (policy, decision) = (running.reference.to_string(), kind.as_str());
                tracing::info!(decision, policy, "a policy has passed its probation");
                self.note_good(kind, &running).await;
                changed = true;
            }
        }
        changed
    }

    /// Does something with what is remembered, on a thread that may block.
    async fn history<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut History) -> T + Send + 'static,
    ) -> T {
        let history = Arc::clone(&self.history);
        blocking(move || {
            // A step that panicked has left a list of whole entries.
            let mut history = history.lock();
            work(&mut history)
        })
        .await
    }

    /// Makes what is remembered durable.
    async fn save_history(&self) {
        let active = self.kinds.iter().filter_map(|it| it.active.as_ref());
        let in_use: BTreeSet<_> = active.map(|running| running.reference.digest.0).collect();
        if let Err(error) = self.history(move |history| history.save(&in_use)).await {
            tracing::warn!(%error, "which policies were good can't be written down");
        }
    }

    /// The only randomness that a policy gets: another one on every node, and the same after a restart.
    fn seed(&self, kind: Kind) -> u64 {
        let mut of = self.node.as_bytes().to_vec();
        of.extend(kind.as_str().bytes());
        let digest = Digest::of(&of).0;
        u64::from_be_bytes(digest[..8].try_into().expect("a digest is longer"))
    }

    /// Tells how things stand.
    pub(super) fn publish(&self) {
        self.status.tell(self.report());
        self.name();
    }

    /// Tells how things stand, now that somebody else decides.
    pub(super) fn publish_change(&self, kind: Kind, before: Option<&Running>) {
        self.status.tell_of_change(kind, before, self.report());
        self.name();
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
        let passed_over = self.listing.passed_over.clone();
        report.last_error = self.refused_whole.clone().or(passed_over);
        report
    }

    /// Tells others who decides.
    fn name(&self) {
        let named = Kind::ALL.into_iter().filter_map(|kind| {
            let active = self.kinds[kind as usize].active.as_ref()?;
            Some(active.reference.tag(kind))
        });
        (self.naming)(named.collect());
    }
}
