//! How long calls to other nodes may take, on every transport.

use std::time::Duration;

use crate::grpc::streams::Patience;
use crate::timings::Timings;

/// Made from the timings once.
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
    pub(super) fn new(timings: &Timings) -> Self {
        Self {
            call: timings.call_deadline,
            introduce: timings.call_connect + 2 * timings.call_deadline,
            probe: timings.search_probe_deadline,
            read_stall: timings.read_stall,
            prepare: Patience {
                stall: timings.write_stall,
                // What is still on its way has to be taken, then made durable.
                answer: timings.write_stall + timings.write_deadline,
            },
            prepared_stall: timings.write_stall + timings.call_deadline,
        }
    }
}
