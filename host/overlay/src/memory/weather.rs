//! What the wire may do to a call. The network carries it out; who makes the weather decides it.

use std::time::Duration;

/// A call between two nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// See [`Transport::link`](crate::transport::Transport::link), and so on.
    Link,
    /// See there.
    Introduce,
    /// See there.
    Unlink,
    /// See there.
    Probe,
    /// See there.
    Fetch,
    /// See there.
    Prepare,
    /// See there.
    Commit,
    /// See there.
    Pull,
    /// See there.
    Move,
    /// See there.
    Reconcile,
    /// See there.
    Announce,
    /// See there.
    Gossip,
}

/// Which part of a call is lost. The caller waits for it until its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The other side never hears of it.
    Ask,
    /// The other side did what was asked.
    Answer,
}

/// What becomes of one call on its way. The default is what a good wire does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fate {
    /// How long the ask is on its way, beside the delay of its way.
    pub ask_takes: Duration,
    /// How long the answer is.
    pub answer_takes: Duration,
    /// How long each chunk of a stream is.
    pub chunk_takes: Duration,
    /// Whether something of it is lost.
    pub lost: Option<Lost>,
    /// The ask arrives once more, so much later; what is answered then nobody hears. Nothing that carries a
    /// stream arrives twice.
    pub again_after: Option<Duration>,
    /// The other side does what was asked to its end, even when the asker has given up. Otherwise it is cut off
    /// with the call.
    pub goes_on: bool,
}

/// Decides what becomes of every call. Asked once a call, when it is made.
pub trait Weather: Send + Sync + 'static {
    /// For a call from one address to another.
    fn fate(&self, from: &str, to: &str, call: Call) -> Fate;
}
