//! `Weather`: what may happen to a call on its way. It decides, and the network carries it out.

use std::time::Duration;

use crate::transport::CallKind;

/// The part of a call that is lost. The caller then waits until its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The call never arrives.
    Ask,
    /// The call is carried out, but its answer never arrives.
    Answer,
}

/// What happens to one call on its way. The default is a network without faults.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fate {
    /// How long the call is on its way, in addition to the delay of the connection.
    pub ask_takes: Duration,
    /// How long the answer is on its way.
    pub answer_takes: Duration,
    /// How long each chunk of a stream is on its way.
    pub chunk_takes: Duration,
    /// The part of the call that is lost, if any.
    pub lost: Option<Lost>,
    /// The call arrives once more after this long; that answer is discarded. Calls that carry a stream are never
    /// duplicated.
    pub again_after: Option<Duration>,
    /// The called node completes its work even if the caller has given up. Otherwise the work is dropped with the
    /// call.
    pub goes_on: bool,
}

/// Decides what happens to every call. Asked once per call, when it is made.
pub trait Weather: Send + Sync + 'static {
    /// The fate of a call from one address to another.
    fn fate(&self, from: &str, to: &str, call: CallKind) -> Fate;
}
