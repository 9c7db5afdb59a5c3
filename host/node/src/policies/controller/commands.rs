//! What may be asked of the steward: to put a policy into the folder or take it out, to wish for another
//! one, to go back.
//!
//! Everything is checked before anything is written, and what is written is what an operator would write:
//! the folder says what is wished, and stays the only one that does. What has to be compiled was compiled before;
//! where it was not, the errand is refused for now.

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
use super::swap::{Candidate, Missed};
use super::{Controller, source};
use crate::limits;
use crate::metrics::Swap;
use crate::policies::api::PolicyError;
use crate::policies::reference::{PolicyRef, short};
use crate::policies::spec::KindSpec;
use crate::policies::spec_file::{Desired, TEMPLATE};

/// Whoever asked is told here what became of it.
pub(in crate::policies) type Answer<T> = oneshot::Sender<Result<T, PolicyError>>;

/// Something that is asked, when its turn comes.
pub(in crate::policies) struct PolicyCommand {
    /// PolicyStatus that the turn has come. Whoever asked may have given up by then, and then it is not done.
    pub(in crate::policies) begins: oneshot::Sender<()>,
    /// What was compiled for it, so that it is there when the turn comes.
    pub(in crate::policies) programs: Vec<Program>,
    /// What is to be done.
    pub(in crate::policies) task: Task,
}

/// Something to be done.
pub(in crate::policies) enum Task {
    /// To put a file into the folder.
    Install(PolicyName, Bytes, Answer<Available>),
    /// To take one out.
    Remove(PolicyName, Answer<()>),
    /// To replace the table of a kind.
    Wish(Kind, KindSpec, Answer<KindView>),
    /// To let the shadow decide, if this still is what is wished.
    Promote(Kind, Option<String>, Answer<KindView>),
    /// To let the one before decide, or the one that is named, if this still is what is wished.
    Rollback(Kind, Option<String>, Option<String>, Answer<KindView>),
}

