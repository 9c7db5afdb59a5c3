//! `Sandbox`: the engine that all policies share, its epoch ticker and its compile cache.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use dataverse_core::content::Digest;
use parking_lot::Mutex;
use wasmtime::component::{Component, InstancePre, Linker, WasmStr};
use wasmtime::{Cache, CacheConfig, Config, Engine, StoreContextMut};

use crate::check::{self, Checked};
use crate::compiler::CompilerProcess;
use crate::contract;
use crate::instance::State;
use crate::journal::Level;
use crate::limits;
use crate::program::Program;
use crate::refusal::{Refusal, cut, reason};
use crate::ticker::Ticker;

/// How a sandbox is set up.
#[derive(Clone, Debug, Default)]
pub struct SandboxOptions {
    /// The folder of the compile cache, an absolute path; made, and owner-only, if need be. What lies there
    /// is run as native code. Without one, everything is compiled anew in each process.
    pub cache: Option<PathBuf>,
    /// What compiles files that nobody vouches for; needs a cache. Without one they are compiled in this process,
    /// bounded by what can be counted beforehand.
    pub compiler: Option<CompilerProcess>,
}

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The compile cache can't be used.
    #[error("the compile cache {} can't be used: {reason}; make it a folder of one's own", path.display())]
    Cache {
        /// Its folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The engine does not run on this machine.
    #[error("WebAssembly can't be run on this machine: {0}")]
    Engine(String),
    /// The system gives no thread.
    #[error("no thread for the clock of policies: {0}")]
    Thread(#[from] io::Error),
    /// There is nothing through which a process could hand over what it compiled.
    #[error("a process that compiles needs a compile cache")]
    NoCache,
}

/// What runs guests: one engine, one ticker thread for deadlines, one compile cache.
///
/// Shared by everything it compiled and every instance of that; the thread ends when the last of them is
/// dropped. A process needs one.
pub struct Sandbox {
    linker: Linker<State>,
    engine: Engine,
    /// Held while something compiles in this process: one policy at a time leaves the other cores to requests, and
    /// bounds the memory that compilation takes.
    compiling: Mutex<()>,
    cache: Option<Cache>,
    compiler: Option<CompilerProcess>,
    _ticker: Ticker,
}

impl Sandbox {
    /// A sandbox.
    ///
    /// # Errors
    /// [`SandboxError`] when the cache folder can't be used or the machine has no means to run guests.
    pub fn new(options: SandboxOptions) -> Result<Arc<Self>, SandboxError> {
        if options.compiler.is_some() && options.cache.is_none() {
            return Err(SandboxError::NoCache);
        }
        let cache = options.cache.as_deref().map(open_cache).transpose()?;
        let engine =
            Engine::new(&config(cache.clone())).map_err(|e| SandboxError::Engine(reason(&*e)))?;
        let linker = link_host(&engine).map_err(|e| SandboxError::Engine(reason(&*e)))?;
        Ok(Arc::new(Self {
            _ticker: Ticker::start(&engine)?,
            compiling: Mutex::new(()),
            linker,
            engine,
            cache,
            compiler: options.compiler,
        }))
    }

    /// Checks and compiles a policy that nobody vouches for: a component, or a core module that carries its
    /// component type. With a process that compiles, all of it happens there first.
    ///
    /// Blocks, for seconds if the file is large.
    ///
    /// # Errors
    /// [`Refusal`] when the bytes are no policy for this node.
    pub fn compile(self: &Arc<Self>, bytes: &[u8]) -> Result<Program, Refusal> {
        let begun = Instant::now();
        check::begins_well(bytes)?;
        if let (Some(compiler), Some(cache)) = (&self.compiler, &self.cache) {
            compiler.compile(bytes, cache.directory())?;
        }
        self.program(bytes, begun)
    }

    /// As [`Sandbox::compile`], of a policy that comes with the program: in this process, which takes milliseconds.
    ///
    /// # Errors
    /// See [`Sandbox::compile`].
    pub fn compile_trusted(self: &Arc<Self>, bytes: &[u8]) -> Result<Program, Refusal> {
        self.program(bytes, Instant::now())
    }

    /// Compiles a policy, for another process to find it in the cache.
    pub(crate) fn compile_into_cache(self: &Arc<Self>, bytes: &[u8]) -> Result<(), Refusal> {
        check::begins_well(bytes)?;
        self.program(bytes, Instant::now())?.is_small_enough()?;
        let hits = || self.cache.as_ref().map_or(0, Cache::cache_hits);
        let before = hits();
        self.program(bytes, Instant::now())?;
        if hits() > before {
            return Ok(());
        }
        let folder = self.cache.as_ref().map(|cache| cache.directory().display());
        let folder = folder.map_or_else(String::new, |folder| format!(" in {folder}"));
        Err(Refusal::Unavailable(format!(
            "its code can't be kept{folder}: see that there is room and that it can be written"
        )))
    }

    fn program(self: &Arc<Self>, bytes: &[u8], begun: Instant) -> Result<Program, Refusal> {
        let (checked, linked) = {
            // The lock guards no state, so a compilation that panicked leaves nothing half-done.
            let _turn = self.compiling.lock();
            on_deep_stack(|| self.check_and_compile(bytes))?
        };
        Ok(Program::new(
            Arc::clone(self),
            linked,
            checked,
            Digest::of(bytes),
            bytes.len(),
            begun.elapsed(),
        ))
    }

    fn check_and_compile(&self, bytes: &[u8]) -> Result<(Checked, InstancePre<State>), Refusal> {
        let (component, checked) = check::check(bytes)?;
        let compiled = Component::from_binary(&self.engine, &component)
            .map_err(|e| Refusal::Compile(reason(&*e)))?;
        // All that is left to go wrong is a type: the names are known.
        let linked = self
            .linker
            .instantiate_pre(&compiled)
            .map_err(|e| Refusal::WrongTypes {
                name: contract::HOST.to_owned(),
                reason: reason(&*e),
            })?;
        Ok((checked, linked))
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }
}

/// Runs `work` on a thread of its own with a deep stack: what a file makes the parsers and the compiler do
/// must neither exhaust the caller's stack nor take the caller down with it.
fn on_deep_stack<T: Send>(work: impl FnOnce() -> Result<T, Refusal> + Send) -> Result<T, Refusal> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("policy-compile".to_owned())
            .stack_size(limits::POLICY_COMPILE_STACK_BYTES)
            .spawn_scoped(scope, work);
        match thread {
            Err(error) => Err(Refusal::Compile(format!("no thread for it: {error}"))),
            Ok(thread) => thread.join().unwrap_or_else(|panic| {
                let said = panic.downcast_ref::<String>().map(String::as_str);
                let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
                Err(Refusal::Compile(
                    cut(said.unwrap_or("the compiler gave up")),
                ))
            }),
        }
    })
}

