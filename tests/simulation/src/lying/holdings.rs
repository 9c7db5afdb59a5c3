//! Lies about what the member holds of a file.

use std::sync::Arc;

use dataverse_core::floors::Heard;
use dataverse_core::holdings::Role;
use dataverse_core::record::Record;
use dataverse_core::search::{Answer, Deletion, Hit};

use crate::chance::Chance;

/// An answer to a probe that is not true. `invented` is what the liar tells of the file.
pub(super) fn lie(chance: &mut Chance, truth: Answer, invented: Arc<Record>) -> Answer {
    let known = Heard::merged([truth.known, Some(Heard::of(&invented))]);
    match chance.below(6) {
        // It has nothing.
        0 => Answer {
            hits: Vec::new(),
            overtaken: None,
            deletion: Deletion::None,
            ..truth
        },
        // It holds what nobody wrote.
        1 | 2 if invented.deleted => Answer {
            hits: Vec::new(),
            known,
            deletion: Deletion::Held(invented),
            ..truth
        },
        1 => Answer {
            hits: vec![replica(invented)],
            known,
            ..truth
        },
        2 => Answer {
            overtaken: Some(replica(invented)),
            known,
            ..truth
        },
        // It holds something else than it does.
        3 => Answer {
            hits: truth
                .hits
                .into_iter()
                .map(|hit| other(chance, hit))
                .collect(),
            ..truth
        },
        4 => Answer {
            pending: true,
            ..truth
        },
        _ => Answer {
            hits: Vec::new(),
            overtaken: truth.hits.into_iter().next(),
            deletion: Deletion::Unsaid,
            ..truth
        },
    }
}

fn replica(record: Arc<Record>) -> Hit {
    Hit {
        record,
        role: Role::Replica,
        validated_age_ms: 0,
    }
}

/// The same file in another role, of another age, or under another layout.
fn other(chance: &mut Chance, hit: Hit) -> Hit {
    let mut record = Record::clone(&hit.record);
    if chance.permille(300) {
        record.layout.holders.reverse();
        record.layout.holders.truncate(1);
    }
    Hit {
        record: Arc::new(record),
        role: *chance.pick(&[Role::Replica, Role::Cached]),
        validated_age_ms: *chance.pick(&[0, 1, 3_600_000, u64::MAX]),
    }
}
