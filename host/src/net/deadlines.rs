//! How long calls to other nodes may take, on every transport.

use std::time::Duration;

use super::streams::Patience;
use crate::settings::Settings;

/// Made from the settings once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadlines {
    /// A small call, and the header of a stream.
    pub(super) call: Duration,
    /// A call that makes the other node call a third one before it answers.
    pub(super) introduce: Duration,
    /// A probe, or a packet of the membership protocol: late, it is worth as little as lost.
    pub(super) probe: Duration,
    /// The next bytes of a fetch.
    pub(super) read_stall: Duration,
    /// What the node that hands over content grants the one that takes it.
    pub(super) prepare: Patience,
    /// The next bytes of a preparation, for the node that takes it. A little more than the entry node
    /// grants its client, so that the entry node is the one to tell.
    pub(super) prepared_stall: Duration,
}

impl Deadlines {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            call: settings.call_deadline,
            introduce: settings.call_connect + 2 * settings.call_deadline,
            probe: settings.search_probe_deadline,
            read_stall: settings.read_stall,
            prepare: Patience {
                stall: settings.write_stall,
                // What is still on its way has to be taken, then made durable.
                answer: settings.write_stall + settings.write_deadline,
            },
            prepared_stall: settings.write_stall + settings.call_deadline,
        }
    }
}
