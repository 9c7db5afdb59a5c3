//! `PolicyCompiler`: compiles policy files, tries them with a canary, and remembers the results.
//!
//! Files are compiled off the threads that serve requests, and each only once: results are remembered by digest,
//! and a second request for a file that is being compiled waits for the first. Each lane compiles in its own turn,
//! so that a slow file delays only files of the same lane. All nodes of a process can share one compiler.
//!
//! It never decides which policy runs; the controller does.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use dataverse_core::content::Digest;
use dataverse_core::policy::{FaultKind, Kind};
use dataverse_sandbox::{
    About, Canary, CompileBounds, Program, Refusal, Sandbox, SandboxError, SandboxOptions, Setup,
};
use parking_lot::{Mutex, MutexGuard};
use tempfile::TempDir;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::name::PolicyName;
use super::{compiling, trial};
use crate::limits;

/// Compiles policies and remembers the results.
pub struct PolicyCompiler {
    sandbox: Arc<Sandbox>,
    /// Turns to compile the active or shadow policy of a kind.
    of_kinds: [Arc<Semaphore>; Kind::ALL.len()],
    /// Turns to compile other files.
    of_files: Arc<Semaphore>,
    /// Turns to compile policies that are rolled back to.
    of_fallback: Arc<Semaphore>,
    programs: Arc<Mutex<ProgramCache>>,
    /// A lock for each file that is being compiled, by digest.
    under_way: Mutex<HashMap<[u8; 32], Weak<tokio::sync::Mutex<()>>>>,
    /// Holds compiled code when there is no cache folder.
    _scratch: Option<TempDir>,
}

/// What a file is compiled for. Files wait only for others of the same lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// To become the active or the shadow policy of this kind.
    Kind(Kind),
    /// To find out what kind of policy it is.
    File,
    /// To fall back to it when another policy has failed.
    Fallback,
}

/// What is known about a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Finding {
    /// Its kind, or why it is refused.
    pub(super) kind: Result<Kind, Refusal>,
    /// How it described itself in a canary without configuration, or why that failed.
    pub(super) about: Option<Result<About, Refusal>>,
}

#[derive(Default)]
struct ProgramCache {
    programs: VecDeque<Program>,
    findings: HashMap<[u8; 32], Finding>,
    oldest: VecDeque<[u8; 32]>,
}

impl PolicyCompiler {
    /// A compiler that runs in this process and caches compiled code in this folder, if any. Files are bounded only
    /// by what can be counted in them, not in compile time and memory.
    ///
    /// # Errors
    /// If the folder can't be used or the machine can't run WebAssembly.
    pub fn new(cache: Option<PathBuf>) -> Result<Arc<Self>, SandboxError> {
        let compiler = None;
        Self::with(SandboxOptions { cache, compiler }, None)
    }

    /// A compiler that runs in separate processes of this program with these bounds, if this program can start them.
    ///
    /// # Errors
    /// As [`PolicyCompiler::new`], and if there is no cache folder and no temporary one can be created.
    pub fn guarded(
        cache: Option<PathBuf>,
        bounds: CompileBounds,
    ) -> Result<Arc<Self>, SandboxError> {
        let Some(compiler) = compiling::process(bounds) else {
            return Self::new(cache);
        };
        let scratch = match &cache {
            Some(_) => None,
            None => Some(tempfile::tempdir().map_err(|error| SandboxError::Cache {
                path: std::env::temp_dir(),
                reason: error.to_string(),
            })?),
        };
        let cache = cache.or_else(|| Some(scratch.as_ref()?.path().to_owned()));
        let compiler = Some(compiler);
        Self::with(SandboxOptions { cache, compiler }, scratch)
    }

    fn with(options: SandboxOptions, scratch: Option<TempDir>) -> Result<Arc<Self>, SandboxError> {
        let turns = |turns| Arc::new(Semaphore::new(turns));
        Ok(Arc::new(Self {
            sandbox: Sandbox::new(options)?,
            of_kinds: Kind::ALL.map(|_| turns(1)),
            of_files: turns(limits::HTTP_POLICY_UPLOADS_MAX),
            of_fallback: turns(Kind::ALL.len()),
            programs: Arc::default(),
            under_way: Mutex::default(),
            _scratch: scratch,
        }))
    }

    /// What is known about the file with this digest.
    pub(super) fn finding(&self, digest: Digest) -> Option<Finding> {
        self.programs().findings.get(&digest.0).cloned()
    }

