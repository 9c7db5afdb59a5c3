//! Whether a node may give up what it holds for a greater record, or must stop serving it.
//!
//! That a greater record exists is only the word of whoever announced it. So the node asks the holders that the
//! record names, and this module judges their answers. It asks nobody and gives up nothing itself. The reasoning,
//! including what a lying member can still do, is in docs/decisions/0020.

use dataverse_core::holdings::{Holding, Role};
use dataverse_core::id::NodeId;
use dataverse_core::record::Record;
use dataverse_core::search::{Answer, Deletion};

/// What a node that should have a record answered when it was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Word {
    /// It holds the record, or a greater one, durably.
    Has,
    /// It does not.
    Lacks,
    /// It gave no answer, or its address is unknown.
    Silent,
}

/// What follows from the answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The greater record is durable where it belongs: what is held here is given up.
    Release,
    /// A holder has the greater version: what is held here is kept and not served.
    Overtaken,
    /// Nothing is known for certain: what is held here is kept and served.
    Wait,
    /// All were asked, and none has it.
    Nobody,
}

/// A verdict, and the condition under which it holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Judgement {
    /// What follows.
    pub verdict: Verdict,
    /// The only node that says that it has the content. It must show some of it first; until then the verdict is
    /// [`Verdict::Wait`].
    pub shown_by: Option<NodeId>,
}

/// The nodes to ask about a record: those that it names, and for a deletion also the node that wrote it.
#[must_use]
pub fn whom_to_ask(record: &Record, me: NodeId) -> Vec<NodeId> {
    let mut asked = record.layout.holders.clone();
    if record.deleted && !asked.contains(&record.version.writer) {
        asked.push(record.version.writer);
    }
    asked.retain(|id| *id != me);
    asked
}

/// Whether this answer to a probe says that the node holds the record, or a greater version, durably.
#[must_use]
pub fn word_of(answer: &Answer, record: &Record) -> Word {
    let mut copies = answer.hits.iter().chain(&answer.overtaken);
    let has_copy = copies.any(|hit| {
        let is_replica = hit.role == Role::Replica && !hit.is_unverified();
        is_replica && hit.record.key == record.key && hit.record.version >= record.version
    });
    let has_deletion = match &answer.deletion {
        Deletion::Held(deletion) => {
            deletion.key == record.key && deletion.version >= record.version
        }
        Deletion::None => false,
        // A node of an earlier release stores a deletion, or drops its copy, as soon as it hears of it. So where such
        // a node is itself to hold the deletion, what it has heard and what it holds are the same.
        Deletion::Unsaid => {
            let buried = answer.known.and_then(|known| known.buried);
            buried >= Some(record.version)
        }
    };
    match has_copy || has_deletion {
        true => Word::Has,
        false => Word::Lacks,
    }
}

