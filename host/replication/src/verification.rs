//! Verification: whether a node that was away for long may keep a copy, one file at a time.
//!
//! While the node was away a file may have been deleted, and the other nodes may have forgotten the deletion
//! since. So the node searches for each of its files. This module judges the answers; the driver searches and acts
//! on the finding. The reasoning, including what can be lost and what can come back, is in docs/decisions/0013.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::record::Record;
use dataverse_core::search::Answer;
use dataverse_core::version::Version;

/// The answers to one search for an unverified file.
#[derive(Debug)]
pub struct CopyCheck {
    record: Arc<Record>,
    found: Option<Arc<Record>>,
    /// The greatest deletion that a node holds, as it said itself.
    deletion: Option<Arc<Record>>,
    /// What each node that answered knew of the file: `None` when it had never heard of it.
    heard: BTreeMap<NodeId, Option<Version>>,
}

/// What happens to an unverified copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finding {
    /// The file exists: another node has this record in a verified replica.
    Found(Arc<Record>),
    /// A node holds this greater deletion.
    Deleted(Arc<Record>),
    /// A node that should hold the file is reachable and has never heard of it: the file was deleted, and the
    /// deletion forgotten.
    Forgotten(NodeId),
    /// No reachable node knows of anything newer: the copy is kept.
    Stands,
    /// Not every reachable node could be asked, or one has heard of a greater version that no node has.
    Unclear,
}

impl CopyCheck {
    /// Starts the check of this copy.
    #[must_use]
    pub const fn into(record: Arc<Record>) -> Self {
        Self {
            record,
            found: None,
            deletion: None,
            heard: BTreeMap::new(),
        }
    }

    /// Records a node's answer, and removes every hit from it that does not end the search: only verified replicas
    /// remain.
    pub fn hear(&mut self, from: NodeId, answer: &mut Answer) {
        let known = answer.hits.iter().map(|hit| hit.record.version);
        let known = known.chain(answer.known.map(|heard| heard.version)).max();
        self.heard.insert(from, known);
        if let Some(deletion) = answer.deletion.held() {
            self.deletion = self.deletion.take().max(Some(Arc::clone(deletion)));
        }
        answer.hits.retain(|hit| {
            let sound = hit.role == Role::Replica && !hit.is_unverified();
            sound && hit.record.version >= self.record.version
        });
        if let Some(hit) = answer.hits.first() {
            self.found = self.found.take().max(Some(Arc::clone(&hit.record)));
        }
    }

    /// What happens to the copy on `me`. `complete` says whether every reachable node was asked and answered.
    #[must_use]
    pub fn finding(self, me: NodeId, complete: bool) -> Finding {
        let version = self.record.version;
        if let Some(found) = self.found {
            return Finding::Found(found);
        }
        if let Some(deletion) = self.deletion.filter(|deletion| deletion.version > version) {
            return Finding::Deleted(deletion);
        }
        // A single node may be wrong about a greater version, so the copy is not given up for it. But it does not count
        // either as long as a node says so.
        let greatest = self.heard.values().copied().max().flatten();
        if !complete || greatest > Some(version) {
            return Finding::Unclear;
        }
        let holders = self.record.layout.holders.iter();
        let forgetful = holders
            .filter(|holder| **holder != me)
            .find(|holder| self.heard.get(holder) == Some(&None));
        forgetful.map_or(Finding::Stands, |holder| Finding::Forgotten(*holder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dataverse_core::content::Digest;
    use dataverse_core::floors::Heard;
    use dataverse_core::key::Key;
    use dataverse_core::limits::UNVERIFIED_AGE_MS;
    use dataverse_core::record::Layout;
    use dataverse_core::search::{Deletion, Hit};
    use dataverse_core::version::Stamp;

    const ME: u128 = 1;
    const HOLDER: u128 = 2;
    const OTHER: u128 = 7;

    fn id(number: u128) -> NodeId {
        NodeId::from(number)
    }

    fn version(stamp: u64) -> Version {
        Version {
            stamp: Stamp(stamp),
            writer: id(9),
        }
    }

    fn record(stamp: u64) -> Arc<Record> {
        Arc::new(Record {
            version: version(stamp),
            layout: Layout {
                counter: 0,
                author: id(9),
                holders: vec![id(ME), id(HOLDER)],
            },
            deleted: false,
            size: 3,
            digest: Digest::of(b"abc"),
            content_type: "text/plain".into(),
            factor: 2,
            key: Key::parse("ada/x").expect("it is a key"),
        })
    }

    fn has(stamp: u64, role: Role, validated_age_ms: u64) -> Answer {
        Answer {
            hits: vec![Hit {
                record: record(stamp),
                role,
                validated_age_ms,
            }],
            known: Some(Heard::alive(version(stamp))),
            ..Answer::default()
        }
    }

    fn knows(stamp: Option<u64>) -> Answer {
        Answer {
            known: stamp.map(version).map(Heard::alive),
            ..Answer::default()
        }
    }

    /// What happens to a copy of version 5 after these answers.
    fn check(answers: Vec<(u128, Answer)>, complete: bool, expected: Finding) {
        let mut check = CopyCheck::into(record(5));
        for (from, mut answer) in answers {
            check.hear(id(from), &mut answer);
        }
        assert_eq!(check.finding(id(ME), complete), expected);
    }

    #[test]
    fn a_replica_that_is_verified_confirms_the_copy() {
        let answers = || vec![(OTHER, has(5, Role::Replica, 0)), (HOLDER, knows(None))];
        check(answers(), false, Finding::Found(record(5)));
        let newer = vec![(OTHER, has(6, Role::Replica, 0))];
        check(newer, true, Finding::Found(record(6)));
    }

    #[test]
    fn a_deletion_that_a_node_holds_goes_before_everything_but_a_newer_replica() {
        let mut gone = Record::clone(&record(6));
        gone.deleted = true;
        let gone = Arc::new(gone);
        let holds = Answer {
            deletion: Deletion::Held(Arc::clone(&gone)),
            ..knows(Some(6))
        };
        let answers = vec![(OTHER, holds), (HOLDER, knows(None))];
        check(answers, false, Finding::Deleted(gone));
        // It may only have heard of it.
        let answers = vec![(OTHER, knows(Some(6))), (HOLDER, knows(None))];
        check(answers, true, Finding::Unclear);
    }

    #[test]
    fn a_holder_that_never_heard_of_it_has_forgotten_that_it_was_deleted() {
        let answers = || vec![(HOLDER, knows(None)), (OTHER, knows(None))];
        check(answers(), true, Finding::Forgotten(id(HOLDER)));
        check(answers(), false, Finding::Unclear);
    }

    #[test]
    fn a_group_that_was_away_together_trusts_what_it_has_in_common() {
        let answers = vec![(HOLDER, has(5, Role::Cached, UNVERIFIED_AGE_MS))];
        check(answers, true, Finding::Stands);
    }

    #[test]
    fn a_cached_copy_confirms_nothing() {
        let answers = vec![(OTHER, has(5, Role::Cached, 0)), (HOLDER, knows(None))];
        check(answers, true, Finding::Forgotten(id(HOLDER)));
    }

    #[test]
    fn a_copy_stands_where_no_holder_is_there_or_one_still_knows_of_it() {
        check(vec![(OTHER, knows(None))], true, Finding::Stands);
        check(vec![(HOLDER, knows(Some(5)))], true, Finding::Stands);
        check(Vec::new(), true, Finding::Stands);
    }
}
