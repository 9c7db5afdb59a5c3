//! `Sandbox`: the engine that all policies share, with its epoch ticker and its compile cache.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use dataverse_core::content::Digest;
use parking_lot::Mutex;
use rustix::io::Errno;
use wasmtime::component::{Component, InstancePre, Linker, WasmStr};
use wasmtime::{Cache, CacheConfig, Config, Engine, OutOfMemory, StoreContextMut};

use crate::check::{self, Checked};
use crate::compiler::CompilerProcess;
use crate::contract;
use crate::format::begins_well;
use crate::instance::State;
use crate::journal::Level;
use crate::limits;
use crate::program::Program;
use crate::refusal::{Refusal, cut, reason};
use crate::ticker::Ticker;

/// The options of a sandbox.
#[derive(Clone, Debug, Default)]
pub struct SandboxOptions {
    /// The folder of the compile cache, an absolute path. Created if missing, and made accessible only to its
    /// owner: its contents are run as native code. Without a cache, every process compiles everything again.
    pub cache: Option<PathBuf>,
    /// Compiles untrusted files; needs a cache. Without it they are compiled in this process, bounded only by what
    /// can be counted beforehand.
    pub compiler: Option<CompilerProcess>,
}

/// Why a sandbox could not be created.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The compile cache can't be used.
    #[error("the compile cache {} can't be used: {reason}; use a folder that belongs to the node's user", path.display())]
    Cache {
        /// Its folder.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The engine does not run on this machine.
    #[error("WebAssembly can't be run on this machine: {0}")]
    Engine(String),
    /// The ticker's thread could not be started.
    #[error("can't start the thread that enforces the time limits of policies: {0}")]
    Thread(#[from] io::Error),
    /// A compiler process needs a cache through which it passes on the compiled code.
    #[error("a process that compiles needs a compile cache")]
    NoCache,
}

/// Runs guests: one engine, one ticker thread for deadlines, one compile cache.
///
/// Shared by everything that it compiled and by all instances of that. The thread ends when the last of them is
/// dropped. One sandbox per process is enough.
pub struct Sandbox {
    linker: Linker<State>,
    engine: Engine,
    /// Locked while this process compiles: one policy at a time leaves the other cores to requests, and bounds the
    /// memory that compilation takes.
    compiling: Mutex<()>,
    cache: Option<Cache>,
    compiler: Option<CompilerProcess>,
    ticker: Arc<Ticker>,
}

impl Sandbox {
    /// Creates a sandbox.
    ///
    /// # Errors
    /// [`SandboxError`] when the cache folder can't be used or this machine can't run guests.
    pub fn new(options: SandboxOptions) -> Result<Arc<Self>, SandboxError> {
        if options.compiler.is_some() && options.cache.is_none() {
            return Err(SandboxError::NoCache);
        }
        let cache = options.cache.as_deref().map(open_cache).transpose()?;
        let engine =
            Engine::new(&config(cache.clone())).map_err(|e| SandboxError::Engine(reason(&*e)))?;
        let linker = link_host(&engine).map_err(|e| SandboxError::Engine(reason(&*e)))?;
        Ok(Arc::new(Self {
            ticker: Arc::new(Ticker::start(&engine)?),
            compiling: Mutex::new(()),
            linker,
            engine,
            cache,
            compiler: options.compiler,
        }))
    }

    /// Checks and compiles an untrusted policy: a component, or a core module that carries its component type. If
    /// there is a compiler process, all of it happens there first.
    ///
    /// Blocks, for seconds if the file is large.
    ///
    /// # Errors
    /// [`Refusal`] when the bytes are not a policy for this node.
    pub fn compile(&self, bytes: &[u8]) -> Result<Program, Refusal> {
        let begun = Instant::now();
        begins_well(bytes)?;
        if let (Some(compiler), Some(cache)) = (&self.compiler, &self.cache) {
            compiler.compile(bytes, cache.directory())?;
        }
        self.program(bytes, begun)
    }

    /// As [`Sandbox::compile`], for a policy that is part of the program: compiled in this process, which takes
    /// milliseconds.
    ///
    /// # Errors
    /// See [`Sandbox::compile`].
    pub fn compile_trusted(&self, bytes: &[u8]) -> Result<Program, Refusal> {
        self.program(bytes, Instant::now())
    }

    /// Compiles a policy into the cache, for another process.
    pub(crate) fn compile_into_cache(&self, bytes: &[u8]) -> Result<(), Refusal> {
        begins_well(bytes)?;
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
            "its code can't be stored{folder}: make sure that there is space and that the folder is writable"
        )))
    }

    fn program(&self, bytes: &[u8], begun: Instant) -> Result<Program, Refusal> {
        let (checked, linked) = {
            // The lock guards no state, so a compilation that panicked leaves nothing half-done.
            let _turn = self.compiling.lock();
            on_deep_stack(|| self.check_and_compile(bytes))?
        };
        Ok(Program::new(
            linked,
            checked,
            Digest::of(bytes),
            bytes.len(),
            begun.elapsed(),
            Arc::clone(&self.ticker),
        ))
    }

    fn check_and_compile(&self, bytes: &[u8]) -> Result<(Checked, InstancePre<State>), Refusal> {
        let (component, checked) = check::check(bytes)?;
        let compiled =
            Component::from_binary(&self.engine, &component).map_err(|e| not_compiled(&e))?;
        // All names have been checked, so only types can still be wrong.
        let linked = self
            .linker
            .instantiate_pre(&compiled)
            .map_err(|e| Refusal::WrongTypes {
                name: contract::HOST.to_owned(),
                reason: reason(&*e),
            })?;
        Ok((checked, linked))
    }
}

