//! Being told to end: Ctrl-C, or a signal to the same effect, where there is something to put in order first.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::failure::Failure;

/// Listens for the signals that end a command. From then on they no longer end it by themselves.
pub(super) struct Interruption {
    signals: [Signal; 3],
}

impl Interruption {
    pub(super) fn listen() -> Result<Self, Failure> {
        let listen = || -> io::Result<_> {
            Ok([
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
                signal(SignalKind::hangup())?,
            ])
        };
        let signals = listen()
            .map_err(|error| Failure::refused(format!("can't listen for Ctrl-C: {error}")))?;
        Ok(Self { signals })
    }

    /// Ends when one of them comes.
    pub(super) async fn heard(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
