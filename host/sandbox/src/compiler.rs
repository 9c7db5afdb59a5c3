//! `CompilerProcess`: compiles untrusted policy files in a process of their own.
//!
//! The compiler has no bounds of its own, so a small file can keep it busy for minutes, take gigabytes of memory
//! or exhaust its stack. *In process*, it is only protected by a count of the file's parts (see `cost`). *In a
//! process of its own*, the system bounds its time and memory, a crash harms nothing else, and all memory is
//! returned when it ends. That process leaves the code in the compile cache, where this process finds it.
//!
//! ```text
//! node                                     process
//! CompilerProcess::compile ── file ─────►  serve: check ── compile ── link ── is it in the cache?
//!          ◄── its end, and the reason ──────┘
//! the same, with the cache instead of the compiler
//! ```
//!
//! The process does first everything that the file makes parsers and linkers do, so repeating it in this process
//! costs no more than it did there.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Signal};

use crate::limits;
use crate::refusal::{Refusal, cut};

/// How often the parent checks whether the process has ended.
const PAUSE: Duration = Duration::from_millis(5);
/// How many bytes of the process's output are read.
const SAID_BYTES_MAX: u64 = 16 << 10;
/// Exit codes of the process: the file is refused, it may be accepted another time, there is not enough memory. No
/// other failure of a program uses these.
pub(crate) const REFUSED: u8 = 65;
pub(crate) const MAY_PASS: u8 = 75;
pub(crate) const NO_MEMORY: u8 = 71;
/// The exit code when [`serve`](crate::serve()) itself failed, which says nothing about the file. A program that
/// does not understand its arguments exits with this code, too.
pub const UNSERVED: u8 = 2;
/// What the Rust runtime and the system print when memory is denied.
const OUT_OF_MEMORY: [&str; 3] = [
    "memory allocation of",
    "os error 12",
    "Cannot allocate memory",
];
/// What the Rust runtime prints when its stack is exhausted.
const OUT_OF_STACK: &str = "has overflowed its stack";

/// The bounds for compiling one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileBounds {
    /// Processor time in seconds. Wall-clock time may be several times as long on a busy machine.
    pub cpu_seconds: u64,
    /// Memory, in MiB.
    pub memory_mib: u64,
}

impl Default for CompileBounds {
    fn default() -> Self {
        Self {
            cpu_seconds: limits::POLICY_COMPILE_SECONDS_DEFAULT,
            memory_mib: limits::POLICY_COMPILE_MIB_DEFAULT,
        }
    }
}

impl CompileBounds {
    /// These bounds, lowered to what this process can give to a child: hard limits are inherited and cannot be
    /// raised.
    pub(crate) fn inherited(self) -> Self {
        let most = |resource| rustix::process::getrlimit(resource).maximum;
        self.within(most(Resource::Cpu), most(Resource::Data))
    }

    /// These bounds, lowered to hard limits in seconds and bytes. One second is left for the signal that announces
    /// the end.
    fn within(self, cpu_seconds: Option<u64>, bytes: Option<u64>) -> Self {
        let seconds_most = cpu_seconds.map_or(u64::MAX, |seconds| seconds.saturating_sub(1));
        let mib_most = bytes.map_or(u64::MAX, |bytes| bytes >> 20);
        Self {
            cpu_seconds: self.cpu_seconds.min(seconds_most),
            memory_mib: self.memory_mib.min(mib_most),
        }
    }
}

/// Compiles each file in a process of its own.
#[derive(Clone, Debug)]
pub struct CompilerProcess {
    /// The program to start.
    pub program: PathBuf,
    /// Its first arguments, by which it recognizes that it must call [`serve`](crate::serve()) with the others.
    pub arguments: Vec<OsString>,
    /// The bounds for each process, unless this process has lower ones itself.
    pub bounds: CompileBounds,
}