/// Judges what the nodes [`whom_to_ask`] named said about a record greater than `held`.
///
/// `others_left` is the number of other holders of the layout held here that are not known to be gone.
#[must_use]
pub fn judge(
    held: &Holding,
    record: &Record,
    me: NodeId,
    words: &[(NodeId, Word)],
    others_left: usize,
) -> Judgement {
    let has = |word: &&(NodeId, Word)| word.1 == Word::Has;
    let count = words.iter().filter(has).count();
    let first = words.iter().find(has).map(|(id, _)| *id);
    let all_lack = words.iter().all(|(_, word)| *word == Word::Lacks);
    let surely = |verdict| Judgement {
        verdict,
        shown_by: None,
    };
    // One node that confirms a version could be the one that made it up. If it has the content, it is a writer like
    // any other.
    let alone = |verdict| Judgement {
        verdict,
        shown_by: first.filter(|_| count == 1),
    };
    let all_have = !words.is_empty() && count == words.len();
    if record.version == held.record.version {
        // A relayout never leaves fewer copies than there are.
        let copies = (others_left + 1).min(held.record.factor as usize);
        return match all_have && count >= copies {
            true => alone(Verdict::Release),
            false => surely(Verdict::Wait),
        };
    }
    if count == 0 {
        return surely(match all_lack {
            true => Verdict::Nobody,
            false => Verdict::Wait,
        });
    }
    if record.deleted || (held.role == Role::Cached && others_left > 0) {
        return surely(Verdict::Release);
    }
    let is_awaited = held.role == Role::Replica && record.layout.names(me);
    let is_durable = all_have || count >= record.factor as usize;
    match is_durable && !is_awaited {
        true => alone(Verdict::Release),
        false => alone(Verdict::Overtaken),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::fixtures::{self, id};
    use dataverse_core::floors::Heard;
    use dataverse_core::search::Hit;

    const ME: u128 = 1;

    fn record(stamp: u64, counter: u64, holders: &[u128]) -> Record {
        fixtures::record("ada/x", stamp, counter, holders)
    }

    fn deleted(record: Record) -> Record {
        Record {
            deleted: true,
            ..record
        }
    }

    fn held(role: Role) -> Holding {
        Holding {
            record: Arc::new(record(5, 3, &[ME, 2])),
            role,
            validated: 0,
            verified: 0,
        }
    }

    /// The verdict about this record, and who must show content for it.
    fn check(
        role: Role,
        record: &Record,
        words: &[(u128, Word)],
        others_left: usize,
        expected: (Verdict, Option<u128>),
    ) {
        let words: Vec<_> = words
            .iter()
            .map(|(node, word)| (id(*node), *word))
            .collect();
        let judgement = judge(&held(role), record, id(ME), &words, others_left);
        let expected = Judgement {
            verdict: expected.0,
            shown_by: expected.1.map(id),
        };
        assert_eq!(judgement, expected, "{words:?}");
    }

    use Role::{Cached, Replica};
    use Verdict::{Nobody, Overtaken, Release, Wait};
    use Word::{Has, Lacks, Silent};

    #[test]
    fn a_greater_version_that_names_nobody_costs_nothing() {
        check(Replica, &record(6, 0, &[]), &[], 1, (Nobody, None));
        check(Cached, &record(6, 0, &[]), &[], 1, (Nobody, None));
        let nobody_has = &[(3, Lacks), (4, Lacks)];
        check(
            Replica,
            &record(6, 0, &[3, 4]),
            nobody_has,
            1,
            (Nobody, None),
        );
        let one_is_silent = &[(3, Lacks), (4, Silent)];
        check(
            Replica,
            &record(6, 0, &[3, 4]),
            one_is_silent,
            1,
            (Wait, None),
        );
    }

    #[test]
    fn a_replica_goes_when_all_holders_or_as_many_as_the_factor_have_the_greater_version() {
        let newer = record(6, 0, &[3, 4, 5]);
        let all = &[(3, Has), (4, Has), (5, Has)];
        check(Replica, &newer, all, 1, (Release, None));
        check(
            Replica,
            &newer,
            &[(3, Has), (4, Has), (5, Silent)],
            1,
            (Release, None),
        );
        // One is not enough to give the old copy up, but to serve it no longer, if it has the content.
        check(
            Replica,
            &newer,
            &[(3, Has), (4, Lacks), (5, Silent)],
            1,
            (Overtaken, Some(3)),
        );
    }

    #[test]
    fn a_node_that_alone_has_the_greater_version_must_show_it() {
        check(
            Replica,
            &record(6, 0, &[3]),
            &[(3, Has)],
            1,
            (Release, Some(3)),
        );
        check(
            Replica,
            &record(5, 4, &[3]),
            &[(3, Has)],
            0,
            (Release, Some(3)),
        );
        check(
            Cached,
            &record(6, 0, &[3]),
            &[(3, Has)],
            0,
            (Release, Some(3)),
        );
        // A cached copy beside which there are replicas is no loss.
        check(Cached, &record(6, 0, &[3]), &[(3, Has)], 1, (Release, None));
    }

    #[test]
    fn what_belongs_here_too_is_waited_for() {
        let newer = record(6, 0, &[ME, 3, 4]);
        check(Replica, &newer, &[(3, Has), (4, Has)], 1, (Overtaken, None));
        check(Cached, &newer, &[(3, Has), (4, Has)], 1, (Release, None));
    }

    #[test]
    fn for_a_greater_layout_all_its_holders_must_have_their_copies() {
        check(
            Replica,
            &record(5, 4, &[3, 4]),
            &[(3, Has), (4, Has)],
            1,
            (Release, None),
        );
        check(
            Replica,
            &record(5, 4, &[3, 4]),
            &[(3, Has), (4, Lacks)],
            1,
            (Wait, None),
        );
        check(Replica, &record(5, 4, &[]), &[], 1, (Wait, None));
        // It names fewer nodes than hold the file now.
        check(Replica, &record(5, 4, &[3]), &[(3, Has)], 1, (Wait, None));
    }

    #[test]
    fn a_deletion_counts_where_one_node_holds_it() {
        let newer = deleted(record(6, 0, &[3]));
        assert_eq!(whom_to_ask(&newer, id(ME)), [id(3), id(9)]);
        check(
            Replica,
            &newer,
            &[(3, Silent), (9, Has)],
            1,
            (Release, None),
        );
        check(
            Replica,
            &newer,
            &[(3, Lacks), (9, Lacks)],
            1,
            (Nobody, None),
        );
        check(Replica, &newer, &[(3, Lacks), (9, Silent)], 1, (Wait, None));
    }

    #[test]
    fn what_a_node_has_only_heard_of_it_does_not_hold() {
        let says = |answer: &Answer| word_of(answer, &deleted(record(6, 0, &[3])));
        let mut answer = Answer {
            known: Some(Heard::deletion(record(7, 0, &[]).version)),
            deletion: Deletion::None,
            ..Answer::default()
        };
        assert_eq!(says(&answer), Lacks);
        answer.deletion = Deletion::Held(Arc::new(deleted(record(6, 0, &[3]))));
        assert_eq!(says(&answer), Has);
        answer.deletion = Deletion::Unsaid;
        assert_eq!(says(&answer), Has, "an earlier release can't say more");
        let hit = |stamp, validated_age_ms| Hit {
            record: Arc::new(record(stamp, 0, &[3])),
            role: Replica,
            validated_age_ms,
        };
        for (hit, expected) in [
            (hit(6, 0), Has),
            (hit(5, 0), Lacks),
            (hit(6, dataverse_core::limits::UNVERIFIED_AGE_MS), Lacks),
        ] {
            let answer = Answer {
                hits: vec![hit],
                deletion: Deletion::None,
                ..Answer::default()
            };
            assert_eq!(says(&answer), expected);
        }
    }
}
