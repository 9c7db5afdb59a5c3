//! How long calls to other nodes may take, on every transport.

use std::time::Duration;

use crate::grpc::streams::Patience;
use crate::timings::Timings;
use crate::transport::CallKind;

/// Computed once from the timings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadlines {
    /// A small call, and the header of a stream.
    pub(super) call: Duration,
    /// A call for which the other node must call a third one before it answers.
    pub(super) introduce: Duration,
    /// A probe, or a packet of the membership protocol: an answer that comes late is as useless as a lost one.
    pub(super) probe: Duration,
    /// The next bytes of a fetch.
    pub(super) read_stall: Duration,
    /// How long the node that sends content waits for the node that receives it.
    pub(super) prepare: Patience,
    /// The next bytes of a preparation, at the receiving node. A little longer than the entry node waits for its
    /// client, so that the entry node is the one to report the failure.
    pub(super) prepared_stall: Duration,
}

impl Deadlines {
    /// How long this call may take.
    pub(crate) const fn of(&self, call: CallKind) -> Duration {
        match call {
            CallKind::Introduce => self.introduce,
            CallKind::Probe | CallKind::Gossip => self.probe,
            _ => self.call,
        }
    }

    pub(super) fn new(timings: &Timings) -> Self {
        Self {
            call: timings.call_deadline,
            introduce: timings.call_connect + 2 * timings.call_deadline,
            probe: timings.search_probe_deadline,
            read_stall: timings.read_stall,
            prepare: Patience {
                stall: timings.write_stall,
                // What is still on its way must be received, then made durable.
                answer: timings.write_stall + timings.write_deadline,
            },
            prepared_stall: timings.write_stall + timings.call_deadline,
        }
    }
}