impl CompilerProcess {
    /// Compiles a file into this cache.
    pub(crate) fn compile(&self, file: &[u8], cache: &Path) -> Result<(), Refusal> {
        let bounds = self.bounds.inherited();
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .arg(cache)
            .arg(bounds.cpu_seconds.to_string())
            .arg(bounds.memory_mib.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| self.not_started(&error))?;
        let patience = bounds.cpu_seconds.max(1) * limits::POLICY_COMPILE_WALLS;
        let ended = converse(&mut child, file, Duration::from_secs(patience));
        self.judge(bounds, ended.map_err(|error| self.not_started(&error))?)
    }

    fn not_started(&self, reason: &dyn Display) -> Refusal {
        let program = self.program.display();
        Refusal::Unavailable(format!(
            "the compiler's process ({program}) failed: {reason}"
        ))
    }

    fn judge(&self, bounds: CompileBounds, ended: Ended) -> Result<(), Refusal> {
        let CompileBounds {
            cpu_seconds,
            memory_mib,
        } = bounds;
        let says = |texts: &[&str]| texts.iter().any(|text| ended.complaint.contains(text));
        let signal = ended.status.signal();
        if ended.status.success() {
            Ok(())
        } else if ended.status.code() == Some(MAY_PASS.into()) {
            Err(Refusal::Unavailable(cut(&ended.answer)))
        } else if ended.status.code() == Some(NO_MEMORY.into()) {
            Err(Refusal::NeedsMemory { memory_mib })
        } else if ended.status.code() == Some(REFUSED.into()) && !says(&OUT_OF_MEMORY) {
            Err(Refusal::Told(cut(&ended.answer)))
        } else if signal == Some(Signal::XCPU.as_raw()) {
            Err(Refusal::NeedsTime { cpu_seconds })
        } else if says(&OUT_OF_MEMORY) {
            Err(Refusal::NeedsMemory { memory_mib })
        } else if ended.status.code() == Some(UNSERVED.into()) {
            Err(self.not_started(&cut(&ended.complaint)))
        } else if says(&[OUT_OF_STACK]) {
            Err(Refusal::Compile(
                "it is nested too deeply for the compiler's stack".to_owned(),
            ))
        } else if ended.was_overdue {
            Err(Refusal::Unavailable(format!(
                "compiling got less than {cpu_seconds} s of processor time in {} s, so this machine is too busy; try again later",
                cpu_seconds * limits::POLICY_COMPILE_WALLS
            )))
        } else if signal.is_some_and(is_from_others) {
            Err(Refusal::Unavailable(
                "the compiler's process was killed, probably because the machine ran out of memory; try again later".to_owned(),
            ))
        } else {
            let (status, complaint) = (ended.status, &ended.complaint);
            Err(Refusal::Compile(cut(&format!(
                "the compiler crashed ({status}) {complaint}"
            ))))
        }
    }
}

/// Whether this signal comes from another process and never from the compilation itself.
fn is_from_others(signal: i32) -> bool {
    [Signal::KILL, Signal::TERM, Signal::INT, Signal::HUP]
        .into_iter()
        .any(|others| others.as_raw() == signal)
}

/// How the process ended.
struct Ended {
    status: ExitStatus,
    answer: String,
    complaint: String,
    was_overdue: bool,
}

/// Sends the file and reads the answer, for at most `patience`. The process has ended when this returns.
fn converse(child: &mut Child, file: &[u8], patience: Duration) -> io::Result<Ended> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        // A process that ended early does not read to the end.
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(file)));
        let answer = scope.spawn(move || heard(stdout));
        let complaint = scope.spawn(move || heard(stderr));
        let waited = wait(child, patience);
        let (status, was_overdue) = match waited {
            Ok(waited) => waited,
            Err(error) => {
                // Otherwise the threads that read its output would never end.
                let _ended_already = child.kill();
                return Err(error);
            }
        };
        Ok(Ended {
            status,
            answer: answer.join().unwrap_or_default(),
            complaint: complaint.join().unwrap_or_default(),
            was_overdue,
        })
    })
}

