//! The workshop: files of policies go in, compiled ones that have passed their trial come out.
//!
//! One file is compiled at a time, off the threads that serve requests, and none twice: what it led to is
//! remembered by its digest. One workshop can serve all nodes of a process.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use dataverse_core::content::Digest;
use dataverse_core::limits;
use dataverse_core::policy::{FaultKind, Kind};
use dataverse_sandbox::{
    About, Canary, Program, Refusal, Sandbox, SandboxError, SandboxOptions, Setup,
};
use tokio::sync::Semaphore;

/// Where policies are compiled.
pub struct Workshop {
    sandbox: Arc<Sandbox>,
    /// Whoever compiles has it.
    pub(super) turn: Semaphore,
    shelf: Mutex<Shelf>,
}

/// What a file turned out to be.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Finding {
    /// Its kind, or why it is refused.
    pub(super) kind: Result<Kind, Refusal>,
    /// How it introduced itself when it was tried without a configuration, or why it did not get that far.
    pub(super) about: Option<Result<About, Refusal>>,
}

#[derive(Default)]
struct Shelf {
    programs: VecDeque<Program>,
    findings: HashMap<[u8; 32], Finding>,
    oldest: VecDeque<[u8; 32]>,
}

impl Workshop {
    /// A workshop that keeps compiled code in this folder, or none.
    ///
    /// # Errors
    /// When the folder can't be used or the machine can't run WebAssembly.
    pub fn new(cache: Option<PathBuf>) -> Result<Arc<Self>, SandboxError> {
        Ok(Arc::new(Self {
            sandbox: Sandbox::new(SandboxOptions { cache })?,
            turn: Semaphore::new(1),
            shelf: Mutex::default(),
        }))
    }

    /// What is known of a file.
    pub(super) fn finding(&self, digest: Digest) -> Option<Finding> {
        self.shelf().findings.get(&digest.0).cloned()
    }

    /// Whether a file is known to be a policy of another kind.
    pub(super) fn is_of_another_kind(&self, digest: Digest, kind: Kind) -> bool {
        let finding = self.finding(digest);
        finding.is_some_and(|finding| finding.kind.is_ok_and(|found| found != kind))
    }

    /// Compiles a file, unless that was done already.
    pub(super) async fn compile(&self, wasm: &Bytes) -> Result<Program, Refusal> {
        let digest = Digest::of(wasm);
        if let Some(known) = self.known(digest) {
            return known;
        }
        let _turn = self.turn.acquire().await.expect("it is never closed");
        if let Some(known) = self.known(digest) {
            return known;
        }
        let (sandbox, bytes) = (Arc::clone(&self.sandbox), wasm.clone());
        let compiled = blocking(move || sandbox.compile(&bytes)).await;
        if let Ok(program) = &compiled {
            let compile_ms = program.compile_time().as_millis();
            tracing::info!(%digest, compile_ms, "a policy was compiled");
        }
        self.shelf().put(digest, &compiled);
        compiled
    }

    /// Tries a policy. Running out of time is given another chance: the machine may be busy.
    pub(super) async fn canary(&self, program: &Program, setup: &Setup) -> Result<Canary, Refusal> {
        let mut tries = 1;
        loop {
            let (tried, setup) = (program.clone(), setup.clone());
            let canary = blocking(move || tried.canary(&setup)).await;
            let out_of_time = matches!(
                &canary,
                Err(Refusal::Fault(fault)) if fault.kind == FaultKind::Deadline
            );
            if !out_of_time || tries == limits::POLICY_CANARIES_MAX {
                return canary;
            }
            tries += 1;
        }
    }

    /// Finds out what a file is, by compiling it and trying it without a configuration.
    pub(super) async fn inspect(&self, wasm: &Bytes) -> Finding {
        let digest = Digest::of(wasm);
        let known = self.finding(digest).filter(|known| known.about.is_some());
        if let Some(known) = known {
            return known;
        }
        let (kind, about) = match self.compile(wasm).await {
            Err(refusal) => (Err(refusal.clone()), Err(refusal)),
            Ok(program) => {
                let plain = Setup {
                    config: "{}".to_owned(),
                    ..Setup::default()
                };
                let canary = self.canary(&program, &plain).await;
                (Ok(program.kind()), canary.map(|canary| canary.about))
            }
        };
        let finding = Finding {
            kind,
            about: Some(about),
        };
        self.shelf().remember(digest, finding.clone());
        finding
    }

    /// Notes how a policy introduced itself.
    pub(super) fn introduce(&self, digest: Digest, kind: Kind, about: About) {
        let finding = Finding {
            kind: Ok(kind),
            about: Some(Ok(about)),
        };
        self.shelf().remember(digest, finding);
    }

    /// Whether it is known what compiling a file leads to, so that it takes no time.
    pub(super) fn is_compiled(&self, digest: Digest) -> bool {
        self.known(digest).is_some()
    }

    fn known(&self, digest: Digest) -> Option<Result<Program, Refusal>> {
        let mut shelf = self.shelf();
        let place = shelf.programs.iter().position(|it| it.digest() == digest);
        if let Some(program) = place.and_then(|place| shelf.programs.remove(place)) {
            shelf.programs.push_back(program.clone());
            return Some(Ok(program));
        }
        let refusal = shelf.findings.get(&digest.0)?.kind.clone().err()?;
        Some(Err(refusal))
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().expect("no one panics at the shelf")
    }
}

impl Shelf {
    fn put(&mut self, digest: Digest, compiled: &Result<Program, Refusal>) {
        if let Ok(program) = compiled {
            if self.programs.len() == limits::POLICY_PROGRAMS_KEPT {
                self.programs.pop_front();
            }
            self.programs.push_back(program.clone());
        }
        let about = self.findings.get(&digest.0).and_then(|it| it.about.clone());
        let kind = compiled.as_ref().map(Program::kind).map_err(Refusal::clone);
        self.remember(digest, Finding { kind, about });
    }

    fn remember(&mut self, digest: Digest, finding: Finding) {
        if self.findings.insert(digest.0, finding).is_none() {
            self.oldest.push_back(digest.0);
        }
        if self.oldest.len() > limits::POLICY_FINDINGS_KEPT
            && let Some(oldest) = self.oldest.pop_front()
        {
            self.findings.remove(&oldest);
        }
    }
}

/// Runs this on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends, and with it whoever waits here.
            Err(_) => std::future::pending().await,
        },
    }
}
