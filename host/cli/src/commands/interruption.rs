//! Handles Ctrl-C and similar signals for commands that must clean up before they end.
//!
//! Signals that the parent process set to be ignored stay ignored: `nohup` does so for the end of a session, and
//! shells for Ctrl-C where a script starts something in the background.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::failure::Failure;

/// Listens for the signals that end a command. From then on they no longer end it on their own.
pub(super) struct Interruption {
    terminate: Signal,
    interrupt: Option<Signal>,
    hangup: Option<Signal>,
}

impl Interruption {
    pub(super) fn listen() -> Result<Self, Failure> {
        // Only Linux reports which signals are ignored.
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let unless_ignored = |kind: SignalKind| -> io::Result<_> {
            match is_ignored(&status, kind) {
                true => Ok(None),
                false => signal(kind).map(Some),
            }
        };
        let listen = || -> io::Result<_> {
            Ok(Self {
                terminate: signal(SignalKind::terminate())?,
                interrupt: unless_ignored(SignalKind::interrupt())?,
                hangup: unless_ignored(SignalKind::hangup())?,
            })
        };
        listen().map_err(|error| Failure::refused(format!("can't listen for Ctrl-C: {error}")))
    }

    /// Completes when one of the signals arrives.
    pub(super) async fn heard(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            () = came(&mut self.interrupt) => {}
            () = came(&mut self.hangup) => {}
        }
    }
}

/// Completes when the signal arrives; never if it is not listened for.
async fn came(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Whether a process's status, as Linux shows it, says that it ignores the signal.
fn is_ignored(status: &str, kind: SignalKind) -> bool {
    let ignored = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|signals| u64::from_str_radix(signals.trim(), 16).ok());
    // The lowest bit is that of signal 1.
    ignored.is_some_and(|signals| (signals >> (kind.as_raw_value() - 1)) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_a_process_says_what_it_ignores() {
        let check = |status: &str, expected: [bool; 3]| {
            let kinds = [
                SignalKind::hangup(),
                SignalKind::interrupt(),
                SignalKind::terminate(),
            ];
            let found = kinds.map(|kind| is_ignored(status, kind));
            assert_eq!(found, expected, "{status}");
        };
        check(
            "SigBlk:\t0\nSigIgn:\t0000000000001001\n",
            [true, false, false],
        );
        check(
            "SigIgn:\t0000000000000006\nSigCgt:\t1\n",
            [false, true, false],
        );
        check("SigIgn:\t0000000000000000\nSigCgt:\t3\n", [false; 3]);
        check("", [false; 3]);
    }
}
