//! Lies about what the member has heard of a file.

use dataverse_core::floors::Heard;
use dataverse_core::record::Record;
use dataverse_core::search::Answer;

use crate::chance::Chance;

/// A version that nobody wrote, as if it were heard of.
pub(super) fn heard(chance: &mut Chance, invented: &Record) -> Heard {
    match chance.permille(500) {
        true => Heard::alive(invented.version),
        false => Heard::deletion(invented.version),
    }
}

/// An answer to a probe from a member that has heard of a version, and sometimes has nothing itself.
pub(super) fn lie(chance: &mut Chance, truth: Answer, invented: &Record) -> Answer {
    let known = Heard::merged([truth.known, Some(heard(chance, invented))]);
    let hits = match chance.permille(500) {
        true => truth.hits,
        false => Vec::new(),
    };
    Answer {
        known,
        hits,
        ..truth
    }
}
