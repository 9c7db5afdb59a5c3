//! Commands to the controller: install or remove a policy file, replace the spec of a kind, promote the shadow, roll
//! back.
//!
//! Everything is checked before anything is written, and the result is written to the policies folder as an
//! operator would: the folder stays the only place that says what is desired. Policies that a command needs were
//! compiled before its turn came; if one was not, the command is refused for now.

use std::io;

use bytes::Bytes;
use dataverse_core::content::Digest;
use dataverse_core::policy::Kind;
use dataverse_sandbox::{Program, Refusal};
use tokio::sync::oneshot;

use super::super::compiler::blocking;
use super::super::folder::{Found, Lock};
use super::super::name::PolicyName;
use super::super::table;
use super::super::view::{Available, KindView, Origin};
use super::swap::{Candidate, FetchError};
use super::{Controller, source};
use crate::limits;
use crate::metrics::Swap;
use crate::policies::api::PolicyError;
use crate::policies::reference::{PolicyRef, short};
use crate::policies::spec::KindSpec;
use crate::policies::spec_file::{Desired, TEMPLATE};

/// Where the outcome of a command is sent.
pub(in crate::policies) type Answer<T> = oneshot::Sender<Result<T, PolicyError>>;

/// A task and what it needs when its turn comes.
pub(in crate::policies) struct PolicyCommand {
    /// Signals that the turn has come. If the caller has given up by then, the task is not performed.
    pub(in crate::policies) begins: oneshot::Sender<()>,
    /// Programs compiled for it, held so that they are in memory when the turn comes.
    pub(in crate::policies) programs: Vec<Program>,
    /// What to do.
    pub(in crate::policies) task: Task,
}

/// A change of policies.
pub(in crate::policies) enum Task {
    /// Put a file into the folder.
    Install(PolicyName, Bytes, Answer<Available>),
    /// Remove a file from the folder.
    Remove(PolicyName, Answer<()>),
    /// Replace the table of a kind.
    SetSpec(Kind, KindSpec, Answer<KindView>),
    /// Make the shadow the active policy, if the revision is still this one.
    Promote(Kind, Option<String>, Answer<KindView>),
    /// Roll back to the previous policy or to the named one, if the revision is still this one.
    Rollback(Kind, Option<String>, Option<String>, Answer<KindView>),
}

impl Controller {
    /// Performs a task, unless its caller has given up. Once begun it is completed.
    pub(super) async fn perform(&mut self, command: PolicyCommand) {
        if command.begins.send(()).is_err() {
            return;
        }
        self.compiler.keep(&command.programs);
        match command.task {
            Task::Install(name, wasm, answer) => {
                let _ = answer.send(self.install(&name, wasm).await);
            }
            Task::Remove(name, answer) => {
                let _ = answer.send(self.remove(&name).await);
            }
            Task::SetSpec(kind, spec, answer) => {
                let _ = answer.send(self.spec(kind, &spec).await);
            }
            Task::Promote(kind, seen, answer) => {
                let promoted = match self.changed_since(kind, seen).await {
                    Some(view) => view,
                    None => self.promote(kind).await,
                };
                let _ = answer.send(promoted);
            }
            Task::Rollback(kind, to, seen, answer) => {
                let returned = match self.changed_since(kind, seen).await {
                    Some(view) => view,
                    None => self.roll_back_to(kind, to.as_deref()).await,
                };
                let _ = answer.send(returned);
            }
        }
    }

