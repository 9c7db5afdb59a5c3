//! The process that compiles policies: this program, started again with an argument that is not a command.
//!
//! `main` calls [`serve_if_asked`] before anything else, so that the process contains nothing but the compiler.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use dataverse_sandbox::{CompileBounds, CompilerProcess, UNSERVED, serve};

/// The first argument of the compiler's process.
const WORD: &str = "compile-policy";

/// The running program. It stays the same when its file is replaced by a newer version.
const ITSELF: &str = "/proc/self/exe";

/// Whether this program understands the argument; other programs that use this library do not.
static IS_OFFERED: AtomicBool = AtomicBool::new(false);

/// Compiles if this process was started for that, and returns its exit code. Call it first in `main`.
#[must_use]
pub fn serve_if_asked() -> Option<ExitCode> {
    IS_OFFERED.store(true, Ordering::Release);
    let mut arguments = env::args_os().skip(1);
    if arguments.next().as_deref() != Some(OsStr::new(WORD)) {
        return None;
    }
    let arguments: Vec<_> = arguments.collect();
    let served = serve(
        &arguments,
        &mut io::stdin().lock(),
        &mut io::stdout().lock(),
    );
    Some(served.map_or_else(
        |error| {
            eprintln!("error: {error}");
            ExitCode::from(UNSERVED)
        },
        ExitCode::from,
    ))
}

/// How to start the compiler's process, if this program understands the argument. Logs a warning if it does but
/// cannot find itself.
pub fn process(bounds: CompileBounds) -> Option<CompilerProcess> {
    if !IS_OFFERED.load(Ordering::Acquire) {
        return None;
    }
    let program = match Path::new(ITSELF).exists() {
        true => PathBuf::from(ITSELF),
        false => match env::current_exe() {
            Ok(program) => program,
            Err(error) => {
                tracing::warn!(
                    %error,
                    "this program can't find its own executable, perhaps because /proc is missing, so policies are compiled without bounds on time and memory; mount /proc"
                );
                return None;
            }
        },
    };
    Some(CompilerProcess {
        program,
        arguments: vec![WORD.into()],
        bounds,
    })
}
