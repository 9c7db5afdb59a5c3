//! Compilations in the background: a desired policy is compiled while the controller goes on with the other kinds.
//! When it is compiled, the controller is woken and finds the result.

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

/// What a policy is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// To become active.
    Active,
    /// To become the shadow.
    Shadow,
}

impl Role {
    pub(super) const ALL: [Self; 2] = [Self::Active, Self::Shadow];
}

/// How far a compilation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The result is known.
    Compiled,
    /// It is being compiled; the controller is woken afterwards.
    Underway,
}

/// A policy that is being compiled. When this is dropped, nobody waits for it any more; a compilation that has
/// begun is completed all the same.
pub(super) struct Compilation {
    pub(super) name: PolicyName,
    /// The digest of its file when the folder was last read.
    digest: Digest,
    /// The outcome once it has ended; the error is a temporary one.
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
        let broke_off = || Err("compiling it failed inside the node; see the log".to_owned());
        match &*self.ended.borrow() {
            Some(outcome) => Some(outcome.clone()),
            None => self.ended.has_changed().is_err().then(broke_off),
        }
    }
}

impl Controller {
    /// Starts to compile this policy, unless it is compiled or being compiled, and does not wait for it.
    ///
    /// # Errors
    /// Why it could not be compiled, if that may be different another time.
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
                // If the result is not known even so, the file has another digest than when the folder was read.
                Some(Ok(())) => Ok(Progress::Compiled),
                Some(Err(reason)) => Err(format!("{name}: {reason}")),
            };
        }
        let (compiler, folder) = (Arc::clone(&self.compiler), self.folder.clone());
        let (look, file) = (Arc::clone(&self.look), name.clone());
        let (tell, ended) = watch::channel(None);
        let task = tokio::spawn(async move {
            let outcome = match source.read(&folder, &file).await {
                Ok(wasm) => temporary_refusal(compiler.compile(&wasm, Lane::Kind(kind)).await),
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

    /// Reads a file again and has it compiled: it has changed since the folder was read, or its code was dropped
    /// since.
    ///
    /// # Errors
    /// See [`Controller::compile_in_background`].
    pub(super) fn reread_and_compile(
        &mut self,
        kind: Kind,
        role: Role,
        name: &PolicyName,
        file: Digest,
    ) -> Result<Progress, String> {
        self.listing = Arc::new(self.listing.without_stamp(name));
        let progress = self.compile_in_background(kind, role, name, PolicySource::File(file))?;
        if progress == Progress::Compiled {
            self.look.notify_one();
        }
        Ok(Progress::Underway)
    }

    /// Stops waiting for a compilation that this kind no longer needs.
    pub(super) fn forget_compilation(&mut self, kind: Kind, role: Role) {
        self.kinds[kind as usize].compilation[role as usize] = None;
    }

    /// Waits for the compilations of this kind. True if there were any.
    pub(super) async fn await_compilation(&mut self, kind: Kind) -> bool {
        let mut waited = false;
        for compilation in self.kinds[kind as usize].compilation.iter_mut().flatten() {
            if compilation.outcome().is_none() {
                waited = true;
                // A compilation that panicked has ended, too.
                let _ended = compilation.ended.wait_for(Option::is_some).await;
            }
        }
        waited
    }
}

/// The outcome, as far as the compiler does not remember it: temporary refusals.
fn temporary_refusal<T>(compiled: Result<T, Refusal>) -> Result<(), String> {
    match compiled {
        Err(refusal) if refusal.may_pass() => Err(refusal.to_string()),
        _ => Ok(()),
    }
}