fn heard(said: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(said) = said {
        // What it wrote before the output broke off is still useful.
        let _broken = said.take(SAID_BYTES_MAX).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

/// Waits for the process to end, and kills it after `patience`. True when it was killed.
fn wait(child: &mut Child, patience: Duration) -> io::Result<(ExitStatus, bool)> {
    let until = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((status, false));
        }
        if Instant::now() >= until {
            child.kill()?;
            return Ok((child.wait()?, true));
        }
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_shell(script: &str, cpu_seconds: u64) -> Result<(), Refusal> {
        let compiler = CompilerProcess {
            program: "/bin/sh".into(),
            arguments: ["-c", script].map(OsString::from).into(),
            bounds: CompileBounds {
                cpu_seconds,
                memory_mib: 64,
            },
        };
        compiler.compile(&[0; 1 << 20], Path::new("/nowhere"))
    }

    #[test]
    fn what_the_process_says_is_the_reason() {
        assert_eq!(by_shell("cat > /dev/null", 10), Ok(()));
        let told = by_shell("echo it has six legs; exit 65", 10);
        assert_eq!(told, Err(Refusal::Told("it has six legs".to_owned())));
        let told = by_shell("echo no room; exit 75", 10);
        assert_eq!(told, Err(Refusal::Unavailable("no room".to_owned())));
        assert_eq!(
            by_shell("echo no memory; exit 71", 10),
            Err(Refusal::NeedsMemory { memory_mib: 64 })
        );
        assert_eq!(
            by_shell(
                "echo memory allocation of 9 bytes failed >&2; kill -ABRT $$",
                10
            ),
            Err(Refusal::NeedsMemory { memory_mib: 64 })
        );
        let deep = by_shell(
            "echo thread x has overflowed its stack >&2; kill -ABRT $$",
            10,
        );
        assert!(matches!(deep, Err(Refusal::Compile(_))), "{deep:?}");
        assert_eq!(
            by_shell("kill -XCPU $$", 10),
            Err(Refusal::NeedsTime { cpu_seconds: 10 })
        );
    }

    #[test]
    fn a_process_that_does_not_end_is_ended_and_is_no_word_against_the_file() {
        let refused = by_shell("exec sleep 1000", 0).expect_err("it does not end by itself");
        assert!(refused.may_pass(), "{refused}");
        let refused = by_shell("kill -KILL $$", 10).expect_err("it was killed");
        assert!(refused.may_pass(), "{refused}");
    }

    #[test]
    fn a_process_that_can_not_serve_is_no_word_against_the_file() {
        let refused = by_shell("echo error: not permitted >&2; exit 2", 10);
        let refused = refused.expect_err("it failed");
        assert!(refused.may_pass(), "{refused}");
        assert!(refused.to_string().contains("not permitted"), "{refused}");
    }

    #[test]
    fn bounds_are_never_wider_than_what_is_inherited() {
        let bounds = CompileBounds {
            cpu_seconds: 60,
            memory_mib: 1024,
        };
        let check = |cpu_seconds, bytes, expected: (u64, u64)| {
            let within = bounds.within(cpu_seconds, bytes);
            assert_eq!((within.cpu_seconds, within.memory_mib), expected);
        };
        check(None, None, (60, 1024));
        check(Some(1000), Some(4 << 30), (60, 1024));
        check(Some(60), None, (59, 1024));
        check(Some(30), Some((512 << 20) + 1), (29, 512));
        check(Some(0), Some(0), (0, 0));
    }

    #[test]
    fn a_program_that_is_not_there_is_no_word_against_the_file() {
        let compiler = CompilerProcess {
            program: "/no/such/program".into(),
            arguments: Vec::new(),
            bounds: CompileBounds::default(),
        };
        let refused = compiler.compile(b"", Path::new("/nowhere"));
        let refused = refused.expect_err("the program does not exist");
        assert!(refused.may_pass(), "{refused}");
        assert!(refused.to_string().contains("/no/such/program"));
    }
}