    async fn install(&mut self, name: &PolicyName, wasm: Bytes) -> Result<Available, PolicyError> {
        self.read_folder().await;
        let digest = Digest::of(&wasm);
        let finding = self.compiler.inspected(digest).map_err(refused)?;
        let kind = finding.kind.map_err(refused)?;
        let about = source::of_file(&self.compiler, name, digest, wasm.len() as u64);
        if let Some(reason) = &about.error {
            return Err(PolicyError::Refused(format!("{name}: {reason}")));
        }
        let desired = self.table(kind);
        if desired.policy == name.as_str() {
            let policy_ref = PolicyRef::new(name, Origin::Folder, digest, &desired);
            self.run_canary_of(kind, policy_ref, &wasm).await?;
        }
        {
            let _lock = self.lock().await?;
            self.read_folder().await;
            self.may_be_replaced(name, kind)?;
            let (folder, file) = (self.folder.clone(), name.clone());
            let written = blocking(move || folder.put(&file, &wasm)).await;
            written.map_err(|error| failed(&name.file(), &error))?;
        }
        tracing::info!(policy = name.as_str(), %digest, "policy file installed");
        self.reconcile().await;
        let found = self.listing.files.get(name);
        if let Some(Ok(found)) = found.filter(|found| !is_file_of(found, digest)) {
            let other = short(found.digest);
            return Err(PolicyError::Conflict(format!(
                "{name}.wasm was installed and has been replaced by another file since (digest {other}): somebody else changed it at the same time"
            )));
        }
        let kind_state = &self.kinds[kind as usize];
        let decides = kind_state
            .active
            .as_ref()
            .is_some_and(|it| it.policy_ref.digest == digest);
        match kind_state.error() {
            Some(reason) if desired.policy == name.as_str() && !decides => {
                Err(PolicyError::Refused(reason))
            }
            _ => Ok(source::of_file(&self.compiler, name, digest, about.size)),
        }
    }

    /// Refuses to replace a file that is in use for another kind.
    pub(super) fn may_be_replaced(&self, name: &PolicyName, kind: Kind) -> Result<(), PolicyError> {
        let others = Kind::ALL.into_iter().filter(|&other| other != kind);
        for other in others {
            if let Some(role) = self.role(name, other) {
                return Err(PolicyError::InUse(format!(
                    "{name}.wasm is {role} {other} policy, and this is a {kind} policy: choose another name"
                )));
            }
        }
        Ok(())
    }

    async fn remove(&mut self, name: &PolicyName) -> Result<(), PolicyError> {
        self.remove_file(name).await?;
        self.reconcile().await;
        Ok(())
    }