fn config(cache: Option<Cache>) -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        .max_wasm_stack(limits::POLICY_STACK_BYTES_MAX)
        // Answers must be the same on every machine.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        // What no policy needs, and what could let one reach out or never come back.
        .wasm_memory64(false)
        .wasm_custom_page_sizes(false)
        .concurrency_support(false)
        .memory_init_cow(true)
        .cache(cache);
    config
}

/// The one interface that guests may call, and the type-only one.
fn link_host(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    linker.instance(contract::TYPES)?;
    linker.instance(contract::HOST)?.func_wrap("log", log)?;
    Ok(linker)
}

/// `WasmStr` is a place in the guest's memory: nothing is copied before the line is known to be wanted.
fn log(
    mut store: StoreContextMut<'_, State>,
    (level, message): (Level, WasmStr),
) -> wasmtime::Result<()> {
    if !store.data_mut().journal.accepts(Instant::now()) {
        return Ok(());
    }
    let message = message.to_str(&store)?;
    let end = message.floor_char_boundary(limits::POLICY_LOG_BYTES_MAX);
    let beginning = message[..end].to_owned();
    store.data_mut().journal.write(level, &beginning);
    Ok(())
}

fn open_cache(folder: &Path) -> Result<Cache, SandboxError> {
    let refuse = |reason: String| SandboxError::Cache {
        path: folder.to_owned(),
        reason,
    };
    make_private(folder).map_err(|error| refuse(error.to_string()))?;
    let mut config = CacheConfig::new();
    config
        .with_directory(folder)
        .with_file_count_soft_limit(limits::POLICY_CACHE_FILES_MAX)
        .with_files_total_size_soft_limit(limits::POLICY_CACHE_BYTES_MAX);
    Cache::new(config).map_err(|error| refuse(reason(&*error)))
}

/// Makes the folder if it is missing, and nobody else's business. Fails when it is someone else's.
fn make_private(folder: &Path) -> io::Result<()> {
    use std::fs::{self, DirBuilder, Permissions};
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};

    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(0o700))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_folder_is_made_owner_only() {
        use std::os::unix::fs::PermissionsExt;

        let root = tempfile::tempdir().expect("it can be done here");
        let cache = root.path().join("a/compiled");
        for mode in [0o700, 0o755] {
            std::fs::create_dir_all(&cache).expect("it can be done here");
            std::fs::set_permissions(&cache, PermissionsExt::from_mode(mode))
                .expect("it can be done here");
            let options = SandboxOptions {
                cache: Some(cache.clone()),
                compiler: None,
            };
            Sandbox::new(options).expect("it can be done here");
            let found = std::fs::metadata(&cache)
                .expect("it can be done here")
                .permissions()
                .mode();
            assert_eq!(found & 0o777, 0o700);
        }
    }

    #[test]
    fn a_cache_that_is_a_file_is_refused_by_name() {
        let file = tempfile::NamedTempFile::new().expect("it can be done here");
        let options = SandboxOptions {
            cache: Some(file.path().to_owned()),
            compiler: None,
        };
        let error = Sandbox::new(options)
            .err()
            .expect("it can be done here")
            .to_string();
        assert!(
            error.contains(&file.path().display().to_string()),
            "{error}"
        );
    }

    #[test]
    fn a_compilation_that_panics_is_a_refusal() {
        let refused = on_deep_stack::<()>(|| panic!("out of registers"));
        assert_eq!(
            refused,
            Err(Refusal::Compile("out of registers".to_owned()))
        );
    }
}