    /// Whether a file is known to be a policy of another kind.
    pub(super) fn is_of_another_kind(&self, digest: Digest, kind: Kind) -> bool {
        let finding = self.finding(digest);
        finding.is_some_and(|finding| finding.kind.is_ok_and(|found| found != kind))
    }

    /// Compiles a file when its turn comes, unless the result is known.
    pub(super) async fn compile(&self, wasm: &Bytes, lane: Lane) -> Result<Program, Refusal> {
        match self.known(Digest::of(wasm)) {
            Some(known) => known,
            None => self.compile_in(self.turn(lane).await, wasm).await,
        }
    }

    /// Waits for a turn to compile.
    pub(super) async fn turn(&self, lane: Lane) -> OwnedSemaphorePermit {
        let turns = match lane {
            Lane::Kind(kind) => &self.of_kinds[kind as usize],
            Lane::File => &self.of_files,
            Lane::Fallback => &self.of_fallback,
        };
        let turn = Arc::clone(turns).acquire_owned().await;
        turn.expect("the semaphore is never closed")
    }

    /// Compiles a file, unless the result is known. A compilation that has begun is completed and remembered even if
    /// the caller stops waiting.
    pub(super) async fn compile_in(
        &self,
        turn: OwnedSemaphorePermit,
        wasm: &Bytes,
    ) -> Result<Program, Refusal> {
        self.compile_now(Some(turn), wasm).await
    }

    /// The compiled policy, for callers that must not wait for a compilation: it was compiled before, or is built in,
    /// which takes milliseconds and needs no turn.
    ///
    /// # Errors
    /// Why it is refused; a temporary refusal if it is not compiled.
    pub(super) async fn ready(&self, wasm: &Bytes) -> Result<Program, Refusal> {
        let digest = Digest::of(wasm);
        match self.known(digest) {
            Some(known) => known,
            None if dataverse_builtin::is_one(digest) => self.compile_now(None, wasm).await,
            None => Err(self.not_ready(digest)),
        }
    }

    /// What is known about a file, for callers that must not wait for a compilation.
    ///
    /// # Errors
    /// A temporary refusal, if it was not inspected or the inspection failed for a reason that may pass.
    pub(super) fn inspected(&self, digest: Digest) -> Result<Finding, Refusal> {
        let known = self.finding(digest).filter(|known| known.about.is_some());
        let known = known.filter(|known| !known.may_pass());
        known.ok_or_else(|| self.not_ready(digest))
    }

    fn not_ready(&self, digest: Digest) -> Refusal {
        let hindered = self.finding(digest).and_then(|known| known.kind.err());
        hindered.filter(Refusal::may_pass).unwrap_or_else(|| {
            Refusal::Unavailable(
                "it was changed since it was compiled, or its compiled code was dropped for that of others; try again"
                    .to_owned(),
            )
        })
    }

    /// Marks these as used just now, so that they stay in memory for the caller that had them compiled.
    pub(super) fn keep(&self, programs: &[Program]) {
        let mut kept = self.programs();
        for program in programs {
            kept.keep(program);
        }
    }

    /// Notes that an inspection of a file failed inside the node.
    pub(super) fn note_broken_off(&self, digest: Digest) {
        let reason = "inspecting it failed inside the node; see the log".to_owned();
        let refusal = Refusal::Unavailable(reason);
        let known = self.finding(digest).map(|known| known.kind);
        let finding = Finding {
            kind: known.unwrap_or_else(|| Err(refusal.clone())),
            about: Some(Err(refusal)),
        };
        self.programs().remember(digest, finding);
    }

    async fn compile_now(
        &self,
        turn: Option<OwnedSemaphorePermit>,
        wasm: &Bytes,
    ) -> Result<Program, Refusal> {
        let digest = Digest::of(wasm);
        let lock = self.file_lock(digest).lock_owned().await;
        if let Some(known) = self.known(digest) {
            return known;
        }
        let (sandbox, programs, wasm) = (
            Arc::clone(&self.sandbox),
            Arc::clone(&self.programs),
            wasm.clone(),
        );
        blocking(move || {
            let _held = (turn, lock);
            let compiled = match dataverse_builtin::is_one(digest) {
                true => sandbox.compile_trusted(&wasm),
                false => sandbox.compile(&wasm),
            };
            if let Ok(program) = &compiled {
                let compile_ms = program.compile_time().as_millis();
                tracing::info!(%digest, compile_ms, "policy compiled");
            }
            programs.lock().put(digest, &compiled);
            compiled
        })
        .await
    }

