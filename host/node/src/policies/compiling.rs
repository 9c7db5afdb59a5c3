//! The process in which this program compiles policies: itself, started again with a word that no command has.
//!
//! It is answered before anything else of the program begins, so that the process holds nothing but the compiler.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use dataverse_sandbox::{CompileBounds, CompilerProcess, UNSERVED, serve};

/// The first argument of such a process.
const WORD: &str = "compile-policy";

/// What this program is, for itself. It stays the same when the file is replaced by a newer one.
const ITSELF: &str = "/proc/self/exe";

/// Whether this program answers to the word; others that use this library do not.
static IS_OFFERED: AtomicBool = AtomicBool::new(false);

/// Compiles if this process was started for that, and says how it is to end. For the first line of `main`.
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

/// What compiles in a process of its own, if this program can. Says so in the log if it should be able to and is not.
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
                    "this program can't find itself, as without /proc, so policies are compiled without bounds on time and memory: mount /proc"
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