    async fn remove_file(&mut self, name: &PolicyName) -> Result<(), PolicyError> {
        let _lock = self.lock().await?;
        self.read_folder().await;
        let file = name.file();
        if !self.listing.files.contains_key(name) {
            return Err(PolicyError::NotFound(format!(
                "there is no {file} in the folder"
            )));
        }
        for kind in Kind::ALL {
            if let Some(role) = self.role(name, kind) {
                return Err(PolicyError::InUse(format!(
                    "{file} is {role} {kind} policy: use another policy first"
                )));
            }
        }
        let (folder, removed) = (self.folder.clone(), name.clone());
        match blocking(move || folder.remove(&removed)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(&file, &error));
            }
            _ => tracing::info!(policy = name.as_str(), "policy file removed"),
        }
        Ok(())
    }

    /// The role that the file of this name has for this kind, if any.
    fn role(&self, name: &PolicyName, kind: Kind) -> Option<&'static str> {
        let kind_state = &self.kinds[kind as usize];
        let is_file = |policy_ref: &PolicyRef| {
            policy_ref.name == *name && policy_ref.origin == Origin::Folder
        };
        let provides = |desired: &str| {
            let file = source::find(&self.listing, &self.compiler, kind, name);
            desired == name.as_str() && file.is_ok_and(|it| it.origin() == Origin::Folder)
        };
        let table = self.table(kind);
        if kind_state
            .active
            .as_ref()
            .is_some_and(|running| is_file(&running.policy_ref))
        {
            Some("the active")
        } else if kind_state
            .shadow
            .as_ref()
            .is_some_and(|shadow| is_file(&shadow.policy_ref))
        {
            Some("the shadow of the")
        } else if provides(&table.policy) {
            Some("the desired")
        } else if table.shadow.as_deref().is_some_and(provides) {
            Some("the desired shadow of the")
        } else {
            None
        }
    }

    async fn spec(&mut self, kind: Kind, spec: &KindSpec) -> Result<KindView, PolicyError> {
        self.read_folder().await;
        self.check(kind, spec)
            .await
            .inspect_err(|_| self.status.count(kind, Swap::Refused))?;
        {
            let _lock = self.lock().await?;
            self.read_folder().await;
            self.write_table(kind, spec).await?;
        }
        self.settle(kind, spec).await
    }

    /// Checks that a spec can be met.
    async fn check(&self, kind: Kind, spec: &KindSpec) -> Result<(), PolicyError> {
        let refuse = |reason: String| PolicyError::Refused(reason);
        spec.check().map_err(refuse)?;
        let name: PolicyName = (spec.policy.parse()).map_err(|bad| refuse(format!("{bad}")))?;
        if !source::is_baseline(&self.listing, &name) {
            let candidate = self.fetch(kind, spec).await;
            let candidate = candidate.map_err(|fetch_error| missing("", &fetch_error))?;
            self.may_run(kind, &candidate.policy_ref).await?;
            self.run_canary(kind, &candidate).await.map_err(refuse)?;
        }
        if let Some(table) = spec.of_shadow() {
            let refuse_shadow = |reason: String| refuse(format!("shadow: {reason}"));
            let candidate = self.fetch(kind, &table).await;
            let candidate = candidate.map_err(|fetch_error| missing("shadow: ", &fetch_error))?;
            self.run_canary(kind, &candidate)
                .await
                .map_err(refuse_shadow)?;
        }
        Ok(())
    }

    async fn may_run(&self, kind: Kind, policy_ref: &PolicyRef) -> Result<(), PolicyError> {
        let policy_ref = policy_ref.clone();
        let bar = self
            .history(move |history| history.bar_of(kind, &policy_ref).map(str::to_owned))
            .await;
        bar.map_or(Ok(()), |reason| Err(PolicyError::Refused(reason)))
    }

    /// Runs a canary of a policy, unless it is barred.
    pub(super) async fn run_canary_of(
        &self,
        kind: Kind,
        policy_ref: PolicyRef,
        wasm: &Bytes,
    ) -> Result<(), PolicyError> {
        self.may_run(kind, &policy_ref).await?;
        let candidate = Candidate {
            program: self.compiler.ready(wasm).await.map_err(refused)?,
            wasm: wasm.clone(),
            policy_ref,
        };
        let canary = self.run_canary(kind, &candidate).await;
        canary.map(drop).map_err(PolicyError::Refused)
    }

    /// Waits for the lock of the folder. It is held while files are read and written, and never during a compilation.
    pub(super) async fn lock(&self) -> Result<Lock, PolicyError> {
        let folder = self.folder.clone();
        let locked = blocking(move || folder.lock()).await;
        locked.map_err(|error| failed("the policies folder", &error))
    }

    /// Refuses to go on if the revision of a kind is no longer the one that was seen.
    pub(super) fn must_still_be(&self, kind: Kind, seen: &str) -> Result<(), PolicyError> {
        if self.revision(kind) == seen {
            return Ok(());
        }
        Err(PolicyError::Conflict(format!(
            "the {kind} policy was changed by somebody else at the same time; nothing was changed, try again"
        )))
    }

    /// The text of `policies.toml` with this spec.
    fn with_table(&self, kind: Kind, spec: &KindSpec) -> Result<String, PolicyError> {
        let before = match &self.listing.specs {
            None => TEMPLATE,
            Some(Ok(text)) => text,
            Some(Err(reason)) => return Err(PolicyError::Refused(reason.clone())),
        };
        let text = table::with_table(before, kind, spec).map_err(PolicyError::Refused)?;
        if text.len() as u64 > limits::POLICIES_TOML_BYTES_MAX {
            let most = limits::POLICIES_TOML_BYTES_MAX;
            let reason = format!("policies.toml would be longer than {most} bytes");
            return Err(PolicyError::Refused(reason));
        }
        Ok(text)
    }

    /// Writes this spec into `policies.toml`, as that was when it was last read.
    pub(super) async fn write_table(&self, kind: Kind, spec: &KindSpec) -> Result<(), PolicyError> {
        let text = self.with_table(kind, spec)?;
        let folder = self.folder.clone();
        let written = blocking(move || folder.put_specs(&text)).await;
        written.map_err(|error| failed("policies.toml", &error))
    }

    /// The current state of the kind, if its revision is no longer the one that the caller has seen. When nodes
    /// share a folder, another node has then made the change already, and it must not be made twice.
    async fn changed_since(
        &mut self,
        kind: Kind,
        seen: Option<String>,
    ) -> Option<Result<KindView, PolicyError>> {
        let seen = seen?;
        self.reconcile().await;
        (self.revision(kind) != seen).then(|| self.outcome_of(kind))
    }

    /// Acts on the spec that was written, and fails if it is no longer the desired one.
    pub(super) async fn settle(
        &mut self,
        kind: Kind,
        spec: &KindSpec,
    ) -> Result<KindView, PolicyError> {
        self.reconcile().await;
        // The policy was compiled beforehand. It is compiled again only if its file was changed since, or its code
        // was dropped for that of others. If somebody else has changed the spec meanwhile, that is not waited for.
        while self.table(kind).asks_same_as(spec) && self.await_compilation(kind).await {
            self.reconcile().await;
        }
        let view = self.outcome_of(kind)?;
        if self.table(kind).asks_same_as(spec) {
            return Ok(view);
        }
        Err(PolicyError::Conflict(format!(
            "policies.toml asks for another {kind} policy by now: somebody else changed it at the same time"
        )))
    }

    /// The state of a kind, or why what runs is not what the spec asks for.
    fn outcome_of(&self, kind: Kind) -> Result<KindView, PolicyError> {
        let kind_state = &self.kinds[kind as usize];
        match self.refused_whole.clone().or_else(|| kind_state.error()) {
            Some(reason) => Err(PolicyError::Refused(reason)),
            None => Ok(self.status.view_of(kind)),
        }
    }

    async fn promote(&mut self, kind: Kind) -> Result<KindView, PolicyError> {
        self.read_folder().await;
        let seen = self.revision(kind);
        let spec = self.table(kind).of_shadow().ok_or_else(|| {
            PolicyError::NotFound(format!("the {kind} policy has no shadow to promote"))
        })?;
        self.check(kind, &spec)
            .await
            .inspect_err(|_| self.status.count(kind, Swap::Refused))?;
        {
            let _lock = self.lock().await?;
            self.read_folder().await;
            self.must_still_be(kind, &seen)?;
            self.write_table(kind, &spec).await?;
        }
        self.settle(kind, &spec).await
    }

    /// A word for what is desired of a kind: the same on all nodes that see the same folder.
    pub(super) fn revision(&self, kind: Kind) -> String {
        const SHOWN_DIGITS: usize = 16;
        let table = self.table(kind);
        let file = |name: &str| {
            let found = self.listing.files.get(&name.parse().ok()?)?;
            Some(found.as_ref().ok()?.digest.to_string())
        };
        let files = [file(&table.policy), table.shadow.as_deref().and_then(file)];
        let desired = serde_json::json!([kind.as_str(), table, files]).to_string();
        let mut revision = Digest::of(desired.as_bytes()).to_string();
        revision.truncate(SHOWN_DIGITS);
        revision
    }

    /// The desired spec of a kind.
    pub(super) fn table(&self, kind: Kind) -> KindSpec {
        let desired = self.kinds[kind as usize].desired.as_ref();
        desired.unwrap_or(&Desired::Default).table(kind)
    }
}

