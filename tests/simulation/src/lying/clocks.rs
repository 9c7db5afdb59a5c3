//! Lies about the time.

use dataverse_core::version::Stamp;
use dataverse_overlay::transport::Sender;

use crate::chance::Chance;

/// Offsets in milliseconds, on both sides of what is followed, of what is surpassed and of what is believed, and beyond.
const AHEAD_MS: [u64; 8] = [
    1,
    60_000,
    9 * 60_000 + 59_000,
    10 * 60_000 + 1_000,
    11 * 60_000 + 1_000,
    14 * 60_000 + 59_000,
    15 * 60_000 + 1_000,
    86_400_000,
];

/// The sender with another clock, ahead or far behind.
pub(super) fn lie(chance: &mut Chance, truth: Sender) -> Sender {
    let clock = match chance.permille(200) {
        true => Stamp::default(),
        false => Stamp(truth.clock.0 + (*chance.pick(&AHEAD_MS) << 16)),
    };
    Sender { clock, ..truth }
}