    /// The lock that a task holds while it compiles this file.
    fn file_lock(&self, digest: Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut under_way = self.under_way.lock();
        under_way.retain(|_, lock| lock.strong_count() > 0);
        let known = under_way.get(&digest.0).and_then(Weak::upgrade);
        let lock = known.unwrap_or_default();
        under_way.insert(digest.0, Arc::downgrade(&lock));
        lock
    }

    /// Takes all turns, so that nothing is compiled until the returned value is dropped.
    #[cfg(test)]
    pub(super) async fn hold(&self) -> Vec<OwnedSemaphorePermit> {
        let mut held = Vec::new();
        for turns in (self.of_kinds.iter()).chain([&self.of_files, &self.of_fallback]) {
            let all = u32::try_from(turns.available_permits()).expect("they are few");
            let turns = Arc::clone(turns).acquire_many_owned(all).await;
            held.push(turns.expect("the semaphore is never closed"));
        }
        held
    }

    /// Runs a canary: an instance is started and asked for one decision. One that runs out of time is repeated,
    /// since the machine may be busy.
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

    /// Finds out what a file is: compiles it and runs a canary without configuration.
    pub(super) async fn inspect(&self, name: &PolicyName, wasm: &Bytes) -> Finding {
        let digest = Digest::of(wasm);
        let known = self.finding(digest).filter(|known| known.about.is_some());
        if let Some(known) = known.filter(|known| !known.may_pass()) {
            return known;
        }
        let (kind, about) = match self.compile(wasm, Lane::File).await {
            Err(refusal) => (Err(refusal.clone()), Err(refusal)),
            Ok(program) => {
                let plain = Setup {
                    name: name.to_string(),
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
        self.programs().remember(digest, finding.clone());
        finding
    }

    /// Asks a policy the test questions of its kind. One that fails its canary passes here: it is refused for that
    /// later.
    ///
    /// # Errors
    /// Why it should not be installed.
    pub(super) async fn examine(&self, wasm: &Bytes, setup: &Setup) -> Result<(), String> {
        let program = self.compile(wasm, Lane::File).await;
        let program = program.map_err(|refusal| refusal.to_string())?;
        if self.canary(&program, setup).await.is_err() {
            return Ok(());
        }
        let setup = setup.clone();
        blocking(move || {
            let (report, _) = trial::examine(&program, &setup);
            trial::judge(&report)
        })
        .await
    }

    /// Notes how a policy described itself.
    pub(super) fn introduce(&self, digest: Digest, kind: Kind, about: About) {
        let finding = Finding {
            kind: Ok(kind),
            about: Some(Ok(about)),
        };
        self.programs().remember(digest, finding);
    }

    /// Whether the result of compiling a file is known, so that it takes no time.
    pub(super) fn is_compiled(&self, digest: Digest) -> bool {
        self.known(digest).is_some()
    }

    /// The result of compiling a file, if it is remembered.
    pub(super) fn known(&self, digest: Digest) -> Option<Result<Program, Refusal>> {
        let mut programs = self.programs();
        let place = programs
            .programs
            .iter()
            .position(|it| it.digest() == digest);
        if let Some(program) = place.and_then(|place| programs.programs.remove(place)) {
            programs.programs.push_back(program.clone());
            return Some(Ok(program));
        }
        let refusal = programs.findings.get(&digest.0)?.kind.clone().err()?;
        (!refusal.may_pass()).then_some(Err(refusal))
    }

    fn programs(&self) -> MutexGuard<'_, ProgramCache> {
        self.programs.lock()
    }
}

impl Finding {
    /// Whether a problem may pass, so that another inspection may find something else.
    fn may_pass(&self) -> bool {
        let of_trial = self.about.as_ref().and_then(|about| about.as_ref().err());
        let of_file = self.kind.as_ref().err();
        [of_file, of_trial]
            .into_iter()
            .flatten()
            .any(Refusal::may_pass)
    }
}

impl ProgramCache {
    /// Makes this the most recently used program.
    fn keep(&mut self, program: &Program) {
        self.programs
            .retain(|other| other.digest() != program.digest());
        if self.programs.len() == limits::POLICY_PROGRAMS_KEPT {
            self.programs.pop_front();
        }
        self.programs.push_back(program.clone());
    }

    fn put(&mut self, digest: Digest, compiled: &Result<Program, Refusal>) {
        if let Ok(program) = compiled {
            self.keep(program);
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

/// Runs blocking work on a thread for it. Panics if the work does.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down, which also ends the caller.
            Err(_) => std::future::pending().await,
        },
    }
}