impl Controller {
    /// Does it, unless nobody waits for it any more. Once begun it is carried through.
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
            Task::Wish(kind, spec, answer) => {
                let _ = answer.send(self.spec(kind, &spec).await);
            }
            Task::Promote(kind, seen, answer) => {
                let promoted = match self.moved_on(kind, seen).await {
                    Some(view) => view,
                    None => self.promote(kind).await,
                };
                let _ = answer.send(promoted);
            }
            Task::Rollback(kind, to, seen, answer) => {
                let returned = match self.moved_on(kind, seen).await {
                    Some(view) => view,
                    None => self.go_to_previous(kind, to.as_deref()).await,
                };
                let _ = answer.send(returned);
            }
        }
    }

    async fn install(&mut self, name: &PolicyName, wasm: Bytes) -> Result<Available, PolicyError> {
        self.look_at_folder().await;
        let digest = Digest::of(&wasm);
        let finding = self.compiler.inspected(digest).map_err(refused)?;
        let kind = finding.kind.map_err(refused)?;
        let about = source::of_file(&self.compiler, name, digest, wasm.len() as u64);
        if let Some(reason) = &about.error {
            return Err(PolicyError::Refused(format!("{name}: {reason}")));
        }
        let desired = self.table(kind);
        if desired.policy == name.as_str() {
            let reference = PolicyRef::new(name, Origin::Folder, digest, &desired);
            self.rehearse_bytes(kind, reference, &wasm).await?;
        }
        {
            let _lock = self.lock().await?;
            self.look_at_folder().await;
            self.may_be_replaced(name, kind)?;
            let (folder, file) = (self.folder.clone(), name.clone());
            let written = blocking(move || folder.put(&file, &wasm)).await;
            written.map_err(|error| failed(&name.file(), &error))?;
        }
        tracing::info!(policy = name.as_str(), %digest, "a policy was put into the folder");
        self.reconcile().await;
        let found = self.listing.files.get(name);
        if let Some(Ok(found)) = found.filter(|found| !is_file_of(found, digest)) {
            let other = short(found.digest);
            return Err(PolicyError::Conflict(format!(
                "{name}.wasm is another file by now (digest {other}): somebody else changed it at the same time"
            )));
        }
        let kind_state = &self.kinds[kind as usize];
        let decides = kind_state
            .active
            .as_ref()
            .is_some_and(|it| it.reference.digest == digest);
        match kind_state.error() {
            Some(reason) if desired.policy == name.as_str() && !decides => {
                Err(PolicyError::Refused(reason))
            }
            _ => Ok(source::of_file(&self.compiler, name, digest, about.size)),
        }
    }

    /// Whether a policy of this kind may take the place of the file of this name.
    pub(super) fn may_be_replaced(&self, name: &PolicyName, kind: Kind) -> Result<(), PolicyError> {
        let others = Kind::ALL.into_iter().filter(|&other| other != kind);
        for other in others {
            if let Some(role) = self.role(name, other) {
                return Err(PolicyError::InUse(format!(
                    "{name}.wasm is {role} {other} policy and this is a policy for {kind}: choose another name"
                )));
            }
        }
        Ok(())
    }

    async fn remove(&mut self, name: &PolicyName) -> Result<(), PolicyError> {
        self.take_out(name).await?;
        self.reconcile().await;
        Ok(())
    }

    async fn take_out(&mut self, name: &PolicyName) -> Result<(), PolicyError> {
        let _lock = self.lock().await?;
        self.look_at_folder().await;
        let file = name.file();
        if !self.listing.files.contains_key(name) {
            return Err(PolicyError::NotFound(format!(
                "there is no {file} in the folder"
            )));
        }
        for kind in Kind::ALL {
            if let Some(role) = self.role(name, kind) {
                return Err(PolicyError::InUse(format!(
                    "{file} is {role} {kind} policy: let another one decide first"
                )));
            }
        }
        let (folder, removed) = (self.folder.clone(), name.clone());
        match blocking(move || folder.remove(&removed)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(&file, &error));
            }
            _ => tracing::info!(
                policy = name.as_str(),
                "a policy was taken out of the folder"
            ),
        }
        Ok(())
    }

    /// For what the file of this name is needed by this kind.
    fn role(&self, name: &PolicyName, kind: Kind) -> Option<&'static str> {
        let kind_state = &self.kinds[kind as usize];
        let is_file =
            |reference: &PolicyRef| reference.name == *name && reference.origin == Origin::Folder;
        let provides = |desired: &str| {
            let file = source::find(&self.listing, &self.compiler, kind, name);
            desired == name.as_str() && file.is_ok_and(|it| it.origin() == Origin::Folder)
        };
        let table = self.table(kind);
        if kind_state
            .active
            .as_ref()
            .is_some_and(|running| is_file(&running.reference))
        {
            Some("the active")
        } else if kind_state
            .shadow
            .as_ref()
            .is_some_and(|shadow| is_file(&shadow.reference))
        {
            Some("the shadow of the")
        } else if provides(&table.policy) {
            Some("the wished")
        } else if table.shadow.as_deref().is_some_and(provides) {
            Some("the wished shadow of the")
        } else {
            None
        }
    }

    async fn spec(&mut self, kind: Kind, spec: &KindSpec) -> Result<KindView, PolicyError> {
        self.look_at_folder().await;
        self.check(kind, spec)
            .await
            .inspect_err(|_| self.status.count(kind, Swap::Refused))?;
        {
            let _lock = self.lock().await?;
            self.look_at_folder().await;
            self.write_table(kind, spec).await?;
        }
        self.settle(kind, spec).await
    }

    /// Checks that a table would be fulfilled.
    async fn check(&self, kind: Kind, spec: &KindSpec) -> Result<(), PolicyError> {
        let refuse = |reason: String| PolicyError::Refused(reason);
        spec.check().map_err(refuse)?;
        let name: PolicyName = (spec.policy.parse()).map_err(|bad| refuse(format!("{bad}")))?;
        if !source::is_baseline(&self.listing, &name) {
            let candidate = self.fetch(kind, spec).await;
            let candidate = candidate.map_err(|missed| missing("", &missed))?;
            self.may_run(kind, &candidate.reference).await?;
            self.rehearse(kind, &candidate).await.map_err(refuse)?;
        }
        if let Some(table) = spec.of_shadow() {
            let beside = |reason: String| refuse(format!("shadow: {reason}"));
            let candidate = self.fetch(kind, &table).await;
            let candidate = candidate.map_err(|missed| missing("shadow: ", &missed))?;
            self.rehearse(kind, &candidate).await.map_err(beside)?;
        }
        Ok(())
    }

    async fn may_run(&self, kind: Kind, reference: &PolicyRef) -> Result<(), PolicyError> {
        let reference = reference.clone();
        let bar = self
            .history(move |history| history.bar_of(kind, &reference).map(str::to_owned))
            .await;
        bar.map_or(Ok(()), |reason| Err(PolicyError::Refused(reason)))
    }

    /// Tries a policy as it is to be run, if it may.
    pub(super) async fn rehearse_bytes(
        &self,
        kind: Kind,
        reference: PolicyRef,
        wasm: &Bytes,
    ) -> Result<(), PolicyError> {
        self.may_run(kind, &reference).await?;
        let candidate = Candidate {
            program: self.compiler.ready(wasm).await.map_err(refused)?,
            wasm: wasm.clone(),
            reference,
        };
        let rehearsed = self.rehearse(kind, &candidate).await;
        rehearsed.map(drop).map_err(PolicyError::Refused)
    }

    /// Waits for the right to change the folder. It is held while files are read and written, and never while
    /// something is compiled.
    pub(super) async fn lock(&self) -> Result<Lock, PolicyError> {
        let folder = self.folder.clone();
        let locked = blocking(move || folder.lock()).await;
        locked.map_err(|error| failed("the folder of policies", &error))
    }

    /// Refuses to go on if something else is wished of a kind than when that was looked at.
    pub(super) fn must_be(&self, kind: Kind, seen: &str) -> Result<(), PolicyError> {
        if self.revision(kind) == seen {
            return Ok(());
        }
        Err(PolicyError::Conflict(format!(
            "what is wished for {kind} was changed by somebody else at the same time; nothing was changed"
        )))
    }

    /// `policies.toml` with this table.
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

    /// Writes this table into `policies.toml` as that was when it was last looked at.
    pub(super) async fn write_table(&self, kind: Kind, spec: &KindSpec) -> Result<(), PolicyError> {
        let text = self.with_table(kind, spec)?;
        let folder = self.folder.clone();
        let written = blocking(move || folder.put_specs(&text)).await;
        written.map_err(|error| failed("policies.toml", &error))
    }

    /// How things stand, if something else is wished by now than whoever asks has seen. The folder may be
    /// shared: then what is asked for was done already, and once more would be once too often.
    async fn moved_on(
        &mut self,
        kind: Kind,
        seen: Option<String>,
    ) -> Option<Result<KindView, PolicyError>> {
        let seen = seen?;
        self.reconcile().await;
        (self.revision(kind) != seen).then(|| self.stands(kind))
    }

    /// Acts on what was written, if it still is what is wished.
    pub(super) async fn settle(
        &mut self,
        kind: Kind,
        spec: &KindSpec,
    ) -> Result<KindView, PolicyError> {
        self.reconcile().await;
        // It was compiled beforehand; if it is compiled again, its file was changed since or it was forgotten for
        // others. What somebody else wishes by now is not waited for.
        while self.table(kind).parts(spec) && self.await_compilation(kind).await {
            self.reconcile().await;
        }
        let view = self.stands(kind)?;
        if self.table(kind).parts(spec) {
            return Ok(view);
        }
        Err(PolicyError::Conflict(format!(
            "policies.toml wishes something else for {kind} by now: somebody else changed it at the same time"
        )))
    }

    /// How things stand with a kind.
    fn stands(&self, kind: Kind) -> Result<KindView, PolicyError> {
        let kind_state = &self.kinds[kind as usize];
        match self.refused_whole.clone().or_else(|| kind_state.error()) {
            Some(reason) => Err(PolicyError::Refused(reason)),
            None => Ok(self.status.view_of(kind)),
        }
    }

    async fn promote(&mut self, kind: Kind) -> Result<KindView, PolicyError> {
        self.look_at_folder().await;
        let seen = self.revision(kind);
        let spec = self.table(kind).of_shadow().ok_or_else(|| {
            PolicyError::NotFound(format!("the {kind} policy has no shadow to promote"))
        })?;
        self.check(kind, &spec)
            .await
            .inspect_err(|_| self.status.count(kind, Swap::Refused))?;
        {
            let _lock = self.lock().await?;
            self.look_at_folder().await;
            self.must_be(kind, &seen)?;
            self.write_table(kind, &spec).await?;
        }
        self.settle(kind, &spec).await
    }

    /// What is wished of a kind, as a word: the same at all nodes that see the same folder.
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

    /// What is wished of a kind.
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

/// What is said when a policy can't be had.
fn missing(role: &str, missed: &Missed) -> PolicyError {
    let reason = format!("{role}{}", missed.reason);
    match missed.may_pass {
        true => PolicyError::Unavailable(reason),
        false => PolicyError::Refused(reason),
    }
}

/// What is said when a file can't be had, and what is to be done.
pub(super) fn failed(file: &str, error: &io::Error) -> PolicyError {
    let advice = match error.kind() {
        // There is something else in its place, of which the error tells.
        io::ErrorKind::AlreadyExists => {
            return PolicyError::Conflict(format!("{file} can't be written: {error}"));
        }
        io::ErrorKind::NotFound => "is the folder of policies still there? make it again",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "let the user that runs the node write the folder of policies, or change the file yourself: the node will follow"
        }
        io::ErrorKind::IsADirectory => "there is a folder of that name: rename it",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on that disk",
        _ => "see the log, and try again",
    };
    PolicyError::Failed(format!(
        "{file} can't be written or read: {error}; {advice}"
    ))
}