/// Why a component does not compile. A lack of memory is recognized by the system's error code or by wasmtime's
/// type.
fn not_compiled(error: &wasmtime::Error) -> Refusal {
    let of_system = error.downcast_ref::<io::Error>().map(io::Error::kind);
    let is_out_of_memory = error.is::<OutOfMemory>()
        || error.downcast_ref::<Errno>() == Some(&Errno::NOMEM)
        || of_system == Some(io::ErrorKind::OutOfMemory);
    match is_out_of_memory {
        true => Refusal::OutOfMemory(reason(&**error)),
        false => Refusal::Compile(reason(&**error)),
    }
}

/// Runs `work` on its own thread with a deep stack: parsing and compiling a file must neither exhaust the caller's
/// stack nor take the caller down.
fn on_deep_stack<T: Send>(work: impl FnOnce() -> Result<T, Refusal> + Send) -> Result<T, Refusal> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("policy-compile".to_owned())
            .stack_size(limits::POLICY_COMPILE_STACK_BYTES)
            .spawn_scoped(scope, work);
        match thread {
            Err(error) => {
                let reason = format!("can't start a thread for it: {error}");
                Err(match error.kind() {
                    io::ErrorKind::OutOfMemory => Refusal::OutOfMemory(reason),
                    _ => Refusal::Compile(reason),
                })
            }
            Ok(thread) => thread.join().unwrap_or_else(|panic| {
                let said = panic.downcast_ref::<String>().map(String::as_str);
                let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
                Err(Refusal::Compile(cut(
                    said.unwrap_or("the compiler panicked")
                )))
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
        // Features that no policy needs, and that could let one reach outside or never return.
        .wasm_memory64(false)
        .wasm_custom_page_sizes(false)
        .concurrency_support(false)
        .memory_init_cow(true)
        .cache(cache);
    config
}

/// The one interface that guests may call, and the one with only types.
fn link_host(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    linker.instance(contract::TYPES)?;
    linker.instance(contract::HOST)?.func_wrap("log", log)?;
    Ok(linker)
}

/// `WasmStr` is a range of the guest's memory: nothing is copied until the line is known to be wanted.
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

/// Creates the folder if it is missing, and makes it accessible only to its owner. Fails when it belongs to
/// another user.
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
    fn a_lack_of_memory_is_told_by_its_code() {
        let of_system = wasmtime::Error::from(io::Error::from(Errno::NOMEM));
        for error in [wasmtime::Error::from(Errno::NOMEM), of_system] {
            assert!(matches!(not_compiled(&error), Refusal::OutOfMemory(_)));
        }
        let other = wasmtime::Error::msg("Cannot allocate memory");
        assert!(matches!(not_compiled(&other), Refusal::Compile(_)));
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
