//! Lies in comparisons, as the one that is asked and as the one that asks.

use std::sync::Arc;

use dataverse_core::filter::Filter;
use dataverse_core::id::FileId;
use dataverse_core::limits::RECONCILE_BUCKETS;
use dataverse_core::reconcile::{Compared, DigestEntry};
use dataverse_core::record::Record;
use dataverse_overlay::transport::{ReconcileAnswer, ReconcileAsk};

use crate::chance::Chance;

/// Bytes of a filter that claims every file.
const FILTER_BYTES: usize = 64;

/// An answer that is not true. `asked` are the files of the question.
pub(super) fn lie(
    chance: &mut Chance,
    truth: ReconcileAnswer,
    asked: &[FileId],
    invented: Option<Arc<Record>>,
) -> ReconcileAnswer {
    match truth {
        ReconcileAnswer::Agreed | ReconcileAnswer::Sums(_) => match chance.permille(600) {
            true => ReconcileAnswer::Agreed,
            false => {
                let sums = (0..RECONCILE_BUCKETS).map(|_| chance.wide());
                ReconcileAnswer::Sums(sums.collect())
            }
        },
        ReconcileAnswer::Filter(_) => ReconcileAnswer::Filter(filter(chance)),
        ReconcileAnswer::Compared(compared) => {
            ReconcileAnswer::Compared(compared_wrongly(chance, compared, asked, invented))
        }
    }
}

fn filter(chance: &mut Chance) -> Filter {
    let byte = *chance.pick(&[0, 0xff, 0x55]);
    Filter::from_bytes(vec![byte; FILTER_BYTES]).expect("it is neither empty nor too long")
}

fn compared_wrongly(
    chance: &mut Chance,
    mut compared: Compared,
    asked: &[FileId],
    invented: Option<Arc<Record>>,
) -> Compared {
    match chance.below(5) {
        0 => compared.records.clear(),
        1 => compared.unknown = asked.to_vec(),
        2 => compared.unknown.push(FileId(chance.number())),
        3 => compared.until = FileId(chance.number()),
        _ => compared.unknown.clear(),
    }
    compared.records.extend(invented);
    compared
}

/// A question that is not true.
pub(super) fn ask(chance: &mut Chance, truth: ReconcileAsk) -> ReconcileAsk {
    match truth {
        ReconcileAsk::Root(_) => ReconcileAsk::Root(chance.wide()),
        ReconcileAsk::Filter { .. } => ReconcileAsk::Filter {
            known: chance.wide(),
        },
        ReconcileAsk::Compare { range, mut entries } => {
            match chance.below(3) {
                0 => entries.clear(),
                1 => entries.push(DigestEntry {
                    file: FileId(chance.number()),
                    fingerprint: chance.number(),
                }),
                _ => {
                    for entry in &mut entries {
                        entry.fingerprint = chance.number();
                    }
                }
            }
            entries.sort_unstable();
            ReconcileAsk::Compare { range, entries }
        }
    }
}
