//! The overlay's counters. The node registers the metrics; without that nothing is recorded.

use metrics::Counter;

/// The counters of one node.
pub struct Counters {
    /// Membership packets received.
    pub packets_in: Counter,
    /// Membership packets sent.
    pub packets_out: Counter,
    /// Membership packets dropped because too many were waiting.
    pub packets_dropped: Counter,
    /// Membership packets refused because they were malformed or exceeded a bound.
    pub packets_refused: Counter,
    /// Times that a peer's circuit opened: it failed so often that it is not called for a while.
    pub circuits_opened: Counter,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            packets_in: Counter::noop(),
            packets_out: Counter::noop(),
            packets_dropped: Counter::noop(),
            packets_refused: Counter::noop(),
            circuits_opened: Counter::noop(),
        }
    }
}
