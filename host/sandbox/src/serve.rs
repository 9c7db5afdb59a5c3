//! `serve`: the side of the process that compiles, see [`CompilerProcess`](crate::CompilerProcess).

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use rustix::process::{Resource, Rlimit, Signal};

use crate::compiler::{CompileBounds, MAY_PASS, NO_MEMORY, REFUSED};
use crate::limits;
use crate::refusal::Refusal;
use crate::sandbox::{Sandbox, SandboxOptions};

/// Run in the compiler's process: reads a file from `input` and compiles it into the cache named in `arguments`.
/// Writes to `output` why the file is refused. Returns the exit code of the process; after an error that should be
/// [`UNSERVED`](crate::UNSERVED). It first lowers the limits of the process and cannot undo that, so call it in a
/// process that does nothing else.
///
/// # Errors
/// When it was not called by [`CompilerProcess`](crate::CompilerProcess), or when limits can't be set or the file
/// can't be read.
pub fn serve(
    arguments: &[OsString],
    input: &mut dyn Read,
    output: &mut dyn Write,
) -> io::Result<u8> {
    let (cache, bounds) = understood(arguments)
        .ok_or_else(|| io::Error::other("only the node itself calls this: CACHE SECONDS MIB"))?;
    bound(bounds)?;
    let mut file = Vec::new();
    let most = limits::POLICY_FILE_BYTES_MAX as u64 + 1;
    input.take(most).read_to_end(&mut file)?;
    let options = SandboxOptions {
        cache: Some(cache),
        compiler: None,
    };
    let compiled = Sandbox::new(options)
        .map_err(|error| Refusal::Unavailable(error.to_string()))
        .and_then(|sandbox| sandbox.compile_into_cache(&file));
    match compiled {
        Ok(()) => Ok(0),
        Err(Refusal::Unavailable(reason)) => {
            write!(output, "{reason}")?;
            Ok(MAY_PASS)
        }
        Err(refusal @ Refusal::OutOfMemory(_)) => {
            write!(output, "{refusal}")?;
            Ok(NO_MEMORY)
        }
        Err(refusal) => {
            write!(output, "{refusal}")?;
            Ok(REFUSED)
        }
    }
}

fn understood(arguments: &[OsString]) -> Option<(PathBuf, CompileBounds)> {
    let [cache, seconds, mib] = arguments else {
        return None;
    };
    let number = |text: &OsString| text.to_str()?.parse().ok();
    let bounds = CompileBounds {
        cpu_seconds: number(seconds)?,
        memory_mib: number(mib)?,
    };
    Some((cache.into(), bounds))
}

/// Limits this process, at most to its inherited limits. It ends with its parent, and yields to requests.
fn bound(bounds: CompileBounds) -> io::Result<()> {
    let limit = |resource, soft: u64, hard: u64| {
        let (current, maximum) = (Some(soft), Some(hard));
        rustix::process::setrlimit(resource, Rlimit { current, maximum })
    };
    let bounds = bounds.inherited();
    let (seconds, bytes) = (
        bounds.cpu_seconds,
        bounds.memory_mib.saturating_mul(1 << 20),
    );
    limit(Resource::Core, 0, 0)?;
    limit(Resource::Data, bytes, bytes)?;
    // Exceeding the soft limit sends a signal of its own; the hard limit kills the process in any case.
    limit(Resource::Cpu, seconds, seconds.saturating_add(1))?;
    // If the priority can't be lowered, it compiles at the normal one.
    let _as_before = rustix::process::nice(10);
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_asked_in_another_way_says_so() {
        for arguments in [&[][..], &["/c"], &["/c", "x", "1"], &["/c", "1", "1", "1"]] {
            let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
            assert!(serve(&arguments, &mut io::empty(), &mut Vec::new()).is_err());
        }
    }
}