fn is_file_of(found: &Result<Found, String>, digest: Digest) -> bool {
    found.as_ref().is_ok_and(|found| found.digest == digest)
}

fn refused(refusal: Refusal) -> PolicyError {
    match refusal.may_pass() {
        true => PolicyError::Unavailable(refusal.to_string()),
        false => PolicyError::Refused(refusal.to_string()),
    }
}

/// The error for a policy that can't be fetched.
fn missing(role: &str, fetch_error: &FetchError) -> PolicyError {
    let reason = format!("{role}{}", fetch_error.reason);
    match fetch_error.may_pass {
        true => PolicyError::Unavailable(reason),
        false => PolicyError::Refused(reason),
    }
}

/// The error for a file that can't be read or written, with what to do about it.
pub(super) fn failed(file: &str, error: &io::Error) -> PolicyError {
    let advice = match error.kind() {
        // Something else is in its place; the error says what.
        io::ErrorKind::AlreadyExists => {
            return PolicyError::Conflict(format!("{file} can't be written: {error}"));
        }
        io::ErrorKind::NotFound => "if the policies folder is gone, create it again",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "let the user that runs the node write the policies folder, or change the file yourself: the node will follow"
        }
        io::ErrorKind::IsADirectory => "a folder has that name: rename it",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free space on that disk",
        _ => "see the log, and try again",
    };
    PolicyError::Failed(format!(
        "{file} can't be written or read: {error}; {advice}"
    ))
}
