//! Compiling aside: what is wished of one kind is compiled while the steward goes on with the others. When it is
//! done the steward looks again, and then it takes no time.

use std::sync::Arc;

use dataverse_core::content::Digest;
use dataverse_core::policy::Kind;
use dataverse_sandbox::Refusal;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::super::compiler::Lane;
use super::super::name::PolicyName;
use super::Controller;
use super::source::PolicySource;

/// For what a policy is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// To decide.
    Active,
    /// To be asked beside.
    Shadow,
}

impl Role {
    pub(super) const ALL: [Self; 2] = [Self::Active, Self::Shadow];
}

/// How far a policy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It takes no time any more to find out what compiling it leads to.
    Compiled,
    /// It is being compiled; the steward is woken afterwards.
    Underway,
}

/// A policy that is being compiled. One that is not wanted any more is not waited for; what has begun is compiled to
/// its end all the same.
pub(super) struct Compilation {
    pub(super) name: PolicyName,
    /// What its file was when that was last looked at.
    digest: Digest,
    /// How it ended, unless it has not; the error is one that may pass.
    ended: watch::Receiver<Option<Result<(), String>>>,
    task: AbortHandle,
}

impl Drop for Compilation {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Compilation {
    fn outcome(&self) -> Option<Result<(), String>> {
        let broke_off = || Err("compiling it broke off; the log has more".to_owned());
        match &*self.ended.borrow() {
            Some(outcome) => Some(outcome.clone()),
            None => self.ended.has_changed().is_err().then(broke_off),
        }
    }
}

impl Controller {
    /// Sees to it that this policy is compiled, without waiting for that.
    ///
    /// # Errors
    /// Why that could not be done, though it may be another time.
    pub(super) fn compile_in_background(
        &mut self,
        kind: Kind,
        role: Role,
        name: &PolicyName,
        source: PolicySource,
    ) -> Result<Progress, String> {
        let digest = source.digest();
        let slot = &mut self.kinds[kind as usize].compilation[role as usize];
        if self.compiler.is_compiled(digest) {
            *slot = None;
            return Ok(Progress::Compiled);
        }
        if let Some(compilation) = slot.take_if(|compilation| compilation.digest == digest) {
            return match compilation.outcome() {
                None => {
                    *slot = Some(compilation);
                    Ok(Progress::Underway)
                }
                // Where it is not known even so, the file is another one than the folder told, and that one is.
                Some(Ok(())) => Ok(Progress::Compiled),
                Some(Err(reason)) => Err(format!("{name}: {reason}")),
            };
        }
        let (compiler, folder) = (Arc::clone(&self.compiler), self.folder.clone());
        let (look, file) = (Arc::clone(&self.look), name.clone());
        let (tell, ended) = watch::channel(None);
        let task = tokio::spawn(async move {
            let outcome = match source.read(&folder, &file).await {
                Ok(wasm) => unless_it_may_pass(compiler.compile(&wasm, Lane::Kind(kind)).await),
                Err(error) => Err(format!("it can't be read: {error}")),
            };
            tell.send_replace(Some(outcome));
            look.notify_one();
        });
        *slot = Some(Compilation {
            name: name.clone(),
            digest,
            ended,
            task: task.abort_handle(),
        });
        Ok(Progress::Underway)
    }

    /// Has a file compiled that is another one than the folder told, or was forgotten since.
    ///
    /// # Errors
    /// See [`Controller::compile_in_background`].
    pub(super) fn compile_anew(
        &mut self,
        kind: Kind,
        role: Role,
        name: &PolicyName,
        file: Digest,
    ) -> Result<Progress, String> {
        self.listing = Arc::new(self.listing.verification(name));
        let progress = self.compile_in_background(kind, role, name, PolicySource::File(file))?;
        if progress == Progress::Compiled {
            self.look.notify_one();
        }
        Ok(Progress::Underway)
    }

    /// Stops waiting for what this kind needs no longer.
    pub(super) fn forget_compilation(&mut self, kind: Kind, role: Role) {
        self.kinds[kind as usize].compilation[role as usize] = None;
    }

    /// Waits for what is being compiled for this kind. True when there was something to wait for.
    pub(super) async fn await_compilation(&mut self, kind: Kind) -> bool {
        let mut waited = false;
        for compilation in self.kinds[kind as usize].compilation.iter_mut().flatten() {
            if compilation.outcome().is_none() {
                waited = true;
                // One that broke off has ended, too.
                let _ended = compilation.ended.wait_for(Option::is_some).await;
            }
        }
        waited
    }
}

/// What compiling led to, if the workshop does not remember it.
fn unless_it_may_pass<T>(compiled: Result<T, Refusal>) -> Result<(), String> {
    match compiled {
        Err(refusal) if refusal.may_pass() => Err(refusal.to_string()),
        _ => Ok(()),
    }
}
